#include "tests/cuda/attention.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("routed attention on the device is that on the CPU: float", "[cuda]") { check_all_attention<float>(); }

TEST_CASE("attention's sizes are checked on the device", "[cuda]") {
  Random random(64);
  Problem<float> p({1, 264, 8, {2}, {0}}, random);
  auto out = unwritten<float>({2, 1, 8}), lse = unwritten<float>({2, 1});
  using Table = View<const HeadPair<const float, Device>, Device>;
  CHECK_THROWS_WITH(attention_forward<float>(out, lse, p.q, Table(nullptr, {1}), p.on_device(), 1),
                    Catch::Contains("do not fit"));
  const HeadPair<const float, Device> none;
  CHECK_THROWS_WITH(attention_forward<float>(out, lse, p.q, Table(&none, {1}), p.on_device(), 1), Catch::Contains("at most 256"));
}
