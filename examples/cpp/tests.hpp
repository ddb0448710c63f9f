// SPDX-License-Identifier: MIT
// What the tests share: small objects, and the doctest framework.
#ifndef TESTS_HPP
#define TESTS_HPP

#include <diffusion.hpp>

#define DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

namespace test {

constexpr std::int32_t size = 16;
constexpr std::size_t image_floats = std::size_t{size} * size * 3;

inline diffusion::context context() {
    diffusion::context_options o;
    o.threads = 1;
    return diffusion::context::create(o);
}

/// One level of 32 channels on 16x16 images with ten classes.
inline diffusion::unet_options network() {
    diffusion::unet_options o;
    o.height = o.width = size;
    o.levels = 1;
    o.channels[0] = 32;
    o.blocks[0] = 1;
    o.attention[0] = o.mid_attention = 0;
    o.classes = 10;
    return o;
}

inline diffusion::schedule_options short_schedule() {
    diffusion::schedule_options o;
    o.timesteps = 100;
    return o;
}

inline diffusion::trainer_options training() {
    diffusion::trainer_options o;
    o.batch_size = 2;
    o.learning_rate = 1e-3;
    o.label_dropout = 0.1;
    o.ema_decay[0] = 0.9;
    o.seed = 5;
    return o;
}

/// A context with everything that training needs.
struct setup {
    diffusion::context context = test::context();
    diffusion::schedule schedule = diffusion::schedule::create(context, short_schedule());
    diffusion::dataset shapes = diffusion::dataset::create_shapes(context, size, 50, 1);
    diffusion::unet unet = diffusion::unet::create(context, network(), 1);

    diffusion::trainer trainer() {
        return diffusion::trainer::create(unet, schedule, shapes, training());
    }
    diffusion::sampler sampler(std::int32_t steps = 3, double guidance = 1) {
        diffusion::sampler_options o;
        o.steps = steps;
        o.guidance = guidance;
        return diffusion::sampler::create(unet, schedule, o);
    }
};

/// Two labelled images.
inline diffusion::sampler_request request() {
    diffusion::sampler_request r;
    r.count = 2;
    r.labels = {3, 4};
    r.seed = 9;
    return r;
}

inline bool contains(const char *text, const char *part) {
    return std::strstr(text, part) != nullptr;
}

/// Removed when the object ends.
class file {
public:
    explicit file(const char *name) : path(name) { std::remove(name); }
    file(const file &) = delete;
    file &operator=(const file &) = delete;
    ~file() { std::remove(path.c_str()); }

    std::string path;
};

/// Removed with what is in it when the object ends.
class folder {
public:
    explicit folder(const char *name) : path(name) { std::filesystem::remove_all(path); }
    folder(const folder &) = delete;
    folder &operator=(const folder &) = delete;
    ~folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }

    std::string path;
};

/// The status of the diffusion::error that f throws; status::ok if it throws none.
template <class F> diffusion::status thrown_status(F &&f) {
    try {
        f();
    } catch (const diffusion::error &error) {
        return error.status();
    }
    return diffusion::status::ok;
}

} // namespace test

#endif
