// SPDX-License-Identifier: MIT
// The library from end to end on one page: train a small network on drawn shapes, cancel, save,
// load, and draw one image of each class with guidance.  walkthrough MODEL.safetensors OUT.png
//
// The program of examples/walkthrough.c: the same lines, and the same OUT.png byte for byte.
#include <diffusion.hpp>

#include <cinttypes>
#include <cstdio>

namespace {

constexpr std::int32_t size = 16, classes = 10, columns = 5, scale = 4;
constexpr std::uint64_t steps = 300, cancel_at = 350;

/* ---- errors: what a program sees that passes a bad option, or the name of a missing file ---- */

void show_errors(const diffusion::context &context) {
    diffusion::unet_options options;
    options.norm_groups = 30;
    try { /* the form that throws */
        diffusion::unet::create(context, options, 0);
    } catch (const diffusion::error &error) {
        std::printf("%s: %s\n", error.status_name(), error.what());
    }
    /* the form that returns a result */
    if (auto unet = diffusion::unet::try_load(context, "missing.safetensors"); !unet)
        std::printf("%s: %s\n", unet.error().status_name(), unet.error().what());
}

/* ---- training ---- */

diffusion::action on_step(const diffusion::train_stats &stats) {
    if (stats.step % 50 == 0) std::printf("step %" PRIu64 ", loss %.4f\n", stats.step, stats.loss);
    return stats.step >= cancel_at ? diffusion::action::stop : diffusion::action::proceed;
}

void train(const diffusion::context &context, const char *path) {
    diffusion::unet_options network;
    network.height = network.width = size;
    network.levels = 2;
    network.channels[0] = 32;
    network.channels[1] = 64;
    network.blocks[0] = network.blocks[1] = 1;
    network.classes = classes;
    diffusion::trainer_options training;
    training.batch_size = 16;
    training.learning_rate = 2e-3;
    training.label_dropout = 0.1; /* so that guidance has a network without classes to start from */

    auto schedule = diffusion::schedule::create(context);
    auto shapes = diffusion::dataset::create_shapes(context, size, 1000, 1);
    auto unet = diffusion::unet::create(context, network, 1);
    auto trainer = diffusion::trainer::create(unet, schedule, shapes, training);
    trainer.run(steps, on_step);
    diffusion::result<void> outcome = trainer.try_run(1000, on_step);
    if (outcome.status() == diffusion::status::cancelled)
        std::printf("cancelled after step %" PRIu64 "\n", trainer.get_step());
    else outcome.value();
    trainer.save(path);
}

/* ---- sampling ---- */

void write_images(const diffusion::context &context, diffusion::span<const float> images,
                  const char *path) {
    diffusion::image_grid_options grid;
    grid.height = grid.width = size;
    grid.channels = 3;
    grid.columns = columns;
    grid.scale = scale;
    grid.count = classes;
    auto [height, width] = diffusion::image_grid_size(grid);
    auto picture = diffusion::image_draw_grid(grid, diffusion::image_to_u8(images));
    diffusion::image_write_png(context, path, picture, height, width, 3);
}

void sample(const diffusion::context &context, const char *path, const char *picture) {
    diffusion::sampler_options options;
    options.steps = 20;
    options.guidance = 2;
    diffusion::sampler_request request;
    request.count = classes;
    request.labels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    request.seed = 7;

    auto unet = diffusion::unet::load(context, path);
    auto schedule = diffusion::schedule::load(context, path);
    auto sampler = diffusion::sampler::create(unet, schedule, options);
    write_images(context, sampler.run(request), picture);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: walkthrough MODEL.safetensors OUT.png\n");
        return 2;
    }
    try {
        auto context = diffusion::context::create();
        show_errors(context);
        train(context, argv[1]);
        sample(context, argv[1], argv[2]);
        std::printf("%s and %s are written\n", argv[1], argv[2]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "walkthrough: %s\n", error.what());
        return 1;
    }
}
