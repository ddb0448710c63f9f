// SPDX-License-Identifier: MIT
//! Train denoising diffusion models and sample from them, on the CPU: a safe interface of
//! libdiffusion.
//!
//! ```no_run
//! use diffusion::*;
//! # fn main() -> Result<()> {
//! let context = Context::new(&ContextOptions::default())?;
//! let unet = Unet::load(&context, "model.safetensors", Weights::DEFAULT)?;
//! let schedule = Schedule::load(&context, "model.safetensors")?;
//! let options = SamplerOptions { steps: 20, ..SamplerOptions::default() };
//! let mut sampler = Sampler::new(&unet, &schedule, &options)?;
//! let images = sampler.run(&SamplerRequest { count: 4, seed: 7, ..SamplerRequest::default() })?;
//! # let _ = images; Ok(()) }
//! ```
//!
//! Images are `f32` `[count, height, width, channels]` (channels last) in [-1, 1], or `u8` from 0
//! to 255. The same inputs and seeds give the same bits with any number of threads, on one machine
//! with one build of the library.
//!
//! **Ownership.** Every object holds what it was made from by reference count, so that objects can
//! be dropped in any order and stored together in one struct, which lifetimes would not allow.
//!
//! **Threads.** All objects are `Send` and `Sync`. Calls on one context must not overlap; one that
//! overlaps another fails with [`Status::WRONG_STATE`] and does nothing. An object that is dropped
//! during such a call, or in a callback, is destroyed when that call ends. Threads that work at
//! the same time have a context each, and share weights by [`Unet::share`].
//!
//! **Callbacks** are closures that return a [`CallbackResult`]; an `Err` stops the work. They run
//! on the thread that called the library. A panic in one stops the work too and goes on after the
//! library has returned. While a callback runs, calls on its context fail with
//! [`Status::WRONG_STATE`], except for options by name, the functions of [`image`] and
//! [`Context::memory`]; objects of other contexts, and [`CancelHandle`]s, may be used.
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

use diffusion_sys as sys;

mod callback;
mod claim;
mod context;
mod dataset;
mod denoiser;
mod diffusers;
mod enumeration;
mod error;
mod handle;
mod hooks;
pub mod image;
mod plain;
mod sampler;
mod sampler_hooks;
mod schedule;
#[rustfmt::skip] // generated
mod structs;
mod trainer;
mod unet;

pub use context::{Context, Memory};
pub use dataset::{Dataset, DatasetConditions, DatasetHooks, DatasetItem};
pub use denoiser::DenoiserInput;
pub use enumeration::*;
pub use error::{CallbackResult, Error, Result, Stop};
pub use handle::CancelHandle;
pub use hooks::ContextHooks;
pub use plain::{struct_members, struct_names, MemberInfo, Options};
pub use sampler::{noise_interpolate, Sampler, SamplerLevel};
pub use sampler_hooks::{GuidanceStep, Rederive, SamplerHooks, SamplerProgress};
pub use schedule::{Level, Schedule};
pub use structs::*;
pub use trainer::{TrainBatch, Trainer};
pub use unet::{Conditions, TensorInfo, Unet};

/// The largest number of levels of a network.
pub const LEVELS_MAX: usize = sys::DM_LEVELS_MAX;
/// The largest number of EMAs of a trainer.
pub const EMA_MAX: usize = sys::DM_EMA_MAX;

/// The version of the linked library: major * 1000000 + minor * 1000 + patch.
pub fn version() -> u32 {
    // SAFETY: no arguments.
    unsafe { sys::dm_version() }
}

/// The version of the linked library, as "0.9.0".
pub fn version_string() -> &'static str {
    // SAFETY: a string with static storage.
    unsafe { enumeration::static_text(sys::dm_version_string()) }.unwrap_or("")
}

/// One line for bug reports: version, compiler, BLAS library, instruction set.
pub fn build_info() -> &'static str {
    // SAFETY: a string with static storage.
    unsafe { enumeration::static_text(sys::dm_build_info()) }.unwrap_or("")
}

/// Whether this build has a feature and this processor supports it: "blas", "openblas", "blis",
/// "avx2", "avx512", "neon", "bf16". False for unknown names.
pub fn feature(name: &str) -> bool {
    match std::ffi::CString::new(name) {
        // SAFETY: a string with a final 0.
        Ok(name) => unsafe { sys::dm_feature(name.as_ptr()) != 0 },
        Err(_) => false,
    }
}

/// The C name of a status, as "DM_ERROR_IO".
pub fn status_name(status: Status) -> &'static str {
    // SAFETY: a string with static storage.
    unsafe { enumeration::static_text(sys::dm_status_name(status.0)) }.unwrap_or("unknown")
}
