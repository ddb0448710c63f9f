// SPDX-License-Identifier: MIT

package diffusion

import (
	"reflect"
	"strings"
	"testing"
)

// goStructs lists the Go counterpart of each C struct, and the C members that it stands for in
// another way: arrays are slices, and counts are their lengths.
var goStructs = map[string]struct {
	value   any
	members []string
}{
	"dm_context_options": {&ContextOptions{}, []string{"allocate", "release", "allocator_user",
		"log", "log_user", "parallel_for", "parallel_user"}},
	"dm_profile_row":      {&ProfileRow{}, nil},
	"dm_schedule_options": {&ScheduleOptions{}, nil},
	"dm_unet_options":     {&UNetOptions{}, nil},
	"dm_tensor_info":      {&TensorInfo{}, nil},
	"dm_dataset_info":     {&DatasetInfo{}, nil},
	"dm_dataset_memory": {&ImageArray{}, []string{"copy", "pixel_bytes", "label_count", "pixels",
		"labels", "condition_image_bytes", "condition_vector_elements",
		"condition_images", "condition_vectors", "class_name_count", "class_names"}},
	"dm_dataset_callback": {&ImageSource{}, []string{"read", "user", "class_name_count",
		"class_names", "prefetch"}},
	"dm_trainer_options": {&TrainerOptions{}, nil},
	"dm_train_stats":     {&TrainStats{}, nil},
	"dm_checkpoint_info": {&CheckpointInfo{}, nil},
	"dm_train_batch": {&TrainBatch{}, []string{"elements", "label_count", "timestep_count",
		"images", "noise", "labels", "timesteps", "condition_image_elements",
		"condition_vector_elements", "condition_image", "condition_vector"}},
	"dm_sampler_options":  {&SamplerOptions{}, []string{"custom_times", "custom_sigmas"}},
	"dm_sampler_progress": {&SamplerProgress{}, []string{"x_t", "x_0"}},
	"dm_noise_request":    {&NoiseRequest{}, nil},
	"dm_denoiser_input": {&DenoiserInput{}, []string{"x", "labels", "condition_image",
		"condition_vector", "condition_image_elements", "condition_vector_elements"}},
	"dm_denoiser": {&Denoiser{}, []string{"evaluate", "user"}},
	"dm_sampler_request": {&SamplerRequest{}, []string{"seed_count", "label_count",
		"initial_noise_elements", "image_elements", "mask_elements", "seeds", "labels",
		"initial_noise", "image", "mask", "noise", "noise_user", "progress", "progress_user",
		"guide", "guide_user", "condition_image_elements", "condition_vector_elements",
		"condition_image", "condition_vector"}},
	"dm_guidance_step":      {&GuidanceStep{}, []string{"x", "labels", "x_0", "eps"}},
	"dm_diffusers_options":  {&DiffusersOptions{}, nil},
	"dm_evaluation_options": {&EvaluationOptions{}, nil},
	"dm_evaluation":         {&Evaluation{}, nil},
	"dm_image_grid_options": {&GridOptions{}, nil},
	"dm_image_animation":    {&Animation{}, nil},
	// Written out by hand.
	"dm_member_info": {nil, nil}, "dm_unet_input": {nil, nil}, "dm_dataset_item": {nil, nil},
}

var goKinds = map[MemberType]reflect.Kind{
	TypeI32: reflect.Int32, TypeU32: reflect.Uint32, TypeI64: reflect.Int64,
	TypeU64: reflect.Uint64, TypeF32: reflect.Float32, TypeF64: reflect.Float64,
	TypeChar: reflect.String, TypeString: reflect.String,
}

// Every member of every C struct has a field of the same type, count and enumeration, and the
// header's sizes are the library's.
func TestStructs(t *testing.T) {
	for _, name := range Structs() {
		known, ok := goStructs[name]
		if !ok {
			t.Errorf("%s has no Go counterpart", name)
			continue
		}
		if uint64(cTypes[name].size) != StructSize(name) {
			t.Errorf("%s has %d bytes in the header, %d in the library", name, cTypes[name].size,
				StructSize(name))
		}
		if known.value == nil {
			continue
		}
		if got := known.value.(structure).cStruct(); got != name {
			t.Errorf("%s: the Go struct says %s", name, got)
		}
		skip := map[string]bool{"struct_size": true, "padding": true, "padding_last": true,
			"padding_pointer": true}
		for _, member := range known.members {
			skip[member] = true
		}
		for _, m := range Members(name) {
			if !skip[m.Name] {
				checkField(t, name, m, reflect.TypeOf(known.value).Elem())
			}
		}
	}
}

func checkField(t *testing.T, name string, m MemberInfo, goStruct reflect.Type) {
	f, ok := goStruct.FieldByNameFunc(func(n string) bool { return fold(n) == fold(m.Name) })
	if !ok {
		t.Errorf("%s.%s is missing", name, m.Name)
		return
	}
	ft := f.Type
	if m.Count > 1 && m.Type != TypeChar {
		if ft.Kind() != reflect.Array || ft.Len() != int(m.Count) {
			t.Errorf("%s.%s has %d elements", name, m.Name, m.Count)
			return
		}
		ft = ft.Elem()
	}
	boolean := ft.Kind() == reflect.Bool && m.Type == TypeI32 && m.Minimum == 0 && m.Maximum <= 1
	if ft.Kind() != goKinds[m.Type] && !boolean {
		t.Errorf("%s.%s is a %v", name, m.Name, ft)
	}
	enumeration := ""
	if e, ok := reflect.Zero(ft).Interface().(interface{ enumeration() string }); ok {
		enumeration = e.enumeration()
	}
	if enumeration != m.Enumeration {
		t.Errorf("%s.%s is a %q, not a %q", name, m.Name, m.Enumeration, enumeration)
	}
}

// Options set by name reach the field, and the field reaches C.
func TestOptionsByName(t *testing.T) {
	c := newContext(t)
	for name, known := range goStructs {
		options, ok := known.value.(structure)
		if !ok {
			continue
		}
		defaults(options)
		for _, m := range Members(name) {
			if m.DefaultText == "" || m.Type == TypePointer || m.Name == "copy" ||
				m.Name == "class_name_count" || strings.HasPrefix(m.Name, "padding") {
				continue
			}
			text, err := GetOption(c, options, m.Name)
			must(t, err)
			must(t, SetOption(c, options, m.Name, text))
			other := otherText(m)
			if other == "" {
				continue
			}
			before := reflect.ValueOf(options).Elem().Interface()
			if err := SetOption(c, options, m.Name, other); err != nil {
				t.Errorf("%s.%s = %s: %v", name, m.Name, other, err)
				continue
			}
			if reflect.DeepEqual(before, reflect.ValueOf(options).Elem().Interface()) {
				t.Errorf("%s.%s stays after being set to %s", name, m.Name, other)
			}
			must(t, SetOption(c, options, m.Name, text))
			if !reflect.DeepEqual(before, reflect.ValueOf(options).Elem().Interface()) {
				t.Errorf("%s.%s does not become %s again", name, m.Name, text)
			}
		}
	}
	o := DefaultSamplerOptions()
	must(t, SetOption(c, &o, "solver", "unipc"))
	must(t, SetOption(nil, &o, "steps", "20"))
	if o.Solver != SolverUniPC || o.Steps != 20 {
		t.Fatalf("the options are %+v", o)
	}
	expect(t, SetOption(c, &o, "solver", "none"), ErrInvalidArgument, "one of ddpm")
	expect(t, SetOption(c, &o, "nothing", "1"), ErrNotFound, "nothing")
	expect(t, SetOption(c, &o, "steps", "0"), ErrInvalidArgument, "steps")
	expect(t, SetOption(c, nil, "steps", "0"), ErrInvalidArgument, "nil")
	expect(t, SetOption(c, (*UNetOptions)(nil), "steps", "0"), ErrInvalidArgument, "nil")
	u := DefaultUNetOptions()
	must(t, SetOption(c, &u, "channels", "32,64"))
	if u.Channels != [8]int32{32, 64} || !u.Attention[1] || u.Attention[0] {
		t.Fatalf("the options are %+v", u)
	}
}

// otherText is a value in range that is not the default, or "".
func otherText(m MemberInfo) string {
	if m.Enumeration != "" {
		for _, item := range EnumItems(m.Enumeration) {
			one := strings.Split(m.DefaultText, ",")[0]
			if item.Name != one && item.Value >= 0 {
				return item.Name
			}
		}
		return ""
	}
	for value, text := range []string{"0", "1"} {
		inRange := m.Minimum == m.Maximum ||
			float64(value) >= m.Minimum && float64(value) <= m.Maximum
		if text != m.DefaultText && inRange && m.Count == 1 {
			return text
		}
	}
	return ""
}

func checkEnum[E Enumeration](t *testing.T, all ...E) {
	t.Helper()
	values := Values[E]()
	if len(all) > len(values) || len(values) == 0 {
		t.Errorf("%T has %d values, not %d", E(0), len(values), len(all))
	}
	for _, v := range values {
		parsed, err := Parse[E](enumName(v))
		if err != nil || parsed != v || Help(v) == "" {
			t.Errorf("%T %d: %v, %v", v, v, parsed, err)
		}
	}
	if _, err := Parse[E]("none at all"); !isStatus(err, ErrNotFound) {
		t.Errorf("%T: %v", E(0), err)
	}
}

func isStatus(err error, status Status) bool {
	e, ok := err.(*Error)
	return ok && e.Status == status
}

func TestEnumerations(t *testing.T) {
	checkEnum[LogLevel](t)
	checkEnum[ScheduleKind](t)
	checkEnum[Series](t)
	checkEnum[Preset](t)
	checkEnum[Prediction](t)
	checkEnum[TimeEmbedding](t)
	checkEnum[Padding](t)
	checkEnum[Weights](t)
	checkEnum[Split](t)
	checkEnum[RateSchedule](t)
	checkEnum[Recompute](t)
	checkEnum[TimestepSampling](t)
	checkEnum[Loss](t)
	checkEnum[LossWeight](t)
	checkEnum[Optimizer](t)
	checkEnum[Solver](t)
	checkEnum[Spacing](t)
	checkEnum[Variance](t)
	checkEnum[Grid](t)
	checkEnum[Random](t)
	checkEnum[Resample](t)
	checkEnum[Activation](t)
	checkEnum[TimeFeatures](t)
	checkEnum[Condition](t)
	checkEnum[Part](t)
	checkEnum[Initialization](t)
	checkEnum[Precision](t)
	checkEnum[MemberType](t)
	if len(Enums()) != 29 { // those and Status
		t.Errorf("the library has %d enumerations", len(Enums()))
	}
	if SolverDPMPPSDE.String() != "dpmpp_sde" || Solver(99).String() != "99" {
		t.Error("names of solvers")
	}
	if Version() == "" || VersionNumber() == 0 || BuildInfo() == "" || Feature("nothing") {
		t.Error("version")
	}
}
