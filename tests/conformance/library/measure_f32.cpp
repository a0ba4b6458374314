#include "skipv1/core/bfloat16.hpp"
#include "tests/conformance/run_case.hpp"

namespace skipv1::conformance {

Measured measure_f32(const Case& c) {
  return run_case<float, Cpu>(c, true, [](double x) { return static_cast<float>(x); });
}

Measured measure_bf16(const Case& c) {
  return run_case<float, Cpu>(c, false, [](double x) { return static_cast<float>(bfloat16(x)); });
}

}  // namespace skipv1::conformance
