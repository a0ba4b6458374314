// Tiles in shared memory: copied in, read as fragments, written back, against plain loops.
#include <cmath>
#include <vector>

#include "skipv1/kernel/tile.cuh"
#include "skipv1/kernel/launch.cuh"
#include "skipv1/core/random.hpp"
#include "skipv1/device/resident.cuh"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

constexpr unsigned row_count = 32, width = 40, stride = 56, W = 48;  // one column of 8 is filled up with zeros

/// products (16, 16) = A B^T of two halves of one tile, sums (16, W) = the products' rows times the tile's first 16; and the tile
/// itself, negated, added to `copied`.
SKIPV1_KERNEL use_tile(float* products, bfloat16* sums, bfloat16* copied, const bfloat16* x, std::size_t count) {
  const Tile<W> tile{dynamic_shared<bfloat16>(0, 2 * row_count * Tile<W>::pitch), 0},
      other{tile.memory, row_count * Tile<W>::pitch};
  tile.load_async<row_count, 32>(x, stride, count, width, thread().x);
  cp_async_commit();
  cp_async_wait<0>();
  sync_warp();
  float product[2][4] = {}, sum[W / 8][4] = {};
  for (unsigned k = 0; k < W; k += 16) {
    std::uint32_t a[4], b[2][2];
    tile.load_a(a, 0, k);
    tile.load_bt(b, 16, k);
    mma(product[0], a, b[0]);
    mma(product[1], a, b[1]);
  }
  std::uint32_t a[4];
  to_a_fragment(a, product[0], product[1]);
  for (unsigned m = 0; m < W / 8; m += 2) {
    std::uint32_t b[2][2];
    tile.load_b(b, 0, m * 8);
    mma(sum[m], a, b[0]);
    mma(sum[m + 1], a, b[1]);
  }
  const unsigned g = lane() / 4, c = lane() % 4 * 2;
  for (unsigned n = 0; n < 2; ++n)
    for (unsigned j = 0; j < 4; ++j) products[(g + j / 2 * 8) * 16 + n * 8 + c + j % 2] = product[n][j];
  const float factor[2] = {1, 2};
  other.store_accumulators(sum, 16, factor);
  sync_warp();
  other.store_global<16>(sums, W, 16, row_count, W);
  sync_warp();
  tile.negate<row_count>(0);
  sync_warp();
  tile.store_global<row_count>(copied, stride, 0, count, width, WriteMode::accumulate);
}

}  // namespace

TEST_CASE("a tile is loaded, multiplied and stored as its elements say") {
  Random random(7);
  alignas(16) bfloat16 x[row_count * stride], sums[row_count * W], copied[row_count * stride];
  for (std::size_t i = 0; i < row_count * stride; ++i)
    x[i] = static_cast<bfloat16>(random.normal()), copied[i] = static_cast<bfloat16>(1.f);
  const std::size_t count = 29;
  std::vector<float> products(256);
  launch({"use_tile", 1, 32, 4 * row_count * Tile<W>::pitch}, use_tile, products.data(), sums, copied, x, count);
  const auto at = [&](std::size_t r, std::size_t i) {
    return r < count && i < width ? static_cast<double>(x[r * stride + i]) : 0.0;
  };
  for (std::size_t i = 0; i < 16; ++i) {
    double weights[16];
    for (std::size_t j = 0; j < 16; ++j) {
      double want = 0;
      for (std::size_t k = 0; k < width; ++k) want += at(i, k) * at(16 + j, k);
      REQUIRE(std::abs(static_cast<double>(products[i * 16 + j]) - want) < 1e-4);
      weights[j] = static_cast<double>(static_cast<bfloat16>(products[i * 16 + j]));
    }
    for (std::size_t k = 0; k < W; ++k) {
      double want = 0;
      for (std::size_t j = 0; j < 16; ++j) want += weights[j] * at(j, k);
      want *= i < 8 ? 1 : 2;
      REQUIRE(std::abs(static_cast<double>(sums[(16 + i) * W + k]) - want) <= 0.01 * std::abs(want) + 1e-3);
    }
  }
  for (std::size_t i = 0; i < row_count * stride; ++i) {
    const bool in = i / stride < count && i % stride < width;
    const float want = static_cast<float>(static_cast<bfloat16>(1.f - (in ? static_cast<float>(x[i]) : 0.f)));
    REQUIRE(static_cast<float>(copied[i]) == want);
  }
}

TEST_CASE("eight rows of a tile, and the chunks of a row, lie in different banks") {
  const Tile<128> tile{};
  for (unsigned column = 0; column < 128; column += 8) {
    unsigned banks = 0;
    for (unsigned row = 8; row < 16; ++row) banks |= 1u << tile.at(row, column) / 8 % 8;  // of 16 bytes
    CHECK(banks == 0xff);
  }
}

template <class T>
void check_offset_from(const T& tile) {
  for (unsigned r = 0; r < 16; ++r)
    for (unsigned c = 0; c < 16; ++c)
      for (unsigned row = 0; r + row < 64; row += 8)
        for (unsigned column = 0; column < 128; column += 16) {
          REQUIRE(T::offset_from(tile.at(r, c), row, column) == tile.at(r + row, c + column));
          REQUIRE(tile.rows_from(row).at(r, c + column) == tile.at(r + row, c + column));
        }
}

TEST_CASE("offset_from finds the element that at finds") {
  check_offset_from(Tile<128>{{}, 3 * 64});
  check_offset_from(Tile<128, 64>{{}, 3 * 64});
}

TEST_CASE("two values are packed into a register, the lower index first") {
  CHECK(pack_bfloat16(1.f, -2.f) == 0xc0003f80u);
  CHECK(unpack_bfloat16(0xc0003f80u)[0] == 1.f);
  CHECK(unpack_bfloat16(0xc0003f80u)[1] == -2.f);
  alignas(4) bfloat16 pair[2];
  store_pair(pair, 0xc0003f80u);
  CHECK(static_cast<float>(pair[0]) == 1.f);
  CHECK(static_cast<float>(pair[1]) == -2.f);
  CHECK_THROWS_WITH(load_pair(pair + 1), Catch::Contains("outside of a kernel"));  // not aligned: reported by the running thread
}
