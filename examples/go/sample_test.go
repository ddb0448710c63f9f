// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"errors"
	"math"
	"testing"
)

func TestGuidance(t *testing.T) {
	w := newWorld(t)
	must(t, w.trainer.Train(context.Background(), 2, nil))
	request := threeImages()
	s := w.sampler(t, 2)
	a, err := s.Run(context.Background(), &request)
	must(t, err)
	b := make([]float32, len(a))
	must(t, s.RunInto(context.Background(), &request, b))
	equal(t, "the same request", a, b)
	if h, wd, ch := s.Shape(); h != side || wd != side || ch != 3 || len(a) != 3*side*side*3 {
		t.Errorf("the shape is %d, %d, %d; %d floats", h, wd, ch, len(a))
	}
	off, err := w.sampler(t, 1).Run(context.Background(), &request)
	must(t, err)
	same := true
	for i := range a {
		same = same && a[i] == off[i]
	}
	if same {
		t.Error("guidance changes nothing")
	}
	options, err := s.Options()
	must(t, err)
	if options.Guidance != 2 || s.Steps() != 4 || s.Evaluations() != 4 {
		t.Errorf("the options are %+v", options)
	}
	timesteps, signal, noise, err := s.Levels()
	must(t, err)
	for i := range timesteps {
		level, err := w.schedule.Level(timesteps[i])
		must(t, err)
		if math.Abs(level.Signal-signal[i]) > 1e-12 || math.Abs(level.Noise-noise[i]) > 1e-12 {
			t.Errorf("level %d is %v, %v and %+v", i, signal[i], noise[i], level)
		}
	}

	w.trainer.Close() // a network with a trainer cannot be shared

	// A share in another context samples the same, and keeps the network.
	share, err := w.unet.Share(newContext(t))
	must(t, err)
	w.close()
	o := DefaultSamplerOptions()
	o.Steps, o.Guidance = 4, 2
	c := newContext(t)
	second, err := share.Share(c)
	must(t, err)
	share.Close()
	schedule, err := NewSchedule(c, nil)
	must(t, err)
	defer schedule.Close()
	shared, err := NewSampler(second, schedule, &o)
	must(t, err)
	second.Close()
	defer shared.Close()
	d, err := shared.Run(context.Background(), &request)
	must(t, err)
	equal(t, "a share", a, d)
}

func TestHeldRun(t *testing.T) {
	w := newWorld(t)
	s := w.sampler(t, 2)
	request := threeImages()
	initial, err := s.InitialNoise(&request)
	must(t, err)
	request.InitialNoise = initial
	steps := 0
	request.Progress = func(p *SamplerProgress) error {
		steps++
		if n := len(p.X0(nil)); uint64(n) != p.Elements {
			return errors.New("x_0 has another length")
		}
		return nil
	}
	want, err := s.Run(context.Background(), &request)
	must(t, err)
	run, err := s.Start(&request)
	must(t, err)
	request.InitialNoise[0] = 1e9 // the run has a copy
	_, err = s.Start(&request)
	expect(t, err, ErrWrongState, "")
	_, err = s.Run(context.Background(), &request)
	expect(t, err, ErrWrongState, "")
	_, err = run.Finish()
	expect(t, err, ErrWrongState, "8 steps left")
	for left := 1; left > 0; {
		left, err = run.Step()
		must(t, err)
		_, err = run.Preview()
		must(t, err)
	}
	got, err := run.Finish()
	must(t, err)
	equal(t, "a held run", got, want)
	if steps != 16 {
		t.Errorf("%d steps", steps)
	}
	_, err = run.Step()
	expect(t, err, ErrWrongState, "ended")

	// An ended run must not touch the next one; closing that abandons it.
	request.InitialNoise = nil
	next, err := s.Start(&request)
	must(t, err)
	run.Close()
	_, err = next.Step()
	must(t, err)
	next.Cancel()
	_, err = next.Step()
	expect(t, err, ErrCancelled, "")
	third, err := s.Start(&request)
	must(t, err)
	next.Close()
	s.Close()
	_, err = third.Step()
	must(t, err)
	third.Close()
}

func TestCancelSampling(t *testing.T) {
	w := newWorld(t)
	s := w.sampler(t, 1)
	request := threeImages()
	ctx, stop := context.WithCancel(context.Background())
	started := make(chan bool)
	go func() {
		<-started
		stop()
	}()
	once := false
	request.Progress = func(*SamplerProgress) error {
		if !once {
			once = true
			started <- true
			<-ctx.Done()
		}
		return nil
	}
	request.Count = 4000
	request.Labels = nil
	_, err := s.Run(ctx, &request)
	expect(t, err, ErrCancelled, "cancelled")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %#v", err)
	}
	request.Count = 1
	_, err = s.Run(context.Background(), &request)
	must(t, err)
	s.Cancel()
	_, err = s.Run(context.Background(), &request)
	expect(t, err, ErrCancelled, "")
	_, err = s.Run(context.Background(), &request)
	must(t, err)
}

func TestDenoiser(t *testing.T) {
	c := newContext(t)
	schedule, err := NewSchedule(c, nil)
	must(t, err)
	defer schedule.Close()
	d := DefaultDenoiser()
	d.Prediction = PredictX0
	d.Height, d.Width, d.Channels = 4, 4, 1
	calls := 0
	d.Evaluate = func(in *DenoiserInput, output []float32) error {
		calls++
		if len(in.X) != int(in.Count)*16 || len(in.Labels) != int(in.Count) {
			return errors.New("wrong lengths")
		}
		for i := range output {
			output[i] = float32(in.Labels[i/16]) / 4
		}
		return nil
	}
	o := DefaultSamplerOptions()
	o.CustomTimes = []float64{900, 500.5, 10}
	s, err := NewSamplerWithDenoiser(c, schedule, &d, &o)
	must(t, err)
	defer s.Close()
	var last *SamplerProgress
	request := threeImages()
	request.Noise = func(r NoiseRequest, noise []float32) error {
		if uint64(len(noise)) != r.Count*r.Elements {
			return errors.New("wrong lengths")
		}
		for i := range noise {
			noise[i] = float32(i%3) - 1
		}
		return nil
	}
	request.Progress = func(p *SamplerProgress) error {
		last = p
		return nil
	}
	images, err := s.Run(context.Background(), &request)
	must(t, err)
	for i, x := range images {
		if x != float32(i/16)/4 {
			t.Fatalf("float %d is %v", i, x)
		}
	}
	if calls != 3 || s.Steps() != 3 {
		t.Errorf("%d evaluations, %d steps", calls, s.Steps())
	}
	if last == nil || last.X0(nil) != nil || last.XT(nil) != nil {
		t.Error("progress still refers to the library's memory")
	}
	noise, err := s.InitialNoise(&request)
	must(t, err)
	if noise[0] != -1 || noise[2] != 1 {
		t.Error("the noise is not the callback's")
	}
	options, err := s.Options()
	must(t, err)
	if options.CustomCount != 3 {
		t.Errorf("%d custom levels", options.CustomCount)
	}
	_, err = NewSamplerWithDenoiser(c, schedule, &d, &options)
	expect(t, err, ErrInvalidArgument, "custom")
	o.CustomSigmas = []float64{1}
	_, err = NewSamplerWithDenoiser(c, schedule, &d, &o)
	expect(t, err, ErrInvalidArgument, "CustomSigmas")
}

func TestInvertAndMask(t *testing.T) {
	w := newWorld(t)
	s := w.sampler(t, 1)
	request := DefaultSamplerRequest()
	request.Image = make([]float32, side*side*3)
	noise, err := s.Invert(context.Background(), &request)
	must(t, err)
	half := make([]float32, len(noise))
	must(t, InterpolateNoise(half, noise, noise, 0.5))
	request.Mask = make([]float32, side*side) // keep everything
	images, err := s.Run(context.Background(), &request)
	must(t, err)
	equal(t, "the kept image", images, request.Image)
	request.Strength = 0.5
	request.Mask = nil
	_, err = s.Run(context.Background(), &request)
	must(t, err)
}
