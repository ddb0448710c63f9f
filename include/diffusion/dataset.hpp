// SPDX-License-Identifier: MIT
// The source of training images.
#ifndef DIFFUSION_DATASET_HPP
#define DIFFUSION_DATASET_HPP

#include <diffusion/context.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

using dataset_node = object<dm_dataset, dm_dataset_destroy>;

/// What the library gets as `user` of a dataset.
struct dataset_closure {
    context_state *state = nullptr;
    callback<dataset_item &> read;
    std::function<void(span<const std::uint64_t>)> prefetch;
};

inline std::int32_t on_read(void *user, dm_dataset_item *c) noexcept {
    auto &self = *static_cast<dataset_closure *>(user);
    dataset_item item;
    copy_struct(item.c(), *c);
    item.pixels = {c->pixels, static_cast<std::size_t>(c->pixel_bytes)};
    const dm_dataset_item &known = item.c(); /* an older library has no conditions */
    if (known.condition_image)
        item.condition_image = {known.condition_image,
                                static_cast<std::size_t>(known.condition_image_bytes)};
    if (known.condition_vector)
        item.condition_vector = {known.condition_vector,
                                 static_cast<std::size_t>(known.condition_vector_elements)};
    std::int32_t stop = self.read.run(*self.state, item);
    c->label = item.label;
    return stop;
}

inline void on_prefetch(void *user, const std::uint64_t *indices, std::size_t count) noexcept {
    auto &self = *static_cast<dataset_closure *>(user);
    contain(*self.state, [&] { self.prefetch({indices, count}); });
}

/// The C strings of `names`, which must outlive them.
inline std::vector<const char *> c_strings(span<const std::string> names) {
    std::vector<const char *> all;
    all.reserve(names.size());
    for (const std::string &name : names) all.push_back(name.c_str());
    return all;
}

} // namespace detail

/// One image of a dataset.
struct image {
    std::vector<std::uint8_t> pixels; ///< [height, width, channels]
    std::int32_t label;               ///< -1: none
};

/// The conditions of one image; empty where the dataset has none.
struct image_condition {
    std::vector<std::uint8_t> image; ///< [height, width, condition_channels]
    std::vector<float> vector;       ///< [condition_size]
};

/// The conditions of all images of a dataset from memory; empty: none.
struct dataset_conditions {
    std::int32_t channels = 0;       ///< of `images`
    std::int32_t size = 0;           ///< floats of a vector
    span<const std::uint8_t> images; ///< [count, height, width, channels]
    span<const float> vectors;       ///< [count, size]
    bool vector_invariant = false;   ///< vectors stay right when an image is flipped or cropped
};

/// Images as bytes [height, width, channels], each with a label, or -1 for none.
class dataset : public detail::handle<detail::dataset_node> {
public:
    using handle::handle;

    /// The binary version of CIFAR-10: cifar-10-binary.tar.gz, or a folder with its .bin files or
    /// with cifar-10-batches-bin. `part` is a split::value.
    static result<dataset> try_load_cifar10(const context &in, zstring path,
                                            std::int32_t part = split::train) noexcept {
        return make(in, nullptr, [&](dm_dataset **out) {
            return dm_dataset_load_cifar10(out, in.get(), path.c_str(), part);
        });
    }
    /// Generated shapes in ten classes. `size` is the side in pixels, 16 to 64.
    static result<dataset> try_create_shapes(const context &in, std::int32_t size,
                                             std::uint64_t count, std::uint64_t seed) noexcept {
        return make(in, nullptr, [&](dm_dataset **out) {
            return dm_dataset_create_shapes(out, in.get(), size, count, seed);
        });
    }
    /// The same with condition vectors [x, y, size, r, g, b].
    static result<dataset> try_create_described_shapes(const context &in, std::int32_t size,
                                                       std::uint64_t count,
                                                       std::uint64_t seed) noexcept {
        return make(in, nullptr, [&](dm_dataset **out) {
            return dm_dataset_create_described_shapes(out, in.get(), size, count, seed);
        });
    }
    /// The images of `source` for super-resolution: the condition image of each is the image with
    /// `factor` times fewer pixels in each direction, enlarged to the old size. Keeps `source`.
    static result<dataset> try_create_downscaled(const dataset &source,
                                                 std::int32_t factor) noexcept {
        if (!source) return failure(status::invalid_argument, "the object was moved from");
        return detail::make<dataset, detail::dataset_node>(
            detail::state_of(source),
            [&](dm_dataset **out) {
                return dm_dataset_create_downscaled(out, source.get(), factor);
            },
            nullptr, source.shared());
    }
    /// Copies pixels [count, height, width, channels], labels [count], which may be empty,
    /// conditions, and the names of the classes, which may be empty.
    static result<dataset> try_create_from_memory(const context &in, std::uint64_t count,
                                                  std::int32_t height, std::int32_t width,
                                                  std::int32_t channels,
                                                  span<const std::uint8_t> pixels,
                                                  span<const std::int32_t> labels = {},
                                                  const dataset_conditions &given = {},
                                                  span<const std::string> names = {}) noexcept {
        return from_memory(in, count, height, width, channels, pixels, labels, given, names, 1);
    }
    /// The same without a copy: the arrays, but for the names, must outlive the dataset and all
    /// that uses it.
    static result<dataset> try_create_from_borrowed(const context &in, std::uint64_t count,
                                                    std::int32_t height, std::int32_t width,
                                                    std::int32_t channels,
                                                    span<const std::uint8_t> pixels,
                                                    span<const std::int32_t> labels = {},
                                                    const dataset_conditions &given = {},
                                                    span<const std::string> names = {}) noexcept {
        return from_memory(in, count, height, width, channels, pixels, labels, given, names, 0);
    }
    static result<dataset> try_create_from_callback(const context &in,
                                                    dataset_callback options) noexcept {
        return detail::guard([&]() -> result<dataset> {
            auto closure = std::make_shared<detail::dataset_closure>();
            closure->state = in.shared().get();
            std::vector<const char *> names = detail::c_strings(options.class_names);
            dm_dataset_callback c = options.c();
            if (options.read) c.read = detail::on_read;
            if (options.prefetch) c.prefetch = detail::on_prefetch;
            c.user = closure.get();
            c.class_names = names.empty() ? nullptr : names.data();
            c.class_name_count = names.size();
            closure->read = std::move(options.read);
            closure->prefetch = std::move(options.prefetch);
            return make(in, std::move(closure), [&](dm_dataset **out) {
                return dm_dataset_create_from_callback(out, in.get(), &c);
            });
        });
    }

    [[nodiscard]] result<dataset_info> try_get_info() const noexcept {
        dataset_info info;
        result<void> done = invoke([&](dm_dataset *d) { return dm_dataset_get_info(d, &info); });
        return detail::with(done, std::move(info));
    }
    [[nodiscard]] result<image> try_get_image(std::uint64_t index) const noexcept {
        return detail::guard([&]() -> result<image> {
            result<dataset_info> info = try_get_info();
            if (!info) return info.error();
            image i;
            i.pixels.resize(static_cast<std::size_t>(info->height) *
                            static_cast<std::size_t>(info->width) *
                            static_cast<std::size_t>(info->channels));
            result<void> done = invoke([&](dm_dataset *d) {
                return dm_dataset_get_image(d, index, i.pixels.data(), i.pixels.size(), &i.label);
            });
            return detail::with(done, std::move(i));
        });
    }
    [[nodiscard]] result<image_condition> try_get_condition(std::uint64_t index) const noexcept {
        return detail::guard([&]() -> result<image_condition> {
            result<dataset_info> info = try_get_info();
            if (!info) return info.error();
            image_condition i;
            i.image.resize(static_cast<std::size_t>(info->height) *
                           static_cast<std::size_t>(info->width) *
                           static_cast<std::size_t>(info->condition_channels));
            i.vector.resize(static_cast<std::size_t>(info->condition_size));
            result<void> done = invoke([&](dm_dataset *d) {
                return dm_dataset_get_condition(d, index,
                                                i.image.empty() ? nullptr : i.image.data(),
                                                i.image.size(),
                                                i.vector.empty() ? nullptr : i.vector.data(),
                                                i.vector.size());
            });
            return detail::with(done, std::move(i));
        });
    }
    /// "airplane", "circle"; null if the label has no name. Valid as long as the dataset.
    [[nodiscard]] const char *class_name(std::int32_t label) const noexcept {
        return dm_dataset_class_name(get(), label);
    }

#if DIFFUSION_EXCEPTIONS
    static dataset load_cifar10(const context &in, zstring path, std::int32_t part = split::train) {
        return try_load_cifar10(in, path, part).value();
    }
    static dataset create_shapes(const context &in, std::int32_t size, std::uint64_t count,
                                 std::uint64_t seed) {
        return try_create_shapes(in, size, count, seed).value();
    }
    static dataset create_described_shapes(const context &in, std::int32_t size,
                                           std::uint64_t count, std::uint64_t seed) {
        return try_create_described_shapes(in, size, count, seed).value();
    }
    static dataset create_downscaled(const dataset &source, std::int32_t factor) {
        return try_create_downscaled(source, factor).value();
    }
    static dataset create_from_memory(const context &in, std::uint64_t count, std::int32_t height,
                                      std::int32_t width, std::int32_t channels,
                                      span<const std::uint8_t> pixels,
                                      span<const std::int32_t> labels = {},
                                      const dataset_conditions &given = {},
                                      span<const std::string> names = {}) {
        return try_create_from_memory(in, count, height, width, channels, pixels, labels, given,
                                      names)
            .value();
    }
    static dataset create_from_borrowed(const context &in, std::uint64_t count, std::int32_t height,
                                        std::int32_t width, std::int32_t channels,
                                        span<const std::uint8_t> pixels,
                                        span<const std::int32_t> labels = {},
                                        const dataset_conditions &given = {},
                                        span<const std::string> names = {}) {
        return try_create_from_borrowed(in, count, height, width, channels, pixels, labels, given,
                                        names)
            .value();
    }
    static dataset create_from_callback(const context &in, dataset_callback options) {
        return try_create_from_callback(in, std::move(options)).value();
    }
    [[nodiscard]] dataset_info get_info() const { return try_get_info().value(); }
    [[nodiscard]] image get_image(std::uint64_t index) const {
        return try_get_image(index).value();
    }
    [[nodiscard]] image_condition get_condition(std::uint64_t index) const {
        return try_get_condition(index).value();
    }
#endif

private:
    template <class F>
    static result<dataset> make(const context &in, std::shared_ptr<void> closure,
                                F &&create) noexcept {
        return detail::make<dataset, detail::dataset_node>(in.shared(), create, std::move(closure));
    }
    static result<dataset> from_memory(const context &in, std::uint64_t count, std::int32_t height,
                                       std::int32_t width, std::int32_t channels,
                                       span<const std::uint8_t> pixels,
                                       span<const std::int32_t> labels,
                                       const dataset_conditions &given,
                                       span<const std::string> class_names,
                                       std::int32_t copy) noexcept {
        return detail::guard([&]() -> result<dataset> {
            std::vector<const char *> names = detail::c_strings(class_names);
            dm_dataset_memory c;
            dm_dataset_memory_init(&c, sizeof c);
            c.copy = copy;
            c.count = count;
            c.height = height;
            c.width = width;
            c.channels = channels;
            c.pixels = pixels.data();
            c.pixel_bytes = pixels.size();
            c.labels = labels.empty() ? nullptr : labels.data();
            c.label_count = labels.size();
            c.condition_channels = given.channels;
            c.condition_size = given.size;
            c.vector_invariant = given.vector_invariant;
            c.condition_images = given.images.empty() ? nullptr : given.images.data();
            c.condition_image_bytes = given.images.size();
            c.condition_vectors = given.vectors.empty() ? nullptr : given.vectors.data();
            c.condition_vector_elements = given.vectors.size();
            c.class_names = names.empty() ? nullptr : names.data();
            c.class_name_count = names.size();
            return make(in, nullptr, [&](dm_dataset **out) {
                return dm_dataset_create_from_memory(out, in.get(), &c);
            });
        });
    }
};

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
