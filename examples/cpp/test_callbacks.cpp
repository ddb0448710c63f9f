// SPDX-License-Identifier: MIT
// Callbacks that throw, fail and stop; cancelling; calls that overlap.
#include "tests.hpp"

#include <atomic>
#include <cstdlib>
#include <thread>

namespace {

struct custom {
    int number;
};

/// Expects that f throws std::logic_error with the text "reason 7".
template <class F> void throws_reason(F &&f) {
    try {
        f();
        FAIL("nothing was thrown");
    } catch (const std::logic_error &thrown) {
        CHECK(std::strcmp(thrown.what(), "reason 7") == 0);
    }
}

[[noreturn]] void reason() { throw std::logic_error("reason 7"); }

} // namespace

TEST_CASE("what a progress callback throws comes out") {
    test::setup s;
    auto trainer = s.trainer();
    throws_reason([&] { trainer.run(5, [](const diffusion::train_stats &) { reason(); }); });
    CHECK(trainer.get_step() == 1);
    auto failed = trainer.try_run(5, [](const diffusion::train_stats &) { reason(); });
    CHECK(failed.status() == diffusion::status::callback_failed);
    CHECK(test::contains(failed.error().what(), "reason 7"));
    CHECK(failed.error().thrown() != nullptr);
    try { /* of a type that is no std::exception */
        trainer.run(9, [](const diffusion::train_stats &) { throw custom{4}; });
        FAIL("nothing was thrown");
    } catch (const custom &thrown) {
        CHECK(thrown.number == 4);
    }
    trainer.run(5); /* the trainer is as usable as before */

    auto sampler = s.sampler();
    diffusion::sampler_request r = test::request();
    r.progress = [](const diffusion::sampler_progress &p) {
        if (p.step == 2) reason();
    };
    throws_reason([&] { sampler.run(r); });
    r.progress = nullptr;
    r.noise = [](const diffusion::noise_request &, diffusion::span<float>) { reason(); };
    throws_reason([&] { sampler.run(r); });
    throws_reason([&] {
        auto held = sampler.start(r);
        held.step();
    });
    diffusion::evaluation_options o;
    o.count = 1;
    throws_reason([&] {
        s.unet.evaluate(s.schedule, s.shapes, o, [](std::uint64_t, std::uint64_t) { reason(); });
    });
    CHECK(s.unet
              .try_evaluate(s.schedule, s.shapes, o,
                            [](std::uint64_t, std::uint64_t) { return diffusion::action::stop; })
              .status() == diffusion::status::cancelled);
}

TEST_CASE("what a model, a dataset, or a log throws comes out") {
    test::setup s;
    diffusion::denoiser model;
    model.height = model.width = 4;
    model.channels = 1;
    model.evaluate = [](const diffusion::denoiser_input &, diffusion::span<float>) { reason(); };
    auto sampler = diffusion::sampler::create_with_denoiser(s.context, s.schedule, model);
    throws_reason([&] { sampler.run({}); });

    diffusion::dataset_callback source;
    source.count = 9;
    source.height = source.width = test::size;
    source.channels = 3;
    source.fingerprint = 1;
    source.read = [](diffusion::dataset_item &item) {
        if (item.index >= 5) reason();
    };
    auto dataset = diffusion::dataset::create_from_callback(s.context, source);
    throws_reason([&] { static_cast<void>(dataset.get_image(7)); });
    CHECK(dataset.get_image(1).label == -1);
    auto trainer = diffusion::trainer::create(s.unet, s.schedule, dataset, test::training());
    throws_reason([&] { trainer.run(5); });

    diffusion::context_options o;
    o.threads = 1;
    int notes = 0;
    o.log = [&notes](std::int32_t, const char *) {
        notes++;
        reason();
    };
    auto logged = diffusion::context::create(o);
    auto unet = diffusion::unet::create(logged, test::network(), 1);
    auto schedule = diffusion::schedule::create(logged, test::short_schedule());
    diffusion::trainer_options t = test::training();
    t.label_dropout = 0;
    auto shapes = diffusion::dataset::create_shapes(logged, test::size, 10, 1);
    diffusion::trainer::create(unet, schedule, shapes, t).run(1);
    diffusion::sampler_options guided;
    guided.guidance = 2;
    throws_reason([&] { diffusion::sampler::create(unet, schedule, guided); });
    CHECK(notes == 1);
}

TEST_CASE("callbacks stop and fail without exceptions") {
    test::setup s;
    auto trainer = s.trainer();
    auto stopped =
        trainer.try_run(5, [](const diffusion::train_stats &) { return diffusion::action::stop; });
    CHECK(stopped.status() == diffusion::status::cancelled);
    auto failed = trainer.try_run(5, [](const diffusion::train_stats &) -> diffusion::result<void> {
        return diffusion::failure(diffusion::status::io, "disk is full");
    });
    CHECK(failed.status() == diffusion::status::callback_failed);
    CHECK(test::contains(failed.error().what(), "disk is full"));
    CHECK(failed.error().thrown() == nullptr);
}

TEST_CASE("a failing operation inside a callback comes out as it is") {
    test::setup s;
    auto trainer = s.trainer();
    CHECK(test::thrown_status([&] {
              trainer.run(5, [&](const diffusion::train_stats &) { trainer.step(); });
          }) == diffusion::status::wrong_state);
    trainer.run(3, [&](const diffusion::train_stats &) {
        auto inner = trainer.try_step();
        CHECK(inner.status() == diffusion::status::wrong_state);
        CHECK(test::contains(inner.error().what(), "another call"));
        diffusion::sampler_options o;
        s.context.set_option(o, "steps", "3"); /* is allowed here */
        CHECK(s.context.get_memory().used > 0);
        CHECK_FALSE(
            diffusion::image_encode_png(s.context, std::vector<std::uint8_t>(1), 1, 1, 1).empty());
        auto other = test::context(); /* as is all of another context */
        CHECK(diffusion::schedule::create(other).timesteps() == 1000);
    });
}

TEST_CASE("cancelling from another thread") {
    test::setup s;
    auto trainer = s.trainer();
    std::atomic<bool> running{false};
    std::thread stopper([&] {
        while (!running) std::this_thread::yield();
        trainer.cancel();
    });
    auto outcome = trainer.try_run(100000, [&](const diffusion::train_stats &) { running = true; });
    stopper.join();
    CHECK(outcome.status() == diffusion::status::cancelled);
    trainer.cancel();
    CHECK(trainer.try_step().status() == diffusion::status::cancelled);
    trainer.step();

    auto sampler = s.sampler(100);
    running = false;
    std::thread second([&] {
        while (!running) std::this_thread::yield();
        sampler.cancel();
    });
    diffusion::sampler_request r = test::request();
    r.count = 1000;
    r.labels.clear();
    r.progress = [&](const diffusion::sampler_progress &) { running = true; };
    CHECK(sampler.try_run(r).status() == diffusion::status::cancelled);
    second.join();
}

TEST_CASE("a call that overlaps another fails with wrong_state") {
    test::setup s;
    auto trainer = s.trainer();
    std::atomic<bool> running{false}, done{false};
    std::thread worker([&] {
        auto outcome = trainer.try_run(100000, [&](const diffusion::train_stats &) {
            running = true;
            return done ? diffusion::action::stop : diffusion::action::proceed;
        });
        CHECK(outcome.status() == diffusion::status::cancelled);
    });
    while (!running) std::this_thread::yield();
    auto overlapping = s.unet.try_get_options();
    CHECK(overlapping.status() == diffusion::status::wrong_state);
    CHECK(test::contains(overlapping.error().what(), "another call"));
    CHECK(s.context.get_memory().used > 0);
    done = true;
    worker.join();
    CHECK(s.unet.try_get_options());
}

TEST_CASE("allocators and thread pools of the caller") {
    std::atomic<int> live{0};
    int loops = 0, throwing = 0;
    {
        diffusion::context_options o;
        o.threads = 3;
        o.allocate = [&](std::size_t size) {
            live++;
            return std::malloc(size);
        };
        o.release = [&](void *pointer, std::size_t) {
            live--;
            std::free(pointer);
        };
        o.parallel_for = [&](std::int32_t count, const std::function<void(std::int32_t)> &body) {
            loops++;
            if (throwing > 0) { /* after some of the work; the rest is done all the same */
                body(count - 1);
                reason();
            }
            std::vector<std::thread> threads;
            for (std::int32_t i = 0; i < count; i++) threads.emplace_back([&body, i] { body(i); });
            for (std::thread &thread : threads) thread.join();
        };
        auto context = diffusion::context::create(o);
        auto unet = diffusion::unet::create(context, test::network(), 1);
        std::vector<float> x(test::image_floats, 0.5f), out(x.size()), expected(x.size());
        const double times[] = {4};
        unet.forward(x, times, {}, out);
        auto plain = test::context();
        diffusion::unet::create(plain, test::network(), 1).forward(x, times, {}, expected);
        CHECK(out == expected);
        CHECK(live > 0);
        CHECK(loops > 0);
        throwing = 1;
        throws_reason([&] { unet.forward(x, times, {}, out); });
        CHECK(out == expected);
    }
    CHECK(live == 0);
}
