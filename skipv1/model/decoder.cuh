// The decoder on the device: the same source, with the operations' CUDA forms for it to find.
#pragma once

#include "skipv1/device/memory.cuh"
#include "skipv1/device/graph.cuh"
#include "skipv1/ops/adamw.cuh"
#include "skipv1/ops/add.cuh"
#include "skipv1/ops/attention/attention.cuh"
#include "skipv1/ops/cross_entropy.cuh"
#include "skipv1/ops/depth_average.cuh"
#include "skipv1/ops/embedding.cuh"
#include "skipv1/ops/gelu.cuh"
#include "skipv1/ops/head_copy.cuh"
#include "skipv1/ops/layer_norm.cuh"
#include "skipv1/ops/linear.cuh"
#include "skipv1/ops/linear_attention.cuh"
#include "skipv1/ops/linear_gelu.cuh"
#include "skipv1/ops/rms_norm.cuh"
#include "skipv1/ops/rope.cuh"
#include "skipv1/ops/scatter.cuh"
#include "skipv1/ops/swiglu.cuh"
#include "skipv1/ops/value_mix.cuh"
#include "skipv1/model/decoder.hpp"

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Decoder<float, Device>;
extern template class Decoder<double, Device>;
extern template class Decoder<bfloat16, Device>;
}  // namespace skipv1
#endif
