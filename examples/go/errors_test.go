// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestErrors(t *testing.T) {
	c := newContext(t)
	options := DefaultUNetOptions()
	options.NormGroups = 30
	_, err := NewUNet(c, &options, 0)
	e := expect(t, err, ErrInvalidArgument, "'norm_groups' is 30")
	if e.Status.String() != "DM_ERROR_INVALID_ARGUMENT" || e.Status.Error() != "invalid argument" {
		t.Fatalf("the status is %s, %v", e.Status.String(), e.Status)
	}
	if errors.Is(err, ErrIO) || errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the error is of other kinds, too")
	}

	missing := filepath.Join(t.TempDir(), "missing")
	_, err = LoadUNet(c, missing, WeightsDefault)
	expect(t, err, ErrNotFound, "missing")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a missing file is not fs.ErrNotExist")
	}
	_, err = LoadSchedule(c, missing)
	expect(t, err, ErrNotFound, "missing")
	_, err = LoadCIFAR10(c, missing, SplitTest)
	expect(t, err, ErrNotFound, "missing")
	_, err = LoadUNet(c, "a\x00b", WeightsDefault)
	expect(t, err, ErrInvalidArgument, "zero byte")
	_, err = LoadUNetMemory(c, []byte("no such file"), WeightsDefault)
	if err == nil {
		t.Fatal("nonsense is loaded")
	}
	_, err = LoadUNetMemory(c, nil, WeightsDefault)
	if err == nil {
		t.Fatal("nothing is loaded")
	}

	limited := DefaultContextOptions()
	limited.Threads = 1000
	_, err = NewContext(&limited)
	expect(t, err, ErrInvalidArgument, "threads")
}

func TestNilAndClosed(t *testing.T) {
	w := newWorld(t)
	sampler := w.sampler(t, 1)
	sampler.Close()
	_, err := sampler.Run(context.Background(), nil)
	expect(t, err, ErrInvalidArgument, "closed")
	if !errors.Is(err, fs.ErrClosed) {
		t.Fatal("a closed sampler is not fs.ErrClosed")
	}
	must(t, sampler.Close())
	for _, s := range []*Sampler{nil, {}, sampler} {
		s.Cancel()
		s.Close()
		_, err = s.Run(context.Background(), nil)
		expect(t, err, ErrInvalidArgument, "")
		_, err = s.Start(nil)
		expect(t, err, ErrInvalidArgument, "")
		_, _, _, err = s.Levels()
		expect(t, err, ErrInvalidArgument, "")
	}
	for _, r := range []*Run{nil, {}} {
		r.Cancel()
		r.Close()
		_, err = r.Step()
		expect(t, err, ErrInvalidArgument, "")
		_, err = r.Finish()
		expect(t, err, ErrInvalidArgument, "")
	}
	for _, trainer := range []*Trainer{nil, {}} {
		trainer.Cancel()
		trainer.Close()
		expect(t, trainer.Train(context.Background(), 1, nil), ErrInvalidArgument, "")
		_, err = trainer.Step()
		expect(t, err, ErrInvalidArgument, "")
	}
	var c *Context
	if c.Memory() != (Memory{}) || c.Threads() != 0 || c.Close() != nil {
		t.Fatal("a nil context has properties")
	}
	_, err = NewUNet(c, nil, 0)
	expect(t, err, ErrInvalidArgument, "nil")
	_, err = NewTrainer(w.unet, nil, nil, nil)
	expect(t, err, ErrInvalidArgument, "nil")
	_, err = NewDatasetFromSource(w.context, &ImageSource{})
	expect(t, err, ErrInvalidArgument, "Read")
	_, err = NewSamplerWithDenoiser(w.context, w.schedule, &Denoiser{}, nil)
	expect(t, err, ErrInvalidArgument, "Evaluate")
}

// Arrays of wrong lengths are refused, not read past their ends.
func TestLengths(t *testing.T) {
	w := newWorld(t)
	s := w.sampler(t, 1)
	background := context.Background()
	for _, change := range []func(*SamplerRequest){
		func(r *SamplerRequest) { r.Labels = r.Labels[:2] },
		func(r *SamplerRequest) { r.Seeds = make([]uint64, 2) },
		func(r *SamplerRequest) { r.InitialNoise = make([]float32, 5) },
		func(r *SamplerRequest) { r.Image = make([]float32, 5) },
		func(r *SamplerRequest) { r.Mask = make([]float32, 5) },
		func(r *SamplerRequest) { r.Count = 1 << 63 },
	} {
		request := threeImages()
		change(&request)
		if _, err := s.Run(background, &request); err == nil {
			t.Error("Run accepts a wrong length")
		}
		if _, err := s.Start(&request); err == nil {
			t.Error("Start accepts a wrong length")
		}
	}
	request := threeImages()
	expect(t, s.RunInto(background, &request, make([]float32, 7)), ErrShapeMismatch, "")
	expect(t, s.RunInto(background, &request, nil), ErrInvalidArgument, "")
	info, err := w.dataset.Info()
	must(t, err)
	_, _, err = w.dataset.Image(info.Count)
	expect(t, err, ErrNotFound, "")
	_, err = w.trainer.StepBatch(&TrainBatch{Count: 2, Images: make([]float32, 3)})
	expect(t, err, ErrShapeMismatch, "")
	_, err = w.trainer.StepBatch(&TrainBatch{Count: 2, Images: make([]float32, 2*side*side*3),
		Labels: make([]int32, 1)})
	expect(t, err, ErrShapeMismatch, "")
	expect(t, w.unet.Forward(make([]float32, 5), []float64{1}, nil, make([]float32, 5)),
		ErrShapeMismatch, "")
	_, err = w.unet.Tensor("none")
	expect(t, err, ErrNotFound, "none")
	expect(t, w.unet.SetTensor("conv_in.bias", make([]float32, 32), make([]int64, 9)),
		ErrShapeMismatch, "")
	expect(t, w.schedule.AddNoise(make([]float32, 4), make([]float32, 4), make([]float32, 3),
		[]int32{1}), ErrShapeMismatch, "")
	expect(t, InterpolateNoise(make([]float32, 4), make([]float32, 4), nil, 0.5),
		ErrShapeMismatch, "")
	images := smallImages()
	images.Pixels = images.Pixels[1:]
	_, err = NewDataset(w.context, images)
	expect(t, err, ErrShapeMismatch, "")
}
