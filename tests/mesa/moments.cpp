#include "skipv1/mesa/moments.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

/// T of `Moments` for one drawn sequence, its upper triangle in the same order.
std::vector<double> statistics(const Moments& moments, const Sample& s) {
  const std::size_t d = moments.dim(), n = s.x.extent(0) - 1;
  std::vector<double> t(moments.size(), 0.);
  for (std::size_t i = 0; i < n; ++i) {
    const auto u = [&](std::size_t a) { return a < d ? s.x(i, a) : s.y(i, a - d) / moments.sigma(); };
    for (std::size_t a = 0; a < 2 * d; ++a)
      for (std::size_t b = a; b < 2 * d; ++b) t[moments.index(a, b)] += u(a) * u(b) / static_cast<double>(n);
  }
  return t;
}

/// The largest distance of the exact moments from means over drawn sequences, in standard errors.
double worst_deviation(const Task& task, std::size_t draws) {
  const Moments moments(task);
  const std::size_t m = moments.size(), d2 = task.dim * task.dim;
  std::vector<double> sum(m * (m + d2), 0.), squares = sum;
  Random random(11);
  for (std::size_t k = 0; k < draws; ++k) {
    const Sample s = sample(task, random);
    const std::vector<double> t = statistics(moments, s);
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < m + d2; ++j) {
        const double value = t[i] * (j < m ? t[j] : s.weights.data()[j - m] / moments.sigma());
        sum[i * (m + d2) + j] += value;
        squares[i * (m + d2) + j] += value * value;
      }
    }
  }
  double worst = 0;
  const auto count = static_cast<double>(draws);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < m + d2; ++j) {
      const double mean = sum[i * (m + d2) + j] / count, square = squares[i * (m + d2) + j] / count;
      const double exact = j < m ? moments.second()(i, j) : moments.target()(i, j - m);
      worst = std::max(worst, std::abs(mean - exact) / std::sqrt((square - mean * mean) / count));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("moments of the context's statistics agree with drawn sequences") {
  // The largest of a few hundred normal numbers is about 3; an error in a formula gives tens.
  CHECK(worst_deviation({1, 1, 0.5, {}}, 40000) < 5);
  CHECK(worst_deviation({2, 3, 0.4, random_mean(2, 1.3, Random(5))}, 40000) < 5);
  CHECK(worst_deviation({3, 5, 1.5, random_mean(3, 0.7, Random(6))}, 40000) < 5);
}

TEST_CASE("moments are exact where Wishart matrices' are known") {
  const Task task{3, 7, 0.8, {}};
  const Moments moments(task);
  const double n = 7, d = 3, sigma2 = d + 0.64;
  double squares = 0, labels = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      squares += moments.second()(moments.index(i, j), moments.index(i, j));
      labels += moments.second()(moments.index(3 + i, j), moments.index(3 + i, j));
    }
  }
  CHECK(squares == Approx(d * (n + d + 1) / n));                          // E||X X^T||^2 = n d (n + d + 1)
  CHECK(labels == Approx(d * d * (n + d + 1 + 0.64) / (n * sigma2)));     // E||Y X^T||^2: docs/spec/mesa.md, eq. (3)
  CHECK(moments.target()(moments.index(3, 0), 0) == Approx(1 / sigma2));  // E[(Y X^T)_00 W_00] = n
  CHECK(moments.target()(moments.index(3, 1), 0) == Approx(0).margin(1e-15));
}

TEST_CASE("a task that cannot be is refused with one line") {
  using test::message;
  CHECK(message([] { check({0, 4, 0.1, {}}); }) == "task: dimension 0: at least 1 is needed");
  CHECK(message([] { check({2, 0, 0.1, {}}); }) == "task: 0 context pairs: at least 1 is needed");
  CHECK(message([] { check({2, 4, -1, {}}); }) == "task: noise -1: a number not below 0 is needed");
  CHECK(message([] { Moments({2, 4, 0.1, zeros<double>({2, 3})}); }) == "task: mean W_0 (2, 3): must be (2, 2)");
}
