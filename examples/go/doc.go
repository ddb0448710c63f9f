// SPDX-License-Identifier: MIT

// Package diffusion trains denoising diffusion models and samples from them on the CPU, with the C
// library libdiffusion. Functions have the names of its header, diffusion.h, in Go's casing.
//
//	Context   memory, threads and error text; every other object is created in a context
//	Schedule  how much noise each timestep adds
//	UNet      the network
//	Dataset   the source of training images
//	Trainer   trains a network on a dataset
//	Sampler   turns noise into images with a network or with a function of yours
//
// Images are float32 [count, height, width, channels] in [-1, 1] unless a function takes uint8,
// whose range is 0 to 255. Arrays are flat slices, the last dimension contiguous.
//
// # Ownership
//
// Close gives up an object; so does the garbage collector, later. Whatever the order, the C objects
// are destroyed before what they were made from, and not during a call. A call with a closed or nil
// object returns ErrInvalidArgument, and fs.ErrClosed is found in the error of a closed one.
//
// # Goroutines
//
// Objects may be used from any goroutine, but calls on one context and its objects must not
// overlap: the later call returns ErrWrongState and does nothing. Cancel, Close, Context.Memory and
// methods that return no error may be called at any time. Different contexts are independent.
//
// # Callbacks
//
// Callbacks run in the goroutine that made the call. An error that one returns stops the call,
// whose error wraps it; a panic stops the call, which then panics with the same value. While a
// callback runs, it may use other contexts, SetOption and GetOption, and the functions of pictures;
// other calls in its own context return ErrWrongState. A callback must not call runtime.Goexit, as
// testing.T.FailNow does: the context then stays busy and its memory is not freed.
package diffusion

// #cgo pkg-config: diffusion
import "C"
