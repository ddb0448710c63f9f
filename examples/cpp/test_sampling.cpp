// SPDX-License-Identifier: MIT
// Sampling: determinism, held runs, custom models and noise, images.
#include "tests.hpp"

TEST_CASE("sampling with guidance is deterministic") {
    test::setup s;
    s.trainer().run(2);
    auto images = s.sampler(3, 2).run(test::request());
    REQUIRE(images.size() == 2 * test::image_floats);
    CHECK(s.sampler(3, 2).run(test::request()) == images);
    CHECK(s.sampler(3, 1).run(test::request()) != images);
    std::vector<float> into(images.size());
    s.sampler(3, 2).run(test::request(), into);
    CHECK(into == images);

    auto other = test::context();
    auto share = s.unet.share(other);
    diffusion::sampler_options o;
    o.steps = 3;
    o.guidance = 2;
    CHECK(diffusion::sampler::create(share, s.schedule, o).run(test::request()) == images);
}

TEST_CASE("a held run equals a run") {
    test::setup s;
    auto sampler = s.sampler();
    auto images = sampler.run(test::request());
    auto held = sampler.start(test::request());
    CHECK(sampler.try_run(test::request()).status() == diffusion::status::wrong_state);
    CHECK(held.step() == 2);
    CHECK(held.try_finish().status() == diffusion::status::wrong_state);
    CHECK(held.get_preview().size() == images.size());
    while (held.step() > 0) {
    }
    CHECK(held.finish() == images);
    CHECK(held.try_step().status() == diffusion::status::wrong_state);

    auto dropped = sampler.start(test::request());
    dropped.step();
    dropped.abandon();
    auto next = sampler.start(test::request());
    next.step();
    /* a run that has ended must not touch the one after it */
    CHECK(dropped.try_step().status() == diffusion::status::wrong_state);
    CHECK(dropped.try_finish().status() == diffusion::status::wrong_state);
    CHECK_FALSE(dropped.try_abandon());
    { auto taken = std::move(dropped); }
    while (next.step() > 0) {
    }
    CHECK(next.finish() == images);
    { auto abandoned = sampler.start(test::request()); }
    CHECK(sampler.run(test::request()) == images);
}

TEST_CASE("a held run keeps its request and its sampler") {
    test::setup s;
    int calls = 0;
    auto start = [&] {
        diffusion::sampler_request r = test::request();
        r.progress = [&calls](const diffusion::sampler_progress &) { calls++; };
        r.initial_noise.assign(2 * test::image_floats, 0.5f);
        auto sampler = s.sampler();
        return sampler.start(r);
    };
    auto held = start();
    while (held.step() > 0) {
    }
    CHECK(held.finish().size() == 2 * test::image_floats);
    CHECK(calls == 3);
}

TEST_CASE("a custom model") {
    auto context = test::context();
    auto schedule = diffusion::schedule::create(context, test::short_schedule());
    diffusion::denoiser model;
    model.prediction = diffusion::prediction::x0;
    model.height = model.width = 4;
    model.channels = 2;
    std::uint64_t first_count = 0;
    model.evaluate = [&](const diffusion::denoiser_input &in, diffusion::span<float> out) {
        if (first_count == 0) first_count = in.count;
        CHECK(in.x.size() == out.size());
        CHECK(in.labels.size() == in.count);
        for (float &value : out) value = 0.25f;
    };
    diffusion::sampler_options o;
    o.steps = 4;
    o.guidance = 2;
    auto sampler = diffusion::sampler::create_with_denoiser(context, schedule, model, o);
    CHECK(sampler.shape().channels == 2);
    auto images = sampler.run(test::request());
    REQUIRE(images.size() == 2 * 4 * 4 * 2);
    CHECK(first_count == 4);
    for (float value : images) CHECK(value == doctest::Approx(0.25f));
}

TEST_CASE("noise from the caller, and noise of the library") {
    test::setup s;
    auto sampler = s.sampler();
    auto expected = sampler.run(test::request());
    auto noise = sampler.initial_noise(test::request());
    diffusion::sampler_request given = test::request();
    given.initial_noise = noise;
    CHECK(sampler.run(given) == expected);
    diffusion::sampler_request called = test::request();
    called.noise = [&](const diffusion::noise_request &r, diffusion::span<float> out) {
        CHECK(r.step == 0);
        REQUIRE(out.size() == noise.size());
        std::memcpy(out.data(), noise.data(), noise.size() * sizeof(float));
    };
    CHECK(sampler.run(called) == expected);

    std::vector<float> middle(noise.size());
    diffusion::noise_interpolate(middle, noise, expected, 0);
    CHECK(middle == noise);
    diffusion::sampler_request inverted = test::request();
    inverted.image = expected;
    CHECK(sampler.invert(inverted).size() == noise.size());
}

TEST_CASE("levels and options of a sampler") {
    test::setup s;
    diffusion::sampler_options o;
    o.custom_times = {90, 50, 10};
    auto sampler = diffusion::sampler::create(s.unet, s.schedule, o);
    CHECK(sampler.steps() == 3);
    auto levels = sampler.get_levels();
    CHECK(levels.timesteps == o.custom_times);
    CHECK(static_cast<std::int32_t>(levels.noise.size()) == sampler.evaluations());
    CHECK(sampler.get_options().custom_count == 3);
    CHECK(s.sampler(7).get_options().steps == 7);
}

TEST_CASE("images") {
    auto context = test::context();
    const float values[] = {-1, 0, 1, 2};
    auto pixels = diffusion::image_to_u8(values);
    CHECK(pixels == std::vector<std::uint8_t>{0, 128, 255, 255});
    CHECK(diffusion::image_from_u8(pixels)[2] == 1);
    diffusion::image_grid_options grid;
    grid.height = grid.width = 2;
    grid.channels = 1;
    grid.count = 1;
    grid.columns = 1;
    auto drawn = diffusion::image_draw_grid(grid, pixels);
    auto size = diffusion::image_grid_size(grid);
    CHECK(size.height == 4);
    CHECK(drawn.size() == 16);
    auto png = diffusion::image_encode_png(context, drawn, size.height, size.width, 1);
    CHECK(png[1] == 'P');
    test::file still("image_test.png"), moving("animation_test.png");
    diffusion::image_write_png(context, still.path, drawn, size.height, size.width, 1);
    diffusion::image_animation animation;
    animation.height = animation.width = 2;
    animation.channels = animation.frames = 1;
    diffusion::image_write_apng(context, moving.path, pixels, animation);
    CHECK(diffusion::try_image_write_png(context, "none/x.png", drawn, 4, 4, 1).status() !=
          diffusion::status::ok);
}

TEST_CASE("a guidance changes the predictions, and what it throws comes out") {
    test::setup s;
    auto sampler = s.sampler();
    diffusion::sampler_request r = test::request();
    auto plain = sampler.run(r);
    int calls = 0;
    r.guide = [&](diffusion::guidance_step &step) {
        calls++;
        CHECK(step.rederive == 0);
        REQUIRE(step.x_0.size() == 2 * test::image_floats);
        CHECK(step.x.size() == step.x_0.size());
        CHECK(step.labels[1] == 4);
        for (double &value : step.x_0) value = 0.5;
        step.rederive = 1;
    };
    for (float value : sampler.run(r)) CHECK(value == doctest::Approx(0.5f));
    CHECK(calls == sampler.evaluations());
    r.guide = [](diffusion::guidance_step &) {};
    CHECK(sampler.run(r) == plain);
    r.guide = [](diffusion::guidance_step &) { throw std::logic_error("reason 7"); };
    CHECK_THROWS_AS(sampler.run(r), std::logic_error);
    auto failed = sampler.try_run(r);
    CHECK(failed.status() == diffusion::status::callback_failed);
    CHECK(test::contains(failed.error().what(), "reason 7"));
    r.guide = [](diffusion::guidance_step &) { return diffusion::action::stop; };
    CHECK(sampler.try_run(r).status() == diffusion::status::callback_failed);
}
