// SPDX-License-Identifier: MIT
//! Files of the Python library diffusers.
use crate::context::Context;
use crate::plain::{c_path, to_raw, Plain};
use crate::schedule::Schedule;
use crate::unet::Unet;
use crate::{sys, DiffusersOptions, Precision, Result, SamplerOptions};
use std::path::Path;

impl Unet {
    /// A network of diffusers' UNet2DModel. `path` is the folder of a pipeline or of a model, or a
    /// safetensors file with config.json beside it. What cannot be expressed is
    /// [`Status::UNSUPPORTED`](crate::Status::UNSUPPORTED), with its key and value.
    pub fn load_diffusers(
        context: &Context,
        path: impl AsRef<Path>,
        options: &DiffusersOptions,
    ) -> Result<Unet> {
        let (path, raw) = (c_path(path.as_ref())?, to_raw(options));
        // SAFETY: a string, and an initialised struct.
        Self::create(context, |out, c| unsafe {
            sys::dm_unet_load_diffusers(out, c, path.as_ptr(), &raw)
        })
    }

    /// Writes the folder of a pipeline of diffusers, whose scheduler `sampler` describes; None:
    /// that of [`Solver::DDPM`](crate::Solver::DDPM).
    pub fn save_diffusers(
        &self,
        schedule: &Schedule,
        sampler: Option<&SamplerOptions>,
        folder: impl AsRef<Path>,
        precision: Precision,
    ) -> Result<()> {
        let (folder, raw) = (c_path(folder.as_ref())?, sampler.map(to_raw));
        let sampler = raw.as_ref().map_or(std::ptr::null(), |raw| raw as *const _);
        // SAFETY: live objects, a string, and an initialised struct or NULL.
        self.handle.call(|u| unsafe {
            sys::dm_unet_save_diffusers(
                u,
                schedule.handle.raw,
                sampler,
                folder.as_ptr(),
                precision.0,
            )
        })
    }
}

impl Schedule {
    /// The schedule of a scheduler of diffusers, and what it says about sampling. `path` is a
    /// scheduler_config.json, or the folder of a scheduler or pipeline with one. Of `sampler`,
    /// those members stay that are arguments of a call there: steps, batch_size, eta, churn and
    /// guidance with what belongs to them. Of `options` only `compatible` matters.
    pub fn load_diffusers(
        context: &Context,
        path: impl AsRef<Path>,
        options: &DiffusersOptions,
        sampler: &SamplerOptions,
    ) -> Result<(Schedule, SamplerOptions)> {
        let (path, mut raw) = (c_path(path.as_ref())?, to_raw(sampler));
        let options = to_raw(options);
        // SAFETY: a string, and initialised structs.
        let schedule = Self::create(context, |out, c| unsafe {
            sys::dm_schedule_load_diffusers(out, c, path.as_ptr(), &options, &mut raw)
        })?;
        Ok((schedule, SamplerOptions::from_raw(&raw)))
    }
}
