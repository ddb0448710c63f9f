// SPDX-License-Identifier: MIT
//! Closures of a context: the log, and a loop on the caller's threads.
use crate::claim::{Claims, Failure};
use crate::enumeration::LogLevel;
use crate::sys;
use std::ffi::CStr;
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

type Log = Box<dyn Fn(LogLevel, &str) + Send + Sync>;
type ParallelFor = Box<dyn Fn(usize, &(dyn Fn(usize) + Sync)) + Send + Sync>;

/// Closures that a [`Context`](crate::Context) calls. They must make no call on that context or
/// its objects; such calls fail with [`Status::WRONG_STATE`](crate::Status::WRONG_STATE). A panic
/// in one goes on when the library's call ends.
#[derive(Default)]
pub struct ContextHooks {
    log: Option<Log>,
    parallel_for: Option<ParallelFor>,
}

impl ContextHooks {
    /// None of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Receives notes that are not errors, one line each.
    #[must_use]
    pub fn log(mut self, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Runs `body(i)` for i from 0 to count - 1, in any order, on any threads, and returns when
    /// all have ended, in place of the context's own threads; `count` is at most the context's
    /// `threads`. An index that the closure leaves out is run when it has returned.
    #[must_use]
    pub fn parallel_for(
        mut self,
        run: impl Fn(usize, &(dyn Fn(usize) + Sync)) + Send + Sync + 'static,
    ) -> Self {
        self.parallel_for = Some(Box::new(run));
        self
    }
}

impl fmt::Debug for ContextHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextHooks")
            .field("log", &self.log.is_some())
            .field("parallel_for", &self.parallel_for.is_some())
            .finish()
    }
}

/// The hooks of a live context, in a place that does not change.
pub(crate) struct Hooks {
    hooks: ContextHooks,
    claims: Arc<Claims>,
}

impl Hooks {
    pub fn new(hooks: ContextHooks, claims: Arc<Claims>) -> Self {
        Hooks { hooks, claims }
    }

    pub fn write(&mut self, options: &mut sys::dm_context_options) {
        let user: *mut c_void = (self as *mut Self).cast();
        if self.hooks.log.is_some() {
            options.log = Some(log);
            options.log_user = user;
        }
        if self.hooks.parallel_for.is_some() {
            options.parallel_for = Some(parallel_for);
            options.parallel_user = user;
        }
    }

    /// Runs a closure while calls on the context are refused; a panic ends there and is kept.
    fn run(&self, body: impl FnOnce(&ContextHooks)) {
        let before = self.claims.set_closed(true);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&self.hooks))) {
            self.claims.fail(Failure::Panic(panic));
        }
        self.claims.set_closed(before);
    }
}

unsafe extern "C" fn log(user: *mut c_void, level: i32, message: *const c_char) {
    // SAFETY: `user` is the context's hooks, and the message a string.
    let (hooks, message) = unsafe { (&*user.cast::<Hooks>(), CStr::from_ptr(message)) };
    hooks.run(|hooks| {
        if let Some(log) = &hooks.log {
            log(LogLevel(level), &message.to_string_lossy());
        }
    });
}

/// The library's task, which may run on any thread.
struct Task {
    body: Option<unsafe extern "C" fn(*mut c_void, i32)>,
    data: *mut c_void,
    begun: Vec<AtomicBool>,
}

// SAFETY: the library's task is made to run on several threads; each index runs once.
unsafe impl Sync for Task {}

impl Task {
    fn run(&self, index: usize) {
        if let (Some(body), false) = (self.body, self.begun[index].swap(true, Ordering::Relaxed)) {
            // SAFETY: an index in range which has not run.
            unsafe { body(self.data, index as i32) }
        }
    }
}

unsafe extern "C" fn parallel_for(
    user: *mut c_void,
    count: i32,
    body: Option<unsafe extern "C" fn(*mut c_void, i32)>,
    data: *mut c_void,
) {
    // SAFETY: `user` is the context's hooks.
    let hooks = unsafe { &*user.cast::<Hooks>() };
    let count = count.max(0) as usize;
    let task = Task { body, data, begun: (0..count).map(|_| AtomicBool::new(false)).collect() };
    hooks.run(|hooks| {
        if let Some(run) = &hooks.parallel_for {
            run(count, &|index| task.run(index));
        }
    });
    for index in 0..count {
        task.run(index);
    }
}
