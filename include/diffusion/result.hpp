// SPDX-License-Identifier: MIT
// How operations report failure: status, failure, result<T>, and the exception `error`.
//
// Every operation exists as try_x, which is noexcept and returns a result, and as x, which returns
// the value or throws. With -fno-exceptions only the try_ forms exist.
#ifndef DIFFUSION_RESULT_HPP
#define DIFFUSION_RESULT_HPP

#include <diffusion.h>
#include <diffusion/span.hpp>

#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace diffusion {
inline namespace DIFFUSION_ABI {

/// The library's dm_status.
enum class status : dm_status {
    ok = DM_OK,
    invalid_argument = DM_ERROR_INVALID_ARGUMENT,
    out_of_memory = DM_ERROR_OUT_OF_MEMORY,
    limit_exceeded = DM_ERROR_LIMIT_EXCEEDED,
    io = DM_ERROR_IO,
    bad_format = DM_ERROR_BAD_FORMAT,
    unsupported_version = DM_ERROR_UNSUPPORTED_VERSION,
    checksum = DM_ERROR_CHECKSUM,
    shape_mismatch = DM_ERROR_SHAPE_MISMATCH,
    not_found = DM_ERROR_NOT_FOUND,
    wrong_state = DM_ERROR_WRONG_STATE,
    unsupported = DM_ERROR_UNSUPPORTED,
    cancelled = DM_ERROR_CANCELLED,
    not_finite = DM_ERROR_NOT_FINITE,
    thread = DM_ERROR_THREAD,
    callback_failed = DM_ERROR_CALLBACK_FAILED,
    internal = DM_ERROR_INTERNAL
};

/// "DM_ERROR_IO" for status::io. Static storage.
[[nodiscard]] inline const char *status_name(status value) noexcept {
    return dm_status_name(static_cast<dm_status>(value));
}

/// "input or output failed" for status::io. Static storage.
[[nodiscard]] inline const char *status_message(status value) noexcept {
    return dm_status_message(static_cast<dm_status>(value));
}

/// Why an operation failed. Copies share the text.
class failure {
public:
    /// Without a text (or without memory for one), what() is the status's message.
    explicit failure(diffusion::status value) noexcept : status_(value) {}
    failure(diffusion::status value, const char *text) noexcept
        : status_(value), text_(share(text)) {}
    failure(diffusion::status value, const char *text, std::exception_ptr thrown) noexcept
        : status_(value), text_(share(text)), thrown_(std::move(thrown)) {}

    [[nodiscard]] diffusion::status status() const noexcept { return status_; }
    [[nodiscard]] const char *status_name() const noexcept {
        return diffusion::status_name(status_);
    }
    /// The reason, as the context's error text tells it. Valid as long as a copy of this lives.
    [[nodiscard]] const char *what() const noexcept {
        return text_ ? text_->c_str() : status_message(status_);
    }
    /// What a callback threw, or null.
    [[nodiscard]] const std::exception_ptr &thrown() const noexcept { return thrown_; }

private:
    static std::shared_ptr<const std::string> share(const char *text) noexcept {
        if (!text || !*text) return nullptr;
#if DIFFUSION_EXCEPTIONS
        try {
            return std::make_shared<const std::string>(text);
        } catch (...) {
            return nullptr;
        }
#else
        return std::make_shared<const std::string>(text);
#endif
    }

    diffusion::status status_;
    std::shared_ptr<const std::string> text_;
    std::exception_ptr thrown_;
};

/// Thrown by the operations without try_. what() is the context's error text.
class error : public std::runtime_error {
public:
    explicit error(const failure &reason)
        : std::runtime_error(reason.what()), status_(reason.status()) {}
    [[nodiscard]] diffusion::status status() const noexcept { return status_; }
    [[nodiscard]] const char *status_name() const noexcept {
        return diffusion::status_name(status_);
    }

private:
    diffusion::status status_;
};

namespace detail {

/// Throws what the callback threw, or else `error`. Without exceptions, ends the program.
[[noreturn]] inline void raise(const failure &reason) {
#if DIFFUSION_EXCEPTIONS
    if (reason.thrown()) std::rethrow_exception(reason.thrown());
    throw diffusion::error(reason);
#else
    static_cast<void>(reason);
    std::abort();
#endif
}

} // namespace detail

/// A value or a failure. value(), * and -> on a failure throw; with -fno-exceptions they end the
/// program, so test first. error() on a value ends the program likewise.
template <class T> class [[nodiscard]] result {
public:
    result(T value) noexcept(std::is_nothrow_move_constructible_v<T>)
        : content_(std::in_place_index<0>, std::move(value)) {}
    result(failure reason) noexcept : content_(std::in_place_index<1>, std::move(reason)) {}

    [[nodiscard]] bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] diffusion::status status() const noexcept {
        return has_value() ? diffusion::status::ok : error().status();
    }
    T &value() & { return *checked(); }
    const T &value() const & {
        if (const T *found = std::get_if<0>(&content_)) return *found;
        detail::raise(error());
    }
    T value() && { return std::move(*checked()); }
    T &operator*() & { return *checked(); }
    const T &operator*() const & { return value(); }
    T operator*() && { return std::move(*checked()); }
    T *operator->() { return checked(); }
    const T *operator->() const { return &value(); }
    [[nodiscard]] const failure &error() const noexcept {
        const failure *reason = std::get_if<1>(&content_);
        if (!reason) std::abort();
        return *reason;
    }

private:
    T *checked() {
        if (T *found = std::get_if<0>(&content_)) return found;
        detail::raise(error());
    }

    std::variant<T, failure> content_;
};

template <> class [[nodiscard]] result<void> {
public:
    result() noexcept = default;
    result(failure reason) noexcept : failure_(std::move(reason)) {}

    [[nodiscard]] bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] diffusion::status status() const noexcept {
        return failure_ ? failure_->status() : diffusion::status::ok;
    }
    void value() const {
        if (failure_) detail::raise(*failure_);
    }
    [[nodiscard]] const failure &error() const noexcept {
        if (!failure_) std::abort();
        return *failure_;
    }

private:
    std::optional<failure> failure_;
};

namespace detail {

/// Calls f, which returns a result, and turns what it throws into a failure.
template <class F> auto guard(F &&f) noexcept -> decltype(f()) {
#if DIFFUSION_EXCEPTIONS
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return failure(status::out_of_memory);
    } catch (const std::length_error &) {
        return failure(status::out_of_memory);
    } catch (const std::exception &thrown) {
        return failure(status::internal, thrown.what(), std::current_exception());
    } catch (...) {
        return failure(status::internal, "unknown exception", std::current_exception());
    }
#else
    return f();
#endif
}

} // namespace detail
} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
