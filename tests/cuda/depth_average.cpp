#include "skipv1/ops/depth_average.cuh"

#include "skipv1/ops/depth_average.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("depth_average on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  Random random(41);
  for (const auto& [rows, d] : row_shapes()) {
    const std::size_t count = 1 + rows % 5;
    const auto x = normal<T>({count, rows, d}, random), weights = normal<T>({count}, random), dy = normal<T>({rows, d}, random);
    auto y = unwritten<T>({rows, d}), dx = normal<T>({count, rows, d}, random), dweights = normal<T>({count}, random);
    depth_average_forward<T>(y, x, weights);
    reference::depth_average_forward<double>(y.host, x.host, weights.host);
    check_close("depth_average_forward y", y);
    depth_average_backward<T>(dx, dweights, dy, x, weights);
    reference::depth_average_backward<double>(dx.host, dweights.host, dy.host, x.host, weights.host);
    check_close("depth_average_backward dx", dx);
    check_close("depth_average_backward dweights", dweights, 4 * bound<T>);
  }
}
