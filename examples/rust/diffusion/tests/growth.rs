// SPDX-License-Identifier: MIT
//! Creating and destroying every kind of object does not let memory grow.
mod common;

use common::*;
use diffusion::*;

/// Bytes of the process in memory, or 0 where /proc does not say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn every_handle(context: &Context, bytes: &[u8]) {
    let schedule = Schedule::new(context, &ScheduleOptions::default()).unwrap();
    let (pixels, labels) = pixels();
    drop(Dataset::from_memory(context, [8, 8, 3], &pixels, Some(&labels)).unwrap());
    let dataset = Dataset::from_vec(context, [8, 8, 3], pixels, Some(labels)).unwrap();
    let about = DatasetCallback {
        count: 1,
        height: 8,
        width: 8,
        channels: 3,
        ..DatasetCallback::default()
    };
    let big = vec![0u8; 1000];
    drop(Dataset::from_callback(context, &about, move |i, _| Ok(Some(big[i as usize].into()))));
    let unet = Unet::load_memory(context, bytes, Weights::DEFAULT).unwrap();
    let share = unet.share(context).unwrap();
    let mut held = Sampler::new(&share, &schedule, &steps(1)).unwrap();
    held.start(SamplerRequest::default(), SamplerHooks::new().progress(|_| Ok(()))).unwrap();
    drop((share, held));
    let options = TrainerOptions { batch_size: 1, ..TrainerOptions::default() };
    let trainer = Trainer::new(&unet, &schedule, Some(&dataset), &options).unwrap();
    drop(trainer.cancel_handle());
    let about = Denoiser { height: 4, width: 4, channels: 1, ..Denoiser::default() };
    Sampler::with_denoiser(context, &schedule, &about, &steps(1), |_, _| Ok(())).unwrap();
    assert!(Unet::load(context, "missing", Weights::DEFAULT).is_err());
}

#[test]
fn a_thousand_of_each_leave_nothing_behind() {
    let own = context();
    let mut options = network();
    options.channels[0] = 4;
    options.norm_groups = 2;
    let bytes = Unet::new(&own, &options, 1).unwrap().save_memory(None).unwrap();
    let used = own.memory().unwrap().used;
    let mut before = 0;
    for round in 0..1000 {
        every_handle(&own, &bytes);
        let log = |_: LogLevel, _: &str| {};
        let hooks = ContextHooks::new().log(log);
        let threads = ContextOptions { threads: 2, ..ContextOptions::default() };
        drop(Context::with_hooks(&threads, hooks).unwrap());
        assert_eq!(own.memory().unwrap().used, used, "round {round}");
        if round == 200 {
            before = resident();
        }
    }
    let after = resident();
    assert!(after < before + (2 << 20), "{before} bytes became {after}");
}
