// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "unsafe"

// Conditions of a forward pass; nil is zeros.
type Conditions struct {
	Image  []float32 // [count, height, width, ConditionChannels]
	Vector []float32 // [count, ConditionSize]
}

// cInput returns C's input without its arrays, which the caller frees.
func cInput(x []float32, times []float64, labels []int32, given Conditions) *C.dm_unet_input {
	input := (*C.dm_unet_input)(newC("dm_unet_input"))
	input.count = C.uint64_t(len(times))
	input.x_elements = C.uint64_t(len(x))
	input.time_count = C.uint64_t(len(times))
	input.label_count = C.uint64_t(len(labels))
	input.condition_image_elements = C.uint64_t(len(given.Image))
	input.condition_vector_elements = C.uint64_t(len(given.Vector))
	return input
}

// Forward makes one forward pass without dropout. x is [count, height, width, in channels], times
// [count] the network's time inputs, and labels [count] or nil. output receives [count, height,
// width, out channels]. The first call with a new count allocates.
func (u *UNet) Forward(x []float32, times []float64, labels []int32, output []float32) error {
	return u.ForwardWith(x, times, labels, Conditions{}, output)
}

// ForwardWith is Forward with conditions.
func (u *UNet) ForwardWith(x []float32, times []float64, labels []int32, given Conditions,
	output []float32) error {
	input := cInput(x, times, labels, given)
	defer C.free(unsafe.Pointer(input))
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.bridge_unet_forward(u, input, (*C.float)(first(x)), (*C.double)(first(times)),
			(*C.int32_t)(first(labels)), (*C.float)(first(given.Image)),
			(*C.float)(first(given.Vector)), (*C.float)(first(output)), C.size_t(len(output)))
	})
}

// InputGradient writes the gradient of the sum of outputGradient * output with respect to x, to
// gradient, of x's length. output receives what ForwardWith gives, unless it is nil. The weights
// are only read.
func (u *UNet) InputGradient(x []float32, times []float64, labels []int32, given Conditions,
	outputGradient, output, gradient []float32) error {
	if len(output) > 0 && len(output) != len(outputGradient) {
		return &Error{Status: ErrShapeMismatch,
			Message: "unet: the lengths of output and outputGradient differ"}
	}
	input := cInput(x, times, labels, given)
	defer C.free(unsafe.Pointer(input))
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.bridge_unet_input_gradient(u, input, (*C.float)(first(x)),
			(*C.double)(first(times)), (*C.int32_t)(first(labels)),
			(*C.float)(first(given.Image)), (*C.float)(first(given.Vector)),
			(*C.float)(first(outputGradient)), C.size_t(len(outputGradient)),
			(*C.float)(first(output)), (*C.float)(first(gradient)), C.size_t(len(gradient)))
	})
}
