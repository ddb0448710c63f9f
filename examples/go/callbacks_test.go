// SPDX-License-Identifier: MIT

package diffusion

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
)

var errTest = errors.New("the reason of this test")

// raised returns the value of f's panic.
func raised(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// failures are calls whose callback is made to call `fail`.
func failures(t *testing.T, w *world) map[string]func(fail func() error) error {
	background := context.Background()
	sampler := w.sampler(t, 1)
	request := threeImages()
	return map[string]func(fail func() error) error{
		"train": func(fail func() error) error {
			return w.trainer.Train(background, 1<<40, func(TrainStats) error { return fail() })
		},
		"progress": func(fail func() error) error {
			r := request
			r.Progress = func(*SamplerProgress) error { return fail() }
			_, err := sampler.Run(background, &r)
			return err
		},
		"noise": func(fail func() error) error {
			r := request
			r.Noise = func(NoiseRequest, []float32) error { return fail() }
			_, err := sampler.Run(background, &r)
			return err
		},
		"guide": func(fail func() error) error {
			r := request
			r.Guide = func(*GuidanceStep) error { return fail() }
			_, err := sampler.Run(background, &r)
			return err
		},
		"held run": func(fail func() error) error {
			r := request
			r.Progress = func(*SamplerProgress) error { return fail() }
			run, err := sampler.Start(&r)
			if err != nil {
				return err
			}
			defer run.Close()
			_, err = run.Step()
			return err
		},
		"evaluation": func(fail func() error) error {
			o := DefaultEvaluationOptions()
			o.Count = 2
			o.Timesteps = 2
			_, err := Evaluate(background, w.unet, w.schedule, w.dataset, &o,
				func(_, _ uint64) error { return fail() })
			return err
		},
		"denoiser": func(fail func() error) error {
			d := DefaultDenoiser()
			d.Height, d.Width, d.Channels = side, side, 1
			d.Evaluate = func(*DenoiserInput, []float32) error { return fail() }
			s, err := NewSamplerWithDenoiser(w.context, w.schedule, &d, nil)
			if err != nil {
				return err
			}
			defer s.Close()
			_, err = s.Run(background, nil)
			return err
		},
		"dataset": func(fail func() error) error {
			d, err := NewDatasetFromSource(w.context, &ImageSource{Height: side, Width: side,
				Channels: 3, Count: 4, Read: func(uint64, []uint8) (int32, error) {
					return -1, fail()
				}})
			if err != nil {
				return err
			}
			defer d.Close()
			_, _, err = d.Image(0)
			return err
		},
	}
}

func TestFailingCallbacks(t *testing.T) {
	w := newWorld(t)
	for name, call := range failures(t, w) {
		err := call(func() error { return errTest })
		expect(t, err, ErrCallbackFailed, errTest.Error())
		if !errors.Is(err, errTest) {
			t.Errorf("%s: the error does not wrap the callback's", name)
		}
		type value struct{ number int }
		if v := raised(func() { _ = call(func() error { panic(value{7}) }) }); v != (value{7}) {
			t.Errorf("%s: the panic's value is %v", name, v)
		}
		var array []int
		v := raised(func() { _ = call(func() error { array[len(name)] = 1; return nil }) })
		if _, ok := v.(runtime.Error); !ok {
			t.Errorf("%s: the panic's value is %v", name, v)
		}
		err = call(func() error { return ErrCancelled })
		if !errors.Is(err, ErrCancelled) {
			t.Errorf("%s: the error is %v", name, err)
		}
		// The context is as good as before.
		if _, err := w.trainer.Step(); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

func TestCallsInCallbacks(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	path := filepath.Join(t.TempDir(), "preview.png")
	picture := newPicture(side, side, 3)
	var refused, option, write, bad, elsewhere, memory error
	must(t, w.trainer.Train(context.Background(), 1, func(TrainStats) error {
		_, refused = w.trainer.Step()
		o := DefaultSamplerOptions()
		option = SetOption(w.context, &o, "solver", "plms")
		write = w.context.WritePNG(path, picture)
		bad = w.context.WritePNG(path, &Picture{1, 1, 9, make([]uint8, 9)})
		elsewhere = other.trainer.Train(context.Background(), 1, nil)
		if w.context.Memory().Used == 0 {
			memory = errTest
		}
		// Another goroutine is refused, too.
		done := make(chan error)
		go func() { done <- w.context.WritePNG(path, picture) }()
		if err := <-done; !errors.Is(err, ErrWrongState) {
			memory = err
		}
		return nil
	}))
	expect(t, refused, ErrWrongState, "busy")
	must(t, option)
	must(t, write)
	expect(t, bad, ErrInvalidArgument, "channels")
	must(t, elsewhere)
	must(t, memory)
}

// Objects closed in a callback stay until the call ends.
func TestCloseInCallback(t *testing.T) {
	w := newWorld(t)
	used := w.context.Memory().Used
	must(t, w.trainer.Train(context.Background(), 2, func(TrainStats) error {
		w.trainer.Close()
		w.unet.Close()
		w.dataset.Close()
		return nil
	}))
	if now := w.context.Memory().Used; now > used/2 {
		t.Errorf("%d bytes of %d are still in use", now, used)
	}
	_, err := w.trainer.Step()
	expect(t, err, ErrInvalidArgument, "closed")
}

// A network that exists twice is reported through the log, whose panic is raised.
func TestLog(t *testing.T) {
	options := DefaultContextOptions()
	options.Threads = 1
	var notes []string
	var again error
	var c *Context
	fail := false
	options.Log = func(level LogLevel, message string) {
		notes = append(notes, level.String()+": "+message)
		_, again = NewSchedule(c, nil)
		if fail {
			panic("in the log")
		}
	}
	c, err := NewContext(&options)
	must(t, err)
	defer c.Close()
	schedule, err := NewSchedule(c, nil)
	must(t, err)
	network := smallNetwork()
	u, err := NewUNet(c, &network, 1)
	must(t, err)
	dataset, err := NewDataset(c, smallImages())
	must(t, err)
	training := smallTraining()
	training.LabelDropout = 0
	trainer, err := NewTrainer(u, schedule, dataset, &training)
	must(t, err)
	_, err = trainer.Step()
	must(t, err)
	o := DefaultSamplerOptions()
	o.Guidance = 2
	create := func() {
		s, err := NewSampler(u, schedule, &o)
		if err == nil {
			s.Close()
		}
	}
	create()
	if len(notes) != 1 {
		t.Fatalf("the notes are %q", notes)
	}
	expect(t, again, ErrWrongState, "")
	fail = true
	if v := raised(create); v != "in the log" {
		t.Fatalf("the panic's value is %v", v)
	}
	trainer.Close()
	dataset.Close()
	u.Close()
	schedule.Close()
}

// runtime.Goexit in a callback cannot be undone, but does no harm to other contexts.
func TestGoexit(t *testing.T) {
	w := newWorld(t)
	done := make(chan bool)
	go func() {
		defer close(done)
		_ = w.trainer.Train(context.Background(), 2, func(TrainStats) error {
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	_, err := w.trainer.Step()
	expect(t, err, ErrWrongState, "busy")
	w.close()
	other := newWorld(t)
	_, err = other.trainer.Step()
	must(t, err)
}
