// What the theorem's models are compared with: the zero predictor, gradient steps, ridge regression (the paper's section 4).
#pragma once

#include <limits>
#include <numeric>
#include <vector>

#include "skipv1/core/blas.hpp"
#include "skipv1/core/linear_algebra.hpp"
#include "skipv1/mesa/task.hpp"

namespace skipv1::mesa {

/// The zero predictor's loss `E||y||^2 = d (d + s^2) + ||W_0||^2`.
inline double zero_loss(const Task& task) {
  const auto d = static_cast<double>(task.dim);
  return d * (d + task.noise * task.noise) + task.mean_square();
}

/// The best gradient step from zero, `W_hat = Lambda Y X^T`, and its loss.
struct OneStep {
  Tensor<double> preconditioner;  ///< Lambda (d, d)
  double loss;
};

/// `Lambda = E[W C^T] E[C C^T]^-1` with `C = Y X^T`, where, the rows of W being independent of X and `E[S S] = n (n + d + 1)
/// I`, `E[W C^T] = n Q`, `E[C C^T] = n (n + d + 1) Q + n d s^2 I`, `Q = E[W W^T] = W_0 W_0^T + d I`.
inline OneStep one_step(const Task& task) {
  const std::size_t d = task.dim;
  const auto width = static_cast<double>(d), n = static_cast<double>(task.context);
  const Tensor<double> q = zeros<double>({d, d}), cc = zeros<double>({d, d});
  for (std::size_t i = 0; i < d; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      for (std::size_t k = 0; k < d; ++k) q(i, j) += task.mean_at(i, k) * task.mean_at(j, k);
      if (i == j) q(i, j) += width;
      cc(i, j) = (n + width + 1) * q(i, j) + (i == j ? width * task.noise * task.noise : 0);
    }
  }
  OneStep step{solve(cc, q), zero_loss(task)};  // the solution is symmetric: both commute
  for (std::size_t i = 0; i < d; ++i)
    for (std::size_t j = 0; j < d; ++j) step.loss -= n * step.preconditioner(i, j) * q(i, j);
  return step;
}

/// A mean over random draws and its standard error.
struct Estimate {
  double value, error;
};

namespace detail {

/// A chi-square number with `k` degrees of freedom (Marsaglia and Tsang 2000, for k > 1).
inline double chi_square(std::size_t k, Random& random) {
  if (k == 1) {
    const double x = random.normal();
    return x * x;
  }
  const double shift = static_cast<double>(k) / 2 - 1.0 / 3, scale = 1 / std::sqrt(9 * shift);
  for (;;) {
    const double x = random.normal(), root = 1 + scale * x, v = root * root * root;
    if (v > 0 && std::log(1 - random.uniform()) < 0.5 * x * x + shift - shift * v + shift * std::log(v)) return 2 * shift * v;
  }
}

/// Eigenvalues of `X X^T`, X (p, q) standard normal with p <= q: `L L^T` with L triangular (Bartlett 1933).
inline std::vector<double> wishart_eigenvalues(std::size_t p, std::size_t q, Random& random) {
  const Tensor<double> l = zeros<double>({p, p}), s = zeros<double>({p, p});
  for (std::size_t i = 0; i < p; ++i) {
    l(i, i) = std::sqrt(chi_square(q - i, random));
    for (std::size_t j = 0; j < i; ++j) l(i, j) = random.normal();
  }
  gemm(Transpose::no, Transpose::yes, p, p, p, 1., l.data(), p, l.data(), p, 0., s.data(), p);
  return symmetric_eigenvalues(s);
}

}  // namespace detail

/// The losses of predictors `W_hat = Y X^T p(X X^T)`. Given X, the expectation over W, the noise and the query is exact, and
/// depends on the eigenvalues of `X X^T` alone; those are drawn.
class SpectralPredictors {
 public:
  /// Draws the eigenvalues for `draws` contexts.
  SpectralPredictors(const Task& task, std::size_t draws, Random random) : task_(task), eigenvalues_({draws, task.dim}) {
    check(task);
    require(draws >= 2, "spectral predictors: ", draws, " draws: at least 2 are needed");
    const std::size_t rank = std::min(task.dim, task.context), most = std::max(task.dim, task.context);
    zero(eigenvalues_);
    parallel_ranges(draws, 256, [&](std::size_t begin, std::size_t end) {
      Random own = random.split(begin);
      for (std::size_t i = begin; i < end; ++i) {
        const std::vector<double> values = detail::wishart_eigenvalues(rank, most, own);
        for (std::size_t j = 0; j < rank; ++j) eigenvalues_(i, j) = std::max(0., values[j]);
      }
    });
  }

  /// `filter(mu)` is p at an eigenvalue: the loss is `d s^2 + E sum over mu of (d + ||W_0||^2 / d) (mu p - 1)^2 + d s^2 mu
  /// p^2`.
  template <class Filter>
  Estimate loss(const Filter& filter) const {
    const auto d = static_cast<double>(task_.dim), draws = static_cast<double>(eigenvalues_.extent(0));
    const double weight = d + task_.mean_square() / d, noise = d * task_.noise * task_.noise;
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < eigenvalues_.extent(0); ++i) {
      double own = noise;
      for (std::size_t j = 0; j < task_.dim; ++j) {
        const double mu = eigenvalues_(i, j), p = filter(mu), miss = mu * p - 1;
        own += weight * miss * miss + noise * mu * p * p;
      }
      sum += own;
      squares += own * own;
    }
    const double mean = sum / draws;
    return {mean, std::sqrt(std::max(0., squares / draws - mean * mean) / (draws - 1))};
  }

  /// Ridge regression of strength `s^2`, `p = 1 / (mu + s^2)`: the Bayes predictor where `W_0 = 0`. Without noise, least
  /// squares of least norm.
  Estimate ridge() const {
    const double strength = task_.noise * task_.noise;
    return loss([&](double mu) { return mu + strength > 0 ? 1 / (mu + strength) : 0; });
  }

  /// `steps` gradient steps of length `rate` from zero: `p = rate sum over k < steps of (1 - rate mu)^k`.
  Estimate gradient_steps(std::size_t steps, double rate) const {
    return loss([&](double mu) {
      double p = 0;
      for (std::size_t k = 0; k < steps; ++k) p = rate + (1 - rate * mu) * p;
      return p;
    });
  }
  /// The rate at which `steps` gradient steps lose least, by golden sections of log rate.
  double best_rate(std::size_t steps) const {
    const auto largest = static_cast<double>(task_.dim + task_.context);  // about the largest eigenvalue, or less
    const double ratio = (std::sqrt(5.) - 1) / 2, smallest_rate = 0.01 / (largest + task_.noise * task_.noise);
    double low = std::log(smallest_rate / static_cast<double>(steps)), high = std::log(4 / largest);
    const auto at = [&](double log_rate) { return gradient_steps(steps, std::exp(log_rate)).value; };
    double left = high - ratio * (high - low), right = low + ratio * (high - low), left_loss = at(left), right_loss = at(right);
    while (high - low > 1e-4) {
      if (left_loss < right_loss) {
        high = right, right = left, right_loss = left_loss;
        left = high - ratio * (high - low), left_loss = at(left);
      } else {
        low = left, left = right, left_loss = right_loss;
        right = low + ratio * (high - low), right_loss = at(right);
      }
    }
    return std::exp((low + high) / 2);
  }

 private:
  Task task_;
  Tensor<double> eigenvalues_;  // (draws, d)
};

}  // namespace skipv1::mesa
