// Cases on the device, or on its emulator.
#include "skipv1/model/decoder.cuh"
#include "skipv1/conformance/run_case.hpp"

namespace skipv1::conformance {

namespace {
template <class T>
Measured measure(const Case& c, bool backward) {
  return run_case<T, Device>(c, backward, [](double weight) { return static_cast<T>(weight); });
}
}  // namespace

const char* device_of_build() { return device_name; }

Measured measure_on_device(const Case& c, const std::string& dtype) {
  require(device_available(), why_no_device());
  if (dtype == "bf16") return measure<bfloat16>(c, false);
  return dtype == "f32" ? measure<float>(c, true) : measure<double>(c, true);
}

}  // namespace skipv1::conformance
