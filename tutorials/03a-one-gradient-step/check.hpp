// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <cmath>

#include "skipv1/core/check.hpp"

namespace exercise {

struct Pairs {
  std::vector<Two> x{{1, 0}, {1, 1}, {0, 2}}, y{{2, 0}, {3, 1}, {2, 2}};

  double loss(const Matrix& W) const {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t r = 0; r < 2; ++r) sum += std::pow(W[r][0] * x[i][0] + W[r][1] * x[i][1] - y[i][r], 2) / 2;
    return sum;
  }
  /// One step from W by finite differences, which of squares are exact but for rounding: to nine decimals.
  Matrix step(const Matrix& W, double eta) const {
    Matrix next = W;
    for (std::size_t r = 0; r < 2; ++r) {
      for (std::size_t c = 0; c < 2; ++c) {
        Matrix above = W, below = W;
        above[r][c] += 1e-4, below[r][c] -= 1e-4;
        next[r][c] = std::round(1e9 * (next[r][c] - eta * (loss(above) - loss(below)) / 2e-4)) / 1e9;
      }
    }
    return next;
  }
};

inline void check_03a_1() {
  const Pairs pairs;
  const Matrix W = first_step(pairs.x, pairs.y, 0.1), right = pairs.step({}, 0.1);
  skipv1::require(pairs.loss(W) < pairs.loss({}), "the loss rises from ", pairs.loss({}), " to ", pairs.loss(W),
                  ": a step goes against the gradient, and the gradient at W = 0 is - sum of y x^T");
  skipv1::require(std::abs(W[0][1] - right[1][0]) > 1e-8 || std::abs(W[1][0] - right[0][1]) > 1e-8,
                  "this is the transpose: y stands at the left, y x^T, so that W maps an x to its y");
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t c = 0; c < 2; ++c)
      skipv1::require(std::abs(W[r][c] - right[r][c]) < 1e-8, "W[", r, "][", c, "] is ", W[r][c], "; finite differences say ",
                      right[r][c]);
}
inline void check_03a_2() {
  const Pairs pairs;
  const Matrix W = pairs.step({}, 0.1);
  for (const Two& q : {Two{1, 0}, Two{0, 1}, Two{-1, 2}}) {
    const Two own = predict(pairs.x, pairs.y, 0.1, q);
    for (std::size_t r = 0; r < 2; ++r)
      skipv1::require(std::abs(own[r] - W[r][0] * q[0] - W[r][1] * q[1]) < 1e-8, "for q = (", q[0], ", ", q[1], ") element ", r,
                      " is ", own[r], ", W_1 q has ", W[r][0] * q[0] + W[r][1] * q[1], ": every y_i counts by x_i . q");
  }
}
inline void check_03a_3() {
  const Pairs pairs;
  const Matrix W = second_step(pairs.x, pairs.y, 0.1), right = pairs.step(pairs.step({}, 0.1), 0.1);
  skipv1::require(std::abs(W[0][1] - right[1][0]) > 1e-8 || std::abs(W[1][0] - right[0][1]) > 1e-8,
                  "this is the transpose: y stands at the left, y x^T, so that W maps an x to its y");
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t c = 0; c < 2; ++c)
      skipv1::require(std::abs(W[r][c] - right[r][c]) < 1e-8, "W[", r, "][", c, "] is ", W[r][c], ", must be ", right[r][c],
                      ": the second gradient is taken at W_1, where the pairs are partly explained");
}

}  // namespace exercise
