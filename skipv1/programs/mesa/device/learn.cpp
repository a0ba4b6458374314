#include "skipv1/mesa/learner.cuh"
#include "skipv1/programs/mesa/device.hpp"
#include "skipv1/programs/mesa/learn.hpp"

namespace skipv1::mesa {

std::string missing_device() { return why_no_device(); }

void learn_on_device(std::vector<Trained>& all, const Setting& s, const std::function<void()>& on_step) {
  learn_each(all, s, [&](const Model& m, std::uint64_t seed) {
    const UseStream own;  // small models, each in a stream of its own, share the device
    return learn<Device>(m, s, seed, on_step);
  });
}

}  // namespace skipv1::mesa
