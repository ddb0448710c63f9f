// SPDX-License-Identifier: MIT
// Training.
#ifndef DIFFUSION_TRAINER_HPP
#define DIFFUSION_TRAINER_HPP

#include <diffusion/unet.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

using trainer_node = object<dm_trainer, dm_trainer_destroy>;
using train_closure = closure<callback<const train_stats &>>;

inline std::int32_t on_train(void *user, const dm_train_stats *c) noexcept {
    auto &self = *static_cast<train_closure *>(user);
    train_stats stats;
    copy_struct(stats.c(), *c);
    return self.function.run(*self.state, stats);
}

} // namespace detail

/// Trains a network on a dataset with AdamW and keeps EMAs of the weights. Keeps both alive.
class trainer : public detail::handle<detail::trainer_node> {
public:
    using handle::handle;
    using progress_callback = callback<const train_stats &>;

    /// Trains `network` in place; it has one trainer at a time, and none while it is shared
    /// (status::wrong_state). The dataset is of the network's context; without one, only
    /// step_batch trains.
    static result<trainer> try_create(const unet &network, const schedule &noise,
                                      const dataset &images,
                                      const trainer_options &options = {}) noexcept {
        return make_with(network, images, [&](dm_trainer **out) {
            return dm_trainer_create(out, network.get(), noise.get(), images.get(), &options);
        });
    }
    static result<trainer> try_create(const unet &network, const schedule &noise,
                                      const trainer_options &options = {}) noexcept {
        return make(network, nullptr, [&](dm_trainer **out) {
            return dm_trainer_create(out, network.get(), noise.get(), nullptr, &options);
        });
    }
    /// Continues from a file of save, or from its bytes, bit for bit as if training had never
    /// stopped. `network` must have the file's options, as unet::load gives, and receives its
    /// weights.
    static result<trainer> try_resume(const unet &network, const dataset &images,
                                      zstring path) noexcept {
        return make_with(network, images, [&](dm_trainer **out) {
            return dm_trainer_resume(out, network.get(), images.get(), path.c_str());
        });
    }
    static result<trainer> try_resume(const unet &network, zstring path) noexcept {
        return make(network, nullptr, [&](dm_trainer **out) {
            return dm_trainer_resume(out, network.get(), nullptr, path.c_str());
        });
    }
    static result<trainer> try_resume_memory(const unet &network, const dataset &images,
                                             span<const std::uint8_t> bytes) noexcept {
        return make_with(network, images, [&](dm_trainer **out) {
            return dm_trainer_resume_memory(out, network.get(), images.get(), bytes.data(),
                                            bytes.size());
        });
    }
    static result<trainer> try_resume_memory(const unet &network,
                                             span<const std::uint8_t> bytes) noexcept {
        return make(network, nullptr, [&](dm_trainer **out) {
            return dm_trainer_resume_memory(out, network.get(), nullptr, bytes.data(),
                                            bytes.size());
        });
    }

    /// Continues from a file of save with other options, and perhaps other data: the next step is
    /// taken with `options`, at the file's step and position in the data. distill_steps must stay.
    static result<trainer> try_resume_changed(const unet &network, const dataset &images,
                                              zstring path,
                                              const trainer_options &options) noexcept {
        return make_with(network, images, [&](dm_trainer **out) {
            return dm_trainer_resume_changed(out, network.get(), images.get(), path.c_str(),
                                             &options);
        });
    }
    static result<trainer> try_resume_changed(const unet &network, zstring path,
                                              const trainer_options &options) noexcept {
        return make(network, nullptr, [&](dm_trainer **out) {
            return dm_trainer_resume_changed(out, network.get(), nullptr, path.c_str(), &options);
        });
    }
    /// How far the training of a file of save or unet::save has come.
    static result<checkpoint_info> try_load_info(const context &in, zstring path) noexcept {
        checkpoint_info info;
        result<void> done = detail::call(in.shared(), [&] {
            return dm_checkpoint_load_info(in.get(), path.c_str(), nullptr, &info);
        });
        return detail::with(done, std::move(info));
    }
    /// The options of a file of save.
    static result<trainer_options> try_load_options(const context &in, zstring path) noexcept {
        trainer_options options;
        result<void> done = detail::call(in.shared(), [&] {
            return dm_checkpoint_load_info(in.get(), path.c_str(), &options, nullptr);
        });
        return detail::with(done, std::move(options));
    }

    [[nodiscard]] result<trainer_options> try_get_options() const noexcept {
        trainer_options o;
        result<void> done = invoke([&](dm_trainer *t) {
            return dm_trainer_get_options(t, &o, sizeof(trainer_options::c_type));
        });
        return detail::with(done, std::move(o));
    }
    /// One step on the dataset's next images. status::not_finite: the step counts, but weights,
    /// EMAs and moments stay as they were.
    result<train_stats> try_step() noexcept {
        train_stats stats;
        result<void> done = invoke([&](dm_trainer *t) { return dm_trainer_step(t, &stats); });
        return detail::with(done, std::move(stats));
    }
    /// One step on images of yours.
    result<train_stats> try_step_batch(const train_batch &batch) noexcept {
        train_stats stats;
        dm_train_batch c = batch.c();
        c.images = batch.images.data();
        c.elements = batch.images.size();
        c.noise = batch.noise.empty() ? nullptr : batch.noise.data();
        c.labels = batch.labels.empty() ? nullptr : batch.labels.data();
        c.label_count = batch.labels.size();
        c.timesteps = batch.timesteps.empty() ? nullptr : batch.timesteps.data();
        c.timestep_count = batch.timesteps.size();
        c.condition_image = batch.condition_image.empty() ? nullptr : batch.condition_image.data();
        c.condition_image_elements = batch.condition_image.size();
        c.condition_vector =
            batch.condition_vector.empty() ? nullptr : batch.condition_vector.data();
        c.condition_vector_elements = batch.condition_vector.size();
        if (c.noise && batch.noise.size() != batch.images.size())
            return failure(status::shape_mismatch,
                           "trainer: 'noise' must have the size of 'images'");
        result<void> done =
            invoke([&](dm_trainer *t) { return dm_trainer_step_batch(t, &c, &stats); });
        return detail::with(done, std::move(stats));
    }
    /// Trains until `steps` steps are done, counted from the trainer's first. `progress` is called
    /// after every step.
    result<void> try_run(std::uint64_t steps, progress_callback progress = {}) noexcept {
        detail::train_closure user{detail::state_of(*this).get(), std::move(progress)};
        dm_train_callback function = user.function ? detail::on_train : nullptr;
        return invoke([&](dm_trainer *t) { return dm_trainer_run(t, steps, function, &user); });
    }
    /// Steps done.
    [[nodiscard]] result<std::uint64_t> try_get_step() const noexcept {
        std::uint64_t step = 0;
        result<void> done = invoke([&](dm_trainer *t) { return dm_trainer_get_step(t, &step); });
        return detail::with(done, std::move(step));
    }
    /// Replaces learning_rate, before warm-up and schedule.
    result<void> try_set_learning_rate(double rate) noexcept {
        return invoke([&](dm_trainer *t) { return dm_trainer_set_learning_rate(t, rate); });
    }
    /// Progressive distillation with `distill_steps` above 0: the teacher whose DDIM steps the
    /// network learns to take two at a time. Once, before the first step. It is of the trainer's
    /// context, is only read, and is kept by the trainer.
    result<void> try_set_teacher(const unet &teacher) noexcept {
        return invoke([&](dm_trainer *t) { return dm_trainer_set_teacher(t, teacher.get()); });
    }
    /// Copies EMA `index`, 0 to 3, to a network with the same options that this trainer does not
    /// train. status::wrong_state if that EMA is not kept.
    result<void> try_get_ema(std::int32_t index, unet &target) const noexcept {
        return invoke([&](dm_trainer *t) { return dm_trainer_get_ema(t, index, target.get()); });
    }
    /// Writes everything to one safetensors file, which resume, unet::load and schedule::load read.
    result<void> try_save(zstring path) const noexcept {
        return invoke([&](dm_trainer *t) { return dm_trainer_save(t, path.c_str()); });
    }
    [[nodiscard]] result<std::vector<std::uint8_t>> try_save_memory() const noexcept {
        return detail::saved_bytes(
            [&](std::uint8_t *bytes, std::size_t capacity, std::size_t *size) {
                return invoke([&](dm_trainer *t) {
                    return dm_trainer_save_memory(t, bytes, capacity, size);
                });
            });
    }
    /// Stops the run in progress after its current step with status::cancelled; if none is, the
    /// next call that would do a step fails so. From any thread and from signal handlers.
    void cancel() noexcept { dm_trainer_cancel(get()); }

#if DIFFUSION_EXCEPTIONS
    static trainer create(const unet &network, const schedule &noise, const dataset &images,
                          const trainer_options &options = {}) {
        return try_create(network, noise, images, options).value();
    }
    static trainer create(const unet &network, const schedule &noise,
                          const trainer_options &options = {}) {
        return try_create(network, noise, options).value();
    }
    static trainer resume(const unet &network, const dataset &images, zstring path) {
        return try_resume(network, images, path).value();
    }
    static trainer resume(const unet &network, zstring path) {
        return try_resume(network, path).value();
    }
    static trainer resume_memory(const unet &network, const dataset &images,
                                 span<const std::uint8_t> bytes) {
        return try_resume_memory(network, images, bytes).value();
    }
    static trainer resume_memory(const unet &network, span<const std::uint8_t> bytes) {
        return try_resume_memory(network, bytes).value();
    }
    static trainer resume_changed(const unet &network, const dataset &images, zstring path,
                                  const trainer_options &options) {
        return try_resume_changed(network, images, path, options).value();
    }
    static trainer resume_changed(const unet &network, zstring path,
                                  const trainer_options &options) {
        return try_resume_changed(network, path, options).value();
    }
    [[nodiscard]] static checkpoint_info load_info(const context &in, zstring path) {
        return try_load_info(in, path).value();
    }
    [[nodiscard]] static trainer_options load_options(const context &in, zstring path) {
        return try_load_options(in, path).value();
    }
    [[nodiscard]] trainer_options get_options() const { return try_get_options().value(); }
    train_stats step() { return try_step().value(); }
    train_stats step_batch(const train_batch &batch) { return try_step_batch(batch).value(); }
    void run(std::uint64_t steps, progress_callback progress = {}) {
        try_run(steps, std::move(progress)).value();
    }
    [[nodiscard]] std::uint64_t get_step() const { return try_get_step().value(); }
    void set_learning_rate(double rate) { try_set_learning_rate(rate).value(); }
    void set_teacher(const unet &teacher) { try_set_teacher(teacher).value(); }
    void get_ema(std::int32_t index, unet &target) const { try_get_ema(index, target).value(); }
    void save(zstring path) const { try_save(path).value(); }
    [[nodiscard]] std::vector<std::uint8_t> save_memory() const {
        return try_save_memory().value();
    }
#endif

private:
    template <class F>
    static result<trainer> make_with(const unet &network, const dataset &images,
                                     F &&create) noexcept {
        if (!images) return failure(status::invalid_argument, "the object was moved from");
        return make(network, images.shared(), std::forward<F>(create));
    }
    template <class F>
    static result<trainer> make(const unet &network, std::shared_ptr<void> images,
                                F &&create) noexcept {
        return detail::make<trainer, detail::trainer_node>(detail::state_of(network), create,
                                                           nullptr, network.shared(),
                                                           std::move(images));
    }
};

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
