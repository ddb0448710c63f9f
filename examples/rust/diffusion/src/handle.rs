// SPDX-License-Identifier: MIT
//! A C object together with what it keeps alive, and handles that cancel its work.
use crate::claim::{Garbage, Keep};
use crate::context::ContextInner;
use crate::{sys, Result};
use std::fmt;
use std::os::raw::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// A C object with a destroy function.
pub(crate) trait Object {
    /// # Safety
    /// `raw` is a live object, and its context is in no other call.
    unsafe fn destroy(raw: *mut Self);
}

macro_rules! object {
    ($($name:ident: $destroy:ident),*) => {$(
        impl Object for sys::$name {
            unsafe fn destroy(raw: *mut Self) {
                // SAFETY: as the caller promises.
                unsafe { sys::$destroy(raw) }
            }
        }
    )*};
}

object!(
    dm_schedule: dm_schedule_destroy,
    dm_unet: dm_unet_destroy,
    dm_dataset: dm_dataset_destroy,
    dm_trainer: dm_trainer_destroy,
    dm_sampler: dm_sampler_destroy
);

pub(crate) struct Handle<T: Object> {
    pub raw: *mut T,
    pub context: Arc<ContextInner>,
    keep: Vec<Keep>,
}

// SAFETY: the library's objects may be used from any thread. Calls are made under a claim of the
// context, which no two threads have at once, except for those that may overlap others. `keep` is
// Send and reached through &mut only.
unsafe impl<T: Object> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T: Object> Sync for Handle<T> {}

impl<T: Object> Handle<T> {
    /// Makes an object with `create`, a create or load function of the library.
    pub fn create(
        context: &Arc<ContextInner>,
        keep: Vec<Keep>,
        create: impl FnOnce(*mut *mut T, *mut sys::dm_context) -> i32,
    ) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        let ended = context.try_call(|context| create(&mut raw, context));
        // Before a panic of a callback goes on, so that the object is destroyed.
        let handle = (!raw.is_null()).then(|| Handle { raw, context: context.clone(), keep });
        ended.finish()?;
        Ok(handle.expect("a call that succeeds creates an object"))
    }

    /// A call on the object, under a claim of its context.
    pub fn call(&self, function: impl FnOnce(*mut T) -> i32) -> Result<()> {
        self.context.call(|_| function(self.raw))
    }

    /// Replaces what is kept alive beside the parents, from element `first` on.
    pub fn keep_from(&mut self, first: usize, keep: Vec<Keep>) {
        self.keep.truncate(first);
        self.keep.extend(keep);
    }
}

impl<T: Object> Drop for Handle<T> {
    fn drop(&mut self) {
        unsafe fn destroy<T: Object>(raw: *mut c_void) {
            // SAFETY: raw is the object of a handle.
            unsafe { T::destroy(raw.cast()) }
        }
        self.context.claims.destroy(Garbage {
            raw: self.raw.cast(),
            destroy: destroy::<T>,
            keep: std::mem::take(&mut self.keep),
        });
    }
}

/// Stops the work of a [`Trainer`](crate::Trainer) or [`Sampler`](crate::Sampler) from any thread.
///
/// It does not keep that object alive: after the object is gone, it does nothing.
#[derive(Clone)]
pub struct CancelHandle {
    cancel: Arc<Mutex<Option<Cancel>>>,
}

/// Calls the C cancel function of a live object.
type Cancel = Box<dyn Fn() + Send>;

impl CancelHandle {
    pub(crate) fn new<T: Object + 'static>(
        handle: &Handle<T>,
        function: unsafe extern "C" fn(*mut T),
    ) -> Self {
        struct Address<T>(*mut T);
        // SAFETY: the cancel functions may be called from any thread.
        unsafe impl<T> Send for Address<T> {}
        impl<T> Address<T> {
            fn get(&self) -> *mut T {
                self.0
            }
        }
        let address = Address(handle.raw);
        // SAFETY: `close` removes the closure before the object is destroyed.
        let cancel: Cancel = Box::new(move || unsafe { function(address.get()) });
        CancelHandle { cancel: Arc::new(Mutex::new(Some(cancel))) }
    }

    /// Stops the run in progress after its current step with
    /// [`Status::CANCELLED`](crate::Status::CANCELLED); if none is, the next call that would do a
    /// step returns that status instead.
    pub fn cancel(&self) {
        if let Some(cancel) = &*self.cancel.lock().unwrap_or_else(PoisonError::into_inner) {
            cancel();
        }
    }

    /// To be called before the object is destroyed.
    pub(crate) fn close(&self) {
        *self.cancel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelHandle")
    }
}
