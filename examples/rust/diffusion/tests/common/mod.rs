// SPDX-License-Identifier: MIT
//! Small objects for the tests: 8x8 images with 3 channels, one level of 32 channels.
#![allow(dead_code)] // each test program uses some of them

use diffusion::*;

/// Floats of one image.
pub const IMAGE: usize = 8 * 8 * 3;

pub fn context() -> Context {
    Context::new(&ContextOptions { threads: 1, ..ContextOptions::default() }).unwrap()
}

pub fn network() -> UnetOptions {
    let mut options =
        UnetOptions { height: 8, width: 8, levels: 1, classes: 4, ..UnetOptions::default() };
    options.channels = [32, 0, 0, 0, 0, 0, 0, 0];
    options.blocks = [1, 0, 0, 0, 0, 0, 0, 0];
    options.attention = [false; 8];
    options.mid_attention = false;
    options
}

pub fn training() -> TrainerOptions {
    TrainerOptions { batch_size: 4, label_dropout: 0.1, ..TrainerOptions::default() }
}

pub fn steps(steps: i32) -> SamplerOptions {
    SamplerOptions { steps, ..SamplerOptions::default() }
}

/// Pixels of 16 images, and a label from 0 to 3 for each.
pub fn pixels() -> (Vec<u8>, Vec<i32>) {
    let pixels = (0..16 * IMAGE).map(|i| (i * 7 % 251) as u8).collect();
    (pixels, (0..16).map(|i| i % 4).collect())
}

/// A dataset of these images.
pub fn dataset(context: &Context) -> Dataset {
    let (pixels, labels) = pixels();
    Dataset::from_vec(context, [8, 8, 3], pixels, Some(labels)).unwrap()
}

/// What training needs.
pub struct Parts {
    pub context: Context,
    pub schedule: Schedule,
    pub dataset: Dataset,
    pub unet: Unet,
}

pub fn parts() -> Parts {
    let context = context();
    Parts {
        schedule: Schedule::new(&context, &ScheduleOptions::default()).unwrap(),
        dataset: dataset(&context),
        unet: Unet::new(&context, &network(), 1).unwrap(),
        context,
    }
}

impl Parts {
    pub fn trainer(&self) -> Trainer {
        Trainer::new(&self.unet, &self.schedule, Some(&self.dataset), &training()).unwrap()
    }

    pub fn sampler(&self, options: &SamplerOptions) -> Sampler {
        Sampler::new(&self.unet, &self.schedule, options).unwrap()
    }
}

/// The text of the panic in which `function` ends.
pub fn panic_of<T>(function: impl FnOnce() -> T) -> String {
    let run = std::panic::AssertUnwindSafe(|| drop(function()));
    let panic = std::panic::catch_unwind(run).expect_err("a panic is expected");
    match panic.downcast::<&'static str>() {
        Ok(text) => text.to_string(),
        Err(panic) => *panic.downcast::<String>().expect("a text"),
    }
}
