#include "skipv1/ops/rms_norm.hpp"

#include "skipv1/ops/layer_norm.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr double rms_epsilon = 1e-5;

template <class T>
void check_rms_norm_forward(Size size) {
  const Tensor<T> x = draw<T>({size.rows, size.width}, 1), weight = draw<T>({size.width}, 2);
  Tensor<T> y = poisoned<T>(x.shape()), inverse_rms = poisoned<T>({size.rows});
  rms_norm_forward(y, inverse_rms, x, weight, rms_epsilon);
  Tensor<double> expected(x.shape()), inverse({size.rows});
  for (std::size_t n = 0; n < size.rows; ++n) {
    double square = 0;
    for (std::size_t i = 0; i < size.width; ++i) square += static_cast<double>(x(n, i)) * static_cast<double>(x(n, i));
    inverse(n) = 1 / std::sqrt(square / static_cast<double>(size.width) + rms_epsilon);
    for (std::size_t i = 0; i < size.width; ++i)
      expected(n, i) = static_cast<double>(x(n, i)) * inverse(n) * static_cast<double>(weight(i));
  }
  CHECK(error(y, expected) < rounding<T>);
  CHECK(error(inverse_rms, inverse) < rounding<T>);
}

}  // namespace

TEST_CASE("rms_norm equals its formula") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    check_rms_norm_forward<double>(size);
    check_rms_norm_forward<float>(size);
  }
}

TEST_CASE("rms_norm adds the gradients of finite differences") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> x = draw<double>({size.rows, size.width}, 1), weight = draw<double>({size.width}, 2),
                         dy = draw<double>(x.shape(), 3);
    Tensor<double> y(x.shape()), inverse_rms({size.rows});
    const auto loss = [&] {
      rms_norm_forward(y, inverse_rms, x, weight, rms_epsilon);
      return dot(y, dy);
    };
    loss();
    const Tensor<double> dx0 = draw<double>(x.shape(), 4), dweight0 = draw<double>(weight.shape(), 5);
    Tensor<double> dx = dx0, dweight = dweight0;
    const Tensor<double> sums0 = draw<double>(weight.shape(), 6);
    Tensor<double> sums = sums0;
    Tensor<double> made = dy;  // what the forward pass made, in the place of dy
    rms_norm_backward(dx, dweight, made, x, weight, inverse_rms, sums, made);
    CHECK(error(made, y) < rounding<double>);
    CHECK(error(sums, plus_row_sums(sums0, dx)) < rounding<double>);
    CHECK(gradient_error(x, added(dx, dx0), loss) < gradient_bound);
    CHECK(gradient_error(weight, added(dweight, dweight0), loss) < gradient_bound);
  }
}

TEST_CASE("rms_norm of zeros is zero, its gradient finite") {
  const Tensor<float> x = zeros<float>({2, 5}), weight = filled<float>({5}, 1), dy = filled<float>({2, 5}, 1);
  Tensor<float> y = poisoned<float>({2, 5}), inverse_rms({2}), dx = zeros<float>({2, 5}), dweight = zeros<float>({5});
  rms_norm_forward(y, inverse_rms, x, weight, rms_epsilon);
  rms_norm_backward(dx, dweight, dy, x, weight, inverse_rms);
  CHECK(largest(y) == 0);
  CHECK(dx(1, 4) == Approx(1 / std::sqrt(rms_epsilon)));
  CHECK(largest(dweight) == 0);
}

TEST_CASE("norms of a row whose squares overflow are NaN, not 0") {
  for (const float value : {1e18f, 1e38f}) {
    Tensor<float> x({2, 4}), weight({4}), bias({4}), y({2, 4}), inverse_rms({2}), statistics({2, 2});
    for (std::size_t i = 0; i < 4; ++i)
      x(0, i) = i % 2 ? value : -value, x(1, i) = i % 2 ? 1.0f : -1.0f, weight(i) = 1, bias(i) = 0;
    const bool overflows = value > 1e20f;
    rms_norm_forward(y, inverse_rms, x, weight, rms_epsilon);
    for (std::size_t i = 0; i < 4; ++i) CHECK((std::isnan(y(0, i)) == overflows && std::abs(std::abs(y(1, i)) - 1) < 1e-4));
    layer_norm_forward(y, statistics, x, weight, bias, rms_epsilon);
    for (std::size_t i = 0; i < 4; ++i) CHECK((std::isnan(y(0, i)) == overflows && std::abs(std::abs(y(1, i)) - 1) < 1e-4));
  }
}
