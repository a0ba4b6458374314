#include "skipv1/core/blas.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

struct Product {
  std::size_t m, n, k;
};

/// `gemm` or `parallel_gemm` against three loops, inside rows longer than needed; what lies between must stay.
template <class T, class Gemm>
void check(const Gemm& product, Product p, Transpose a_t, Transpose b_t, T alpha, T beta) {
  const bool at = a_t == Transpose::yes, bt = b_t == Transpose::yes;
  const Tensor<T> a = draw<T>({at ? p.k : p.m, (at ? p.m : p.k) + 2}, 1), b = draw<T>({bt ? p.n : p.k, (bt ? p.k : p.n) + 1}, 2);
  const Tensor<T> before = beta == T(0) ? poisoned<T>({p.m, p.n + 3}) : draw<T>({p.m, p.n + 3}, 3);
  Tensor<T> c = before;
  product(a_t, b_t, p.m, p.n, p.k, alpha, a.data(), a.width(), b.data(), b.width(), beta, c.data(), c.width());
  Tensor<double> expected({p.m, p.n}), actual({p.m, p.n});
  for (std::size_t i = 0; i < p.m; ++i) {
    for (std::size_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (std::size_t l = 0; l < p.k; ++l)
        sum += static_cast<double>(at ? a(l, i) : a(i, l)) * static_cast<double>(bt ? b(j, l) : b(l, j));
      expected(i, j) =
          static_cast<double>(alpha) * sum + (beta == T(0) ? 0 : static_cast<double>(beta) * static_cast<double>(before(i, j)));
      actual(i, j) = static_cast<double>(c(i, j));
    }
    CHECK(std::equal(&c(i, p.n), &c(i, p.n) + 3, &before(i, p.n),
                     [](T x, T y) { return x == y || (std::isnan(x) && std::isnan(y)); }));
  }
  CHECK(error(actual, expected) < rounding<T>);
}

template <class T, class Gemm>
void check_all(const Gemm& product, Product p) {
  CAPTURE(p.m, p.n, p.k);
  for (Transpose a_t : {Transpose::no, Transpose::yes}) {
    for (Transpose b_t : {Transpose::no, Transpose::yes}) {
      check<T>(product, p, a_t, b_t, T(1), T(0));
      check<T>(product, p, a_t, b_t, T(0.5), T(1));
      check<T>(product, p, a_t, b_t, T(-2), T(0.25));
    }
  }
}

const auto serial = [](auto... arguments) { gemm(arguments...); };
const auto parallel = [](auto... arguments) { parallel_gemm(arguments...); };
const auto loops = [](auto... arguments) { detail::plain_gemm(arguments...); };

}  // namespace

TEST_CASE("gemm equals three loops: every transpose, alpha and beta; zero times what was there is zero, even NaN") {
  for (Product p : {Product{1, 1, 1}, {1, 64, 3}, {1, 5, 127}, {3, 1, 65}, {63, 65, 1}, {5, 3, 64}, {1, 130, 33}}) {
    check_all<double>(serial, p);
    check_all<float>(serial, p);
  }
}

TEST_CASE("parallel_gemm equals three loops across the borders of its tiles") {
  for (Product p : {Product{1, 1025, 2}, {127, 3, 5}, {129, 65, 63}, {513, 1, 3}, {257, 1030, 1}, {2, 65, 9},
                    {8, 130, 5}, {9, 65, 2}}) {
    check_all<double>(parallel, p);
    check_all<float>(parallel, p);
  }
}

TEST_CASE("the plain loops that stand in for a BLAS equal three loops, across their tiles") {
  for (Product p : {Product{1, 1, 1}, {3, 5, 4}, {2, 257, 129}, {5, 256, 128}, {1, 3, 300}, {2, 513, 2}, {3, 64, 7}}) {
    check_all<double>(loops, p);
    check_all<float>(loops, p);
  }
}

TEST_CASE("products without rows or columns do nothing; a sum over nothing is zero") {
  double c = 7;
  gemm<double>(Transpose::no, Transpose::no, 0, 1, 1, 1, &c, 1, &c, 1, 0, &c, 1);
  gemm<double>(Transpose::no, Transpose::no, 1, 0, 1, 1, &c, 1, &c, 1, 0, &c, 1);
  parallel_gemm<double>(Transpose::no, Transpose::no, 0, 0, 1, 1, &c, 1, &c, 1, 0, &c, 1);
  CHECK(c == 7);
  for (std::size_t m : {1u, 2u}) {
    CAPTURE(m);
    const double a[2] = {1, 1};
    double sums[2] = {7, 7};
    gemm<double>(Transpose::no, Transpose::no, m, 1, 0, 1, a, 1, a, 1, 1, sums, 1);
    CHECK(sums[m - 1] == 7);
    gemm<double>(Transpose::no, Transpose::no, m, 1, 0, 1, a, 1, a, 1, 0, sums, 1);
    CHECK(sums[m - 1] == 0);
  }
}

TEST_CASE("parallel_gemm has the same bits with any number of threads") {
  const Tensor<float> a = draw<float>({600, 33}, 1), b = draw<float>({1100, 33}, 2);
  CHECK(thread_invariant([&] {
    Tensor<float> c({600, 1100});
    parallel_gemm<float>(Transpose::no, Transpose::yes, 600, 1100, 33, 1, a.data(), 33, b.data(), 33, 0, c.data(), 1100);
    return c;
  }));
}
