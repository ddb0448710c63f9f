// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// Denoiser is a custom model in place of a UNet. Start from DefaultDenoiser.
type Denoiser struct {
	Prediction              Prediction // of its output; PredictEps
	Height, Width, Channels int32      // 1 to 65536
	Classes                 int32      // -1, the default: any label; 0: no labels
	SigmaData               float64    // PredictEDM: standard deviation of the images; 0.5
	ConditionChannels       int32      // of condition images, 0 to 65536
	ConditionSize           int32      // floats of condition vectors, 0 to 65536
	// Evaluate writes the model's output [input.Count, Height, Width, Channels]. Its slices belong
	// to it until it returns. An error stops the run and is wrapped by its error.
	Evaluate func(input *DenoiserInput, output []float32) error
}

func (*Denoiser) cStruct() string { return "dm_denoiser" }

// DefaultDenoiser returns the defaults; Height, Width, Channels and Evaluate must be set.
func DefaultDenoiser() (d Denoiser) { defaults(&d); return }

// DenoiserInput holds the inputs of Denoiser.Evaluate.
type DenoiserInput struct {
	Height, Width, Channels int32
	First                   uint64 // first image of the request
	// Images. With guidance twice as many: the conditional ones, then the same with label -1.
	Count           uint64
	Timestep        float64 // fractional timestep, 0 to T-1
	Time            float64 // the network's time input (SeriesTime)
	Signal          float64 // x = Signal x_0 + Noise eps, before input scaling
	Noise           float64
	X               []float32 // [Count, Height, Width, Channels], scaled by c_in with PredictEDM
	Labels          []int32   // [Count], -1 for no class; nil if the request has none
	ConditionImage  []float32 // [Count, Height, Width, ConditionChannels], or nil
	ConditionVector []float32 // [Count, ConditionSize], or nil
}

func (*DenoiserInput) cStruct() string { return "dm_denoiser_input" }

// NewSamplerWithDenoiser makes a sampler with a custom model.
func NewSamplerWithDenoiser(c *Context, schedule *Schedule, denoiser *Denoiser,
	options *SamplerOptions) (*Sampler, error) {
	if denoiser == nil || denoiser.Evaluate == nil {
		return nil, invalid("sampler: Evaluate is nil")
	}
	o, err := c.acquire()
	if err != nil {
		return nil, err
	}
	defer o.release()
	d := (*C.dm_denoiser)(toC(denoiser))
	defer C.free(unsafe.Pointer(d))
	user := cgo.NewHandle(&model{gate: o.gate, evaluate: denoiser.Evaluate})
	return newSampler(c.get(), schedule, options, user,
		func(p unsafe.Pointer, schedule *C.dm_schedule, options *C.dm_sampler_options,
			out **C.dm_sampler) C.dm_status {
			return C.bridge_sampler_with_denoiser(out, (*C.dm_context)(p), schedule, d,
				C.uintptr_t(user), options)
		})
}
