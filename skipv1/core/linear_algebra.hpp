// The little linear algebra that theory and uptraining need, in double: linear equations, eigenvalues, singular values. Plain and
// exact to rounding; for matrices of a few thousand columns at most.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// X with `A X = B`: Gaussian elimination with partial pivoting (Golub and Van Loan, section 3.4). A (n, n), B (n, q). Throws if
/// A is singular to the bit.
inline Tensor<double> solve(View<const double> a, View<const double> b) {
  require(a.shape().rank() == 2 && b.shape().rank() == 2 && a.extent(0) == a.extent(1) && b.extent(0) == a.extent(0),
          "solve: ", a.shape(), " x = ", b.shape(), ": must be (n, n) and (n, q)");
  const std::size_t n = a.extent(0), q = b.extent(1);
  Tensor<double> u(a.shape()), x(b.shape());
  copy(u, a), copy(x, b);
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k + 1; i < n; ++i)
      if (std::abs(u(i, k)) > std::abs(u(pivot, k))) pivot = i;
    require(u(pivot, k) != 0, "solve: a matrix ", a.shape(), " is singular");
    if (pivot != k) {
      std::swap_ranges(&u(k, 0), &u(k, 0) + n, &u(pivot, 0));
      std::swap_ranges(x.data() + k * q, x.data() + (k + 1) * q, x.data() + pivot * q);
    }
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = u(i, k) / u(k, k);
      for (std::size_t j = k; j < n; ++j) u(i, j) -= factor * u(k, j);
      for (std::size_t j = 0; j < q; ++j) x(i, j) -= factor * x(k, j);
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t i = k + 1; i < n; ++i)
      for (std::size_t j = 0; j < q; ++j) x(k, j) -= u(k, i) * x(i, j);
    for (std::size_t j = 0; j < q; ++j) x(k, j) /= u(k, k);
  }
  return x;
}

namespace detail {

/// A rotation by the angle whose cosine and sine make two numbers' or rows' product `ab` zero, their squares being `aa` and `bb`
/// (Golub and Van Loan, algorithm 8.5.1, of the smaller angle).
struct JacobiRotation {
  double c = 1, s = 0;

  JacobiRotation(double aa, double bb, double ab) {
    const double tau = (bb - aa) / (2 * ab), t = (tau < 0 ? -1 : 1) / (std::abs(tau) + std::hypot(1, tau));
    c = 1 / std::sqrt(1 + t * t), s = t * c;
  }
  void operator()(double& a, double& b) const {
    const double old = a;
    a = c * old - s * b;
    b = s * old + c * b;
  }
  /// Of rows, n wide.
  void operator()(double* a, double* b, std::size_t n) const {
    transform_to_two<double>(
        n, a, b, [this](auto x, auto y) { return std::pair{c * x - s * y, s * x + c * y}; }, a, b);
  }
};

}  // namespace detail

/// The eigenvalues of a symmetric matrix (n, n), smallest first: Jacobi's method (Golub and Van Loan, section 8.5).
inline std::vector<double> symmetric_eigenvalues(View<const double> matrix) {
  require(matrix.shape().rank() == 2 && matrix.extent(0) == matrix.extent(1), "eigenvalues: ", matrix.shape(),
          ": must be (n, n)");
  const std::size_t n = matrix.extent(0);
  Tensor<double> a(matrix.shape());
  copy(a, matrix);
  for (int sweep = 0; sweep < 60; ++sweep) {
    bool rotated = false;
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        const double negligible = std::numeric_limits<double>::epsilon() / 4 * (std::abs(a(p, p)) + std::abs(a(q, q)));
        if (std::abs(a(p, q)) <= negligible) continue;
        rotated = true;
        const detail::JacobiRotation rotate(a(p, p), a(q, q), a(p, q));
        for (std::size_t i = 0; i < n; ++i) rotate(a(i, p), a(i, q));
        for (std::size_t i = 0; i < n; ++i) rotate(a(p, i), a(q, i));
        a(p, q) = a(q, p) = 0;
      }
    if (!rotated) break;
  }
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = a(i, i);
  std::sort(values.begin(), values.end());
  return values;
}

/// `A = U diag(s) V^T`, the singular values largest first.
struct SingularValues {
  Tensor<double> u_t;     ///< (m, m): row k is the k-th column of U
  std::vector<double> s;  ///< (m)
  Tensor<double> v_t;     ///< (m, n): row k is the k-th column of V; zeros where s is zero
};

/// The singular value decomposition of a matrix (m, n), m <= n, by one-sided Jacobi: rotations of pairs of rows, each disjoint
/// set of pairs on all cores, until every two rows are orthogonal (Golub and Van Loan, section 8.6). A sweep is 6 m^2 n + 3 m^3
/// operations; products of two random matrices take 12 sweeps with m = n = 64 and 19 with 512.
inline SingularValues singular_values(View<const double> matrix) {
  require(matrix.shape().rank() == 2 && matrix.extent(0) <= matrix.extent(1), "singular values: ", matrix.shape(),
          ": must have as many columns as rows, or more");
  const std::size_t m = matrix.extent(0), n = matrix.extent(1), slots = m + m % 2;
  Tensor<double> rows(matrix.shape()), turns = zeros<double>({m, m});
  copy(rows, matrix);
  for (std::size_t i = 0; i < m; ++i) turns(i, i) = 1;
  const auto dot = [&](std::size_t i, std::size_t j) {
    return sum_of<double>(
        n, [](auto x, auto y) { return x * y; }, &rows(i, 0), &rows(j, 0));
  };
  double square = 0;
  for (std::size_t i = 0; i < m; ++i) square += dot(i, i);
  const double epsilon = std::numeric_limits<double>::epsilon(), zero_row = square * epsilon * epsilon * static_cast<double>(n);
  const double parallel = epsilon * std::sqrt(static_cast<double>(n));
  std::vector<unsigned char> rotated(slots / 2);
  for (int sweep = 0; sweep < 60 && (sweep == 0 || std::count(rotated.begin(), rotated.end(), 1) > 0); ++sweep) {
    std::fill(rotated.begin(), rotated.end(), 0);
    for (std::size_t round = 0; round + 1 < slots; ++round)  // a tournament: every row meets every other once
      parallel_for(slots / 2, [&](std::size_t pair) {
        const std::size_t last = slots - 1, p = pair == 0 ? last : (round + pair) % last, q = (round + last - pair) % last;
        if (p >= m || q >= m) return;
        const double aa = dot(p, p), bb = dot(q, q), ab = dot(p, q);
        if (std::min(aa, bb) <= zero_row || std::abs(ab) <= parallel * std::sqrt(aa) * std::sqrt(bb)) return;
        rotated[pair] = 1;
        const detail::JacobiRotation rotate(aa, bb, ab);
        rotate(&rows(p, 0), &rows(q, 0), n);
        rotate(&turns(p, 0), &turns(q, 0), m);
      });
  }
  std::vector<double> norms(m);
  for (std::size_t i = 0; i < m; ++i) norms[i] = std::sqrt(dot(i, i));
  std::vector<std::size_t> order(m);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return norms[a] > norms[b]; });
  SingularValues result{Tensor<double>({m, m}), std::vector<double>(m), zeros<double>(matrix.shape())};
  for (std::size_t k = 0; k < m; ++k) {
    result.s[k] = norms[order[k]];
    std::copy_n(&turns(order[k], 0), m, &result.u_t(k, 0));
    for (std::size_t i = 0; i < n && norms[order[k]] > 0; ++i) result.v_t(k, i) = rows(order[k], i) / norms[order[k]];
  }
  return result;
}

}  // namespace skipv1
