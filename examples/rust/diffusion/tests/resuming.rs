// SPDX-License-Identifier: MIT
//! Names of classes, runs that go on with other options, what files say about training, and what a
//! dataset is told while it trains.
mod common;

use common::*;
use diffusion::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const NAMES: [&str; 4] = ["cat", "élan", "a \"fast\" car", "bus"];

fn names(unet: &Unet) -> Vec<Option<String>> {
    (0..4).map(|label| unet.class_name(label).unwrap()).collect()
}

fn all_names() -> Vec<Option<String>> {
    NAMES.iter().map(|name| Some(name.to_string())).collect()
}

/// A path that is removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(std::env::temp_dir().join(format!("diffusion-{name}-{}", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn files_and_shares_keep_the_names() {
    let mut parts = parts();
    assert_eq!(names(&parts.unet), [None, None, None, None]);
    parts.unet.set_class_names(&NAMES).unwrap();
    assert_eq!(names(&parts.unet), all_names());
    assert_eq!(parts.unet.class_name(4).unwrap(), None);
    let bytes = parts.unet.save_memory(None).unwrap();
    let loaded = Unet::load_memory(&parts.context, &bytes, Weights::DEFAULT).unwrap();
    assert_eq!(names(&loaded), all_names());
    let share = parts.unet.share(&context()).unwrap();
    assert_eq!(names(&share), all_names());
    let error = parts.unet.set_class_names::<&str>(&[]).unwrap_err();
    assert_eq!(error.status(), Status::WRONG_STATE);
    drop(share);
    let error = parts.unet.set_class_names(&NAMES[1..]).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
    for bad in ["", "two\nlines", "zero\0", &"long".repeat(64)] {
        let error = parts.unet.set_class_names(&["a", "b", bad, "d"]).unwrap_err();
        assert_eq!(error.status(), Status::INVALID_ARGUMENT, "{bad}");
    }
    assert_eq!(names(&parts.unet), all_names());
    parts.unet.set_class_names::<String>(&[]).unwrap();
    assert_eq!(names(&parts.unet), [None, None, None, None]);
}

#[test]
fn a_network_takes_the_names_of_its_data() {
    let Parts { context, schedule, unet, .. } = parts();
    let (pixels, labels) = pixels();
    let five = [NAMES[0], NAMES[1], NAMES[2], NAMES[3], "without images"];
    let named = |names: &[&str]| {
        let conditions = DatasetConditions::default();
        Dataset::from_memory_named(&context, [8, 8, 3], &pixels, Some(&labels), &conditions, names)
    };
    let dataset = named(&five).unwrap();
    assert_eq!(dataset.info().unwrap().classes, 5);
    assert_eq!(dataset.class_name(4), Some("without images"));
    assert_eq!(named(&five[..3]).unwrap_err().status(), Status::SHAPE_MISMATCH);
    let dataset = named(&NAMES).unwrap();
    let mut trainer = Trainer::new(&unet, &schedule, Some(&dataset), &training()).unwrap();
    assert_eq!(names(&unet), all_names());
    let mut seen = None;
    trainer
        .run(1, |_| {
            seen = unet.class_name(1)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen.as_deref(), Some(NAMES[1]));
    let bytes = trainer.save_memory().unwrap();
    let loaded = Unet::load_memory(&context, &bytes, Weights::EMA).unwrap();
    assert_eq!(names(&loaded), all_names());
}

/// What a source of 16 black images was asked for.
#[derive(Default)]
struct Reads {
    index: Vec<u64>,
    epoch: Vec<u64>,
    told: Vec<u64>,
    early: bool,
}

fn source(context: &Context, reads: &Arc<Mutex<Reads>>, hooks: DatasetHooks) -> Result<Dataset> {
    let about = DatasetCallback {
        classes: 4,
        count: 16,
        height: 8,
        width: 8,
        channels: 3,
        ..DatasetCallback::default()
    };
    let reads = reads.clone();
    Dataset::from_items_with(context, &about, hooks, move |item| {
        let mut reads = reads.lock().unwrap();
        reads.index.push(item.index);
        reads.epoch.push(item.epoch);
        item.label = Some(item.index as i32 % 4);
        Ok(())
    })
}

#[test]
fn datasets_are_told_what_is_read_next() {
    let Parts { context, schedule, unet, .. } = parts();
    let reads = Arc::new(Mutex::new(Reads::default()));
    let told = reads.clone();
    let hooks = DatasetHooks::new().class_names(&NAMES).prefetch(move |indices| {
        let mut reads = told.lock().unwrap();
        reads.early |= !reads.told.is_empty() && reads.told.len() != reads.index.len();
        reads.told.extend(indices);
    });
    let dataset = source(&context, &reads, hooks).unwrap();
    assert_eq!(dataset.class_name(3), Some(NAMES[3]));
    let mut trainer = Trainer::new(&unet, &schedule, Some(&dataset), &training()).unwrap();
    let mut images = 0;
    trainer
        .run(6, |stats| {
            images += stats.quarter_images.iter().sum::<i32>();
            for (loss, count) in stats.quarter_loss.iter().zip(stats.quarter_images) {
                assert!(loss.is_finite() && (*loss > 0.0) == (count > 0));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(images, 24);
    let seen = reads.lock().unwrap();
    assert_eq!((seen.index.len(), seen.told.len(), seen.early), (24, 28, false));
    assert_eq!(seen.told[..24], seen.index);
    assert!(seen.epoch.iter().enumerate().all(|(i, &epoch)| epoch == i as u64 / 16));
    drop(seen);
    let wrong = DatasetHooks::new().class_names(&NAMES[..3]);
    let error = source(&context, &reads, wrong).unwrap_err();
    assert_eq!(error.status(), Status::SHAPE_MISMATCH);
}

#[test]
fn a_panic_of_a_prefetch_goes_on() {
    let Parts { context, schedule, unet, .. } = parts();
    let reads = Arc::new(Mutex::new(Reads::default()));
    let hooks = DatasetHooks::new().prefetch(|indices| panic!("{} are too many", indices.len()));
    let dataset = source(&context, &reads, hooks).unwrap();
    let mut trainer = Trainer::new(&unet, &schedule, Some(&dataset), &training()).unwrap();
    assert_eq!(panic_of(|| trainer.step()), "4 are too many");
    assert_eq!(trainer.get_step().unwrap(), 1); // it cannot stop the step
}

#[test]
fn a_run_goes_on_with_another_batch_and_rate() {
    let parts = parts();
    let file = File::new("changed");
    let mut trainer = parts.trainer();
    trainer.run(4, |_| Ok(())).unwrap();
    trainer.save(&file.0).unwrap();
    let options = Trainer::load_options(&parts.context, &file.0).unwrap();
    assert_eq!(options, training());
    trainer.run(6, |_| Ok(())).unwrap();

    let unet = Unet::load(&parts.context, &file.0, Weights::TRAINED).unwrap();
    let dataset = Some(&parts.dataset);
    let mut same = Trainer::resume_changed(&unet, dataset, &file.0, &options).unwrap();
    same.run(6, |_| Ok(())).unwrap();
    assert!(same.save_memory().unwrap() == trainer.save_memory().unwrap());
    drop(same);

    let reads = Arc::new(Mutex::new(Reads::default()));
    let data = source(&parts.context, &reads, DatasetHooks::new()).unwrap();
    let other = TrainerOptions { batch_size: 3, learning_rate: 0.25, ..options.clone() };
    let mut changed = Trainer::resume_changed(&unet, Some(&data), &file.0, &other).unwrap();
    let stats = changed.step().unwrap();
    assert_eq!((stats.step, stats.images, stats.learning_rate), (5, 19, 0.25));
    assert_eq!(reads.lock().unwrap().epoch, [1, 1, 1]); // positions 16 to 18
    drop(changed);
    let wrong = TrainerOptions { distill_steps: 4, ..options };
    let error = Trainer::resume_changed(&unet, None, &file.0, &wrong).unwrap_err();
    assert_eq!(error.status(), Status::INVALID_ARGUMENT);
    assert!(error.message().contains("distill_steps"), "{error}");
}

#[test]
fn files_say_how_far_training_has_come() {
    let parts = parts();
    let file = File::new("info");
    let mut trainer = parts.trainer();
    trainer.run(3, |_| Ok(())).unwrap();
    trainer.save(&file.0).unwrap();
    let info = Trainer::load_info(&parts.context, &file.0).unwrap();
    assert!(info.training && info.null_class);
    assert_eq!((info.step, info.images, info.emas), (3, 12, 1));
    assert_eq!((info.dataset_count, info.format_version), (16, 1));
    assert_eq!(info.dataset_fingerprint, parts.dataset.info().unwrap().fingerprint);
    parts.unet.save(None, &file.0).unwrap();
    let info = Trainer::load_info(&parts.context, &file.0).unwrap();
    assert!(!info.training && info.null_class && info.step == 0);
    let error = Trainer::load_options(&parts.context, &file.0).unwrap_err();
    assert_eq!(error.status(), Status::BAD_FORMAT);
    let error = Trainer::load_info(&parts.context, "missing").unwrap_err();
    assert_eq!(error.status(), Status::NOT_FOUND);
}
