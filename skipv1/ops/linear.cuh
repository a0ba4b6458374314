// Linear map on the device: see linear.hpp. The products are cuBLASLt's, but those of one row.
#pragma once

#include "skipv1/core/write_mode.hpp"
#include "skipv1/ops/column_sum.cuh"
#include "skipv1/ops/map.cuh"
#include "skipv1/ops/matrix_product.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one output.
template <class T>
SKIPV1_KERNEL linear_forward_first(T* y, const T* x, const T* weight, const T* bias, const T* residual, std::size_t N,
                                   std::size_t in, std::size_t out) {
  using S = Sum<T>;
  const std::size_t n = global_thread() / out, o = global_thread() % out;
  if (n >= N) return;
  S sum = bias ? static_cast<S>(bias[o]) : S(0);
  for (std::size_t i = 0; i < in; ++i) sum += static_cast<S>(x[n * in + i]) * static_cast<S>(weight[o * in + i]);
  y[n * out + o] = static_cast<T>(residual ? sum + static_cast<S>(residual[n * out + o]) : sum);
}

/// One thread, one output.
template <class T>
SKIPV1_KERNEL linear_backward_input_first(T* dx, const T* dy, const T* weight, std::size_t N, std::size_t in, std::size_t out,
                                          WriteMode mode) {
  using S = Sum<T>;
  const std::size_t n = global_thread() / in, i = global_thread() % in;
  if (n >= N) return;
  S sum = mode == WriteMode::accumulate ? static_cast<S>(dx[n * in + i]) : S(0);
  for (std::size_t o = 0; o < out; ++o) sum += static_cast<S>(dy[n * out + o]) * static_cast<S>(weight[o * in + i]);
  dx[n * in + i] = static_cast<T>(sum);
}

/// One thread, one output.
template <class T>
SKIPV1_KERNEL linear_backward_weight_first(T* dweight, const T* dy, const T* x, std::size_t N, std::size_t in, std::size_t out) {
  using S = Sum<T>;
  const std::size_t o = global_thread() / in, i = global_thread() % in;
  if (o >= out) return;
  S sum = static_cast<S>(dweight[o * in + i]);
  for (std::size_t n = 0; n < N; ++n) sum += static_cast<S>(dy[n * out + o]) * static_cast<S>(x[n * in + i]);
  dweight[o * in + i] = static_cast<T>(sum);
}

/// One call, one output: `y[n, o] = bias[o]`, plus `residual[n, o]` where there is one.
template <class T>
struct BiasRow {
  T* y;
  const T *bias, *residual;
  std::size_t out;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t i) const {
    const T* row = residual ? residual + n * out : nullptr;
    y[n * out + i] = row ? static_cast<T>(static_cast<Sum<T>>(bias[i]) + static_cast<Sum<T>>(row[i])) : bias[i];
  }
};

/// One warp, one output of the only row: decoding of one sequence. Memory bounds it: in out sizeof(T) bytes of weights, each read
/// once for two operations. So a lane has four loads of weights in flight; x comes from L1. For two to four rows the same is
/// slower than cuBLASLt (docs/performance/ledger.md).
template <class T>
SKIPV1_KERNEL linear_one_row(T* y, const T* x, const T* weight, const T* bias, const T* residual, std::size_t in,
                             std::size_t out) {
  using S = Sum<T>;
  constexpr std::size_t V = per_16_bytes<T>, at_once = 4, step = warp_size * V;
  const std::size_t o = global_thread() / warp_size;
  if (o >= out) return;
  S sum(0);
  for (std::size_t first = lane() * V; first < in; first += at_once * step) {
    Vector<T, V> w[at_once];
    SKIPV1_UNROLL
    for (std::size_t k = 0; k < at_once; ++k)
      if (first + k * step < in) w[k] = load_vector<V>(weight + o * in + first + k * step);
    SKIPV1_UNROLL
    for (std::size_t k = 0; k < at_once; ++k) {
      if (first + k * step >= in) continue;
      const Vector<T, V> v = load_vector<V>(x + first + k * step);
      for (std::size_t j = 0; j < V; ++j) sum += static_cast<S>(v[j]) * static_cast<S>(w[k][j]);
    }
  }
  sum = warp_sum(sum);
  if (lane() > 0) return;
  if (bias) sum += static_cast<S>(bias[o]);
  if (residual) sum += static_cast<S>(residual[o]);
  y[o] = static_cast<T>(sum);
}
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Compute bounds it: 2 N in out operations; cuBLASLt reaches what its products reach
/// (docs/performance/README.md). Bias and residual cost no pass of their own, but a bias in double, which cuBLASLt cannot add.
template <class T>
void linear_forward(View<T, Device> y, ConstView<T, Device> x, ConstView<T, Device> weight, ConstView<T, Device> bias,
                    ConstView<T, Device> residual = {}, Version version = Version::fast) {
  const std::size_t rows = x.rows(), in = x.width(), out = weight.extent(0);
  require(weight.width() == in && y.rows() == rows && y.width() == out, "linear: x ", x.shape(), " times weight ", weight.shape(),
          " transposed does not give y ", y.shape());
  const T *row = bias.empty() ? nullptr : bias.data(), *from = residual.empty() ? nullptr : residual.data();
  if (version == Version::first) {
    return launch(one_thread_each("linear_forward_first", rows * out), detail::linear_forward_first<T>, y.data(), x.data(),
                  weight.data(), row, from, rows, in, out);
  }
  if (rows == 1 && reads_16_bytes(in, x.data(), weight.data())) {
    return launch({"linear_one_row", ceil_div(out, 4), 128}, detail::linear_one_row<T>, y.data(), x.data(), weight.data(), row,
                  from, in, out);
  }
  if (std::is_same_v<T, double> && row) {
    detail::for_each_of_rows("linear_bias", rows, out, detail::BiasRow<T>{y.data(), row, from, out});
    row = nullptr, from = y.data();
  }
  matrix_product<T>({.m = rows, .n = out, .k = in, .transpose_b = true, .add = from != nullptr, .bias = row != nullptr},
                    {.c = y.data(), .a = x.data(), .b = weight.data(), .from = from, .bias = row});
}
template <class T>
void linear_backward_input(View<T, Device> dx, ConstView<T, Device> dy, ConstView<T, Device> weight,
                           WriteMode mode = WriteMode::overwrite, Version version = Version::fast) {
  const std::size_t rows = dy.rows(), in = weight.width(), out = weight.extent(0);
  if (version == Version::first) {
    return launch(one_thread_each("linear_backward_input_first", rows * in), detail::linear_backward_input_first<T>, dx.data(),
                  dy.data(), weight.data(), rows, in, out, mode);
  }
  matrix_product<T>({.m = rows, .n = in, .k = out, .add = mode == WriteMode::accumulate},
                    {.c = dx.data(), .a = dy.data(), .b = weight.data()});
}
/// As on the CPU; see `column_sum`. (cuBLASLt's by-product BGRADB is a pass of its own too, at two thirds of this one's rate:
/// docs/performance/ledger.md.)
template <class T>
void linear_backward_bias(View<T, Device> dbias, ConstView<T, Device> dy, Version version = Version::fast) {
  if (dbias.empty()) return;
  if (version == Version::first)
    detail::column_sum_first("linear_backward_bias", dbias, dy.rows(), detail::RowsOf<T>{dy.data(), dy.width()});
  else
    detail::column_sum<T>("linear_backward_bias", dbias, dy);
}
template <class T>
void linear_backward_weight(View<T, Device> dweight, View<T, Device> dbias, ConstView<T, Device> dy, ConstView<T, Device> x,
                            Version version = Version::fast) {
  const std::size_t rows = x.rows(), in = x.width(), out = dy.width();
  if (version == Version::first) {
    launch(one_thread_each("linear_backward_weight_first", out * in), detail::linear_backward_weight_first<T>, dweight.data(),
           dy.data(), x.data(), rows, in, out);
  } else {
    matrix_product<T>({.m = out, .n = in, .k = rows, .transpose_a = true, .add = true},
                      {.c = dweight.data(), .a = dy.data(), .b = x.data()});
  }
  linear_backward_bias<T>(dbias, dy, version);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
