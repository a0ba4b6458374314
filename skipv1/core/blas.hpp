// Matrix products through BLAS (cblas, by way of xtensor-blas), spread over our own threads.
#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>

#ifdef HAVE_CBLAS
#include <xflens/cxxblas/cxxblas.cxx>
#else
#define HAVE_CBLAS 1
#include <xflens/cxxblas/cxxblas.cxx>
#undef HAVE_CBLAS  // nobody else's macro
#endif

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/simd.hpp"

#if defined(__GNUC__)
// Present when the BLAS is OpenBLAS, null otherwise.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));
#endif

namespace skipv1 {

enum class Transpose { no, yes };

/// One product on the calling thread: `C = alpha op(A) op(B) + beta C`, `C (m, n)`, `op(A) (m, k)`,
/// `op(B) (k, n)`, row-major with row strides `lda`, `ldb`, `ldc`. BLAS sgemm/dgemm.
template <class T>
void gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a, std::size_t lda,
          const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
#if defined(__GNUC__)
  // We cut the work ourselves; a BLAS that started threads of its own would run more than there are cores.
  [[maybe_unused]] static const bool once = [] {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return true;
  }();
#endif
  if (m == 0 || n == 0) return;
  const auto op = [](Transpose t) { return t == Transpose::yes ? cxxblas::Trans : cxxblas::NoTrans; };
  const auto i = [](std::size_t v) { return static_cast<int>(v); };
  if (m == 1 && k > 0 && a_t == Transpose::no) {  // one row: B is read once, without packing it
    if (b_t == Transpose::no) {
      cxxblas::gemv<int>(cxxblas::RowMajor, cxxblas::Trans, i(k), i(n), alpha, b, i(ldb), a, 1, beta, c, 1);
      return;
    }
    for (std::size_t j = 0; j < n; j += 64) {
      T sums[64];
      const std::size_t count = std::min<std::size_t>(64, n - j);
      dot_rows(k, a, b + j * ldb, ldb, count, sums);
      for (std::size_t r = 0; r < count; ++r) c[j + r] = alpha * sums[r] + (beta == T(0) ? T(0) : beta * c[j + r]);
    }
    return;
  }
  cxxblas::gemm<int>(cxxblas::RowMajor, op(a_t), op(b_t), i(m), i(n), i(k), alpha, a, i(lda), b, i(ldb), beta, c, i(ldc));
}

/// `gemm` on all cores: C is cut into tiles that depend on its shape alone.
template <class T>
void parallel_gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a,
                   std::size_t lda, const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  // Each tile packs its own copy of A's rows and B's columns: large tiles pack less, small ones occupy more cores.
  // With a few rows of A reading B is all that counts, and B's rows lie one after the other: all cores read.
  const bool few = m <= 8 && b_t == Transpose::yes;
  const std::size_t tile_m = std::clamp<std::size_t>((m / 4 + 63) / 64 * 64, 128, 512), tile_n = few ? 64 : 1024;
  const std::size_t across = (n + tile_n - 1) / tile_n, down = (m + tile_m - 1) / tile_m;
  parallel_for(down * across, [&](std::size_t tile) {
    const std::size_t i = tile / across * tile_m, j = tile % across * tile_n;
    gemm(a_t, b_t, std::min(tile_m, m - i), std::min(tile_n, n - j), k, alpha, a + i * (a_t == Transpose::yes ? 1 : lda), lda,
         b + j * (b_t == Transpose::yes ? ldb : 1), ldb, beta, c + i * ldc + j, ldc);
  });
}

}  // namespace skipv1
