// SPDX-License-Identifier: MIT
// Callbacks as function objects.
#ifndef DIFFUSION_CALLBACK_HPP
#define DIFFUSION_CALLBACK_HPP

#include <diffusion/state.hpp>

#include <cstring>

namespace diffusion {
inline namespace DIFFUSION_ABI {

/// What the library does after a callback. To stop is to cancel: the call fails with
/// status::cancelled, or status::callback_failed where the callback was to deliver something.
enum class action { proceed, stop };

/// A function object that the library calls with A..., on the thread that called the library. It
/// returns void, an action, or a result<void>. A failure or an exception in it stops the work; the
/// call then returns status::callback_failed with the text in it (try_ forms), or throws that
/// exception again. Nothing of the callback's own context may be called in it but cancel, options
/// by name, image functions and memory; all else fails with status::wrong_state. Pointers and spans
/// that it receives are valid until it returns.
template <class... A> class callback {
public:
    callback() noexcept = default;
    callback(std::nullptr_t) noexcept {}
    template <class F, class = std::enable_if_t<std::is_invocable_v<F &, A...> &&
                                                !std::is_same_v<std::decay_t<F>, callback>>>
    callback(F function) {
        if constexpr (std::is_pointer_v<F>)
            if (!function) return;
        function_ = adapt(std::move(function));
    }

    explicit operator bool() const noexcept { return static_cast<bool>(function_); }

    /// Internal: 0, or 1 to stop. Lets nothing through.
    std::int32_t run(detail::context_state &state, A... arguments) const noexcept {
        result<action> next = invoke(std::forward<A>(arguments)...);
        if (next) return *next == action::stop;
        state.fail(next.error());
        return 1;
    }

private:
    template <class F> static std::function<result<action>(A...)> adapt(F function) {
        return [f = std::move(function)](A... a) mutable -> result<action> {
            using R = std::invoke_result_t<F &, A...>;
            static_assert(std::is_void_v<R> || std::is_same_v<R, action> ||
                              std::is_same_v<R, result<void>>,
                          "a callback returns void, diffusion::action or diffusion::result<void>");
            if constexpr (std::is_void_v<R>) {
                f(std::forward<A>(a)...);
                return action::proceed;
            } else if constexpr (std::is_same_v<R, action>) {
                return f(std::forward<A>(a)...);
            } else {
                R outcome = f(std::forward<A>(a)...);
                if (!outcome) return outcome.error();
                return action::proceed;
            }
        };
    }

    result<action> invoke(A... arguments) const noexcept {
#if DIFFUSION_EXCEPTIONS
        try {
            return function_(std::forward<A>(arguments)...);
        } catch (...) {
            return detail::context_state::thrown_failure(std::current_exception());
        }
#else
        return function_(std::forward<A>(arguments)...);
#endif
    }

    std::function<result<action>(A...)> function_;
};

namespace detail {

/// A callback with the context that it runs in: what the library gets as `user`.
template <class Callback> struct closure {
    context_state *state = nullptr;
    Callback function;
};

/// Copies a struct that the library gave, which may be of an older version and shorter.
template <class C> void copy_struct(C &to, const C &from) noexcept {
    std::uint32_t size = to.struct_size;
    std::memcpy(&to, &from, from.struct_size < sizeof(C) ? from.struct_size : sizeof(C));
    to.struct_size = size;
}

} // namespace detail
} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
