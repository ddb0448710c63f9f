// SPDX-License-Identifier: MIT
//! Objects that are dropped in any order and on any thread; memory and its limit.
mod common;

use common::*;
use diffusion::*;

fn assert_send_sync<T: Send + Sync>() {}

#[test]
fn objects_move_between_threads() {
    assert_send_sync::<Context>();
    assert_send_sync::<Schedule>();
    assert_send_sync::<Unet>();
    assert_send_sync::<Dataset>();
    assert_send_sync::<Trainer>();
    assert_send_sync::<Sampler>();
    assert_send_sync::<CancelHandle>();
    assert_send_sync::<Error>();
    let mut trainer = parts().trainer();
    let step = std::thread::spawn(move || {
        trainer.step().unwrap();
        trainer.get_step().unwrap()
    });
    assert_eq!(step.join().unwrap(), 1);
}

#[test]
fn objects_keep_alive_what_they_were_made_from() {
    let parts = parts();
    let mut trainer = parts.trainer();
    let Parts { context, schedule, dataset, unet } = parts;
    drop((context, dataset));
    trainer.step().unwrap();
    drop(trainer);
    let mut sampler = Sampler::new(&unet, &schedule, &steps(1)).unwrap();
    drop((unet, schedule));
    sampler.run(&SamplerRequest::default()).unwrap();

    let owner = Unet::new(&common::context(), &network(), 1).unwrap();
    let share = owner.share(&common::context()).unwrap();
    drop(owner);
    share.forward(&[0.0; IMAGE], &[0.0], None).unwrap();
}

#[test]
fn a_profile_has_rows() {
    let options = ContextOptions { threads: 1, profile: true, ..ContextOptions::default() };
    let context = Context::new(&options).unwrap();
    let unet = Unet::new(&context, &network(), 1).unwrap();
    unet.forward(&[0.0; IMAGE], &[0.0], None).unwrap();
    let rows = context.profile_rows().unwrap();
    assert!(rows.iter().any(|row| row.operation == "conv" && row.calls > 0), "{rows:?}");
    context.profile_reset().unwrap();
    assert!(context.profile_rows().unwrap().is_empty());
    let memory = context.memory().unwrap();
    assert!(memory.peak >= memory.used && memory.allocations > 0);
    assert_eq!(context.threads(), 1);

    let options = ContextOptions { memory_limit: 1 << 20, ..ContextOptions::default() };
    let context = Context::new(&options).unwrap();
    let error = Unet::new(&context, &UnetOptions::default(), 1).unwrap_err();
    assert_eq!(error.status(), Status::LIMIT_EXCEEDED);
}
