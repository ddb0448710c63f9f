// SPDX-License-Identifier: MIT
//! Closures that fail, panic, cancel or call the library; the log and the loop of a context.
mod common;

use common::*;
use diffusion::*;
use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A sampler with a closure, and a dataset with one.
fn samples_with(model: impl FnMut() -> CallbackResult + Send + 'static) -> Result<Vec<f32>> {
    let mut model = model;
    let context = context();
    let schedule = Schedule::new(&context, &ScheduleOptions::default())?;
    let about = Denoiser { height: 4, width: 4, channels: 1, ..Denoiser::default() };
    let mut sampler =
        Sampler::with_denoiser(&context, &schedule, &about, &steps(2), move |_, _| model())?;
    sampler.run(&SamplerRequest::default())
}

fn reads_with(read: impl FnMut() -> CallbackResult + Send + 'static) -> Result<()> {
    let mut read = read;
    let context = context();
    let about = DatasetCallback {
        count: 4,
        height: 8,
        width: 8,
        channels: 3,
        ..DatasetCallback::default()
    };
    let dataset = Dataset::from_callback(&context, &about, move |_, _| read().map(|_| None))?;
    dataset.image(0).map(drop)
}

#[test]
fn errors_come_out_with_their_text() {
    let parts = parts();
    let check = |error: Error| {
        assert_eq!(error.status(), Status::CALLBACK_FAILED, "{error}");
        assert!(error.message().contains("disk is full"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "disk is full");
    };
    let fail = || Err(Stop::failure("disk is full"));
    let mut trainer = parts.trainer();
    check(trainer.run(5, |_| fail()).unwrap_err());
    let mut sampler = parts.sampler(&steps(2));
    let request = SamplerRequest::default();
    let hooks = SamplerHooks::new().progress(|_| fail());
    check(sampler.run_with(&request, hooks).unwrap_err());
    check(sampler.run_with(&request, SamplerHooks::new().noise(|_, _| fail())).unwrap_err());
    check(sampler.run_with(&request, SamplerHooks::new().guide(|_| fail())).unwrap_err());
    check(samples_with(fail).unwrap_err());
    check(reads_with(fail).unwrap_err());
    sampler.start(request, SamplerHooks::new().progress(move |_| fail())).unwrap();
    check(sampler.step().unwrap_err());

    let error = trainer.run(9, |_| Ok("x".parse::<u8>().map(drop)?)).unwrap_err();
    assert!(error.source().unwrap().is::<std::num::ParseIntError>());
}

#[test]
fn panics_go_on_after_the_call() {
    let parts = parts();
    let mut trainer = parts.trainer();
    assert_eq!(panic_of(|| trainer.run(5, |_| panic!("broken"))), "broken");
    assert_eq!(trainer.get_step().unwrap(), 1);
    trainer.run(2, |_| Ok(())).unwrap();
    let mut sampler = parts.sampler(&steps(2));
    let hooks = SamplerHooks::new().progress(|_| panic!("broken {}", 1));
    assert_eq!(panic_of(|| sampler.run_with(&SamplerRequest::default(), hooks)), "broken 1");
    let hooks = SamplerHooks::new().noise(|_, _| panic!("broken"));
    assert_eq!(panic_of(|| sampler.run_with(&SamplerRequest::default(), hooks)), "broken");
    let hooks = SamplerHooks::new().guide(|_| panic!("broken"));
    assert_eq!(panic_of(|| sampler.run_with(&SamplerRequest::default(), hooks)), "broken");
    assert_eq!(panic_of(|| samples_with(|| panic!("broken"))), "broken");
    assert_eq!(panic_of(|| reads_with(|| panic!("broken"))), "broken");
    let evaluate = |_, _| panic!("broken");
    let options = EvaluationOptions { count: 1, timesteps: 1, ..EvaluationOptions::default() };
    let call = || parts.unet.evaluate(&parts.schedule, &parts.dataset, &options, evaluate);
    assert_eq!(panic_of(call), "broken");
    sampler.run(&SamplerRequest::default()).unwrap();
}

#[test]
fn a_run_is_cancelled_from_another_thread() {
    let parts = parts();
    let mut trainer = parts.trainer();
    let cancel = trainer.cancel_handle();
    let error = std::thread::scope(|scope| {
        let (begun, begins) = std::sync::mpsc::channel();
        let cancel = cancel.clone();
        scope.spawn(move || {
            begins.recv().unwrap();
            cancel.cancel();
        });
        trainer.run(1_000_000, |_| {
            let _ = begun.send(());
            Ok(())
        })
    })
    .unwrap_err();
    assert_eq!(error.status(), Status::CANCELLED);
    cancel.cancel();
    assert_eq!(trainer.step().unwrap_err().status(), Status::CANCELLED);
    trainer.step().unwrap();
    drop(trainer);
    cancel.cancel(); // does nothing

    let mut sampler = parts.sampler(&steps(500));
    let cancel = sampler.cancel_handle();
    let hooks = SamplerHooks::new().progress(|_| {
        cancel.cancel();
        Ok(())
    });
    let error = sampler.run_with(&SamplerRequest::default(), hooks).unwrap_err();
    assert_eq!(error.status(), Status::CANCELLED);
}

#[test]
fn calls_that_overlap_are_refused() {
    let parts = parts();
    let mut trainer = parts.trainer();
    let (dropped_inside, dropped_elsewhere) = (dataset(&parts.context), dataset(&parts.context));
    let mut objects = vec![dropped_inside, dropped_elsewhere];
    let used = parts.context.memory().unwrap().used;
    let wrong = |result: Result<UnetOptions>| {
        assert_eq!(result.unwrap_err().status(), Status::WRONG_STATE);
    };
    trainer
        .run(1, |_| {
            wrong(parts.unet.options());
            drop(objects.pop());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    wrong(parts.unet.options());
                    assert!(image::encode_png(&parts.context, &[0], [1, 1, 1]).is_err());
                    drop(objects.pop());
                });
            });
            assert!(parts.context.memory().unwrap().used >= used); // not yet destroyed
            image::encode_png(&parts.context, &[0], [1, 1, 1])?;
            let mut options = SamplerOptions::default();
            options.set(&parts.context, "steps", "7")?;
            let error = options.set(&parts.context, "steps", "x").unwrap_err();
            assert!(error.message().contains("steps"), "{error}");
            context().memory()?; // another context
            Ok(())
        })
        .unwrap();
    assert!(parts.context.memory().unwrap().used < used);
    parts.unet.options().unwrap();
}

#[test]
fn the_log_receives_notes() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let hooks = ContextHooks::new().log(move |level, text| {
        sink.lock().unwrap().push((level, text.to_owned()));
    });
    let context = Context::with_hooks(&ContextOptions::default(), hooks).unwrap();
    noted(&context).unwrap();
    let lines = lines.lock().unwrap();
    assert!(lines.iter().any(|(_, text)| text.contains("guidance")), "{lines:?}");
    drop(lines);

    let hooks = ContextHooks::new().log(|_, _| panic!("log is broken"));
    let context = Context::with_hooks(&ContextOptions::default(), hooks).unwrap();
    assert_eq!(panic_of(|| noted(&context)), "log is broken");
    Unet::new(&context, &network(), 1).unwrap();
}

/// Trains without label dropout and samples with guidance, which the library remarks on.
fn noted(context: &Context) -> Result<Sampler> {
    let unet = Unet::new(context, &network(), 1)?;
    let schedule = Schedule::new(context, &ScheduleOptions::default())?;
    let options = TrainerOptions { label_dropout: 0.0, ..training() };
    Trainer::new(&unet, &schedule, Some(&dataset(context)), &options)?.step()?;
    Sampler::new(&unet, &schedule, &SamplerOptions { guidance: 2.0, ..steps(2) })
}

#[test]
fn work_runs_on_the_caller_s_threads() {
    let tasks = Arc::new(AtomicUsize::new(0));
    let counter = tasks.clone();
    let hooks = ContextHooks::new().parallel_for(move |count, body| {
        counter.fetch_add(count, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for index in 1..count {
                scope.spawn(move || body(index));
            }
        });
        // Index 0 is left out, and 1 requested again.
        body(count.min(2) - 1);
    });
    let options = ContextOptions { threads: 2, ..ContextOptions::default() };
    let own = Context::with_hooks(&options, hooks).unwrap();
    let forward = |context: &Context| {
        let unet = Unet::new(context, &network(), 1).unwrap();
        unet.forward(&[0.5; 4 * IMAGE], &[1.0; 4], None).unwrap()
    };
    assert!(forward(&own) == forward(&context()));
    assert!(tasks.load(Ordering::Relaxed) > 0);

    let hooks = ContextHooks::new().parallel_for(|_, _| panic!("no threads"));
    let own = Context::with_hooks(&options, hooks).unwrap();
    assert_eq!(panic_of(|| forward(&own)), "no threads");
}
