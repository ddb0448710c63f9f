// SPDX-License-Identifier: MIT
//! Closures of a run of sampling.
use crate::callback::{output, slice, Hook};
use crate::error::CallbackResult;
use crate::plain::Plain;
use crate::{sys, NoiseRequest};
use std::fmt;
use std::os::raw::c_void;

/// The state of a run after a step, for images `first` to `first + count - 1` of the request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SamplerProgress<'a> {
    /// Steps done for these images.
    pub step: usize,
    /// Steps in total.
    pub steps: usize,
    /// First image of the request.
    pub first: u64,
    /// Number of images.
    pub count: u64,
    /// `[count, height, width, channels]`, after the step.
    pub x_t: &'a [f32],
    /// Like `x_t`, predicted by the step's last model evaluation.
    pub x_0: &'a [f32],
}

/// The predictions of one model evaluation, for images `first` to `first + count - 1` of the
/// request. A guidance may change `x_0` and `eps`, and set `rederive`.
#[derive(Debug)]
#[non_exhaustive]
pub struct GuidanceStep<'a> {
    /// What is derived anew when the closure has returned.
    pub rederive: Rederive,
    /// First image of the request.
    pub first: u64,
    /// Number of images.
    pub count: u64,
    /// 0 to T-1, whole or fractional.
    pub timestep: f64,
    /// The network's time input ([`Series::TIME`](crate::Series::TIME)).
    pub time: f64,
    /// x = signal x_0 + noise eps.
    pub signal: f64,
    /// x = signal x_0 + noise eps.
    pub noise: f64,
    /// `[count, height, width, channels]`, without input scaling.
    pub x: &'a [f32],
    /// One for each image, -1 for no class; None if the request has none.
    pub labels: Option<&'a [i32]>,
    /// Like `x`; not clipped yet.
    pub x_0: &'a mut [f64],
    /// Like `x`.
    pub eps: &'a mut [f64],
}

/// What is derived anew after a guidance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rederive {
    /// x_0 and eps are used as they are.
    Neither = 0,
    /// eps, from x and x_0.
    Eps = 1,
    /// x_0, from x and eps.
    X0 = 2,
}

pub(crate) type Progress<'a> = Box<dyn FnMut(&SamplerProgress<'_>) -> CallbackResult + Send + 'a>;
pub(crate) type Noise<'a> = Box<dyn FnMut(&NoiseRequest, &mut [f32]) -> CallbackResult + Send + 'a>;

pub(crate) type Guide<'a> = Box<dyn FnMut(&mut GuidanceStep<'_>) -> CallbackResult + Send + 'a>;

/// Closures of a run. Those of a held run must be `'static`.
#[derive(Default)]
pub struct SamplerHooks<'a> {
    pub(crate) progress: Option<Progress<'a>>,
    pub(crate) noise: Option<Noise<'a>>,
    pub(crate) guide: Option<Guide<'a>>,
}

impl<'a> SamplerHooks<'a> {
    /// None of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Called after each step; [`Stop::Cancel`](crate::Stop::Cancel) ends the run with
    /// [`Status::CANCELLED`](crate::Status::CANCELLED).
    #[must_use]
    pub fn progress(
        mut self,
        progress: impl FnMut(&SamplerProgress<'_>) -> CallbackResult + Send + 'a,
    ) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Writes noise `[count, elements]`, all 0 before, in place of the library's. Masked and
    /// repeated steps use the library's all the same. An error ends the run with
    /// [`Status::CALLBACK_FAILED`](crate::Status::CALLBACK_FAILED).
    #[must_use]
    pub fn noise(
        mut self,
        noise: impl FnMut(&NoiseRequest, &mut [f32]) -> CallbackResult + Send + 'a,
    ) -> Self {
        self.noise = Some(Box::new(noise));
        self
    }

    /// Guides the run: called at each model evaluation, after classifier-free guidance and before
    /// x_0 is clipped. It may use a share of the network in another context. An error ends the run
    /// with [`Status::CALLBACK_FAILED`](crate::Status::CALLBACK_FAILED).
    #[must_use]
    pub fn guide(
        mut self,
        guide: impl FnMut(&mut GuidanceStep<'_>) -> CallbackResult + Send + 'a,
    ) -> Self {
        self.guide = Some(Box::new(guide));
        self
    }
}

impl fmt::Debug for SamplerHooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamplerHooks")
            .field("progress", &self.progress.is_some())
            .field("noise", &self.noise.is_some())
            .field("guide", &self.guide.is_some())
            .finish()
    }
}

/// # Safety
/// `user` is a hook of [`Progress`], and the state is complete.
pub(crate) unsafe extern "C" fn progress(
    user: *mut c_void,
    state: *const sys::dm_sampler_progress,
) -> i32 {
    // SAFETY: as above; the arrays have that many elements until the closure returns.
    unsafe {
        Hook::<Progress<'_>>::run(user, |progress| {
            let state = &*state;
            let elements = state.elements as usize;
            progress(&SamplerProgress {
                step: state.step.max(0) as usize,
                steps: state.steps.max(0) as usize,
                first: state.first,
                count: state.count,
                x_t: slice(state.x_t, elements),
                x_0: slice(state.x_0, elements),
            })
        })
    }
}

/// # Safety
/// `user` is a hook of [`Noise`], and `values` has `size` elements.
pub(crate) unsafe extern "C" fn noise(
    user: *mut c_void,
    request: *const sys::dm_noise_request,
    values: *mut f32,
    size: usize,
) -> i32 {
    // SAFETY: as above.
    unsafe {
        Hook::<Noise<'_>>::run(user, |noise| {
            noise(&NoiseRequest::from_raw(&*request), output(values, size))
        })
    }
}

/// # Safety
/// `user` is a hook of [`Guide`], and the step is complete.
pub(crate) unsafe extern "C" fn guide(user: *mut c_void, raw: *mut sys::dm_guidance_step) -> i32 {
    // SAFETY: as above; the arrays have that many elements, and nothing else uses those that may be
    // changed until the closure returns.
    unsafe {
        Hook::<Guide<'_>>::run(user, |guide| {
            let raw = &mut *raw;
            let elements = raw.elements as usize;
            let labels = slice(raw.labels, raw.count as usize);
            let mut step = GuidanceStep {
                rederive: Rederive::Neither,
                first: raw.first,
                count: raw.count,
                timestep: raw.timestep,
                time: raw.time,
                signal: raw.signal,
                noise: raw.noise,
                x: slice(raw.x, elements),
                labels: (!raw.labels.is_null()).then_some(labels),
                x_0: std::slice::from_raw_parts_mut(raw.x_0, elements),
                eps: std::slice::from_raw_parts_mut(raw.eps, elements),
            };
            let result = guide(&mut step);
            raw.rederive = step.rederive as i32;
            result
        })
    }
}
