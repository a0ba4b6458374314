// Moments of the context's statistics, which make every expected loss of this folder an exact function of its parameters.
#pragma once

#include "skipv1/core/parallel.hpp"
#include "skipv1/mesa/task.hpp"

namespace skipv1::mesa {

/// Moments of `T = 1/n sum_i u_i u_i^T`, `u_i = [x_i ; y_i / sigma]`, in units in which the zero predictor's loss is `d`:
/// `sigma^2 = E||y||^2 / d`. T (2d, 2d) holds `X X^T`, `Y X^T` and `Y Y^T`; being symmetric it is kept as its upper triangle,
/// m = d (2d + 1) entries.
///
/// Given W, `u_i ~ N(0, C)` with `C = [I, W^T ; W, W W^T + s^2 I]`, so T is a Wishart matrix and, by Isserlis' theorem,
/// `E[T_ab T_cd | W] = C_ab C_cd + (C_ac C_bd + C_ad C_bc) / n`, `E[T_ab | W] = C_ab`. C is quadratic in the normal W: Isserlis
/// once more gives `E[C_ab C_cd]`, and with it `E[W_ij T_ab]`, since W is a block of C.
class Moments {
 public:
  explicit Moments(const Task& task) : d_((check(task), task.dim)), n_(static_cast<double>(task.context)) {
    const auto width = static_cast<double>(d_);
    zero_ = width * width + task.mean_square() + width * task.noise * task.noise;
    variance_ = width / zero_;
    mean_ = Tensor<double>({d_, d_});
    for (std::size_t i = 0; i < d_; ++i)
      for (std::size_t j = 0; j < d_; ++j) mean_(i, j) = task.mean_at(i, j) / sigma();
    fill_gram();
    fill_expected(task.noise * task.noise * variance_);
    fill_moments();
  }

  std::size_t dim() const { return d_; }
  /// m, the number of entries of T's upper triangle.
  std::size_t size() const { return d_ * (2 * d_ + 1); }
  /// `E||y||^2`, the zero predictor's loss, which is `dim()` in this object's units.
  double zero_loss() const { return zero_; }
  /// The unit of labels, `sigma`, and the number of pairs, n.
  double sigma() const { return std::sqrt(zero_ / static_cast<double>(d_)); }
  double context() const { return n_; }
  /// Where `T_ab = T_ba` is among the m entries; `a, b < 2d`.
  std::size_t index(std::size_t a, std::size_t b) const {
    const std::size_t low = std::min(a, b), high = std::max(a, b);
    return low * (4 * d_ - low + 1) / 2 + high - low;
  }
  /// `E[T_ab T_cd]` (m, m).
  const Tensor<double>& second() const { return second_; }
  /// `E[T_ab W_ij] / sigma` (m, d d).
  const Tensor<double>& target() const { return target_; }

 private:
  static double delta(std::size_t i, std::size_t j) { return i == j ? 1 : 0; }

  void fill_gram() {  // W_0 W_0^T
    gram_ = zeros<double>({d_, d_});
    for (std::size_t i = 0; i < d_; ++i)
      for (std::size_t j = 0; j < d_; ++j)
        for (std::size_t k = 0; k < d_; ++k) gram_(i, j) += mean_(i, k) * mean_(j, k);
  }

  void fill_expected(double noise_square) {  // E C
    expected_ = Tensor<double>({2 * d_, 2 * d_});
    for (std::size_t i = 0; i < d_; ++i) {
      for (std::size_t j = 0; j < d_; ++j) {
        expected_(i, j) = delta(i, j);
        expected_(d_ + i, j) = expected_(j, d_ + i) = mean_(i, j);
        expected_(d_ + i, d_ + j) = gram_(i, j) + delta(i, j) * (variance_ * static_cast<double>(d_) + noise_square);
      }
    }
  }

  /// `E[C_ab C_cd]`
  double product(std::size_t a, std::size_t b, std::size_t c, std::size_t d) const {
    return expected_(a, b) * expected_(c, d) + covariance(a, b, c, d);
  }

  /// `Cov(C_ab, C_cd)`: the Isserlis pairings between the W's of one factor and those of the other.
  double covariance(std::size_t a, std::size_t b, std::size_t c, std::size_t d) const {
    if (a > b) std::swap(a, b);
    if (c > d) std::swap(c, d);
    if (b < d_ || d < d_) return 0;  // C_ab = delta_ab has no W
    const double v = variance_;
    if (a < d_ && c < d_) return v * delta(a, c) * delta(b, d);  // W_ba and W_dc
    if (a < d_) return v * (delta(b, c) * mean_(d - d_, a) + delta(b, d) * mean_(c - d_, a));
    if (c < d_) return v * (delta(d, a) * mean_(b - d_, c) + delta(d, b) * mean_(a - d_, c));
    const auto pairing = [&](std::size_t i, std::size_t j, std::size_t k, std::size_t l) {
      return delta(i, j) * (v * gram_(k - d_, l - d_) + v * v * static_cast<double>(d_) * delta(k, l) / 2);
    };
    return pairing(a, c, b, d) + pairing(a, d, b, c) + pairing(b, c, a, d) + pairing(b, d, a, c);
  }

  void fill_moments() {
    second_ = Tensor<double>({size(), size()});
    target_ = Tensor<double>({size(), d_ * d_});
    parallel_for(2 * d_, [&](std::size_t a) {
      for (std::size_t b = a; b < 2 * d_; ++b) {
        const std::size_t row = index(a, b);
        for (std::size_t c = 0; c < 2 * d_; ++c)
          for (std::size_t d = c; d < 2 * d_; ++d)
            second_(row, index(c, d)) = product(a, b, c, d) + (product(a, c, b, d) + product(a, d, b, c)) / n_;
        for (std::size_t i = 0; i < d_; ++i)
          for (std::size_t j = 0; j < d_; ++j) target_(row, i * d_ + j) = product(a, b, j, d_ + i);
      }
    });
  }

  std::size_t d_;
  double n_, zero_, variance_;  // variance_: of W's entries, in these units
  Tensor<double> mean_, gram_, expected_, second_, target_;
};

}  // namespace skipv1::mesa
