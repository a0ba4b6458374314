#include "skipv1/ops/linear.cuh"

#include <cstring>
#include <vector>

#include "skipv1/ops/linear.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// What linear's functions shall give, in double on the host.
struct LinearExpected {
  bool large;

  template <class... A>
  void forward(A&&... a) const {
    large ? linear_forward<double>(a...) : reference::linear_forward<double>(a...);
  }
  template <class... A>
  void backward_input(A&&... a) const {
    large ? linear_backward_input<double>(a...) : reference::linear_backward_input<double>(a...);
  }
  template <class... A>
  void backward_weight(A&&... a) const {
    large ? linear_backward_weight<double>(a...) : reference::linear_backward_weight<double>(a...);
  }
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("linear on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(51);
  ProductShapes shapes = {{1, 1, 1},    {3, 7, 31},  {33, 63, 65},  {65, 31, 3}, {127, 33, 1}, {129, 127, 65}, {1, 129, 64},
                          {7, 64, 128}, {64, 8, 16}, {200, 64, 96}, {1, 64, 33}, {1, 1200, 5}, {1, 8, 128},    {1, 520, 31}};
  add_large(shapes, version);
  for (const auto& shape : shapes) {
    const auto& [rows, in, out] = shape;
    const LinearExpected expected{is_large(shape)};
    const auto x = normal<T>({rows, in}, random), weight = normal<T>({out, in}, random), bias = normal<T>({out}, random),
               dy = normal<T>({rows, out}, random);
    auto y = unwritten<T>({rows, out});
    linear_forward<T>(y, x, weight, View<T, Device>(), View<T, Device>(), version);
    expected.forward(y.host, x.host, weight.host, View<double>());
    check_close("linear_forward y without bias", y);
    linear_forward<T>(y, x, weight, bias, View<T, Device>(), version);
    expected.forward(y.host, x.host, weight.host, bias.host);
    check_close("linear_forward y", y);
    const auto residual = normal<T>({rows, out}, random);
    linear_forward<T>(y, x, weight, View<T, Device>(), residual, version);
    expected.forward(y.host, x.host, weight.host, View<double>(), residual.host);
    check_close("linear_forward y with residual", y);
    linear_forward<T>(y, x, weight, bias, residual, version);
    expected.forward(y.host, x.host, weight.host, bias.host, residual.host);
    check_close("linear_forward y with both", y, 2 * bound<T>);
    auto dx = unwritten<T>({rows, in}), dweight = normal<T>({out, in}, random), dbias = normal<T>({out}, random);
    for (WriteMode mode : {WriteMode::overwrite, WriteMode::accumulate}) {
      linear_backward_input<T>(dx, dy, weight, mode, version);
      expected.backward_input(dx.host, dy.host, weight.host, mode);
      check_close("linear_backward_input dx", dx);
    }
    linear_backward_weight<T>(dweight, View<T, Device>(), dy, x, version);
    expected.backward_weight(dweight.host, View<double>(), dy.host, x.host);
    check_close("linear_backward_weight dweight without bias", dweight);
    linear_backward_weight<T>(dweight, dbias, dy, x, version);
    expected.backward_weight(dweight.host, dbias.host, dy.host, x.host);
    check_close("linear_backward_weight dweight", dweight);
    check_close("linear_backward_weight dbias", dbias, 2 * bound<T>);
    linear_backward_bias<T>(dbias, dy, version);
    reference::linear_backward_bias<double>(dbias.host, dy.host);
    check_close("linear_backward_bias dbias", dbias, 2 * bound<T>);
  }
}

TEMPLATE_LIST_TEST_CASE("a linear map's gradients are the same to the bit each time", "[cuda]", Scalars) {
  using T = TestType;
  Random random(54);
  const auto x = normal<T>({264, 64}, random), dy = normal<T>({264, 96}, random), start = normal<T>({97, 96}, random);
  std::vector<T> first;
  for (int turn = 0; turn < 3; ++turn) {
    const Tensor<T, Device> gradients = start.device;
    const View<T, Device> dweight(gradients.data(), {96, 64}), dbias(gradients.data() + 96 * 96, {96});
    linear_backward_weight<T>(dweight, dbias, dy, x);
    const Tensor<T> host = to_host<T>(gradients);
    const std::vector<T> all(host.data(), host.data() + host.size());
    if (first.empty()) first = all;
    CHECK(std::memcmp(all.data(), first.data(), all.size() * sizeof(T)) == 0);
  }
}
