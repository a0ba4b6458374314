#include "skipv1/ops/adamw.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr std::size_t count = 33000, decayed = 32900;  // beyond one block of the loop, which ends at 32768

/// The largest difference of the parameters from those of `reference::adamw` in double, after five steps.
template <class T>
double worst_difference() {
  const AdamW s{3e-2, 0.8, 0.95, 1e-3, 0.1};
  Tensor<T> p = draw<T>({count}, 1), m = zeros<T>({count}), v = zeros<T>({count});
  Tensor<double> expected = wide(p), first = zeros<double>({count}), second = zeros<double>({count});
  for (std::size_t step = 1; step <= 5; ++step) {
    const Tensor<T> gradients = draw<T>({count}, 10 + step);
    const double scale = 0.25 * static_cast<double>(step);
    adamw(p, m, v, gradients, s, step, decayed, scale);
    reference::adamw<double>(expected, first, second, wide(gradients), s, step, decayed, scale);
  }
  CHECK(error(m, first) < rounding<T>);
  CHECK(error(v, second) < rounding<T>);
  return error(p, expected);
}

}  // namespace

TEST_CASE("adamw equals its reference over several steps; only the prefix decays") {
  CHECK(worst_difference<double>() < rounding<double>);
  CHECK(worst_difference<float>() < rounding<float>);
}

TEST_CASE("adamw's first step has the length of the learning rate, whatever the gradient's") {
  for (float g : {1e-2f, 1e4f}) {
    Tensor<float> p = zeros<float>({2}), m = p, v = p, gradients({2});
    gradients(0) = g, gradients(1) = -g;
    adamw(p, m, v, gradients, AdamW{0.5, 0.9, 0.95, 1e-12, 0.1}, 1, 2, 1);
    CHECK(p(0) == Approx(-0.5));
    CHECK(p(1) == Approx(0.5));
  }
}

TEST_CASE("a gradient of zero leaves decay alone") {
  Tensor<double> p = filled<double>({2}, 2), m = zeros<double>({2}), v = m;
  adamw(p, m, v, zeros<double>({2}), AdamW{0.01, 0.9, 0.95, 1e-8, 0.1}, 1, 1, 1);
  CHECK(p(0) == Approx(2 - 2 * 0.001).epsilon(1e-15));
  CHECK(p(1) == 2);
}

TEST_CASE("the norm is Euclidean, summed in double") {
  const Tensor<float> x = draw<float>({70001}, 1);
  double square = 0;
  for (std::size_t i = 0; i < x.size(); ++i) square += static_cast<double>(x(i)) * static_cast<double>(x(i));
  CHECK(norm(x) == Approx(std::sqrt(square)).epsilon(1e-12));
  const Tensor<float> many = filled<float>({1u << 20}, 1e-2f), large = filled<float>({4}, 1e30f), none;
  CHECK(norm(many) == Approx(1024 * static_cast<double>(1e-2f)).epsilon(1e-12));
  CHECK(norm(large) == Approx(2e30));  // (its square exceeds a float)
  CHECK(norm(none) == 0);
  CHECK(thread_invariant([&] { return filled<double>({1}, norm(x)); }));
}

TEST_CASE("clipping scales down to the limit, never up, and can be off") {
  CHECK(clip_scale(4, 1) == 0.25);
  CHECK(clip_scale(1, 1) == 1);
  CHECK(clip_scale(0.5, 1) == 1);
  CHECK(clip_scale(4, 0) == 1);
  CHECK(clip_scale(4, -1) == 1);
}

TEST_CASE("bfloat16 parameters follow their copy in float, which is stepped as floats are") {
  const AdamW s{1e-3, 0.9, 0.95, 1e-8, 0.1};
  Tensor<float> master = draw<float>({count}, 3), m = zeros<float>({count}), v = m;
  Tensor<float> expected = master, first = m, second = v;
  Tensor<bfloat16> p({count}), gradients({count});
  for (std::size_t step = 1; step <= 3; ++step) {
    const Tensor<float> drawn = draw<float>({count}, 20 + step);
    Tensor<float> rounded({count});
    for (std::size_t i = 0; i < count; ++i) {
      gradients(i) = static_cast<bfloat16>(drawn(i));
      rounded(i) = static_cast<float>(gradients(i));
    }
    adamw<bfloat16>(p, master, m, v, gradients, s, step, decayed, 0.5);
    adamw<float>(expected, first, second, rounded, s, step, decayed, 0.5);
  }
  CHECK(same_bits(View<float>(master), View<float>(expected)));
  CHECK(same_bits(View<float>(v), View<float>(second)));
  for (std::size_t i = 0; i < count; ++i)
    REQUIRE(static_cast<float>(p(i)) == static_cast<float>(static_cast<bfloat16>(master(i))));
}
