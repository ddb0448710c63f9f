// SPDX-License-Identifier: MIT
//! Networks.
use crate::callback::Hook;
use crate::context::Context;
use crate::dataset::Dataset;
use crate::enumeration::static_text;
use crate::error::CallbackResult;
use crate::handle::Handle;
use crate::plain::{c_path, c_string, new_raw, to_raw, CStrings, Plain};
use crate::schedule::Schedule;
use crate::{
    sys, Error, Evaluation, EvaluationOptions, Initialization, Precision, Preset, Result,
    UnetOptions, Weights,
};
use std::ffi::CStr;
use std::fmt;
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_void;
use std::path::Path;
use std::sync::Arc;

/// The U-Net of Ho et al. (2020, appendix B) with the variants of later papers. Parameters have the
/// names and shapes of diffusers' UNet2DModel; convolution weights are `[out, in, k, k]`.
pub struct Unet {
    pub(crate) handle: Arc<Handle<sys::dm_unet>>,
}

/// Name and shape of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// As in diffusers.
    pub name: String,
    /// `[out, in, k, k]`, `[out, in]` or `[n]`.
    pub shape: Vec<i64>,
    /// Number of elements.
    pub elements: usize,
}

/// The conditions of a forward pass; None is zeros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// `[count, height, width, condition_channels]`.
    pub image: Option<&'a [f32]>,
    /// `[count, condition_size]`.
    pub vector: Option<&'a [f32]>,
}

impl UnetOptions {
    /// The defaults with the preset's changes.
    pub fn preset(preset: Preset) -> UnetOptions {
        let mut raw = new_raw::<UnetOptions>();
        let size = std::mem::size_of_val(&raw);
        // SAFETY: a struct of that size. A preset that the library does not know changes nothing.
        unsafe { sys::dm_unet_options_preset(&mut raw, size, preset.0) };
        UnetOptions::from_raw(&raw)
    }
}

impl Unet {
    /// A network with DDPM's initialisation drawn from `seed`.
    pub fn new(context: &Context, options: &UnetOptions, seed: u64) -> Result<Unet> {
        let raw = to_raw(options);
        // SAFETY: an initialised struct.
        Self::create(context, |out, c| unsafe { sys::dm_unet_create(out, c, &raw, seed) })
    }

    /// From a safetensors file of [`Unet::save`] or [`Trainer::save`](crate::Trainer::save).
    /// `path` may also be what [`load_diffusers`](Unet::load_diffusers) reads.
    pub fn load(context: &Context, path: impl AsRef<Path>, weights: Weights) -> Result<Unet> {
        let path = c_path(path.as_ref())?;
        // SAFETY: a string.
        Self::create(context, |out, c| unsafe {
            sys::dm_unet_load(out, c, path.as_ptr(), weights.0)
        })
    }

    /// From a file's bytes.
    pub fn load_memory(context: &Context, bytes: &[u8], weights: Weights) -> Result<Unet> {
        // SAFETY: an array and its length.
        Self::create(context, |out, c| unsafe {
            sys::dm_unet_load_memory(out, c, bytes.as_ptr().cast(), bytes.len(), weights.0)
        })
    }

    pub(crate) fn create(
        context: &Context,
        create: impl FnOnce(*mut *mut sys::dm_unet, *mut sys::dm_context) -> i32,
    ) -> Result<Unet> {
        Ok(Unet { handle: Arc::new(Handle::create(&context.inner, Vec::new(), create)?) })
    }

    /// A second network, in `context`, on the same weights, so that several threads sample from
    /// one copy. While shares exist, the weights are read-only: training them and
    /// [`set_tensor`](Unet::set_tensor) fail. May be called while this network's own context is
    /// busy. The share keeps this network alive.
    pub fn share(&self, context: &Context) -> Result<Unet> {
        let owner = self.handle.clone();
        let raw = owner.raw;
        // SAFETY: a live network, which this call may use while its context is busy.
        let handle = Handle::create(&context.inner, vec![Box::new(owner)], |out, c| unsafe {
            sys::dm_unet_share(out, c, raw)
        })?;
        Ok(Unet { handle: Arc::new(handle) })
    }

    /// Replaces all weights by new ones. Fails while the network has a trainer or shares.
    pub fn initialize(&mut self, kind: Initialization, seed: u64) -> Result<()> {
        // SAFETY: a live object.
        self.handle.call(|u| unsafe { sys::dm_unet_initialize(u, kind.0, seed) })
    }

    /// Makes convolutions read pixels of the opposite border beyond the left and right border, or
    /// the upper and lower one, so that images continue when they are laid side by side.
    pub fn set_tiling(&mut self, horizontal: bool, vertical: bool) -> Result<()> {
        // SAFETY: a live object.
        self.handle
            .call(|u| unsafe { sys::dm_unet_set_tiling(u, horizontal.into(), vertical.into()) })
    }

    /// The precision of forward passes from now on, F32 or BF16.
    pub fn set_precision(&mut self, precision: Precision) -> Result<()> {
        // SAFETY: a live object.
        self.handle
            .call(|u| unsafe { sys::dm_unet_set_precision(u, precision.0) })
    }

    /// Writes a safetensors file: the parameters, with the options and the schedule, if given, as
    /// metadata. Refuses weights that are infinite or NaN. On failure an existing file stays.
    pub fn save(&self, schedule: Option<&Schedule>, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(schedule, path, Precision::F32)
    }

    /// As [`save`](Unet::save), with the weights rounded to a precision.
    pub fn save_as(
        &self,
        schedule: Option<&Schedule>,
        path: impl AsRef<Path>,
        precision: Precision,
    ) -> Result<()> {
        let path = c_path(path.as_ref())?;
        // SAFETY: live objects and a string.
        self.handle.call(|u| unsafe {
            sys::dm_unet_save_as(u, raw_schedule(schedule), path.as_ptr(), precision.0)
        })
    }

    /// The bytes of [`save`](Unet::save)'s file.
    pub fn save_memory(&self, schedule: Option<&Schedule>) -> Result<Vec<u8>> {
        self.save_memory_as(schedule, Precision::F32)
    }

    /// The bytes of [`save_as`](Unet::save_as)'s file.
    pub fn save_memory_as(
        &self,
        schedule: Option<&Schedule>,
        precision: Precision,
    ) -> Result<Vec<u8>> {
        let schedule = raw_schedule(schedule);
        save_to_memory(|buffer, capacity, size| {
            // SAFETY: live objects and an array with its length.
            self.handle.call(|u| unsafe {
                sys::dm_unet_save_memory_as(u, schedule, buffer, capacity, size, precision.0)
            })
        })
    }

    /// Its context.
    pub fn context(&self) -> Context {
        Context { inner: self.handle.context.clone() }
    }

    /// The options in effect.
    pub fn options(&self) -> Result<UnetOptions> {
        let mut raw = new_raw::<UnetOptions>();
        let size = std::mem::size_of_val(&raw);
        // SAFETY: an initialised struct of that size.
        self.handle.call(|u| unsafe { sys::dm_unet_get_options(u, &mut raw, size) })?;
        Ok(UnetOptions::from_raw(&raw))
    }

    /// Sets the names of the classes, which files keep: one for each, or none. Each has 1 to 255
    /// bytes and no control characters. A network without names gets those of the dataset when it
    /// is trained. Fails while the network has a trainer or shares.
    pub fn set_class_names<S: AsRef<str>>(&mut self, names: &[S]) -> Result<()> {
        let names = CStrings::new("names", names)?;
        let count = i32::try_from(names.len()).unwrap_or(i32::MAX);
        // SAFETY: strings that the library copies, and their number.
        self.handle.call(|u| unsafe { sys::dm_unet_set_class_names(u, names.as_ptr(), count) })
    }

    /// "airplane"; None if the label has no name. Callbacks of its context may call it.
    pub fn class_name(&self, label: i32) -> Result<Option<String>> {
        let mut name = None;
        // SAFETY: the string stays until the names change, which needs the claim that this call
        // has.
        self.handle.call(|u| unsafe {
            let text = sys::dm_unet_class_name(u, label);
            if !text.is_null() {
                name = Some(CStr::from_ptr(text).to_string_lossy().into_owned());
            }
            sys::DM_OK
        })?;
        Ok(name)
    }

    /// The number of weights.
    pub fn parameter_count(&self) -> u64 {
        // SAFETY: a property that never changes.
        unsafe { sys::dm_unet_parameter_count(self.handle.raw) }
    }

    /// All parameters, in the order in which the network uses them.
    pub fn tensors(&self) -> Result<Vec<TensorInfo>> {
        // SAFETY: a property that never changes.
        let count = unsafe { sys::dm_unet_tensor_count(self.handle.raw) };
        (0..count).map(|index| self.tensor_info(index)).collect()
    }

    fn tensor_info(&self, index: i32) -> Result<TensorInfo> {
        let mut raw = MaybeUninit::<sys::dm_tensor_info>::zeroed();
        // SAFETY: the first call initialises the struct, in which zeros are valid; the second fills
        // it in. The name lives as long as the network.
        unsafe {
            sys::dm_tensor_info_init(raw.as_mut_ptr(), size_of::<sys::dm_tensor_info>());
            self.handle.call(|u| sys::dm_unet_get_tensor_info(u, index, raw.as_mut_ptr()))?;
            let raw = raw.assume_init();
            Ok(TensorInfo {
                name: static_text(raw.name).unwrap_or("").to_owned(),
                shape: raw.shape[..raw.rank.clamp(0, 4) as usize].to_vec(),
                elements: raw.elements as usize,
            })
        }
    }

    /// The values of one parameter.
    pub fn tensor(&self, name: &str) -> Result<Vec<f32>> {
        let elements = self.tensors()?.iter().find(|t| t.name == name).map_or(0, |t| t.elements);
        let name = c_string("name", name)?;
        let mut values = vec![0.0f32; elements];
        // SAFETY: a string, and an array with its length.
        self.handle.call(|u| unsafe {
            sys::dm_unet_get_tensor(u, name.as_ptr(), values.as_mut_ptr(), values.len())
        })?;
        Ok(values)
    }

    /// Replaces one parameter. `shape` must be the parameter's; infinities and NaN are refused.
    pub fn set_tensor(&mut self, name: &str, values: &[f32], shape: &[i64]) -> Result<()> {
        let name = c_string("name", name)?;
        let rank = i32::try_from(shape.len()).unwrap_or(i32::MAX);
        if !(1..=4).contains(&rank) {
            return Err(Error::invalid(format!("'shape' has {rank} dimensions")));
        }
        // SAFETY: a string, and arrays with their lengths.
        self.handle.call(|u| unsafe {
            sys::dm_unet_set_tensor(
                u,
                name.as_ptr(),
                values.as_ptr(),
                values.len(),
                shape.as_ptr(),
                rank,
            )
        })
    }

    /// One forward pass without dropout, for `times.len()` images.
    ///
    /// `x` is `[count, height, width, in_channels]`, twice the channels with self-conditioning;
    /// `times` the network's time inputs ([`Series::TIME`](crate::Series::TIME)); `labels` one for
    /// each image, -1 for no class. The result is `[count, height, width, out_channels]`, twice the
    /// channels with a learned variance.
    pub fn forward(&self, x: &[f32], times: &[f64], labels: Option<&[i32]>) -> Result<Vec<f32>> {
        self.forward_with(x, times, labels, &Conditions::default())
    }

    /// As [`forward`](Unet::forward), with conditions.
    pub fn forward_with(
        &self,
        x: &[f32],
        times: &[f64],
        labels: Option<&[i32]>,
        conditions: &Conditions<'_>,
    ) -> Result<Vec<f32>> {
        let options = self.options()?;
        let channels = options.out_channels << i32::from(options.learned_variance);
        let image = [options.height, options.width, channels];
        let mut result = images(times.len() as u64, image)?;
        let input = raw_input(x, times, labels, conditions);
        // SAFETY: the arrays of `input` have the lengths that it says.
        self.handle.call(|u| unsafe {
            sys::dm_unet_forward(u, &input, result.as_mut_ptr(), result.len())
        })?;
        Ok(result)
    }

    /// The gradient of the sum of output_gradient * output with respect to `x`, of its length, and
    /// the output, which is what [`forward_with`](Unet::forward_with) gives. The weights are only
    /// read.
    pub fn input_gradient(
        &self,
        x: &[f32],
        times: &[f64],
        labels: Option<&[i32]>,
        conditions: &Conditions<'_>,
        output_gradient: &[f32],
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let input = raw_input(x, times, labels, conditions);
        let (mut gradient, mut output) = (vec![0.0; x.len()], vec![0.0; output_gradient.len()]);
        // SAFETY: the arrays have the lengths that are passed.
        self.handle.call(|u| unsafe {
            sys::dm_unet_input_gradient(
                u,
                &input,
                output_gradient.as_ptr(),
                output_gradient.len(),
                output.as_mut_ptr(),
                gradient.as_mut_ptr(),
                gradient.len(),
            )
        })?;
        Ok((gradient, output))
    }

    /// The variational bound on the likelihood of a dataset's images in bits per value, and the
    /// prediction error by quarters of the timesteps. The dataset must be of the network's context.
    ///
    /// `progress` is called after each model evaluation of a batch, with those done and in total,
    /// counted per image; [`Stop::Cancel`](crate::Stop::Cancel) ends with
    /// [`Status::CANCELLED`](crate::Status::CANCELLED).
    pub fn evaluate(
        &self,
        schedule: &Schedule,
        dataset: &Dataset,
        options: &EvaluationOptions,
        progress: impl FnMut(u64, u64) -> CallbackResult,
    ) -> Result<Evaluation> {
        let raw = to_raw(options);
        let mut result = new_raw::<Evaluation>();
        let mut hook = Hook::new(&self.handle.context, progress);
        let callback = evaluation_callback(&hook);
        // SAFETY: live objects, initialised structs, and a hook that lives longer than the call.
        self.handle.call(|u| unsafe {
            sys::dm_unet_evaluate(
                u,
                schedule.handle.raw,
                dataset.handle.raw,
                &raw,
                callback,
                hook.user(),
                &mut result,
            )
        })?;
        Ok(Evaluation::from_raw(&result))
    }
}

impl fmt::Debug for Unet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unet").field("parameters", &self.parameter_count()).finish_non_exhaustive()
    }
}

/// The C function for a hook's type.
fn evaluation_callback<F>(_hook: &Hook<F>) -> sys::dm_evaluation_callback
where
    F: FnMut(u64, u64) -> CallbackResult,
{
    unsafe extern "C" fn call<F>(user: *mut c_void, done: u64, total: u64) -> i32
    where
        F: FnMut(u64, u64) -> CallbackResult,
    {
        // SAFETY: `user` is the hook of the call in progress.
        unsafe { Hook::<F>::run(user, |progress| progress(done, total)) }
    }
    Some(call::<F>)
}

/// The C struct, which points to the arrays.
fn raw_input(
    x: &[f32],
    times: &[f64],
    labels: Option<&[i32]>,
    conditions: &Conditions<'_>,
) -> sys::dm_unet_input {
    let mut input = MaybeUninit::<sys::dm_unet_input>::zeroed();
    // SAFETY: the call initialises the struct, in which zeros are valid.
    let mut input = unsafe {
        sys::dm_unet_input_init(input.as_mut_ptr(), size_of::<sys::dm_unet_input>());
        input.assume_init()
    };
    input.count = times.len() as u64;
    input.x_elements = x.len() as u64;
    input.time_count = times.len() as u64;
    input.x = x.as_ptr();
    input.times = times.as_ptr();
    if let Some(labels) = labels {
        input.label_count = labels.len() as u64;
        input.labels = labels.as_ptr();
    }
    if let Some(image) = conditions.image {
        input.condition_image_elements = image.len() as u64;
        input.condition_image = image.as_ptr();
    }
    if let Some(vector) = conditions.vector {
        input.condition_vector_elements = vector.len() as u64;
        input.condition_vector = vector.as_ptr();
    }
    input
}

fn raw_schedule(schedule: Option<&Schedule>) -> *const sys::dm_schedule {
    schedule.map_or(std::ptr::null(), |schedule| schedule.handle.raw)
}

/// Memory for `count` images, an error where there is not enough. A count beyond what the library
/// allows gives an empty array, which the library then refuses.
pub(crate) fn images(count: u64, image: [i32; 3]) -> Result<Vec<f32>> {
    let count = if count > 65536 { 0 } else { count as usize };
    let elements = image.iter().try_fold(count, |product, &n| product.checked_mul(n as usize));
    let mut result = Vec::new();
    let reserved = elements.map_or(false, |n| result.try_reserve_exact(n).is_ok());
    if !reserved {
        return Err(Error::of_status(crate::Status::OUT_OF_MEMORY));
    }
    result.resize(elements.unwrap_or(0), 0.0f32);
    Ok(result)
}

/// Calls for the size, then for the bytes.
pub(crate) fn save_to_memory(
    mut save: impl FnMut(*mut c_void, usize, *mut usize) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut size = 0;
    save(std::ptr::null_mut(), 0, &mut size)?;
    let mut bytes = vec![0; size];
    save(bytes.as_mut_ptr().cast(), bytes.len(), &mut size)?;
    bytes.truncate(size);
    Ok(bytes)
}
