#include "tests/cuda/decoder.hpp"

using namespace skipv1::test;

TEST_CASE("the decoder on the device is that on the CPU: float", "[cuda]") { check_all_decoders<float>(2e-4, true); }
