// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// Run is a held run: the same as Sampler.Run, with the same bits, in steps, for a caller that must
// not block. Other calls in the context may come in between, but if they change the network's
// weights, the next step returns ErrWrongState.
type Run struct {
	*handle
	sampler  *Sampler
	held     *heldRun
	elements uint64
}

// heldRun is what C uses during a held run. It does not refer to the Run, which may be collected.
type heldRun struct {
	arrays arena
	user   cgo.Handle
}

func (h *heldRun) free() {
	h.arrays.free()
	deleteHandle(h.user)
	h.user = 0
}

func (r *Run) get() *handle {
	if r == nil {
		return nil
	}
	return r.handle
}

// Start begins a held run; a sampler holds one at a time. The request's arrays are copied. A nil
// request is the default one.
func (s *Sampler) Start(request *SamplerRequest) (*Run, error) {
	images, err := s.newImages(request)
	if err != nil {
		return nil, err
	}
	o, err := s.get().acquire()
	if err != nil {
		return nil, err
	}
	defer o.release()
	request = orDefault(request)
	r, user := cRequest(o.gate, request)
	held := &heldRun{user: user}
	held.arrays.add(unsafe.Pointer(r))
	r.seeds = (*C.uint64_t)(copied(&held.arrays, request.Seeds))
	r.labels = (*C.int32_t)(copied(&held.arrays, request.Labels))
	r.initial_noise = (*C.float)(copied(&held.arrays, request.InitialNoise))
	r.image = (*C.float)(copied(&held.arrays, request.Image))
	r.mask = (*C.float)(copied(&held.arrays, request.Mask))
	r.condition_image = (*C.float)(copied(&held.arrays, request.ConditionImage))
	r.condition_vector = (*C.float)(copied(&held.arrays, request.ConditionVector))
	state := s.state
	h, err := create("run", []*handle{s.get()},
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			*out = p[0]
			sampler := (*C.dm_sampler)(p[0])
			status := C.dm_sampler_start(sampler, r)
			if status == C.DM_OK {
				state.held = held
			}
			return status, func() {
				if state.held == held {
					C.dm_sampler_finish(sampler, nil, 0)
					state.held = nil
				}
				held.free()
			}
		})
	if err != nil {
		held.free()
		return nil, err
	}
	return &Run{h, s, held, uint64(len(images))}, nil
}

// call makes a call on the sampler if it still holds this run.
func (r *Run) call(f func(*C.dm_sampler) C.dm_status) error {
	over := false
	err := r.get().call(func(p unsafe.Pointer) C.dm_status {
		if over = r.sampler.state.held != r.held; over {
			return C.DM_OK
		}
		return f((*C.dm_sampler)(p))
	})
	if over && err == nil {
		err = &Error{Status: ErrWrongState, Message: "sampler: this run has ended"}
	}
	return err
}

// Step does one step of one batch and returns the steps of all batches that remain. A step that
// fails, but not with ErrWrongState, ends the run.
func (r *Run) Step() (stepsLeft int, err error) {
	var left C.int32_t
	err = r.call(func(s *C.dm_sampler) C.dm_status {
		status := C.dm_sampler_step(s, &left)
		if status != C.DM_OK && status != C.DM_ERROR_WRONG_STATE {
			r.sampler.state.held = nil
		}
		return status
	})
	if r.get() != nil {
		err = r.sampler.state.ended(err)
	}
	return int(left), err
}

// Preview returns x_0 as predicted at the last step, for all images; 0 for those whose batch has
// not begun.
func (r *Run) Preview() ([]float32, error) {
	return r.images(func(s *C.dm_sampler, images *C.float, elements C.size_t) C.dm_status {
		return C.dm_sampler_get_preview(s, images, elements)
	})
}

// Finish ends the run and returns its images. If steps are left, it returns ErrWrongState and the
// run stays.
func (r *Run) Finish() ([]float32, error) {
	return r.images(func(s *C.dm_sampler, images *C.float, elements C.size_t) C.dm_status {
		status := C.dm_sampler_finish(s, images, elements)
		if status == C.DM_OK {
			r.sampler.state.held = nil
			r.sampler.state.cancelled.Store(false)
		}
		return status
	})
}

func (r *Run) images(f func(*C.dm_sampler, *C.float, C.size_t) C.dm_status) ([]float32, error) {
	if r.get() == nil {
		return nil, invalid("an object is nil; the call that made it returned an error")
	}
	images := make([]float32, r.elements)
	err := r.call(func(s *C.dm_sampler) C.dm_status {
		return f(s, (*C.float)(first(images)), C.size_t(len(images)))
	})
	if err != nil {
		return nil, err
	}
	return images, nil
}

// Cancel makes the next step return ErrCancelled, which ends the run.
func (r *Run) Cancel() {
	if r.get() != nil {
		r.sampler.Cancel()
	}
}

// Close ends the run, whatever its state, and frees the copies of the request's arrays.
func (r *Run) Close() error {
	r.get().close()
	return nil
}
