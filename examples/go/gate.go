// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

type gateState int

const (
	idle     gateState = iota
	calling            // a call is in progress
	draining           // closed objects are being destroyed, which is short
)

// gate admits one call at a time to a C context. A call that would overlap another is refused, as
// in C; one that meets the destruction of objects, which the garbage collector may have begun,
// waits for its end. Objects closed during a call are destroyed after it.
type gate struct {
	context *C.dm_context

	mutex   sync.Mutex // of the members up to lost
	changed sync.Cond
	state   gateState
	pending []*object // to be destroyed
	lost    bool      // a callback called runtime.Goexit, so the call in progress never ends

	// The thread that runs a callback, or 0. A goroutine in a callback stays on its thread, so
	// equality means that the caller is the callback.
	callback atomic.Uintptr

	// The failure of a callback of the call in progress; used by the goroutine of that call only.
	failure  error
	panicked bool
	value    any
}

func newGate() *gate {
	g := &gate{}
	g.changed.L = &g.mutex
	return g
}

func (g *gate) inCallback() bool {
	thread := g.callback.Load()
	return thread != 0 && thread == uintptr(C.bridge_thread())
}

func (g *gate) enter() error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for g.state == draining && !g.lost && !g.inCallback() {
		g.changed.Wait()
	}
	if g.state != idle {
		return &Error{Status: ErrWrongState,
			Message: "the context is busy with another call or in one of its callbacks"}
	}
	g.state = calling
	g.failure = nil
	return nil
}

// leave ends the call that returned status. It raises a callback's panic again.
func (g *gate) leave(status C.dm_status) error {
	var err error
	if status != C.DM_OK {
		err = &Error{Status: Status(status), Message: g.text(), cause: g.failure}
	}
	panicked, value := g.panicked, g.value
	g.failure, g.panicked, g.value = nil, false, nil
	g.set(idle)
	g.drain()
	if panicked {
		panic(value)
	}
	return err
}

func (g *gate) set(state gateState) {
	g.mutex.Lock()
	g.state = state
	g.mutex.Unlock()
	g.changed.Broadcast()
}

// do makes a call. f must not panic.
func (g *gate) do(f func() C.dm_status) error {
	if err := g.enter(); err != nil {
		return err
	}
	return g.leave(f())
}

// doNested is do for the functions that callbacks of the same context may call.
func (g *gate) doNested(f func() C.dm_status) error {
	if !g.inCallback() {
		return g.do(f)
	}
	status := f()
	if status == C.DM_OK {
		return nil
	}
	return &Error{Status: Status(status), Message: g.text()}
}

// text is the reason for the failure of the last call.
func (g *gate) text() string {
	if g.context == nil {
		return ""
	}
	var size C.size_t
	C.dm_context_error_copy(g.context, nil, 0, &size)
	if size == 0 {
		return ""
	}
	text := make([]byte, size)
	C.dm_context_error_copy(g.context, (*C.char)(unsafe.Pointer(&text[0])), size, nil)
	return string(text[:size-1])
}

// retire destroys o now or, if a call is in progress, after it.
func (g *gate) retire(o *object) {
	g.mutex.Lock()
	g.pending = append(g.pending, o)
	g.mutex.Unlock()
	g.drain()
}

func (g *gate) drain() {
	for {
		g.mutex.Lock()
		if len(g.pending) == 0 || g.state != idle {
			g.mutex.Unlock()
			return // whoever is busy drains afterwards
		}
		objects := g.pending
		g.pending = nil
		g.state = draining
		g.mutex.Unlock()
		for _, o := range objects {
			o.destroy()
		}
		g.set(idle)
		for _, o := range objects {
			o.releaseParents()
		}
	}
}

// run calls a callback of the user. An error or a panic is kept for leave, and the result is what
// the C callback returns. A panic ends here; runtime.Goexit cannot be stopped and leaves the
// context busy for ever.
func (g *gate) run(f func() error) (result C.int32_t) {
	before := g.callback.Swap(uintptr(C.bridge_thread()))
	result = 1
	returned := false
	defer func() {
		g.callback.Store(before)
		if returned {
			return
		}
		if !g.panicked {
			g.panicked, g.value = true, recover()
		} else {
			recover()
		}
		g.setLost(true)
	}()
	err := f()
	reason := ""
	if err != nil && err != ErrCancelled {
		reason = err.Error() // may panic too
	}
	returned = true
	if err == nil {
		return 0
	}
	if g.failure == nil {
		g.failure = err
	}
	if err != ErrCancelled {
		text := C.CString(reason)
		C.dm_callback_fail(g.context, text)
		C.free(unsafe.Pointer(text))
	}
	return 1
}

// guard is run for the functions that C calls. It is reached again unless Goexit was called.
func (g *gate) guard(f func() error) C.int32_t {
	result := g.run(f)
	if g.panicked {
		g.setLost(false)
	}
	return result
}

func (g *gate) setLost(lost bool) {
	g.mutex.Lock()
	g.lost = lost
	g.mutex.Unlock()
	g.changed.Broadcast()
}
