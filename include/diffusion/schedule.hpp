// SPDX-License-Identifier: MIT
// The noise schedule.
#ifndef DIFFUSION_SCHEDULE_HPP
#define DIFFUSION_SCHEDULE_HPP

#include <diffusion/context.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {
using schedule_node = object<dm_schedule, dm_schedule_destroy>;
}

/// x = signal x_0 + noise eps at a timestep, and `time`, the network's time input there.
struct level {
    double signal, noise, time;
};

struct diffusers_schedule;

/// How much noise each timestep adds. Never changes; objects of other contexts may use it too.
class schedule : public detail::handle<detail::schedule_node> {
public:
    using handle::handle;

    static result<schedule> try_create(const context &in,
                                       const schedule_options &options = {}) noexcept {
        return make(in,
                    [&](dm_schedule **out) { return dm_schedule_create(out, in.get(), &options); });
    }
    /// From betas, each in (0, 1), one for each timestep.
    static result<schedule> try_create_from_betas(const context &in,
                                                  span<const double> betas) noexcept {
        return make(in, [&](dm_schedule **out) {
            return dm_schedule_create_from_betas(out, in.get(), betas.data(), betas.size());
        });
    }
    /// The schedule stored in a file of trainer::save or unet::save, or in its bytes. Fails as
    /// unet::load does.
    static result<schedule> try_load(const context &in, zstring path) noexcept {
        return make(in, [&](dm_schedule **out) {
            return dm_schedule_load(out, in.get(), path.c_str());
        });
    }
    static result<schedule> try_load_memory(const context &in,
                                            span<const std::uint8_t> bytes) noexcept {
        return make(in, [&](dm_schedule **out) {
            return dm_schedule_load_memory(out, in.get(), bytes.data(), bytes.size());
        });
    }

    /// The schedule of a scheduler of diffusers, and what it says about sampling. `path` is a
    /// scheduler_config.json, or the folder of a scheduler or pipeline with one. Members of
    /// `sampler` that are arguments of a call there (steps, batch_size, eta, churn, guidance) stay.
    /// Of `options` only `compatible` matters here.
    static result<diffusers_schedule> try_load_diffusers(
        const context &in, zstring path, sampler_options sampler = {},
        const diffusers_options &options = {}) noexcept;

    [[nodiscard]] result<schedule_options> try_get_options() const noexcept {
        schedule_options o;
        result<void> done = invoke([&](dm_schedule *s) {
            return dm_schedule_get_options(s, &o, sizeof(schedule_options::c_type));
        });
        return detail::with(done, std::move(o));
    }
    /// T; 0 after a move.
    [[nodiscard]] std::int32_t timesteps() const noexcept { return dm_schedule_timesteps(get()); }
    /// The T values of a series::value.
    [[nodiscard]] result<std::vector<double>> try_get_series(std::int32_t which) const noexcept {
        return detail::guard([&]() -> result<std::vector<double>> {
            std::vector<double> values(static_cast<std::size_t>(timesteps()));
            result<void> done = invoke([&](dm_schedule *s) {
                return dm_schedule_get_series(s, which, values.data(), values.size());
            });
            return detail::with(done, std::move(values));
        });
    }
    /// The noise level at a timestep in [0, T-1], whole or fractional.
    [[nodiscard]] result<level> try_get_level(double timestep) const noexcept {
        level l = {};
        result<void> done = invoke([&](dm_schedule *s) {
            return dm_schedule_get_level(s, timestep, &l.signal, &l.noise, &l.time);
        });
        return detail::with(done, std::move(l));
    }
    /// x_t = signal_t x_0 + noise_t noise, for timesteps.size() images. The arrays have equal
    /// sizes; x_t may be x_0 or noise.
    result<void> try_add_noise(span<float> x_t, span<const float> x_0, span<const float> noise,
                               span<const std::int32_t> timesteps) const noexcept {
        if (x_t.size() != x_0.size() || x_t.size() != noise.size() || timesteps.empty() ||
            x_t.size() % timesteps.size() != 0)
            return failure(status::shape_mismatch,
                           "schedule: x_t, x_0 and noise must have one size, a multiple of the "
                           "number of timesteps");
        return invoke([&](dm_schedule *s) {
            return dm_schedule_add_noise(s, x_t.data(), x_0.data(), noise.data(), timesteps.data(),
                                         timesteps.size(), x_t.size() / timesteps.size());
        });
    }

#if DIFFUSION_EXCEPTIONS
    static schedule create(const context &in, const schedule_options &options = {}) {
        return try_create(in, options).value();
    }
    static schedule create_from_betas(const context &in, span<const double> betas) {
        return try_create_from_betas(in, betas).value();
    }
    static schedule load(const context &in, zstring path) { return try_load(in, path).value(); }
    static schedule load_memory(const context &in, span<const std::uint8_t> bytes) {
        return try_load_memory(in, bytes).value();
    }
    static diffusers_schedule load_diffusers(const context &in, zstring path,
                                             sampler_options sampler = {},
                                             const diffusers_options &options = {});
    [[nodiscard]] schedule_options get_options() const { return try_get_options().value(); }
    [[nodiscard]] std::vector<double> get_series(std::int32_t which) const {
        return try_get_series(which).value();
    }
    [[nodiscard]] level get_level(double timestep) const { return try_get_level(timestep).value(); }
    void add_noise(span<float> x_t, span<const float> x_0, span<const float> noise,
                   span<const std::int32_t> timesteps) const {
        try_add_noise(x_t, x_0, noise, timesteps).value();
    }
#endif

private:
    template <class F> static result<schedule> make(const context &in, F &&create) noexcept {
        return detail::make<schedule, detail::schedule_node>(in.shared(), create, nullptr);
    }
};

/// What schedule::load_diffusers returns.
struct diffusers_schedule {
    diffusion::schedule schedule;
    sampler_options sampler;
};

inline result<diffusers_schedule> schedule::try_load_diffusers(
    const context &in, zstring path, sampler_options sampler,
    const diffusers_options &options) noexcept {
    return detail::guard([&]() -> result<diffusers_schedule> {
        dm_sampler_options c = detail::c_options(sampler);
        result<schedule> loaded = make(in, [&](dm_schedule **out) {
            return dm_schedule_load_diffusers(out, in.get(), path.c_str(), &options, &c);
        });
        if (!loaded) return loaded.error();
        sampler.c() = c;
        sampler.custom_times.clear();
        sampler.custom_sigmas.clear();
        return diffusers_schedule{std::move(*loaded), std::move(sampler)};
    });
}
#if DIFFUSION_EXCEPTIONS
inline diffusers_schedule schedule::load_diffusers(const context &in, zstring path,
                                                   sampler_options sampler,
                                                   const diffusers_options &options) {
    return try_load_diffusers(in, path, std::move(sampler), options).value();
}
#endif

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
