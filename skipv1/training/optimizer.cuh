// The optimizer on the device: the numbers of a step and the gradients' norm lie there, so that a graph can hold it.
#pragma once

#include "skipv1/ops/adamw.cuh"
#include "skipv1/training/optimizer.hpp"

namespace skipv1 {

template <class T>
class Optimizer<T, Device> {
 public:
  using Combine = Function<void(View<double, Device> square)>;

  void place(const AdamW& settings, std::size_t step) {
    const Step numbers(settings, step, 1);
    copy<Step>(View<Step, Device>(step_), View<const Step>(&numbers, {1}));
  }
  void run(std::initializer_list<ParameterGroup<T, Device>> groups, double clip, const Combine& combine = {}) {
    zero<double>(square_);
    for (const ParameterGroup<T, Device>& g : groups) detail::add_squares<T>(square_, g.gradients);
    if (combine) combine(square_);
    for (const ParameterGroup<T, Device>& g : groups)
      clipped_adamw<T>(g.parameters, g.master, g.m, g.v, g.gradients, View<Step, Device>(step_), View<double, Device>(square_),
                       clip, g.decayed);
  }
  /// Waits for the device.
  double norm() const { return std::sqrt(to_host<double>(square_)(0)); }

 private:
  using Step = detail::AdamWStep<Sum<T>>;
  Tensor<Step, Device> step_{Shape{1}};
  Tensor<double, Device> square_{Shape{1}};
};

}  // namespace skipv1
