// Tensor cores and asynchronous copies in the emulator, against plain loops; and three broken kernels.
#include <cmath>
#include <vector>

#include "skipv1/kernel/mma.cuh"
#include "skipv1/kernel/launch.cuh"
#include "skipv1/core/random.hpp"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

enum class Fault { none, no_barrier, tail, swapped_rows };

/// D (16, 8) = A (16, 16) B (16, 8), all row-major: one warp, its fragments by `ldmatrix` from shared memory.
template <Fault fault>
SKIPV1_KERNEL multiply(float* d, const bfloat16* a, const bfloat16* b) {
  SKIPV1_SHARED(bfloat16, a_tile, 16 * 16);
  SKIPV1_SHARED(bfloat16, b_tile, 16 * 8);
  const std::size_t i = lane();
  cp_async(a_tile, 8 * i, a + 8 * i);
  if (i < 16) cp_async(b_tile, 8 * i, b + 8 * i);
  cp_async_commit();
  cp_async_wait<0>();
  if (fault != Fault::no_barrier) sync_warp();
  std::uint32_t fa[4], fb[2];
  ldmatrix<4>(fa, a_tile, (i % 16) * 16 + i / 16 * 8);
  ldmatrix<2, Trans::yes>(fb, b_tile, (i % 16) * 8);
  if (fault == Fault::swapped_rows) {
    const std::uint32_t upper = fa[0];
    fa[0] = fa[1];
    fa[1] = upper;
  }
  float sum[4] = {};
  mma(sum, fa, fb);
  const std::size_t g = i / 4, c = i % 4 * 2;
  for (std::size_t j = 0; j < 2; ++j) {
    d[g * 8 + c + j] = sum[j];
    d[(g + 8) * 8 + c + j] = sum[2 + j];
  }
}

/// Sums of rows (rows, width): one block per row, 64 columns at a time through shared memory.
template <Fault fault>
SKIPV1_KERNEL sum_rows(float* sums, const float* x, std::size_t width) {
  SKIPV1_SHARED(float, tile, 64);
  const std::size_t t = thread().x;
  float sum = 0;
  for (std::size_t begin = 0; begin < width; begin += 64) {
    const std::size_t n = width - begin < 64 ? width - begin : 64;
    if (t < n) tile[t] = x[block().x * width + begin + t];
    sync_threads();
    if (t == 0)
      for (std::size_t i = 0; i < n + (fault == Fault::tail ? 1 : 0); ++i) sum += tile[i];
    if (fault != Fault::no_barrier) sync_threads();
  }
  if (t == 0) sums[block().x] = sum;
}

struct MmaProduct {
  alignas(16) bfloat16 a[256], b[128];
  float d[128];
  double truth[128] = {};

  explicit MmaProduct(std::uint64_t seed) {
    Random random(seed);
    for (auto& x : a) x = static_cast<bfloat16>(random.normal());
    for (auto& x : b) x = static_cast<bfloat16>(random.normal());
    for (std::size_t i = 0; i < 128; ++i)
      for (std::size_t k = 0; k < 16; ++k)
        truth[i] += static_cast<double>(a[i / 8 * 16 + k]) * static_cast<double>(b[k * 8 + i % 8]);
  }
  template <Fault fault>
  double error() {
    launch({"multiply", 1, 32}, multiply<fault>, d, a, b);
    double worst = 0;
    for (std::size_t i = 0; i < 128; ++i) worst = std::max(worst, std::abs(static_cast<double>(d[i]) - truth[i]));
    return worst;
  }
};

SKIPV1_KERNEL load_all_ways(std::uint32_t* out, const bfloat16* x) {
  SKIPV1_SHARED(bfloat16, tile, 256);
  const std::size_t i = lane();
  store_shared(tile, 8 * i, load_vector<8>(x + 8 * i));
  sync_warp();
  std::uint32_t one[1], two[2], four[4];
  ldmatrix<1>(one, tile, 8 * i);
  out[i] = one[0];
  ldmatrix<1, Trans::yes>(one, tile, 8 * i);
  out[32 + i] = one[0];
  ldmatrix<2>(two, tile, 8 * i);
  for (std::size_t m = 0; m < 2; ++m) out[(2 + m) * 32 + i] = two[m];
  ldmatrix<4, Trans::yes>(four, tile, 8 * i);
  for (std::size_t m = 0; m < 4; ++m) out[(4 + m) * 32 + i] = four[m];
}

/// Two groups in flight; the first is waited for, the second is read too early where `early` says so.
template <bool early>
SKIPV1_KERNEL two_groups(float* out, const float* x) {
  SKIPV1_SHARED(float, tile, 256);
  const std::size_t t = thread().x;
  cp_async(tile, 4 * t, x + 4 * t);
  cp_async_commit();
  cp_async(tile, 128 + 4 * t, x + 128 + 4 * t, t != 7);
  cp_async_commit();
  cp_async_wait<1>();
  sync_warp();
  out[t] = tile[127 - t];
  if (!early) cp_async_wait<0>();
  sync_warp();
  out[32 + t] = tile[128 + (t + 4) % 32];
}

SKIPV1_KERNEL store_and_load(std::uint32_t* out, const std::uint32_t* x) {
  SKIPV1_SHARED(bfloat16, tile, 256);
  std::uint32_t four[4];
  for (unsigned m = 0; m < 4; ++m) four[m] = x[lane() * 4 + m];
  stmatrix(tile, 8 * lane(), four);
  sync_warp();
  ldmatrix<4>(four, tile, 8 * lane());
  for (unsigned m = 0; m < 4; ++m) out[lane() * 4 + m] = four[m];
  ldmatrix<4, Trans::yes>(four, tile, 8 * lane());
  for (unsigned m = 0; m < 4; ++m) out[128 + lane() * 4 + m] = four[m];
}
SKIPV1_KERNEL store_unordered() {
  SKIPV1_SHARED(bfloat16, tile, 256);
  std::uint32_t four[4] = {};
  stmatrix(tile, 8 * lane(), four);
  ldmatrix<4>(four, tile, 8 * (lane() ^ 1));
}

}  // namespace

TEST_CASE("bfloat16 rounds to nearest, ties to even, and keeps infinities and NaN") {
  const auto round = [](float x) { return static_cast<float>(static_cast<bfloat16>(x)); };
  CHECK(round(1.f) == 1.f);
  CHECK(round(1.f + 0x1p-8f) == 1.f);                // a tie: down to even
  CHECK(round(1.f + 3 * 0x1p-8f) == 1.f + 0x1p-6f);  // a tie: up to even
  CHECK(round(1.f + 0x1.02p-8f) == 1.f + 0x1p-7f);   // past the tie
  CHECK(round(-3.39e38f) == -0x1.fep+127f);          // the largest there is
  CHECK(std::isinf(round(3.4e38f)));                 // a float beyond it
  CHECK(std::isinf(round(INFINITY)));
  CHECK(std::isnan(round(NAN)));
}

TEST_CASE("mma multiplies fragments laid out as PTX says") { CHECK(MmaProduct(5).error<Fault::none>() < 1e-5); }

TEST_CASE("ldmatrix hands out rows, and columns where transposed") {
  alignas(16) bfloat16 x[256];
  for (std::size_t i = 0; i < 256; ++i) x[i] = static_cast<bfloat16>(static_cast<float>(i));
  std::vector<std::uint32_t> out(8 * 32);
  launch({"load_all_ways", 1, 32}, load_all_ways, out.data(), x);
  const auto half = [&](std::size_t m, std::size_t lane, std::size_t j) {
    const std::uint32_t bits = out[m * 32 + lane] >> 16 * j << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return static_cast<std::size_t>(value);
  };
  const std::size_t matrix_of[] = {0, 0, 0, 1, 0, 1, 2, 3};
  for (std::size_t m = 0; m < 8; ++m) {
    for (std::size_t lane = 0; lane < 32; ++lane) {
      for (std::size_t j = 0; j < 2; ++j) {
        const std::size_t g = lane / 4, c = lane % 4 * 2 + j, row = m == 1 || m >= 4 ? c : g, column = m == 1 || m >= 4 ? g : c;
        REQUIRE(half(m, lane, j) == matrix_of[m] * 64 + row * 8 + column);
      }
    }
  }
}

TEST_CASE("stmatrix stores what ldmatrix loads") {
  std::vector<std::uint32_t> x(128), out(256);
  for (std::uint32_t i = 0; i < 128; ++i) x[i] = i << 16 | (1000 + i);
  launch({"store_and_load", 1, 32}, store_and_load, out.data(), x.data());
  for (std::size_t i = 0; i < 128; ++i) REQUIRE(out[i] == x[i]);
  CHECK(out[128 + 4] != x[4]);  // transposed
  CHECK_THAT(skipv1::fault(1, 32, store_unordered), Catch::Contains("race: reads element"));
}

TEST_CASE("asynchronous copies are there once waited for, and not before") {
  alignas(16) float x[256];
  for (std::size_t i = 0; i < 256; ++i) x[i] = static_cast<float>(i);
  std::vector<float> out(64);
  launch({"two_groups", 1, 32}, two_groups<false>, out.data(), x);
  for (std::size_t t = 0; t < 32; ++t) {
    REQUIRE(out[t] == static_cast<float>(127 - t));
    const std::size_t i = 128 + (t + 4) % 32;
    REQUIRE(out[32 + t] == (i / 4 == 32 + 7 ? 0.f : static_cast<float>(i)));  // thread 7 asked for zeros
  }
  launch({"two_groups", 1, 32}, two_groups<true>, out.data(), x);
  REQUIRE(std::isnan(out[32]));
}

TEST_CASE("three broken kernels are caught: a barrier removed, one past a tail, fragment rows swapped") {
  float x[2 * 100], sums[2];
  for (std::size_t i = 0; i < 200; ++i) x[i] = 1;
  launch({"sum_rows", 2, 64}, sum_rows<Fault::none>, sums, x, 100);
  CHECK((sums[0] == 100 && sums[1] == 100));
  CHECK_THROWS_WITH(launch({"sum_rows", 2, 64}, sum_rows<Fault::no_barrier>, sums, x, 100),
                    Catch::Contains("kernel sum_rows, block (0, 0, 0)") && Catch::Contains("race"));
  CHECK_THROWS_WITH(launch({"sum_rows", 2, 64}, sum_rows<Fault::tail>, sums, x, 100),
                    Catch::Contains("reads element 64 of shared array tile") && Catch::Contains("which has 64"));
  CHECK_THROWS_WITH(launch({"sum_rows", 2, 64}, sum_rows<Fault::tail>, sums, x, 36),
                    Catch::Contains("no thread of the block has written"));
  CHECK_THROWS_WITH(MmaProduct(6).error<Fault::no_barrier>(),
                    Catch::Contains("a_tile") && Catch::Contains("no thread of the block has written"));
  CHECK(MmaProduct(6).error<Fault::swapped_rows>() > 1);
}
