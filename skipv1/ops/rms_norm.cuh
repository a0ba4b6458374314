// RMSNorm on the device: see rms_norm.hpp.
#pragma once

#include "skipv1/ops/norm_backward.cuh"
#include "skipv1/ops/norm_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one row.
template <class T>
SKIPV1_KERNEL rms_norm_forward_first(T* y, Sum<T>* inverse_rms, const T* x, const T* weight, std::size_t N, std::size_t d,
                                     Sum<T> epsilon) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= N) return;
  const auto x_n = [&](std::size_t i) { return static_cast<S>(x[n * d + i]); };
  S square(0);
  for (std::size_t i = 0; i < d; ++i) square += x_n(i) * x_n(i);
  const S r = S(1) / std::sqrt(square / static_cast<S>(d) + epsilon);
  for (std::size_t i = 0; i < d; ++i) y[n * d + i] = static_cast<T>(static_cast<S>(weight[i]) * x_n(i) * r);
  inverse_rms[n] = r;
}

/// One thread, one row of dx.
template <class T>
SKIPV1_KERNEL rms_norm_backward_first(T* dx, const T* dy, const T* x, const T* weight, const Sum<T>* inverse_rms, std::size_t N,
                                      std::size_t d) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= N) return;
  const auto x_n = [&](std::size_t i) { return static_cast<S>(x[n * d + i]); };
  const auto g_n = [&](std::size_t i) { return static_cast<S>(weight[i]) * static_cast<S>(dy[n * d + i]); };  // w dy
  const S r = inverse_rms[n];
  S mean(0);  // of w dy x
  for (std::size_t i = 0; i < d; ++i) mean += g_n(i) * x_n(i) / static_cast<S>(d);
  for (std::size_t i = 0; i < d; ++i) {
    const S add = g_n(i) * r - x_n(i) * r * r * r * mean;
    dx[n * d + i] = static_cast<T>(static_cast<S>(dx[n * d + i]) + add);
  }
}

/// Row n's part of `dweight[i]`: `dy x r`.
template <class T>
struct RmsNormWeight {
  const T *dy, *x;
  const Sum<T>* inverse_rms;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const {
    return static_cast<Sum<T>>(dy[n * d + i]) * static_cast<Sum<T>>(x[n * d + i]) * inverse_rms[n];
  }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU.
template <class T>
void rms_norm_forward(View<T, Device> y, View<Sum<T>, Device> inverse_rms, ConstView<T, Device> x, ConstView<T, Device> weight,
                      double epsilon, Version version = Version::fast) {
  const std::size_t rows = x.rows(), d = x.width();
  if (version == Version::fast)
    return detail::norm_forward<detail::NormKind::rms, T>("rms_norm_forward", y, inverse_rms, x, weight, {}, epsilon);
  launch(one_thread_each("rms_norm_forward_first", rows), detail::rms_norm_forward_first<T>, y.data(), inverse_rms.data(),
         x.data(), weight.data(), rows, d, epsilon);
}

/// As on the CPU. Rows longer than `norm_backward` takes fall back to the first kernels.
template <class T>
void rms_norm_backward(View<T, Device> dx, View<T, Device> dweight, ConstView<T, Device> dy, ConstView<T, Device> x,
                       ConstView<T, Device> weight, ConstView<Sum<T>, Device> inverse_rms, View<T, Device> dx_sums = {},
                       View<T, Device> y = {}, Version version = Version::fast) {
  const char* const name = "rms_norm_backward";
  const bool fast = version == Version::fast;
  const detail::NormMade<T> made{y.data(), nullptr};
  if (fast && detail::norm_backward<detail::NormKind::rms, T>(name, dx, dweight, {}, dy, x, weight, inverse_rms, dx_sums, made))
    return;
  const std::size_t rows = x.rows(), d = x.width();
  launch(one_thread_each("rms_norm_backward_first", rows), detail::rms_norm_backward_first<T>, dx.data(), dy.data(), x.data(),
         weight.data(), inverse_rms.data(), rows, d);
  detail::column_sum_first("rms_norm_backward_weight", dweight, rows,
                           detail::RmsNormWeight<T>{dy.data(), x.data(), inverse_rms.data(), d});
  detail::column_sum_first("rms_norm_backward_dx_sums", dx_sums, rows, detail::RowsOf<T>{dx.data(), d});
  if (!y.empty())
    launch(one_thread_each("rms_norm_made_first", rows * d), detail::norm_made_first<detail::NormKind::rms, T>, made, x.data(),
           weight.data(), inverse_rms.data(), rows, d);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
