// SPDX-License-Identifier: MIT
// Internal: lifetime of the C objects, calls, and error text. Nothing here is for direct use,
// except that every object has what `handle` has.
//
// An object is a node that holds the C handle, the nodes it was made from, and its context's state.
// A C object may only be destroyed while no call is in progress in its context. A node whose owner
// lets go of it during a call (in a callback, or in another thread) is put aside and destroyed when
// that call ends.
#ifndef DIFFUSION_STATE_HPP
#define DIFFUSION_STATE_HPP

#include <diffusion/result.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

class context_state;

class node {
public:
    explicit node(std::shared_ptr<context_state> state) noexcept : context(std::move(state)) {}
    node(const node &) = delete;
    node &operator=(const node &) = delete;
    virtual ~node() = default;
    /// Destroys the C object. Runs while no call is in progress in the context.
    virtual void close() noexcept = 0;

    std::shared_ptr<context_state> context;
    node *next = nullptr;
};

/// What all objects of one context share: its handle, its closures, and the calls in progress.
class context_state {
public:
    context_state() = default;
    context_state(const context_state &) = delete;
    context_state &operator=(const context_state &) = delete;
    ~context_state() { dm_context_destroy(handle); }

    /// Begins a call; true if another one is in progress.
    bool enter() noexcept {
        std::lock_guard<std::recursive_mutex> lock(mutex_);
        return calls_++ > 0;
    }

    /// Ends a call that returned `value` and tells its outcome. What a callback threw is part of
    /// it.
    result<void> leave(dm_status value, bool overlapping) noexcept {
        result<void> outcome;
        if (value == DM_ERROR_WRONG_STATE && overlapping)
            outcome = failure(status::wrong_state, "another call in this context is in progress");
        else if (value != DM_OK) outcome = describe(value);
        std::exception_ptr thrown;
        {
            std::lock_guard<std::recursive_mutex> lock(mutex_);
            calls_--;
            if (calls_ == 0 || value == DM_ERROR_CALLBACK_FAILED) thrown.swap(thrown_);
        }
        if (thrown && value == DM_ERROR_CALLBACK_FAILED)
            outcome = failure(status::callback_failed, outcome.error().what(), thrown);
        else if (thrown) /* by a callback that could not stop the call */
            outcome = thrown_failure(thrown);
        drain();
        return outcome;
    }

    /// Keeps what a callback threw until the call ends.
    void keep(std::exception_ptr thrown) noexcept {
        std::lock_guard<std::recursive_mutex> lock(mutex_);
        if (!thrown_) thrown_.swap(thrown);
    }

    /// Makes the running callback's failure known to the library.
    void fail(const failure &reason) noexcept {
        dm_callback_fail(handle, reason.what());
        if (reason.thrown()) keep(reason.thrown());
    }

    /// Destroys a node now, or when the last call in progress ends.
    void retire(node *gone) noexcept {
        {
            std::lock_guard<std::recursive_mutex> lock(mutex_);
            gone->next = retired_;
            retired_ = gone;
        }
        drain();
    }

    static failure thrown_failure(const std::exception_ptr &thrown) noexcept {
#if DIFFUSION_EXCEPTIONS
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception &known) {
            return failure(status::callback_failed, known.what(), thrown);
        } catch (...) {
            return failure(status::callback_failed, "unknown exception", thrown);
        }
#else
        return failure(status::callback_failed, nullptr, thrown);
#endif
    }

    /// The context's text for a call that just failed.
    [[nodiscard]] failure describe(dm_status value) const noexcept {
        char text[1024];
        std::size_t size = 0;
        if (dm_context_error_copy(handle, text, sizeof text, &size) != DM_OK)
            return failure(static_cast<status>(value));
        if (size <= sizeof text) return failure(static_cast<status>(value), text);
        std::unique_ptr<char[]> all(new (std::nothrow) char[size]);
        if (all && dm_context_error_copy(handle, all.get(), size, nullptr) == DM_OK)
            return failure(static_cast<status>(value), all.get());
        return failure(static_cast<status>(value), text);
    }

    dm_context *handle = nullptr;
    std::function<void(std::int32_t, const char *)> log;
    std::function<void *(std::size_t)> allocate;
    std::function<void(void *, std::size_t)> release;
    std::function<void(std::int32_t, const std::function<void(std::int32_t)> &)> parallel_for;

private:
    void drain() noexcept {
        for (;;) {
            node *gone;
            {
                std::lock_guard<std::recursive_mutex> lock(mutex_);
                if (calls_ > 0 || !retired_) return;
                gone = retired_;
                retired_ = gone->next;
                calls_++;
                gone->close();
                calls_--;
                thrown_ = nullptr; /* by the log: nobody is there to receive it */
            }
            delete gone;
        }
    }

    std::recursive_mutex mutex_;
    int calls_ = 0;
    node *retired_ = nullptr;
    std::exception_ptr thrown_;
};

using shared_state = std::shared_ptr<context_state>;

/// Makes one call of the library in a context.
template <class F> result<void> call(const shared_state &state, F &&f) noexcept {
    if (!state) return failure(status::invalid_argument, "the object was moved from");
    shared_state kept = state; /* a callback may drop the object that `state` is part of */
    bool overlapping = kept->enter();
    return kept->leave(f(), overlapping);
}

/// A node with the C object of type C.
template <class C, void (*Destroy)(C *)> class object final : public node {
public:
    using c_type = C;
    using node::node;
    void close() noexcept override { Destroy(handle); }

    C *handle = nullptr;
    std::shared_ptr<void> closure;      /* what callbacks of the object refer to */
    std::shared_ptr<void> parents[3];   /* what it was made from */
    std::atomic<std::uint64_t> held{0}; /* of a sampler: number of its held runs so far */
};

inline void retire(node *gone) noexcept {
    shared_state kept = gone->context;
    kept->retire(gone);
}

/// What all objects have: they can be moved, not copied; one that was moved from is empty, and its
/// operations fail with status::invalid_argument.
template <class Node> class handle {
public:
    /// False for an object that was moved from.
    explicit operator bool() const noexcept { return node_ != nullptr; }
    /// The C object, which stays owned by this one; null after a move. Calls made with it are not
    /// seen by this binding: let no object of the context be destroyed during one.
    [[nodiscard]] typename Node::c_type *get() const noexcept {
        return node_ ? node_->handle : nullptr;
    }
    /// Internal.
    [[nodiscard]] const std::shared_ptr<Node> &shared() const noexcept { return node_; }

    /// Internal.
    explicit handle(std::shared_ptr<Node> made) noexcept : node_(std::move(made)) {}

protected:
    handle(handle &&) noexcept = default;
    handle &operator=(handle &&) noexcept = default;
    ~handle() = default;

    /// Calls f(the C object).
    template <class F> result<void> invoke(F &&f) const noexcept {
        if (!node_) return call(nullptr, [] { return DM_OK; });
        std::shared_ptr<Node> kept = node_;
        return call(kept->context, [&] { return f(kept->handle); });
    }

    std::shared_ptr<Node> node_;
};

template <class H> const shared_state &state_of(const H &from) noexcept {
    static const shared_state none;
    return from ? from.shared()->context : none;
}

/// Makes an H, whose node is of type Node, with create(&the C object); it keeps alive what it was
/// made from.
template <class H, class Node, class F>
result<H> make(const shared_state &state, F &&create, std::shared_ptr<void> closure,
               std::shared_ptr<void> a = nullptr, std::shared_ptr<void> b = nullptr,
               std::shared_ptr<void> c = nullptr) noexcept {
    return guard([&]() -> result<H> {
        if (!state) return failure(status::invalid_argument, "the object was moved from");
        std::shared_ptr<Node> made(new Node(state), retire);
        made->closure = std::move(closure);
        made->parents[0] = std::move(a);
        made->parents[1] = std::move(b);
        made->parents[2] = std::move(c);
        result<void> outcome = call(state, [&] { return create(&made->handle); });
        if (!outcome) return outcome.error();
        return H(std::move(made));
    });
}

/// The outcome of `done`, with `value` if it is good.
template <class T> result<T> with(const result<void> &done, T &&value) noexcept {
    if (!done) return done.error();
    return result<T>(std::forward<T>(value));
}

} // namespace detail
} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
