// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"unsafe"
)

// Evaluation is the variational bound on the likelihood of images (Ho et al. 2020, eq. 5), in bits
// per value, and the prediction error.
type Evaluation struct {
	Images        uint64
	Bits          float64    // all terms together; NaN, like the terms, for schedules without betas
	StandardError float64    // of Bits, over images; 0 for one image
	PriorBits     float64    // L_T
	StepBits      float64    // L_1 to L_(T-1)
	DecoderBits   float64    // L_0
	Loss          [4]float64 // mean squared error in each quarter of the timesteps, cleanest first
}

func (*Evaluation) cStruct() string { return "dm_evaluation" }

// Evaluate computes the bound for images of d, a dataset of the network's context. progress, which
// may be nil, is called after each model evaluation with those done and in total, counted per
// image; an error that it returns is wrapped by Evaluate's. The end of ctx gives ErrCancelled,
// which wraps ctx.Err().
func Evaluate(ctx context.Context, u *UNet, s *Schedule, d *Dataset, options *EvaluationOptions,
	progress func(done, total uint64) error) (evaluation Evaluation, err error) {
	if err := ctx.Err(); err != nil {
		return evaluation, &Error{Status: ErrCancelled, Message: err.Error(), cause: err}
	}
	var objects [3]*object
	for i, h := range []*handle{u.get(), s.get(), d.get()} {
		if objects[i], err = h.acquire(); err != nil {
			return evaluation, err
		}
		defer objects[i].release()
	}
	o := (*C.dm_evaluation_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	result := newC(evaluation.cStruct())
	defer C.free(result)
	g := objects[0].gate
	user := cgo.NewHandle(&evaluationProgress{g, func(done, total uint64) error {
		if ctx.Err() != nil {
			return ErrCancelled
		}
		if progress == nil {
			return nil
		}
		return progress(done, total)
	}})
	defer user.Delete()
	err = g.do(func() C.dm_status {
		return C.bridge_unet_evaluate((*C.dm_unet)(objects[0].pointer),
			(*C.dm_schedule)(objects[1].pointer), (*C.dm_dataset)(objects[2].pointer), o,
			C.uintptr_t(user), (*C.dm_evaluation)(result))
	})
	fromC(&evaluation, result)
	return evaluation, withCause(ctx, err)
}
