// Whole models when the emulator holds each kernel back, as late as a card may run it (early_start.cpp has decode attention alone).
#include "skipv1/model/generate.hpp"

#include "skipv1/model/decoder.cuh"
#include "tests/catch.hpp"
#include "tests/cuda/small_models.hpp"

#if !defined(__CUDACC__)

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("decoding says the same when every kernel runs as late as it may", "[cuda]") {
  for (const char* variant : {"mha", "skipv1", "gqa"}) {
    const Config c = small_config(Architecture::llama, find_variant(variant));
    Parameters<double> parameters(c);
    initialize(parameters, c, 3);
    const Parameters<bfloat16, Device> there(c);
    load(there, parameters);
    const Decoder<bfloat16, Device> decoder(c, there);
    const auto say = [&] { return generate(decoder, {{1, 2, 3}}, 4, {.temperature = 0}, 1); };
    const auto right = say();
    const emulator::LateKernels late;
    CHECK(say() == right);
  }
}

#endif
