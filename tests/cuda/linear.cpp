#include "skipv1/ops/linear.cuh"

#include "skipv1/ops/linear.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_TEST_CASE("linear on the device is linear on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(51);
  const std::size_t shapes[][3] = {{1, 1, 1},      {3, 7, 31},   {33, 63, 65}, {65, 31, 3}, {127, 33, 1},
                                   {129, 127, 65}, {1, 129, 64}, {7, 64, 128}, {64, 8, 16}};
  for (const auto& [rows, in, out] : shapes) {
    const auto x = normal<T>({rows, in}, random), weight = normal<T>({out, in}, random), bias = normal<T>({out}, random),
               dy = normal<T>({rows, out}, random);
    auto y = poisoned<T>({rows, out});
    linear_forward<T>(y, x, weight, View<T, Cuda>(), View<T, Cuda>(), version);
    linear_forward<double>(y.host, x.host, weight.host, View<double>());
    check_close("linear_forward y without bias", y);
    linear_forward<T>(y, x, weight, bias, View<T, Cuda>(), version);
    linear_forward<double>(y.host, x.host, weight.host, bias.host);
    check_close("linear_forward y", y);
    const auto residual = normal<T>({rows, out}, random);
    linear_forward<T>(y, x, weight, View<T, Cuda>(), residual, version);
    linear_forward<double>(y.host, x.host, weight.host, View<double>(), residual.host);
    check_close("linear_forward y with residual", y);
    linear_forward<T>(y, x, weight, bias, residual, version);
    linear_forward<double>(y.host, x.host, weight.host, bias.host, residual.host);
    check_close("linear_forward y with both", y, 2 * bound<T>);
    auto dx = poisoned<T>({rows, in}), dweight = normal<T>({out, in}, random), dbias = normal<T>({out}, random);
    for (bool add : {false, true}) {
      linear_backward_input<T>(dx, dy, weight, add, version);
      linear_backward_input<double>(dx.host, dy.host, weight.host, add);
      check_close("linear_backward_input dx", dx);
    }
    linear_backward_weight<T>(dweight, dbias, dy, x, version);
    linear_backward_weight<double>(dweight.host, dbias.host, dy.host, x.host);
    check_close("linear_backward_weight dweight", dweight);
    check_close("linear_backward_weight dbias", dbias, 2 * bound<T>);
  }
}
