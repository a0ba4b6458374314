// Matrix products through a BLAS (its C interface) or, with SKIPV1_PLAIN_BLAS defined, plain loops; spread over our own threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/plain_blas.hpp"
#include "skipv1/core/simd.hpp"

#ifndef SKIPV1_PLAIN_BLAS
// The functions needed, declared under names of our own: so no macro comes with them, and whoever also includes a cblas.h, whose
// types differ from BLAS to BLAS, may.
#if defined(__GNUC__)
#define SKIPV1_TEXT_OF(x) #x
#define SKIPV1_TEXT(x) SKIPV1_TEXT_OF(x)
#define SKIPV1_CBLAS(name) skipv1_cblas_##name
#define SKIPV1_SYMBOL(name) __asm__(SKIPV1_TEXT(__USER_LABEL_PREFIX__) "cblas_" #name)
#else
#define SKIPV1_CBLAS(name) cblas_##name
#define SKIPV1_SYMBOL(name)
#endif
#if defined(__ELF__)
// Present when the BLAS is OpenBLAS, null otherwise.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));
#endif
extern "C" {
void SKIPV1_CBLAS(sgemm)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int)
    SKIPV1_SYMBOL(sgemm);
void SKIPV1_CBLAS(dgemm)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int)
    SKIPV1_SYMBOL(dgemm);
void SKIPV1_CBLAS(sgemv)(int, int, int, int, float, const float*, int, const float*, int, float, float*, int)
    SKIPV1_SYMBOL(sgemv);
void SKIPV1_CBLAS(dgemv)(int, int, int, int, double, const double*, int, const double*, int, double, double*, int)
    SKIPV1_SYMBOL(dgemv);
}
namespace skipv1::detail {
template <class T>
inline constexpr auto cblas_gemm = &SKIPV1_CBLAS(dgemm);
template <>
inline constexpr auto cblas_gemm<float> = &SKIPV1_CBLAS(sgemm);
template <class T>
inline constexpr auto cblas_gemv = &SKIPV1_CBLAS(dgemv);
template <>
inline constexpr auto cblas_gemv<float> = &SKIPV1_CBLAS(sgemv);
constexpr int row_major = 101, no_trans = 111, trans = 112;  // of the C interface
}  // namespace skipv1::detail
#undef SKIPV1_TEXT_OF
#undef SKIPV1_TEXT
#undef SKIPV1_CBLAS
#undef SKIPV1_SYMBOL
#endif

namespace skipv1 {

namespace detail {

/// C = alpha op(A) op(B) + beta C by the BLAS: gemv for one row of A against B as it lies, which so is read once, without
/// packing.
template <class T>
void blas_gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a, std::size_t lda,
               const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
#ifdef SKIPV1_PLAIN_BLAS
  plain_gemm(a_t, b_t, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
#else
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "BLAS multiplies float and double");
#if defined(__ELF__)
  // We cut the work ourselves; a BLAS that started threads of its own would run more than there are cores. Once: whoever wants
  // OpenBLAS's threads for products of their own sets their number again after the first product of ours.
  [[maybe_unused]] static const bool once = [] {
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    return true;
  }();
#endif
  const auto op = [](Transpose t) { return t == Transpose::yes ? trans : no_trans; };
  const auto i = [](std::size_t v) { return static_cast<int>(v); };
  if (m == 1 && k > 0 && a_t == Transpose::no && b_t == Transpose::no)
    cblas_gemv<T>(row_major, trans, i(k), i(n), alpha, b, i(ldb), a, 1, beta, c, 1);
  else
    cblas_gemm<T>(row_major, op(a_t), op(b_t), i(m), i(n), i(k), alpha, a, i(lda), b, i(ldb), beta, c, i(ldc));
#endif
}

}  // namespace detail

/// One product on the calling thread: `C = alpha op(A) op(B) + beta C`, `C (m, n)`, `op(A) (m, k)`,
/// `op(B) (k, n)`, row-major with row strides `lda`, `ldb`, `ldc`. BLAS sgemm/dgemm.
template <class T>
void gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a, std::size_t lda,
          const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  if (m == 0 || n == 0) return;
  if (m != 1 || k == 0 || a_t == Transpose::yes || b_t == Transpose::no)
    return detail::blas_gemm(a_t, b_t, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  for (std::size_t j = 0; j < n; j += 64) {  // one row against rows: each is read once
    T sums[64];
    const std::size_t count = std::min<std::size_t>(64, n - j);
    dot_rows(k, a, b + j * ldb, ldb, count, sums);
    for (std::size_t r = 0; r < count; ++r) c[j + r] = alpha * sums[r] + (beta == T(0) ? T(0) : beta * c[j + r]);
  }
}

/// `gemm` on all cores: C is cut into tiles that depend on its shape alone.
template <class T>
void parallel_gemm(Transpose a_t, Transpose b_t, std::size_t m, std::size_t n, std::size_t k, T alpha, const T* a,
                   std::size_t lda, const T* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  // Each tile packs its own copy of A's rows and B's columns: large tiles pack less, small ones occupy more cores.
  // With a few rows of A reading B is all that counts, and B's rows lie one after the other: all cores read.
  const bool few = m <= 8 && b_t == Transpose::yes;
  const std::size_t tile_m = std::clamp<std::size_t>((m / 4 + 63) / 64 * 64, 128, 512), down = (m + tile_m - 1) / tile_m;
  std::size_t tile_n = few ? 64 : 1024;
  // Of few rows the copy is small, so columns are cut further where there would not be four tiles: a short prompt's products.
  if (a_t == Transpose::no && down * n < 4 * tile_n) tile_n = std::max<std::size_t>(64, (down * n / 4 + 63) / 64 * 64);
  const std::size_t across = (n + tile_n - 1) / tile_n;
  const auto compute = [&](std::size_t tile) {
    const std::size_t i = tile / across * tile_m, j = tile % across * tile_n;
    gemm(a_t, b_t, std::min(tile_m, m - i), std::min(tile_n, n - j), k, alpha, a + i * (a_t == Transpose::yes ? 1 : lda), lda,
         b + j * (b_t == Transpose::yes ? ldb : 1), ldb, beta, c + i * ldc + j, ldc);
  };
  few ? parallel_in_order(down * across, compute) : parallel_for(down * across, compute);
}

}  // namespace skipv1
