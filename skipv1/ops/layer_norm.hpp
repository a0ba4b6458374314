// LayerNorm: y = w (x - mean) / sqrt(variance + epsilon) + b, biased variance (Ba et al. 2016; docs/spec/models.md, eq. (5)).
#pragma once

#include <algorithm>
#include <cmath>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `z = (x - mean(x)) r`, `r = 1 / sqrt(variance(x) + epsilon)`, `y = w z + b`, row by row. y, x (N, d); weight, bias (d);
/// statistics (N, 2): mean and r.
template <class T>
void layer_norm_forward(View<T> y, View<T> statistics, ConstView<T> x, ConstView<T> weight, ConstView<T> bias, double epsilon) {
  const std::size_t N = x.extent(0), d = x.extent(1);
  for (std::size_t n = 0; n < N; ++n) {
    T mean(0), variance(0);
    for (std::size_t i = 0; i < d; ++i) mean += x(n, i) / static_cast<T>(d);
    for (std::size_t i = 0; i < d; ++i) variance += (x(n, i) - mean) * (x(n, i) - mean) / static_cast<T>(d);
    const T r = T(1) / std::sqrt(variance + static_cast<T>(epsilon));
    for (std::size_t i = 0; i < d; ++i) y(n, i) = weight(i) * (x(n, i) - mean) * r + bias(i);
    statistics(n, 0u) = mean, statistics(n, 1u) = r;
  }
}

/// With `g = w dy`: `dx += r (g - mean(g) - z mean(g z))`, `dweight += sum over n of dy z`, `dbias += sum over n of dy`. Shapes
/// as forward.
template <class T>
void layer_norm_backward(View<T> dx, View<T> dweight, View<T> dbias, ConstView<T> dy, ConstView<T> x, ConstView<T> weight,
                         ConstView<T> statistics) {
  const std::size_t N = x.extent(0), d = x.extent(1);
  for (std::size_t n = 0; n < N; ++n) {
    const T mean = statistics(n, 0u), r = statistics(n, 1u);
    T g_mean(0), gz_mean(0);
    for (std::size_t i = 0; i < d; ++i) {
      const T g = weight(i) * dy(n, i), z = (x(n, i) - mean) * r;
      g_mean += g / static_cast<T>(d);
      gz_mean += g * z / static_cast<T>(d);
    }
    for (std::size_t i = 0; i < d; ++i) {
      const T g = weight(i) * dy(n, i), z = (x(n, i) - mean) * r;
      dx(n, i) += r * (g - g_mean - z * gz_mean);
      dweight(i) += dy(n, i) * z;
      dbias(i) += dy(n, i);
    }
  }
}

}  // namespace reference

/// As `reference::layer_norm_forward`, 32 rows per task. Memory bounds it: 2 d numbers per row for 7 d operations. A row whose
/// sum of squares overflows becomes NaN, as in `rms_norm_forward`.
template <class T>
void layer_norm_forward(View<T, Cpu> y, View<T, Cpu> statistics, ConstView<T, Cpu> x, ConstView<T, Cpu> weight,
                        ConstView<T, Cpu> bias, double epsilon) {
  require_fit(same_rows(y, x) && weight.size() == x.width() && bias.size() == x.width() && statistics.size() == 2 * x.rows(),
              "layer_norm_forward", "y x weight bias statistics", "y, x (N, d), weight, bias (d), statistics (N, 2)", y, x,
              weight, bias, statistics);
  const std::size_t d = x.width();
  parallel_ranges(x.rows(), 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T* in = x.data() + n * d;
      const T mean = sum_of<T>(
                         d, [](auto v) { return v; }, in) /
                     static_cast<T>(d);
      const T square = sum_of<T>(
          d, [mean](auto v) { return (v - mean) * (v - mean); }, in);
      const T r = T(1) / std::sqrt(square / static_cast<T>(d) + static_cast<T>(epsilon)) + (square - square);
      for (std::size_t i = 0; i < d; ++i) y.data()[n * d + i] = (in[i] - mean) * r * weight.data()[i] + bias.data()[i];
      statistics.data()[2 * n] = mean;
      statistics.data()[2 * n + 1] = r;
    }
  });
}

/// As `reference::layer_norm_backward`: dx by rows, dweight and dbias by columns, so that no two threads add to one sum. Memory
/// bounds it: 6 d numbers per row. dx_sums (d), where given, accumulates the column sums of the new dx (in bfloat16 of the
/// rounded elements): the gradient of the bias that was added to the residual stream last. y (N, d), if given with `bias`,
/// becomes the forward pass's output, which then need not be kept; y may alias dy.
template <class T>
void layer_norm_backward(View<T, Cpu> dx, View<T, Cpu> dweight, View<T, Cpu> dbias, ConstView<T, Cpu> dy, ConstView<T, Cpu> x,
                         ConstView<T, Cpu> weight, ConstView<T, Cpu> statistics, View<T, Cpu> dx_sums = {}, View<T, Cpu> y = {},
                         ConstView<T, Cpu> bias = {}) {
  require_fit(same_rows(dx, x) && same_rows(dy, x) && weight.size() == x.width() && dweight.size() == x.width() &&
                  dbias.size() == x.width() && statistics.size() == 2 * x.rows() &&
                  (dx_sums.empty() || dx_sums.size() == x.width()) &&
                  (y.empty() || (same_rows(y, x) && bias.size() == x.width())),
              "layer_norm_backward", "dx dy x dweight dbias weight statistics dx_sums y bias",
              "dx, dy, x (N, d), dweight, dbias, weight (d), statistics (N, 2), dx_sums (d), y (N, d) and bias (d) or none", dx,
              dy, x, dweight, dbias, weight, statistics, dx_sums, y, bias);
  const std::size_t d = x.width(), rows = x.rows();
  parallel_ranges(rows, 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T *in = x.data() + n * d, *dout = dy.data() + n * d;
      const T mean = statistics.data()[2 * n], r = statistics.data()[2 * n + 1];
      const T* w = weight.data();
      const T g_sum = sum_of<T>(
          d, [](auto wv, auto dv) { return wv * dv; }, w, dout);
      const T gz_sum = sum_of<T>(
          d, [=](auto wv, auto dv, auto v) { return wv * dv * ((v - mean) * r); }, w, dout, in);
      const T g_mean = g_sum / static_cast<T>(d), gz_mean = gz_sum / static_cast<T>(d);
      for (std::size_t i = 0; i < d; ++i) dx.data()[n * d + i] += r * (w[i] * dout[i] - g_mean - (in[i] - mean) * r * gz_mean);
    }
  });
  constexpr std::size_t columns = 64;
  parallel_ranges(d, columns, [&](std::size_t begin, std::size_t end) {
    const std::size_t count = end - begin;
    T weight_sums[columns], bias_sums[columns];  // nothing else's memory, so that the loop below becomes vector instructions
    std::copy_n(dweight.data() + begin, count, weight_sums);
    std::copy_n(dbias.data() + begin, count, bias_sums);
    for (std::size_t n = 0; n < rows; ++n) {
      const T *in = x.data() + n * d + begin, *dout = dy.data() + n * d + begin;
      const T mean = statistics.data()[2 * n], r = statistics.data()[2 * n + 1];
      for (std::size_t i = 0; i < count; ++i) {
        weight_sums[i] += dout[i] * (in[i] - mean) * r;
        bias_sums[i] += dout[i];
      }
    }
    std::copy_n(weight_sums, count, dweight.data() + begin);
    std::copy_n(bias_sums, count, dbias.data() + begin);
    for (std::size_t n = 0; n < rows && !dx_sums.empty(); ++n)
      for (std::size_t i = begin; i < end; ++i) dx_sums.data()[i] += dx.data()[n * d + i];
  });
  if (y.empty()) return;
  parallel_ranges(rows, 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T mean = statistics.data()[2 * n], r = statistics.data()[2 * n + 1];
      for (std::size_t i = 0; i < d; ++i)
        y.data()[n * d + i] = (x.data()[n * d + i] - mean) * r * weight.data()[i] + bias.data()[i];
    }
  });
}

}  // namespace skipv1
