// Exercises of tutorial 03a, as a reader finds them. Check one: sh tutorials/exercises.sh 03a-1
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace exercise {

using Two = std::array<double, 2>;
using Matrix = std::array<Two, 2>;

/// 03a-1. W after one step of length eta from W = 0, down the loss `1/2 sum over i of |W x_i - y_i|^2`.
inline Matrix first_step(const std::vector<Two>& x, const std::vector<Two>& y, double eta) {
  Matrix W{};
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t r = 0; r < 2; ++r)
      for (std::size_t c = 0; c < 2; ++c) W[r][c] -= eta * y[i][r] * x[i][c];
  return W;
}

/// 03a-2. What that W predicts for the query q, without making W: a sum over the pairs, as attention takes it.
inline Two predict(const std::vector<Two>& x, const std::vector<Two>& y, double eta, const Two& q) {
  (void)x, (void)eta, (void)q;
  return y.back();
}

/// 03a-3. W after two steps.
inline Matrix second_step(const std::vector<Two>& x, const std::vector<Two>& y, double eta) { return first_step(x, y, 2 * eta); }

}  // namespace exercise
