// SPDX-License-Identifier: MIT

package diffusion

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// freshUNet is a network without a trainer.
func freshUNet(t *testing.T, c *Context, edit func(*UNetOptions)) *UNet {
	t.Helper()
	o := smallNetwork()
	if edit != nil {
		edit(&o)
	}
	u, err := NewUNet(c, &o, 1)
	must(t, err)
	t.Cleanup(func() { u.Close() })
	return u
}

func TestPrecision(t *testing.T) {
	w := newWorld(t)
	whole, err := w.unet.SaveMemory(w.schedule)
	must(t, err)
	half, err := w.unet.SaveMemoryAs(w.schedule, PrecisionF16)
	must(t, err)
	if len(half)*4 > len(whole)*3 {
		t.Errorf("%d and %d bytes", len(half), len(whole))
	}
	u, err := LoadUNetMemory(w.context, half, WeightsDefault)
	must(t, err)
	defer u.Close()
	again, err := u.SaveMemoryAs(w.schedule, PrecisionF16)
	must(t, err)
	equal(t, "bytes", again, half)
	path := filepath.Join(t.TempDir(), "half.safetensors")
	must(t, w.unet.SaveAs(w.schedule, path, PrecisionF16))
	file, err := os.ReadFile(path)
	must(t, err)
	equal(t, "file", file, half)
}

func TestDiffusers(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(t.TempDir(), "pipeline")
	sampler := DefaultSamplerOptions()
	sampler.Solver, sampler.Steps = SolverDPMPP, 7
	must(t, w.unet.SaveDiffusers(w.schedule, &sampler, folder, PrecisionF32))
	u, err := LoadUNetDiffusers(w.context, folder, nil)
	must(t, err)
	defer u.Close()
	if u.ParameterCount() != w.unet.ParameterCount() {
		t.Errorf("%d parameters", u.ParameterCount())
	}
	same, err := LoadUNet(w.context, folder, WeightsDefault)
	must(t, err)
	same.Close()
	options := DefaultDiffusersOptions()
	options.Height, options.Prediction = 16, PredictX0
	larger, err := LoadUNetDiffusers(w.context, folder, &options)
	must(t, err)
	defer larger.Close()
	if o, err := larger.Options(); err != nil || o.Height != 16 || o.Prediction != PredictX0 {
		t.Errorf("the options are %+v, %v", o, err)
	}
	before := DefaultSamplerOptions()
	before.Steps, before.CustomTimes = 9, []float64{3, 2}
	s, found, err := LoadScheduleDiffusers(w.context, folder, nil, &before)
	must(t, err)
	defer s.Close()
	if found.Solver != SolverDPMPP || found.Steps != 9 || found.CustomCount != 0 ||
		found.CustomTimes != nil || s.Timesteps() != w.schedule.Timesteps() {
		t.Errorf("the options are %+v", found)
	}
	must(t, w.unet.SaveDiffusers(w.schedule, nil, folder, PrecisionF16))
	other, found, err := LoadScheduleDiffusers(w.context, folder, nil, nil)
	must(t, err)
	defer other.Close()
	if found.Solver != SolverDDPM || found.Steps != 50 {
		t.Errorf("the options are %+v", found)
	}
	options.Compatible = true
	compatible, found, err := LoadScheduleDiffusers(w.context, folder, &options, nil)
	must(t, err)
	defer compatible.Close()
	if o, err := compatible.Options(); err != nil || !o.Float32Tables || !found.DiffusersCompatible {
		t.Errorf("the options are %+v, %+v, %v", o, found, err)
	}
	_, _, err = LoadScheduleDiffusers(w.context, filepath.Join(folder, "missing"), nil, nil)
	if !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

func TestInitialize(t *testing.T) {
	w := newWorld(t)
	expect(t, w.unet.Initialize(InitializationDDPM, 1), ErrWrongState, "")
	u := freshUNet(t, w.context, nil)
	start, err := u.SaveMemory(nil)
	must(t, err)
	must(t, u.Initialize(InitializationTorch, 3))
	torch, err := u.SaveMemory(nil)
	must(t, err)
	if bytes.Equal(start, torch) {
		t.Error("the weights stay")
	}
	must(t, u.Initialize(InitializationDDPM, 1))
	again, err := u.SaveMemory(nil)
	must(t, err)
	equal(t, "weights", again, start)
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestInputGradient(t *testing.T) {
	u := freshUNet(t, newContext(t), nil)
	must(t, u.Initialize(InitializationTorch, 3))
	const n = side * side * 3
	x, weight := make([]float32, n), make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(0.7 * float64(i)))
		weight[i] = float32(math.Cos(1.3 * float64(i)))
	}
	times := []float64{3}
	gradient, output, expected := make([]float32, n), make([]float32, n), make([]float32, n)
	must(t, u.InputGradient(x, times, nil, Conditions{}, weight, output, gradient))
	must(t, u.Forward(x, times, nil, expected))
	equal(t, "output", output, expected)
	alone := make([]float32, n)
	must(t, u.InputGradient(x, times, nil, Conditions{}, weight, nil, alone))
	equal(t, "gradient", alone, gradient)
	norm, difference := math.Sqrt(dot(gradient, gradient)), 0.0
	for _, step := range []float64{0.01, -0.01} {
		near := make([]float32, n)
		for i := range x {
			near[i] = x[i] + float32(step*float64(gradient[i])/norm)
		}
		must(t, u.Forward(near, times, nil, output))
		difference += dot(output, weight) / (2 * step)
	}
	if norm == 0 || math.Abs(difference/norm-1) > 0.01 {
		t.Errorf("the derivative is %v, the gradient's norm %v", difference, norm)
	}
	err := u.InputGradient(x, times, nil, Conditions{}, weight, output[1:], gradient)
	expect(t, err, ErrShapeMismatch, "output")
	err = u.InputGradient(x, times, nil, Conditions{}, weight[1:], nil, gradient)
	expect(t, err, ErrShapeMismatch, "")
}

func TestConditionsAndTiling(t *testing.T) {
	u := freshUNet(t, newContext(t), func(o *UNetOptions) {
		o.ConditionSize, o.ConditionChannels = 2, 1
	})
	must(t, u.Initialize(InitializationTorch, 3))
	const n = side * side * 3
	x, image := make([]float32, n), make([]float32, n/3)
	for i := range image {
		image[i] = 1
	}
	forward := func(given Conditions) []float32 {
		output := make([]float32, n)
		must(t, u.ForwardWith(x, []float64{3}, nil, given, output))
		return output
	}
	differs := func(what string, a, b []float32) {
		for i := range a {
			if a[i] != b[i] {
				return
			}
		}
		t.Errorf("%s changes nothing", what)
	}
	plain := forward(Conditions{})
	equal(t, "zeros", forward(Conditions{Vector: []float32{0, 0}}), plain)
	differs("a vector", forward(Conditions{Vector: []float32{1, 2}}), plain)
	differs("an image", forward(Conditions{Image: image}), plain)
	err := u.ForwardWith(x, []float64{3}, nil, Conditions{Vector: []float32{1}}, plain)
	expect(t, err, ErrShapeMismatch, "")
	must(t, u.SetTiling(true, false))
	differs("tiling", forward(Conditions{}), plain)
	must(t, u.SetTiling(false, false))
	equal(t, "without tiles", forward(Conditions{}), plain)
	must(t, u.SetPrecision(PrecisionBF16))
	differs("bfloat16", forward(Conditions{}), plain)
	expect(t, u.SetPrecision(PrecisionF16), ErrInvalidArgument, "f32 or bf16")
}

func TestGuidanceCallback(t *testing.T) {
	w := newWorld(t)
	s := w.sampler(t, 1)
	request := threeImages()
	plain, err := s.Run(context.Background(), &request)
	must(t, err)
	calls := 0
	request.Guide = func(step *GuidanceStep) error {
		calls++
		if step.Rederive != RederiveNone || len(step.Labels) != int(step.Count) ||
			len(step.X) != int(step.Count)*side*side*3 || len(step.Eps) != len(step.X) {
			return errTest
		}
		for i := range step.X0 {
			step.X0[i] = 0.5
		}
		step.Rederive = RederiveEps
		return nil
	}
	images, err := s.Run(context.Background(), &request)
	must(t, err)
	for _, x := range images {
		if math.Abs(float64(x)-0.5) > 1e-6 {
			t.Fatalf("a pixel is %v", x)
		}
	}
	if calls != 2*s.Evaluations() {
		t.Errorf("%d calls", calls)
	}
	run, err := s.Start(&request)
	must(t, err)
	for left := 1; left > 0; {
		left, err = run.Step()
		must(t, err)
	}
	held, err := run.Finish()
	must(t, err)
	equal(t, "held run", held, images)
	must(t, run.Close())
	request.Guide = func(*GuidanceStep) error { return nil }
	images, err = s.Run(context.Background(), &request)
	must(t, err)
	equal(t, "images", images, plain)
}
