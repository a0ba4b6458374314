#include "tests/cuda/decoder.hpp"

using namespace skipv1::test;

TEST_CASE("the decoder on the device is that on the CPU: double", "[cuda]") { check_all_decoders<double>(1e-10, true); }
