// SPDX-License-Identifier: MIT
//! Noise schedules.
use crate::context::Context;
use crate::handle::Handle;
use crate::plain::{c_path, new_raw, to_raw, Plain};
use crate::{sys, Error, Result, ScheduleOptions, Series};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The forward process x_t = signal_t x_0 + noise_t eps, eps standard normal, for timesteps 0 to
/// T-1, in double precision. It never changes; samplers and trainers of other contexts may use it.
pub struct Schedule {
    pub(crate) handle: Arc<Handle<sys::dm_schedule>>,
}

/// The noise of one timestep.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Level {
    /// x_t = signal x_0 + noise eps.
    pub signal: f64,
    /// x_t = signal x_0 + noise eps.
    pub noise: f64,
    /// The network's time input.
    pub time: f64,
}

impl Schedule {
    /// Computes a schedule.
    pub fn new(context: &Context, options: &ScheduleOptions) -> Result<Schedule> {
        let raw = to_raw(options);
        // SAFETY: an initialised struct.
        Self::create(context, |out, c| unsafe { sys::dm_schedule_create(out, c, &raw) })
    }

    /// From betas, each in (0, 1), for timesteps 0 to `betas.len()` - 1.
    pub fn from_betas(context: &Context, betas: &[f64]) -> Result<Schedule> {
        // SAFETY: an array and its length.
        Self::create(context, |out, c| unsafe {
            sys::dm_schedule_create_from_betas(out, c, betas.as_ptr(), betas.len())
        })
    }

    /// The schedule in a file of [`Trainer::save`](crate::Trainer::save) or
    /// [`Unet::save`](crate::Unet::save).
    pub fn load(context: &Context, path: impl AsRef<Path>) -> Result<Schedule> {
        let path = c_path(path.as_ref())?;
        // SAFETY: a string.
        Self::create(context, |out, c| unsafe { sys::dm_schedule_load(out, c, path.as_ptr()) })
    }

    /// The schedule in a file's bytes.
    pub fn load_memory(context: &Context, bytes: &[u8]) -> Result<Schedule> {
        // SAFETY: an array and its length.
        Self::create(context, |out, c| unsafe {
            sys::dm_schedule_load_memory(out, c, bytes.as_ptr().cast(), bytes.len())
        })
    }

    pub(crate) fn create(
        context: &Context,
        create: impl FnOnce(*mut *mut sys::dm_schedule, *mut sys::dm_context) -> i32,
    ) -> Result<Schedule> {
        let handle = Handle::create(&context.inner, Vec::new(), create)?;
        Ok(Schedule { handle: Arc::new(handle) })
    }

    /// Its context.
    pub fn context(&self) -> Context {
        Context { inner: self.handle.context.clone() }
    }

    /// The options in effect; kind [`CUSTOM`](crate::ScheduleKind::CUSTOM) after `from_betas`.
    pub fn options(&self) -> Result<ScheduleOptions> {
        let mut raw = new_raw::<ScheduleOptions>();
        let size = std::mem::size_of_val(&raw);
        // SAFETY: an initialised struct of that size.
        self.handle.call(|s| unsafe { sys::dm_schedule_get_options(s, &mut raw, size) })?;
        Ok(ScheduleOptions::from_raw(&raw))
    }

    /// T.
    pub fn timesteps(&self) -> usize {
        // SAFETY: a property that never changes.
        unsafe { sys::dm_schedule_timesteps(self.handle.raw) }.max(0) as usize
    }

    /// One series of T values.
    pub fn series(&self, series: Series) -> Result<Vec<f64>> {
        let mut values = vec![0.0; self.timesteps()];
        // SAFETY: an array and its length.
        self.handle.call(|s| unsafe {
            sys::dm_schedule_get_series(s, series.0, values.as_mut_ptr(), values.len())
        })?;
        Ok(values)
    }

    /// The level of noise at a timestep in [0, T-1], whole or fractional.
    pub fn level(&self, timestep: f64) -> Result<Level> {
        let mut level = Level { signal: 0.0, noise: 0.0, time: 0.0 };
        // SAFETY: three places for the results.
        self.handle.call(|s| unsafe {
            sys::dm_schedule_get_level(
                s,
                timestep,
                &mut level.signal,
                &mut level.noise,
                &mut level.time,
            )
        })?;
        Ok(level)
    }

    /// x_t = signal_t x_0 + noise_t noise for each of `timesteps.len()` images of equal size, whose
    /// floats `x_0` and `noise` hold. Timesteps are 0 to T-1.
    pub fn add_noise(&self, x_0: &[f32], noise: &[f32], timesteps: &[i32]) -> Result<Vec<f32>> {
        if noise.len() != x_0.len() {
            return Err(Error::shape("noise", noise.len(), x_0.len()));
        }
        let count = timesteps.len();
        if count == 0 || x_0.len() % count != 0 {
            let text = format!("{} floats are not those of {count} images", x_0.len());
            return Err(Error::new(crate::Status::SHAPE_MISMATCH, text));
        }
        let mut x_t = vec![0.0f32; x_0.len()];
        // SAFETY: three arrays of count * elements floats, and one of count integers.
        self.handle.call(|s| unsafe {
            sys::dm_schedule_add_noise(
                s,
                x_t.as_mut_ptr(),
                x_0.as_ptr(),
                noise.as_ptr(),
                timesteps.as_ptr(),
                count,
                x_0.len() / count,
            )
        })?;
        Ok(x_t)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("timesteps", &self.timesteps()).finish_non_exhaustive()
    }
}
