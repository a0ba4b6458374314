// Linear map on the device: see linear.hpp. The products are cuBLASLt's, but those of one row; the first kernel shows what they
// compute, and stands in for them in the emulator.
#pragma once

#include "skipv1/ops/column_sum.cuh"
#include "skipv1/ops/map.cuh"
#include "skipv1/ops/matrix_product.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, one output: row n of y becomes the bias, and the residual's row where there is one.
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

/// One warp, one output of one row: decoding's of one sequence. Memory bounds it: each weight is read once, two operations for
/// each. So a lane asks for four pieces of its weights at once; x comes from L1. (For two to four rows the same is slower than
/// cuBLASLt.)
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

/// As on the CPU; what is added costs no pass of its own, but a bias in double, which cuBLASLt cannot add.
template <class T>
void linear_forward(View<T, Device> y, ConstView<T, Device> x, ConstView<T, Device> weight, ConstView<T, Device> bias,
                    ConstView<T, Device> residual = {}, Version version = Version::fast) {
  const std::size_t rows = x.rows(), in = x.width(), out = weight.extent(0);
  require(weight.width() == in && y.rows() == rows && y.width() == out, "linear: x ", x.shape(), " times weight ", weight.shape(),
          " transposed does not give y ", y.shape());
  const T* from = residual.empty() ? nullptr : residual.data();
  if (version == Version::fast && rows == 1 && reads_16_bytes(in, x.data(), weight.data())) {
    return launch({"linear_one_row", ceil_div(out, 4), 128}, detail::linear_one_row<T>, y.data(), x.data(), weight.data(),
                  bias.empty() ? nullptr : bias.data(), from, in, out);
  }
  constexpr bool adds_bias = !std::is_same_v<T, double>;
  if (!adds_bias && !bias.empty()) {
    detail::for_each_of_rows("linear_bias", rows, out, detail::BiasRow<T>{y.data(), bias.data(), from, out});
    from = y.data();
  }
  const T* row = adds_bias && !bias.empty() ? bias.data() : nullptr;
  matrix_product<T>({rows, out, in, false, true, from != nullptr, row != nullptr}, {y.data(), x.data(), weight.data(), from, row},
                    version);
}
template <class T>
void linear_backward_input(View<T, Device> dx, ConstView<T, Device> dy, ConstView<T, Device> weight, bool add = false,
                           Version version = Version::fast) {
  matrix_product<T>({dy.rows(), weight.width(), weight.extent(0), false, false, add}, {dx.data(), dy.data(), weight.data()},
                    version);
}
/// As on the CPU. (cuBLASLt's by-product BGRADB is a pass of its own too, at two thirds of this one's rate:
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
  matrix_product<T>({dy.width(), x.width(), x.rows(), true, false, true}, {dweight.data(), dy.data(), x.data()}, version);
  linear_backward_bias<T>(dbias, dy, version);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
