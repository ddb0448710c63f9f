// SPDX-License-Identifier: MIT
// Pixels, grids and PNG files, and interpolation of noise. Images are bytes [height, width,
// channels] with 1 channel (grey), 3 (RGB) or 4 (RGBA).
#ifndef DIFFUSION_IMAGES_HPP
#define DIFFUSION_IMAGES_HPP

#include <diffusion/context.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

inline result<void> outcome_of(dm_status value) noexcept {
    if (value != DM_OK) return failure(static_cast<status>(value));
    return {};
}

} // namespace detail

/// In pixels.
struct image_size {
    std::int32_t height, width;
};

/// round((x + 1) * 127.5), clamped to 0 to 255; NaN gives 0.
inline result<std::vector<std::uint8_t>> try_image_to_u8(span<const float> images) noexcept {
    return detail::guard([&]() -> result<std::vector<std::uint8_t>> {
        std::vector<std::uint8_t> pixels(images.size());
        result<void> done =
            detail::outcome_of(dm_image_to_u8(pixels.data(), images.data(), pixels.size()));
        return detail::with(done, std::move(pixels));
    });
}
/// x / 127.5 - 1.
inline result<std::vector<float>> try_image_from_u8(span<const std::uint8_t> pixels) noexcept {
    return detail::guard([&]() -> result<std::vector<float>> {
        std::vector<float> images(pixels.size());
        result<void> done =
            detail::outcome_of(dm_image_from_u8(images.data(), pixels.data(), images.size()));
        return detail::with(done, std::move(images));
    });
}
/// The size of a grid.
inline result<image_size> try_image_grid_size(const image_grid_options &options) noexcept {
    image_size size = {};
    result<void> done = detail::outcome_of(dm_image_grid_size(&options, &size.height, &size.width));
    return detail::with(done, std::move(size));
}
/// Draws images [count, height, width, channels] as a grid [grid height, grid width, channels].
inline result<std::vector<std::uint8_t>> try_image_draw_grid(
    const image_grid_options &options, span<const std::uint8_t> images) noexcept {
    return detail::guard([&]() -> result<std::vector<std::uint8_t>> {
        result<image_size> size = try_image_grid_size(options);
        if (!size) return size.error();
        std::vector<std::uint8_t> grid(static_cast<std::size_t>(size->height) *
                                       static_cast<std::size_t>(size->width) *
                                       static_cast<std::size_t>(options.channels));
        result<void> done = detail::outcome_of(
            dm_image_draw_grid(&options, grid.data(), grid.size(), images.data(), images.size()));
        return detail::with(done, std::move(grid));
    });
}
/// The bytes of a PNG file.
inline result<std::vector<std::uint8_t>> try_image_encode_png(const context &in,
                                                              span<const std::uint8_t> pixels,
                                                              std::int32_t height,
                                                              std::int32_t width,
                                                              std::int32_t channels) noexcept {
    return detail::guard([&]() -> result<std::vector<std::uint8_t>> {
        std::vector<std::uint8_t> bytes;
        std::size_t size = 0;
        auto encode = [&](std::uint8_t *buffer) {
            return detail::call(in.shared(), [&] {
                return dm_image_encode_png(in.get(), buffer, bytes.size(), &size, pixels.data(),
                                           pixels.size(), height, width, channels);
            });
        };
        result<void> done = encode(nullptr);
        if (!done) return done.error();
        bytes.resize(size);
        done = encode(bytes.data());
        bytes.resize(size);
        return detail::with(done, std::move(bytes));
    });
}
inline result<void> try_image_write_png(const context &in, zstring path,
                                        span<const std::uint8_t> pixels, std::int32_t height,
                                        std::int32_t width, std::int32_t channels) noexcept {
    return detail::call(in.shared(), [&] {
        return dm_image_write_png(in.get(), path.c_str(), pixels.data(), pixels.size(), height,
                                  width, channels);
    });
}
/// Writes frames [frames, height, width, channels] as an animated PNG that loops for ever.
inline result<void> try_image_write_apng(const context &in, zstring path,
                                         span<const std::uint8_t> frames,
                                         const image_animation &animation) noexcept {
    return detail::call(in.shared(), [&] {
        return dm_image_write_apng(in.get(), path.c_str(), frames.data(), frames.size(),
                                   &animation);
    });
}
/// Spherical interpolation between two noise arrays of out's size, weight in [0, 1]: 0 gives a.
/// out may be a or b.
inline result<void> try_noise_interpolate(span<float> out, span<const float> a, span<const float> b,
                                          double weight) noexcept {
    if (a.size() != out.size() || b.size() != out.size())
        return failure(status::shape_mismatch, "noise: the arrays must have one size");
    return detail::outcome_of(
        dm_noise_interpolate(out.data(), a.data(), b.data(), weight, out.size()));
}

#if DIFFUSION_EXCEPTIONS
inline std::vector<std::uint8_t> image_to_u8(span<const float> images) {
    return try_image_to_u8(images).value();
}
inline std::vector<float> image_from_u8(span<const std::uint8_t> pixels) {
    return try_image_from_u8(pixels).value();
}
inline image_size image_grid_size(const image_grid_options &options) {
    return try_image_grid_size(options).value();
}
inline std::vector<std::uint8_t> image_draw_grid(const image_grid_options &options,
                                                 span<const std::uint8_t> images) {
    return try_image_draw_grid(options, images).value();
}
inline std::vector<std::uint8_t> image_encode_png(const context &in,
                                                  span<const std::uint8_t> pixels,
                                                  std::int32_t height, std::int32_t width,
                                                  std::int32_t channels) {
    return try_image_encode_png(in, pixels, height, width, channels).value();
}
inline void image_write_png(const context &in, zstring path, span<const std::uint8_t> pixels,
                            std::int32_t height, std::int32_t width, std::int32_t channels) {
    try_image_write_png(in, path, pixels, height, width, channels).value();
}
inline void image_write_apng(const context &in, zstring path, span<const std::uint8_t> frames,
                             const image_animation &animation) {
    try_image_write_apng(in, path, frames, animation).value();
}
inline void noise_interpolate(span<float> out, span<const float> a, span<const float> b,
                              double weight) {
    try_noise_interpolate(out, a, b, weight).value();
}
#endif

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
