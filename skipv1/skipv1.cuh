// All of the library: the CPU half and the CUDA half.
#pragma once

#include "skipv1/core/cuda.cuh"
#include "skipv1/ops/adamw.cuh"
#include "skipv1/ops/add.cuh"
#include "skipv1/ops/cross_entropy.cuh"
#include "skipv1/ops/depth_average.cuh"
#include "skipv1/ops/embedding.cuh"
#include "skipv1/ops/gelu.cuh"
#include "skipv1/ops/head_copy.cuh"
#include "skipv1/ops/layer_norm.cuh"
#include "skipv1/ops/linear.cuh"
#include "skipv1/ops/rms_norm.cuh"
#include "skipv1/ops/rope.cuh"
#include "skipv1/ops/scatter.cuh"
#include "skipv1/ops/swiglu.cuh"
#include "skipv1/ops/value_mix.cuh"
#include "skipv1/skipv1.hpp"
