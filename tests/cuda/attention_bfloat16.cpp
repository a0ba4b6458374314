#include "tests/cuda/attention.hpp"

TEST_CASE("routed attention on the device is that on the CPU: bfloat16", "[cuda]") {
  skipv1::test::check_all_attention<skipv1::bfloat16>();
}
