#include "skipv1/ops/gelu.hpp"

#include <numbers>

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
void check_gelu_forward(Size size) {
  const Tensor<T> x = draw<T>({size.rows, size.width}, 1);
  Tensor<T> y = poisoned<T>(x.shape());
  gelu_forward(y, x);
  Tensor<double> expected = wide(x);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double v = expected.data()[i];
    expected.data()[i] = v / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
  }
  CHECK(error(y, expected) < rounding<T>);
}

template <class T>
void check_large_gelu() {
  const Tensor<T> dy = filled<T>({1}, 3);
  for (T v : {T(1e4), T(30), T(-30), T(-1e4)}) {
    CAPTURE(v);
    const Tensor<T> x = filled<T>({1}, v);
    Tensor<T> y({1}), dx({1});
    gelu_forward(y, x);
    gelu_backward(dx, dy, x);
    CHECK(y(0) == (v > 0 ? v : T(0)));
    CHECK(dx(0) == (v > 0 ? T(3) : T(0)));
  }
}

}  // namespace

TEST_CASE("gelu equals its formula with tanh") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    check_gelu_forward<double>(size);
    check_gelu_forward<float>(size);
  }
}

TEST_CASE("gelu's gradient equals finite differences, in place too") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> x = draw<double>({size.rows, size.width}, 1, 2), dy = draw<double>(x.shape(), 2);
    Tensor<double> y(x.shape()), dx = poisoned<double>(x.shape()), in_place = dy;
    const auto loss = [&] {
      gelu_forward(y, x);
      return dot(y, dy);
    };
    gelu_backward(dx, dy, x);
    gelu_backward(in_place, in_place, x);
    CHECK(gradient_error(x, dx, loss) < gradient_bound);
    CHECK(same_bits<double>(in_place, dx));
  }
}

TEST_CASE("gelu where its exponential overflows is x or zero") {
  check_large_gelu<double>();
  check_large_gelu<float>();
}
