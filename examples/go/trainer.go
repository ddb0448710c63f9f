// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"
)

// Trainer trains a network on a dataset with AdamW and exponential moving averages (EMAs).
type Trainer struct {
	*handle
	cancelled *atomic.Bool // by Cancel
}

func (t *Trainer) get() *handle {
	if t == nil {
		return nil
	}
	return t.handle
}

func (t *Trainer) call(f func(*C.dm_trainer) C.dm_status) error {
	return t.get().call(func(p unsafe.Pointer) C.dm_status { return f((*C.dm_trainer)(p)) })
}

func newTrainer(u *UNet, s *Schedule, d *Dataset, resumed bool,
	f func(*C.dm_unet, *C.dm_schedule, *C.dm_dataset, **C.dm_trainer) C.dm_status,
) (*Trainer, error) {
	parents := []*handle{u.get()}
	if !resumed {
		parents = append(parents, s.get())
	}
	if d != nil {
		parents = append(parents, d.get())
	}
	h, err := create("trainer", parents,
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			var schedule *C.dm_schedule
			var dataset *C.dm_dataset
			if !resumed {
				schedule = (*C.dm_schedule)(p[1])
			}
			if d != nil {
				dataset = (*C.dm_dataset)(p[len(p)-1])
			}
			var t *C.dm_trainer
			status := f((*C.dm_unet)(p[0]), schedule, dataset, &t)
			*out = unsafe.Pointer(t)
			return status, func() { C.dm_trainer_destroy(t) }
		})
	if err != nil {
		return nil, err
	}
	return &Trainer{h, new(atomic.Bool)}, nil
}

// NewTrainer prepares the training of u in place; a network has one trainer at a time. d, of the
// network's context, may be nil where only StepBatch is used. All memory is allocated here.
func NewTrainer(u *UNet, s *Schedule, d *Dataset, options *TrainerOptions) (*Trainer, error) {
	o := (*C.dm_trainer_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	return newTrainer(u, s, d, false, func(u *C.dm_unet, s *C.dm_schedule, d *C.dm_dataset,
		out **C.dm_trainer) C.dm_status {
		return C.dm_trainer_create(out, u, s, d, o)
	})
}

// ResumeTrainer continues from a file of Trainer.Save, bit for bit as if training had never
// stopped. u must have the file's options, as LoadUNet gives, and receives its weights.
func ResumeTrainer(u *UNet, d *Dataset, path string) (*Trainer, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	t, err := newTrainer(u, nil, d, true, func(u *C.dm_unet, _ *C.dm_schedule, d *C.dm_dataset,
		out **C.dm_trainer) C.dm_status {
		return C.dm_trainer_resume(out, u, d, name)
	})
	return t, fileError(err, path)
}

// ResumeTrainerChanged is ResumeTrainer with other options, and perhaps other data: the next step
// is taken with options, at the file's step and position in the data. DistillSteps must stay. An
// EMA that the file lacks begins as the weights; recorded losses begin anew where they do not fit.
// A dataset with another number of images is reported through the log. Nil options are the
// defaults.
func ResumeTrainerChanged(u *UNet, d *Dataset, path string, options *TrainerOptions,
) (*Trainer, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	if options == nil {
		defaults := DefaultTrainerOptions()
		options = &defaults
	}
	o := (*C.dm_trainer_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	var a arena
	defer a.free()
	name := a.text(path)
	t, err := newTrainer(u, nil, d, true, func(u *C.dm_unet, _ *C.dm_schedule, d *C.dm_dataset,
		out **C.dm_trainer) C.dm_status {
		return C.dm_trainer_resume_changed(out, u, d, name, o)
	})
	return t, fileError(err, path)
}

// ResumeTrainerMemory continues from the bytes of such a file.
func ResumeTrainerMemory(u *UNet, d *Dataset, bytes []byte) (*Trainer, error) {
	return newTrainer(u, nil, d, true, func(u *C.dm_unet, _ *C.dm_schedule, d *C.dm_dataset,
		out **C.dm_trainer) C.dm_status {
		return C.dm_trainer_resume_memory(out, u, d, unsafe.Pointer(first(bytes)),
			C.size_t(len(bytes)))
	})
}

// Close gives up the trainer, which is destroyed now or after the call in progress.
func (t *Trainer) Close() error {
	t.get().close()
	return nil
}

// Options returns the trainer's options.
func (t *Trainer) Options() (options TrainerOptions, err error) {
	o := newC(options.cStruct())
	defer C.free(o)
	err = t.call(func(t *C.dm_trainer) C.dm_status {
		return C.dm_trainer_get_options(t, (*C.dm_trainer_options)(o),
			C.sizeof_dm_trainer_options)
	})
	if err == nil {
		fromC(&options, o)
	}
	return options, err
}

// TrainStats tell about a step.
type TrainStats struct {
	Skipped      bool    // loss or gradient was not finite or too large; nothing changed
	Step         uint64  // steps done, this one included
	Images       uint64  // images seen in all steps
	Epoch        float64 // Images / size of the dataset
	Loss         float64 // of this step, as weighted
	GradientNorm float64 // before clipping
	LearningRate float64
	Seconds      float64 // of this step
	// The mean loss of the step's images whose timestep is in each quarter of all timesteps, the
	// cleanest first, without weights of importance sampling; 0 where there are no such images.
	QuarterLoss   [4]float64
	QuarterImages [4]int32 // their number; noise levels between timesteps are not counted
}

func (*TrainStats) cStruct() string { return "dm_train_stats" }

// Train trains until `steps` steps are done, counted from the trainer's first. progress, which may
// be nil, is called after every step; an error that it returns stops training and is wrapped by
// Train's, and ErrCancelled stops it as Cancel does. The end of ctx stops it after the current step
// with ErrCancelled, which wraps ctx.Err().
func (t *Trainer) Train(ctx context.Context, steps uint64, progress func(TrainStats) error) error {
	o, err := t.get().acquire()
	if err != nil {
		return err
	}
	defer o.release()
	var user cgo.Handle
	if progress != nil {
		user = cgo.NewHandle(&trainProgress{o.gate, progress})
		defer user.Delete()
	}
	err = withCancel(ctx, o.gate, t.cancellation(o), func() Status {
		return Status(C.bridge_trainer_run((*C.dm_trainer)(o.pointer), C.uint64_t(steps),
			C.uintptr_t(user)))
	})
	return t.ended(err)
}

func (t *Trainer) cancellation(o *object) cancellation {
	trainer := (*C.dm_trainer)(o.pointer)
	return cancellation{
		cancel: func() { C.dm_trainer_cancel(trainer) },
		discard: func() {
			if !t.cancelled.Load() {
				C.dm_trainer_step(trainer, nil) // only returns DM_ERROR_CANCELLED
			}
		},
	}
}

// ended notes that a request to cancel was answered.
func (t *Trainer) ended(err error) error {
	if e, ok := err.(*Error); ok && e.Status == ErrCancelled {
		t.cancelled.Store(false)
	}
	return err
}

// Step does one step on the dataset's next images. If the loss or the gradient is not finite, the
// error is ErrNotFinite: the step counts, but nothing changes.
func (t *Trainer) Step() (TrainStats, error) {
	return t.step(func(t *C.dm_trainer, stats *C.dm_train_stats) C.dm_status {
		return C.dm_trainer_step(t, stats)
	})
}

func (t *Trainer) step(f func(*C.dm_trainer, *C.dm_train_stats) C.dm_status,
) (s TrainStats, err error) {
	stats := newC(s.cStruct())
	defer C.free(stats)
	err = t.call(func(t *C.dm_trainer) C.dm_status { return f(t, (*C.dm_train_stats)(stats)) })
	fromC(&s, stats)
	return s, t.ended(err)
}

// TrainBatch holds custom images for StepBatch, count = BatchSize * Accumulation of them.
type TrainBatch struct {
	Images    []float32 // [count, height, width, channels] in [-1, 1]
	Noise     []float32 // like Images; nil: generated
	Labels    []int32   // [count]; nil: none
	Timesteps []int32   // [count], 0 to T-1; nil: sampled
	// [count, height, width, ConditionChannels] and [count, ConditionSize]; nil: zeros
	ConditionImage, ConditionVector []float32
	Count                           uint64
}

func (*TrainBatch) cStruct() string { return "dm_train_batch" }

// StepBatch does one step on custom images.
func (t *Trainer) StepBatch(batch *TrainBatch) (TrainStats, error) {
	if batch == nil {
		return TrainStats{}, invalid("the batch is nil")
	}
	if batch.Noise != nil && len(batch.Noise) != len(batch.Images) {
		return TrainStats{}, &Error{Status: ErrShapeMismatch,
			Message: "trainer: Noise must be as long as Images"}
	}
	b := (*C.dm_train_batch)(toC(batch))
	defer C.free(unsafe.Pointer(b))
	b.elements = C.uint64_t(len(batch.Images))
	b.label_count = C.uint64_t(len(batch.Labels))
	b.timestep_count = C.uint64_t(len(batch.Timesteps))
	b.condition_image_elements = C.uint64_t(len(batch.ConditionImage))
	b.condition_vector_elements = C.uint64_t(len(batch.ConditionVector))
	return t.step(func(t *C.dm_trainer, stats *C.dm_train_stats) C.dm_status {
		return C.bridge_trainer_step_batch(t, b, (*C.float)(first(batch.Images)),
			(*C.float)(first(batch.Noise)), (*C.int32_t)(first(batch.Labels)),
			(*C.int32_t)(first(batch.Timesteps)), (*C.float)(first(batch.ConditionImage)),
			(*C.float)(first(batch.ConditionVector)), stats)
	})
}

// SetTeacher begins progressive distillation (Salimans and Ho 2022, algorithm 2), with DistillSteps
// above 0: the network learns to take two DDIM steps of the teacher at a time. Once, before the
// trainer's first step. The teacher is a network of the trainer's context, and may be a share.
func (t *Trainer) SetTeacher(teacher *UNet) error {
	return t.withNetwork(teacher, func(t *C.dm_trainer, u *C.dm_unet) C.dm_status {
		return C.dm_trainer_set_teacher(t, u)
	})
}

// withNetwork makes a call on a trainer and a network, perhaps of another context.
func (t *Trainer) withNetwork(network *UNet, f func(*C.dm_trainer, *C.dm_unet) C.dm_status) error {
	u, err := network.get().acquire()
	if err != nil {
		return err
	}
	defer u.release()
	o, err := t.get().acquire()
	if err != nil {
		return err
	}
	defer o.release()
	if u.gate != o.gate { // the library enters both contexts
		if err := u.gate.enter(); err != nil {
			return err
		}
		defer func() { _ = u.gate.leave(C.DM_OK) }()
	}
	return t.call(func(t *C.dm_trainer) C.dm_status { return f(t, (*C.dm_unet)(u.pointer)) })
}

// StepCount returns the number of steps done.
func (t *Trainer) StepCount() (uint64, error) {
	var step C.uint64_t
	err := t.call(func(t *C.dm_trainer) C.dm_status { return C.dm_trainer_get_step(t, &step) })
	return uint64(step), err
}

// SetLearningRate replaces TrainerOptions.LearningRate.
func (t *Trainer) SetLearningRate(rate float64) error {
	return t.call(func(t *C.dm_trainer) C.dm_status {
		return C.dm_trainer_set_learning_rate(t, C.double(rate))
	})
}

// CopyEMA copies an EMA, 0 to EMAMax - 1, to a network with the same options that this trainer does
// not train. ErrWrongState if that EMA is not kept.
func (t *Trainer) CopyEMA(index int, target *UNet) error {
	if index < 0 || index >= EMAMax {
		return invalid("trainer: the index of an EMA is 0 to 3")
	}
	return t.withNetwork(target, func(t *C.dm_trainer, u *C.dm_unet) C.dm_status {
		return C.dm_trainer_get_ema(t, C.int32_t(index), u)
	})
}

// Save writes everything to one safetensors file: weights, EMAs, moments, options and schedule. The
// file is complete or absent: on failure an existing one stays.
func (t *Trainer) Save(path string) error {
	if err := checkText("the path", path); err != nil {
		return err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	return t.call(func(t *C.dm_trainer) C.dm_status { return C.dm_trainer_save(t, name) })
}

// SaveMemory returns the bytes of such a file.
func (t *Trainer) SaveMemory() (bytes []byte, err error) {
	err = t.call(func(t *C.dm_trainer) C.dm_status {
		var size C.size_t
		status := C.dm_trainer_save_memory(t, nil, 0, &size)
		if status == C.DM_OK {
			bytes = make([]byte, size)
			status = C.dm_trainer_save_memory(t, unsafe.Pointer(first(bytes)), size, &size)
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return bytes, nil
}

// Cancel stops Train after its current step with ErrCancelled; if it is not running, the next call
// that would do a step returns that error. May be called at any time from any goroutine.
func (t *Trainer) Cancel() {
	t.get().property(func(p unsafe.Pointer) {
		t.cancelled.Store(true)
		C.dm_trainer_cancel((*C.dm_trainer)(p))
	})
}
