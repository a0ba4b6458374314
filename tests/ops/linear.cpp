#include "skipv1/ops/linear.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

struct LinearSize {
  std::size_t rows, in, out;
};
constexpr LinearSize linear_sizes[] = {{1, 1, 1}, {1, 64, 3}, {3, 1, 65}, {63, 5, 127}, {129, 65, 1}, {2, 127, 64}, {65, 63, 3}};

template <class T>
void check_forward(LinearSize s, bool with_bias) {
  const Tensor<T> x = draw<T>({s.rows, s.in}, 1), weight = draw<T>({s.out, s.in}, 2);
  const Tensor<T> bias = with_bias ? draw<T>({s.out}, 3) : Tensor<T>();
  Tensor<T> y = poisoned<T>({s.rows, s.out});
  linear_forward(y, x, weight, bias);
  Tensor<double> expected = zeros<double>(y.shape());
  for (std::size_t n = 0; n < s.rows; ++n) {
    for (std::size_t o = 0; o < s.out; ++o) {
      for (std::size_t i = 0; i < s.in; ++i) expected(n, o) += static_cast<double>(x(n, i)) * static_cast<double>(weight(o, i));
      if (with_bias) expected(n, o) += static_cast<double>(bias(o));
    }
  }
  CHECK(error(y, expected) < rounding<T>);
}

}  // namespace

TEST_CASE("linear equals its formula, with and without bias") {
  for (LinearSize s : linear_sizes) {
    for (bool with_bias : {false, true}) {
      CAPTURE(s.rows, s.in, s.out, with_bias);
      check_forward<double>(s, with_bias);
      check_forward<float>(s, with_bias);
    }
  }
}

TEST_CASE("linear of the few rows that decoding has") {
  for (std::size_t rows : {1u, 2u, 3u, 4u, 5u, 8u, 9u}) {
    CAPTURE(rows);
    for (std::size_t out : {63u, 64u, 65u, 1025u}) {
      check_forward<double>({rows, 65, out}, true);
      check_forward<float>({rows, 65, out}, false);
    }
    const Tensor<float> x = draw<float>({rows, 65}, 1), weight = draw<float>({1025, 65}, 2), bias = draw<float>({1025}, 3);
    CHECK(thread_invariant([&] {
      Tensor<float> y({rows, 1025});
      linear_forward(y, x, weight, bias);
      return y;
    }));
  }
}

TEST_CASE("linear's gradients equal finite differences; weights' are added, the input's where asked") {
  for (LinearSize s : linear_sizes) {
    CAPTURE(s.rows, s.in, s.out);
    const Tensor<double> x = draw<double>({s.rows, s.in}, 1), weight = draw<double>({s.out, s.in}, 2),
                         bias = draw<double>({s.out}, 3);
    const Tensor<double> dy = draw<double>({s.rows, s.out}, 4);
    Tensor<double> y(dy.shape());
    const auto loss = [&] {
      linear_forward(y, x, weight, bias);
      return dot(y, dy);
    };
    const Tensor<double> dx0 = draw<double>(x.shape(), 5), dweight0 = draw<double>(weight.shape(), 6),
                         dbias0 = draw<double>(bias.shape(), 7);
    Tensor<double> written = poisoned<double>(x.shape()), dx = dx0, dweight = dweight0, dbias = dbias0;
    linear_backward_input(written, dy, weight);
    linear_backward_input(dx, dy, weight, WriteMode::accumulate);
    linear_backward_weight(dweight, dbias, dy, x);
    CHECK(gradient_error(x, written, loss) < gradient_bound);
    CHECK(gradient_error(x, added(dx, dx0), loss) < gradient_bound);
    CHECK(gradient_error(weight, added(dweight, dweight0), loss) < gradient_bound);
    CHECK(gradient_error(bias, added(dbias, dbias0), loss) < gradient_bound);
    Tensor<double> without = dweight0;
    linear_backward_weight(without, View<double>(), dy, x);
    CHECK(same_bits<double>(without, dweight));
  }
}

TEST_CASE("linear refuses widths that do not fit, and names the shapes") {
  Tensor<float> y({2, 5});
  const Tensor<float> x({2, 3}), weight({5, 4});
  CHECK(
      message([&] { linear_forward(y, x, weight, {}); }) ==
      "linear_forward: y (2, 5), x (2, 3), weight (5, 4), no bias, no residual do not fit: must be y (N, out), x (N, in), weight "
      "(out, in), bias (out) or none, residual (N, out) or none");
  CHECK_THROWS_AS(linear_forward(y, Tensor<float>({3, 4}), weight, {}), Error);
  CHECK_THROWS_AS(linear_forward(y, Tensor<float>({2, 4}), Tensor<float>({6, 4}), {}), Error);
}

TEST_CASE("linear gives the same bits with any number of threads") {
  const Tensor<float> x = draw<float>({700, 65}, 1), weight = draw<float>({1100, 65}, 2), bias = draw<float>({1100}, 3);
  CHECK(thread_invariant([&] {
    Tensor<float> y({700, 1100});
    linear_forward(y, x, weight, bias);
    return y;
  }));
  CHECK(thread_invariant([&] {
    Tensor<float> dweight = zeros<float>({65, 65}), dbias = zeros<float>({65});
    linear_backward_weight(dweight, dbias, x, x);
    return dweight;
  }));
}
