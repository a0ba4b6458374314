// RMSNorm: y = w x / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019; docs/spec/models.md, eq. (5)).
#pragma once

#include <algorithm>
#include <cmath>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `r = 1 / sqrt(mean(x^2) + epsilon)`, `y = w x r`, row by row. y, x (N, d), weight (d), inverse_rms (N): r.
template <class T>
void rms_norm_forward(View<T> y, View<T> inverse_rms, ConstView<T> x, ConstView<T> weight, double epsilon) {
  const std::size_t N = x.extent(0), d = x.extent(1);
  for (std::size_t n = 0; n < N; ++n) {
    T square(0);
    for (std::size_t i = 0; i < d; ++i) square += x(n, i) * x(n, i);
    const T r = T(1) / std::sqrt(square / static_cast<T>(d) + static_cast<T>(epsilon));
    for (std::size_t i = 0; i < d; ++i) y(n, i) = weight(i) * x(n, i) * r;
    inverse_rms(n) = r;
  }
}

/// `dx += w dy r - x r^3 mean(w dy x)`, `dweight += sum over n of dy x r`. Shapes as forward.
template <class T>
void rms_norm_backward(View<T> dx, View<T> dweight, ConstView<T> dy, ConstView<T> x, ConstView<T> weight,
                       ConstView<T> inverse_rms) {
  const std::size_t N = x.extent(0), d = x.extent(1);
  for (std::size_t n = 0; n < N; ++n) {
    const T r = inverse_rms(n);
    T mean(0);  // of w dy x
    for (std::size_t i = 0; i < d; ++i) mean += weight(i) * dy(n, i) * x(n, i) / static_cast<T>(d);
    for (std::size_t i = 0; i < d; ++i) {
      dx(n, i) += weight(i) * dy(n, i) * r - x(n, i) * r * r * r * mean;
      dweight(i) += dy(n, i) * x(n, i) * r;
    }
  }
}

}  // namespace reference

/// As `reference::rms_norm_forward`, 32 rows per task. Memory bounds it: 2 d numbers per row for 4 d operations. A row whose sum
/// of squares overflows becomes NaN: its r would be 0, and so would y, as if nothing were wrong.
template <class T>
void rms_norm_forward(View<T, Cpu> y, View<T, Cpu> inverse_rms, ConstView<T, Cpu> x, ConstView<T, Cpu> weight, double epsilon) {
  require_fit(y.rows() == x.rows() && y.width() == x.width() && weight.size() == x.width() && inverse_rms.size() == x.rows(),
              "rms_norm_forward", "y x weight inverse_rms", "y, x (N, d), weight (d), inverse_rms (N)", y, x, weight,
              inverse_rms);
  const std::size_t d = x.width();
  parallel_ranges(x.rows(), 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T* in = x.data() + n * d;
      const T square = sum_of<T>(
          d, [](auto v) { return v * v; }, in);
      const T r = T(1) / std::sqrt(square / static_cast<T>(d) + static_cast<T>(epsilon)) + (square - square);
      for (std::size_t i = 0; i < d; ++i) y.data()[n * d + i] = in[i] * r * weight.data()[i];
      inverse_rms.data()[n] = r;
    }
  });
}

/// As `reference::rms_norm_backward`: dx by rows, dweight by columns, so that no two threads add to one sum. Memory bounds it: 6
/// d numbers per row. dx_sums (d), y (N, d): as in `layer_norm_backward`.
template <class T>
void rms_norm_backward(View<T, Cpu> dx, View<T, Cpu> dweight, ConstView<T, Cpu> dy, ConstView<T, Cpu> x, ConstView<T, Cpu> weight,
                       ConstView<T, Cpu> inverse_rms, View<T, Cpu> dx_sums = {}, View<T, Cpu> y = {}) {
  require_fit(same_rows(dx, x) && same_rows(dy, x) && weight.size() == x.width() && dweight.size() == x.width() &&
                  inverse_rms.size() == x.rows() && (dx_sums.empty() || dx_sums.size() == x.width()) &&
                  (y.empty() || same_rows(y, x)),
              "rms_norm_backward", "dx dy x dweight weight inverse_rms dx_sums y",
              "dx, dy, x (N, d), dweight, weight (d), inverse_rms (N), dx_sums (d), y (N, d) or none", dx, dy, x, dweight, weight,
              inverse_rms, dx_sums, y);
  const std::size_t d = x.width(), rows = x.rows();
  parallel_ranges(rows, 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T *in = x.data() + n * d, *dout = dy.data() + n * d;
      const T r = inverse_rms.data()[n];
      const T dot = sum_of<T>(
          d, [](auto w, auto g, auto v) { return w * g * v; }, weight.data(), dout, in);
      const T c = dot * r * r * r / static_cast<T>(d);
      for (std::size_t i = 0; i < d; ++i) dx.data()[n * d + i] += weight.data()[i] * dout[i] * r - in[i] * c;
    }
  });
  constexpr std::size_t columns = 64;
  parallel_ranges(d, columns, [&](std::size_t begin, std::size_t end) {
    const std::size_t count = end - begin;
    T sums[columns];  // nothing else's memory, so that the loop below becomes vector instructions
    std::copy_n(dweight.data() + begin, count, sums);
    for (std::size_t n = 0; n < rows; ++n) {
      const T *in = x.data() + n * d + begin, *dout = dy.data() + n * d + begin, r = inverse_rms.data()[n];
      for (std::size_t i = 0; i < count; ++i) sums[i] += dout[i] * in[i] * r;
    }
    std::copy_n(sums, count, dweight.data() + begin);
    for (std::size_t n = 0; n < rows && !dx_sums.empty(); ++n)
      for (std::size_t i = begin; i < end; ++i) dx_sums.data()[i] += dx.data()[n * d + i];
  });
  if (y.empty()) return;
  parallel_ranges(rows, 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n)
      for (std::size_t i = 0; i < d; ++i) y.data()[n * d + i] = x.data()[n * d + i] * inverse_rms.data()[n] * weight.data()[i];
  });
}

}  // namespace skipv1
