// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "reflect"

// Options is a pointer to one of the options structs, or to a SamplerRequest or Denoiser.
type Options interface{ structure }

// SetOption sets a member of an options struct from text, by its C name: a number, the name of an
// enumeration's value, or a comma-separated list whose missing entries become 0. Names, numbers and
// ranges are checked; on failure the struct stays as it was. c receives the error text and may be
// nil. May be called in callbacks.
func SetOption(c *Context, options Options, member, value string) error {
	if isNil(options) {
		return invalid("the options are nil")
	}
	if err := checkText("the option", member+value); err != nil {
		return err
	}
	p := toC(options)
	defer C.free(p)
	var a arena
	defer a.free()
	name, m, v := a.text(options.cStruct()), a.text(member), a.text(value)
	err := withText(c, func(context *C.dm_context) C.dm_status {
		return C.dm_options_set(context, name, p, m, v)
	})
	if err == nil {
		fromC(options, p)
	}
	return err
}

// GetOption returns a member, given its C name, as text that SetOption accepts. c may be nil.
func GetOption(c *Context, options Options, member string) (string, error) {
	if isNil(options) {
		return "", invalid("the options are nil")
	}
	if err := checkText("the option", member); err != nil {
		return "", err
	}
	p := toC(options)
	defer C.free(p)
	var a arena
	defer a.free()
	name, m := a.text(options.cStruct()), a.text(member)
	var text [1024]C.char
	err := withText(c, func(context *C.dm_context) C.dm_status {
		return C.dm_options_get(context, name, p, m, &text[0], C.size_t(len(text)), nil)
	})
	if err != nil {
		return "", err
	}
	return C.GoString(&text[0]), nil
}

func isNil(options Options) bool {
	return options == nil || reflect.ValueOf(options).IsNil()
}

// withText makes a call that takes a context, which may be NULL, for its text alone.
func withText(c *Context, f func(*C.dm_context) C.dm_status) error {
	if c == nil {
		return statusError(f(nil), "")
	}
	return withContext(c, f)
}
