#include "skipv1/programs/device.hpp"

namespace skipv1 {

void check_device(const std::string& device, const std::string& dtype) {
  const bool on_cpu = device == "cpu";
  const std::string why = on_cpu ? "" : with_device(device, [](auto space) { return why_not<decltype(space)>(); });
  require(why.empty(), "device ", device, ": ", why);
  require(dtype == "f32" || dtype == "f64" || (dtype == "bf16" && !on_cpu), "dtype ", dtype, " on ", device, ": must be f32",
          on_cpu ? " or f64" : ", f64 or bf16");
}

}  // namespace skipv1
