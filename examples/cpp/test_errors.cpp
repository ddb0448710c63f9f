// SPDX-License-Identifier: MIT
// Errors of both forms, moved-from objects, and a unit that is compiled without exceptions.
#include "tests.hpp"

#include <array>

const char *no_exceptions_failure();

TEST_CASE("a bad option is an error with status and text") {
    auto context = test::context();
    diffusion::unet_options o;
    o.norm_groups = 30;
    diffusion::result<diffusion::unet> unet = diffusion::unet::try_create(context, o, 0);
    REQUIRE_FALSE(unet);
    CHECK(unet.status() == diffusion::status::invalid_argument);
    CHECK(std::strcmp(unet.error().status_name(), "DM_ERROR_INVALID_ARGUMENT") == 0);
    CHECK(test::contains(unet.error().what(), "'norm_groups' is 30"));
    try {
        diffusion::unet::create(context, o, 0);
        FAIL("nothing was thrown");
    } catch (const std::runtime_error &thrown) {
        CHECK(test::contains(thrown.what(), "'norm_groups' is 30"));
        CHECK(dynamic_cast<const diffusion::error &>(thrown).status() ==
              diffusion::status::invalid_argument);
    }
}

TEST_CASE("a missing file is an error with its name") {
    auto context = test::context();
    auto unet = diffusion::unet::try_load(context, "missing.safetensors");
    CHECK(unet.status() == diffusion::status::not_found);
    CHECK(test::contains(unet.error().what(), "missing.safetensors"));
    CHECK(test::thrown_status([&] { diffusion::schedule::load(context, "missing.safetensors"); }) ==
          diffusion::status::not_found);
    CHECK(diffusion::dataset::try_load_cifar10(context, "missing").status() !=
          diffusion::status::ok);
}

TEST_CASE("a long text is complete") {
    auto context = test::context();
    std::string path(3000, 'x');
    auto unet = diffusion::unet::try_load(context, path);
    REQUIRE_FALSE(unet);
    std::size_t size = 0;
    dm_context_error_copy(context.get(), nullptr, 0, &size);
    CHECK(std::strlen(unet.error().what()) + 1 == size);
}

TEST_CASE("a context with bad options says why") {
    diffusion::context_options o;
    o.threads = -1;
    auto context = diffusion::context::try_create(o);
    REQUIRE_FALSE(context);
    CHECK(context.status() == diffusion::status::invalid_argument);
    CHECK(test::contains(context.error().what(), "threads"));
}

TEST_CASE("the memory limit holds") {
    diffusion::context_options o;
    o.threads = 1;
    o.memory_limit = 100000;
    auto context = diffusion::context::create(o);
    CHECK(diffusion::unet::try_create(context, test::network(), 1).status() ==
          diffusion::status::limit_exceeded);
    CHECK(context.get_memory().used <= 100000);
}

TEST_CASE("arrays of wrong size are refused") {
    test::setup s;
    std::vector<float> small(5);
    std::array<double, 1> times = {0};
    CHECK(s.unet.try_forward(small, times, {}, small).status() ==
          diffusion::status::shape_mismatch);
    CHECK(s.unet.try_forward({}, {}, {}, {}).status() != diffusion::status::ok);
    auto sampler = s.sampler();
    CHECK(sampler.try_run(test::request(), small).status() == diffusion::status::shape_mismatch);
    diffusion::sampler_request many = test::request();
    many.count = std::uint64_t{1} << 60;
    CHECK(sampler.try_run(many).status() != diffusion::status::ok);
    CHECK(sampler.try_start(many).status() != diffusion::status::ok);
    many = test::request();
    many.labels = {1};
    CHECK(sampler.try_run(many).status() != diffusion::status::ok);
    CHECK(diffusion::try_noise_interpolate(small, std::vector<float>(4), small, 0.5).status() ==
          diffusion::status::shape_mismatch);
    std::vector<std::int32_t> none;
    CHECK_FALSE(s.schedule.try_add_noise(small, small, small, none));
    CHECK(diffusion::dataset::try_create_from_memory(s.context, 2, 8, 8, 3,
                                                     std::vector<std::uint8_t>(3))
              .status() != diffusion::status::ok);
    diffusion::sampler_options two;
    two.custom_times = {50, 20, 10};
    two.custom_sigmas = {1};
    CHECK_FALSE(diffusion::sampler::try_create(s.unet, s.schedule, two));
}

TEST_CASE("objects that were moved from fail and do not crash") {
    test::setup s;
    diffusion::trainer trainer = s.trainer();
    diffusion::sampler sampler = s.sampler();
    diffusion::held_run run = sampler.start(test::request());
    auto gone = [](auto &object) { auto taken = std::move(object); };
    gone(run);
    CHECK(run.try_step().status() == diffusion::status::invalid_argument);
    CHECK_FALSE(run.try_finish());
    gone(sampler);
    CHECK(sampler.try_run(test::request()).status() == diffusion::status::invalid_argument);
    CHECK_FALSE(sampler.try_start(test::request()));
    CHECK(sampler.shape().height == 0);
    sampler.cancel();
    gone(trainer);
    CHECK(trainer.try_step().status() == diffusion::status::invalid_argument);
    CHECK_FALSE(trainer.try_run(5, [](const diffusion::train_stats &) {}));
    trainer.cancel();
    gone(s.shapes);
    CHECK_FALSE(s.shapes.try_get_image(0));
    CHECK_FALSE(diffusion::trainer::try_create(s.unet, s.schedule, s.shapes));
    gone(s.schedule);
    CHECK_FALSE(diffusion::sampler::try_create(s.unet, s.schedule));
    CHECK_FALSE(s.schedule.try_get_series(diffusion::series::beta));
    gone(s.unet);
    CHECK_FALSE(diffusion::sampler::try_create(s.unet, s.schedule));
    CHECK_FALSE(s.unet.try_share(s.context));
    CHECK_FALSE(s.unet.try_save("never.safetensors"));
    CHECK(s.unet.parameter_count() == 0);
    gone(s.context);
    CHECK_FALSE(s.context);
    CHECK_FALSE(diffusion::schedule::try_create(s.context));
    CHECK_FALSE(s.context.try_get_memory());
    CHECK_FALSE(diffusion::try_image_encode_png(s.context, {}, 1, 1, 1));
}

TEST_CASE("results") {
    diffusion::result<int> good = 3;
    CHECK(*good == 3);
    CHECK(good.value() == 3);
    diffusion::result<int> bad = diffusion::failure(diffusion::status::io);
    CHECK_FALSE(bad);
    CHECK(std::strcmp(bad.error().what(), diffusion::status_message(diffusion::status::io)) == 0);
    CHECK_THROWS_AS(bad.value(), diffusion::error);
    CHECK_THROWS_AS(static_cast<void>(*bad), diffusion::error);
}

TEST_CASE("a unit without exceptions") {
    const char *failed = no_exceptions_failure();
    CAPTURE(failed);
    CHECK(failed == nullptr);
}
