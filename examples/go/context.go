// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// Context holds memory, threads and error text; every other object belongs to one. Calls on one
// context and its objects must not overlap: one that would returns ErrWrongState.
type Context struct{ *handle }

// NewContext starts Threads - 1 threads, which sleep between calls.
func NewContext(options *ContextOptions) (*Context, error) {
	g := newGate()
	o := options
	if o == nil {
		defaultOptions := DefaultContextOptions()
		o = &defaultOptions
	}
	var log cgo.Handle
	if o.Log != nil {
		log = cgo.NewHandle(&logger{g, o.Log})
	}
	p := (*C.dm_context_options)(toC(o))
	defer C.free(unsafe.Pointer(p))
	var text [512]C.char
	status := C.bridge_context_create(&g.context, p, C.uintptr_t(log), &text[0], 512)
	if status != C.DM_OK {
		deleteHandle(log)
		return nil, statusError(status, C.GoString(&text[0]))
	}
	destroy := func() {
		C.dm_context_destroy(g.context)
		deleteHandle(log)
	}
	return &Context{newHandle("context", newObject(g, unsafe.Pointer(g.context), destroy))}, nil
}

func deleteHandle(h cgo.Handle) {
	if h != 0 {
		h.Delete()
	}
}

// acquire and the methods below accept a nil context, which is an invalid argument.
func (c *Context) acquire() (*object, error) { return c.get().acquire() }

func (c *Context) get() *handle {
	if c == nil {
		return nil
	}
	return c.handle
}

// Close gives up the context. It is destroyed when the objects in it are closed, too. It always
// returns nil and may be called more than once.
func (c *Context) Close() error {
	c.get().close()
	return nil
}

// Memory is what a context's allocator has counted.
type Memory struct {
	Used, Peak  uint64 // bytes now and at most
	Allocations uint64 // so far
}

// Memory may be called at any time. It is zero for a closed context.
func (c *Context) Memory() (m Memory) {
	c.get().property(func(p unsafe.Pointer) {
		var used, peak, allocations C.uint64_t
		C.dm_context_get_memory((*C.dm_context)(p), &used, &peak, &allocations)
		m = Memory{uint64(used), uint64(peak), uint64(allocations)}
	})
	return m
}

// Threads returns the number of threads that compute, the caller's included.
func (c *Context) Threads() (threads int) {
	c.get().property(func(p unsafe.Pointer) {
		threads = int(C.dm_context_threads((*C.dm_context)(p)))
	})
	return threads
}

// ProfileRow says where time went, for one operation, part and shape.
type ProfileRow struct {
	Operation string // "conv", "group_norm", "attention", "adamw"
	Part      string // "winograd forward"
	Shape     string // images, height, width, channels in and out
	Calls     uint64
	Seconds   float64 // of all calls
	Flop      float64 // operations of the direct algorithm; 0: not counted
	Bytes     float64 // memory traffic if each array moved once
}

func (*ProfileRow) cStruct() string { return "dm_profile_row" }

// ProfileRows returns the rows of a context with ContextOptions.Profile, in order of first use.
func (c *Context) ProfileRows() ([]ProfileRow, error) {
	row := (*C.dm_profile_row)(newC("dm_profile_row"))
	defer C.free(unsafe.Pointer(row))
	var rows []ProfileRow
	err := c.get().call(func(p unsafe.Pointer) C.dm_status {
		context := (*C.dm_context)(p)
		var count C.int32_t
		status := C.dm_context_get_profile_rows(context, &count)
		for i := C.int32_t(0); i < count && status == C.DM_OK; i++ {
			status = C.dm_context_get_profile_row(context, i, row)
			var r ProfileRow
			fromC(&r, unsafe.Pointer(row))
			rows = append(rows, r)
		}
		return status
	})
	return rows, err
}

// ResetProfile removes all rows.
func (c *Context) ResetProfile() error {
	return c.get().call(func(p unsafe.Pointer) C.dm_status {
		return C.dm_context_profile_reset((*C.dm_context)(p))
	})
}
