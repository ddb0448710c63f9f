// SPDX-License-Identifier: MIT
//! Models of the caller's in place of a network.
use crate::callback::{output, slice, Hook};
use crate::error::CallbackResult;
use crate::sys;
use std::os::raw::c_void;

/// The inputs of a caller's model.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DenoiserInput<'a> {
    /// Pixels.
    pub height: i32,
    /// Pixels.
    pub width: i32,
    /// Channels.
    pub channels: i32,
    /// First image of the request.
    pub first: u64,
    /// Images. With guidance twice as many: the conditional ones first, then the same with label
    /// -1.
    pub count: u64,
    /// 0 to T-1, whole or fractional.
    pub timestep: f64,
    /// The network's time input ([`Series::TIME`](crate::Series::TIME)).
    pub time: f64,
    /// x = signal x_0 + noise eps, before input scaling.
    pub signal: f64,
    /// x = signal x_0 + noise eps, before input scaling.
    pub noise: f64,
    /// `[count, height, width, channels]`, scaled by c_in with
    /// [`Prediction::EDM`](crate::Prediction::EDM).
    pub x: &'a [f32],
    /// One for each image, -1 for no class; None if the request has none.
    pub labels: Option<&'a [i32]>,
    /// `[count, height, width, condition_channels]`; None if the request has none.
    pub condition_image: Option<&'a [f32]>,
    /// `[count, condition_size]`; None if the request has none.
    pub condition_vector: Option<&'a [f32]>,
}

pub(crate) type Evaluate = Box<dyn FnMut(&DenoiserInput<'_>, &mut [f32]) -> CallbackResult + Send>;

/// # Safety
/// `user` is a hook of [`Evaluate`], the input is complete, and `result` has `elements` elements.
pub(crate) unsafe extern "C" fn evaluate(
    user: *mut c_void,
    input: *const sys::dm_denoiser_input,
    result: *mut f32,
    elements: usize,
) -> i32 {
    // SAFETY: as above; the arrays do not change until the closure returns.
    unsafe {
        Hook::<Evaluate>::run(user, |model| {
            let input = &*input;
            let labels = slice(input.labels, input.count as usize);
            let image = slice(input.condition_image, input.condition_image_elements as usize);
            let vector = slice(input.condition_vector, input.condition_vector_elements as usize);
            let input = DenoiserInput {
                height: input.height,
                width: input.width,
                channels: input.channels,
                first: input.first,
                count: input.count,
                timestep: input.timestep,
                time: input.time,
                signal: input.signal,
                noise: input.noise,
                x: slice(input.x, elements),
                labels: (!input.labels.is_null()).then_some(labels),
                condition_image: (!input.condition_image.is_null()).then_some(image),
                condition_vector: (!input.condition_vector.is_null()).then_some(vector),
            };
            model(&input, output(result, elements))
        })
    }
}
