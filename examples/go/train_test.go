// SPDX-License-Identifier: MIT

package diffusion

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"
)

func TestSaveAndResume(t *testing.T) {
	background := context.Background()
	straight := newWorld(t)
	must(t, straight.trainer.Train(background, 4, nil))
	want, err := straight.trainer.SaveMemory()
	must(t, err)

	w := newWorld(t)
	must(t, w.trainer.Train(background, 2, nil))
	path := filepath.Join(t.TempDir(), "model.safetensors")
	must(t, w.trainer.Save(path))
	half, err := w.trainer.SaveMemory()
	must(t, err)
	for name, resume := range map[string]func(u *UNet, d *Dataset) (*Trainer, error){
		"file": func(u *UNet, d *Dataset) (*Trainer, error) { return ResumeTrainer(u, d, path) },
		"memory": func(u *UNet, d *Dataset) (*Trainer, error) {
			return ResumeTrainerMemory(u, d, half)
		},
	} {
		u, err := LoadUNet(w.context, path, WeightsTrained)
		must(t, err)
		trainer, err := resume(u, w.dataset)
		must(t, err)
		must(t, trainer.Train(background, 4, nil))
		got, err := trainer.SaveMemory()
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("resumed from %s: the checkpoint differs", name)
		}
		trainer.Close()
		u.Close()
	}
	schedule, err := LoadSchedule(w.context, path)
	must(t, err)
	a, err := schedule.Series(SeriesBeta)
	must(t, err)
	b, err := w.schedule.Series(SeriesBeta)
	must(t, err)
	equal(t, "betas", a, b)
	schedule.Close()
}

func TestTrainerEMA(t *testing.T) {
	w := newWorld(t)
	must(t, w.trainer.Train(context.Background(), 3, nil))
	options, err := w.unet.Options()
	must(t, err)
	if options != smallNetwork() {
		t.Errorf("the options are %+v", options)
	}
	target, err := NewUNet(w.context, &options, 9)
	must(t, err)
	defer target.Close()
	must(t, w.trainer.CopyEMA(0, target))
	far, err := NewUNet(newContext(t), &options, 9)
	must(t, err)
	defer far.Close()
	must(t, w.trainer.CopyEMA(0, far))
	far.Close()
	expect(t, w.trainer.CopyEMA(0, far), ErrInvalidArgument, "closed")
	expect(t, w.trainer.CopyEMA(1, target), ErrWrongState, "")
	expect(t, w.trainer.CopyEMA(0, w.unet), ErrInvalidArgument, "target")
	expect(t, w.trainer.CopyEMA(4, target), ErrInvalidArgument, "")
	file, err := w.trainer.SaveMemory()
	must(t, err)
	ema, err := LoadUNetMemory(w.context, file, WeightsEMA)
	must(t, err)
	defer ema.Close()
	tensors, err := ema.Tensors()
	must(t, err)
	total := uint64(0)
	differs := false
	for _, tensor := range tensors {
		a, err := ema.Tensor(tensor.Name)
		must(t, err)
		b, err := target.Tensor(tensor.Name)
		must(t, err)
		equal(t, tensor.Name, a, b)
		c, err := w.unet.Tensor(tensor.Name)
		must(t, err)
		for i := range a {
			differs = differs || a[i] != c[i]
		}
		total += tensor.Elements
	}
	if !differs || total != ema.ParameterCount() {
		t.Error("the EMA is the trained network, or tensors are missing")
	}
	saved, err := ema.SaveMemory(w.schedule)
	must(t, err)
	again, err := LoadUNetMemory(w.context, saved, WeightsDefault)
	must(t, err)
	again.Close()
}

func TestTrainerSteps(t *testing.T) {
	w := newWorld(t)
	var losses []float64
	must(t, w.trainer.Train(context.Background(), 2, func(s TrainStats) error {
		losses = append(losses, s.Loss)
		return nil
	}))
	other := newWorld(t)
	for i, loss := range losses {
		s, err := other.trainer.Step()
		must(t, err)
		if s.Loss != loss || s.Step != uint64(i+1) || s.Images != uint64(2*i+2) {
			t.Errorf("step %d: %+v, not loss %v", i, s, loss)
		}
	}
	batch := &TrainBatch{Count: 2, Images: make([]float32, 2*side*side*3),
		Noise: make([]float32, 2*side*side*3), Labels: []int32{3, -1}, Timesteps: []int32{10, 999}}
	s, err := w.trainer.StepBatch(batch)
	must(t, err)
	if s.Step != 3 || math.IsNaN(s.Loss) {
		t.Errorf("the batch's step is %+v", s)
	}
	must(t, w.trainer.SetLearningRate(0.5))
	options, err := w.trainer.Options()
	must(t, err)
	if options.LearningRate != 0.5 || options.BatchSize != 2 || options.EMADecay[0] != 0.9999 {
		t.Errorf("the options are %+v", options)
	}
	n, err := w.trainer.StepCount()
	must(t, err)
	if n != 3 {
		t.Errorf("%d steps", n)
	}
	second, err := NewTrainer(w.unet, w.schedule, w.dataset, nil)
	expect(t, err, ErrWrongState, "trainer")
	if second != nil {
		t.Error("there is a second trainer")
	}
}

func TestCancelTraining(t *testing.T) {
	w := newWorld(t)
	background := context.Background()

	// From another goroutine, by Cancel and by a context.Context.
	for name, cancel := range map[string]func(stop context.CancelFunc){
		"Cancel": func(context.CancelFunc) { w.trainer.Cancel() },
		"ctx":    func(stop context.CancelFunc) { stop() },
	} {
		ctx, stop := context.WithCancel(background)
		started := make(chan bool, 1)
		go func() {
			<-started
			cancel(stop)
		}()
		err := w.trainer.Train(ctx, 1<<40, func(TrainStats) error {
			select {
			case started <- true:
			default:
			}
			return nil
		})
		expect(t, err, ErrCancelled, "cancelled after step")
		if errors.Is(err, context.Canceled) != (name == "ctx") {
			t.Errorf("%s: the error is %#v", name, err)
		}
		stop()
	}

	ctx, stop := context.WithTimeout(background, 30*time.Millisecond)
	err := w.trainer.Train(ctx, 1<<40, nil)
	stop()
	expect(t, err, ErrCancelled, "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %#v", err)
	}
	step, err := w.trainer.StepCount()
	must(t, err)
	err = w.trainer.Train(ctx, step+1, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %#v", err)
	}

	// A ctx that ends after the last step is too late, and is not taken for a later run's.
	sampler := w.sampler(t, 1)
	trainerObject, err := w.trainer.acquire()
	must(t, err)
	defer trainerObject.release()
	samplerObject, err := sampler.acquire()
	must(t, err)
	defer samplerObject.release()
	for _, c := range []cancellation{w.trainer.cancellation(trainerObject),
		sampler.state.cancellation(samplerObject)} {
		ctx, stop = context.WithCancel(background)
		must(t, withCancel(ctx, trainerObject.gate, c, func() Status {
			stop()
			time.Sleep(20 * time.Millisecond)
			return StatusOK
		}))
	}
	_, err = w.trainer.Step()
	must(t, err)
	_, err = sampler.Run(background, nil)
	must(t, err)

	// A request without a run stands until the next step.
	w.trainer.Cancel()
	_, err = w.trainer.Step()
	expect(t, err, ErrCancelled, "")
	_, err = w.trainer.Step()
	must(t, err)
}
