// Thread-block clusters: blocks that store into each other's shared memory, and what the emulator finds wrong in their use.
#include <string>
#include <vector>

#include "skipv1/kernel/cluster.cuh"
#include "skipv1/kernel/mma.cuh"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

enum class Give { right, no_first_barrier, no_last_barrier, no_wait, one_stays_away, twice, over_own, waits_only };
/// Each thread of each block gives `10 rank + thread` to the next block of its cluster, which writes what it got: (blocks, 64).
template <Give use>
SKIPV1_KERNEL give_to_next(float* out) {
  SKIPV1_SHARED(float, got, 128);
  const unsigned rank = cluster_rank(), next = use == Give::twice ? 0 : (rank + 1) % cluster_blocks(), t = thread().x;
  if (use == Give::one_stays_away && rank == 1) return;
  if (use != Give::no_first_barrier && use != Give::waits_only) cluster_arrive();
  if (use != Give::no_first_barrier) cluster_wait();
  const auto x = static_cast<float>(10 * rank + t);
  if (use == Give::over_own) got[2 * t] = 0;
  store_in_cluster(got, t, next, {x, -x});
  if (use != Give::no_last_barrier) cluster_arrive();
  if (use == Give::no_last_barrier) return;
  if (use != Give::no_wait) cluster_wait();
  const Vector<float, 2> there = load_shared<2>(got, 2 * t);
  out[block().x * 64 + t] = there[0] - there[1];
}
template <Give use>
std::string fault_of_cluster(std::vector<float>& out, unsigned blocks = 4) {
  try {
    launch({"under_test", out.size() / 64, 64, 0, Resident::some, blocks}, give_to_next<use>, out.data());
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("the blocks of a cluster store into each other's shared memory") {
  std::vector<float> out(12 * 64);
  REQUIRE(fault_of_cluster<Give::right>(out) == "");
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t before = (i / 64 + 3) % 4;
    REQUIRE(out[i] == 2 * static_cast<float>(10 * before + i % 64));
  }
}

TEST_CASE("the emulator finds what is wrong in a cluster") {
  std::vector<float> out(8 * 64);
  const auto contains = [](const char* text) { return Catch::Contains(text); };
  CHECK_THAT(fault_of_cluster<Give::no_first_barrier>(out), contains("which may not have started"));
  CHECK_THAT(fault_of_cluster<Give::no_last_barrier>(out), contains("no barrier of the cluster follows"));
  CHECK_THAT(fault_of_cluster<Give::no_wait>(out), contains("which no thread of the block has written"));
  CHECK_THAT(fault_of_cluster<Give::one_stays_away>(out), contains("deadlock"));
  CHECK_THAT(fault_of_cluster<Give::twice>(out), contains("race: block"));
  CHECK_THAT(fault_of_cluster<Give::over_own>(out), contains("race: block"));
  CHECK_THAT(fault_of_cluster<Give::waits_only>(out), contains("without having arrived"));
  CHECK_THAT(fault_of_cluster<Give::right>(out, 3), contains("clusters of 3 blocks in a grid of"));
  CHECK_THAT(fault(1, 64, give_to_next<Give::right>, out.data()), contains("the launch has none"));
}
