// Linear map: y = x W^T + b, W stored (out, in) (docs/spec/models.md, "Notation"). The products are BLAS's.
#pragma once

#include <algorithm>

#include "skipv1/core/write_mode.hpp"
#include "skipv1/core/blas.hpp"
#include "skipv1/core/tensor.hpp"
#include "skipv1/ops/add.hpp"

namespace skipv1 {

namespace reference {

/// `y[n, o] = sum over i of x[n, i] W[o, i] + b[o] + residual[n, o]`. y, residual (N, out), x (N, in), weight (out, in),
/// bias (out); bias and residual may be empty.
template <class T>
void linear_forward(View<T> y, ConstView<T> x, ConstView<T> weight, ConstView<T> bias, ConstView<T> residual = {}) {
  for (std::size_t n = 0; n < y.extent(0); ++n)
    for (std::size_t o = 0; o < y.extent(1); ++o) {
      T sum = bias.empty() ? T(0) : bias(o);
      for (std::size_t i = 0; i < x.extent(1); ++i) sum += x(n, i) * weight(o, i);
      y(n, o) = residual.empty() ? sum : sum + residual(n, o);
    }
}

/// `dx[n, i] = sum over o of dy[n, o] W[o, i]`, or `dx[n, i] += …` with `WriteMode::accumulate`. Shapes as forward.
template <class T>
void linear_backward_input(View<T> dx, ConstView<T> dy, ConstView<T> weight, WriteMode mode = WriteMode::overwrite) {
  for (std::size_t n = 0; n < dx.extent(0); ++n)
    for (std::size_t i = 0; i < dx.extent(1); ++i) {
      T sum = mode == WriteMode::accumulate ? dx(n, i) : T(0);
      for (std::size_t o = 0; o < dy.extent(1); ++o) sum += dy(n, o) * weight(o, i);
      dx(n, i) = sum;
    }
}

/// `dbias[o] += sum over n of dy[n, o]`; nothing where dbias is empty. dbias (out), dy (N, out).
template <class T>
void linear_backward_bias(View<T> dbias, ConstView<T> dy) {
  for (std::size_t o = 0; o < dbias.size(); ++o)
    for (std::size_t n = 0; n < dy.extent(0); ++n) dbias(o) += dy(n, o);
}

/// `dweight[o, i] += sum over n of dy[n, o] x[n, i]`, and dbias as above. Shapes as forward.
template <class T>
void linear_backward_weight(View<T> dweight, View<T> dbias, ConstView<T> dy, ConstView<T> x) {
  for (std::size_t o = 0; o < dweight.extent(0); ++o)
    for (std::size_t i = 0; i < dweight.extent(1); ++i)
      for (std::size_t n = 0; n < dy.extent(0); ++n) dweight(o, i) += dy(n, o) * x(n, i);
  reference::linear_backward_bias<T>(dbias, dy);
}

}  // namespace reference

/// As `reference::linear_forward`, by one GEMM. Compute bounds it: 2 N in out operations. Throws if the widths do not fit.
template <class T>
void linear_forward(View<T, Cpu> y, ConstView<T, Cpu> x, ConstView<T, Cpu> weight, ConstView<T, Cpu> bias,
                    ConstView<T, Cpu> residual = {}) {
  const std::size_t rows = x.rows(), in = x.width(), out = weight.extent(0);
  require_fit(weight.width() == in && y.rows() == rows && y.width() == out && (bias.empty() || bias.size() == out) &&
                  (residual.empty() || same_rows(residual, y)),
              "linear_forward", "y x weight bias residual",
              "y (N, out), x (N, in), weight (out, in), bias (out) or none, residual (N, out) or none", y, x, weight, bias,
              residual);
  if (!bias.empty()) {
    parallel_ranges(rows, 64, [&](std::size_t begin, std::size_t end) {
      for (std::size_t n = begin; n < end; ++n) std::copy_n(bias.data(), out, y.data() + n * out);
    });
  }
  parallel_gemm(Transpose::no, Transpose::yes, rows, out, in, T(1), x.data(), in, weight.data(), in, bias.empty() ? T(0) : T(1),
                y.data(), out);
  if (!residual.empty()) add(y, View<const T>(y), residual);
}

/// As `reference::linear_backward_input`, by one GEMM.
template <class T>
void linear_backward_input(View<T, Cpu> dx, ConstView<T, Cpu> dy, ConstView<T, Cpu> weight,
                           WriteMode mode = WriteMode::overwrite) {
  require_fit(dx.rows() == dy.rows() && dx.width() == weight.width() && dy.width() == weight.extent(0), "linear_backward_input",
              "dx dy weight", "dx (N, in), dy (N, out), weight (out, in)", dx, dy, weight);
  const std::size_t in = weight.width(), out = weight.extent(0);
  parallel_gemm(Transpose::no, Transpose::no, dy.rows(), in, out, T(1), dy.data(), out, weight.data(), in,
                mode == WriteMode::accumulate ? T(1) : T(0), dx.data(), in);
}

/// As `reference::linear_backward_bias`, each thread 64 columns. Memory bounds it: N out numbers read, one addition each.
template <class T>
void linear_backward_bias(View<T, Cpu> dbias, ConstView<T, Cpu> dy) {
  require_fit(dbias.empty() || dbias.size() == dy.width(), "linear_backward_bias", "dbias dy", "dbias (out) or none, dy (N, out)",
              dbias, dy);
  parallel_ranges(dbias.size(), 64, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = 0; n < dy.rows(); ++n)
      for (std::size_t i = begin; i < end; ++i) dbias.data()[i] += dy.data()[n * dbias.size() + i];
  });
}

/// As `reference::linear_backward_weight`, by one GEMM.
template <class T>
void linear_backward_weight(View<T, Cpu> dweight, View<T, Cpu> dbias, ConstView<T, Cpu> dy, ConstView<T, Cpu> x) {
  require_fit(dy.rows() == x.rows() && dweight.width() == x.width() && dweight.extent(0) == dy.width(), "linear_backward_weight",
              "dweight dy x", "dweight (out, in), dy (N, out), x (N, in)", dweight, dy, x);
  const std::size_t in = x.width(), out = dy.width();
  parallel_gemm(Transpose::yes, Transpose::no, out, in, x.rows(), T(1), dy.data(), out, x.data(), in, T(1), dweight.data(), in);
  linear_backward_bias(dbias, dy);
}

}  // namespace skipv1
