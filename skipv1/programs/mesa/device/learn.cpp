#include "skipv1/mesa/learner.cuh"
#include "skipv1/programs/mesa/device.hpp"
#include "skipv1/programs/mesa/learn.hpp"

namespace skipv1::mesa {

template <class Space>
std::string why_not() {
  return why_no_device();
}
template decltype(why_not<Device>) why_not<Device>;

template <class Space>
void learn_on(std::vector<Trained>& all, const Setting& s, const std::function<void()>& on_step) {
  learn_each(all, s, on_step, [&](const ToyModel& m, std::uint64_t seed) {
    const UseStream own;  // small models, each in a stream of its own, share the device
    return learn<Space>(m, s, seed, on_step);
  });
}
template decltype(learn_on<Device>) learn_on<Device>;

}  // namespace skipv1::mesa
