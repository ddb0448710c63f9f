// SPDX-License-Identifier: MIT
//! The frame between C and a closure: nothing unwinds through it.
use crate::claim::{Claims, Failure};
use crate::context::ContextInner;
use crate::error::{CallbackResult, Stop};
use crate::sys;
use std::any::Any;
use std::ffi::CString;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// A closure and the context whose calls run it; C gets its address as `user`.
pub(crate) struct Hook<F> {
    claims: Arc<Claims>,
    context: *mut sys::dm_context,
    function: F,
}

// SAFETY: a context may be used from any thread, and calls of one context do not overlap.
unsafe impl<F: Send> Send for Hook<F> {}

impl<F> Hook<F> {
    pub fn new(context: &ContextInner, function: F) -> Self {
        Hook { claims: context.claims.clone(), context: context.raw, function }
    }

    /// The address that C keeps. The hook must stay in its place until C's last use of it.
    pub fn user(&mut self) -> *mut c_void {
        (self as *mut Self).cast()
    }

    /// Runs the closure at `user`; the result is what a C callback returns.
    ///
    /// # Safety
    /// `user` is from [`Hook::user`] of a `Hook<F>` that is alive and not in use.
    pub unsafe fn run(user: *mut c_void, body: impl FnOnce(&mut F) -> CallbackResult) -> i32 {
        // SAFETY: as above. The library refuses the calls that would run the closure once more
        // before it returns.
        let hook = unsafe { &mut *user.cast::<Self>() };
        let function = &mut hook.function;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            body(function).map_err(|stop| match stop {
                Stop::Cancel => None,
                Stop::Error(error) => Some((error.to_string(), error)),
            })
        }));
        let (text, failure) = match ended {
            Ok(Ok(())) => return 0,
            Ok(Err(None)) => return 1,
            Ok(Err(Some((text, error)))) => (text, Failure::Error(error)),
            Err(panic) => (format!("panic: {}", panic_text(&*panic)), Failure::Panic(panic)),
        };
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the context is in the call that runs this callback; the text is copied.
        unsafe { sys::dm_callback_fail(hook.context, text.as_ptr()) };
        hook.claims.fail(failure);
        1
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return text;
    }
    panic.downcast_ref::<String>().map_or("unknown reason", String::as_str)
}

/// A hook that C refers to for longer than one call; freed by drop.
pub(crate) struct HookBox<F>(*mut Hook<F>);

// SAFETY: it owns the hook.
unsafe impl<F: Send> Send for HookBox<F> {}

impl<F> HookBox<F> {
    pub fn new(context: &ContextInner, function: F) -> Self {
        HookBox(Box::into_raw(Box::new(Hook::new(context, function))))
    }

    pub fn user(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl<F> Drop for HookBox<F> {
    fn drop(&mut self) {
        // SAFETY: from Box::into_raw; C does not use it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// An array that C passes, or an empty slice for NULL.
///
/// # Safety
/// `pointer` is NULL or points to `length` elements that live and do not change for 'a.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    if pointer.is_null() {
        return &[];
    }
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// An array that a callback is to write, set to 0.
///
/// # Safety
/// `pointer` is NULL or points to `length` elements that nothing else uses for 'a, and all bits 0
/// are a value of T.
pub(crate) unsafe fn output<'a, T>(pointer: *mut T, length: usize) -> &'a mut [T] {
    if pointer.is_null() {
        return &mut [];
    }
    // SAFETY: as above.
    unsafe {
        pointer.write_bytes(0, length);
        std::slice::from_raw_parts_mut(pointer, length)
    }
}
