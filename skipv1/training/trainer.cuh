// The trainer on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/training/optimizer.cuh"
#include "skipv1/training/trainer.hpp"

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Trainer<float, Device>;
extern template class Trainer<double, Device>;
extern template class Trainer<bfloat16, Device>;
}  // namespace skipv1
#endif
