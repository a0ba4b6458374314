// TMA: tensor maps, loads of tiles, bulk loads, stores and reductions, against plain loops; and what the emulator reports.
#include <algorithm>
#include <string>
#include <vector>

#include "skipv1/kernel/tma.cuh"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

struct Matrix {
  std::size_t width, rows, stride;
};

SKIPV1_KERNEL make_map(TensorMap* map, const bfloat16* data, Matrix m) {
  SKIPV1_SHARED(std::uint32_t, room, 32);
  make_tensor_map(map, room, data, m.width, m.rows, m.stride);
}
/// Loads a tile from row `first` and then from the next, in two phases of an mbarrier, and 8 floats with each; `out` gets both.
template <unsigned W>
SKIPV1_KERNEL load_two(float* out, const TensorMap* map, std::size_t first, const float* numbers) {
  constexpr unsigned pitch = Tile<W>::pitch;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 512 + 128 * pitch);
  SKIPV1_SHARED(float, beside, 16);
  SKIPV1_SHARED(std::uint64_t, mbarriers, 2);
  const Tile<W, 128> tile{memory, 512};
  if (thread().x == 0) mbarrier_init(mbarriers, 0, 2);
  sync_threads();
  for (unsigned phase = 0; phase < 2; ++phase) {
    if (thread().x == 0) {
      fence_acquire_tensor_map(map);
      mbarrier_arrive_expect_tx(mbarriers, 1, tma_box_rows * pitch * 2 + 32);
      tma_load_tile(tile, 64 - phase * 8, map, first + phase, mbarriers, 1);
      bulk_load(beside, 4, numbers + 8 * phase, 8, mbarriers, 1);
    }
    mbarrier_wait(mbarriers, 1, phase);
    for (unsigned i = thread().x; i < tma_box_rows * W; i += block_size().x)
      out[phase * tma_box_rows * W + i] = static_cast<float>(load_shared<1>(memory, tile.at(64 - phase * 8 + i / W, i % W))[0]);
    if (thread().x < 8) out[2 * tma_box_rows * W + phase * 8 + thread().x] = beside[4 + thread().x];
    sync_threads();
  }
}

enum class Load {
  right,
  not_initialised,
  beyond_expected,
  too_few,
  unexpected,
  arrived_twice,
  phase_ahead,
  phase_behind,
  read_at_once,
  read_before,
  written_before,
  unwaited,
  rows,
  base,
  count,
  overwritten
};
template <Load use>
SKIPV1_KERNEL load_once(float* out, const TensorMap* map, const float* numbers) {
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, 2 * 64 * 64);
  SKIPV1_SHARED(float, beside, 32);
  SKIPV1_SHARED(std::uint64_t, mbarriers, 2);
  const unsigned t = thread().x;
  if (t == 0) mbarrier_init(mbarriers, 0, use == Load::not_initialised ? 1 : 2);
  sync_threads();
  if (t == 0) {
    if (use != Load::unexpected) mbarrier_arrive_expect_tx(mbarriers, 1, use == Load::beyond_expected ? 64 : 128);
    if (use == Load::arrived_twice) mbarrier_arrive_expect_tx(mbarriers, 1, 128);
    if (use == Load::rows) tma_load_tile(Tile<64, 64>{memory, 0}, 4, map, 0, mbarriers, 1);
    if (use == Load::base) tma_load_tile(Tile<64, 64>{memory, 64}, 0, map, 0, mbarriers, 1);
    if (use == Load::count) bulk_load(beside, 0, numbers, 30, mbarriers, 1);
    if (use != Load::too_few) bulk_load(beside, 0, numbers, 16, mbarriers, 1);
    bulk_load(beside, 16, numbers + 16, 16, mbarriers, 1);
  }
  if (use == Load::read_at_once && t == 1) out[1] = beside[1];
  if (use == Load::read_before || use == Load::written_before) {
    sync_threads();
    if (use == Load::read_before && t == 1) out[1] = beside[1];
    if (use == Load::written_before && t == 1) beside[1] = 0;
    sync_threads();
  }
  if (use == Load::unwaited) return;
  mbarrier_wait(mbarriers, 1, use == Load::phase_ahead ? 1 : 0);
  if (use == Load::phase_behind) {
    for (unsigned phase = 1; phase < 3; ++phase) {
      sync_threads();
      if (t == 0) mbarrier_arrive_expect_tx(mbarriers, 1, 16), bulk_load(beside, 0, numbers, 4, mbarriers, 1);
      mbarrier_wait(mbarriers, 1, phase);
    }
    mbarrier_wait(mbarriers, 1, 0);
  }
  out[t] = beside[t];
  if (use == Load::overwritten && t == 0)
    mbarrier_arrive_expect_tx(mbarriers, 1, 16), bulk_load(beside, 16, numbers, 4, mbarriers, 1);
}
template <Load use>
std::string load_fault() {
  const std::vector<float> numbers(32, 1.f);
  std::vector<float> out(32);
  const auto data = drawn(64 * 64, 1);
  alignas(128) TensorMap map;
  launch({"make_map", 1, 32}, make_map, &map, data.data(), Matrix{64, 64, 64});
  return fault(1, 32, load_once<use>, out.data(), &map, numbers.data());
}

enum class Store { right, no_barrier, overwritten, unwaited, read_only, odd };
template <Store use>
SKIPV1_KERNEL store(float* stored, float* added) {
  SKIPV1_SHARED(float, numbers, 64);
  numbers[thread().x] = static_cast<float>(thread().x);
  if (use != Store::no_barrier) sync_threads();
  if (thread().x == 0) {
    bulk_store(stored, numbers, 0, use == Store::odd ? 30 : 32);
    bulk_reduce_add(added, numbers, 32, 32);
    if (use != Store::unwaited && use != Store::overwritten) bulk_wait_group_read();
  }
  if (use == Store::overwritten) {
    if (thread().x == 1) numbers[0] = 5;
    if (thread().x == 0) bulk_wait_group_read();
  }
  sync_threads();
  numbers[thread().x] = -1;
  if (thread().x == 0 && use != Store::unwaited && use != Store::read_only) bulk_wait_group();
}

}  // namespace

TEMPLATE_TEST_CASE_SIG("loaded tiles are those of plain loops", "", ((unsigned W), W), 64, 80, 96, 128) {
  for (const std::size_t used : {std::size_t{W}, std::size_t{W - 8}}) {
    for (const std::size_t first : {0u, 5u, 40u, 90u}) {  // the last beyond the rows
      const Matrix m{used, 70, W + 16};
      const std::vector<bfloat16> data = drawn(m.rows * m.stride, W + first);
      std::vector<float> numbers(16), out(2 * tma_box_rows * W + 16);
      for (std::size_t i = 0; i < 16; ++i) numbers[i] = static_cast<float>(i);
      alignas(128) TensorMap map;
      launch({"make_map", 1, 32}, make_map, &map, data.data(), m);
      launch({"load_two", 1, 64, 2 * (512 + 128 * Tile<W>::pitch)}, load_two<W>, out.data(), &map, first, numbers.data());
      for (std::size_t i = 0; i < 2 * tma_box_rows * W; ++i) {
        const std::size_t row = first + i / (tma_box_rows * W) + i / W % tma_box_rows, column = i % W;
        const bool there = row < m.rows && column < used;
        REQUIRE(out[i] == (there ? number(data, row * m.stride + column) : 0.f));
      }
      for (std::size_t i = 0; i < 16; ++i) REQUIRE(out[2 * tma_box_rows * W + i] == numbers[i]);
    }
  }
}

TEST_CASE("faults of loads are reported") {
  CHECK(load_fault<Load::right>().empty());
  CHECK_THAT(load_fault<Load::not_initialised>(),
             Catch::Contains("of shared array mbarriers") && Catch::Contains("no thread of the block"));
  CHECK_THAT(load_fault<Load::beyond_expected>(), Catch::Contains("beyond the 64 bytes that mbarrier 1 expects"));
  CHECK_THAT(load_fault<Load::unexpected>(), Catch::Contains("beyond the 0 bytes that mbarrier 1 expects"));
  CHECK_THAT(load_fault<Load::too_few>(), Catch::Contains("waits at an mbarrier (tma.cpp:") && Catch::Contains("not issued") &&
                                              Catch::Contains("no thread can go on"));
  CHECK_THAT(load_fault<Load::arrived_twice>(), Catch::Contains("while phase 0 of mbarrier 1 has not ended"));
  CHECK_THAT(load_fault<Load::phase_ahead>(),
             Catch::Contains("waits for phase 1 of mbarrier 1") && Catch::Contains("phase 0 goes"));
  CHECK_THAT(load_fault<Load::phase_behind>(), Catch::Contains("waits for phase 0 of mbarrier 1"));
  CHECK_THAT(load_fault<Load::read_at_once>(), Catch::Contains("race: reads element 1 of shared array beside") &&
                                                   Catch::Contains("without waiting at the mbarrier"));
  CHECK_THAT(load_fault<Load::read_before>(), Catch::Contains("element 1 of shared array beside was accessed before the load"));
  CHECK_THAT(load_fault<Load::written_before>(),
             Catch::Contains("element 1 of shared array beside was accessed before the load"));
  CHECK_THAT(load_fault<Load::unwaited>(), Catch::Contains("returns, the last, while a load (tma.cpp:"));
  CHECK_THAT(load_fault<Load::overwritten>(), Catch::Contains("race: reads element 16 of shared array beside"));
  CHECK_THAT(load_fault<Load::rows>(), Catch::Contains("multiples of 8 and 512"));
  CHECK_THAT(load_fault<Load::base>(), Catch::Contains("multiples of 8 and 512"));
  CHECK_THAT(load_fault<Load::count>(), Catch::Contains("loads 30 floats"));
  alignas(128) TensorMap map;
  const auto data = drawn(100, 1);
  CHECK_THAT(fault(1, 32, make_map, &map, data.data(), Matrix{64, 1, 100}), Catch::Contains("not aligned to 16 bytes"));
  CHECK_THAT(fault(1, 32, make_map, &map, data.data() + 1, Matrix{64, 1, 64}), Catch::Contains("not aligned to 16 bytes"));
  CHECK_THAT(fault(1, 32, make_map, &map, data.data(), Matrix{64, 0, 64}), Catch::Contains("a tensor map of 0 rows"));
}

TEST_CASE("a bulk store overwrites, a bulk reduction adds, and both are waited for") {
  alignas(16) float stored[32], added[32];
  const auto run = [&](auto kernel) {
    std::fill_n(stored, 32, 7.f);
    std::fill_n(added, 32, 7.f);
    const std::string line = fault(1, 64, kernel, stored, added);
    for (std::size_t i = 0; line.empty() && i < 32; ++i) {
      REQUIRE(stored[i] == static_cast<float>(i));
      REQUIRE(added[i] == static_cast<float>(i + 39));
    }
    return line;
  };
  CHECK(run(store<Store::right>).empty());
  CHECK(run(store<Store::read_only>).empty());
  CHECK_THAT(run(store<Store::no_barrier>), Catch::Contains("of shared array numbers"));
  CHECK_THAT(run(store<Store::overwritten>), Catch::Contains("race") && Catch::Contains("of shared array numbers"));
  CHECK_THAT(run(store<Store::unwaited>), Catch::Contains("race: writes element") || Catch::Contains("has read shared memory"));
  CHECK_THAT(run(store<Store::odd>), Catch::Contains("stores 30 floats"));
}
