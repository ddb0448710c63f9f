// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "unsafe"

// Schedule is the forward process x_t = signal_t x_0 + noise_t eps for timesteps 0 to T-1. It never
// changes; samplers and trainers of other contexts may use it too.
type Schedule struct{ *handle }

func (s *Schedule) get() *handle {
	if s == nil {
		return nil
	}
	return s.handle
}

func newSchedule(c *Context, f func(*C.dm_context, **C.dm_schedule) C.dm_status,
) (*Schedule, error) {
	h, err := create("schedule", []*handle{c.get()},
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			var s *C.dm_schedule
			status := f((*C.dm_context)(p[0]), &s)
			*out = unsafe.Pointer(s)
			return status, func() { C.dm_schedule_destroy(s) }
		})
	if err != nil {
		return nil, err
	}
	return &Schedule{h}, nil
}

// NewSchedule computes a schedule.
func NewSchedule(c *Context, options *ScheduleOptions) (*Schedule, error) {
	o := (*C.dm_schedule_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	return newSchedule(c, func(c *C.dm_context, out **C.dm_schedule) C.dm_status {
		return C.dm_schedule_create(out, c, o)
	})
}

// NewScheduleFromBetas makes a schedule of len(betas) timesteps from betas in (0, 1).
func NewScheduleFromBetas(c *Context, betas []float64) (*Schedule, error) {
	return newSchedule(c, func(c *C.dm_context, out **C.dm_schedule) C.dm_status {
		return C.dm_schedule_create_from_betas(out, c, (*C.double)(first(betas)),
			C.size_t(len(betas)))
	})
}

// LoadSchedule reads the schedule in a file of Trainer.Save or UNet.Save.
func LoadSchedule(c *Context, path string) (*Schedule, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	s, err := newSchedule(c, func(c *C.dm_context, out **C.dm_schedule) C.dm_status {
		return C.dm_schedule_load(out, c, name)
	})
	return s, fileError(err, path)
}

// LoadScheduleMemory reads it from the bytes of such a file.
func LoadScheduleMemory(c *Context, bytes []byte) (*Schedule, error) {
	return newSchedule(c, func(c *C.dm_context, out **C.dm_schedule) C.dm_status {
		return C.dm_schedule_load_memory(out, c, unsafe.Pointer(first(bytes)),
			C.size_t(len(bytes)))
	})
}

// Close gives up the schedule; it is destroyed when the objects made from it are closed, too.
func (s *Schedule) Close() error {
	s.get().close()
	return nil
}

func (s *Schedule) call(f func(*C.dm_schedule) C.dm_status) error {
	return s.get().call(func(p unsafe.Pointer) C.dm_status { return f((*C.dm_schedule)(p)) })
}

// Options returns the options; of custom betas, with ScheduleCustom.
func (s *Schedule) Options() (options ScheduleOptions, err error) {
	o := newC(options.cStruct())
	defer C.free(o)
	err = s.call(func(s *C.dm_schedule) C.dm_status {
		return C.dm_schedule_get_options(s, (*C.dm_schedule_options)(o),
			C.sizeof_dm_schedule_options)
	})
	if err == nil {
		fromC(&options, o)
	}
	return options, err
}

// Timesteps returns T; 0 if the schedule is closed.
func (s *Schedule) Timesteps() (t int) {
	s.get().property(func(p unsafe.Pointer) {
		t = int(C.dm_schedule_timesteps((*C.dm_schedule)(p)))
	})
	return t
}

// Series returns one value for each timestep.
func (s *Schedule) Series(series Series) ([]float64, error) {
	values := make([]float64, s.Timesteps())
	err := s.call(func(s *C.dm_schedule) C.dm_status {
		return C.dm_schedule_get_series(s, C.dm_series(series), (*C.double)(first(values)),
			C.size_t(len(values)))
	})
	return values, err
}

// Level is a level of noise: x = Signal x_0 + Noise eps, and Time is the network's time input.
type Level struct{ Signal, Noise, Time float64 }

// Level returns the level at a timestep in [0, T-1], whole or fractional.
func (s *Schedule) Level(timestep float64) (level Level, err error) {
	var signal, noise, time C.double
	err = s.call(func(s *C.dm_schedule) C.dm_status {
		return C.dm_schedule_get_level(s, C.double(timestep), &signal, &noise, &time)
	})
	return Level{float64(signal), float64(noise), float64(time)}, err
}

// AddNoise writes x_t = signal_t x_0 + noise_t noise for len(timesteps) images of equal size. The
// three slices have equal lengths; xt may be x0 or noise.
func (s *Schedule) AddNoise(xt, x0, noise []float32, timesteps []int32) error {
	count := len(timesteps)
	if len(x0) != len(xt) || len(noise) != len(xt) || count == 0 || len(xt)%count != 0 {
		return &Error{Status: ErrShapeMismatch,
			Message: "xt, x0 and noise must hold the same number of floats for each timestep"}
	}
	return s.call(func(s *C.dm_schedule) C.dm_status {
		return C.dm_schedule_add_noise(s, (*C.float)(first(xt)), (*C.float)(first(x0)),
			(*C.float)(first(noise)), (*C.int32_t)(first(timesteps)), C.size_t(count),
			C.size_t(len(xt)/count))
	})
}
