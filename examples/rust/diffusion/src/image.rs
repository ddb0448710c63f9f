// SPDX-License-Identifier: MIT
//! Images as files: `u8` `[height, width, channels]` with 1 channel (grey), 3 (RGB) or 4 (RGBA).
use crate::context::Context;
use crate::plain::{c_path, to_raw};
use crate::{sys, Error, ImageAnimation, ImageGridOptions, Result, Status};
use std::path::Path;

fn check(status: i32) -> Result<()> {
    match Status(status) {
        Status::OK => Ok(()),
        status => Err(Error::of_status(status)),
    }
}

/// round((x + 1) * 127.5), clamped to 0 to 255; NaN gives 0.
pub fn to_u8(images: &[f32]) -> Vec<u8> {
    let mut pixels = vec![0; images.len()];
    // SAFETY: two arrays of that length.
    unsafe { sys::dm_image_to_u8(pixels.as_mut_ptr(), images.as_ptr(), images.len()) };
    pixels
}

/// x / 127.5 - 1.
pub fn from_u8(pixels: &[u8]) -> Vec<f32> {
    let mut images = vec![0.0; pixels.len()];
    // SAFETY: two arrays of that length.
    unsafe { sys::dm_image_from_u8(images.as_mut_ptr(), pixels.as_ptr(), pixels.len()) };
    images
}

/// Height and width of a grid in pixels.
pub fn grid_size(options: &ImageGridOptions) -> Result<(i32, i32)> {
    let (mut height, mut width) = (0, 0);
    // SAFETY: an initialised struct, and places for the results.
    check(unsafe { sys::dm_image_grid_size(&to_raw(options), &mut height, &mut width) })?;
    Ok((height, width))
}

/// Draws images `[count, height, width, channels]` as a grid `[height, width, channels]` of the
/// size that [`grid_size`] gives.
pub fn draw_grid(options: &ImageGridOptions, images: &[u8]) -> Result<Vec<u8>> {
    let (height, width) = grid_size(options)?;
    let sizes = [height, width, options.channels];
    let bytes = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size.max(0) as usize));
    let mut grid = Vec::new();
    if !bytes.map_or(false, |bytes| grid.try_reserve_exact(bytes).is_ok()) {
        return Err(Error::of_status(Status::OUT_OF_MEMORY));
    }
    grid.resize(bytes.unwrap_or(0), 0);
    // SAFETY: an initialised struct, and two arrays with their lengths.
    check(unsafe {
        sys::dm_image_draw_grid(
            &to_raw(options),
            grid.as_mut_ptr(),
            grid.len(),
            images.as_ptr(),
            images.len(),
        )
    })?;
    Ok(grid)
}

/// Encodes an image of that `[height, width, channels]` as a PNG.
pub fn encode_png(context: &Context, pixels: &[u8], shape: [i32; 3]) -> Result<Vec<u8>> {
    let [height, width, channels] = shape;
    let encode = |buffer: *mut u8, capacity, size: &mut usize| {
        // SAFETY: arrays with their lengths; the first may be NULL.
        context.inner.call(|raw| unsafe {
            sys::dm_image_encode_png(
                raw,
                buffer,
                capacity,
                size,
                pixels.as_ptr(),
                pixels.len(),
                height,
                width,
                channels,
            )
        })
    };
    let mut size = 0;
    encode(std::ptr::null_mut(), 0, &mut size)?;
    let mut bytes = vec![0; size];
    encode(bytes.as_mut_ptr(), bytes.len(), &mut size)?;
    bytes.truncate(size);
    Ok(bytes)
}

/// Writes an image of that `[height, width, channels]` as a PNG.
pub fn write_png(
    context: &Context,
    path: impl AsRef<Path>,
    pixels: &[u8],
    shape: [i32; 3],
) -> Result<()> {
    let path = c_path(path.as_ref())?;
    let [height, width, channels] = shape;
    // SAFETY: a string, and an array with its length.
    context.inner.call(|raw| unsafe {
        sys::dm_image_write_png(
            raw,
            path.as_ptr(),
            pixels.as_ptr(),
            pixels.len(),
            height,
            width,
            channels,
        )
    })
}

/// Writes frames `[frames, height, width, channels]` as an animated PNG that loops for ever.
pub fn write_apng(
    context: &Context,
    path: impl AsRef<Path>,
    frames: &[u8],
    animation: &ImageAnimation,
) -> Result<()> {
    let path = c_path(path.as_ref())?;
    let animation = to_raw(animation);
    // SAFETY: a string, an array with its length, and an initialised struct.
    context.inner.call(|raw| unsafe {
        let path = path.as_ptr();
        sys::dm_image_write_apng(raw, path, frames.as_ptr(), frames.len(), &animation)
    })
}
