// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// What the cgo.Handle of a callback refers to.
type (
	logger struct {
		gate *gate
		log  func(LogLevel, string)
	}
	reader struct {
		gate   *gate
		read   func(index, epoch uint64, pixels []uint8) (int32, error)
		pixels []uint8 // given to read, so that it never holds memory of C

		condition func(index uint64, image []uint8, vector []float32) error
		prefetch  func(indices []uint64)
	}
	trainProgress struct {
		gate *gate
		call func(TrainStats) error
	}
	evaluationProgress struct {
		gate *gate
		call func(done, total uint64) error
	}
	samplerCalls struct {
		gate     *gate
		noise    func(NoiseRequest, []float32) error
		progress func(*SamplerProgress) error
		guide    func(*GuidanceStep) error
		buffer   []float32    // given to noise
		step     GuidanceStep // its arrays are given to guide
	}
	model struct {
		gate      *gate
		evaluate  func(*DenoiserInput, []float32) error
		x, output []float32 // given to evaluate
		labels    []int32
	}
)

func target[T any](user C.uintptr_t) T { return cgo.Handle(user).Value().(T) }

// resize returns a slice of n elements, which may use the memory of s.
func resize[T any](s []T, n uint64) []T {
	if uint64(cap(s)) < n {
		return make([]T, n)
	}
	return s[:n]
}

// view returns the C array of n elements at p; nil for NULL.
func view[C, T any](p *C, n uint64) []T { return unsafe.Slice((*T)(unsafe.Pointer(p)), n) }

//export goLog
func goLog(user C.uintptr_t, level C.dm_log_level, message *C.char) {
	l := target[*logger](user)
	l.gate.guard(func() error {
		l.log(LogLevel(level), C.GoString(message))
		return nil
	})
}

//export goDatasetRead
func goDatasetRead(user C.uintptr_t, item *C.dm_dataset_item) C.int32_t {
	r := target[*reader](user)
	return r.gate.guard(func() error {
		n := uint64(item.pixel_bytes)
		r.pixels = resize(r.pixels, n)
		for i := range r.pixels {
			r.pixels[i] = 0
		}
		label, err := r.read(uint64(item.index), uint64(item.epoch), r.pixels)
		copy(view[C.uint8_t, uint8](item.pixels, n), r.pixels)
		item.label = C.int32_t(label)
		if err != nil || r.condition == nil {
			return err
		}
		image := make([]uint8, item.condition_image_bytes)
		vector := make([]float32, item.condition_vector_elements)
		err = r.condition(uint64(item.index), image, vector)
		copy(view[C.uint8_t, uint8](item.condition_image, uint64(len(image))), image)
		copy(view[C.float, float32](item.condition_vector, uint64(len(vector))), vector)
		return err
	})
}

//export goPrefetch
func goPrefetch(user C.uintptr_t, indices *C.uint64_t, count C.size_t) {
	r := target[*reader](user)
	r.gate.guard(func() error {
		r.prefetch(append([]uint64(nil), view[C.uint64_t, uint64](indices, uint64(count))...))
		return nil
	})
}

//export goEvaluation
func goEvaluation(user C.uintptr_t, done, total C.uint64_t) C.int32_t {
	e := target[*evaluationProgress](user)
	return e.gate.guard(func() error { return e.call(uint64(done), uint64(total)) })
}

//export goTrain
func goTrain(user C.uintptr_t, stats *C.dm_train_stats) C.int32_t {
	t := target[*trainProgress](user)
	return t.gate.guard(func() error {
		var s TrainStats
		fromC(&s, unsafe.Pointer(stats))
		return t.call(s)
	})
}

//export goProgress
func goProgress(user C.uintptr_t, progress *C.dm_sampler_progress) C.int32_t {
	s := target[*samplerCalls](user)
	return s.gate.guard(func() error {
		p := &SamplerProgress{}
		fromC(p, unsafe.Pointer(progress))
		n := uint64(progress.elements)
		p.xt = view[C.float, float32](progress.x_t, n)
		p.x0 = view[C.float, float32](progress.x_0, n)
		defer p.end()
		return s.progress(p)
	})
}

//export goNoise
func goNoise(user C.uintptr_t, request *C.dm_noise_request, noise *C.float,
	size C.size_t) C.int32_t {
	s := target[*samplerCalls](user)
	return s.gate.guard(func() error {
		var r NoiseRequest
		fromC(&r, unsafe.Pointer(request))
		s.buffer = resize(s.buffer, uint64(size))
		err := s.noise(r, s.buffer)
		copy(view[C.float, float32](noise, uint64(size)), s.buffer)
		return err
	})
}

//export goGuide
func goGuide(user C.uintptr_t, step *C.dm_guidance_step) C.int32_t {
	s := target[*samplerCalls](user)
	return s.gate.guard(func() error {
		g := &GuidanceStep{}
		fromC(g, unsafe.Pointer(step))
		n, kept := g.Elements, &s.step
		kept.X, kept.X0, kept.Eps = resize(kept.X, n), resize(kept.X0, n), resize(kept.Eps, n)
		g.X, g.X0, g.Eps = kept.X, kept.X0, kept.Eps
		x0, eps := view[C.double, float64](step.x_0, n), view[C.double, float64](step.eps, n)
		copy(g.X, view[C.float, float32](step.x, n))
		copy(g.X0, x0)
		copy(g.Eps, eps)
		if step.labels != nil {
			kept.Labels = resize(kept.Labels, g.Count)
			copy(kept.Labels, view[C.int32_t, int32](step.labels, g.Count))
			g.Labels = kept.Labels
		}
		err := s.guide(g)
		copy(x0, kept.X0)
		copy(eps, kept.Eps)
		step.rederive = C.int32_t(g.Rederive)
		return err
	})
}

//export goDenoise
func goDenoise(user C.uintptr_t, input *C.dm_denoiser_input, output *C.float,
	elements C.size_t) C.int32_t {
	m := target[*model](user)
	return m.gate.guard(func() error {
		in := &DenoiserInput{}
		fromC(in, unsafe.Pointer(input))
		n := uint64(elements)
		m.x, m.output = resize(m.x, n), resize(m.output, n)
		copy(m.x, view[C.float, float32](input.x, n))
		in.X = m.x
		if input.labels != nil {
			m.labels = resize(m.labels, in.Count)
			copy(m.labels, view[C.int32_t, int32](input.labels, in.Count))
			in.Labels = m.labels
		}
		in.ConditionImage = append([]float32(nil), view[C.float, float32](
			input.condition_image, uint64(input.condition_image_elements))...)
		in.ConditionVector = append([]float32(nil), view[C.float, float32](
			input.condition_vector, uint64(input.condition_vector_elements))...)
		err := m.evaluate(in, m.output)
		copy(view[C.float, float32](output, n), m.output)
		return err
	})
}
