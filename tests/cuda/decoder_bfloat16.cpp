#include "tests/cuda/decoder.hpp"

using namespace skipv1::test;

TEST_CASE("the decoder on the device is that on the CPU: bfloat16", "[cuda]") { check_all_decoders<skipv1::bfloat16>(5e-2, false); }
