#include "skipv1/ops/layer_norm.cuh"

#include "skipv1/ops/layer_norm.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("layer_norm on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  const bool sums = GENERATE(false, true);  // of what dx becomes
  Random random(31);
  auto shapes = row_shapes();
  // More than eight rows per block, then one to sixteen warps per row, and rows that are too long for that.
  shapes.emplace_back(2100, 24);
  for (std::size_t d : {301u, 1100u, 2056u, 1601u}) shapes.emplace_back(3, d);
  for (const auto& [rows, d] : shapes) {
    const auto x = normal<T>({rows, d}, random, 2), weight = normal<T>({d}, random), bias = normal<T>({d}, random),
               dy = normal<T>({rows, d}, random);
    auto y = unwritten<T>({rows, d});
    auto statistics = unwritten<Sum<T>>({rows, 2});
    layer_norm_forward<T>(y, statistics, x, weight, bias, 1e-5, version);
    reference::layer_norm_forward<double>(y.host, statistics.host, x.host, weight.host, bias.host, 1e-5);
    check_close("layer_norm_forward y", y);
    if (d > 3)
      check_close("layer_norm_forward statistics", statistics,
                  10 * bound<Sum<T>>);  // of one number the variance is rounding alone

    statistics = both<Sum<T>>(statistics.host);
    auto dx = normal<T>({rows, d}, random), dweight = normal<T>({d}, random), dbias = normal<T>({d}, random);
    auto dx_sums = normal<T>({d}, random);
    const Tensor<T, Device> made = dy.device;  // what the forward pass made, in the place of dy, where it is wanted
    layer_norm_backward<T>(dx, dweight, dbias, sums ? made : dy.device, x, weight, statistics,
                           sums ? dx_sums.device : View<T, Device>(), sums ? View<T, Device>(made) : View<T, Device>(), bias,
                           version);
    if (sums) check_close("layer_norm_backward y", Both<T>{y.host, made});
    reference::layer_norm_backward<double>(dx.host, dweight.host, dbias.host, dy.host, x.host, weight.host, statistics.host);
    if (d > 1) check_close("layer_norm_backward dx", dx, 10 * bound<T>);
    if (d > 1) check_close("layer_norm_backward dweight", dweight, 10 * bound<T>);
    check_close("layer_norm_backward dbias", dbias, 2 * bound<T>);
    const Tensor<T> became = to_host<T>(dx.device);
    for (std::size_t i = 0; sums && i < rows * d; ++i) dx_sums.host.data()[i % d] += static_cast<double>(became.data()[i]);
    check_close("layer_norm_backward dx_sums", dx_sums, bound<T>, std::sqrt(static_cast<double>(rows)));
  }
}
