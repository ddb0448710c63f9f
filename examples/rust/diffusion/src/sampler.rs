// SPDX-License-Identifier: MIT
//! Sampling.
use crate::callback::{Hook, HookBox};
use crate::claim::Keep;
use crate::context::Context;
use crate::denoiser::{evaluate, DenoiserInput, Evaluate};
use crate::error::CallbackResult;
use crate::handle::{CancelHandle, Handle};
use crate::plain::{new_raw, to_raw, Plain};
use crate::sampler_hooks::{guide, noise, progress, Guide, Noise, Progress, SamplerHooks};
use crate::schedule::Schedule;
use crate::unet::{images, Unet};
use crate::{sys, Denoiser, Error, Result, SamplerOptions, SamplerRequest, Status};
use std::fmt;

/// Turns noise into images with a network or with a closure.
///
/// The sampler keeps network and schedule alive. A held run ([`start`](Sampler::start),
/// [`step`](Sampler::step), [`finish`](Sampler::finish)) gives the same bits as
/// [`run`](Sampler::run), for a caller that must not block; a sampler holds one at a time.
pub struct Sampler {
    handle: Handle<sys::dm_sampler>,
    cancel: CancelHandle,
    /// Images of the held run, 0 without one.
    held: u64,
}

/// The noise level of one model evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SamplerLevel {
    /// 0 to T-1, whole or fractional.
    pub timestep: f64,
    /// x = signal x_0 + noise eps.
    pub signal: f64,
    /// x = signal x_0 + noise eps.
    pub noise: f64,
}

/// The number of elements of `Handle::keep` that a sampler is made from.
const PARENTS: usize = 2;

/// What a held run refers to.
struct Held {
    _request: SamplerRequest,
    _progress: Option<HookBox<Progress<'static>>>,
    _noise: Option<HookBox<Noise<'static>>>,
    _guide: Option<HookBox<Guide<'static>>>,
}

impl Sampler {
    /// Samples with a network. The schedule may be of another context.
    pub fn new(unet: &Unet, schedule: &Schedule, options: &SamplerOptions) -> Result<Sampler> {
        let raw = to_raw(options);
        let keep: Vec<Keep> =
            vec![Box::new(unet.handle.clone()), Box::new(schedule.handle.clone())];
        // SAFETY: live objects, and an initialised struct whose lists are copied.
        Self::create(&unet.context(), keep, |out, _| unsafe {
            sys::dm_sampler_create(out, unet.handle.raw, schedule.handle.raw, &raw)
        })
    }

    /// Samples with a model of the caller's: `model` gets its inputs and writes its output
    /// `[count, height, width, channels]`, which is all 0 before. An error stops the run with
    /// [`Status::CALLBACK_FAILED`].
    pub fn with_denoiser(
        context: &Context,
        schedule: &Schedule,
        about: &Denoiser,
        options: &SamplerOptions,
        model: impl FnMut(&DenoiserInput<'_>, &mut [f32]) -> CallbackResult + Send + 'static,
    ) -> Result<Sampler> {
        let hook: HookBox<Evaluate> = HookBox::new(&context.inner, Box::new(model));
        let mut denoiser = to_raw(about);
        denoiser.evaluate = Some(evaluate);
        denoiser.user = hook.user();
        let raw = to_raw(options);
        let keep: Vec<Keep> = vec![Box::new(schedule.handle.clone()), Box::new(hook)];
        // SAFETY: live objects and initialised structs; the hook lives longer than the sampler.
        Self::create(context, keep, |out, context| unsafe {
            sys::dm_sampler_create_with_denoiser(out, context, schedule.handle.raw, &denoiser, &raw)
        })
    }

    fn create(
        context: &Context,
        keep: Vec<Keep>,
        create: impl FnOnce(*mut *mut sys::dm_sampler, *mut sys::dm_context) -> i32,
    ) -> Result<Sampler> {
        debug_assert_eq!(keep.len(), PARENTS);
        let handle = Handle::create(&context.inner, keep, create)?;
        let cancel = CancelHandle::new(&handle, sys::dm_sampler_cancel);
        Ok(Sampler { handle, cancel, held: 0 })
    }

    /// Its context.
    pub fn context(&self) -> Context {
        Context { inner: self.handle.context.clone() }
    }

    /// The options in effect: what was left to the solver is filled in. Lists of custom levels are
    /// None, with their `custom_count` kept; see [`levels`](Sampler::levels).
    pub fn options(&self) -> Result<SamplerOptions> {
        let mut raw = new_raw::<SamplerOptions>();
        let size = std::mem::size_of_val(&raw);
        // SAFETY: an initialised struct of that size.
        self.handle.call(|s| unsafe { sys::dm_sampler_get_options(s, &mut raw, size) })?;
        Ok(SamplerOptions::from_raw(&raw))
    }

    /// Height, width and channels of an image.
    pub fn shape(&self) -> [i32; 3] {
        let [mut height, mut width, mut channels] = [0; 3];
        // SAFETY: properties that never change, and places for them.
        unsafe {
            sys::dm_sampler_shape(self.handle.raw, &mut height, &mut width, &mut channels);
        }
        [height, width, channels]
    }

    /// Number of steps of a run with strength 1 and without RePaint.
    pub fn steps(&self) -> usize {
        // SAFETY: a property that never changes.
        unsafe { sys::dm_sampler_steps(self.handle.raw) }.max(0) as usize
    }

    /// Number of model evaluations of such a run.
    pub fn evaluations(&self) -> usize {
        // SAFETY: a property that never changes.
        unsafe { sys::dm_sampler_evaluations(self.handle.raw) }.max(0) as usize
    }

    /// The noise level of each model evaluation, in order.
    pub fn levels(&self) -> Result<Vec<SamplerLevel>> {
        let count = self.evaluations();
        let mut values = vec![0.0f64; 3 * count];
        let (timesteps, rest) = values.split_at_mut(count);
        let (signal, noise) = rest.split_at_mut(count);
        // SAFETY: three arrays of that length.
        self.handle.call(|s| unsafe {
            sys::dm_sampler_get_levels(
                s,
                timesteps.as_mut_ptr(),
                signal.as_mut_ptr(),
                noise.as_mut_ptr(),
                count,
            )
        })?;
        let level = |i| SamplerLevel { timestep: timesteps[i], signal: signal[i], noise: noise[i] };
        Ok((0..count).map(level).collect())
    }

    /// Samples `request.count` images `[count, height, width, channels]` in [-1, 1].
    pub fn run(&mut self, request: &SamplerRequest) -> Result<Vec<f32>> {
        self.run_with(request, SamplerHooks::new())
    }

    /// As [`run`](Sampler::run), with closures for progress, noise and guidance.
    pub fn run_with(
        &mut self,
        request: &SamplerRequest,
        hooks: SamplerHooks<'_>,
    ) -> Result<Vec<f32>> {
        let mut result = images(request.count, self.shape())?;
        self.run_into(request, hooks, &mut result)?;
        Ok(result)
    }

    /// As [`run_with`](Sampler::run_with), into an array of that size. After an error only the
    /// images of finished batches are defined.
    pub fn run_into(
        &mut self,
        request: &SamplerRequest,
        hooks: SamplerHooks<'_>,
        images: &mut [f32],
    ) -> Result<()> {
        // SAFETY: a request that is complete, and an array with its length.
        self.with_request(request, hooks, |sampler, request| unsafe {
            sys::dm_sampler_run(sampler, request, images.as_mut_ptr(), images.len())
        })
    }

    /// The initial noise x_T of that request, `[count, height, width, channels]`. It may be edited
    /// or interpolated and become a request's `initial_noise`.
    pub fn initial_noise(&mut self, request: &SamplerRequest) -> Result<Vec<f32>> {
        let mut result = images(request.count, self.shape())?;
        // SAFETY: as in run_into.
        self.with_request(request, SamplerHooks::new(), |sampler, request| unsafe {
            sys::dm_sampler_initial_noise(sampler, request, result.as_mut_ptr(), result.len())
        })?;
        Ok(result)
    }

    /// DDIM inversion (Song, Meng and Ermon 2021, sec. 4.3): from the request's `image` to the
    /// noise from which DDIM with eta 0 samples it, approximately.
    pub fn invert(
        &mut self,
        request: &SamplerRequest,
        hooks: SamplerHooks<'_>,
    ) -> Result<Vec<f32>> {
        let mut result = images(request.count, self.shape())?;
        // SAFETY: as in run_into.
        self.with_request(request, hooks, |sampler, request| unsafe {
            sys::dm_sampler_invert(sampler, request, result.as_mut_ptr(), result.len())
        })?;
        Ok(result)
    }

    fn with_request(
        &mut self,
        request: &SamplerRequest,
        hooks: SamplerHooks<'_>,
        function: impl FnOnce(*mut sys::dm_sampler, *const sys::dm_sampler_request) -> i32,
    ) -> Result<()> {
        let mut raw = to_raw(request);
        let context = &self.handle.context;
        let mut progress_hook = hooks.progress.map(|closure| Hook::new(context, closure));
        let mut noise_hook = hooks.noise.map(|closure| Hook::new(context, closure));
        let mut guide_hook = hooks.guide.map(|closure| Hook::new(context, closure));
        if let Some(hook) = &mut progress_hook {
            raw.progress = Some(progress);
            raw.progress_user = hook.user();
        }
        if let Some(hook) = &mut noise_hook {
            raw.noise = Some(noise);
            raw.noise_user = hook.user();
        }
        if let Some(hook) = &mut guide_hook {
            raw.guide = Some(guide);
            raw.guide_user = hook.user();
        }
        self.handle.call(|sampler| function(sampler, &raw))
    }

    /// Begins a held run. It owns the request and the closures until it is finished.
    pub fn start(&mut self, request: SamplerRequest, hooks: SamplerHooks<'static>) -> Result<()> {
        let mut raw = to_raw(&request);
        let context = &self.handle.context;
        let progress_hook = hooks.progress.map(|closure| HookBox::new(context, closure));
        let noise_hook = hooks.noise.map(|closure| HookBox::new(context, closure));
        let guide_hook = hooks.guide.map(|closure| HookBox::new(context, closure));
        if let Some(hook) = &progress_hook {
            raw.progress = Some(progress);
            raw.progress_user = hook.user();
        }
        if let Some(hook) = &noise_hook {
            raw.noise = Some(noise);
            raw.noise_user = hook.user();
        }
        if let Some(hook) = &guide_hook {
            raw.guide = Some(guide);
            raw.guide_user = hook.user();
        }
        let sampler = self.handle.raw;
        // SAFETY: `held` keeps the request's arrays and the hooks in their places until the run has
        // ended, since a sampler that holds a run refuses to start one.
        let ended = context.try_call(|_| unsafe { sys::dm_sampler_start(sampler, &raw) });
        if ended.is_ok() {
            self.held = request.count;
            let held = Held {
                _request: request,
                _progress: progress_hook,
                _noise: noise_hook,
                _guide: guide_hook,
            };
            self.handle.keep_from(PARENTS, vec![Box::new(held)]);
        }
        ended.finish()
    }

    /// One step of one batch of the held run; returns the steps of all batches that remain. Fails
    /// with [`Status::WRONG_STATE`] if the network's weights have changed since the run began. An
    /// error otherwise ends the run.
    pub fn step(&mut self) -> Result<usize> {
        let mut left = 0;
        // SAFETY: a place for the number.
        self.handle.call(|s| unsafe { sys::dm_sampler_step(s, &mut left) })?;
        Ok(left.max(0) as usize)
    }

    /// x_0 as predicted at the last step of the held run, `[count, height, width, channels]`; 0 for
    /// images whose batch has not begun.
    pub fn preview(&self) -> Result<Vec<f32>> {
        let mut result = images(self.held, self.shape())?;
        // SAFETY: an array with its length.
        self.handle.call(|s| unsafe {
            sys::dm_sampler_get_preview(s, result.as_mut_ptr(), result.len())
        })?;
        Ok(result)
    }

    /// Ends the held run and returns its images `[count, height, width, channels]`. Fails with
    /// [`Status::WRONG_STATE`] if steps are left; the run stays then.
    pub fn finish(&mut self) -> Result<Vec<f32>> {
        if self.held == 0 {
            return Err(Error::new(Status::WRONG_STATE, "sampler: no run is held"));
        }
        let mut result = images(self.held, self.shape())?;
        // SAFETY: an array with its length.
        self.handle
            .call(|s| unsafe { sys::dm_sampler_finish(s, result.as_mut_ptr(), result.len()) })?;
        self.release();
        Ok(result)
    }

    /// Ends the held run without its images, and discards a request to cancel.
    pub fn abandon(&mut self) -> Result<()> {
        // SAFETY: NULL and 0 stand for no images.
        self.handle.call(|s| unsafe { sys::dm_sampler_finish(s, std::ptr::null_mut(), 0) })?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        self.held = 0;
        self.handle.keep_from(PARENTS, Vec::new());
    }

    /// A handle that stops this sampler's work from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.cancel.close();
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").field("shape", &self.shape()).finish_non_exhaustive()
    }
}

/// Spherical interpolation (Shoemake 1985) between two noise arrays of equal length, `weight` from
/// 0 for `a` to 1 for `b`.
pub fn noise_interpolate(a: &[f32], b: &[f32], weight: f64) -> Result<Vec<f32>> {
    if a.len() != b.len() {
        return Err(Error::shape("b", b.len(), a.len()));
    }
    let mut result = vec![0.0f32; a.len()];
    // SAFETY: three arrays of that length.
    let status = Status(unsafe {
        let out = result.as_mut_ptr();
        sys::dm_noise_interpolate(out, a.as_ptr(), b.as_ptr(), weight, a.len())
    });
    match status {
        Status::OK => Ok(result),
        status => Err(Error::of_status(status)),
    }
}
