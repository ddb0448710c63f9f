// SPDX-License-Identifier: MIT
// Training: steps, save and resume, EMAs, datasets, weights.
#include "tests.hpp"

#include <cmath>

TEST_CASE("steps report statistics and runs call back") {
    test::setup s;
    auto trainer = s.trainer();
    diffusion::train_stats stats = trainer.step();
    CHECK(stats.step == 1);
    CHECK(stats.images == 2);
    CHECK(stats.loss > 0);
    std::uint64_t calls = 0;
    trainer.run(4, [&](const diffusion::train_stats &now) {
        calls++;
        CHECK(now.step == calls + 1);
    });
    CHECK(calls == 3);
    CHECK(trainer.get_step() == 4);
    trainer.set_learning_rate(0.5);
    CHECK(trainer.step().learning_rate == 0.5);
    CHECK(trainer.get_options().batch_size == 2);
}

TEST_CASE("resumed training has the same bits") {
    test::file saved("resume_test.safetensors");
    test::setup whole;
    auto trainer = whole.trainer();
    trainer.run(3);
    trainer.save(saved.path);
    std::vector<std::uint8_t> bytes = trainer.save_memory();
    trainer.run(6);

    auto again = test::context();
    auto shapes = diffusion::dataset::create_shapes(again, test::size, 50, 1);
    auto unet = diffusion::unet::load(again, saved.path, diffusion::weights::trained);
    auto resumed = diffusion::trainer::resume(unet, shapes, saved.path);
    CHECK(resumed.get_step() == 3);
    resumed.run(6);
    CHECK(resumed.save_memory() == trainer.save_memory());

    auto other = diffusion::unet::load_memory(again, bytes, diffusion::weights::trained);
    auto from_memory = diffusion::trainer::resume_memory(other, shapes, bytes);
    from_memory.run(6);
    CHECK(from_memory.save_memory() == trainer.save_memory());
    auto without = diffusion::unet::load_memory(again, bytes);
    CHECK(diffusion::trainer::resume_memory(without, bytes).get_step() == 3);
}

TEST_CASE("EMAs") {
    test::setup s;
    auto trainer = s.trainer();
    trainer.run(3);
    auto ema = diffusion::unet::create(s.context, test::network(), 2);
    trainer.get_ema(0, ema);
    CHECK(ema.save_memory() != s.unet.save_memory());
    auto file = trainer.save_memory();
    auto loaded = diffusion::unet::load_memory(s.context, file, diffusion::weights::ema);
    CHECK(loaded.save_memory() == ema.save_memory());
    CHECK(trainer.try_get_ema(1, ema).status() == diffusion::status::wrong_state);
}

TEST_CASE("step_batch trains on images of the caller") {
    test::setup s;
    auto trainer = diffusion::trainer::create(s.unet, s.schedule, test::training());
    std::vector<float> images(2 * test::image_floats, 0.25f);
    diffusion::train_batch batch;
    batch.count = 2;
    batch.images = images;
    const std::int32_t labels[] = {1, 2}, timesteps[] = {5, 99};
    batch.labels = labels;
    batch.timesteps = timesteps;
    batch.noise = images;
    CHECK(trainer.step_batch(batch).loss > 0);
    batch.noise = {images.data(), 3};
    CHECK(trainer.try_step_batch(batch).status() == diffusion::status::shape_mismatch);
    CHECK(trainer.try_step().status() != diffusion::status::ok);
}

TEST_CASE("datasets from memory and from a callback hold the same images") {
    auto context = test::context();
    constexpr std::size_t bytes = 8 * 8 * 3;
    std::vector<std::uint8_t> pixels(4 * bytes);
    for (std::size_t i = 0; i < pixels.size(); i++) pixels[i] = static_cast<std::uint8_t>(i * 7);
    std::vector<std::int32_t> labels = {0, 1, 1, 0};
    auto borrowed = diffusion::dataset::create_from_borrowed(context, 4, 8, 8, 3, pixels, labels);
    auto copied = diffusion::dataset::create_from_memory(context, 4, 8, 8, 3,
                                                         std::vector<std::uint8_t>(pixels), labels);
    diffusion::dataset_callback source;
    source.count = 4;
    source.height = source.width = 8;
    source.channels = 3;
    source.classes = 2;
    source.read = [pixels, labels](diffusion::dataset_item &item) {
        auto index = static_cast<std::size_t>(item.index);
        std::memcpy(item.pixels.data(), &pixels[index * bytes], item.pixels.size());
        item.label = labels[index];
    };
    auto called = diffusion::dataset::create_from_callback(context, source);
    CHECK(called.get_info().count == 4);
    CHECK(called.get_info().classes == 2);
    for (std::uint64_t i = 0; i < 4; i++) {
        diffusion::image image = called.get_image(i);
        CHECK(image.pixels == copied.get_image(i).pixels);
        CHECK(image.pixels == borrowed.get_image(i).pixels);
        CHECK(image.label == labels[static_cast<std::size_t>(i)]);
    }
    CHECK(called.try_get_image(4).status() == diffusion::status::not_found);
    CHECK_FALSE(diffusion::dataset::try_create_from_callback(context, {}));
    auto shapes = diffusion::dataset::create_shapes(context, 16, 5, 0);
    CHECK(std::strcmp(shapes.class_name(0), "circle") == 0);
    CHECK(shapes.class_name(99) == nullptr);
}

TEST_CASE("weights can be read, replaced, saved and shared") {
    test::file saved("weights_test.safetensors");
    test::setup s;
    std::uint64_t total = 0;
    for (std::int32_t i = 0; i < s.unet.tensor_count(); i++)
        total += s.unet.get_tensor_info(i).elements;
    CHECK(total == s.unet.parameter_count());
    CHECK_FALSE(s.unet.try_get_tensor_info(s.unet.tensor_count()));

    diffusion::tensor_info info = s.unet.get_tensor_info(0);
    std::vector<float> values(static_cast<std::size_t>(info.elements), 0.125f), back(values.size());
    s.unet.set_tensor(info.name, values, info.shape);
    s.unet.get_tensor(info.name, back);
    CHECK(values == back);
    CHECK(s.unet.try_get_tensor("none", back).status() == diffusion::status::not_found);

    s.unet.save(saved.path, s.schedule);
    CHECK(diffusion::unet::load(s.context, saved.path).save_memory() == s.unet.save_memory());
    CHECK(diffusion::schedule::load(s.context, saved.path).timesteps() == 100);
    auto bytes = s.unet.save_memory(s.schedule);
    CHECK(diffusion::schedule::load_memory(s.context, bytes).get_options().timesteps == 100);
    bytes[bytes.size() / 2] ^= 1;
    CHECK(diffusion::unet::try_load_memory(s.context, bytes).status() ==
          diffusion::status::checksum);

    auto other = test::context();
    auto share = s.unet.share(other);
    CHECK(s.unet.try_set_tensor(info.name, values, info.shape).status() ==
          diffusion::status::wrong_state);
    CHECK(share.get_options().classes == 10);
    CHECK(diffusion::trainer::try_create(s.unet, s.schedule, s.shapes).status() ==
          diffusion::status::wrong_state);
}

TEST_CASE("forward passes and evaluation") {
    test::setup s;
    std::vector<float> x(2 * test::image_floats, 0.5f), out(x.size()), again(x.size());
    const double times[] = {3, 50};
    const std::int32_t labels[] = {1, -1};
    s.unet.forward(x, times, labels, out);
    s.unet.forward(x, times, labels, again);
    CHECK(out == again);

    diffusion::evaluation_options o;
    o.count = 2;
    o.timesteps = 2;
    std::uint64_t last = 0;
    auto e = s.unet.evaluate(s.schedule, s.shapes, o,
                             [&](std::uint64_t done, std::uint64_t) { last = done; });
    CHECK(e.images == 2);
    CHECK(e.bits > 0);
    CHECK(last > 0);
    CHECK(s.unet.evaluate(s.schedule, s.shapes, o).bits == e.bits);
}

TEST_CASE("schedules") {
    auto context = test::context();
    auto schedule = diffusion::schedule::create(context, test::short_schedule());
    auto betas = schedule.get_series(diffusion::series::beta);
    REQUIRE(betas.size() == 100);
    auto same = diffusion::schedule::create_from_betas(context, betas);
    CHECK(same.get_options().kind == diffusion::schedule_kind::custom);
    auto l = same.get_level(10);
    CHECK(l.signal == schedule.get_series(diffusion::series::signal)[10]);
    float x[2] = {1, -1}, noise[2] = {0, 0};
    const std::int32_t timesteps[] = {10};
    same.add_noise(x, x, noise, timesteps);
    CHECK(x[0] == doctest::Approx(l.signal));
    CHECK_FALSE(schedule.try_get_level(100));
}

TEST_CASE("a profiled context has rows") {
    diffusion::context_options o;
    o.threads = 1;
    o.profile = 1;
    auto context = diffusion::context::create(o);
    auto unet = diffusion::unet::create(context, test::network(), 1);
    std::vector<float> x(test::image_floats), out(x.size());
    const double times[] = {1};
    unet.forward(x, times, {}, out);
    auto rows = context.get_profile_rows();
    REQUIRE_FALSE(rows.empty());
    CHECK(std::strlen(rows[0].operation) > 0);
    CHECK(rows[0].calls > 0);
    context.profile_reset();
    CHECK(context.get_profile_rows().empty());
}

TEST_CASE("files in other precisions, and folders of diffusers") {
    test::setup s;
    auto bytes = s.unet.save_memory(s.schedule);
    auto half = s.unet.save_memory(s.schedule, diffusion::precision::bf16);
    CHECK(half.size() < bytes.size() * 3 / 4);
    test::file saved("precision_test.safetensors");
    s.unet.save(saved.path, diffusion::precision::f16);
    auto rounded = diffusion::unet::load(s.context, saved.path);
    CHECK(rounded.save_memory(diffusion::precision::f16) ==
          s.unet.save_memory(diffusion::precision::f16));
    CHECK(rounded.save_memory() != s.unet.save_memory());

    test::folder folder("diffusers_test");
    diffusion::sampler_options o;
    o.solver = diffusion::solver::dpmpp;
    o.steps = 7;
    s.unet.save_diffusers(folder.path, s.schedule, o);
    auto loaded = diffusion::unet::load_diffusers(s.context, folder.path);
    CHECK(loaded.parameter_count() == s.unet.parameter_count());
    CHECK(diffusion::unet::load(s.context, folder.path).save_memory() == loaded.save_memory());
    diffusion::sampler_options before;
    before.steps = 9;
    before.custom_times = {3, 2};
    auto found = diffusion::schedule::load_diffusers(s.context, folder.path, before);
    CHECK(found.schedule.timesteps() == 100);
    CHECK(found.sampler.solver == diffusion::solver::dpmpp);
    CHECK(found.sampler.steps == 9);
    CHECK(found.sampler.custom_times.empty());
    diffusion::diffusers_options how;
    how.compatible = 1;
    auto close = diffusion::schedule::load_diffusers(s.context, folder.path, before, how);
    CHECK(close.sampler.diffusers_compatible == 1);
    CHECK(close.schedule.get_options().float32_tables == 1);
    CHECK(found.sampler.diffusers_compatible == 0);
    CHECK(diffusion::schedule::try_load_diffusers(s.context, "missing").status() ==
          diffusion::status::not_found);
    s.unet.save_diffusers(folder.path, s.schedule, diffusion::precision::f16);
    CHECK(diffusion::schedule::load_diffusers(s.context, folder.path).sampler.solver ==
          diffusion::solver::ddpm);
}

TEST_CASE("weights begin anew, gradients of inputs, tiles and conditions") {
    test::setup s;
    auto first = s.unet.save_memory();
    s.unet.initialize(diffusion::initialization::torch, 3);
    CHECK(s.unet.save_memory() != first);
    s.unet.initialize(diffusion::initialization::ddpm, 1);
    CHECK(s.unet.save_memory() == first);

    /* the derivative in the direction of the gradient is its norm */
    s.unet.initialize(diffusion::initialization::torch, 3);
    std::vector<float> x(test::image_floats, 0.25f), weight(x.size(), 0.5f);
    std::vector<float> gradient(x.size()), out(x.size()), again(x.size());
    const double times[] = {3};
    s.unet.input_gradient(x, times, {}, weight, gradient, out);
    s.unet.forward(x, times, {}, again);
    CHECK(out == again);
    double norm = 0, difference = 0;
    for (float value : gradient) norm += double{value} * double{value};
    norm = std::sqrt(norm);
    REQUIRE(norm > 0);
    for (double step : {0.01, -0.01}) {
        std::vector<float> near = x;
        for (std::size_t i = 0; i < x.size(); i++)
            near[i] += static_cast<float>(step * double{gradient[i]} / norm);
        s.unet.forward(near, times, {}, out);
        for (float value : out) difference += 0.5 * double{value} / (2 * step);
    }
    CHECK(difference == doctest::Approx(norm).epsilon(0.01));
    CHECK(s.unet.try_input_gradient(x, times, {}, weight, gradient, {out.data(), 3}).status() ==
          diffusion::status::shape_mismatch);

    s.unet.set_tiling(true, true);
    s.unet.forward(x, times, {}, out);
    CHECK(out != again);
    s.unet.set_tiling(false, false);
    s.unet.forward(x, times, {}, out);
    CHECK(out == again);
    s.unet.set_precision(diffusion::precision::bf16);
    s.unet.forward(x, times, {}, out);
    CHECK(out != again);
    s.unet.set_precision(diffusion::precision::f32);
    CHECK(s.unet.try_set_precision(diffusion::precision::f16).status() ==
          diffusion::status::invalid_argument);

    diffusion::unet_options o = test::network();
    o.condition_size = 2;
    o.condition_channels = 1;
    auto conditioned = diffusion::unet::create(s.context, o, 1);
    conditioned.initialize(diffusion::initialization::torch, 3);
    const float vector[] = {1, 2};
    std::vector<float> image(test::image_floats / 3, 0.5f);
    conditioned.forward(x, times, {}, out);
    conditioned.forward(x, times, {}, again, {{}, vector});
    CHECK(out != again);
    conditioned.forward(x, times, {}, out, {image, vector});
    CHECK(out != again);
    CHECK(conditioned.try_forward(x, times, {}, out, {vector, {}}).status() ==
          diffusion::status::shape_mismatch);
}
