#include "skipv1/ops/head_copy.cuh"

#include "skipv1/ops/head_copy.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("copy_head on the device equals its reference", "[cuda]", Scalars) {
  using T = TestType;
  Random random(43);
  for (std::size_t positions : awkward) {
    const std::size_t batch = 2, width = 1 + positions % 9;
    ThreeHeads<T> to(batch, positions, width, random), from(batch, positions, width, random);
    copy_head<T>(to.device(0), from.device(2), batch, positions, width);
    reference::copy_head<double>(to.host(0), from.host(2), batch, positions, width);
    copy_head<T>(to.device(2), from.device(1), batch, positions, width, WriteMode::accumulate);
    reference::copy_head<double>(to.host(2), from.host(1), batch, positions, width, WriteMode::accumulate);
    check_close("copy_head to", to.all);
  }
}
