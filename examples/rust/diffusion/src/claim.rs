// SPDX-License-Identifier: MIT
//! Which thread is in a call of a context, and what was dropped meanwhile.
//!
//! The library refuses calls that overlap, destroy functions included, so an object that is
//! dropped while another thread is in a call, or inside a callback, could not be destroyed at that
//! moment. `Claims` therefore records the call in progress; such objects wait in a list, and the
//! thread that is in the call destroys them at its end.
use crate::{Error, Result, Status};
use std::any::Any;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What an object keeps alive: closures and the objects that it was made from.
pub(crate) type Keep = Box<dyn Any + Send>;

/// A C object that is about to be destroyed, before what it keeps alive.
pub(crate) struct Garbage {
    pub raw: *mut c_void,
    pub destroy: unsafe fn(*mut c_void),
    pub keep: Vec<Keep>,
}

// SAFETY: C objects may be used from any thread, and keep is Send.
unsafe impl Send for Garbage {}

/// How a callback stopped its call.
pub(crate) enum Failure {
    Error(Box<dyn std::error::Error + Send + Sync>),
    Panic(Box<dyn Any + Send>),
}

#[derive(Default)]
struct State {
    owner: Option<ThreadId>,
    /// In a callback that may not call the context at all.
    closed: bool,
    garbage: Vec<Garbage>,
    failure: Option<Failure>,
}

#[derive(Default)]
pub(crate) struct Claims(Mutex<State>);

/// The right to call; released by drop.
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    outermost: bool,
}

impl Claims {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails while another thread is in a call. Inside a callback the claim is nested: the library
    /// itself knows which calls are allowed there.
    pub fn enter(&self) -> Result<Claim<'_>> {
        let own = thread::current().id();
        let mut state = self.state();
        let outermost = state.owner.is_none();
        if state.owner.map_or(false, |owner| owner != own) || state.closed {
            return Err(Error::of_status(Status::WRONG_STATE));
        }
        state.owner = Some(own);
        Ok(Claim { claims: self, outermost })
    }

    /// Destroys an object, now or when the call in progress ends.
    pub fn destroy(&self, garbage: Garbage) {
        let mut state = self.state();
        state.garbage.push(garbage);
        if state.owner.is_none() {
            state.owner = Some(thread::current().id());
            drop(state);
            drop(Claim { claims: self, outermost: true });
        }
    }

    /// Keeps the reason why a callback stops its call, the first one if there are several.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.state();
        let unused = match state.failure {
            Some(_) => Some(failure),
            None => state.failure.replace(failure),
        };
        drop(state);
        drop(unused); // not while the lock is held: its drop may be a caller's code
    }

    /// Whether nested calls are refused here, too; returns the value before.
    pub fn set_closed(&self, closed: bool) -> bool {
        std::mem::replace(&mut self.state().closed, closed)
    }
}

impl Claim<'_> {
    pub fn is_outermost(&self) -> bool {
        self.outermost
    }

    pub fn take_failure(&self) -> Option<Failure> {
        if self.outermost {
            self.claims.state().failure.take()
        } else {
            None
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        loop {
            let mut state = self.claims.state();
            let garbage = std::mem::take(&mut state.garbage);
            if garbage.is_empty() {
                state.owner = None;
                let unused = state.failure.take(); // of a log callback during a destroy function
                drop(state);
                drop(unused);
                return;
            }
            drop(state);
            for item in garbage {
                // SAFETY: raw is a live object which nothing else refers to any more, and this
                // thread is in no call of its context. `keep` is dropped after it; what that adds
                // to the list is destroyed in the next round.
                unsafe { (item.destroy)(item.raw) };
                // A closure's own drop may panic; that must not end this loop, nor reach a caller
                // that has nothing to do with it.
                let keep = item.keep;
                let _ = catch_unwind(AssertUnwindSafe(|| drop(keep)));
            }
        }
    }
}
