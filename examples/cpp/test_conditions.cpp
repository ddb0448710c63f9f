// SPDX-License-Identifier: MIT
// Condition images and vectors of datasets, training and sampling; distillation and consistency.
#include "tests.hpp"

namespace {

/// The network of the tests with a condition image of one channel and a vector of two floats.
diffusion::unet conditioned(const diffusion::context &in) {
    diffusion::unet_options o = test::network();
    o.condition_channels = 1;
    o.condition_size = 2;
    auto unet = diffusion::unet::create(in, o, 1);
    unet.initialize(diffusion::initialization::torch, 3);
    return unet;
}

} // namespace

TEST_CASE("datasets with conditions") {
    auto context = test::context();
    constexpr std::size_t bytes = 8 * 8;
    std::vector<std::uint8_t> pixels(2 * 3 * bytes, 9), images(2 * bytes);
    for (std::size_t i = 0; i < images.size(); i++) images[i] = static_cast<std::uint8_t>(i);
    const std::vector<float> vectors = {1, 2, 3, 4};
    diffusion::dataset_conditions given;
    given.channels = 1;
    given.size = 2;
    given.images = images;
    given.vectors = vectors;
    given.vector_invariant = true;
    auto copied = diffusion::dataset::create_from_memory(context, 2, 8, 8, 3, pixels, {}, given);
    diffusion::dataset_callback source;
    source.count = 2;
    source.height = source.width = 8;
    source.channels = 3;
    source.condition_channels = 1;
    source.condition_size = 2;
    source.read = [&](diffusion::dataset_item &item) {
        auto index = static_cast<std::size_t>(item.index);
        REQUIRE(item.condition_image.size() == bytes);
        REQUIRE(item.condition_vector.size() == 2);
        for (std::uint8_t &value : item.pixels) value = 9;
        std::memcpy(item.condition_image.data(), &images[index * bytes], bytes);
        std::memcpy(item.condition_vector.data(), &vectors[index * 2], 2 * sizeof(float));
    };
    auto called = diffusion::dataset::create_from_callback(context, source);
    CHECK(copied.get_info().vector_invariant == 1);
    CHECK(called.get_info().vector_invariant == 0);
    for (const diffusion::dataset *set : {&copied, &called}) {
        CHECK(set->get_info().condition_channels == 1);
        auto condition = set->get_condition(1);
        CHECK(condition.image == std::vector<std::uint8_t>(images.begin() + bytes, images.end()));
        CHECK(condition.vector == std::vector<float>{3, 4});
        CHECK(set->try_get_condition(2).status() == diffusion::status::not_found);
    }
    given.vectors = {vectors.data(), 3};
    CHECK_FALSE(diffusion::dataset::try_create_from_memory(context, 2, 8, 8, 3, pixels, {}, given));
}

TEST_CASE("generated datasets with conditions") {
    auto context = test::context();
    auto shapes = diffusion::dataset::create_described_shapes(context, 16, 10, 1);
    CHECK(shapes.get_condition(3).image.empty());
    CHECK(shapes.get_condition(3).vector.size() == 6);
    CHECK(diffusion::dataset::try_create_downscaled(shapes, 3).status() ==
          diffusion::status::invalid_argument);
    auto expected = shapes.get_image(3).pixels;
    auto vector = shapes.get_condition(3).vector;
    auto half = diffusion::dataset::create_downscaled(shapes, 2);
    { auto gone = std::move(shapes); } /* the new dataset keeps it */
    CHECK(half.get_image(3).pixels == expected);
    CHECK(half.get_condition(3).vector == vector);
    CHECK(half.get_condition(3).image.size() == expected.size());
    CHECK(diffusion::dataset::try_create_downscaled(shapes, 2).status() ==
          diffusion::status::invalid_argument);
}

TEST_CASE("training and sampling with conditions") {
    test::setup s;
    auto unet = conditioned(s.context);
    diffusion::trainer_options o = test::training();
    o.condition_dropout = 0.1;
    auto trainer = diffusion::trainer::create(unet, s.schedule, o);
    std::vector<float> images(2 * test::image_floats, 0.25f);
    std::vector<float> image(images.size() / 3, 0.5f), vector = {1, 2, 3, 4};
    diffusion::train_batch batch;
    batch.count = 2;
    batch.images = images;
    batch.condition_image = image;
    batch.condition_vector = vector;
    CHECK(trainer.step_batch(batch).loss > 0);
    batch.condition_vector = {vector.data(), 3};
    CHECK(trainer.try_step_batch(batch).status() == diffusion::status::shape_mismatch);

    diffusion::sampler_options few;
    few.steps = 2;
    auto sampler = diffusion::sampler::create(unet, s.schedule, few);
    diffusion::sampler_request r = test::request();
    auto plain = sampler.run(r);
    r.condition_vector = vector;
    auto with_vector = sampler.run(r);
    CHECK(with_vector != plain);
    r.condition_image = image;
    CHECK(sampler.run(r) != with_vector);
    r.condition_image.pop_back();
    CHECK(sampler.try_run(r).status() == diffusion::status::shape_mismatch);
}

TEST_CASE("a custom model receives conditions, and is sampled as a consistency model") {
    auto context = test::context();
    diffusion::schedule_options edm = test::short_schedule();
    edm.kind = diffusion::schedule_kind::edm;
    edm.time_scale = 1000;
    auto schedule = diffusion::schedule::create(context, edm);
    CHECK(schedule.get_options().time_scale == 1000);
    diffusion::denoiser model;
    model.prediction = diffusion::prediction::consistency;
    model.height = model.width = 4;
    model.channels = 1;
    model.condition_size = 3;
    int calls = 0;
    model.evaluate = [&](const diffusion::denoiser_input &in, diffusion::span<float> out) {
        calls++;
        CHECK(in.condition_image.empty());
        REQUIRE(in.condition_vector.size() == 6);
        CHECK(in.condition_vector[5] == 6);
        for (float &value : out) value = 0;
    };
    diffusion::sampler_options o;
    o.solver = diffusion::solver::consistency;
    o.steps = 2;
    auto sampler = diffusion::sampler::create_with_denoiser(context, schedule, model, o);
    diffusion::sampler_request r = test::request();
    r.condition_vector = {1, 2, 3, 4, 5, 6};
    CHECK(sampler.run(r).size() == 2 * 4 * 4);
    CHECK(calls == 2);
}

TEST_CASE("distillation has a teacher") {
    test::setup s;
    diffusion::unet_options o = test::network();
    o.prediction = diffusion::prediction::v;
    auto student = diffusion::unet::create(s.context, o, 1);
    diffusion::trainer_options t = test::training();
    t.label_dropout = 0;
    t.distill_steps = 8;
    t.loss_weight = diffusion::loss_weight::truncated_snr;
    auto trainer = diffusion::trainer::create(student, s.schedule, s.shapes, t);
    CHECK(trainer.try_step().status() == diffusion::status::wrong_state);
    {
        auto teacher = diffusion::unet::create(s.context, o, 1);
        trainer.set_teacher(teacher);
        CHECK(trainer.try_set_teacher(teacher).status() == diffusion::status::wrong_state);
    }
    CHECK(trainer.step().step == 1);
    CHECK(trainer.get_options().distill_steps == 8);
}
