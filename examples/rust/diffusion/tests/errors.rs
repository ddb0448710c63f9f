// SPDX-License-Identifier: MIT
//! Statuses and texts of errors, options by name, and enumerations.
mod common;

use common::*;
use diffusion::*;
use std::error::Error as _;

#[test]
fn a_bad_option_is_named() {
    let options = UnetOptions { norm_groups: 30, ..UnetOptions::default() };
    let error = Unet::new(&context(), &options, 0).unwrap_err();
    assert_eq!(error.status(), Status::INVALID_ARGUMENT);
    assert_eq!(error.status_name(), "DM_ERROR_INVALID_ARGUMENT");
    assert!(error.to_string().contains("'norm_groups' is 30"), "{error}");
    assert!(error.source().is_none());
}

#[test]
fn a_missing_file_is_named() {
    let error = Unet::load(&context(), "missing.safetensors", Weights::DEFAULT).unwrap_err();
    assert_eq!(error.status(), Status::NOT_FOUND);
    assert!(error.message().contains("missing.safetensors"), "{error}");
    let error = Schedule::load(&context(), "a\0b").unwrap_err();
    assert_eq!(error.status(), Status::INVALID_ARGUMENT);
}

#[test]
fn a_context_reports_why_it_was_not_created() {
    let options = ContextOptions { threads: 1000, ..ContextOptions::default() };
    let error = Context::new(&options).unwrap_err();
    assert_eq!(error.status(), Status::INVALID_ARGUMENT);
    assert!(error.message().contains("threads"), "{error}");
}

#[test]
fn options_have_the_library_s_defaults() {
    let options = TrainerOptions::default();
    assert_eq!((options.batch_size, options.learning_rate), (64, 1e-4));
    assert_eq!(options.loss, Loss::MSE);
    assert!(options.use_labels && options.ema_warmup && !options.flip);
    let options = UnetOptions::preset(Preset::TINY);
    assert_eq!(options.channels[..3], [32, 64, 64]);
    assert_eq!(UnetOptions::default().attention[..4], [false, true, false, false]);
}

#[test]
fn options_are_set_by_name() {
    let context = context();
    let mut options =
        SamplerOptions { custom_sigmas: Some(vec![3.0, 1.0]), ..SamplerOptions::default() };
    options.set(&context, "solver", "dpmpp").unwrap();
    options.set(&context, "guidance", "2.5").unwrap();
    assert_eq!((options.solver, options.guidance), (Solver::DPMPP, 2.5));
    assert_eq!(options.custom_sigmas, Some(vec![3.0, 1.0]));
    assert_eq!(options.get(&context, "solver").unwrap(), "dpmpp");
    let mut network = UnetOptions::default();
    network.set(&context, "channels", "32,64").unwrap();
    assert_eq!(network.channels[..3], [32, 64, 0]);

    let before = options.clone();
    let error = options.set(&context, "solver", "dpm+++").unwrap_err();
    assert!(error.message().contains("dpm+++"), "{error}");
    assert!(options.set(&context, "no_such_member", "1").is_err());
    assert!(options.set(&context, "steps", "0").is_err());
    assert!(options.set(&context, "custom_sigmas", "1").is_err());
    assert_eq!(options, before);

    for member in SamplerOptions::members() {
        if let Some(text) = member.default_text {
            let value = SamplerOptions::default().get(&context, member.name).unwrap();
            let same = value == text || value.parse::<f64>().ok() == text.parse().ok();
            assert!(same, "{}: {value}, {text}", member.name);
        }
    }
}

#[test]
fn enumerations_have_names() {
    assert_eq!(Solver::DDIM.name(), Some("ddim"));
    assert_eq!("unipc".parse::<Solver>().unwrap(), Solver::UNIPC);
    assert_eq!("unknown".parse::<Solver>().unwrap_err().status(), Status::NOT_FOUND);
    assert_eq!(Solver::all().len(), 17);
    assert_eq!(format!("{:?} {}", Loss::MSE, Loss::MSE), "Loss(mse) mse");
    assert_eq!(Weights::ema(3).and_then(Weights::name), Some("ema_3"));
    assert_eq!(Weights::ema(4), None);
    assert!(struct_names().contains(&"dm_trainer_options"));
    assert!(version() >= 9000 && !version_string().is_empty() && !build_info().is_empty());
    assert!(!feature("no such feature"));
}

#[test]
fn lengths_are_checked() {
    let context = context();
    let unet = Unet::new(&context, &network(), 1).unwrap();
    let status = |result: Result<Vec<f32>>| result.unwrap_err().status();
    assert_eq!(status(unet.forward(&[0.0; 5], &[0.0], None)), Status::SHAPE_MISMATCH);
    let x = vec![0.0; IMAGE];
    assert_eq!(status(unet.forward(&x, &[0.0], Some(&[]))), Status::SHAPE_MISMATCH);
    assert!(unet.forward(&[], &[], None).is_err());
    assert!(unet.tensor("no.such.tensor").is_err());

    let schedule = Schedule::new(&context, &ScheduleOptions::default()).unwrap();
    assert_eq!(status(schedule.add_noise(&[0.0; 4], &[0.0; 3], &[0])), Status::SHAPE_MISMATCH);
    assert!(schedule.add_noise(&[0.0; 4], &[0.0; 4], &[]).is_err());
    assert!(schedule.add_noise(&[0.0; 4], &[0.0; 4], &[1000]).is_err());

    let mut sampler = Sampler::new(&unet, &schedule, &steps(2)).unwrap();
    let request = SamplerRequest { count: 2, labels: Some(vec![0]), ..Default::default() };
    assert_eq!(status(sampler.run(&request)), Status::SHAPE_MISMATCH);
    let request = SamplerRequest { count: u64::MAX, ..Default::default() };
    assert_eq!(status(sampler.run(&request)), Status::INVALID_ARGUMENT);
    let options = SamplerOptions {
        custom_times: Some(vec![900.0, 10.0]),
        custom_sigmas: Some(vec![2.0]),
        ..Default::default()
    };
    assert!(Sampler::new(&unet, &schedule, &options).is_err());
    assert!(Dataset::from_memory(&context, [8, 8, 3], &[0; 100], None).is_err());
    assert!(Dataset::from_memory(&context, [8, 8, 3], &[0; 192], Some(&[1, 2])).is_err());
    assert!(Dataset::from_memory(&context, [-1, 8, 3], &[0; 192], None).is_err());
    assert!(noise_interpolate(&[0.0; 2], &[0.0; 3], 0.5).is_err());
}
