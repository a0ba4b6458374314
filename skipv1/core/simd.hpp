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

/// Replaces `x[0 … n)` by `exp(scale * x - shift)` and returns the sum.
template <class T>
T exp_and_sum(std::size_t n, T* x, T scale, T shift) {
  transform(n, x, [scale, shift](auto v) { return xsimd::exp(scale * v - shift); }, x);
  using Batch = xsimd::batch<T>;
  Batch lanes(T(0));
  std::size_t i = 0;
  for (; i + Batch::size <= n; i += Batch::size) lanes += Batch::load_unaligned(x + i);
  T each[Batch::size], sum(0);
  lanes.store_unaligned(each);  // (the name of xsimd's own reduction depends on its version)
  for (T lane : each) sum += lane;
  for (; i < n; ++i) sum += x[i];
  return sum;
}

}  // namespace skipv1
