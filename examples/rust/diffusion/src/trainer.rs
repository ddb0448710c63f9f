// SPDX-License-Identifier: MIT
//! Training.
use crate::callback::Hook;
use crate::claim::Keep;
use crate::context::Context;
use crate::dataset::Dataset;
use crate::error::CallbackResult;
use crate::handle::{CancelHandle, Handle};
use crate::plain::{c_path, new_raw, to_raw, Plain};
use crate::schedule::Schedule;
use crate::unet::{save_to_memory, Unet};
use crate::{sys, CheckpointInfo, Error, Result, TrainStats, TrainerOptions};
use std::fmt;
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_void;
use std::path::Path;

/// Trains a network in place: algorithm 1 of Ho et al. (2020) with AdamW and exponential moving
/// averages (EMAs) of the weights.
///
/// A network has one trainer at a time, and none while it is shared. The trainer keeps network and
/// dataset alive; the schedule is copied. All memory of training is allocated when it is created.
pub struct Trainer {
    handle: Handle<sys::dm_trainer>,
    cancel: CancelHandle,
}

/// Images of the caller's for [`Trainer::step_batch`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainBatch<'a> {
    /// `[batch_size * accumulation, height, width, channels]` in [-1, 1].
    pub images: &'a [f32],
    /// Like the images; None: generated.
    pub noise: Option<&'a [f32]>,
    /// One for each image, -1 for no class; None: no classes.
    pub labels: Option<&'a [i32]>,
    /// One for each image, 0 to T-1; None: sampled as `timestep_sampling` says.
    pub timesteps: Option<&'a [i32]>,
    /// `[batch_size * accumulation, height, width, condition_channels]`; None: zeros.
    pub condition_image: Option<&'a [f32]>,
    /// `[batch_size * accumulation, condition_size]`; None: zeros.
    pub condition_vector: Option<&'a [f32]>,
}

impl Trainer {
    /// A trainer of `unet`. The dataset must be of the network's context; it may be None where only
    /// [`step_batch`](Trainer::step_batch) is used.
    pub fn new(
        unet: &Unet,
        schedule: &Schedule,
        dataset: Option<&Dataset>,
        options: &TrainerOptions,
    ) -> Result<Trainer> {
        let raw = to_raw(options);
        let network = unet.handle.raw;
        // SAFETY: live objects and an initialised struct.
        Self::create(unet, dataset, |out| unsafe {
            sys::dm_trainer_create(out, network, schedule.handle.raw, raw_dataset(dataset), &raw)
        })
    }

    /// Continues from a file of [`Trainer::save`], bit for bit as if training had never stopped.
    /// `unet` must have the file's options, as [`Unet::load`] gives, and receives its weights;
    /// schedule and options come from the file.
    pub fn resume(
        unet: &Unet,
        dataset: Option<&Dataset>,
        path: impl AsRef<Path>,
    ) -> Result<Trainer> {
        let path = c_path(path.as_ref())?;
        let network = unet.handle.raw;
        // SAFETY: live objects and a string.
        Self::create(unet, dataset, |out| unsafe {
            sys::dm_trainer_resume(out, network, raw_dataset(dataset), path.as_ptr())
        })
    }

    /// As [`resume`](Trainer::resume), with other options, and perhaps other data: the next step is
    /// taken with `options`, at the file's step and position in the data. `distill_steps` must
    /// stay. An EMA that the file lacks begins as the weights; recorded losses begin anew where
    /// they do not fit. A dataset with another number of images is reported through the log.
    pub fn resume_changed(
        unet: &Unet,
        dataset: Option<&Dataset>,
        path: impl AsRef<Path>,
        options: &TrainerOptions,
    ) -> Result<Trainer> {
        let (path, raw) = (c_path(path.as_ref())?, to_raw(options));
        let (network, data) = (unet.handle.raw, raw_dataset(dataset));
        // SAFETY: live objects, a string and an initialised struct.
        Self::create(unet, dataset, |out| unsafe {
            sys::dm_trainer_resume_changed(out, network, data, path.as_ptr(), &raw)
        })
    }

    /// How far the training of a file of [`Trainer::save`] has come; of one of
    /// [`Unet::save`](crate::Unet::save) only `null_class` is known.
    pub fn load_info(context: &Context, path: impl AsRef<Path>) -> Result<CheckpointInfo> {
        let (path, mut raw) = (c_path(path.as_ref())?, new_raw::<CheckpointInfo>());
        // SAFETY: a string, and an initialised struct for the result.
        context.inner.call(|c| unsafe {
            sys::dm_checkpoint_load_info(c, path.as_ptr(), std::ptr::null_mut(), &mut raw)
        })?;
        Ok(CheckpointInfo::from_raw(&raw))
    }

    /// The options of a file of [`Trainer::save`].
    pub fn load_options(context: &Context, path: impl AsRef<Path>) -> Result<TrainerOptions> {
        let (path, mut raw) = (c_path(path.as_ref())?, new_raw::<TrainerOptions>());
        // SAFETY: as above.
        context.inner.call(|c| unsafe {
            sys::dm_checkpoint_load_info(c, path.as_ptr(), &mut raw, std::ptr::null_mut())
        })?;
        Ok(TrainerOptions::from_raw(&raw))
    }

    /// Continues from a file's bytes.
    pub fn resume_memory(unet: &Unet, dataset: Option<&Dataset>, bytes: &[u8]) -> Result<Trainer> {
        let (network, data) = (unet.handle.raw, raw_dataset(dataset));
        // SAFETY: live objects, and an array with its length.
        Self::create(unet, dataset, |out| unsafe {
            sys::dm_trainer_resume_memory(out, network, data, bytes.as_ptr().cast(), bytes.len())
        })
    }

    fn create(
        unet: &Unet,
        dataset: Option<&Dataset>,
        create: impl FnOnce(*mut *mut sys::dm_trainer) -> i32,
    ) -> Result<Trainer> {
        let mut keep: Vec<Keep> = vec![Box::new(unet.handle.clone())];
        if let Some(dataset) = dataset {
            keep.push(Box::new(dataset.handle.clone()));
        }
        let handle = Handle::create(&unet.handle.context, keep, |out, _| create(out))?;
        let cancel = CancelHandle::new(&handle, sys::dm_trainer_cancel);
        Ok(Trainer { handle, cancel })
    }

    /// The network's context.
    pub fn context(&self) -> Context {
        Context { inner: self.handle.context.clone() }
    }

    /// The options in effect.
    pub fn options(&self) -> Result<TrainerOptions> {
        let mut raw = new_raw::<TrainerOptions>();
        let size = std::mem::size_of_val(&raw);
        // SAFETY: an initialised struct of that size.
        self.handle.call(|t| unsafe { sys::dm_trainer_get_options(t, &mut raw, size) })?;
        Ok(TrainerOptions::from_raw(&raw))
    }

    /// Progressive distillation (Salimans and Ho 2022, algorithm 2), with `distill_steps` above 0:
    /// the teacher whose DDIM steps the network learns to take two at a time. Once, before the
    /// trainer's first step. The teacher is a network of the trainer's context, and may be a share.
    pub fn set_teacher(&mut self, teacher: &Unet) -> Result<()> {
        // The call also reads the context of a network that it refuses.
        let other = &teacher.handle.context;
        let same = std::sync::Arc::ptr_eq(other, &self.handle.context);
        let _claim = if same { None } else { Some(other.claims.enter()?) };
        // SAFETY: live objects; the library keeps the teacher's weights as long as it needs them.
        self.handle.call(|t| unsafe { sys::dm_trainer_set_teacher(t, teacher.handle.raw) })
    }

    /// One step on the dataset's next images, in an order shuffled anew each epoch. Fails with
    /// [`Status::NOT_FINITE`](crate::Status::NOT_FINITE) if loss or gradient is not finite: the
    /// step counts then, but weights, EMAs and moments stay as they were.
    pub fn step(&mut self) -> Result<TrainStats> {
        let mut stats = new_raw::<TrainStats>();
        // SAFETY: an initialised struct for the result.
        self.handle.call(|t| unsafe { sys::dm_trainer_step(t, &mut stats) })?;
        Ok(TrainStats::from_raw(&stats))
    }

    /// One step on images of the caller's.
    pub fn step_batch(&mut self, batch: &TrainBatch<'_>) -> Result<TrainStats> {
        let options = self.options()?;
        let mut raw = MaybeUninit::<sys::dm_train_batch>::zeroed();
        // SAFETY: the call initialises the struct, in which zeros are valid.
        let mut raw = unsafe {
            sys::dm_train_batch_init(raw.as_mut_ptr(), size_of::<sys::dm_train_batch>());
            raw.assume_init()
        };
        raw.count = options.batch_size.max(0) as u64 * options.accumulation.max(0) as u64;
        raw.elements = batch.images.len() as u64;
        raw.images = batch.images.as_ptr();
        if let Some(noise) = batch.noise {
            if noise.len() != batch.images.len() {
                return Err(Error::shape("noise", noise.len(), batch.images.len()));
            }
            raw.noise = noise.as_ptr();
        }
        if let Some(labels) = batch.labels {
            raw.label_count = labels.len() as u64;
            raw.labels = labels.as_ptr();
        }
        if let Some(timesteps) = batch.timesteps {
            raw.timestep_count = timesteps.len() as u64;
            raw.timesteps = timesteps.as_ptr();
        }
        if let Some(image) = batch.condition_image {
            raw.condition_image_elements = image.len() as u64;
            raw.condition_image = image.as_ptr();
        }
        if let Some(vector) = batch.condition_vector {
            raw.condition_vector_elements = vector.len() as u64;
            raw.condition_vector = vector.as_ptr();
        }
        let mut stats = new_raw::<TrainStats>();
        // SAFETY: the arrays of `raw` have the lengths that it says.
        self.handle.call(|t| unsafe { sys::dm_trainer_step_batch(t, &raw, &mut stats) })?;
        Ok(TrainStats::from_raw(&stats))
    }

    /// Trains until `steps` steps are done, counted from the trainer's first. `progress` is called
    /// after each; [`Stop::Cancel`](crate::Stop::Cancel) ends with
    /// [`Status::CANCELLED`](crate::Status::CANCELLED). Steps whose result is not finite are
    /// skipped; ten in a row end the run with [`Status::NOT_FINITE`](crate::Status::NOT_FINITE).
    pub fn run(
        &mut self,
        steps: u64,
        progress: impl FnMut(&TrainStats) -> CallbackResult,
    ) -> Result<()> {
        let mut hook = Hook::new(&self.handle.context, progress);
        let callback = train_callback(&hook);
        // SAFETY: a hook that lives longer than the call.
        self.handle.call(|t| unsafe { sys::dm_trainer_run(t, steps, callback, hook.user()) })
    }

    /// The number of steps done.
    pub fn get_step(&self) -> Result<u64> {
        let mut step = 0;
        // SAFETY: a place for the number.
        self.handle.call(|t| unsafe { sys::dm_trainer_get_step(t, &mut step) })?;
        Ok(step)
    }

    /// Replaces the learning rate, before warm-up and schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        // SAFETY: a number.
        self.handle.call(|t| unsafe { sys::dm_trainer_set_learning_rate(t, learning_rate) })
    }

    /// Copies EMA `index`, 0 to 3, to `target`, a network with the same options that this trainer
    /// does not train. Fails with [`Status::WRONG_STATE`](crate::Status::WRONG_STATE) if that EMA
    /// is not kept.
    pub fn get_ema(&self, index: usize, target: &mut Unet) -> Result<()> {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        // The call also enters the target's context.
        let other = &target.handle.context;
        let same = std::sync::Arc::ptr_eq(other, &self.handle.context);
        let _claim = if same { None } else { Some(other.claims.enter()?) };
        // SAFETY: live objects.
        self.handle.call(|t| unsafe { sys::dm_trainer_get_ema(t, index, target.handle.raw) })
    }

    /// Writes everything to one safetensors file: weights, EMAs, moments, loss history, step, seed,
    /// options and schedule. Refuses infinite values and NaN. On failure an existing file stays.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = c_path(path.as_ref())?;
        // SAFETY: a string.
        self.handle.call(|t| unsafe { sys::dm_trainer_save(t, path.as_ptr()) })
    }

    /// The bytes of that file.
    pub fn save_memory(&self) -> Result<Vec<u8>> {
        save_to_memory(|buffer, capacity, size| {
            // SAFETY: an array with its length, and a place for the size.
            self.handle.call(|t| unsafe { sys::dm_trainer_save_memory(t, buffer, capacity, size) })
        })
    }

    /// A handle that stops this trainer's work from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        self.cancel.close();
    }
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer").finish_non_exhaustive()
    }
}

fn raw_dataset(dataset: Option<&Dataset>) -> *const sys::dm_dataset {
    dataset.map_or(std::ptr::null(), |dataset| dataset.handle.raw)
}

/// The C function for a hook's type.
fn train_callback<F>(_hook: &Hook<F>) -> sys::dm_train_callback
where
    F: FnMut(&TrainStats) -> CallbackResult,
{
    unsafe extern "C" fn call<F>(user: *mut c_void, stats: *const sys::dm_train_stats) -> i32
    where
        F: FnMut(&TrainStats) -> CallbackResult,
    {
        // SAFETY: `user` is the hook of the call in progress, and stats are valid until it returns.
        unsafe { Hook::<F>::run(user, |progress| progress(&TrainStats::from_raw(&*stats))) }
    }
    Some(call::<F>)
}
