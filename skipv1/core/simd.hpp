// Element-wise loops with vector instructions (xsimd): the exponentials of softmax, GELU and SwiGLU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <xsimd/xsimd.hpp>

namespace skipv1 {

/// `out[i] = f(in[i]…)` for `i < n`; `f` takes and returns xsimd batches. `out` may be one of the inputs.
/// The tail goes through a padded batch, so that an element's result never depends on its place.
template <class T, class F>
void transform(std::size_t n, T* out, const F& f, const auto*... in) {
  using Batch = xsimd::batch<T>;
  std::size_t i = 0;
  for (; i + Batch::size <= n; i += Batch::size) f(Batch::load_unaligned(in + i)...).store_unaligned(out + i);
  if (i == n) return;
  const auto padded = [&](const T* from) {
    T lanes[Batch::size] = {};
    std::copy_n(from + i, n - i, lanes);
    return Batch::load_unaligned(lanes);
  };
  T lanes[Batch::size];
  f(padded(in)...).store_unaligned(lanes);
  std::copy_n(lanes, n - i, out + i);
}

/// `sum over i of f(in[i])`, `in` as xsimd batches; the order of the sum depends on `n` alone.
template <class T, class F>
T sum_of(std::size_t n, const T* in, const F& f) {
  using Batch = xsimd::batch<T>;
  Batch lanes(T(0));
  std::size_t i = 0;
  for (; i + Batch::size <= n; i += Batch::size) lanes += f(Batch::load_unaligned(in + i));
  T each[Batch::size], tail[Batch::size] = {}, sum(0);
  lanes.store_unaligned(each);  // (the name of xsimd's own reduction depends on its version)
  for (T lane : each) sum += lane;
  std::copy_n(in + i, n - i, tail);
  f(Batch::load_unaligned(tail)).store_unaligned(each);
  for (std::size_t j = 0; j < n - i; ++j) sum += each[j];
  return sum;
}

/// Replaces `x[0 … n)` by `exp(scale * x - shift)` and returns the sum.
template <class T>
T exp_and_sum(std::size_t n, T* x, T scale, T shift) {
  transform(
      n, x, [scale, shift](auto v) { return xsimd::exp(scale * v - shift); }, x);
  return sum_of(n, x, [](auto v) { return v; });
}

/// `sum over i of exp(x[i] - shift)`.
template <class T>
T sum_of_exp(std::size_t n, const T* x, T shift) {
  return sum_of(n, x, [shift](auto v) { return xsimd::exp(v - shift); });
}

}  // namespace skipv1
