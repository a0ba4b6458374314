#include "skipv1/core/linear_algebra.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

Tensor<double> product(View<const double> a, View<const double> b) {
  const Tensor<double> c = zeros<double>({a.extent(0), b.extent(1)});
  for (std::size_t i = 0; i < a.extent(0); ++i)
    for (std::size_t j = 0; j < b.extent(1); ++j)
      for (std::size_t k = 0; k < b.extent(0); ++k) c(i, j) += a(i, k) * b(k, j);
  return c;
}

/// `rows of U^T`, their scalar products against the identity.
double distance_from_orthogonal(View<const double> rows) {
  double worst = 0;
  for (std::size_t i = 0; i < rows.extent(0); ++i)
    for (std::size_t j = 0; j < rows.extent(0); ++j) {
      double sum = i == j ? -1 : 0;
      for (std::size_t k = 0; k < rows.extent(1); ++k) sum += rows(i, k) * rows(j, k);
      worst = std::max(worst, std::abs(sum));
    }
  return worst;
}

void check_singular_values(View<const double> a, std::size_t rank) {
  const SingularValues svd = singular_values(a);
  const std::size_t m = a.extent(0), n = a.extent(1);
  CAPTURE(m, n, rank);
  CHECK(distance_from_orthogonal(svd.u_t) < 1e-12);
  if (rank > 0) CHECK(distance_from_orthogonal(svd.v_t.slice(0, rank)) < 1e-12);
  CHECK(std::is_sorted(svd.s.rbegin(), svd.s.rend()));
  for (std::size_t k = rank; k < m; ++k) CHECK(svd.s[k] < 1e-12);
  const Tensor<double> back = zeros<double>(a.shape());
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < m; ++k) back(i, j) += svd.u_t(k, i) * svd.s[k] * svd.v_t(k, j);
  CHECK(error(back, a) < 1e-13);
}

}  // namespace

TEST_CASE("solve finds what was multiplied, rows out of order too, and says what is singular") {
  for (std::size_t n : {1u, 2u, 3u, 17u, 64u}) {
    const Tensor<double> a = draw<double>({n, n}, 1), x = draw<double>({n, 3}, 2);
    a(0u, 0u) = 0;  // so that rows must change places (of one row it is the number itself)
    if (n == 1) a(0u, 0u) = -3;
    CAPTURE(n);
    CHECK(error(solve(a, product(a, x)), x) < 1e-10);
  }
  const Tensor<double> singular = zeros<double>({2, 2}), row = zeros<double>({1, 2});
  CHECK_THROWS_WITH(solve(singular, singular), Catch::Contains("(2, 2) is singular"));
  CHECK_THROWS_WITH(solve(row, row), Catch::Contains("must be (n, n)"));
}

TEST_CASE("eigenvalues are those of a matrix made of them") {
  for (std::size_t n : {1u, 2u, 5u, 12u}) {
    const SingularValues basis = singular_values(draw<double>({n, n}, 3));
    const Tensor<double> a = zeros<double>({n, n});
    std::vector<double> expected;
    for (std::size_t k = 0; k < n; ++k) {
      expected.push_back(static_cast<double>(k / 2) - 1.5);  // some twice
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) a(i, j) += basis.u_t(k, i) * expected[k] * basis.u_t(k, j);
    }
    const std::vector<double> found = symmetric_eigenvalues(a);
    for (std::size_t k = 0; k < n; ++k) CHECK(std::abs(found[k] - expected[k]) < 1e-13);
  }
}

TEST_CASE("singular values give the matrix back, of full rank and of less") {
  for (std::size_t m : {1u, 2u, 3u, 8u, 31u, 97u}) {
    check_singular_values(draw<double>({m, m}, 4), m);
    check_singular_values(draw<double>({m, m + 5}, 5), m);
  }
  check_singular_values(product(draw<double>({40, 6}, 6), draw<double>({6, 40}, 7)), 6);
  check_singular_values(zeros<double>({4, 4}), 0);
}

TEST_CASE("singular values have the same bits with any number of threads") {
  const Tensor<double> a = draw<double>({33, 40}, 8);
  CHECK(thread_invariant([&] { return singular_values(a).u_t; }));
}
