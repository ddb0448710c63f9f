// SPDX-License-Identifier: MIT
//! Training, files, EMAs, datasets and evaluation.
mod common;

use common::*;
use diffusion::*;

#[test]
fn resuming_gives_the_same_bits() {
    let parts = parts();
    let mut trainer = parts.trainer();
    trainer.run(3, |_| Ok(())).unwrap();
    let bytes = trainer.save_memory().unwrap();
    trainer.run(6, |_| Ok(())).unwrap();
    let expected = trainer.save_memory().unwrap();

    let other = parts_of(&bytes);
    let mut resumed = Trainer::resume_memory(&other.unet, Some(&other.dataset), &bytes).unwrap();
    assert_eq!(resumed.get_step().unwrap(), 3);
    assert_eq!(resumed.options().unwrap(), trainer.options().unwrap());
    resumed.run(6, |_| Ok(())).unwrap();
    assert!(resumed.save_memory().unwrap() == expected);
}

fn parts_of(bytes: &[u8]) -> Parts {
    let context = context();
    Parts {
        unet: Unet::load_memory(&context, bytes, Weights::TRAINED).unwrap(),
        schedule: Schedule::load_memory(&context, bytes).unwrap(),
        dataset: dataset(&context),
        context,
    }
}

#[test]
fn a_file_holds_the_bytes_of_memory() {
    let parts = parts();
    let path = std::env::temp_dir().join(format!("diffusion-{}.safetensors", std::process::id()));
    parts.unet.save(Some(&parts.schedule), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let loaded = Unet::load(&parts.context, &path, Weights::DEFAULT).unwrap();
    let schedule = Schedule::load(&parts.context, &path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(bytes == parts.unet.save_memory(Some(&parts.schedule)).unwrap());
    assert_eq!(loaded.options().unwrap(), network());
    assert_eq!(schedule.options().unwrap(), ScheduleOptions::default());
    let x = vec![0.5; IMAGE];
    let output = loaded.forward(&x, &[10.0], Some(&[1])).unwrap();
    assert_eq!(output.len(), IMAGE);
    assert_eq!(output, parts.unet.forward(&x, &[10.0], Some(&[1])).unwrap());
}

#[test]
fn tensors_are_read_and_replaced() {
    let mut unet = parts().unet;
    let tensors = unet.tensors().unwrap();
    assert_eq!(tensors.iter().map(|t| t.elements as u64).sum::<u64>(), unet.parameter_count());
    let info = tensors.iter().find(|t| t.name == "conv_in.weight").unwrap();
    assert_eq!(info.shape, [32, 3, 3, 3]);
    let values: Vec<f32> = (0..info.elements).map(|i| i as f32 / 1000.0).collect();
    unet.set_tensor(&info.name, &values, &info.shape).unwrap();
    assert_eq!(unet.tensor(&info.name).unwrap(), values);
    let error = unet.set_tensor(&info.name, &values, &[3, 32, 3, 3]).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
    assert!(unet.set_tensor(&info.name, &values, &[]).is_err());
}

#[test]
fn an_ema_is_copied_to_another_network() {
    let parts = parts();
    let mut trainer = parts.trainer();
    trainer.run(2, |_| Ok(())).unwrap();
    let bytes = trainer.save_memory().unwrap();
    let saved = Unet::load_memory(&parts.context, &bytes, Weights::EMA).unwrap();
    for context in [parts.context.clone(), context()] {
        let mut target = Unet::new(&context, &network(), 9).unwrap();
        trainer.get_ema(0, &mut target).unwrap();
        for tensor in target.tensors().unwrap() {
            let name = &tensor.name;
            assert_eq!(target.tensor(name).unwrap(), saved.tensor(name).unwrap(), "{name}");
        }
        let error = trainer.get_ema(1, &mut target).unwrap_err();
        assert_eq!(error.status(), Status::WRONG_STATE);
        assert!(error.message().contains("ema_decay[1]"), "{error}");
    }
}

#[test]
fn datasets_agree() {
    let context = context();
    let (pixels, labels) = pixels();
    let copied = Dataset::from_memory(&context, [8, 8, 3], &pixels, Some(&labels)).unwrap();
    let owned = dataset(&context);
    let about = DatasetCallback {
        classes: 4,
        count: 16,
        height: 8,
        width: 8,
        channels: 3,
        ..DatasetCallback::default()
    };
    let images = pixels.clone();
    let called = Dataset::from_callback(&context, &about, move |index, image| {
        let start = index as usize * IMAGE;
        image.copy_from_slice(&images[start..start + IMAGE]);
        Ok(Some(index as i32 % 4))
    })
    .unwrap();
    drop(pixels);
    let mut losses = Vec::new();
    for dataset in [copied, owned, called] {
        let info = dataset.info().unwrap();
        assert_eq!((info.count, info.height, info.width, info.channels), (16, 8, 8, 3));
        let (image, label) = dataset.image(5).unwrap();
        assert_eq!((image[0], label), ((5 * IMAGE * 7 % 251) as u8, Some(1)));
        assert!(dataset.image(16).is_err());
        let unet = Unet::new(&context, &network(), 1).unwrap();
        let schedule = Schedule::new(&context, &ScheduleOptions::default()).unwrap();
        let mut trainer = Trainer::new(&unet, &schedule, Some(&dataset), &training()).unwrap();
        losses.push(trainer.step().unwrap().loss);
    }
    assert_eq!(losses[0], losses[1]);
    assert_eq!(losses[0], losses[2]);
    let shapes = Dataset::shapes(&context, 16, 10, 1).unwrap();
    assert_eq!(shapes.info().unwrap().classes, 10);
    assert!(shapes.class_name(0).is_some() && shapes.class_name(10).is_none());
}

#[test]
fn a_batch_of_the_caller_s_is_trained_on() {
    let parts = parts();
    let mut trainer = Trainer::new(&parts.unet, &parts.schedule, None, &training()).unwrap();
    assert!(trainer.step().is_err()); // no dataset
    let (images, noise) = (vec![0.25; 4 * IMAGE], vec![0.5; 4 * IMAGE]);
    let batch = TrainBatch {
        images: &images,
        noise: Some(&noise),
        labels: Some(&[0, 1, -1, 3]),
        timesteps: Some(&[0, 10, 100, 999]),
        ..TrainBatch::default()
    };
    let stats = trainer.step_batch(&batch).unwrap();
    assert!(stats.step == 1 && stats.loss > 0.0 && !stats.skipped);
    trainer.set_learning_rate(0.5).unwrap();
    assert_eq!(trainer.step_batch(&batch).unwrap().learning_rate, 0.5);
    for wrong in [
        TrainBatch { images: &images[1..], ..batch },
        TrainBatch { noise: Some(&noise[1..]), ..batch },
        TrainBatch { labels: Some(&[]), ..batch },
        TrainBatch { timesteps: Some(&[1]), ..batch },
    ] {
        assert_eq!(trainer.step_batch(&wrong).unwrap_err().status(), Status::SHAPE_MISMATCH);
    }
    let wrong = TrainBatch { timesteps: Some(&[0, 10, 100, 1000]), ..batch };
    assert_eq!(trainer.step_batch(&wrong).unwrap_err().status(), Status::INVALID_ARGUMENT);
}

#[test]
fn a_network_is_evaluated() {
    let parts = parts();
    let options =
        EvaluationOptions { count: 3, timesteps: 4, batch_size: 2, ..EvaluationOptions::default() };
    let mut last = (0, 0);
    let evaluate = |progress: &mut dyn FnMut(u64, u64) -> CallbackResult| {
        parts.unet.evaluate(&parts.schedule, &parts.dataset, &options, progress)
    };
    let result = evaluate(&mut |done, total| {
        last = (done, total);
        Ok(())
    })
    .unwrap();
    assert!(result.images == 3 && result.bits > 0.0 && result.loss[0] >= 0.0);
    assert!(last.0 == last.1 && last.1 > 0);
    let error = evaluate(&mut |_, _| Err(Stop::Cancel)).unwrap_err();
    assert_eq!(error.status(), Status::CANCELLED);
    let error = evaluate(&mut |_, _| Err(Stop::failure("no more"))).unwrap_err();
    assert!(error.message().contains("no more"), "{error}");
}

#[test]
fn schedules_have_levels() {
    let context = context();
    let betas = vec![0.1, 0.2, 0.3];
    let schedule = Schedule::from_betas(&context, &betas).unwrap();
    assert_eq!(schedule.timesteps(), 3);
    assert_eq!(schedule.series(Series::BETA).unwrap(), betas);
    assert_eq!(schedule.options().unwrap().kind, ScheduleKind::CUSTOM);
    let level = schedule.level(1.0).unwrap();
    assert!((level.signal.powi(2) - 0.9 * 0.8).abs() < 1e-12);
    let x_t = schedule.add_noise(&[1.0, 1.0], &[0.0, 0.0], &[1, 1]).unwrap();
    assert!((f64::from(x_t[0]) - level.signal).abs() < 1e-6);
    assert!(schedule.level(2.5).is_err());
}
