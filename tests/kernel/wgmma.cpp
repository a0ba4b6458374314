// `wgmma` against plain loops, and what the emulator reports.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "skipv1/kernel/wgmma.cuh"
#include "skipv1/core/random.hpp"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

enum class Use { right, unwaited, unordered, overwritten, misplaced };

/// `scores (64, 64) = a b^T`, rounded, and `sums (64, W) = scores b`, of a (64, W) and b (64, W), by one warpgroup; a's rows from
/// shared memory or in fragments.
template <unsigned W, bool fragments, Use use>
SKIPV1_KERNEL multiply(float* scores, float* sums, const bfloat16* a, const bfloat16* b) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 2 * 64 * Tile<W>::pitch);
  const Tile<W, 64> a_tile{memory, 0}, b_tile{memory, 64 * Tile<W>::pitch};
  a_tile.template load_async<64, 128>(a, W, 64, W, thread().x);
  b_tile.template load_async<64, 128>(b, W, 64, W, thread().x);
  cp_async_commit();
  cp_async_wait<0>();
  fence_proxy_async();
  sync_threads();
  float x[8][4] = {}, y[W / 8][4] = {};
  std::uint32_t rows[W / 16][4], weights[4][4];
  for (unsigned k = 0; k < W; k += 16) a_tile.load_a(rows[k / 16], warp() * 16, k);
  if (use == Use::unordered && thread().x == 5) store_pair(memory, b_tile.at(0, 0), 0);
  wgmma_fence(x, rows);
  for (unsigned k = 0; k < W; k += 16) {
    const MatrixDescriptor columns(b_tile, use == Use::misplaced ? 4 : 0, k);
    if (fragments)
      wgmma_ABt(x, rows[k / 16], columns, accumulate_if(k > 0));
    else
      wgmma_ABt(x, MatrixDescriptor(a_tile, 0, k), columns, accumulate_if(k > 0));
  }
  wgmma_commit();
  if (use == Use::overwritten && thread().x == 0) store_pair(memory, b_tile.at(0, 0), 0);
  if (use == Use::unordered) sync_threads();  // too late
  if (use != Use::unwaited) wgmma_wait<0>(x);
  for (unsigned n = 0; n < 4; ++n) to_a_fragment(weights[n], x[2 * n], x[2 * n + 1]);
  wgmma_fence(y, weights);
  for (unsigned n = 0; n < 4; ++n) wgmma_AB(y, weights[n], MatrixDescriptor(b_tile, 16 * n, 0));
  wgmma_commit();
  const unsigned g = warp() * 16 + lane() / 4, c = lane() % 4 * 2;
  for (unsigned n = 0; n < 8; ++n)
    for (unsigned j = 0; j < 4; ++j) scores[(g + j / 2 * 8) * 64 + n * 8 + c + j % 2] = x[n][j];
  wgmma_wait<0>(y);
  for (unsigned n = 0; n < W / 8; ++n)
    for (unsigned j = 0; j < 4; ++j) sums[(g + j / 2 * 8) * W + n * 8 + c + j % 2] = y[n][j];
}

/// `scores (64, 128) = a b^T` of a (64, 64) and b (128, 64), a's rows in fragments.
SKIPV1_KERNEL multiply_wide(float* scores, const bfloat16* a, const bfloat16* b) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 192 * 64);
  const Tile<64, 64> a_tile{memory, 0};
  const Tile<64, 128> b_tile{memory, 64 * 64};
  a_tile.load_async<64, 128>(a, 64, 64, 64, thread().x);
  b_tile.load_async<128, 128>(b, 64, 128, 64, thread().x);
  cp_async_commit();
  cp_async_wait<0>();
  fence_proxy_async();
  sync_threads();
  std::uint32_t rows[4][4];
  float x[16][4];
  for (unsigned k = 0; k < 64; k += 16) a_tile.load_a(rows[k / 16], warp() * 16, k);
  wgmma_fence(x, rows);
  for (unsigned k = 0; k < 64; k += 16) wgmma_ABt(x, rows[k / 16], MatrixDescriptor(b_tile, 0, k), accumulate_if(k > 0));
  wgmma_commit();
  wgmma_wait<0>(x);
  const unsigned g = warp() * 16 + lane() / 4, c = lane() % 4 * 2;
  for (unsigned n = 0; n < 16; ++n)
    for (unsigned j = 0; j < 4; ++j) scores[(g + j / 2 * 8) * 128 + n * 8 + c + j % 2] = x[n][j];
}

/// `out (64, 8 M) = a (32, 64)^T b (32, 8 M)`, of b's columns from `column` on; a and b (32, 128).
template <std::size_t M>
SKIPV1_KERNEL outer(float* out, const bfloat16* a, const bfloat16* b, unsigned column) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 2 * 32 * 128);
  const Tile<128, 32> a_tile{memory, 0}, b_tile{memory, 32 * 128};
  a_tile.load_async<32, 128>(a, 128, 32, 128, thread().x);
  b_tile.load_async<32, 128>(b, 128, 32, 128, thread().x);
  cp_async_commit();
  cp_async_wait<0>();
  fence_proxy_async();
  sync_threads();
  setmaxnreg_inc<240>();
  float x[M][4];
  wgmma_fence(x);
  for (unsigned k = 0; k < 32; k += 16)
    wgmma_AtB(x, MatrixDescriptor(a_tile, k, 64), MatrixDescriptor(b_tile, k, column), accumulate_if(k > 0));
  wgmma_commit();
  wgmma_wait<0>(x);
  const unsigned g = warp() * 16 + lane() / 4, c = lane() % 4 * 2;
  for (unsigned n = 0; n < M; ++n)
    for (unsigned j = 0; j < 4; ++j) out[(g + j / 2 * 8) * 8 * M + n * 8 + c + j % 2] = x[n][j];
  setmaxnreg_dec<24>();
}

template <unsigned W>
struct Problem {
  std::vector<bfloat16> a = drawn(64 * W + 8, 1), b = drawn(64 * W + 8, 2);
  std::vector<float> scores = std::vector<float>(64 * 64), sums = std::vector<float>(64 * W);

  template <bool fragments, Use use>
  void run() {
    launch({"multiply", 1, 128, 4 * 64 * Tile<W>::pitch}, multiply<W, fragments, use>, scores.data(), sums.data(), a.data(),
           b.data());
  }
  double of(const std::vector<bfloat16>& x, std::size_t i) const { return static_cast<double>(static_cast<float>(x[i])); }
  /// The largest error of scores, and of sums.
  double error() const {
    double worst = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      std::vector<double> row(64), sum(W);
      for (std::size_t j = 0; j < 64; ++j) {
        double score = 0;
        for (std::size_t k = 0; k < W; ++k) score += of(a, i * W + k) * of(b, j * W + k);
        worst = std::max(worst, std::abs(static_cast<double>(scores[i * 64 + j]) - score));
        row[j] = static_cast<double>(static_cast<float>(static_cast<bfloat16>(scores[i * 64 + j])));
        for (std::size_t k = 0; k < W; ++k) sum[k] += row[j] * of(b, j * W + k);
      }
      for (std::size_t k = 0; k < W; ++k) worst = std::max(worst, std::abs(static_cast<double>(sums[i * W + k]) - sum[k]));
    }
    return worst;
  }
};

template <Use use>
std::string multiply_fault() {
  try {
    Problem<64>().run<false, use>();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("wgmma multiplies as plain loops do", "", ((unsigned W), W), 64, 96, 128) {
  Problem<W> p;
  p.template run<false, Use::right>();
  CHECK(p.error() < 1e-3);
  Problem<W> in_fragments;
  in_fragments.template run<true, Use::right>();
  CHECK(in_fragments.error() < 1e-3);
}

TEST_CASE("wgmma of 128 columns multiplies as plain loops do") {
  Problem<64> p;  // draws
  const auto b = drawn(64 * 128, 3);
  std::vector<float> scores(64 * 128);
  launch({"multiply_wide", 1, 128, 2 * 192 * 64}, multiply_wide, scores.data(), p.a.data(), b.data());
  double worst = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t j = 0; j < 128; ++j) {
      double score = 0;
      for (std::size_t k = 0; k < 64; ++k) score += p.of(p.a, i * 64 + k) * p.of(b, j * 64 + k);
      worst = std::max(worst, std::abs(static_cast<double>(scores[i * 128 + j]) - score));
    }
  }
  CHECK(worst < 1e-3);
}

TEST_CASE("accumulators hold NaN before wgmma_wait") {
  Problem<64> p;
  p.run<false, Use::unwaited>();
  CHECK(std::isnan(p.scores[0]));
}

TEST_CASE("shared memory that a product still reads is not written; its parts begin where the hardware can read them") {
  CHECK(multiply_fault<Use::right>().empty());
  CHECK_THAT(multiply_fault<Use::unordered>(), Catch::Contains("race"));
  CHECK_THAT(multiply_fault<Use::overwritten>(), Catch::Contains("race"));
  CHECK_THAT(multiply_fault<Use::misplaced>(), Catch::Contains("multiples of 512, 8 and 16"));
}

TEMPLATE_TEST_CASE_SIG("wgmma with both operands transposed multiplies as plain loops do", "", ((std::size_t M), M), 4, 8) {
  const std::vector<bfloat16> a = drawn(32 * 128, 1), b = drawn(32 * 128, 2);
  for (unsigned column = 0; column < 128; column += 8 * M) {
    std::vector<float> out(64 * 8 * M);
    REQUIRE(fault(1, 128, outer<M>, out.data(), a.data(), b.data(), column) == "");
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t row = i / (8 * M), n = column + i % (8 * M);
      float sum = 0;
      for (std::size_t k = 0; k < 32; ++k) sum += number(a, k * 128 + 64 + row) * number(b, k * 128 + n);
      REQUIRE(std::abs(out[i] - sum) < 1e-4f);
    }
  }
  std::vector<float> out(64 * 8 * M);
  CHECK_THAT(fault(1, 128, outer<M>, out.data(), a.data(), b.data(), 48), Catch::Contains("begin with a panel"));
}
