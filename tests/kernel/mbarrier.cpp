// mbarriers that hand values from a producer warp to consumer warps and back.
#include <string>
#include <vector>

#include "skipv1/kernel/mbarrier.cuh"
#include "tests/kernel/fault.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

enum class Pass { right, no_wait_empty, no_arrive_empty, arrived_twice };
/// A producer warp passes a value to two consumer warps per round: mbarrier 0 is full, mbarrier 1 empty.
template <Pass use>
SKIPV1_KERNEL pass_values(float* out) {
  SKIPV1_SHARED(float, value, 1);
  SKIPV1_SHARED(std::uint64_t, mbarriers, 2);
  if (thread().x == 0) {
    mbarrier_init(mbarriers, 0, 1);
    mbarrier_init(mbarriers, 1, 1, 2);
  }
  sync_threads();
  for (unsigned round = 0; round < 3; ++round) {
    if (warp() == 2) {
      if (lane() > 0) continue;
      if (round > 0 && use != Pass::no_wait_empty) mbarrier_wait(mbarriers, 1, round - 1);
      value[0] = static_cast<float>(round + 1);
      mbarrier_arrive(mbarriers, 0);
      if (use == Pass::arrived_twice) mbarrier_arrive(mbarriers, 0);
    } else {
      mbarrier_wait(mbarriers, 0, round);
      out[round * 64 + thread().x] = value[0];
      sync_warp();
      if (lane() == 0 && !(use == Pass::no_arrive_empty && warp() == 1)) mbarrier_arrive(mbarriers, 1);
    }
  }
}
}  // namespace

TEST_CASE("a producer warp waits until its consumers have read") {
  std::vector<float> out(3 * 64);
  REQUIRE(fault(1, 96, pass_values<Pass::right>, out.data()) == "");
  for (std::size_t i = 0; i < out.size(); ++i) REQUIRE(out[i] == static_cast<float>(i / 64 + 1));
  CHECK_THAT(fault(1, 96, pass_values<Pass::no_wait_empty>, out.data()), Catch::Contains("waits for phase 0 of mbarrier 0"));
  CHECK_THAT(fault(1, 96, pass_values<Pass::no_arrive_empty>, out.data()), Catch::Contains("waits at an mbarrier"));
  CHECK_THAT(fault(1, 96, pass_values<Pass::arrived_twice>, out.data()), Catch::Contains("phase"));
}
