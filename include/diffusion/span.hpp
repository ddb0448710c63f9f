// SPDX-License-Identifier: MIT
// Views of memory: span (C++17 has none) and zstring. Neither owns what it points to.
#ifndef DIFFUSION_SPAN_HPP
#define DIFFUSION_SPAN_HPP

#include <array>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define DIFFUSION_EXCEPTIONS 1
#define DIFFUSION_ABI with_exceptions
#else
#define DIFFUSION_EXCEPTIONS 0
#define DIFFUSION_ABI without_exceptions
#endif

namespace diffusion {
// Units compiled with and without exceptions can be linked together: their names differ.
inline namespace DIFFUSION_ABI {

/// `size` elements from `data`. Made implicitly from std::vector, std::array and C arrays; the
/// elements must live as long as the span is used. span<const T> is also made from span<T>.
template <class T> class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    template <class U, std::size_t N,
              class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    constexpr span(std::array<U, N> &array) noexcept : data_(array.data()), size_(N) {}
    template <class U, std::size_t N,
              class = std::enable_if_t<std::is_convertible_v<const U (*)[], T (*)[]>>>
    constexpr span(const std::array<U, N> &array) noexcept : data_(array.data()), size_(N) {}
    template <class U, class A, class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    span(std::vector<U, A> &vector) noexcept : data_(vector.data()), size_(vector.size()) {}
    template <class U, class A,
              class = std::enable_if_t<std::is_convertible_v<const U (*)[], T (*)[]>>>
    span(const std::vector<U, A> &vector) noexcept : data_(vector.data()), size_(vector.size()) {}
    template <class U, class = std::enable_if_t<std::is_convertible_v<U (*)[], T (*)[]>>>
    constexpr span(span<U> other) noexcept : data_(other.data()), size_(other.size()) {}

    [[nodiscard]] constexpr T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] constexpr T *begin() const noexcept { return data_; }
    [[nodiscard]] constexpr T *end() const noexcept { return data_ + size_; }
    /// Element `index`, which must be below size().
    constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/// A string that ends with 0, made implicitly from const char * and std::string. It must live until
/// the function that takes it returns.
class zstring {
public:
    zstring(const char *text) noexcept : text_(text) {}
    zstring(const std::string &text) noexcept : text_(text.c_str()) {}
    [[nodiscard]] const char *c_str() const noexcept { return text_; }

private:
    const char *text_;
};

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
