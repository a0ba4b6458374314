// The task: linear regression in context (the paper's section 4).
#pragma once

#include <cmath>

#include "skipv1/core/random.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1::mesa {

/// `x_i ~ N(0, I_d)`, `W ~ N(W_0, 1)` entrywise, `y_i = W x_i + e_i`, `e_i ~ N(0, s^2 I_d)`: n pairs in context, then the query.
struct Task {
  std::size_t dim = 4;       ///< d, of `x` and of `y`
  std::size_t context = 16;  ///< n
  double noise = 0.1;        ///< s
  Tensor<double> mean = {};  ///< W_0 (d, d); empty: zero

  double mean_at(std::size_t i, std::size_t j) const { return mean.empty() ? 0 : mean(i, j); }
  /// `||W_0||^2`
  double mean_square() const {
    double sum = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) sum += mean.data()[i] * mean.data()[i];
    return sum;
  }
};

/// Throws unless `d >= 1`, `n >= 1`, `s` is finite and not negative and `W_0` is (d, d) and finite, or empty.
inline void check(const Task& task) {
  require(task.dim >= 1, "task: dimension ", task.dim, ": at least 1 is needed");
  require(task.context >= 1, "task: ", task.context, " context pairs: at least 1 is needed");
  require(std::isfinite(task.noise) && task.noise >= 0, "task: noise ", task.noise, ": a number not below 0 is needed");
  const Shape square{task.dim, task.dim};
  require(task.mean.empty() || task.mean.shape() == square, "task: mean W_0 ", task.mean.shape(), ": must be ", square);
  require(std::isfinite(task.mean_square()), "task: mean W_0 has entries that are not finite");
}

/// `W_0 (d, d)` of independent normal entries with the standard deviation `scale`.
inline Tensor<double> random_mean(std::size_t dim, double scale, Random random) {
  Tensor<double> mean({dim, dim});
  for (std::size_t i = 0; i < mean.size(); ++i) mean.data()[i] = scale * random.normal();
  return mean;
}

/// One sequence: the true weights and `n + 1` pairs, the last of which is the query and the label to be predicted.
struct Sample {
  Tensor<double> weights;  ///< W (d, d)
  Tensor<double> x, y;     ///< (n + 1, d)
};

/// Draws a sequence.
inline Sample sample(const Task& task, Random& random) {
  const std::size_t d = task.dim, rows = task.context + 1;
  Sample s{Tensor<double>({d, d}), Tensor<double>({rows, d}), Tensor<double>({rows, d})};
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) s.weights(i, j) = task.mean_at(i, j) + random.normal();
  for (std::size_t t = 0; t < rows; ++t) {
    for (std::size_t j = 0; j < d; ++j) s.x(t, j) = random.normal();
    for (std::size_t i = 0; i < d; ++i) {
      double y = task.noise * random.normal();
      for (std::size_t j = 0; j < d; ++j) y += s.weights(i, j) * s.x(t, j);
      s.y(t, i) = y;
    }
  }
  return s;
}

}  // namespace skipv1::mesa
