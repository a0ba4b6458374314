// RMSNorm on the device: see rms_norm.hpp.
#pragma once

#include "skipv1/ops/norm_backward.cuh"

namespace skipv1 {

namespace detail {

/// One thread, one row.
template <class T>
SKIPV1_KERNEL rms_norm_forward_first(T* y, Sum<T>* inverse_rms, const T* x, const T* weight, std::size_t rows, std::size_t d,
                                     Sum<T> epsilon) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= rows) return;
  const T* in = x + n * d;
  S square(0);
  for (std::size_t i = 0; i < d; ++i) square += static_cast<S>(in[i]) * static_cast<S>(in[i]);
  const S r = S(1) / std::sqrt(square / static_cast<S>(d) + epsilon);
  for (std::size_t i = 0; i < d; ++i) y[n * d + i] = static_cast<T>(static_cast<S>(in[i]) * r * static_cast<S>(weight[i]));
  inverse_rms[n] = r;
}

/// One warp, one row; V numbers a load, and a lane keeps the first 8 loads in registers. Memory bounds it: a row of up to 256 V
/// numbers is read once and written once, 2 d sizeof(T) bytes for 4 d operations; what is longer is read again.
template <class T, std::size_t V>
SKIPV1_KERNEL rms_norm_forward_fast(T* y, Sum<T>* inverse_rms, const T* x, const T* weight, std::size_t rows, std::size_t d,
                                    Sum<T> epsilon) {
  using S = Sum<T>;
  const std::size_t n = global_thread() / warp_size;
  if (n >= rows) return;
  const T* in = x + n * d;
  constexpr std::size_t kept = 8, step = warp_size * V;
  Vector<T, V> own[kept];
  S square(0);
  const auto add_squares = [&](const Vector<T, V>& v) {
    for (std::size_t j = 0; j < V; ++j) square += static_cast<S>(v[j]) * static_cast<S>(v[j]);
  };
  SKIPV1_UNROLL
  for (std::size_t c = 0; c < kept; ++c) {
    const std::size_t i = c * step + lane() * V;
    if (i < d) add_squares(own[c] = load_vector<V>(in + i));
  }
  for (std::size_t i = kept * step + lane() * V; i < d; i += step) add_squares(load_vector<V>(in + i));
  const S r = S(1) / std::sqrt(warp_sum(square) / static_cast<S>(d) + epsilon);
  const auto write = [&](std::size_t i, Vector<T, V> v) {
    const Vector<T, V> w = load_vector<V>(weight + i);
    for (std::size_t j = 0; j < V; ++j) v[j] = static_cast<T>(static_cast<S>(v[j]) * r * static_cast<S>(w[j]));
    store_vector(y + n * d + i, v);
  };
  SKIPV1_UNROLL
  for (std::size_t c = 0; c < kept; ++c) {
    const std::size_t i = c * step + lane() * V;
    if (i < d) write(i, own[c]);
  }
  for (std::size_t i = kept * step + lane() * V; i < d; i += step) write(i, load_vector<V>(in + i));
  if (lane() == 0) inverse_rms[n] = r;
}

/// One thread, one row.
template <class T>
SKIPV1_KERNEL rms_norm_backward_first(T* dx, const T* dy, const T* x, const T* weight, const Sum<T>* inverse_rms,
                                      std::size_t rows, std::size_t d) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= rows) return;
  const T *in = x + n * d, *dout = dy + n * d;
  const S r = inverse_rms[n];
  S dot(0);
  for (std::size_t i = 0; i < d; ++i) dot += static_cast<S>(weight[i]) * static_cast<S>(dout[i]) * static_cast<S>(in[i]);
  const S c = dot * r * r * r / static_cast<S>(d);
  for (std::size_t i = 0; i < d; ++i) {
    const S g = static_cast<S>(weight[i]) * static_cast<S>(dout[i]) * r - static_cast<S>(in[i]) * c;
    dx[n * d + i] = static_cast<T>(static_cast<S>(dx[n * d + i]) + g);
  }
}

/// What row n adds to the gradient of `weight[i]`.
template <class T>
struct RmsNormWeight {
  const T *dy, *x;
  const Sum<T>* inverse_rms;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const {
    return static_cast<Sum<T>>(dy[n * d + i]) * static_cast<Sum<T>>(x[n * d + i]) * inverse_rms[n];
  }
};

}  // namespace detail

/// As on the CPU; y, x (N, d), weight (d), inverse_rms (N).
template <class T>
void rms_norm_forward(View<T, Cuda> y, View<Sum<T>, Cuda> inverse_rms, ConstView<T, Cuda> x, ConstView<T, Cuda> weight,
                      double epsilon, Version version = Version::fast) {
  const std::size_t rows = x.rows(), d = x.width();
  const auto run = [&](const Launch& where, auto kernel) {
    launch(where, kernel, y.data(), inverse_rms.data(), x.data(), weight.data(), rows, d, epsilon);
  };
  const Launch warps{"rms_norm_forward", ceil_div(rows, 4), 128};
  if (version == Version::first) {
    run(one_thread_each("rms_norm_forward_first", rows), detail::rms_norm_forward_first<T>);
  } else if (reads_16_bytes(d, x.data(), y.data(), weight.data())) {
    run(warps, detail::rms_norm_forward_fast<T, per_16_bytes<T>>);
  } else {
    run(warps, detail::rms_norm_forward_fast<T, 1>);
  }
}

/// As on the CPU: adds to dx (N, d), dweight and, where given, dx_sums (d).
template <class T>
void rms_norm_backward(View<T, Cuda> dx, View<T, Cuda> dweight, ConstView<T, Cuda> dy, ConstView<T, Cuda> x,
                       ConstView<T, Cuda> weight, ConstView<Sum<T>, Cuda> inverse_rms, View<T, Cuda> dx_sums = {},
                       Version version = Version::fast) {
  const bool fast = version == Version::fast;
  if (fast && detail::norm_backward<false, T>("rms_norm_backward", dx, dweight, {}, dy, x, weight, inverse_rms, dx_sums)) return;
  const std::size_t rows = x.rows(), d = x.width();
  launch(one_thread_each("rms_norm_backward_first", rows), detail::rms_norm_backward_first<T>, dx.data(), dy.data(), x.data(),
         weight.data(), inverse_rms.data(), rows, d);
  detail::column_sum_first("rms_norm_backward_weight", dweight, rows,
                           detail::RmsNormWeight<T>{dy.data(), x.data(), inverse_rms.data(), d});
  detail::column_sum_first("rms_norm_backward_dx_sums", dx_sums, rows, detail::RowsOf<T>{dx.data(), d});
}

}  // namespace skipv1
