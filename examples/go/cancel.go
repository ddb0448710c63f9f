// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import "context"

// cancellation says how to cancel a run, and how to discard a request that came too late for it.
type cancellation struct{ cancel, discard func() }

// withCancel makes a call that the end of ctx cancels.
func withCancel(ctx context.Context, g *gate, c cancellation, f func() Status) error {
	if err := ctx.Err(); err != nil {
		return &Error{Status: ErrCancelled, Message: err.Error(), cause: err}
	}
	late := false
	err := g.do(func() C.dm_status {
		stop, fired := make(chan struct{}), make(chan bool)
		go func() {
			select {
			case <-ctx.Done():
				c.cancel()
				fired <- true
			case <-stop:
				fired <- false
			}
		}()
		status := f()
		close(stop)
		late = <-fired && status != ErrCancelled
		return C.dm_status(status)
	})
	if late {
		// Refused if another call has begun meanwhile, which then is the one that is cancelled.
		_ = g.do(func() C.dm_status {
			c.discard()
			return C.DM_OK
		})
	}
	return withCause(ctx, err)
}

// withCause adds ctx.Err() to the error of a call that was cancelled.
func withCause(ctx context.Context, err error) error {
	if e, ok := err.(*Error); ok && e.Status == ErrCancelled && e.cause == nil {
		e.cause = ctx.Err()
	}
	return err
}
