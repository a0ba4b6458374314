#include "skipv1/core/simd.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// Around every multiple of a vector's length: tails of all lengths.
constexpr std::size_t lengths[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 127};

template <class T>
void check_transform(std::size_t n) {
  const Tensor<T> a = draw<T>({n + 1}, 1), b = draw<T>({n + 1}, 2);
  Tensor<T> out = poisoned<T>({n + 1}), in_place = a;
  const auto f = [](auto x, auto y) { return x * y + T(1); };
  transform(n, out.data(), f, a.data(), b.data());
  transform(n, in_place.data(), f, in_place.data(), b.data());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) {
    T alone;
    transform(1, &alone, f, a.data() + i, b.data() + i);  // an element's result does not depend on its place
    wrong += out(i) != alone || in_place(i) != alone || std::abs(alone - (a(i) * b(i) + T(1))) > T(1e-6);
  }
  CHECK(wrong == 0);
  CHECK(std::isnan(out(n)));  // nothing beyond the end is written
  CHECK(in_place(n) == a(n));
}

template <class T>
void check_sums(std::size_t n) {
  const Tensor<T> x = draw<T>({n + 1}, 1);
  x(n) = std::numeric_limits<T>::quiet_NaN();  // nothing beyond the end is read
  double squares = 0, exponentials = 0, scaled = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto v = static_cast<double>(x(i));
    squares += v * v, exponentials += std::exp(v - 0.5), scaled += std::exp(2 * v - 0.5);
  }
  const double bound = rounding<T> * (1 + squares + exponentials + scaled);
  CHECK(std::abs(static_cast<double>(sum_of<T>(
                     n, [](auto v) { return v * v; }, x.data())) -
                 squares) < bound);
  CHECK(std::abs(static_cast<double>(sum_of_exp(n, x.data(), T(0.5))) - exponentials) < bound);
  const Tensor<T> y = x;
  CHECK(std::abs(static_cast<double>(exp_and_sum(n, y.data(), T(2), T(0.5))) - scaled) < bound);
  for (std::size_t i = 0; i < n; ++i) CHECK(y(i) == Approx(std::exp(2 * static_cast<double>(x(i)) - 0.5)).epsilon(rounding<T>));
  CHECK(std::isnan(y(n)));
}

/// `dot_rows` and `add_rows` against plain loops; nothing is written beyond the ends, and nothing read between the rows.
template <class T>
void check_rows(std::size_t n, std::size_t count) {
  const std::size_t stride = n + 3;
  const Tensor<T> x = draw<T>({n}, 1), weight = draw<T>({count}, 2), rows = draw<T>({count + 1, stride}, 3);
  for (std::size_t j = 0; j <= count; ++j)
    for (std::size_t i = j == count ? 0 : n; i < stride; ++i) rows(j, i) = std::numeric_limits<T>::quiet_NaN();
  const Tensor<T> dots = poisoned<T>({count + 1}), y = draw<T>({n + 1}, 4);
  Tensor<double> expected_dots = zeros<double>({count}), expected_y = wide<T>(y);
  for (std::size_t j = 0; j < count; ++j) {
    for (std::size_t i = 0; i < n; ++i) {
      expected_dots(j) += static_cast<double>(x(i)) * static_cast<double>(rows(j, i));
      expected_y(i) += static_cast<double>(weight(j)) * static_cast<double>(rows(j, i));
    }
  }
  const T beyond = y(n);
  dot_rows(n, x.data(), rows.data(), stride, count, dots.data());
  add_rows(n, y.data(), weight.data(), rows.data(), stride, count);
  CHECK(std::isnan(dots(count)));
  CHECK(y(n) == beyond);
  CHECK((count == 0 || error<T>(dots.slice(0, count), expected_dots) < rounding<T>));
  CHECK(error<T>(y, expected_y) < rounding<T>);
}

}  // namespace

TEST_CASE("transform does every element and no other, in place too") {
  for (std::size_t n : lengths) {
    CAPTURE(n);
    check_transform<double>(n);
    check_transform<float>(n);
  }
}

TEST_CASE("sums and exponentials over every length of tail") {
  for (std::size_t n : lengths) {
    CAPTURE(n);
    check_sums<double>(n);
    check_sums<float>(n);
  }
}

TEST_CASE("products with rows and weighted sums of rows: every length of tail, every number of rows left over") {
  for (std::size_t n : lengths) {
    for (std::size_t count : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u}) {
      CAPTURE(n, count);
      check_rows<double>(n, count);
      check_rows<float>(n, count);
    }
  }
}

TEST_CASE("two results at a time are those of one each, where the inputs lie, too") {
  for (std::size_t n : lengths) {
    const Tensor<float> a = draw<float>({n + 1}, 1), b = draw<float>({n + 1}, 2);
    const Tensor<float> sum = poisoned<float>({n + 1}), product = poisoned<float>({n + 1}), first = a, second = b;
    const auto both = [](auto x, auto y) { return std::pair(x + y, x * y); };
    transform(
        n, sum.data(), [](auto x, auto y) { return x + y; }, a.data(), b.data());
    transform(
        n, product.data(), [](auto x, auto y) { return x * y; }, a.data(), b.data());
    transform_to_two(n, first.data(), second.data(), both, first.data(), second.data());
    CAPTURE(n);
    CHECK(std::equal(sum.data(), sum.data() + n, first.data()));
    CHECK(std::equal(product.data(), product.data() + n, second.data()));
    CHECK((first(n) == a(n) && second(n) == b(n)));  // nothing beyond the end is written
    double dot = 0, size = 0;
    for (std::size_t i = 0; i < n; ++i)
      dot += static_cast<double>(a(i)) * static_cast<double>(b(i)), size += std::abs(static_cast<double>(a(i) * b(i)));
    const float found = sum_of<float>(
        n, [](auto x, auto y) { return x * y; }, a.data(), b.data());
    CHECK(std::abs(static_cast<double>(found) - dot) <= rounding<float> * size);
  }
}

TEST_CASE("the largest number wherever it stands, of scaled ones by the sign of the scale") {
  for (std::size_t n : {1u, 2u, 7u, 8u, 9u, 16u, 31u, 64u, 65u}) {
    for (std::size_t at = 0; at < n; ++at) {
      Tensor<double> x = draw<double>({n}, 1);
      x(at) = 100;
      CAPTURE(n, at);
      CHECK(largest_of(n, x.data()) == 100);
      CHECK(largest_of(n, x.data(), 0.1) == 0.1 * 100);
      x(at) = -100;
      CHECK(largest_of(n, x.data(), -3.0) == 300);
      std::fill_n(x.data(), n, -std::numeric_limits<double>::infinity());
      CHECK(largest_of(n, x.data()) == -std::numeric_limits<double>::infinity());
    }
  }
}

TEST_CASE("exponentials that underflow are zero") {
  float x[] = {-1e4f, 0, -1e4f};
  CHECK(exp_and_sum<float>(3, x, 1, 0) == 1);
  CHECK(x[0] == 0);
  CHECK(sum_of_exp<float>(2, x, 1e4f) == 0);
}
