// The trainer on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/training/trainer.hpp"

namespace skipv1 {

template <class T>
class Update<T, Cuda> {
 public:
  void place(const AdamW& settings, std::size_t step) {
    const detail::AdamWStep<Sum<T>> numbers(settings, step, 1);
    copy<detail::AdamWStep<Sum<T>>>(View<detail::AdamWStep<Sum<T>>, Cuda>(step_),
                                    View<const detail::AdamWStep<Sum<T>>>(&numbers, {1}));
  }
  void run(View<T, Cuda> parameters, View<Sum<T>, Cuda> master, View<Sum<T>, Cuda> m, View<Sum<T>, Cuda> v,
           View<T, Cuda> gradients, std::size_t decayed, double clip) {
    clipped_adamw<T>(parameters, master, m, v, gradients, View<detail::AdamWStep<Sum<T>>, Cuda>(step_), square_, clip, decayed);
  }
  /// Waits for the device.
  double norm() const { return std::sqrt(to_host<double>(square_)(0)); }

 private:
  Tensor<detail::AdamWStep<Sum<T>>, Cuda> step_{Shape{1}};
  Tensor<double, Cuda> square_{Shape{1}};
};

}  // namespace skipv1

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Trainer<float, Cuda>;
extern template class Trainer<double, Cuda>;
extern template class Trainer<bfloat16, Cuda>;
}  // namespace skipv1
#endif
