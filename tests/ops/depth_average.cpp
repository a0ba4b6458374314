#include "skipv1/ops/depth_average.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
void check_forward(std::size_t depth, Size size) {
  const Tensor<T> x = draw<T>({depth, size.rows, size.width}, 1), weights = draw<T>({depth}, 2);
  Tensor<T> y = poisoned<T>({size.rows, size.width});
  depth_average_forward(y, x, weights);
  Tensor<double> expected = zeros<double>(y.shape());
  for (std::size_t j = 0; j < depth; ++j)
    for (std::size_t i = 0; i < y.size(); ++i)
      expected.data()[i] += static_cast<double>(weights(j)) * static_cast<double>(x.data()[j * y.size() + i]);
  CHECK(error(y, expected) < rounding<T>);
}

}  // namespace

TEST_CASE("depth_average equals its formula") {
  for (std::size_t depth : {1u, 2u, 5u}) {
    for (Size size : sizes) {
      CAPTURE(depth, size.rows, size.width);
      check_forward<double>(depth, size);
      check_forward<float>(depth, size);
    }
  }
  check_forward<double>(3, {130, 127});  // beyond one block of the loop
}

TEST_CASE("depth_average adds the gradients of finite differences") {
  for (std::size_t depth : {1u, 3u}) {
    for (Size size : sizes) {
      CAPTURE(depth, size.rows, size.width);
      const Tensor<double> x = draw<double>({depth, size.rows, size.width}, 1), weights = draw<double>({depth}, 2);
      const Tensor<double> dy = draw<double>({size.rows, size.width}, 3);
      Tensor<double> y(dy.shape());
      const auto loss = [&] {
        depth_average_forward(y, x, weights);
        return dot(y, dy);
      };
      const Tensor<double> dx0 = draw<double>(x.shape(), 4), dweights0 = draw<double>({depth}, 5);
      Tensor<double> dx = dx0, dweights = dweights0;
      depth_average_backward(dx, dweights, dy, x, weights);
      CHECK(gradient_error(x, added(dx, dx0), loss) < gradient_bound);
      CHECK(gradient_error(weights, added(dweights, dweights0), loss) < gradient_bound);
    }
  }
}
