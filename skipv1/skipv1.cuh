// All of the library: the CPU half and the CUDA half.
#pragma once

#include "skipv1/all.hpp"
#include "skipv1/distributed/nccl.cuh"
#include "skipv1/mesa/learner.cuh"
#include "skipv1/model/one_kernel/generate.cuh"
#include "skipv1/training/trainer.cuh"
