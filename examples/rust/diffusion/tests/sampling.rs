// SPDX-License-Identifier: MIT
//! Sampling: runs, held runs, closures in place of noise and networks, and images.
mod common;

use common::*;
use diffusion::*;

fn request() -> SamplerRequest {
    SamplerRequest { count: 3, seed: 7, labels: Some(vec![0, 1, 2]), ..SamplerRequest::default() }
}

fn guided() -> SamplerOptions {
    SamplerOptions { guidance: 2.0, batch_size: 2, ..steps(4) }
}

#[test]
fn guided_runs_and_held_runs_give_the_same_bits() {
    let parts = parts();
    let mut sampler = parts.sampler(&guided());
    assert_eq!((sampler.shape(), sampler.steps()), ([8, 8, 3], 4));
    assert_eq!(sampler.levels().unwrap().len(), sampler.evaluations());
    assert_eq!(sampler.options().unwrap().guidance, 2.0);
    let expected = sampler.run(&request()).unwrap();
    assert_eq!(expected.len(), 3 * IMAGE);
    let threads = Context::new(&ContextOptions { threads: 2, ..Default::default() }).unwrap();
    let copy = parts.unet.share(&threads).unwrap();
    let mut other = Sampler::new(&copy, &parts.schedule, &guided()).unwrap();
    assert!(other.run(&request()).unwrap() == expected);

    assert_eq!(sampler.finish().unwrap_err().status(), Status::WRONG_STATE);
    sampler.start(request(), SamplerHooks::new()).unwrap();
    assert_eq!(sampler.run(&request()).unwrap_err().status(), Status::WRONG_STATE);
    let second = sampler.start(request(), SamplerHooks::new());
    assert_eq!(second.unwrap_err().status(), Status::WRONG_STATE);
    assert_eq!(sampler.finish().unwrap_err().status(), Status::WRONG_STATE);
    let mut left = sampler.step().unwrap();
    assert_eq!(left, 7);
    assert!(sampler.preview().unwrap().iter().any(|&x| x != 0.0));
    while left > 0 {
        left = sampler.step().unwrap();
    }
    assert!(sampler.finish().unwrap() == expected);

    sampler.start(request(), SamplerHooks::new()).unwrap();
    sampler.step().unwrap();
    sampler.abandon().unwrap();
    assert!(sampler.run(&request()).unwrap() == expected);
}

#[test]
fn a_guidance_changes_the_predictions() {
    let parts = parts();
    let mut sampler = parts.sampler(&steps(3));
    let plain = sampler.run(&request()).unwrap();
    let mut calls = 0;
    let guide = |step: &mut GuidanceStep<'_>| {
        calls += 1;
        assert_eq!((step.x.len(), step.eps.len()), (3 * IMAGE, 3 * IMAGE));
        assert_eq!(step.labels, Some(&[0, 1, 2][..]));
        step.x_0.fill(0.5);
        step.rederive = Rederive::Eps;
        Ok(())
    };
    let images = sampler.run_with(&request(), SamplerHooks::new().guide(guide)).unwrap();
    assert!(images.iter().all(|&x| (x - 0.5).abs() < 1e-6));
    assert_eq!(calls, sampler.evaluations());
    let hooks = SamplerHooks::new().guide(|_| Ok(()));
    assert!(sampler.run_with(&request(), hooks).unwrap() == plain);
    let hooks = SamplerHooks::new().guide(|step: &mut GuidanceStep<'_>| {
        step.x_0.fill(0.5);
        step.rederive = Rederive::Eps;
        Ok(())
    });
    sampler.start(request(), hooks).unwrap();
    while sampler.step().unwrap() > 0 {}
    assert!(sampler.finish().unwrap() == images);
}

#[test]
fn noise_comes_from_a_closure() {
    let parts = parts();
    let mut sampler = parts.sampler(&steps(3));
    let initial = sampler.initial_noise(&request()).unwrap();
    let expected = sampler.run(&request()).unwrap();
    let with_array = SamplerRequest { initial_noise: Some(initial.clone()), ..request() };
    assert!(sampler.run(&with_array).unwrap() == expected);

    let mut uses = 0;
    let copy = initial.clone();
    let hooks = SamplerHooks::new().noise(|request, noise| {
        assert_eq!(noise.len() as u64, request.count * request.elements);
        let start = (request.first * request.elements) as usize;
        noise.copy_from_slice(&copy[start..start + noise.len()]);
        uses += 1;
        Ok(())
    });
    assert!(sampler.run_with(&request(), hooks).unwrap() == expected);
    assert_eq!(uses, 1);
    assert_eq!(noise_interpolate(&initial, &expected, 0.0).unwrap(), initial);
    let inverted = SamplerRequest { image: Some(expected), ..request() };
    assert_eq!(sampler.invert(&inverted, SamplerHooks::new()).unwrap().len(), initial.len());
}

#[test]
fn progress_is_reported() {
    let parts = parts();
    let mut sampler = parts.sampler(&steps(3));
    let mut seen = Vec::new();
    let hooks = SamplerHooks::new().progress(|p| {
        assert_eq!((p.x_t.len(), p.x_0.len()), (3 * IMAGE, 3 * IMAGE));
        seen.push((p.step, p.steps, p.first, p.count));
        Ok(())
    });
    sampler.run_with(&request(), hooks).unwrap();
    assert_eq!(seen, [(1, 3, 0, 3), (2, 3, 0, 3), (3, 3, 0, 3)]);

    let (sender, receiver) = std::sync::mpsc::channel();
    let hooks = SamplerHooks::new().progress(move |p| Ok(sender.send(p.step)?));
    sampler.start(request(), hooks).unwrap();
    while sampler.step().unwrap() > 0 {}
    sampler.finish().unwrap();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2, 3]); // finish drops the closure
}

#[test]
fn a_closure_takes_the_network_s_place() {
    let context = context();
    let schedule = Schedule::new(&context, &ScheduleOptions::default()).unwrap();
    let about = Denoiser {
        prediction: Prediction::X0,
        height: 4,
        width: 4,
        channels: 1,
        ..Denoiser::default()
    };
    let model = |input: &DenoiserInput<'_>, output: &mut [f32]| {
        assert_eq!((input.height, input.width, input.channels), (4, 4, 1));
        assert_eq!(input.x.len(), output.len());
        let labels = input.labels.expect("labels");
        for (image, label) in output.chunks_mut(16).zip(labels) {
            image.fill(*label as f32 / 4.0);
        }
        Ok(())
    };
    let mut sampler =
        Sampler::with_denoiser(&context, &schedule, &about, &steps(3), model).unwrap();
    let images = sampler.run(&request()).unwrap();
    for (image, expected) in images.chunks(16).zip([0.0, 0.25, 0.5]) {
        assert!(image.iter().all(|x| (x - expected).abs() < 1e-5), "{image:?}");
    }
}

#[test]
fn images_become_pictures() {
    let context = context();
    assert_eq!(image::to_u8(&[-1.0, 0.0, 1.0, f32::NAN]), [0, 128, 255, 0]);
    assert_eq!(image::from_u8(&[0, 255]), [-1.0, 1.0]);
    let grid =
        ImageGridOptions { height: 2, width: 2, channels: 3, count: 3, ..Default::default() };
    let (height, width) = image::grid_size(&grid).unwrap();
    let pixels = image::draw_grid(&grid, &[100; 3 * 12]).unwrap();
    assert_eq!(pixels.len() as i32, height * width * 3);
    assert!(image::draw_grid(&grid, &[100; 12]).is_err());
    let png = image::encode_png(&context, &pixels, [height, width, 3]).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert!(image::encode_png(&context, &pixels, [height + 1, width, 3]).is_err());
    let path = std::env::temp_dir().join(format!("diffusion-{}.png", std::process::id()));
    image::write_png(&context, &path, &pixels, [height, width, 3]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), png);
    let animation =
        ImageAnimation { height: 2, width: 2, channels: 1, frames: 3, ..Default::default() };
    image::write_apng(&context, &path, &[0; 12], &animation).unwrap();
    assert!(std::fs::read(&path).unwrap().windows(4).any(|word| word == b"acTL"));
    std::fs::remove_file(&path).unwrap();
}
