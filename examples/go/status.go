// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// Status is the outcome of a call. Its values are errors themselves, for use with errors.Is:
//
//	if errors.Is(err, diffusion.ErrNotFound) { ... }
type Status int32

const (
	StatusOK Status = C.DM_OK
	// A value is out of range, missing, or contradicts another.
	ErrInvalidArgument Status = C.DM_ERROR_INVALID_ARGUMENT
	// The system has no memory left.
	ErrOutOfMemory Status = C.DM_ERROR_OUT_OF_MEMORY
	// ContextOptions.MemoryLimit would be exceeded.
	ErrLimitExceeded Status = C.DM_ERROR_LIMIT_EXCEEDED
	// The operating system failed to read or write.
	ErrIO Status = C.DM_ERROR_IO
	// A file's contents are malformed.
	ErrBadFormat Status = C.DM_ERROR_BAD_FORMAT
	// A file comes from a newer version of the library.
	ErrUnsupportedVersion Status = C.DM_ERROR_UNSUPPORTED_VERSION
	// A file's contents do not match their checksum.
	ErrChecksum Status = C.DM_ERROR_CHECKSUM
	// Shapes, counts or lengths do not match.
	ErrShapeMismatch Status = C.DM_ERROR_SHAPE_MISMATCH
	// No file, tensor or image has that name or index.
	ErrNotFound Status = C.DM_ERROR_NOT_FOUND
	// The call overlaps another in its context, or the object cannot do this now.
	ErrWrongState Status = C.DM_ERROR_WRONG_STATE
	// Valid, but not available in this build of the library.
	ErrUnsupported Status = C.DM_ERROR_UNSUPPORTED
	// Stopped by Cancel, by a context.Context, or by a callback that returned this value.
	ErrCancelled Status = C.DM_ERROR_CANCELLED
	// A loss, image, weight, EMA or moment is infinite or NaN.
	ErrNotFinite Status = C.DM_ERROR_NOT_FINITE
	// A thread could not be started.
	ErrThread Status = C.DM_ERROR_THREAD
	// A callback returned an error, which the *Error wraps.
	ErrCallbackFailed Status = C.DM_ERROR_CALLBACK_FAILED
	// A defect of the library.
	ErrInternal Status = C.DM_ERROR_INTERNAL
)

// String returns the name in C, such as "DM_ERROR_IO".
func (s Status) String() string { return C.GoString(C.dm_status_name(C.dm_status(s))) }

// Error returns a line about the status, such as "input or output failed".
func (s Status) Error() string { return C.GoString(C.dm_status_message(C.dm_status(s))) }

// Error is the error of every function of this package. errors.Is finds its Status, the error that
// a callback returned, the context.Context's error where that ended the call, fs.ErrNotExist where
// a file is missing, and fs.ErrClosed where an object was closed.
type Error struct {
	Status  Status
	Message string // the reason, with the names and values concerned; may be empty
	cause   error
}

// Error returns the message or, where there is none, the line about the status.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Status.Error()
	}
	return e.Message
}

// Is reports whether target is the error's status.
func (e *Error) Is(target error) bool {
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Unwrap returns the error that caused this one, or nil.
func (e *Error) Unwrap() error { return e.cause }

func invalid(message string) error {
	return &Error{Status: ErrInvalidArgument, Message: message}
}

// statusError is the error of a function that takes no object and therefore has no text.
func statusError(status C.dm_status, message string) error {
	if status == C.DM_OK {
		return nil
	}
	return &Error{Status: Status(status), Message: message}
}

// fileError adds fs.ErrNotExist to the error of a function that opens a file which is missing.
func fileError(err error, path string) error {
	var e *Error
	if errors.As(err, &e) && e.Status == ErrNotFound && e.cause == nil {
		if _, stat := os.Stat(path); errors.Is(stat, fs.ErrNotExist) {
			e.cause = fs.ErrNotExist
		}
	}
	return err
}

// checkText refuses what C would cut short.
func checkText(what, text string) error {
	if strings.IndexByte(text, 0) >= 0 {
		return invalid(what + " contains a zero byte")
	}
	return nil
}
