// SPDX-License-Identifier: MIT
// Sampling.
#ifndef DIFFUSION_SAMPLER_HPP
#define DIFFUSION_SAMPLER_HPP

#include <diffusion/sampler_calls.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {

/// The size of an image.
struct image_shape {
    std::int32_t height, width, channels;
};

/// The noise level of each model evaluation, in order.
struct levels {
    std::vector<double> timesteps, signal, noise;
};

/// A run in steps, with the same bits as sampler::run, for a caller that must not block. Other
/// calls in the context may come in between, but if they change the network's weights, the next
/// step fails with status::wrong_state. One that is dropped before finish is abandoned. It keeps a
/// copy of the request, and the sampler.
class held_run : public detail::handle<detail::held_node> {
public:
    using handle::handle;

    /// One step of one batch; the steps of all batches that remain. A step that fails ends the run,
    /// except with status::wrong_state.
    result<std::int32_t> try_step() noexcept {
        std::int32_t left = 0;
        result<void> done = current([&](dm_sampler *s) { return dm_sampler_step(s, &left); });
        return detail::with(done, std::move(left));
    }
    /// x_0 as predicted at the last step, for all images; 0 for those whose batch has not begun.
    [[nodiscard]] result<std::vector<float>> try_get_preview() const noexcept {
        return read([](dm_sampler *s, float *images, std::size_t elements) {
            return dm_sampler_get_preview(s, images, elements);
        });
    }
    /// Ends the run and returns its images. status::wrong_state if steps are left; the run stays.
    result<std::vector<float>> try_finish() noexcept {
        return read([](dm_sampler *s, float *images, std::size_t elements) {
            return dm_sampler_finish(s, images, elements);
        });
    }
    /// Ends the run without its images, and discards a request to cancel.
    result<void> try_abandon() noexcept {
        return current([](dm_sampler *s) { return dm_sampler_finish(s, nullptr, 0); });
    }

#if DIFFUSION_EXCEPTIONS
    std::int32_t step() { return try_step().value(); }
    [[nodiscard]] std::vector<float> get_preview() const { return try_get_preview().value(); }
    std::vector<float> finish() { return try_finish().value(); }
    void abandon() { try_abandon().value(); }
#endif

private:
    /// Calls f unless another run of the sampler has begun since.
    template <class F> result<void> current(F &&f) const noexcept {
        if (node_ && !node_->current())
            return failure(status::wrong_state, "sampler: this run has ended");
        return invoke(std::forward<F>(f));
    }
    template <class F> result<std::vector<float>> read(F &&f) const noexcept {
        return detail::guard([&]() -> result<std::vector<float>> {
            std::vector<float> images(node_ ? node_->elements : 0);
            result<void> done =
                current([&](dm_sampler *s) { return f(s, images.data(), images.size()); });
            return detail::with(done, std::move(images));
        });
    }
};

/// Turns noise into images with a network or with a model of yours. Keeps network and schedule.
class sampler : public detail::handle<detail::sampler_node> {
public:
    using handle::handle;

    static result<sampler> try_create(const unet &network, const schedule &noise,
                                      const sampler_options &options = {}) noexcept {
        dm_sampler_options c = detail::c_options(options);
        return detail::make<sampler, detail::sampler_node>(
            detail::state_of(network),
            [&](dm_sampler **out) {
                return dm_sampler_create(out, network.get(), noise.get(), &c);
            },
            nullptr, network.shared(), noise.shared());
    }
    /// Samples with a model of yours.
    static result<sampler> try_create_with_denoiser(const context &in, const schedule &noise,
                                                    denoiser model,
                                                    const sampler_options &options = {}) noexcept {
        return detail::guard([&]() -> result<sampler> {
            dm_sampler_options c = detail::c_options(options);
            auto closure = std::make_shared<detail::denoiser_closure>();
            dm_denoiser d = model.c();
            d.evaluate = model.evaluate ? detail::on_denoise : nullptr;
            d.user = closure.get();
            closure->state = in.shared().get();
            closure->function = std::move(model.evaluate);
            return detail::make<sampler, detail::sampler_node>(
                in.shared(),
                [&](dm_sampler **out) {
                    return dm_sampler_create_with_denoiser(out, in.get(), noise.get(), &d, &c);
                },
                std::move(closure), noise.shared());
        });
    }

    /// The options in effect. The lists of custom levels are empty with their custom_count kept;
    /// see get_levels.
    [[nodiscard]] result<sampler_options> try_get_options() const noexcept {
        sampler_options o;
        result<void> done = invoke([&](dm_sampler *s) {
            return dm_sampler_get_options(s, &o, sizeof(sampler_options::c_type));
        });
        return detail::with(done, std::move(o));
    }
    [[nodiscard]] image_shape shape() const noexcept {
        image_shape s = {};
        dm_sampler_shape(get(), &s.height, &s.width, &s.channels);
        return s;
    }
    /// Steps, and model evaluations, of a run with strength 1 and without RePaint.
    [[nodiscard]] std::int32_t steps() const noexcept { return dm_sampler_steps(get()); }
    [[nodiscard]] std::int32_t evaluations() const noexcept {
        return dm_sampler_evaluations(get());
    }
    [[nodiscard]] result<levels> try_get_levels() const noexcept {
        return detail::guard([&]() -> result<levels> {
            levels l;
            auto count = static_cast<std::size_t>(evaluations());
            for (std::vector<double> *v : {&l.timesteps, &l.signal, &l.noise}) v->resize(count);
            result<void> done = invoke([&](dm_sampler *s) {
                return dm_sampler_get_levels(s, l.timesteps.data(), l.signal.data(), l.noise.data(),
                                             count);
            });
            return detail::with(done, std::move(l));
        });
    }

    /// Samples images [count, height, width, channels]. In the second form, which allocates
    /// nothing here, `images` must have that size; after a failure only the images of finished
    /// batches are defined.
    result<std::vector<float>> try_run(const sampler_request &request) noexcept {
        return produce(request, dm_sampler_run);
    }
    result<void> try_run(const sampler_request &request, span<float> images) noexcept {
        return into(request, images, dm_sampler_run);
    }
    /// Begins a run in steps. A sampler holds one at a time; meanwhile other runs on it fail with
    /// status::wrong_state.
    result<held_run> try_start(sampler_request request) noexcept {
        return detail::guard([&]() -> result<held_run> {
            if (!*this) return failure(status::invalid_argument, "the object was moved from");
            std::shared_ptr<detail::held_node> run(new detail::held_node(node_, std::move(request)),
                                                   detail::retire);
            run->elements = elements(run->request);
            dm_sampler_request c = detail::c_request(run->request, run->user);
            result<void> done = invoke([&](dm_sampler *s) {
                dm_status value = dm_sampler_start(s, &c);
                if (value == DM_OK) run->begin();
                return value;
            });
            if (!done) return done.error();
            return held_run(std::move(run));
        });
    }
    /// The initial noise x_T of that request, which may become a request's initial_noise.
    result<std::vector<float>> try_initial_noise(const sampler_request &request) noexcept {
        return produce(request, dm_sampler_initial_noise);
    }
    /// DDIM inversion: from the request's `image` to the noise from which DDIM with eta 0 samples
    /// it. Approximate.
    result<std::vector<float>> try_invert(const sampler_request &request) noexcept {
        return produce(request, dm_sampler_invert);
    }
    /// As trainer::cancel, for runs, held runs and inversions.
    void cancel() noexcept { dm_sampler_cancel(get()); }

#if DIFFUSION_EXCEPTIONS
    static sampler create(const unet &network, const schedule &noise,
                          const sampler_options &options = {}) {
        return try_create(network, noise, options).value();
    }
    static sampler create_with_denoiser(const context &in, const schedule &noise, denoiser model,
                                        const sampler_options &options = {}) {
        return try_create_with_denoiser(in, noise, std::move(model), options).value();
    }
    [[nodiscard]] sampler_options get_options() const { return try_get_options().value(); }
    [[nodiscard]] levels get_levels() const { return try_get_levels().value(); }
    std::vector<float> run(const sampler_request &request) { return try_run(request).value(); }
    void run(const sampler_request &request, span<float> images) {
        try_run(request, images).value();
    }
    held_run start(sampler_request request) { return try_start(std::move(request)).value(); }
    std::vector<float> initial_noise(const sampler_request &request) {
        return try_initial_noise(request).value();
    }
    std::vector<float> invert(const sampler_request &request) {
        return try_invert(request).value();
    }
#endif

private:
    using function = dm_status (*)(dm_sampler *, const dm_sampler_request *, float *, std::size_t);

    /// Floats of the request's images; 0 where the library will refuse `count`.
    [[nodiscard]] std::size_t elements(const sampler_request &request) const noexcept {
        image_shape s = shape();
        if (request.count > 65536) return 0;
        return static_cast<std::size_t>(request.count) * static_cast<std::size_t>(s.height) *
               static_cast<std::size_t>(s.width) * static_cast<std::size_t>(s.channels);
    }
    result<void> into(const sampler_request &request, span<float> out, function f) noexcept {
        detail::request_user user{detail::state_of(*this).get(), &request};
        dm_sampler_request c = detail::c_request(request, user);
        return invoke([&](dm_sampler *s) { return f(s, &c, out.data(), out.size()); });
    }
    result<std::vector<float>> produce(const sampler_request &request, function f) noexcept {
        return detail::guard([&]() -> result<std::vector<float>> {
            std::vector<float> out(elements(request));
            result<void> done = into(request, out, f);
            return detail::with(done, std::move(out));
        });
    }
};

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
