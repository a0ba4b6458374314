// A linear map and its GELU on the device: see linear_gelu.hpp. The first version is the reference's two steps, each by its
// first kernel; the fast one is one pass of cuBLASLt with GELU in the epilogue where it can, else two passes.
#pragma once

#include "skipv1/ops/gelu.cuh"
#include "skipv1/ops/linear.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Compute bounds it: 2 N in out operations; a GELU in the epilogue saves reading `before` again. That GELU is
/// of `before` as it was before rounding. One row takes two passes.
template <class T>
void linear_gelu_forward(View<T, Device> y, View<T, Device> before, ConstView<T, Device> x, ConstView<T, Device> weight,
                         ConstView<T, Device> bias, Version version = Version::fast) {
  const std::size_t rows = x.rows(), in = x.width(), out = weight.extent(0);
  require(weight.width() == in && y.rows() == rows && y.width() == out && before.shape() == y.shape(), "linear: x ", x.shape(),
          " times weight ", weight.shape(), " transposed does not give y ", y.shape(), " and ", before.shape(), " before GELU");
  const Product product{.m = rows, .n = out, .k = in, .transpose_b = true, .bias = !bias.empty(), .gelu = true};
  const ProductOf<T> of{
      .c = y.data(), .a = x.data(), .b = weight.data(), .bias = bias.empty() ? nullptr : bias.data(), .before = before.data()};
  if (version == Version::fast && rows > 1 && matrix_product<T>(product, of)) return;
  linear_forward<T>(before, x, weight, bias, View<T, Device>(), version);
  gelu_forward<T>(y, before, version);
}
template <class T>
void gelu_linear_backward(View<T, Device> dbefore, ConstView<T, Device> dy, ConstView<T, Device> weight,
                          ConstView<T, Device> before, Version version = Version::fast) {
  const Product product{.m = dy.rows(), .n = weight.width(), .k = weight.extent(0), .slope = true};
  const ProductOf<T> of{.c = dbefore.data(), .a = dy.data(), .b = weight.data(), .slope_at = before.data()};
  if (version == Version::fast && matrix_product<T>(product, of)) return;
  linear_backward_input<T>(dbefore, dy, weight, WriteMode::overwrite, version);
  gelu_backward<T>(dbefore, dbefore, before, version);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
