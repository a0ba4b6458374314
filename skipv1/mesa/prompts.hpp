// The task as sequences of continuous tokens, for models that learn it: x_1, y_1, …, x_n, y_n, x_{n+1}.
#pragma once

#include <string>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/mesa/task.hpp"

namespace skipv1::mesa {

/// What makes the labels: one W per sequence, as the task says; one W for all sequences, which needs no context; or a W for each
/// pair, which no context tells. The last two are controls.
enum class Labels { context, fixed, fresh };

/// Sequences in units in which a label's coordinate has the variance 1. The features tell x from y by their place: a row is
/// `[x, 1, 0, 0]` or `[0, 0, y, 1]`, so that a matrix reads in x and y by maps of their own, each with a bias.
template <class T>
struct Prompts {
  Tensor<T> features;  ///< (B (2 n + 1), 2 d + 2)
  Tensor<T> labels;    ///< (B, n + 1, d): y_i, also of the query

  std::size_t batch() const { return labels.extent(0); }
  std::size_t pairs() const { return labels.extent(1); }  ///< n + 1, the query's included
  std::size_t dim() const { return labels.extent(2); }
  std::size_t length() const { return 2 * pairs() - 1; }
  /// The row of x_{i+1}, and of y_{i+1}, of sequence b.
  std::size_t row_of_x(std::size_t b, std::size_t i) const { return b * length() + 2 * i; }
  std::size_t row_of_y(std::size_t b, std::size_t i) const { return row_of_x(b, i) + 1; }
};

/// Draws `batch` sequences; sequence b depends on `random` and b alone. Throws if `W_0` is given: the learned task has none.
template <class T>
Prompts<T> draw_prompts(const Task& task, Labels kind, std::size_t batch, const Random& random) {
  check(task);
  require(task.mean.empty(), "prompts: a task with a mean W_0 cannot be learned here");
  const std::size_t d = task.dim, pairs = task.context + 1, width = 2 * d + 2;
  Prompts<T> s{Tensor<T>({batch * (2 * pairs - 1), width}), Tensor<T>({batch, pairs, d})};
  zero(View<T>(s.features));
  const double unit = 1 / std::sqrt(static_cast<double>(d) + task.noise * task.noise);
  parallel_for(batch, [&](std::size_t b) {
    Random own = random.split(b), shared(1);
    std::vector<double> w(d * d), x(d);
    const auto draw = [&](Random& from) {
      for (double& entry : w) entry = from.normal();
    };
    draw(kind == Labels::fixed ? shared : own);
    for (std::size_t i = 0; i < pairs; ++i) {
      if (kind == Labels::fresh && i > 0) draw(own);
      T* row = &s.features(s.row_of_x(b, i), 0u);
      for (std::size_t j = 0; j < d; ++j) row[j] = static_cast<T>(x[j] = own.normal());
      row[d] = T(1);
      for (std::size_t j = 0; j < d; ++j) {
        double y = task.noise * own.normal();
        for (std::size_t k = 0; k < d; ++k) y += w[j * d + k] * x[k];
        s.labels(b, i, j) = static_cast<T>(unit * y);
      }
      if (i + 1 == pairs) continue;
      row += width;
      for (std::size_t j = 0; j < d; ++j) row[d + 1 + j] = s.labels(b, i, j);
      row[2 * d + 1] = T(1);
    }
  });
  return s;
}

}  // namespace skipv1::mesa
