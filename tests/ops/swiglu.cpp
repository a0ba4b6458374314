#include "skipv1/ops/swiglu.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
void check_swiglu_forward(Size size) {
  const Tensor<T> gate = draw<T>({size.rows, size.width}, 1, 3), up = draw<T>(gate.shape(), 2);
  Tensor<T> y = poisoned<T>(gate.shape());
  swiglu_forward(y, gate, up);
  Tensor<double> expected = wide(gate);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double g = expected.data()[i];
    expected.data()[i] = g / (1 + std::exp(-g)) * static_cast<double>(up.data()[i]);
  }
  CHECK(error(y, expected) < rounding<T>);
}

template <class T>
void check_large_swiglu() {
  const Tensor<T> up = filled<T>({1}, 2), dy = filled<T>({1}, 3);
  for (T g : {T(1e4), T(-1e4)}) {
    CAPTURE(g);
    const Tensor<T> gate = filled<T>({1}, g);
    Tensor<T> y({1}), dgate({1}), dup({1});
    swiglu_forward(y, gate, up);
    swiglu_backward(dgate, dup, dy, gate, up);
    CHECK(y(0) == (g > 0 ? 2 * g : T(0)));
    CHECK(dgate(0) == (g > 0 ? T(6) : T(0)));
    CHECK(dup(0) == (g > 0 ? 3 * g : T(0)));
  }
}

}  // namespace

TEST_CASE("swiglu equals its formula") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    check_swiglu_forward<double>(size);
    check_swiglu_forward<float>(size);
  }
}

TEST_CASE("swiglu's gradients equal finite differences, in place too") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> gate = draw<double>({size.rows, size.width}, 1, 2), up = draw<double>(gate.shape(), 2),
                         dy = draw<double>(gate.shape(), 3);
    Tensor<double> y(gate.shape()), dgate = poisoned<double>(gate.shape()), dup = poisoned<double>(gate.shape());
    const auto loss = [&] {
      swiglu_forward(y, gate, up);
      return dot(y, dy);
    };
    swiglu_backward(dgate, dup, dy, gate, up);
    CHECK(gradient_error(gate, dgate, loss) < gradient_bound);
    CHECK(gradient_error(up, dup, loss) < gradient_bound);
    Tensor<double> in_place = dy, again(gate.shape());
    swiglu_backward(again, in_place, in_place, gate, up);
    CHECK(same_bits<double>(in_place, dup));
    CHECK(same_bits<double>(again, dgate));
  }
}

TEST_CASE("swiglu where its exponential overflows is the product or zero") {
  check_large_swiglu<double>();
  check_large_swiglu<float>();
}
