// SPDX-License-Identifier: MIT
// The context, names at run time, and options by name.
#ifndef DIFFUSION_CONTEXT_HPP
#define DIFFUSION_CONTEXT_HPP

#include <diffusion/options.hpp>

#include <atomic>
#include <thread>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

/// Runs a caller's parallel_for. Each index runs once, whatever the function does.
class parallel_run {
public:
    parallel_run(std::int32_t count, void (*body)(void *, std::int32_t), void *data) noexcept
        : count_(count), body_(body), data_(data) {}

    void one(std::int32_t index) noexcept {
        if (index < 0 || index >= count_ || index >= most || begun_[index].exchange(true)) return;
        body_(data_, index);
        ended_.fetch_add(1);
    }

    void rest() noexcept {
        for (std::int32_t i = 0; i < count_ && i < most; i++) one(i);
        while (ended_.load() < count_) std::this_thread::yield();
    }

private:
    static constexpr std::int32_t most = 256; /* threads of a context */
    std::int32_t count_;
    void (*body_)(void *, std::int32_t);
    void *data_;
    std::atomic<bool> begun_[most] = {};
    std::atomic<std::int32_t> ended_{0};
};

inline context_state &state_at(void *user) noexcept { return *static_cast<context_state *>(user); }

/// Calls f and returns false if it throws; that is kept for the end of the library's call.
template <class F> bool contain(context_state &state, F &&f) noexcept {
#if DIFFUSION_EXCEPTIONS
    try {
        f();
        return true;
    } catch (...) {
        state.keep(std::current_exception());
        return false;
    }
#else
    static_cast<void>(state);
    f();
    return true;
#endif
}

inline void on_log(void *user, dm_log_level level, const char *message) noexcept {
    contain(state_at(user), [&] { state_at(user).log(level, message); });
}

inline void *on_allocate(void *user, std::size_t size) noexcept {
#if DIFFUSION_EXCEPTIONS
    try {
        return state_at(user).allocate(size);
    } catch (...) {
        return nullptr;
    }
#else
    return state_at(user).allocate(size);
#endif
}

inline void on_release(void *user, void *pointer, std::size_t size) noexcept {
#if DIFFUSION_EXCEPTIONS
    try {
        state_at(user).release(pointer, size);
    } catch (...) { /* there is no way to report it */
    }
#else
    state_at(user).release(pointer, size);
#endif
}

inline void on_parallel(void *user, std::int32_t count, void (*body)(void *, std::int32_t),
                        void *data) noexcept {
    parallel_run run(count, body, data);
    contain(state_at(user), [&] {
        state_at(user).parallel_for(count, [&run](std::int32_t index) { run.one(index); });
    });
    run.rest();
}

} // namespace detail

/// Bytes in use, the largest number so far, and the number of allocations so far.
struct memory {
    std::uint64_t used, peak, allocations;
};

/// Memory, threads and error text; every other object is created in a context. Objects keep their
/// context: it ends with the last of them. Calls on one context and its objects must not overlap;
/// one that does fails with status::wrong_state.
class context {
public:
    /// Starts threads - 1 threads unless parallel_for is given.
    static result<context> try_create(context_options options = {}) noexcept {
        return detail::guard([&]() -> result<context> {
            auto state = std::make_shared<detail::context_state>();
            dm_context_options &c = options.c();
            c.allocate = options.allocate ? detail::on_allocate : nullptr;
            c.release = options.release ? detail::on_release : nullptr;
            c.log = options.log ? detail::on_log : nullptr;
            c.parallel_for = options.parallel_for ? detail::on_parallel : nullptr;
            c.allocator_user = c.log_user = c.parallel_user = state.get();
            state->log = std::move(options.log);
            state->allocate = std::move(options.allocate);
            state->release = std::move(options.release);
            state->parallel_for = std::move(options.parallel_for);
            char text[1024] = "";
            bool overlapping = state->enter();
            dm_status value = dm_context_create(&state->handle, &c, text, sizeof text);
            result<void> thrown = state->leave(DM_OK, overlapping);
            if (value != DM_OK) return failure(static_cast<status>(value), text);
            if (!thrown) return thrown.error();
            return context(std::move(state));
        });
    }

    /// False for a context that was moved from.
    explicit operator bool() const noexcept { return state_ != nullptr; }
    /// The C object, which stays owned by this one; null after a move.
    [[nodiscard]] dm_context *get() const noexcept { return state_ ? state_->handle : nullptr; }
    /// Internal.
    [[nodiscard]] const detail::shared_state &shared() const noexcept { return state_; }
    /// Threads that compute, the caller's included.
    [[nodiscard]] std::int32_t threads() const noexcept { return dm_context_threads(get()); }
    /// May be called at any time from any thread.
    [[nodiscard]] result<memory> try_get_memory() const noexcept {
        memory m = {};
        dm_status value = dm_context_get_memory(get(), &m.used, &m.peak, &m.allocations);
        if (value != DM_OK) return failure(static_cast<status>(value));
        return m;
    }

    /// The profile of a context made with `profile`, in order of first use.
    [[nodiscard]] result<std::vector<profile_row>> try_get_profile_rows() const noexcept {
        return detail::guard([&]() -> result<std::vector<profile_row>> {
            std::int32_t rows = 0;
            result<void> done = invoke([&] { return dm_context_get_profile_rows(get(), &rows); });
            if (!done) return done.error();
            std::vector<profile_row> all(static_cast<std::size_t>(rows));
            done = invoke([&] {
                dm_status value = DM_OK;
                for (std::int32_t i = 0; i < rows && value == DM_OK; i++)
                    value = dm_context_get_profile_row(get(), i, &all[static_cast<std::size_t>(i)]);
                return value;
            });
            return detail::with(done, std::move(all));
        });
    }
    result<void> try_profile_reset() noexcept {
        return invoke([&] { return dm_context_profile_reset(get()); });
    }

    /// Sets a member of an options struct from text, as in try_set_option(o, "solver", "ddim"): a
    /// number, the name of an enumeration's value, or a comma-separated list.
    template <class Options>
    result<void> try_set_option(Options &options, zstring member, zstring value) noexcept {
        return invoke([&] {
            return dm_options_set(get(), Options::struct_name, &options.c(), member.c_str(),
                                  value.c_str());
        });
    }
    /// The member as text that set_option accepts.
    template <class Options>
    result<std::string> try_get_option(const Options &options, zstring member) noexcept {
        return detail::guard([&]() -> result<std::string> {
            std::string text;
            std::size_t size = 256;
            result<void> done;
            do {
                text.resize(size);
                done = invoke([&] {
                    return dm_options_get(get(), Options::struct_name, &options.c(), member.c_str(),
                                          text.data(), text.size(), &size);
                });
            } while (done && size > text.size());
            if (done) text.resize(size - 1);
            return detail::with(done, std::move(text));
        });
    }

#if DIFFUSION_EXCEPTIONS
    static context create(context_options options = {}) {
        return try_create(std::move(options)).value();
    }
    [[nodiscard]] memory get_memory() const { return try_get_memory().value(); }
    [[nodiscard]] std::vector<profile_row> get_profile_rows() const {
        return try_get_profile_rows().value();
    }
    void profile_reset() { try_profile_reset().value(); }
    template <class Options> void set_option(Options &options, zstring member, zstring value) {
        try_set_option(options, member, value).value();
    }
    template <class Options> std::string get_option(const Options &options, zstring member) {
        return try_get_option(options, member).value();
    }
#endif

private:
    explicit context(detail::shared_state state) noexcept : state_(std::move(state)) {}
    template <class F> result<void> invoke(F &&f) const noexcept {
        return detail::call(state_, std::forward<F>(f));
    }

    detail::shared_state state_;
};

/* ---- version, structs and enumerations by name; all have static storage ---- */

/// The linked library's version: MAJOR * 1000000 + MINOR * 1000 + PATCH.
inline std::uint32_t version() noexcept { return dm_version(); }
inline const char *version_string() noexcept { return dm_version_string(); }
/// One line for bug reports.
inline const char *build_info() noexcept { return dm_build_info(); }
/// Whether this build has, and this processor supports, "blas", "openblas", "blis", "avx2",
/// "avx512", "neon" or "bf16".
inline bool feature(zstring name) noexcept { return dm_feature(name.c_str()) != 0; }

inline std::int32_t struct_count() noexcept { return dm_struct_count(); }
/// Null past the end.
inline const char *struct_name(std::int32_t index) noexcept { return dm_struct_name(index); }
/// 0 for an unknown name.
inline std::size_t struct_size(zstring name) noexcept { return dm_struct_size(name.c_str()); }
/// Member `index` of a struct; status::not_found past the last one or for an unknown name.
inline result<member_info> try_struct_member(zstring name, std::int32_t index) noexcept {
    member_info info;
    dm_status value = dm_struct_member(name.c_str(), index, &info);
    if (value != DM_OK) return failure(static_cast<status>(value));
    return info;
}
inline std::int32_t enum_type_count() noexcept { return dm_enum_type_count(); }
/// "dm_solver"; null past the end.
inline const char *enum_type_name(std::int32_t index) noexcept { return dm_enum_type_name(index); }
/// 0 for an unknown name.
inline std::int32_t enum_count(zstring name) noexcept { return dm_enum_count(name.c_str()); }
/// Value `index` of an enumeration.
inline result<std::int32_t> try_enum_item(zstring name, std::int32_t index) noexcept {
    std::int32_t item = 0;
    dm_status value = dm_enum_item(name.c_str(), index, &item);
    if (value != DM_OK) return failure(static_cast<status>(value));
    return item;
}
/// "ddim" for ("dm_solver", solver::ddim); null if there is no such value.
inline const char *enum_name(zstring name, std::int32_t value) noexcept {
    return dm_enum_name(name.c_str(), value);
}
/// One line about a value; null if there is no such value.
inline const char *enum_help(zstring name, std::int32_t value) noexcept {
    return dm_enum_help(name.c_str(), value);
}
/// The reverse of enum_name.
inline result<std::int32_t> try_enum_value(zstring name, zstring text) noexcept {
    std::int32_t item = 0;
    dm_status value = dm_enum_value(name.c_str(), text.c_str(), &item);
    if (value != DM_OK) return failure(static_cast<status>(value));
    return item;
}
#if DIFFUSION_EXCEPTIONS
inline member_info struct_member(zstring name, std::int32_t index) {
    return try_struct_member(name, index).value();
}
inline std::int32_t enum_item(zstring name, std::int32_t index) {
    return try_enum_item(name, index).value();
}
inline std::int32_t enum_value(zstring name, zstring text) {
    return try_enum_value(name, text).value();
}
#endif

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
