#include "skipv1/ops/layer_norm.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr double epsilon = 1e-5;

template <class T>
void check_layer_norm_forward(Size size) {
  const Tensor<T> x = draw<T>({size.rows, size.width}, 1), weight = draw<T>({size.width}, 2), bias = draw<T>({size.width}, 3);
  Tensor<T> y = poisoned<T>(x.shape()), statistics = poisoned<T>({size.rows, 2});
  layer_norm_forward(y, statistics, x, weight, bias, epsilon);
  const Tensor<double> in = wide(x);
  Tensor<double> expected(x.shape()), expected_statistics({size.rows, 2});
  for (std::size_t n = 0; n < size.rows; ++n) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < size.width; ++i) mean += in(n, i) / static_cast<double>(size.width);
    for (std::size_t i = 0; i < size.width; ++i)
      variance += (in(n, i) - mean) * (in(n, i) - mean) / static_cast<double>(size.width);
    for (std::size_t i = 0; i < size.width; ++i)
      expected(n, i) =
          (in(n, i) - mean) / std::sqrt(variance + epsilon) * static_cast<double>(weight(i)) + static_cast<double>(bias(i));
    expected_statistics(n, 0) = mean;
    expected_statistics(n, 1) = 1 / std::sqrt(variance + epsilon);
  }
  CHECK(error(y, expected) < rounding<T>);
  CHECK(error(statistics, expected_statistics) < rounding<T>);
}

}  // namespace

TEST_CASE("layer_norm equals its formula") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    check_layer_norm_forward<double>(size);
    check_layer_norm_forward<float>(size);
  }
}

TEST_CASE("layer_norm adds the gradients of finite differences") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> x = draw<double>({size.rows, size.width}, 1), weight = draw<double>({size.width}, 2);
    const Tensor<double> bias = draw<double>({size.width}, 3), dy = draw<double>(x.shape(), 4);
    Tensor<double> y(x.shape()), statistics({size.rows, 2});
    const auto loss = [&] {
      layer_norm_forward(y, statistics, x, weight, bias, epsilon);
      return dot(y, dy);
    };
    loss();
    const Tensor<double> dx0 = draw<double>(x.shape(), 5), dweight0 = draw<double>(weight.shape(), 6),
                         dbias0 = draw<double>(bias.shape(), 7);
    Tensor<double> dx = dx0, dweight = dweight0, dbias = dbias0;
    const Tensor<double> sums0 = draw<double>(bias.shape(), 8);
    Tensor<double> sums = sums0;
    Tensor<double> made = dy;  // what the forward pass made, in the place of dy
    layer_norm_backward(dx, dweight, dbias, made, x, weight, statistics, sums, made, bias);
    CHECK(error(made, y) < rounding<double>);
    CHECK(error(sums, plus_row_sums(sums0, dx)) < rounding<double>);
    CHECK(gradient_error(x, added(dx, dx0), loss) < gradient_bound);
    CHECK(gradient_error(weight, added(dweight, dweight0), loss) < gradient_bound);
    CHECK(gradient_error(bias, added(dbias, dbias0), loss) < gradient_bound);
  }
}

TEST_CASE("layer_norm of a constant row is its bias, however large the constant") {
  const Tensor<float> x = filled<float>({1, 64}, 4096), weight = filled<float>({64}, 2), bias = draw<float>({64}, 1);
  Tensor<float> y = poisoned<float>({1, 64}), statistics({1, 2});
  layer_norm_forward(y, statistics, x, weight, bias, epsilon);
  CHECK(same_bits<float>(y.reshape({64}), bias));
}
