// LayerNorm on the device: see layer_norm.hpp.
#pragma once

#include "skipv1/ops/norm_backward.cuh"
#include "skipv1/ops/norm_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one row.
template <class T>
SKIPV1_KERNEL layer_norm_forward_first(T* y, Sum<T>* statistics, const T* x, const T* weight, const T* bias, std::size_t N,
                                       std::size_t d, Sum<T> epsilon) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= N) return;
  const auto x_n = [&](std::size_t i) { return static_cast<S>(x[n * d + i]); };
  S mean(0), variance(0);
  for (std::size_t i = 0; i < d; ++i) mean += x_n(i) / static_cast<S>(d);
  for (std::size_t i = 0; i < d; ++i) variance += (x_n(i) - mean) * (x_n(i) - mean) / static_cast<S>(d);
  const S r = S(1) / std::sqrt(variance + epsilon);
  for (std::size_t i = 0; i < d; ++i)
    y[n * d + i] = static_cast<T>(static_cast<S>(weight[i]) * (x_n(i) - mean) * r + static_cast<S>(bias[i]));
  statistics[2 * n] = mean, statistics[2 * n + 1] = r;
}

/// One thread, one row of dx.
template <class T>
SKIPV1_KERNEL layer_norm_backward_first(T* dx, const T* dy, const T* x, const T* weight, const Sum<T>* statistics, std::size_t N,
                                        std::size_t d) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= N) return;
  const S mean = statistics[2 * n], r = statistics[2 * n + 1];
  const auto z_n = [&](std::size_t i) { return (static_cast<S>(x[n * d + i]) - mean) * r; };
  const auto g_n = [&](std::size_t i) { return static_cast<S>(weight[i]) * static_cast<S>(dy[n * d + i]); };
  S g_mean(0), gz_mean(0);
  for (std::size_t i = 0; i < d; ++i) {
    g_mean += g_n(i) / static_cast<S>(d);
    gz_mean += g_n(i) * z_n(i) / static_cast<S>(d);
  }
  for (std::size_t i = 0; i < d; ++i) {
    const S add = r * (g_n(i) - g_mean - z_n(i) * gz_mean);
    dx[n * d + i] = static_cast<T>(static_cast<S>(dx[n * d + i]) + add);
  }
}

/// Row n's part of `dweight[i]`: `dy z`.
template <class T>
struct LayerNormWeight {
  const T *dy, *x;
  const Sum<T>* statistics;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const {
    const Sum<T> z = (static_cast<Sum<T>>(x[n * d + i]) - statistics[2 * n]) * statistics[2 * n + 1];
    return static_cast<Sum<T>>(dy[n * d + i]) * z;
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void layer_norm_forward(View<T, Device> y, View<Sum<T>, Device> statistics, ConstView<T, Device> x, ConstView<T, Device> weight,
                        ConstView<T, Device> bias, double epsilon, Version version = Version::fast) {
  const std::size_t rows = x.rows(), d = x.width();
  if (version == Version::fast)
    return detail::norm_forward<detail::NormKind::layer, T>("layer_norm_forward", y, statistics, x, weight, bias, epsilon);
  launch(one_thread_each("layer_norm_forward_first", rows), detail::layer_norm_forward_first<T>, y.data(), statistics.data(),
         x.data(), weight.data(), bias.data(), rows, d, epsilon);
}

/// As on the CPU. Rows longer than `norm_backward` takes fall back to the first kernels.
template <class T>
void layer_norm_backward(View<T, Device> dx, View<T, Device> dweight, View<T, Device> dbias, ConstView<T, Device> dy,
                         ConstView<T, Device> x, ConstView<T, Device> weight, ConstView<Sum<T>, Device> statistics,
                         View<T, Device> dx_sums = {}, View<T, Device> y = {}, ConstView<T, Device> bias = {},
                         Version version = Version::fast) {
  const char* const name = "layer_norm_backward";
  const bool fast = version == Version::fast;
  const detail::NormMade<T> made{y.data(), bias.data()};
  if (fast &&
      detail::norm_backward<detail::NormKind::layer, T>(name, dx, dweight, dbias, dy, x, weight, statistics, dx_sums, made))
    return;
  const std::size_t rows = x.rows(), d = x.width();
  launch(one_thread_each("layer_norm_backward_first", rows), detail::layer_norm_backward_first<T>, dx.data(), dy.data(), x.data(),
         weight.data(), statistics.data(), rows, d);
  detail::column_sum_first("layer_norm_backward_weight", dweight, rows,
                           detail::LayerNormWeight<T>{dy.data(), x.data(), statistics.data(), d});
  detail::column_sum_first("layer_norm_backward_bias", dbias, rows, detail::RowsOf<T>{dy.data(), d});
  detail::column_sum_first("layer_norm_backward_dx_sums", dx_sums, rows, detail::RowsOf<T>{dx.data(), d});
  if (!y.empty())
    launch(one_thread_each("layer_norm_made_first", rows * d), detail::norm_made_first<detail::NormKind::layer, T>, made,
           x.data(), weight.data(), statistics.data(), rows, d);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
