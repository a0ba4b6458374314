#include "skipv1/ops/rope.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr double theta = 100;

struct RopeSize {
  std::size_t rows, heads, width, rotary;
};
constexpr RopeSize rope_sizes[] = {{1, 1, 2, 2}, {3, 33, 8, 8}, {65, 2, 6, 6}, {63, 3, 5, 2}, {2, 1, 128, 64}, {4, 3, 7, 0}};

Tensor<std::int32_t> draw_positions(std::size_t n, std::size_t below) {
  Tensor<std::int32_t> positions({n});
  Random random(n);
  for (std::size_t i = 0; i < n; ++i) positions(i) = static_cast<std::int32_t>(random.below(below));
  return positions;
}

template <class T>
void check_forward(RopeSize s) {
  constexpr std::size_t length = 100;
  const Tensor<std::int32_t> positions = draw_positions(s.rows, length);
  const Tensor<T> before = draw<T>({s.rows, s.heads, s.width}, 1);
  Tensor<T> x = before;
  rope(x, rope_table<T>(length, s.rotary, theta), positions);
  Tensor<double> expected = wide(before);
  for (std::size_t n = 0; n < s.rows; ++n) {
    for (std::size_t h = 0; h < s.heads; ++h) {
      for (std::size_t i = 0; i < s.rotary / 2; ++i) {
        const double p = positions(n) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(s.rotary));
        const std::size_t first = s.width - s.rotary + i, second = first + s.rotary / 2;
        const double a = expected(n, h, first), b = expected(n, h, second);
        expected(n, h, first) = a * std::cos(p) - b * std::sin(p);
        expected(n, h, second) = b * std::cos(p) + a * std::sin(p);
      }
    }
  }
  CHECK(error(x, expected) < rounding<T>);
}

}  // namespace

TEST_CASE("rope turns the last part of every head by its row's position") {
  for (RopeSize s : rope_sizes) {
    CAPTURE(s.rows, s.heads, s.width, s.rotary);
    check_forward<double>(s);
    check_forward<float>(s);
  }
}

TEST_CASE("rope's gradient, the inverse turn, equals finite differences and undoes the turn") {
  for (RopeSize s : rope_sizes) {
    CAPTURE(s.rows, s.heads, s.width, s.rotary);
    const Tensor<std::int32_t> positions = draw_positions(s.rows, 9);
    const Tensor<double> table = rope_table<double>(9, s.rotary, theta);
    const Tensor<double> x = draw<double>({s.rows, s.heads, s.width}, 1), dy = draw<double>(x.shape(), 2);
    const auto loss = [&] {
      Tensor<double> y = x;
      rope(y, table, positions);
      return dot(y, dy);
    };
    Tensor<double> dx = dy, back = x;
    rope(dx, table, positions, Rotation::inverse);
    CHECK(gradient_error(x, dx, loss) < gradient_bound);
    rope(back, table, positions);
    rope(back, table, positions, Rotation::inverse);
    CHECK(error(back, x) < rounding<double>);
  }
}

TEST_CASE("scores of rotated queries and keys depend on their distance alone") {
  const Tensor<double> table = rope_table<double>(40, 8, 10000);
  const Tensor<double> q0 = draw<double>({1, 1, 8}, 1), k0 = draw<double>({1, 1, 8}, 2);
  const auto score = [&](std::int32_t at_q, std::int32_t at_k) {
    Tensor<double> q = q0, k = k0;
    rope(q, table, filled<std::int32_t>({1}, at_q));
    rope(k, table, filled<std::int32_t>({1}, at_k));
    return dot(q, k);
  };
  CHECK(score(5, 2) == Approx(score(39, 36)).epsilon(1e-12));
  CHECK(score(0, 0) == Approx(dot(q0, k0)).epsilon(1e-12));
  CHECK(std::abs(score(5, 2) - score(5, 3)) > 1e-3);
}

TEST_CASE("the rotary table of floats is the double one, rounded") {
  const Tensor<float> table = rope_table<float>(5000, 4, 10000);
  const Tensor<double> exact = rope_table<double>(5000, 4, 10000);
  CHECK(table.shape() == Shape{5000, 2, 2});
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < table.size(); ++i) wrong += table.data()[i] != static_cast<float>(exact.data()[i]);
  CHECK(wrong == 0);
  CHECK(exact(4999, 0, 0) == std::cos(4999.0));
  CHECK(exact(4999, 1, 1) == Approx(std::sin(4999.0 / 100)).epsilon(1e-12));
}
