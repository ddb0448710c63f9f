// SPDX-License-Identifier: MIT
//! Networks: precisions, folders of diffusers, new weights, gradients, conditions, tiles.
mod common;

use common::*;
use diffusion::*;

/// A path that no other test has.
fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("diffusion_{}_{name}", std::process::id()))
}

#[test]
fn files_hold_other_precisions() {
    let parts = parts();
    let bytes = parts.unet.save_memory_as(None, Precision::BF16).unwrap();
    assert!(bytes.len() * 4 < parts.unet.save_memory(None).unwrap().len() * 3);
    let loaded = Unet::load_memory(&parts.context, &bytes, Weights::DEFAULT).unwrap();
    assert!(loaded.save_memory_as(None, Precision::BF16).unwrap() == bytes);
    let path = path("half.safetensors");
    parts.unet.save_as(Some(&parts.schedule), &path, Precision::F16).unwrap();
    let expected = parts.unet.save_memory_as(Some(&parts.schedule), Precision::F16).unwrap();
    assert!(std::fs::read(&path).unwrap() == expected);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn folders_of_diffusers() {
    let parts = parts();
    let folder = path("pipeline");
    let options = SamplerOptions { solver: Solver::DPMPP, ..steps(7) };
    let save = |sampler, precision| {
        parts.unet.save_diffusers(&parts.schedule, sampler, &folder, precision).unwrap();
    };
    save(Some(&options), Precision::F32);
    let defaults = DiffusersOptions::default();
    let loaded = Unet::load_diffusers(&parts.context, &folder, &defaults).unwrap();
    assert_eq!(loaded.parameter_count(), parts.unet.parameter_count());
    let same = Unet::load(&parts.context, &folder, Weights::DEFAULT).unwrap();
    assert!(same.save_memory(None).unwrap() == loaded.save_memory(None).unwrap());
    let larger = DiffusersOptions { height: 16, prediction: Prediction::X0, ..defaults.clone() };
    let larger = Unet::load_diffusers(&parts.context, &folder, &larger).unwrap();
    let found = larger.options().unwrap();
    assert_eq!((found.height, found.prediction), (16, Prediction::X0));

    let before = SamplerOptions { custom_times: Some(vec![3.0, 2.0]), ..steps(9) };
    let load = |about: &DiffusersOptions| {
        Schedule::load_diffusers(&parts.context, &folder, about, &before)
    };
    let (schedule, sampler) = load(&defaults).unwrap();
    assert_eq!(schedule.timesteps(), parts.schedule.timesteps());
    assert_eq!((sampler.solver, sampler.steps), (Solver::DPMPP, 9));
    assert_eq!((sampler.custom_count, sampler.custom_times.clone()), (0, None));
    Sampler::new(&loaded, &schedule, &sampler).unwrap();
    save(None, Precision::F16);
    let (_, sampler) = load(&defaults).unwrap();
    assert_eq!(sampler.solver, Solver::DDPM);
    assert!(!sampler.diffusers_compatible);
    let compatible = DiffusersOptions { compatible: true, ..defaults.clone() };
    let (schedule, sampler) = load(&compatible).unwrap();
    assert!(sampler.diffusers_compatible && schedule.options().unwrap().float32_tables);
    std::fs::remove_dir_all(&folder).unwrap();
    let error = load(&defaults).unwrap_err();
    assert_eq!(error.status(), Status::NOT_FOUND);
}

#[test]
fn weights_begin_anew() {
    let parts = parts();
    let mut unet = parts.unet;
    let first = unet.save_memory(None).unwrap();
    unet.initialize(Initialization::TORCH, 3).unwrap();
    assert!(unet.save_memory(None).unwrap() != first);
    unet.initialize(Initialization::DDPM, 1).unwrap();
    assert!(unet.save_memory(None).unwrap() == first);
    let copy = unet.share(&parts.context).unwrap();
    let error = unet.initialize(Initialization::DDPM, 1).unwrap_err();
    assert_eq!(error.status(), Status::WRONG_STATE);
    drop(copy);
}

#[test]
fn gradients_of_inputs_are_those_of_the_output() {
    let mut unet = parts().unet;
    unet.initialize(Initialization::TORCH, 3).unwrap();
    let x: Vec<f32> = (0..IMAGE).map(|i| (i as f32 * 0.7).sin()).collect();
    let weight: Vec<f32> = (0..IMAGE).map(|i| (i as f32 * 1.3).cos()).collect();
    let none = Conditions::default();
    let (gradient, output) = unet.input_gradient(&x, &[3.0], None, &none, &weight).unwrap();
    assert!(output == unet.forward(&x, &[3.0], None).unwrap());
    let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let value = |step: f64| -> f64 {
        let near = |(&x, &g): (&f32, &f32)| x + (step * f64::from(g) / norm) as f32;
        let near: Vec<f32> = x.iter().zip(&gradient).map(near).collect();
        let output = unet.forward(&near, &[3.0], None).unwrap();
        output.iter().zip(&weight).map(|(&y, &w)| f64::from(y) * f64::from(w)).sum()
    };
    let difference = (value(0.01) - value(-0.01)) / 0.02;
    assert!(norm > 0.0 && (difference / norm - 1.0).abs() < 0.01, "{difference} {norm}");
    let error = unet.input_gradient(&x, &[3.0], None, &none, &weight[1..]).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
}

#[test]
fn conditions_and_tiles_change_the_output() {
    let options = UnetOptions { condition_size: 2, condition_channels: 1, ..network() };
    let mut unet = Unet::new(&context(), &options, 1).unwrap();
    unet.initialize(Initialization::TORCH, 3).unwrap();
    let (x, image) = (vec![0.5; IMAGE], vec![1.0; IMAGE / 3]);
    let forward = |unet: &Unet, image, vector| {
        unet.forward_with(&x, &[3.0], None, &Conditions { image, vector })
    };
    let plain = unet.forward(&x, &[3.0], None).unwrap();
    assert!(forward(&unet, None, Some(&[0.0, 0.0])).unwrap() == plain);
    assert!(forward(&unet, None, Some(&[1.0, 2.0])).unwrap() != plain);
    assert!(forward(&unet, Some(&image[..]), None).unwrap() != plain);
    let error = forward(&unet, None, Some(&[1.0])).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
    unet.set_tiling(true, false).unwrap();
    assert!(unet.forward(&x, &[3.0], None).unwrap() != plain);
    unet.set_tiling(false, false).unwrap();
    assert!(unet.forward(&x, &[3.0], None).unwrap() == plain);
    unet.set_precision(Precision::BF16).unwrap();
    assert!(unet.forward(&x, &[3.0], None).unwrap() != plain);
    let error = unet.set_precision(Precision::F16).unwrap_err();
    assert_eq!(error.status(), Status::INVALID_ARGUMENT);
}
