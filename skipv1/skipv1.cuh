// All of the library: the CPU half and the CUDA half.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/ops/linear_attention.cuh"
#include "skipv1/skipv1.hpp"
