#include "skipv1/ops/matrix_product.cuh"

#include "tests/cuda/pair.hpp"

using namespace skipv1;

#if defined(__CUDACC__)
TEST_CASE("cuBLASLt has GELU and its derivative in the epilogue at GPT-2's widths", "[cuda]") {
  using detail::CublasLt;
  const Tensor<bfloat16, Device> memory({3072});
  bfloat16* const at = memory.data();
  Product up{65536, 3072, 768, false, true, false, true}, dhidden{65536, 3072, 768, false, false, false};
  up.gelu = dhidden.slope = true;
  CHECK(CublasLt<bfloat16>::here().supports(up, {.c = at, .a = at, .b = at, .from = at, .bias = at, .before = at}));
  CHECK(CublasLt<bfloat16>::here().supports(dhidden, {.c = at, .a = at, .b = at, .from = at, .slope_at = at}));
}
#endif
