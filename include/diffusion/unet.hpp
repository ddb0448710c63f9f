// SPDX-License-Identifier: MIT
// The network, and its evaluation on a dataset.
#ifndef DIFFUSION_UNET_HPP
#define DIFFUSION_UNET_HPP

#include <diffusion/dataset.hpp>
#include <diffusion/schedule.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

using unet_node = object<dm_unet, dm_unet_destroy>;
using evaluation_closure = closure<callback<std::uint64_t, std::uint64_t>>;

inline std::int32_t on_evaluation(void *user, std::uint64_t done, std::uint64_t total) noexcept {
    auto &self = *static_cast<evaluation_closure *>(user);
    return self.function.run(*self.state, done, total);
}

/// Reads the bytes of a save_memory function: save(buffer, capacity, &size).
template <class F> result<std::vector<std::uint8_t>> saved_bytes(F &&save) noexcept {
    return guard([&]() -> result<std::vector<std::uint8_t>> {
        std::size_t size = 0;
        result<void> done = save(nullptr, 0, &size);
        if (!done) return done.error();
        std::vector<std::uint8_t> bytes(size);
        done = save(bytes.data(), bytes.size(), &size);
        bytes.resize(size);
        return with(done, std::move(bytes));
    });
}

} // namespace detail

/// The conditions of a forward pass; an empty one is zeros.
struct conditions {
    span<const float> image;  ///< [count, height, width, condition_channels]
    span<const float> vector; ///< [count, condition_size]
};

/// A parameter of a network.
struct tensor_info {
    std::string name;
    std::vector<std::int64_t> shape; ///< [out, in, k, k], [out, in] or [n]
    std::uint64_t elements;
};

/// The network. Parameters have the names and shapes of diffusers' UNet2DModel.
class unet : public detail::handle<detail::unet_node> {
public:
    using handle::handle;
    /// Images whose evaluation is done, and their number.
    using evaluation_callback = callback<std::uint64_t, std::uint64_t>;

    /// A network with weights drawn from `seed`.
    static result<unet> try_create(const context &in, const unet_options &options,
                                   std::uint64_t seed) noexcept {
        return make(in, nullptr,
                    [&](dm_unet **out) { return dm_unet_create(out, in.get(), &options, seed); });
    }
    /// From a file of save or trainer::save, or from its bytes; `path` may also be what
    /// load_diffusers reads. `which` is a weights::value, or
    /// weights::ema + i. Fails with not_found, io, bad_format, unsupported_version, checksum,
    /// not_finite, shape_mismatch or unsupported.
    static result<unet> try_load(const context &in, zstring path,
                                 std::int32_t which = weights::default_) noexcept {
        return make(in, nullptr, [&](dm_unet **out) {
            return dm_unet_load(out, in.get(), path.c_str(), which);
        });
    }
    static result<unet> try_load_memory(const context &in, span<const std::uint8_t> bytes,
                                        std::int32_t which = weights::default_) noexcept {
        return make(in, nullptr, [&](dm_unet **out) {
            return dm_unet_load_memory(out, in.get(), bytes.data(), bytes.size(), which);
        });
    }
    /// A network of diffusers' UNet2DModel: `path` is the folder of a pipeline or of a model, or a
    /// safetensors file with config.json beside it.
    static result<unet> try_load_diffusers(const context &in, zstring path,
                                           const diffusers_options &options = {}) noexcept {
        return make(in, nullptr, [&](dm_unet **out) {
            return dm_unet_load_diffusers(out, in.get(), path.c_str(), &options);
        });
    }
    /// A second network, in another context or the same, on the weights of this one, which are
    /// read-only while shares exist. May be called while the owner's context is busy.
    [[nodiscard]] result<unet> try_share(const context &in) const noexcept {
        if (!*this) return failure(status::invalid_argument, "the object was moved from");
        return make(in, node_, [&](dm_unet **out) { return dm_unet_share(out, in.get(), get()); });
    }

    /// Replaces all weights by new ones; `kind` is an initialization::value. Fails with
    /// wrong_state while the network has a trainer or shares.
    result<void> try_initialize(std::int32_t kind, std::uint64_t seed) noexcept {
        return invoke([&](dm_unet *u) { return dm_unet_initialize(u, kind, seed); });
    }
    /// Makes convolutions read pixels of the opposite border beyond the left and right border, or
    /// the upper and lower one, so that images continue when they are laid side by side.
    result<void> try_set_tiling(bool horizontal, bool vertical) noexcept {
        return invoke([&](dm_unet *u) { return dm_unet_set_tiling(u, horizontal, vertical); });
    }
    /// The precision of forward passes from now on: precision::f32 or precision::bf16.
    result<void> try_set_precision(std::int32_t value) noexcept {
        return invoke([&](dm_unet *u) { return dm_unet_set_precision(u, value); });
    }

    /// Writes one safetensors file: the parameters, rounded to a precision::value, with the options
    /// and, if given, the schedule.
    result<void> try_save(zstring path, std::int32_t as = precision::f32) const noexcept {
        return save_file(nullptr, path, as);
    }
    result<void> try_save(zstring path, const schedule &with,
                          std::int32_t as = precision::f32) const noexcept {
        return save_file(with.get(), path, as);
    }
    /// The same bytes in memory.
    [[nodiscard]] result<std::vector<std::uint8_t>> try_save_memory(
        std::int32_t as = precision::f32) const noexcept {
        return save_bytes(nullptr, as);
    }
    [[nodiscard]] result<std::vector<std::uint8_t>> try_save_memory(
        const schedule &with, std::int32_t as = precision::f32) const noexcept {
        return save_bytes(with.get(), as);
    }
    /// Writes the folder of a pipeline of diffusers, whose scheduler `sampler` describes; without
    /// it, that of solver::ddpm.
    result<void> try_save_diffusers(zstring folder, const schedule &with,
                                    std::int32_t as = precision::f32) const noexcept {
        return save_folder(folder, with, nullptr, as);
    }
    result<void> try_save_diffusers(zstring folder, const schedule &with,
                                    const sampler_options &sampler,
                                    std::int32_t as = precision::f32) const noexcept {
        dm_sampler_options c = detail::c_options(sampler);
        return save_folder(folder, with, &c, as);
    }

    [[nodiscard]] result<unet_options> try_get_options() const noexcept {
        unet_options o;
        result<void> done = invoke(
            [&](dm_unet *u) { return dm_unet_get_options(u, &o, sizeof(unet_options::c_type)); });
        return detail::with(done, std::move(o));
    }
    /// The names of the classes, which files keep: one for each, or none. A network without names
    /// gets those of the dataset when it is trained. Fails with wrong_state while the network has a
    /// trainer or shares.
    result<void> try_set_class_names(span<const std::string> names) noexcept {
        return detail::guard([&]() -> result<void> {
            std::vector<const char *> all = detail::c_strings(names);
            return invoke([&](dm_unet *u) {
                return dm_unet_set_class_names(u, all.empty() ? nullptr : all.data(),
                                               static_cast<std::int32_t>(all.size()));
            });
        });
    }
    /// "airplane"; null if the label has no name. Valid until the names are set or the network
    /// ends.
    [[nodiscard]] const char *class_name(std::int32_t label) const noexcept {
        return dm_unet_class_name(get(), label);
    }
    [[nodiscard]] std::uint64_t parameter_count() const noexcept {
        return dm_unet_parameter_count(get());
    }
    [[nodiscard]] std::int32_t tensor_count() const noexcept { return dm_unet_tensor_count(get()); }
    /// Tensor `index`, from 0, in the order in which the network uses them.
    [[nodiscard]] result<tensor_info> try_get_tensor_info(std::int32_t index) const noexcept {
        return detail::guard([&]() -> result<tensor_info> {
            dm_tensor_info c;
            dm_tensor_info_init(&c, sizeof c);
            result<void> done =
                invoke([&](dm_unet *u) { return dm_unet_get_tensor_info(u, index, &c); });
            if (!done) return done.error();
            return tensor_info{c.name, {c.shape, c.shape + c.rank}, c.elements};
        });
    }
    /// Copies one parameter to `values`, whose size must be its number of elements.
    result<void> try_get_tensor(zstring name, span<float> values) const noexcept {
        return invoke([&](dm_unet *u) {
            return dm_unet_get_tensor(u, name.c_str(), values.data(), values.size());
        });
    }
    /// Replaces one parameter. `shape` must be the tensor's; infinities and NaN are refused.
    result<void> try_set_tensor(zstring name, span<const float> values,
                                span<const std::int64_t> shape) noexcept {
        return invoke([&](dm_unet *u) {
            return dm_unet_set_tensor(u, name.c_str(), values.data(), values.size(), shape.data(),
                                      static_cast<std::int32_t>(shape.size()));
        });
    }
    /// One forward pass without dropout. x [count, height, width, in_channels] (twice the channels
    /// with self_conditioning); times [count], the network's time input (series::time); labels
    /// [count] or empty; output [count, height, width, out_channels] (twice the channels with
    /// learned_variance).
    result<void> try_forward(span<const float> x, span<const double> times,
                             span<const std::int32_t> labels, span<float> output,
                             const conditions &given = {}) noexcept {
        dm_unet_input c = c_input(x, times, labels, given);
        return invoke(
            [&](dm_unet *u) { return dm_unet_forward(u, &c, output.data(), output.size()); });
    }
    /// The gradient of the sum of output_gradient * output with respect to x, to `gradient`, of x's
    /// size. `output` receives what forward gives, unless it is empty; else it has the size of
    /// output_gradient. The weights are only read.
    result<void> try_input_gradient(span<const float> x, span<const double> times,
                                    span<const std::int32_t> labels,
                                    span<const float> output_gradient, span<float> gradient,
                                    span<float> output = {},
                                    const conditions &given = {}) noexcept {
        if (!output.empty() && output.size() != output_gradient.size())
            return failure(status::shape_mismatch,
                           "unet: output and output_gradient must have one size");
        dm_unet_input c = c_input(x, times, labels, given);
        return invoke([&](dm_unet *u) {
            return dm_unet_input_gradient(u, &c, output_gradient.data(), output_gradient.size(),
                                          output.empty() ? nullptr : output.data(), gradient.data(),
                                          gradient.size());
        });
    }
    /// The variational bound on the likelihood of images in bits per value, and the prediction
    /// error. The dataset must be of the network's context.
    result<evaluation> try_evaluate(const schedule &with, const dataset &images,
                                    const evaluation_options &options = {},
                                    evaluation_callback progress = {}) noexcept {
        evaluation e;
        detail::evaluation_closure user{detail::state_of(*this).get(), std::move(progress)};
        dm_evaluation_callback function = user.function ? detail::on_evaluation : nullptr;
        result<void> done = invoke([&](dm_unet *u) {
            return dm_unet_evaluate(u, with.get(), images.get(), &options, function, &user, &e);
        });
        return detail::with(done, std::move(e));
    }

#if DIFFUSION_EXCEPTIONS
    static unet create(const context &in, const unet_options &options, std::uint64_t seed) {
        return try_create(in, options, seed).value();
    }
    static unet load(const context &in, zstring path, std::int32_t which = weights::default_) {
        return try_load(in, path, which).value();
    }
    static unet load_memory(const context &in, span<const std::uint8_t> bytes,
                            std::int32_t which = weights::default_) {
        return try_load_memory(in, bytes, which).value();
    }
    [[nodiscard]] unet share(const context &in) const { return try_share(in).value(); }
    static unet load_diffusers(const context &in, zstring path,
                               const diffusers_options &options = {}) {
        return try_load_diffusers(in, path, options).value();
    }
    void initialize(std::int32_t kind, std::uint64_t seed) { try_initialize(kind, seed).value(); }
    void set_tiling(bool horizontal, bool vertical) {
        try_set_tiling(horizontal, vertical).value();
    }
    void set_precision(std::int32_t value) { try_set_precision(value).value(); }
    void save(zstring path, std::int32_t as = precision::f32) const { try_save(path, as).value(); }
    void save(zstring path, const schedule &with, std::int32_t as = precision::f32) const {
        try_save(path, with, as).value();
    }
    [[nodiscard]] std::vector<std::uint8_t> save_memory(std::int32_t as = precision::f32) const {
        return try_save_memory(as).value();
    }
    [[nodiscard]] std::vector<std::uint8_t> save_memory(const schedule &with,
                                                        std::int32_t as = precision::f32) const {
        return try_save_memory(with, as).value();
    }
    void save_diffusers(zstring folder, const schedule &with,
                        std::int32_t as = precision::f32) const {
        try_save_diffusers(folder, with, as).value();
    }
    void save_diffusers(zstring folder, const schedule &with, const sampler_options &sampler,
                        std::int32_t as = precision::f32) const {
        try_save_diffusers(folder, with, sampler, as).value();
    }
    [[nodiscard]] unet_options get_options() const { return try_get_options().value(); }
    void set_class_names(span<const std::string> names) { try_set_class_names(names).value(); }
    [[nodiscard]] tensor_info get_tensor_info(std::int32_t index) const {
        return try_get_tensor_info(index).value();
    }
    void get_tensor(zstring name, span<float> values) const {
        try_get_tensor(name, values).value();
    }
    void set_tensor(zstring name, span<const float> values, span<const std::int64_t> shape) {
        try_set_tensor(name, values, shape).value();
    }
    void forward(span<const float> x, span<const double> times, span<const std::int32_t> labels,
                 span<float> output, const conditions &given = {}) {
        try_forward(x, times, labels, output, given).value();
    }
    void input_gradient(span<const float> x, span<const double> times,
                        span<const std::int32_t> labels, span<const float> output_gradient,
                        span<float> gradient, span<float> output = {},
                        const conditions &given = {}) {
        try_input_gradient(x, times, labels, output_gradient, gradient, output, given).value();
    }
    evaluation evaluate(const schedule &with, const dataset &images,
                        const evaluation_options &options = {}, evaluation_callback progress = {}) {
        return try_evaluate(with, images, options, std::move(progress)).value();
    }
#endif

private:
    template <class F>
    static result<unet> make(const context &in, std::shared_ptr<void> owner, F &&create) noexcept {
        return detail::make<unet, detail::unet_node>(in.shared(), create, nullptr,
                                                     std::move(owner));
    }
    /// The C struct, which refers to the arrays.
    static dm_unet_input c_input(span<const float> x, span<const double> times,
                                 span<const std::int32_t> labels,
                                 const conditions &given) noexcept {
        dm_unet_input c;
        dm_unet_input_init(&c, sizeof c);
        c.count = c.time_count = times.size();
        c.x = x.data();
        c.x_elements = x.size();
        c.times = times.data();
        c.labels = labels.empty() ? nullptr : labels.data();
        c.label_count = labels.size();
        c.condition_image = given.image.empty() ? nullptr : given.image.data();
        c.condition_image_elements = given.image.size();
        c.condition_vector = given.vector.empty() ? nullptr : given.vector.data();
        c.condition_vector_elements = given.vector.size();
        return c;
    }
    result<void> save_file(const dm_schedule *with, zstring path, std::int32_t as) const noexcept {
        return invoke([&](dm_unet *u) { return dm_unet_save_as(u, with, path.c_str(), as); });
    }
    result<void> save_folder(zstring folder, const schedule &with,
                             const dm_sampler_options *sampler, std::int32_t as) const noexcept {
        return invoke([&](dm_unet *u) {
            return dm_unet_save_diffusers(u, with.get(), sampler, folder.c_str(), as);
        });
    }
    [[nodiscard]] result<std::vector<std::uint8_t>> save_bytes(const dm_schedule *with,
                                                               std::int32_t as) const noexcept {
        return detail::saved_bytes(
            [&](std::uint8_t *bytes, std::size_t capacity, std::size_t *size) {
                return invoke([&](dm_unet *u) {
                    return dm_unet_save_memory_as(u, with, bytes, capacity, size, as);
                });
            });
    }
};

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
