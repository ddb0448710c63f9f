// SPDX-License-Identifier: MIT
// Internal: what sampler.hpp passes to the library.
#ifndef DIFFUSION_SAMPLER_CALLS_HPP
#define DIFFUSION_SAMPLER_CALLS_HPP

#include <diffusion/unet.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

using sampler_node = object<dm_sampler, dm_sampler_destroy>;
using denoiser_closure = closure<callback<const denoiser_input &, span<float>>>;

/// What the callbacks of a request refer to.
struct request_user {
    context_state *state;
    const sampler_request *request;
};

inline std::int32_t on_noise(void *user, const dm_noise_request *c, float *noise,
                             std::size_t size) noexcept {
    auto &self = *static_cast<request_user *>(user);
    noise_request n;
    copy_struct(n.c(), *c);
    return self.request->noise.run(*self.state, n, span<float>(noise, size));
}

inline std::int32_t on_progress(void *user, const dm_sampler_progress *c) noexcept {
    auto &self = *static_cast<request_user *>(user);
    sampler_progress p;
    copy_struct(p.c(), *c);
    p.x_t = {c->x_t, static_cast<std::size_t>(c->elements)};
    p.x_0 = {c->x_0, static_cast<std::size_t>(c->elements)};
    return self.request->progress.run(*self.state, p);
}

inline std::int32_t on_guide(void *user, dm_guidance_step *c) noexcept {
    auto &self = *static_cast<request_user *>(user);
    guidance_step g;
    copy_struct(g.c(), *c);
    auto elements = static_cast<std::size_t>(c->elements);
    g.x = {c->x, elements};
    if (c->labels) g.labels = {c->labels, static_cast<std::size_t>(c->count)};
    g.x_0 = {c->x_0, elements};
    g.eps = {c->eps, elements};
    std::int32_t stop = self.request->guide.run(*self.state, g);
    c->rederive = g.rederive;
    return stop;
}

inline std::int32_t on_denoise(void *user, const dm_denoiser_input *c, float *output,
                               std::size_t elements) noexcept {
    auto &self = *static_cast<denoiser_closure *>(user);
    denoiser_input d;
    copy_struct(d.c(), *c);
    d.x = {c->x, elements};
    if (c->labels) d.labels = {c->labels, static_cast<std::size_t>(c->count)};
    const dm_denoiser_input &known = d.c(); /* an older library has no conditions */
    if (known.condition_image)
        d.condition_image = {known.condition_image,
                             static_cast<std::size_t>(known.condition_image_elements)};
    if (known.condition_vector)
        d.condition_vector = {known.condition_vector,
                              static_cast<std::size_t>(known.condition_vector_elements)};
    return self.function.run(*self.state, d, span<float>(output, elements));
}

/// The C struct, which refers to the arrays of `from` and to `user`.
inline dm_sampler_request c_request(const sampler_request &from, request_user &user) noexcept {
    dm_sampler_request c = from.c();
    c.seeds = from.seeds.empty() ? nullptr : from.seeds.data();
    c.seed_count = from.seeds.size();
    c.labels = from.labels.empty() ? nullptr : from.labels.data();
    c.label_count = from.labels.size();
    c.initial_noise = from.initial_noise.empty() ? nullptr : from.initial_noise.data();
    c.initial_noise_elements = from.initial_noise.size();
    c.image = from.image.empty() ? nullptr : from.image.data();
    c.image_elements = from.image.size();
    c.mask = from.mask.empty() ? nullptr : from.mask.data();
    c.mask_elements = from.mask.size();
    c.condition_image = from.condition_image.empty() ? nullptr : from.condition_image.data();
    c.condition_image_elements = from.condition_image.size();
    c.condition_vector = from.condition_vector.empty() ? nullptr : from.condition_vector.data();
    c.condition_vector_elements = from.condition_vector.size();
    c.noise = from.noise ? on_noise : nullptr;
    c.progress = from.progress ? on_progress : nullptr;
    c.guide = from.guide ? on_guide : nullptr;
    c.noise_user = c.progress_user = c.guide_user = &user;
    return c;
}

/// A held run: its request, and which of the sampler's runs it is.
class held_node final : public node {
public:
    using c_type = dm_sampler;

    held_node(std::shared_ptr<sampler_node> of, sampler_request what) noexcept
        : node(of->context), request(std::move(what)), handle(of->handle), sampler_(std::move(of)) {
        user = {context.get(), &request};
    }
    void close() noexcept override {
        if (number_ != 0 && current()) dm_sampler_finish(handle, nullptr, 0);
    }
    /// The library has begun this run.
    void begin() noexcept { number_ = ++sampler_->held; }
    /// Whether no other run of the sampler has begun since.
    [[nodiscard]] bool current() const noexcept { return number_ == sampler_->held; }

    sampler_request request;
    request_user user{};
    dm_sampler *handle;
    std::size_t elements = 0;

private:
    std::shared_ptr<sampler_node> sampler_;
    std::uint64_t number_ = 0;
};

} // namespace detail
} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
