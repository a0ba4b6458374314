#include "skipv1/programs/device.hpp"

namespace skipv1 {

void check_device(const std::string& device, const std::string& dtype, Scalars scalars) {
  const bool on_cpu = device == "cpu";
  const std::string why = on_cpu ? "" : with_device(device, [](auto space) { return why_not<decltype(space)>(); });
  require(why.empty(), "--device ", device, ": ", why);
  const bool f64 = scalars == Scalars::all || (scalars == Scalars::no_f64_on_device && on_cpu);
  require(dtype == "f32" || (dtype == "f64" && f64) || (dtype == "bf16" && !on_cpu), "--dtype ", dtype, " on --device ", device,
          ": must be f32",
          on_cpu ? (f64 ? " or f64" : "")
          : f64  ? ", f64 or bf16"
                 : " or bf16");
}

}  // namespace skipv1
