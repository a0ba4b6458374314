// The learner on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/mesa/learner.hpp"
#include "skipv1/training/optimizer.cuh"

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1::mesa {
extern template class Learner<float, Device>;
}  // namespace skipv1::mesa
#endif
