#include "tests/cuda/attention.hpp"

TEST_CASE("routed attention on the device is that on the CPU: double", "[cuda]") { skipv1::test::check_all_attention<double>(); }
