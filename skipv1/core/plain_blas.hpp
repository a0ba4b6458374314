// Matrix products in plain loops: what core/blas.hpp uses where there is no BLAS (SKIPV1_PLAIN_BLAS). The inner loop runs along
// rows of C, so compilers vectorise it; a fifth to a half of what a tuned BLAS reaches.
#pragma once

#include <algorithm>
#include <cstddef>

#include "skipv1/core/uninitialized.hpp"

namespace skipv1 {

enum class Transpose { no, yes };

namespace detail {

/// Copies op(B) (k, n), whose rows may lie as columns, into rows without gaps.
template <class T>
void pack(T* packed, const T* b, std::size_t ldb, std::size_t k, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t l = 0; l < k; ++l) packed[l * n + j] = b[j * ldb + l];
}

/// `C += alpha op(A) B` for rows of `B (k, n)` that lie `ldb` apart: four rows of B per pass over a row of C, which so is read
/// and written once for eight operations per element.
template <class T>
void add_product(bool a_transposed, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a, std::size_t lda, const T* b,
                 std::size_t ldb, T* c, std::size_t ldc) {
  const auto at = [&](std::size_t i, std::size_t l) { return alpha * (a_transposed ? a[l * lda + i] : a[i * lda + l]); };
  for (std::size_t i = 0; i < m; ++i) {
    T* row = c + i * ldc;
    std::size_t l = 0;
    for (; l + 4 <= k; l += 4) {
      const T a0 = at(i, l), a1 = at(i, l + 1), a2 = at(i, l + 2), a3 = at(i, l + 3);
      const T *b0 = b + l * ldb, *b1 = b0 + ldb, *b2 = b1 + ldb, *b3 = b2 + ldb;
      for (std::size_t j = 0; j < n; ++j) row[j] += a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j];
    }
    for (; l < k; ++l) {
      const T al = at(i, l);
      for (std::size_t j = 0; j < n; ++j) row[j] += al * b[l * ldb + j];
    }
  }
}

/// As `gemm` of core/blas.hpp. Columns and terms are cut into tiles of B that stay in the L1 and L2 caches for all rows of A.
template <class T>
void plain_gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a, std::size_t lda,
                const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  constexpr std::size_t tile_n = 256, tile_k = 128;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];  // (0 NaN is 0, as in BLAS)
  const bool at = a_t == Transpose::yes, bt = b_t == Transpose::yes;
  const auto packed = uninitialized<T>(bt ? std::min(tile_k, k) * std::min(tile_n, n) : 0);
  for (std::size_t l = 0; l < k; l += tile_k)
    for (std::size_t j = 0; j < n; j += tile_n) {
      const std::size_t depth = std::min(tile_k, k - l), width = std::min(tile_n, n - j);
      const T* tile = b + l * ldb + j;
      if (bt) pack(packed.get(), b + j * ldb + l, ldb, depth, width), tile = packed.get();
      add_product(at, m, width, depth, alpha, a + (at ? l * lda : l), lda, tile, bt ? width : ldb, c + j, ldc);
    }
}

}  // namespace detail
}  // namespace skipv1
