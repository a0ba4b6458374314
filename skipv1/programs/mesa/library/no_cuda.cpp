#include "skipv1/core/check.hpp"
#include "skipv1/programs/mesa/device.hpp"

namespace skipv1::mesa {

std::string missing_device() { return "this build has no CUDA (-DSKIPV1_CUDA=ON makes one that has)"; }
// Never reached: `check_device` throws first.
void learn_on_device(std::vector<Trained>&, const Setting&, const std::function<void()>&) { fail(missing_device()); }

}  // namespace skipv1::mesa
