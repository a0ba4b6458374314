// The emulator counts a launch's traffic of global memory.
#include <vector>

#include "skipv1/kernel/global.cuh"
#include "skipv1/kernel/launch.cuh"
#include "skipv1/kernel/mma.cuh"
#include "skipv1/kernel/tma.cuh"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// Floats, the first of which begins a sector.
struct alignas(128) TrafficFloats {
  float at[1024] = {};
};

/// Lane i of each warp loads and stores one float, `step` floats from its neighbour's; odd lanes store nothing where `even`.
SKIPV1_KERNEL traffic_copy(float* y, const float* x, unsigned step, bool even) {
  const unsigned i = thread().x * step;
  const float own = load_global(x + i);
  if (!even || lane() % 2 == 0) store_global(y + i, own);
}
SKIPV1_KERNEL traffic_broadcast(float* y, const float* x) { store_global(y, load_global(x)); }
SKIPV1_KERNEL traffic_vectors(float* y, const float* x) { store_global(y + 4 * thread().x, load_global<4>(x + 4 * thread().x)); }
/// Rows of different length: lane i loads i elements.
SKIPV1_KERNEL traffic_triangle(const float* x) {
  for (unsigned s = 0; s < thread().x; ++s) load_global(x + 8 * thread().x);
}
/// Half of a warp's copies are masked, and read nothing.
SKIPV1_KERNEL traffic_cp_async(const float* x) {
  SKIPV1_SHARED(float, tile, 128);
  cp_async(tile, 4 * thread().x, x + 4 * thread().x, thread().x < 16);
  cp_async_commit();
  cp_async_wait<0>();
}
SKIPV1_KERNEL traffic_tma(TensorMap* map, const bfloat16* x) {
  make_tensor_map(map, dynamic_shared<std::uint32_t>(16384, 32), x, 64, 40, 64);
  const Mbarriers mbarriers = dynamic_shared<std::uint64_t>(16384 + 256, 1);
  if (thread().x == 0) mbarrier_init(mbarriers, 0, 1);
  sync_threads();
  if (thread().x == 0) {
    mbarrier_arrive_expect_tx(mbarriers, 0, 2 * 64 * 64);
    tma_load_tile(Tile<64, 64>{dynamic_shared<bfloat16>(0, 4096), 0}, 0, map, 0, mbarriers, 0);
  }
  mbarrier_wait(mbarriers, 0, 0);
}

void check_traffic(const emulator::Traffic& own, std::size_t accesses, std::size_t sectors, std::size_t bytes) {
  CHECK(own.accesses == accesses);
  CHECK(own.sectors == sectors);
  CHECK(own.bytes == bytes);
}
template <class Work>
emulator::GlobalTraffic traffic_of(const Work& work) {
  return emulator::count_traffic(work);
}

}  // namespace

TEST_CASE("neighbouring lanes share sectors, distant ones do not") {
  TrafficFloats x, y;
  auto own = traffic_of([&] { launch({"traffic_copy", 1, 64}, traffic_copy, y.at, x.at, 1u, false); });
  check_traffic(own.loads, 2, 8, 256);
  check_traffic(own.stores, 2, 8, 256);
  own = traffic_of([&] { launch({"traffic_copy", 1, 64}, traffic_copy, y.at, x.at, 8u, true); });
  check_traffic(own.loads, 2, 64, 256);
  check_traffic(own.stores, 2, 32, 128);
  own = traffic_of([&] { launch({"traffic_copy", 3, 32}, traffic_copy, y.at, x.at + 1, 1u, false); });
  check_traffic(own.loads, 3, 15, 384);  // unaligned: a fifth sector per warp
  check_traffic(own.stores, 3, 12, 384);
}

TEST_CASE("a byte that many lanes ask for counts once") {
  TrafficFloats x, y;
  const auto own = traffic_of([&] { launch({"traffic_broadcast", 1, 32}, traffic_broadcast, y.at, x.at); });
  check_traffic(own.loads, 1, 1, 4);
}

TEST_CASE("vectors, masked lanes and rows of different length") {
  TrafficFloats x, y;
  auto own = traffic_of([&] { launch({"traffic_vectors", 1, 32}, traffic_vectors, y.at, x.at); });
  check_traffic(own.loads, 1, 16, 512);
  check_traffic(own.stores, 1, 16, 512);
  own = traffic_of([&] { launch({"traffic_triangle", 1, 32}, traffic_triangle, x.at); });
  check_traffic(own.loads, 31, 31 * 32 / 2, 31 * 32 / 2 * 4);
  own = traffic_of([&] { launch({"traffic_cp_async", 1, 32}, traffic_cp_async, x.at); });
  check_traffic(own.loads, 1, 8, 256);
}

TEST_CASE("TMA's loads count the rows in bounds") {
  alignas(128) TensorMap map;
  alignas(128) static bfloat16 x[64 * 40] = {};
  const auto own = traffic_of([&] { launch({"traffic_tma", 1, 32, 16384 + 512}, traffic_tma, &map, x); });
  check_traffic(own.loads, 1, 40 * 4, 40 * 128);
}

TEST_CASE("nothing is counted outside of count_traffic, and a fault ends the counting") {
  TrafficFloats x, y;
  launch({"traffic_copy", 1, 64}, traffic_copy, y.at, x.at, 1u, false);
  CHECK_THROWS_AS(traffic_of([] { fail("a fault"); }), Error);
  CHECK(emulator::counted_traffic() == nullptr);
}
