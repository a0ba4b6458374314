// The learner on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/mesa/learner.hpp"

namespace skipv1::mesa {

template <class T>
class GroupsUpdate<T, Device> {
 public:
  void place(const AdamW& settings, std::size_t step) {
    const Step numbers(settings, step, 1);
    copy<Step>(View<Step, Device>(step_), View<const Step>(&numbers, {1}));
  }
  void run(std::initializer_list<Group<T, Device>> groups, double clip) {
    zero<double>(square_);
    for (const Group<T, Device>& g : groups) skipv1::detail::add_squares<T>(square_, g.gradients);
    for (const Group<T, Device>& g : groups) {
      skipv1::detail::launch_adamw<T>(
          g.parameters, {}, g.m, g.v, g.gradients, g.decayed, Version::fast,
          [](auto numbers) { return skipv1::detail::adamw_placed_kernel<T, decltype(numbers)::value>; }, step_.data(),
          static_cast<const double*>(square_.data()), clip);
    }
  }

 private:
  using Step = skipv1::detail::AdamWStep<T>;
  static_assert(std::is_same_v<Sum<T>, T>, "a learner learns in float or double");
  Tensor<Step, Device> step_{Shape{1}};
  Tensor<double, Device> square_{Shape{1}};
};

}  // namespace skipv1::mesa
