#include "skipv1/core/tensor.hpp"

#include "skipv1/core/xtensor.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

Tensor<float> counting(Shape shape) {
  Tensor<float> x(shape);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
  return x;
}

}  // namespace

TEST_CASE("a tensor owns its memory: a copy has its own") {
  const Tensor<float> x = counting({2, 3});
  const Tensor<float> y = x;
  y(1, 2) = 9;
  CHECK(x(1, 2) == 5);
  CHECK(y(1, 1) == 4);
  CHECK(y.shape() == x.shape());
  Tensor<float> z;
  z = x;
  CHECK(z(0, 1) == 1);
  CHECK(z.data() != x.data());
  z = static_cast<const Tensor<float>&>(z);  // to itself
  CHECK(z(1, 2) == 5);
}

TEST_CASE("a moved tensor hands its memory on and is empty") {
  Tensor<float> x = counting({2, 3});
  const float* data = x.data();
  Tensor<float> y = std::move(x);
  CHECK(y.data() == data);
  CHECK(y(1, 2) == 5);
  CHECK(x.empty());  // NOLINT: that is what is tested
  Tensor<float> z = counting({7});
  z = std::move(y);
  CHECK(z.data() == data);
  CHECK(z.shape() == Shape{2, 3});
  CHECK(y.empty());  // NOLINT
  x = counting({4});
  CHECK(x(3) == 3);
}

TEST_CASE("tensors without elements: none, copied, moved, of extent zero") {
  const Tensor<float> none, copied = none;
  CHECK(none.empty());
  CHECK(copied.empty());
  CHECK(Tensor<float>(Tensor<float>()).empty());
  const Tensor<float> flat({3, 0}), again = flat;
  CHECK(again.empty());
  CHECK(again.shape() == Shape{3, 0});
}

TEST_CASE("a tensor from an xtensor array, and back") {
  const Tensor<float> x = from_xtensor(xt::xarray<float>{{1, 2, 3}, {4, 5, 6}});
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x(1, 0) == 4);
  const auto array = as_xtensor<float>(x);
  CHECK(array.dimension() == 2);
  CHECK(array(0, 2) == 3);
  CHECK(&array(0, 0) == x.data());
  const xt::xarray<float> doubled = 2 * array;
  CHECK(doubled(1, 1) == 10);
  CHECK_THROWS_AS(from_xtensor<float>(xt::xarray<float>::from_shape({1, 1, 1, 1, 1})), Error);
}

TEST_CASE("a tensor's views point into it") {
  const Tensor<float> x = counting({3, 2});
  CHECK(x.slice(1, 1).data() == x.data() + 2);
  CHECK(x.reshape({2, 3})(1, 0) == 3);
}

TEST_CASE("zero and zeros") {
  const Tensor<float> x = counting({2, 3});
  zero(View<float>(x.slice(1, 1)));
  CHECK(x(0, 2) == 2);
  CHECK(x(1, 0) == 0);
  CHECK(x(1, 2) == 0);
  const Tensor<double> cleared = zeros<double>({5});
  CHECK(test::largest(cleared) == 0);
  CHECK(zeros<double>({5}).size() == 5);
}

TEST_CASE("copy copies between equal shapes and names unequal ones") {
  const Tensor<float> x = counting({2, 3}), y = zeros<float>({2, 3});
  copy(y, x);
  CHECK(test::same_bits<float>(x, y));
  CHECK(message([&] { copy(y, x.reshape({3, 2})); }) == "copy: (3, 2) into (2, 3): shapes must be equal");
}
