// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <cmath>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/core/random.hpp"

namespace exercise {

/// A drawn task: its W, and C of its pairs.
struct DrawnTask {
  std::vector<double> W, C;
};
inline DrawnTask drawn_task(std::size_t d, std::size_t n, double s, skipv1::Random& random) {
  DrawnTask task{std::vector<double>(d * d), std::vector<double>(d * d)};
  for (double& w : task.W) w = random.normal();
  std::vector<double> x(d);
  for (std::size_t k = 0; k < n; ++k) {
    for (double& v : x) v = random.normal();
    for (std::size_t i = 0; i < d; ++i) {
      double y = s * random.normal();
      for (std::size_t j = 0; j < d; ++j) y += task.W[i * d + j] * x[j];
      for (std::size_t j = 0; j < d; ++j) task.C[i * d + j] += y * x[j];
    }
  }
  return task;
}

inline void check_04_1() {
  const double own = moment_of_C(3, 5, 0.5);
  skipv1::Random random(4);
  double sum = 0;
  constexpr std::size_t tasks = 20000;
  for (std::size_t t = 0; t < tasks; ++t)
    for (const double c : drawn_task(3, 5, 0.5, random).C) sum += c * c;
  const double drawn = sum / (tasks * 9);
  skipv1::require(std::abs(own / drawn - 1) < 0.03, "d = 3, n = 5, s = 0.5: your second moment is ", own, ", that of ", tasks,
                  " drawn tasks ", std::round(10 * drawn) / 10, "; Isserlis: E[x_a x_b x_c x_d] has three terms");
  skipv1::require(std::abs(moment_of_C(4, 16, 0.1) - 336.16) < 1e-9, "d = 4, n = 16, s = 0.1: ", moment_of_C(4, 16, 0.1),
                  ", must be 336.16");
}

/// A predictor that sees the lower left quarter of C and multiplies it by the best factor.
inline void check_04_2() {
  const double own = least_loss_of_mha(4, 16, 0.1), lambda = 1 / 21.01;
  skipv1::Random random(5);
  double sum = 0;
  constexpr std::size_t tasks = 20000;
  for (std::size_t t = 0; t < tasks; ++t) {
    const DrawnTask task = drawn_task(4, 16, 0.1, random);
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j)
        sum += std::pow(task.W[i * 4 + j] - (i >= 2 && j < 2 ? lambda * task.C[i * 4 + j] : 0), 2);
  }
  const double drawn = sum / tasks + 4 * 0.01;
  skipv1::require(own > 0.97 * drawn, "d = 4, n = 16, s = 0.1: your bound is ", own,
                  ", and true, but not the best: what sees 2 x 2 ", "numbers of C loses ", std::round(10 * drawn) / 10, " on ",
                  tasks, " drawn tasks; yours lets it see all 16");
  skipv1::require(own < 1.03 * drawn, "d = 4, n = 16, s = 0.1: ", own, " is no bound: what sees 2 x 2 numbers of C loses ",
                  std::round(10 * drawn) / 10, " on ", tasks, " drawn tasks");
  skipv1::require(std::abs(least_loss_of_mha(8, 40, 0.1) - 51.0214) < 1e-3,
                  "d = 8, n = 40, s = 0.1: ", least_loss_of_mha(8, 40, 0.1), "; the tutorial minimises to 51.0214");
}

}  // namespace exercise
