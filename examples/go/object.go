// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// object is a C object. References are held by its handle until that is closed, by the objects made
// from it, and by calls in progress; the last one to go destroys it. So C objects are destroyed
// before what they were made from, whatever the order of Close and of finalizers.
type object struct {
	gate       *gate
	pointer    unsafe.Pointer
	parents    []*object
	destroy    func()
	references atomic.Int64
}

// newObject makes an object with one reference. It keeps the parents.
func newObject(g *gate, pointer unsafe.Pointer, destroy func(), parents ...*object) *object {
	o := &object{gate: g, pointer: pointer, parents: parents, destroy: destroy}
	o.references.Store(1)
	for _, parent := range parents {
		parent.references.Add(1)
	}
	return o
}

func (o *object) release() {
	if o.references.Add(-1) != 0 {
		return
	}
	if len(o.parents) == 0 { // a context: nothing is left in it
		o.destroy()
	} else {
		o.gate.retire(o)
	}
}

func (o *object) releaseParents() {
	for _, parent := range o.parents {
		parent.release()
	}
}

// handle is what the exported types hold: an object until it is closed.
type handle struct {
	kind   string
	mutex  sync.Mutex
	object *object
}

func newHandle(kind string, o *object) *handle {
	h := &handle{kind: kind, object: o}
	runtime.SetFinalizer(h, func(h *handle) { h.close() })
	return h
}

// acquire takes a reference, which the caller releases.
func (h *handle) acquire() (*object, error) {
	if h == nil {
		return nil, invalid("an object is nil; the call that made it returned an error")
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.object == nil {
		return nil, &Error{Status: ErrInvalidArgument, Message: "the " + h.kind + " is closed",
			cause: fs.ErrClosed}
	}
	h.object.references.Add(1)
	return h.object, nil
}

func (h *handle) close() {
	if h == nil {
		return
	}
	h.mutex.Lock()
	o := h.object
	h.object = nil
	h.mutex.Unlock()
	if o != nil {
		runtime.SetFinalizer(h, nil)
		o.release()
	}
}

// call makes a call in the context of h's object, whose pointer f receives.
func (h *handle) call(f func(pointer unsafe.Pointer) C.dm_status) error {
	o, err := h.acquire()
	if err != nil {
		return err
	}
	defer o.release()
	return o.gate.do(func() C.dm_status { return f(o.pointer) })
}

// property calls f without entering the context, for what may be called at any time. f is not
// called if h is nil or closed.
func (h *handle) property(f func(pointer unsafe.Pointer)) {
	if o, err := h.acquire(); err == nil {
		f(o.pointer)
		o.release()
	}
}

// create makes an object in the context of parents[0] and keeps the parents, which it acquires. f
// calls C and returns the new object's destroy function.
func create(kind string, parents []*handle,
	f func(p []unsafe.Pointer, out *unsafe.Pointer) (C.dm_status, func()),
) (*handle, error) {
	objects := make([]*object, 0, len(parents))
	pointers := make([]unsafe.Pointer, len(parents))
	defer func() {
		for _, o := range objects {
			o.release()
		}
	}()
	for i, parent := range parents {
		o, err := parent.acquire()
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
		pointers[i] = o.pointer
	}
	g := objects[0].gate
	var h *handle
	err := g.do(func() C.dm_status {
		var out unsafe.Pointer
		status, destroy := f(pointers, &out)
		if status == C.DM_OK {
			h = newHandle(kind, newObject(g, out, destroy, objects...))
		}
		return status
	})
	return h, err
}
