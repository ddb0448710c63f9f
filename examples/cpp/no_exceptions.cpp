// SPDX-License-Identifier: MIT
// Compiled with -fno-exceptions: only the try_ forms are there.
#include <diffusion.hpp>

#include <cstring>

#if DIFFUSION_EXCEPTIONS
#error "compile this file with -fno-exceptions"
#endif

const char *no_exceptions_failure();

/// What went wrong, or null.
const char *no_exceptions_failure() {
    using diffusion::action;
    diffusion::context_options o;
    o.threads = 1;
    auto context = diffusion::context::try_create(o);
    if (!context) return "context";
    if (diffusion::unet::try_load(*context, "missing").status() != diffusion::status::not_found)
        return "missing file";
    auto schedule = diffusion::schedule::try_create(*context);
    if (!schedule) return schedule.error().status_name();
    diffusion::denoiser model;
    model.height = model.width = 4;
    model.channels = 1;
    bool fail = false;
    model.evaluate = [&fail](const diffusion::denoiser_input &in,
                             diffusion::span<float> out) -> diffusion::result<void> {
        if (fail) return diffusion::failure(diffusion::status::internal, "no output today");
        for (std::size_t i = 0; i < out.size(); i++) out[i] = 0.5f * in.x[i];
        return {};
    };
    diffusion::sampler_options options;
    options.steps = 3;
    auto sampler =
        diffusion::sampler::try_create_with_denoiser(*context, *schedule, model, options);
    if (!sampler) return "sampler";
    diffusion::sampler_request request;
    auto images = sampler->try_run(request);
    if (!images || images->size() != 16) return "run";
    request.progress = [](const diffusion::sampler_progress &) { return action::stop; };
    if (sampler->try_run(request).status() != diffusion::status::cancelled) return "stop";
    fail = true;
    auto failed = sampler->try_run(request);
    if (failed.status() != diffusion::status::callback_failed) return "failing model";
    if (!std::strstr(failed.error().what(), "no output today")) return "text of the model";
    return nullptr;
}
