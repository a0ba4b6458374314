// Cases on a device, in the flavour that this is compiled for (kernel/flavour.cuh).
#include "skipv1/model/decoder.cuh"
#include "skipv1/conformance/run_case.hpp"

namespace skipv1::conformance {

namespace {
template <class T, class Space>
Measured measure(const Case& c, Keep keep) {
  return run_case<T, Space>(c, keep, [](double weight) { return static_cast<T>(weight); });
}
}  // namespace

template <class Space>
Measured measure_on(const Case& c, const std::string& dtype) {
  require(device_available(), "device ", device_name, ": ", why_no_device());
  if (dtype == "bf16") return measure<bfloat16, Space>(c, Keep::nothing);
  return dtype == "f32" ? measure<float, Space>(c, Keep::for_backward) : measure<double, Space>(c, Keep::for_backward);
}
template decltype(measure_on<Device>) measure_on<Device>;

}  // namespace skipv1::conformance
