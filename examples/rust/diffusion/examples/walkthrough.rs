// SPDX-License-Identifier: MIT
//! The library from end to end: train a small network on drawn shapes, cancel, save, load, and draw
//! one image of each class with guidance.  walkthrough MODEL.safetensors OUT.png
//!
//! It writes the same OUT.png, byte for byte, as examples/walkthrough.c.
use diffusion::*;
use std::process::ExitCode;

const SIZE: i32 = 16;
const CLASSES: i32 = 10;
const STEPS: u64 = 300;
const CANCEL_AT: u64 = 350;

// ---- errors: what a program sees that passes a bad option, or the name of a missing file ----

fn show_errors(context: &Context) {
    let options = UnetOptions { norm_groups: 30, ..UnetOptions::default() };
    if let Err(error) = Unet::new(context, &options, 0) {
        println!("{}: {error}", error.status_name());
    }
    if let Err(error) = Unet::load(context, "missing.safetensors", Weights::DEFAULT) {
        println!("{}: {error}", error.status_name());
    }
}

// ---- training ----

/// An error stops the run.
fn on_step(stats: &TrainStats) -> CallbackResult {
    if stats.step % 50 == 0 {
        println!("step {}, loss {:.4}", stats.step, stats.loss);
    }
    if stats.step >= CANCEL_AT {
        return Err(Stop::Cancel);
    }
    Ok(())
}

fn train(context: &Context, path: &str) -> Result<()> {
    let mut network = UnetOptions {
        height: SIZE,
        width: SIZE,
        levels: 2,
        classes: CLASSES,
        ..UnetOptions::default()
    };
    network.channels[..2].copy_from_slice(&[32, 64]);
    network.blocks[..2].copy_from_slice(&[1, 1]);
    let training = TrainerOptions {
        batch_size: 16,
        learning_rate: 2e-3,
        label_dropout: 0.1, // so that guidance has a network without classes to start from
        ..TrainerOptions::default()
    };

    let schedule = Schedule::new(context, &ScheduleOptions::default())?;
    let shapes = Dataset::shapes(context, SIZE, 1000, 1)?;
    let unet = Unet::new(context, &network, 1)?;
    let mut trainer = Trainer::new(&unet, &schedule, Some(&shapes), &training)?;
    trainer.run(STEPS, on_step)?;
    match trainer.run(1000, on_step) {
        Err(error) if error.status() == Status::CANCELLED => {
            println!("cancelled after step {}", trainer.get_step()?);
        }
        other => other?,
    }
    trainer.save(path)
}

// ---- sampling ----

fn sample(context: &Context, path: &str, picture: &str) -> Result<()> {
    let options = SamplerOptions { steps: 20, guidance: 2.0, ..SamplerOptions::default() };
    let request = SamplerRequest {
        count: CLASSES as u64,
        labels: Some((0..CLASSES).collect()),
        seed: 7,
        ..SamplerRequest::default()
    };
    let unet = Unet::load(context, path, Weights::DEFAULT)?;
    let schedule = Schedule::load(context, path)?;
    let mut sampler = Sampler::new(&unet, &schedule, &options)?;
    let images = sampler.run(&request)?;

    let grid = ImageGridOptions {
        height: SIZE,
        width: SIZE,
        channels: 3,
        columns: 5,
        scale: 4,
        count: CLASSES as u64,
        ..ImageGridOptions::default()
    };
    let (height, width) = image::grid_size(&grid)?;
    let pixels = image::draw_grid(&grid, &image::to_u8(&images))?;
    image::write_png(context, picture, &pixels, [height, width, 3])
}

fn walkthrough(model: &str, picture: &str) -> Result<()> {
    let context = Context::new(&ContextOptions::default())?;
    show_errors(&context);
    train(&context, model)?;
    sample(&context, model, picture)?;
    println!("{model} and {picture} are written");
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let (model, picture) = match &arguments[..] {
        [_, model, picture] => (model, picture),
        _ => {
            eprintln!("usage: walkthrough MODEL.safetensors OUT.png");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = walkthrough(model, picture) {
        eprintln!("walkthrough: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
