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

// Sampler turns noise into images with a network or with a function of the caller.
type Sampler struct {
	*handle
	state *samplerState
}

// samplerState is what a sampler's methods and its held run share.
type samplerState struct {
	cancelled atomic.Bool // by Cancel
	held      *heldRun    // the held run, if any; used in calls only
}

func (s *Sampler) get() *handle {
	if s == nil {
		return nil
	}
	return s.handle
}

func (s *Sampler) call(f func(*C.dm_sampler) C.dm_status) error {
	return s.get().call(func(p unsafe.Pointer) C.dm_status { return f((*C.dm_sampler)(p)) })
}

// cSamplerOptions returns C's options, with the custom levels in the arena.
func cSamplerOptions(a *arena, options *SamplerOptions) (*C.dm_sampler_options, error) {
	if options == nil {
		return nil, nil
	}
	if len(options.CustomTimes) > 0 && len(options.CustomSigmas) > 0 {
		return nil, invalid("sampler: only one of CustomTimes and CustomSigmas may be set")
	}
	o := (*C.dm_sampler_options)(a.add(toC(options)))
	if n := len(options.CustomTimes) + len(options.CustomSigmas); n > 0 {
		o.custom_count = C.uint64_t(n)
	}
	o.custom_times = (*C.double)(copied(a, options.CustomTimes))
	o.custom_sigmas = (*C.double)(copied(a, options.CustomSigmas))
	return o, nil
}

// NewSampler makes a sampler with a network.
func NewSampler(u *UNet, schedule *Schedule, options *SamplerOptions) (*Sampler, error) {
	return newSampler(u.get(), schedule, options, 0,
		func(p unsafe.Pointer, schedule *C.dm_schedule, o *C.dm_sampler_options,
			out **C.dm_sampler) C.dm_status {
			return C.dm_sampler_create(out, (*C.dm_unet)(p), schedule, o)
		})
}

func newSampler(parent *handle, schedule *Schedule, options *SamplerOptions, user cgo.Handle,
	f func(unsafe.Pointer, *C.dm_schedule, *C.dm_sampler_options, **C.dm_sampler) C.dm_status,
) (*Sampler, error) {
	var a arena
	defer a.free()
	o, err := cSamplerOptions(&a, options)
	var h *handle
	if err == nil {
		h, err = create("sampler", []*handle{parent, schedule.get()},
			func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
				var s *C.dm_sampler
				status := f(p[0], (*C.dm_schedule)(p[1]), o, &s)
				*out = unsafe.Pointer(s)
				return status, func() {
					C.dm_sampler_destroy(s)
					deleteHandle(user)
				}
			})
	}
	if err != nil {
		deleteHandle(user)
		return nil, err
	}
	return &Sampler{h, &samplerState{}}, nil
}

// Close gives up the sampler; it is destroyed when its held run is closed, too.
func (s *Sampler) Close() error {
	s.get().close()
	return nil
}

// Options returns the options in effect: what was left to the solver is filled in. Custom levels
// are not returned; see Levels.
func (s *Sampler) Options() (options SamplerOptions, err error) {
	o := newC(options.cStruct())
	defer C.free(o)
	err = s.call(func(s *C.dm_sampler) C.dm_status {
		return C.dm_sampler_get_options(s, (*C.dm_sampler_options)(o),
			C.sizeof_dm_sampler_options)
	})
	if err == nil {
		fromC(&options, o)
	}
	return options, err
}

// Shape returns the size of an image; zeros if the sampler is closed.
func (s *Sampler) Shape() (height, width, channels int) {
	s.get().property(func(p unsafe.Pointer) {
		var h, w, c C.int32_t
		C.dm_sampler_shape((*C.dm_sampler)(p), &h, &w, &c)
		height, width, channels = int(h), int(w), int(c)
	})
	return
}

// Steps returns the number of steps of a run with Strength 1 and without RePaint.
func (s *Sampler) Steps() (steps int) {
	s.get().property(func(p unsafe.Pointer) { steps = int(C.dm_sampler_steps((*C.dm_sampler)(p))) })
	return
}

// Evaluations returns the number of model evaluations of such a run.
func (s *Sampler) Evaluations() (evaluations int) {
	s.get().property(func(p unsafe.Pointer) {
		evaluations = int(C.dm_sampler_evaluations((*C.dm_sampler)(p)))
	})
	return
}

// Levels returns the noise level of each model evaluation, in order: fractional timestep, signal
// and noise.
func (s *Sampler) Levels() (timesteps, signal, noise []float64, err error) {
	n := s.Evaluations()
	timesteps, signal, noise = make([]float64, n), make([]float64, n), make([]float64, n)
	err = s.call(func(s *C.dm_sampler) C.dm_status {
		return C.dm_sampler_get_levels(s, (*C.double)(first(timesteps)),
			(*C.double)(first(signal)), (*C.double)(first(noise)), C.size_t(n))
	})
	return timesteps, signal, noise, err
}

// The number of floats up to which this package allocates images; RunInto has no such limit.
const imagesMax = 1 << 32

// newImages allocates the floats of a request's images.
func (s *Sampler) newImages(request *SamplerRequest) ([]float32, error) {
	height, width, channels := s.Shape()
	count := uint64(1)
	if request != nil {
		count = request.Count
	}
	size := uint64(height) * uint64(width) * uint64(channels)
	if count > 65536 || (size > 0 && count > imagesMax/size) {
		return nil, invalid("sampler: the request has too many images")
	}
	return make([]float32, count*size), nil
}

// Run samples images [count, height, width, channels]. A nil request is the default one. The end of
// ctx stops it after the current step with ErrCancelled, which wraps ctx.Err().
func (s *Sampler) Run(ctx context.Context, request *SamplerRequest) ([]float32, error) {
	return s.allocated(ctx, C.BRIDGE_RUN, request)
}

// RunInto samples into images, whose length must fit. After a failure only the images of finished
// batches are defined.
func (s *Sampler) RunInto(ctx context.Context, request *SamplerRequest, images []float32) error {
	return s.run(ctx, C.BRIDGE_RUN, request, images)
}

// InitialNoise returns the initial noise x_T [count, height, width, channels] of a request; it may
// be edited or interpolated and become a request's InitialNoise.
func (s *Sampler) InitialNoise(request *SamplerRequest) ([]float32, error) {
	return s.allocated(context.Background(), C.BRIDGE_INITIAL_NOISE, request)
}

// Invert goes from the request's Image to the noise [count, height, width, channels] from which
// DDIM with Eta 0 samples it, approximately (Song, Meng and Ermon 2021, sec. 4.3).
func (s *Sampler) Invert(ctx context.Context, request *SamplerRequest) ([]float32, error) {
	return s.allocated(ctx, C.BRIDGE_INVERT, request)
}

func (s *Sampler) allocated(ctx context.Context, kind C.int32_t, request *SamplerRequest,
) ([]float32, error) {
	images, err := s.newImages(request)
	if err == nil {
		err = s.run(ctx, kind, request, images)
	}
	if err != nil {
		return nil, err
	}
	return images, nil
}

func (s *Sampler) run(ctx context.Context, kind C.int32_t, request *SamplerRequest,
	images []float32) error {
	o, err := s.get().acquire()
	if err != nil {
		return err
	}
	defer o.release()
	request = orDefault(request)
	r, user := cRequest(o.gate, request)
	defer C.free(unsafe.Pointer(r))
	defer deleteHandle(user)
	err = withCancel(ctx, o.gate, s.state.cancellation(o), func() Status {
		return Status(C.bridge_sampler_run(kind, (*C.dm_sampler)(o.pointer), r,
			(*C.uint64_t)(first(request.Seeds)), (*C.int32_t)(first(request.Labels)),
			(*C.float)(first(request.InitialNoise)), (*C.float)(first(request.Image)),
			(*C.float)(first(request.Mask)), (*C.float)(first(request.ConditionImage)),
			(*C.float)(first(request.ConditionVector)), (*C.float)(first(images)),
			C.size_t(len(images))))
	})
	return s.state.ended(err)
}

func (s *samplerState) cancellation(o *object) cancellation {
	sampler := (*C.dm_sampler)(o.pointer)
	return cancellation{
		cancel: func() { C.dm_sampler_cancel(sampler) },
		discard: func() {
			if !s.cancelled.Load() && s.held == nil {
				C.bridge_sampler_discard_cancel(sampler)
			}
		},
	}
}

// ended notes that a request to cancel was answered.
func (s *samplerState) ended(err error) error {
	if e, ok := err.(*Error); ok && e.Status == ErrCancelled {
		s.cancelled.Store(false)
	}
	return err
}

// Cancel stops the run in progress after its current step with ErrCancelled; if there is none, the
// next call that would do a step returns that error. May be called at any time from any goroutine.
func (s *Sampler) Cancel() {
	s.get().property(func(p unsafe.Pointer) {
		s.state.cancelled.Store(true)
		C.dm_sampler_cancel((*C.dm_sampler)(p))
	})
}

// InterpolateNoise writes the spherical interpolation between two noise arrays to out, which may be
// a or b: a for weight 0, b for weight 1.
func InterpolateNoise(out, a, b []float32, weight float64) error {
	if len(a) != len(out) || len(b) != len(out) {
		return &Error{Status: ErrShapeMismatch, Message: "the lengths of out, a and b differ"}
	}
	return statusError(C.dm_noise_interpolate((*C.float)(first(out)), (*C.float)(first(a)),
		(*C.float)(first(b)), C.double(weight), C.size_t(len(out))), "")
}
