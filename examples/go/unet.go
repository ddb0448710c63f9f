// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// UNet is the network of Ho et al. (2020) with the variants of later papers. A network that a
// trainer or sampler uses stays in memory until these are closed.
type UNet struct{ *handle }

func (u *UNet) get() *handle {
	if u == nil {
		return nil
	}
	return u.handle
}

func (u *UNet) call(f func(*C.dm_unet) C.dm_status) error {
	return u.get().call(func(p unsafe.Pointer) C.dm_status { return f((*C.dm_unet)(p)) })
}

func newUNet(parents []*handle, f func([]unsafe.Pointer, **C.dm_unet) C.dm_status) (*UNet, error) {
	h, err := create("network", parents,
		func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()) {
			var u *C.dm_unet
			status := f(p, &u)
			*out = unsafe.Pointer(u)
			return status, func() { C.dm_unet_destroy(u) }
		})
	if err != nil {
		return nil, err
	}
	return &UNet{h}, nil
}

// UNetPreset returns the default options with a preset's changes.
func UNetPreset(preset Preset) (options UNetOptions, err error) {
	o := newC(options.cStruct())
	defer C.free(o)
	status := C.dm_unet_options_preset((*C.dm_unet_options)(o), C.sizeof_dm_unet_options,
		C.dm_preset(preset))
	fromC(&options, o)
	return options, statusError(status, "")
}

// NewUNet makes a network whose weights are drawn from seed.
func NewUNet(c *Context, options *UNetOptions, seed uint64) (*UNet, error) {
	o := (*C.dm_unet_options)(toC(options))
	defer C.free(unsafe.Pointer(o))
	return newUNet([]*handle{c.get()}, func(p []unsafe.Pointer, out **C.dm_unet) C.dm_status {
		return C.dm_unet_create(out, (*C.dm_context)(p[0]), o, C.uint64_t(seed))
	})
}

// LoadUNet reads a file of UNet.Save or Trainer.Save, or what LoadUNetDiffusers reads.
func LoadUNet(c *Context, path string, weights Weights) (*UNet, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	u, err := newUNet([]*handle{c.get()}, func(p []unsafe.Pointer, out **C.dm_unet) C.dm_status {
		return C.dm_unet_load(out, (*C.dm_context)(p[0]), name, C.dm_weights(weights))
	})
	return u, fileError(err, path)
}

// LoadUNetMemory reads the bytes of such a file.
func LoadUNetMemory(c *Context, bytes []byte, weights Weights) (*UNet, error) {
	return newUNet([]*handle{c.get()}, func(p []unsafe.Pointer, out **C.dm_unet) C.dm_status {
		return C.dm_unet_load_memory(out, (*C.dm_context)(p[0]), unsafe.Pointer(first(bytes)),
			C.size_t(len(bytes)), C.dm_weights(weights))
	})
}

// Share makes a second handle, in another context or the same, on the network's weights, so that
// several goroutines sample from one copy, each in a context of its own. While shares exist the
// weights are read-only: training and SetTensor return ErrWrongState. The network's own context may
// be busy meanwhile.
func (u *UNet) Share(c *Context) (*UNet, error) {
	return newUNet([]*handle{c.get(), u.get()},
		func(p []unsafe.Pointer, out **C.dm_unet) C.dm_status {
			return C.dm_unet_share(out, (*C.dm_context)(p[0]), (*C.dm_unet)(p[1]))
		})
}

// Close gives up the network; it is destroyed when the objects made from it are closed, too.
func (u *UNet) Close() error {
	u.get().close()
	return nil
}

// withSchedule makes a call with an optional schedule.
func (u *UNet) withSchedule(s *Schedule, f func(*C.dm_unet, *C.dm_schedule) C.dm_status) error {
	var schedule *C.dm_schedule
	if s != nil {
		o, err := s.get().acquire()
		if err != nil {
			return err
		}
		defer o.release()
		schedule = (*C.dm_schedule)(o.pointer)
	}
	return u.call(func(u *C.dm_unet) C.dm_status { return f(u, schedule) })
}

// Save writes a safetensors file: parameters, options and, unless it is nil, the schedule. The file
// is complete or absent: on failure an existing one stays.
func (u *UNet) Save(schedule *Schedule, path string) error {
	return u.SaveAs(schedule, path, PrecisionF32)
}

// SaveAs is Save with the weights rounded to a precision.
func (u *UNet) SaveAs(schedule *Schedule, path string, precision Precision) error {
	if err := checkText("the path", path); err != nil {
		return err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	return u.withSchedule(schedule, func(u *C.dm_unet, s *C.dm_schedule) C.dm_status {
		return C.dm_unet_save_as(u, s, name, C.dm_precision(precision))
	})
}

// SaveMemory returns the bytes of Save's file.
func (u *UNet) SaveMemory(schedule *Schedule) ([]byte, error) {
	return u.SaveMemoryAs(schedule, PrecisionF32)
}

// SaveMemoryAs returns the bytes of SaveAs's file.
func (u *UNet) SaveMemoryAs(schedule *Schedule, precision Precision) (bytes []byte, err error) {
	err = u.withSchedule(schedule, func(u *C.dm_unet, s *C.dm_schedule) C.dm_status {
		var size C.size_t
		p := C.dm_precision(precision)
		status := C.dm_unet_save_memory_as(u, s, nil, 0, &size, p)
		if status == C.DM_OK {
			bytes = make([]byte, size)
			status = C.dm_unet_save_memory_as(u, s, unsafe.Pointer(first(bytes)), size, &size, p)
		}
		return status
	})
	if err != nil {
		return nil, err
	}
	return bytes, nil
}

// Initialize replaces all weights by new ones. ErrWrongState while the network has a trainer or
// shares.
func (u *UNet) Initialize(kind Initialization, seed uint64) error {
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_initialize(u, C.dm_initialization(kind), C.uint64_t(seed))
	})
}

// SetTiling makes convolutions read pixels of the opposite border beyond the left and right border,
// or the upper and lower one, so that images continue when they are laid side by side.
func (u *UNet) SetTiling(horizontal, vertical bool) error {
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_set_tiling(u, flag(horizontal), flag(vertical))
	})
}

// SetPrecision is the precision of forward passes from now on: PrecisionF32 or PrecisionBF16.
func (u *UNet) SetPrecision(precision Precision) error {
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_set_precision(u, C.dm_precision(precision))
	})
}

// SetClassNames sets the names of the classes, which files keep: UNetOptions.Classes of them, or
// none. Each is UTF-8 of 1 to 255 bytes without control characters. A network without names gets
// those of the dataset when it is trained. ErrWrongState while the network has a trainer or shares.
func (u *UNet) SetClassNames(names []string) error {
	if int(int32(len(names))) != len(names) {
		return invalid("unet: there are too many names")
	}
	var a arena
	defer a.free()
	texts, err := a.texts(names)
	if err != nil {
		return err
	}
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_set_class_names(u, texts, C.int32_t(len(names)))
	})
}

// ClassName returns "airplane" and the like, or "" if the label has no name. Callbacks of the
// network's context may call it.
func (u *UNet) ClassName(label int32) (name string, err error) {
	o, err := u.get().acquire()
	if err != nil {
		return "", err
	}
	defer o.release()
	err = o.gate.doNested(func() C.dm_status {
		name = C.GoString(C.dm_unet_class_name((*C.dm_unet)(o.pointer), C.int32_t(label)))
		return C.DM_OK
	})
	return name, err
}

// Options returns the network's options.
func (u *UNet) Options() (options UNetOptions, err error) {
	o := newC(options.cStruct())
	defer C.free(o)
	err = u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_get_options(u, (*C.dm_unet_options)(o), C.sizeof_dm_unet_options)
	})
	if err == nil {
		fromC(&options, o)
	}
	return options, err
}

// ParameterCount returns the number of trained values; 0 if the network is closed.
func (u *UNet) ParameterCount() (count uint64) {
	u.get().property(func(p unsafe.Pointer) {
		count = uint64(C.dm_unet_parameter_count((*C.dm_unet)(p)))
	})
	return count
}

// TensorInfo describes a parameter.
type TensorInfo struct {
	Name     string   // as in diffusers' UNet2DModel
	Rank     int32    // 1 to 4
	Shape    [4]int64 // [out, in, k, k], [out, in] or [n]; entries past Rank are 1
	Elements uint64
}

func (*TensorInfo) cStruct() string { return "dm_tensor_info" }

// Tensors describes all parameters, in the order in which the network uses them.
func (u *UNet) Tensors() ([]TensorInfo, error) {
	info := (*C.dm_tensor_info)(newC("dm_tensor_info"))
	defer C.free(unsafe.Pointer(info))
	var tensors []TensorInfo
	err := u.call(func(u *C.dm_unet) C.dm_status {
		for i := C.int32_t(0); i < C.dm_unet_tensor_count(u); i++ {
			if status := C.dm_unet_get_tensor_info(u, i, info); status != C.DM_OK {
				return status
			}
			var t TensorInfo
			fromC(&t, unsafe.Pointer(info))
			tensors = append(tensors, t)
		}
		return C.DM_OK
	})
	return tensors, err
}

// Tensor returns a copy of a parameter.
func (u *UNet) Tensor(name string) ([]float32, error) {
	tensors, err := u.Tensors()
	if err != nil {
		return nil, err
	}
	for _, t := range tensors {
		if t.Name == name {
			values := make([]float32, t.Elements)
			return values, u.CopyTensor(name, values)
		}
	}
	return nil, &Error{Status: ErrNotFound,
		Message: fmt.Sprintf("unet: no tensor is named %q", name)}
}

// CopyTensor copies a parameter to values, whose length must be its number of elements.
func (u *UNet) CopyTensor(name string, values []float32) error {
	if err := checkText("the name", name); err != nil {
		return err
	}
	var a arena
	defer a.free()
	text := a.text(name)
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_get_tensor(u, text, (*C.float)(first(values)), C.size_t(len(values)))
	})
}

// SetTensor replaces a parameter, whose shape must be the given one. Values must be finite.
func (u *UNet) SetTensor(name string, values []float32, shape []int64) error {
	if err := checkText("the name", name); err != nil {
		return err
	}
	if len(shape) > 4 {
		return &Error{Status: ErrShapeMismatch, Message: "a shape has at most 4 entries"}
	}
	var a arena
	defer a.free()
	text := a.text(name)
	return u.call(func(u *C.dm_unet) C.dm_status {
		return C.dm_unet_set_tensor(u, text, (*C.float)(first(values)), C.size_t(len(values)),
			(*C.int64_t)(first(shape)), C.int32_t(len(shape)))
	})
}
