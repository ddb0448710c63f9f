// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"sync"
)

// SamplerRequest says what to sample. Start from DefaultSamplerRequest.
type SamplerRequest struct {
	Random             Random
	Count              uint64  // images, 1 to 65536; 1
	Seed               uint64  // image i has seed + i, and is the same in any batch
	Strength           float64 // part of the steps that is done, from a noised Image; (0, 1]; 1
	RepaintRepetitions int32   // with a mask: repetitions of each segment of steps, 1 to 100; 1
	RepaintJumpLength  int32   // steps of a segment; 10
	Seeds              []uint64
	Labels             []int32   // [Count], -1 for no class; nil: no class
	InitialNoise       []float32 // [Count, h, w, c], x_T in place of generated noise
	Image              []float32 // [Count, h, w, c] in [-1, 1], for Strength, Mask and Invert
	Mask               []float32 // [Count, h, w] in [0, 1]: 1: sampled, 0: kept as in Image
	ConditionImage     []float32 // [Count, h, w, ConditionChannels] in [-1, 1]; nil: zeros
	ConditionVector    []float32 // [Count, ConditionSize]; nil: zeros
	// Noise writes noise [request.Count, request.Elements] in place of the library's to the slice,
	// which belongs to it until it returns. An error stops the run and is wrapped by its error.
	Noise func(request NoiseRequest, noise []float32) error
	// Progress is called after each step. An error stops the run and is wrapped by its error;
	// ErrCancelled stops it as Cancel does.
	Progress func(progress *SamplerProgress) error
	// Guide may change X0 and Eps at each model evaluation, after classifier-free guidance and
	// before X0 is clipped. It may use a share of the network in another context. An error stops
	// the run and is wrapped by its error.
	Guide func(step *GuidanceStep) error
}

func (*SamplerRequest) cStruct() string { return "dm_sampler_request" }

// DefaultSamplerRequest returns the request of one image with seed 0.
func DefaultSamplerRequest() (r SamplerRequest) { defaults(&r); return }

func orDefault(request *SamplerRequest) *SamplerRequest {
	if request == nil {
		r := DefaultSamplerRequest()
		return &r
	}
	return request
}

// cRequest returns C's request without its arrays, which the caller frees, and the handle of its
// callbacks, which the caller deletes, or 0.
func cRequest(g *gate, request *SamplerRequest) (*C.dm_sampler_request, cgo.Handle) {
	r := (*C.dm_sampler_request)(toC(request))
	r.seed_count = C.uint64_t(len(request.Seeds))
	r.label_count = C.uint64_t(len(request.Labels))
	r.initial_noise_elements = C.uint64_t(len(request.InitialNoise))
	r.image_elements = C.uint64_t(len(request.Image))
	r.mask_elements = C.uint64_t(len(request.Mask))
	r.condition_image_elements = C.uint64_t(len(request.ConditionImage))
	r.condition_vector_elements = C.uint64_t(len(request.ConditionVector))
	if request.Noise == nil && request.Progress == nil && request.Guide == nil {
		return r, 0
	}
	user := cgo.NewHandle(&samplerCalls{gate: g, noise: request.Noise, progress: request.Progress,
		guide: request.Guide})
	C.bridge_request_callbacks(r, C.uintptr_t(user), flag(request.Noise != nil),
		flag(request.Progress != nil), flag(request.Guide != nil))
	return r, user
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// NoiseRequest is one use of noise in a run.
type NoiseRequest struct {
	Step     int32  // 0: the initial noise; i: what step i adds
	First    uint64 // first image of the request
	Count    uint64 // images
	Elements uint64 // floats of one image
}

func (*NoiseRequest) cStruct() string { return "dm_noise_request" }

// GuidanceStep holds the predictions of one model evaluation, for images First to First + Count - 1
// of the request. Its slices are copies that the next call of the guidance uses again; what it
// leaves in the elements of X0 and Eps goes to the run.
type GuidanceStep struct {
	Rederive Rederive // to be set; RederiveNone when called
	First    uint64
	Count    uint64
	Elements uint64  // of X, of X0 and of Eps
	Timestep float64 // 0 to T-1, whole or fractional
	Time     float64 // the network's time input
	Signal   float64 // x = signal x_0 + noise eps
	Noise    float64
	X        []float32 // [Count, h, w, c], without input scaling
	Labels   []int32   // [Count], -1 for no class; nil if the request has none
	X0       []float64 // [Count, h, w, c]; not clipped yet
	Eps      []float64 // [Count, h, w, c]
}

func (*GuidanceStep) cStruct() string { return "dm_guidance_step" }

// Rederive is what is derived anew after a guidance.
type Rederive int32

const (
	RederiveNone Rederive = 0 // X0 and Eps are used as they are
	RederiveEps  Rederive = 1 // Eps, from X and X0
	RederiveX0   Rederive = 2 // X0, from X and Eps
)

// SamplerProgress is the state of a run after a step, for images First to First + Count - 1 of the
// request.
type SamplerProgress struct {
	Step, Steps int32 // steps done for these images, and in total
	First       uint64
	Count       uint64
	Elements    uint64 // floats of XT and of X0

	mutex  sync.Mutex
	xt, x0 []float32 // memory of the library; nil when the callback has returned
}

func (*SamplerProgress) cStruct() string { return "dm_sampler_progress" }

// XT copies x_t [Count, h, w, c] after the step to the slice, which it extends where necessary. It
// returns nil once the callback has returned.
func (p *SamplerProgress) XT(to []float32) []float32 { return p.copy(to, &p.xt) }

// X0 copies x_0 [Count, h, w, c] as predicted by the step's last model evaluation, as XT does.
func (p *SamplerProgress) X0(to []float32) []float32 { return p.copy(to, &p.x0) }

func (p *SamplerProgress) copy(to []float32, from *[]float32) []float32 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if *from == nil {
		return nil
	}
	return append(to[:0], *from...)
}

func (p *SamplerProgress) end() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.xt, p.x0 = nil, nil
}
