// SPDX-License-Identifier: MIT
//! Contexts: memory, threads and error text.
use crate::claim::{Claim, Claims, Failure};
use crate::hooks::{ContextHooks, Hooks};
use crate::plain::{new_raw, to_raw, Plain};
use crate::{sys, ContextOptions, Error, ProfileRow, Result, Status};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

/// Memory, threads and error text; every other object is created in a context.
///
/// A `Context` is a handle that is cheap to clone. The C context lives as long as a clone or an
/// object of it. Objects may be used from any thread, but calls on one context and its objects
/// must not overlap: a call that does fails with [`Status::WRONG_STATE`]. Different contexts are
/// independent.
#[derive(Clone)]
pub struct Context {
    pub(crate) inner: Arc<ContextInner>,
}

pub(crate) struct ContextInner {
    pub raw: *mut sys::dm_context,
    pub claims: Arc<Claims>,
    _hooks: Box<Hooks>,
}

// SAFETY: a context may be used from any thread, and the claims keep its calls apart.
unsafe impl Send for ContextInner {}
// SAFETY: as above.
unsafe impl Sync for ContextInner {}

/// A call that has ended; `finish` lets a panic of a callback go on.
pub(crate) struct Ended {
    result: Result<()>,
    failure: Option<Failure>,
}

impl Ended {
    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    pub fn finish(self) -> Result<()> {
        match self.failure {
            Some(Failure::Panic(panic)) => resume_unwind(panic),
            Some(Failure::Error(error)) => self.result.map_err(|e| e.with_source(Some(error))),
            None => self.result,
        }
    }
}

impl ContextInner {
    pub fn try_call(&self, function: impl FnOnce(*mut sys::dm_context) -> i32) -> Ended {
        let claim = match self.claims.enter() {
            Ok(claim) => claim,
            Err(error) => return Ended { result: Err(error), failure: None },
        };
        let status = Status(function(self.raw));
        let failure = claim.take_failure();
        let result = if status == Status::OK { Ok(()) } else { Err(self.error(status, &claim)) };
        Ended { result, failure }
    }

    /// Runs a C call under a claim and gives its status as a result.
    pub fn call(&self, function: impl FnOnce(*mut sys::dm_context) -> i32) -> Result<()> {
        self.try_call(function).finish()
    }

    fn error(&self, status: Status, claim: &Claim<'_>) -> Error {
        if status == Status::WRONG_STATE && !claim.is_outermost() {
            return Error::of_status(status); // a call that is refused in a callback writes no text
        }
        let mut text = vec![0u8; 512];
        loop {
            let mut size = 0;
            let pointer = text.as_mut_ptr().cast();
            // SAFETY: the context is alive; text has the capacity that is passed.
            let copied =
                unsafe { sys::dm_context_error_copy(self.raw, pointer, text.len(), &mut size) };
            if copied != sys::DM_OK || size <= 1 {
                return Error::of_status(status);
            }
            if size <= text.len() {
                return Error::new(status, String::from_utf8_lossy(&text[..size - 1]));
            }
            text.resize(size, 0);
        }
    }
}

impl Drop for ContextInner {
    fn drop(&mut self) {
        // SAFETY: every object of the context held a reference to it, so all are destroyed.
        unsafe { sys::dm_context_destroy(self.raw) }
    }
}

/// Memory that a context has allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes in use.
    pub used: u64,
    /// The largest number of bytes in use so far.
    pub peak: u64,
    /// The number of allocations so far.
    pub allocations: u64,
}

impl Context {
    /// A new context. Starts `options.threads - 1` threads, which sleep between calls.
    ///
    /// Fails with [`Status::UNSUPPORTED_VERSION`] if the linked library is older than this crate.
    pub fn new(options: &ContextOptions) -> Result<Context> {
        Context::with_hooks(options, ContextHooks::new())
    }

    /// A new context with a log or with threads of the caller's.
    pub fn with_hooks(options: &ContextOptions, hooks: ContextHooks) -> Result<Context> {
        if crate::version() < sys::DM_VERSION {
            let text = format!("the library is version {}", crate::version_string());
            return Err(Error::new(Status::UNSUPPORTED_VERSION, text));
        }
        let claims = Arc::<Claims>::default();
        let mut hooks = Box::new(Hooks::new(hooks, claims.clone()));
        let mut raw_options = to_raw(options);
        hooks.write(&mut raw_options);
        let mut raw = std::ptr::null_mut();
        let mut text = [0u8; 512];
        // SAFETY: the hooks stay in their box until the context is destroyed; text has the
        // capacity that is passed.
        let status = Status(unsafe {
            let error = text.as_mut_ptr().cast();
            sys::dm_context_create(&mut raw, &raw_options, error, text.len())
        });
        if status != Status::OK {
            let end = text.iter().position(|&c| c == 0).unwrap_or(text.len());
            return Err(Error::new(status, String::from_utf8_lossy(&text[..end])));
        }
        Ok(Context { inner: Arc::new(ContextInner { raw, claims, _hooks: hooks }) })
    }

    /// Memory in use. May be called at any time.
    pub fn memory(&self) -> Result<Memory> {
        let mut memory = Memory { used: 0, peak: 0, allocations: 0 };
        // SAFETY: this call may overlap others; three places for the results.
        let status = unsafe {
            sys::dm_context_get_memory(
                self.inner.raw,
                &mut memory.used,
                &mut memory.peak,
                &mut memory.allocations,
            )
        };
        match Status(status) {
            Status::OK => Ok(memory),
            status => Err(Error::of_status(status)),
        }
    }

    /// Threads that compute, the caller's included.
    pub fn threads(&self) -> usize {
        // SAFETY: a property that never changes.
        unsafe { sys::dm_context_threads(self.inner.raw) }.max(0) as usize
    }

    /// Where the time went, in a context created with `profile`: one row for each operation, part
    /// and shape, in order of first use.
    pub fn profile_rows(&self) -> Result<Vec<ProfileRow>> {
        let mut count = 0;
        // SAFETY: a place for the number.
        self.inner.call(|raw| unsafe { sys::dm_context_get_profile_rows(raw, &mut count) })?;
        let mut rows = Vec::new();
        for index in 0..count {
            let mut row = new_raw::<ProfileRow>();
            // SAFETY: an initialised struct for the result.
            self.inner
                .call(|raw| unsafe { sys::dm_context_get_profile_row(raw, index, &mut row) })?;
            rows.push(ProfileRow::from_raw(&row));
        }
        Ok(rows)
    }

    /// Removes all rows.
    pub fn profile_reset(&self) -> Result<()> {
        // SAFETY: only the context is used.
        self.inner.call(|raw| unsafe { sys::dm_context_profile_reset(raw) })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

/// Two handles are equal if they are handles of the same context.
impl PartialEq for Context {
    fn eq(&self, other: &Context) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Context {}
