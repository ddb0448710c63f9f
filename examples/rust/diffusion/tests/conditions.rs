// SPDX-License-Identifier: MIT
//! Conditions of datasets, training and sampling, and distillation.
mod common;

use common::*;
use diffusion::*;

fn conditioned(context: &Context) -> Unet {
    let options = UnetOptions { condition_channels: 1, condition_size: 2, ..network() };
    let mut unet = Unet::new(context, &options, 1).unwrap();
    unet.initialize(Initialization::TORCH, 3).unwrap();
    unet
}

#[test]
fn datasets_have_conditions() {
    let context = context();
    let shapes = Dataset::described_shapes(&context, 16, 10, 1).unwrap();
    assert_eq!(shapes.info().unwrap().condition_size, 6);
    let (image, vector) = shapes.condition(3).unwrap();
    assert!(image.is_empty() && vector.len() == 6 && vector.iter().any(|&v| v != 0.0));
    assert_eq!(shapes.condition(10).unwrap_err().status(), Status::NOT_FOUND);
    let small = shapes.downscaled(4).unwrap();
    assert_eq!(shapes.downscaled(3).unwrap_err().status(), Status::INVALID_ARGUMENT);
    drop(shapes); // kept by `small`
    let info = small.info().unwrap();
    assert_eq!((info.condition_channels, info.condition_size), (3, 6));
    let (image, same) = small.condition(3).unwrap();
    assert_eq!((image.len(), same), (16 * 16 * 3, vector));
    assert!(image != small.image(3).unwrap().0);
}

#[test]
fn conditions_in_memory_are_those_of_a_closure() {
    let context = context();
    let (pixels, labels) = pixels();
    let images: Vec<u8> = (0..16 * 64).map(|i| (i % 241) as u8).collect();
    let vectors: Vec<f32> = (0..32).map(|i| i as f32 / 32.0).collect();
    let given = DatasetConditions {
        channels: 1,
        size: 2,
        vector_invariant: true,
        images: Some(&images),
        vectors: Some(&vectors),
    };
    let memory =
        Dataset::from_memory_with(&context, [8, 8, 3], &pixels, Some(&labels), &given).unwrap();
    let wrong = DatasetConditions { vectors: Some(&vectors[1..]), ..given };
    let error = Dataset::from_memory_with(&context, [8, 8, 3], &pixels, None, &wrong).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
    let about = DatasetCallback {
        classes: 4,
        count: 16,
        height: 8,
        width: 8,
        channels: 3,
        condition_channels: 1,
        condition_size: 2,
        vector_invariant: true,
        ..DatasetCallback::default()
    };
    let (all, every) = (images.clone(), vectors.clone());
    let called = Dataset::from_items(&context, &about, move |item| {
        let i = item.index as usize;
        item.pixels.copy_from_slice(&pixels[i * IMAGE..][..IMAGE]);
        item.condition_image.copy_from_slice(&all[i * 64..][..64]);
        item.condition_vector.copy_from_slice(&every[i * 2..][..2]);
        item.label = Some(i as i32 % 4);
        Ok(())
    })
    .unwrap();
    let mut losses = Vec::new();
    for dataset in [memory, called] {
        assert!(dataset.info().unwrap().vector_invariant);
        assert_eq!(
            dataset.condition(5).unwrap(),
            (images[5 * 64..6 * 64].to_vec(), vectors[10..12].to_vec())
        );
        let unet = conditioned(&context);
        let schedule = Schedule::new(&context, &ScheduleOptions::default()).unwrap();
        let options = TrainerOptions { condition_dropout: 0.25, ..training() };
        let mut trainer = Trainer::new(&unet, &schedule, Some(&dataset), &options).unwrap();
        losses.push(trainer.step().unwrap().loss);
    }
    assert_eq!(losses[0], losses[1]);
}

#[test]
fn conditions_reach_training_and_sampling() {
    let parts = parts();
    let unet = conditioned(&parts.context);
    let (image, vector) = (vec![1.0; 64], vec![1.0, -2.0]);
    let run = |image: Option<&Vec<f32>>, vector: Option<&Vec<f32>>| {
        let mut sampler = Sampler::new(&unet, &parts.schedule, &steps(2)).unwrap();
        let request = SamplerRequest {
            condition_image: image.cloned(),
            condition_vector: vector.cloned(),
            ..SamplerRequest::default()
        };
        sampler.run(&request)
    };
    let plain = run(None, None).unwrap();
    assert!(run(Some(&image), None).unwrap() != plain);
    assert!(run(None, Some(&vector)).unwrap() != plain);
    assert_eq!(run(Some(&vector), None).unwrap_err().status(), Status::SHAPE_MISMATCH);

    let mut trainer = Trainer::new(&unet, &parts.schedule, None, &training()).unwrap();
    trainer.set_learning_rate(0.0).unwrap();
    let (images, vectors) = (vec![0.25; 4 * IMAGE], vec![1.5; 8]);
    let batch = TrainBatch {
        images: &images,
        noise: Some(&images),
        timesteps: Some(&[10; 4]),
        ..TrainBatch::default()
    };
    let plain = trainer.step_batch(&batch).unwrap().loss;
    let given = TrainBatch { condition_vector: Some(&vectors), ..batch };
    assert!(trainer.step_batch(&given).unwrap().loss != plain);
    let wrong = TrainBatch { condition_image: Some(&vectors), ..batch };
    assert_eq!(trainer.step_batch(&wrong).unwrap_err().status(), Status::SHAPE_MISMATCH);
}

#[test]
fn a_model_of_the_caller_s_gets_conditions() {
    let context = context();
    let schedule = Schedule::new(&context, &ScheduleOptions::default()).unwrap();
    let about = Denoiser {
        prediction: Prediction::X0,
        height: 4,
        width: 4,
        channels: 1,
        condition_channels: 1,
        condition_size: 1,
        ..Denoiser::default()
    };
    let model = |input: &DenoiserInput<'_>, output: &mut [f32]| {
        output.copy_from_slice(input.condition_image.expect("an image"));
        assert_eq!(input.condition_vector, Some(&[0.5][..]));
        Ok(())
    };
    let mut sampler =
        Sampler::with_denoiser(&context, &schedule, &about, &steps(3), model).unwrap();
    let request = SamplerRequest {
        condition_image: Some(vec![0.25; 16]),
        condition_vector: Some(vec![0.5]),
        ..SamplerRequest::default()
    };
    let images = sampler.run(&request).unwrap();
    assert!(images.iter().all(|x| (x - 0.25).abs() < 1e-5), "{images:?}");
}

#[test]
fn a_teacher_is_distilled() {
    let parts = parts();
    let options = TrainerOptions {
        distill_steps: 4,
        label_dropout: 0.0,
        loss_weight: LossWeight::TRUNCATED_SNR,
        ..training()
    };
    let dataset = Some(&parts.dataset);
    let mut trainer = Trainer::new(&parts.unet, &parts.schedule, dataset, &options).unwrap();
    assert_eq!(trainer.step().unwrap_err().status(), Status::WRONG_STATE);
    let elsewhere = Unet::new(&context(), &network(), 1).unwrap();
    assert!(trainer.set_teacher(&elsewhere).is_err());
    let teacher = Unet::new(&parts.context, &network(), 1).unwrap();
    trainer.set_teacher(&teacher).unwrap();
    assert_eq!(trainer.set_teacher(&teacher).unwrap_err().status(), Status::WRONG_STATE);
    drop(teacher); // kept by the library
    let loss = trainer.step().unwrap().loss;
    assert!(loss.is_finite() && loss >= 0.0);
}
