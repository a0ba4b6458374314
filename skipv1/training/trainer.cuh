// The trainer on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/training/trainer.hpp"

namespace skipv1 {

template <class T>
class Update<T, Device> {
 public:
  void place(const AdamW& settings, std::size_t step) {
    const detail::AdamWStep<Sum<T>> numbers(settings, step, 1);
    copy<detail::AdamWStep<Sum<T>>>(View<detail::AdamWStep<Sum<T>>, Device>(step_),
                                    View<const detail::AdamWStep<Sum<T>>>(&numbers, {1}));
  }
  void run(View<T, Device> parameters, View<Sum<T>, Device> master, View<Sum<T>, Device> m, View<Sum<T>, Device> v,
           View<T, Device> gradients, std::size_t decayed, double clip) {
    clipped_adamw<T>(parameters, master, m, v, gradients, View<detail::AdamWStep<Sum<T>>, Device>(step_), square_, clip, decayed);
  }
  /// Waits for the device.
  double norm() const { return std::sqrt(to_host<double>(square_)(0)); }

 private:
  Tensor<detail::AdamWStep<Sum<T>>, Device> step_{Shape{1}};
  Tensor<double, Device> square_{Shape{1}};
};

}  // namespace skipv1

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Trainer<float, Device>;
extern template class Trainer<double, Device>;
extern template class Trainer<bfloat16, Device>;
}  // namespace skipv1
#endif
