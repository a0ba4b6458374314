// Element-wise loops with vector instructions (xsimd): the exponentials of softmax, GELU and SwiGLU. Where xsimd lacks the
// target, or with SKIPV1_NO_XSIMD defined, a vector is one number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#ifndef SKIPV1_NO_XSIMD
#include <xsimd/xsimd.hpp>
#endif

#include "skipv1/core/check.hpp"

namespace skipv1 {

namespace simd {
#if defined(SKIPV1_NO_XSIMD) || defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
template <class T>
struct Vector {
  static constexpr std::size_t size = 1;
  T lane;

  Vector() = default;
  Vector(T x) : lane(x) {}  // NOLINT: implicit, as xsimd's
  static Vector load_unaligned(const T* from) { return *from; }
  void store_unaligned(T* to) const { *to = lane; }
  Vector operator-() const { return -lane; }
  Vector& operator+=(Vector other) { return *this = lane + other.lane; }
  friend Vector operator+(Vector a, Vector b) { return a.lane + b.lane; }
  friend Vector operator-(Vector a, Vector b) { return a.lane - b.lane; }
  friend Vector operator*(Vector a, Vector b) { return a.lane * b.lane; }
  friend Vector operator/(Vector a, Vector b) { return a.lane / b.lane; }
  friend Vector max(Vector a, Vector b) { return std::max(a.lane, b.lane); }
  friend Vector exp(Vector x) { return std::exp(x.lane); }
  friend Vector fma(Vector a, Vector b, Vector c) { return a.lane * b.lane + c.lane; }
};
#else
template <class T>
using Vector = xsimd::batch<T>;
#endif
}  // namespace simd

namespace detail {

/// The first n numbers at `from`, fewer than a vector has; zeros behind them.
template <class T>
simd::Vector<T> load_some(const T* from, std::size_t n) {
  T lanes[simd::Vector<T>::size] = {};
  std::copy_n(from, n, lanes);
  return simd::Vector<T>::load_unaligned(lanes);
}
/// The first n of v, to `to`.
template <class T>
void store_some(simd::Vector<T> v, T* to, std::size_t n) {
  T lanes[simd::Vector<T>::size];
  v.store_unaligned(lanes);
  std::copy_n(lanes, n, to);
}

}  // namespace detail

/// `out[i] = f(in[i]…)` for `i < n`; `f` takes and returns vectors. `out` may be one of the inputs.
/// The tail goes through a padded batch, so that an element's result never depends on its place.
template <class T, class F>
void transform(std::size_t n, T* out, const F& f, const auto*... in) {
  using Vector = simd::Vector<T>;
  std::size_t i = 0;
  for (; i + Vector::size <= n; i += Vector::size) f(Vector::load_unaligned(in + i)...).store_unaligned(out + i);
  if (i < n) detail::store_some<T>(f(detail::load_some(in + i, n - i)...), out + i, n - i);
}

/// `first[i], second[i] = f(in[i]…)`, as `transform`: `f` returns a pair of vectors.
template <class T, class F>
void transform_to_two(std::size_t n, T* first, T* second, const F& f, const auto*... in) {
  using Vector = simd::Vector<T>;
  std::size_t i = 0;
  for (; i + Vector::size <= n; i += Vector::size) {
    const auto [a, b] = f(Vector::load_unaligned(in + i)...);
    a.store_unaligned(first + i), b.store_unaligned(second + i);
  }
  if (i == n) return;
  const auto [a, b] = f(detail::load_some(in + i, n - i)...);
  detail::store_some<T>(a, first + i, n - i), detail::store_some<T>(b, second + i, n - i);
}

/// `sum over i of f(in[i]…)`, each `in` as vectors; the order of the sum depends on `n` alone.
template <class T, class F>
T sum_of(std::size_t n, const F& f, const auto*... in) {
  using Vector = simd::Vector<T>;
  Vector lanes(T(0));
  std::size_t i = 0;
  for (; i + Vector::size <= n; i += Vector::size) lanes += f(Vector::load_unaligned(in + i)...);
  T each[Vector::size], sum(0);
  lanes.store_unaligned(each);  // (the name of xsimd's own reduction depends on its version)
  for (T lane : each) sum += lane;
  if (i < n) detail::store_some<T>(f(detail::load_some(in + i, n - i)...), each, n - i);
  for (std::size_t j = 0; j < n - i; ++j) sum += each[j];
  return sum;
}

/// The largest `scale x[i]`, i < n, n > 0. A NaN may go unseen.
template <class T>
T largest_of(std::size_t n, const T* x, T scale = T(1)) {
  using Vector = simd::Vector<T>;
  T most = scale * x[0];
  std::size_t i = 0;
  if (n >= Vector::size) {
    Vector lanes(most);
    for (; i + Vector::size <= n; i += Vector::size) lanes = max(lanes, Vector(scale) * Vector::load_unaligned(x + i));
    T each[Vector::size];
    lanes.store_unaligned(each);
    most = *std::max_element(each, each + Vector::size);
  }
  for (; i < n; ++i) most = std::max(most, scale * x[i]);
  return most;
}

/// Replaces `x[0 … n)` by `exp(scale * x - shift)` and returns the sum.
template <class T>
T exp_and_sum(std::size_t n, T* x, T scale, T shift) {
  transform(
      n, x, [scale, shift](auto v) { return exp(scale * v - shift); }, x);
  return sum_of<T>(
      n, [](auto v) { return v; }, x);
}

/// `sum over i of exp(x[i] - shift)`.
template <class T>
T sum_of_exp(std::size_t n, const T* x, T shift) {
  return sum_of<T>(
      n, [shift](auto v) { return exp(v - shift); }, x);
}

namespace detail {

/// For a loop over `rows` rows at once, n wide and `stride` apart: prefetches what it reads of row j some 2 KiB after entry i, of
/// the same row or, past its end, of the group of rows that follows. (A whole group of long rows ahead would not fit the L1
/// cache.)
template <std::size_t rows, class T>
void prefetch([[maybe_unused]] const T* row, [[maybe_unused]] std::size_t stride, [[maybe_unused]] std::size_t n,
              [[maybe_unused]] std::size_t j, [[maybe_unused]] std::size_t i) {
#ifdef __GNUC__
  const std::size_t next = i + std::min<std::size_t>(n, 2048 / sizeof(T));
  const std::size_t at = next < n ? j * stride + next : (j + rows) * stride + next - n;
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(row) + at * sizeof(T)));
#endif
}

template <std::size_t rows, class T>
void dot_some(std::size_t n, const T* x, const T* row, std::size_t stride, T* out) {
  using Vector = simd::Vector<T>;
  Vector sums[rows];
  std::fill_n(sums, rows, Vector(T(0)));
  const std::size_t whole = n - n % Vector::size;
  for (std::size_t i = 0; i < whole; i += Vector::size) {
    const Vector v = Vector::load_unaligned(x + i);
    for (std::size_t j = 0; j < rows; ++j) {
      if (i % (64 / sizeof(T)) == 0) prefetch<rows>(row, stride, n, j, i);
      sums[j] = fma(v, Vector::load_unaligned(row + j * stride + i), sums[j]);
    }
  }
  for (std::size_t j = 0; j < rows; ++j) {
    T each[Vector::size], sum(0);
    sums[j].store_unaligned(each);
    for (T lane : each) sum += lane;
    for (std::size_t k = whole; k < n; ++k) sum += x[k] * row[j * stride + k];
    out[j] = sum;
  }
}

template <std::size_t rows, class T>
void add_some(std::size_t n, T* y, const T* weight, const T* row, std::size_t stride) {
  using Vector = simd::Vector<T>;
  const std::size_t whole = n - n % Vector::size;
  for (std::size_t i = 0; i < whole; i += Vector::size) {
    Vector sum = Vector::load_unaligned(y + i);
    for (std::size_t j = 0; j < rows; ++j) {
      if (i % (64 / sizeof(T)) == 0) prefetch<rows>(row, stride, n, j, i);
      sum = fma(Vector(weight[j]), Vector::load_unaligned(row + j * stride + i), sum);
    }
    sum.store_unaligned(y + i);
  }
  for (std::size_t i = whole; i < n; ++i)
    for (std::size_t j = 0; j < rows; ++j) y[i] += weight[j] * row[j * stride + i];
}

}  // namespace detail

/// `out[j] = x . row j` for `j < count`, the rows `n` wide and `stride` apart. Four are read at a time and the next four
/// prefetched, so that the memory's bandwidth is the bound, not its latency.
template <class T>
void dot_rows(std::size_t n, const T* x, const T* rows, std::size_t stride, std::size_t count, T* out) {
  std::size_t j = 0;
  for (; j + 4 <= count; j += 4) detail::dot_some<4>(n, x, rows + j * stride, stride, out + j);
  for (; j < count; ++j) detail::dot_some<1>(n, x, rows + j * stride, stride, out + j);
}

/// `y += sum over j < count of weight[j] row j`, y and rows as above.
template <class T>
void add_rows(std::size_t n, T* y, const T* weight, const T* rows, std::size_t stride, std::size_t count) {
  std::size_t j = 0;
  for (; j + 4 <= count; j += 4) detail::add_some<4>(n, y, weight + j, rows + j * stride, stride);
  for (; j < count; ++j) detail::add_some<1>(n, y, weight + j, rows + j * stride, stride);
}

}  // namespace skipv1
