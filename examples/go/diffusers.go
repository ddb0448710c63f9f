// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "unsafe"

// LoadUNetDiffusers reads a network of diffusers' UNet2DModel. path is the folder of a pipeline or
// of a model, or a safetensors file with config.json beside it. What cannot be expressed is
// ErrUnsupported, with its key and value.
func LoadUNetDiffusers(c *Context, path string, options *DiffusersOptions) (*UNet, error) {
	if err := checkText("the path", path); err != nil {
		return nil, err
	}
	var a arena
	defer a.free()
	name := a.text(path)
	o := (*C.dm_diffusers_options)(a.add(toC(options)))
	u, err := newUNet([]*handle{c.get()}, func(p []unsafe.Pointer, out **C.dm_unet) C.dm_status {
		return C.dm_unet_load_diffusers(out, (*C.dm_context)(p[0]), name, o)
	})
	return u, fileError(err, path)
}

// SaveDiffusers writes the folder of a pipeline of diffusers, whose scheduler the options of a
// sampler describe; nil: that of SolverDDPM.
func (u *UNet) SaveDiffusers(schedule *Schedule, sampler *SamplerOptions, folder string,
	precision Precision) error {
	if err := checkText("the path", folder); err != nil {
		return err
	}
	var a arena
	defer a.free()
	o, err := cSamplerOptions(&a, sampler)
	if err != nil {
		return err
	}
	name := a.text(folder)
	return u.withSchedule(schedule, func(u *C.dm_unet, s *C.dm_schedule) C.dm_status {
		return C.dm_unet_save_diffusers(u, s, o, name, C.dm_precision(precision))
	})
}

// LoadScheduleDiffusers reads the schedule of a scheduler of diffusers, and what it says about
// sampling. path is a scheduler_config.json, or the folder of a scheduler or pipeline with one. Of
// sampler, or the defaults for nil, those members stay that are arguments of a call there: Steps,
// BatchSize, Eta, Churn and Guidance with what belongs to them. Of options only Compatible matters.
func LoadScheduleDiffusers(c *Context, path string, options *DiffusersOptions,
	sampler *SamplerOptions) (*Schedule, SamplerOptions, error) {
	found := DefaultSamplerOptions()
	if err := checkText("the path", path); err != nil {
		return nil, found, err
	}
	if sampler == nil {
		sampler = &found
	}
	var a arena
	defer a.free()
	o, err := cSamplerOptions(&a, sampler)
	if err != nil {
		return nil, found, err
	}
	name := a.text(path)
	given := (*C.dm_diffusers_options)(a.add(toC(options)))
	s, err := newSchedule(c, func(c *C.dm_context, out **C.dm_schedule) C.dm_status {
		return C.dm_schedule_load_diffusers(out, c, name, given, o)
	})
	if err == nil {
		fromC(&found, unsafe.Pointer(o))
	}
	return s, found, fileError(err, path)
}
