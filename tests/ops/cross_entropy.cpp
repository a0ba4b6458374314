#include "skipv1/ops/cross_entropy.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// Targets over `vocab`, every third row ignored.
Tensor<std::int32_t> draw_targets(std::size_t rows, std::size_t vocab) {
  Tensor<std::int32_t> targets({rows});
  Random random(rows);
  for (std::size_t n = 0; n < rows; ++n)
    targets(n) = n % 3 == 2 ? ignored_target : static_cast<std::int32_t>(random.below(vocab));
  return targets;
}

template <class T>
void check_forward(Size size) {
  const Tensor<T> logits = draw<T>({size.rows, size.width}, 1, 4);
  const Tensor<std::int32_t> targets = draw_targets(size.rows, size.width);
  Tensor<T> loss = poisoned<T>({size.rows}), with_gradient = loss, dlogits(logits.shape());
  cross_entropy(loss, View<T>(), logits, targets, 1);
  cross_entropy(with_gradient, dlogits, logits, targets, 1);
  Tensor<double> expected = zeros<double>({size.rows});
  for (std::size_t n = 0; n < size.rows; ++n) {
    if (targets(n) == ignored_target) continue;
    double sum = 0;
    for (std::size_t v = 0; v < size.width; ++v) sum += std::exp(static_cast<double>(logits(n, v)));
    expected(n) = std::log(sum) - static_cast<double>(logits(n, static_cast<std::size_t>(targets(n))));
  }
  CHECK(error(loss, expected) < rounding<T>);
  CHECK(error(with_gradient, expected) < rounding<T>);
}

template <class T>
void check_large() {
  Tensor<T> logits({4, 3}), loss({4}), dlogits = poisoned<T>({4, 3});
  const T rows[4][3] = {
      {T(1e4), T(1e4), T(-1e4)}, {T(-1e4), T(-1e4), T(-1e4)}, {T(1e4), T(-1e4), T(0)}, {T(1e4), T(9999), T(9998)}};
  std::copy_n(&rows[0][0], 12, logits.data());
  Tensor<std::int32_t> targets({4});
  targets(0) = 0, targets(1) = 2, targets(2) = 1, targets(3) = 1;
  cross_entropy(loss, dlogits, logits, targets, 1);
  const double e = std::exp(-1.0);
  Tensor<double> expected({4}), gradient({4, 3});
  const double losses[] = {std::log(2.0), std::log(3.0), 2e4, std::log(1 + e + e * e) + 1}, s = 1 + e + e * e;
  const double gradients[] = {-0.5, 0.5, 0, 1. / 3, 1. / 3, -2. / 3, 1, -1, 0, 1 / s, e / s - 1, e * e / s};
  for (std::size_t n = 0; n < 4; ++n) CHECK(loss(n) == Approx(losses[n]).epsilon(rounding<T>));
  std::copy_n(gradients, 12, gradient.data());
  CHECK(error(dlogits, gradient) < rounding<T>);
}

}  // namespace

TEST_CASE("cross_entropy equals its formula; an ignored target costs nothing") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    check_forward<double>(size);
    check_forward<float>(size);
  }
}

TEST_CASE("cross_entropy's gradient equals finite differences, in place too") {
  for (Size size : sizes) {
    CAPTURE(size.rows, size.width);
    const Tensor<double> logits = draw<double>({size.rows, size.width}, 1);
    const Tensor<std::int32_t> targets = draw_targets(size.rows, size.width);
    Tensor<double> losses({size.rows}), dlogits = poisoned<double>(logits.shape()), in_place = logits;
    const auto loss = [&] {
      cross_entropy(losses, View<double>(), logits, targets, 0.25);
      return 0.25 * dot(losses, filled<double>(losses.shape(), 1));
    };
    cross_entropy(losses, dlogits, logits, targets, 0.25);
    const Tensor<double> kept = losses;
    CHECK(gradient_error(logits, dlogits, loss) < gradient_bound);
    cross_entropy(losses, in_place, in_place, targets, 0.25);
    CHECK(same_bits<double>(in_place, dlogits));
    CHECK(same_bits<double>(losses, kept));
    for (std::size_t n = 2; n < size.rows; n += 3) CHECK(largest(dlogits.slice(n, 1)) == 0);
  }
}

TEST_CASE("cross_entropy of large and of equal logits") {
  check_large<double>();
  check_large<float>();
  for (std::size_t vocab : {1u, 3u, 1000u}) {
    Tensor<double> loss({1});
    cross_entropy(loss, View<double>(), filled<double>({1, vocab}, -7), zeros<std::int32_t>({1}), 1);
    CHECK(loss(0) == Approx(std::log(vocab)).margin(1e-15));
  }
}
