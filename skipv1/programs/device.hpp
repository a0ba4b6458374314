// The programs' work on the device: cuda/, compiled once by nvcc; library/no_cuda.cpp stands for it in a build without CUDA.
#pragma once

#include <string>

#include "skipv1/model/generate.hpp"
#include "skipv1/training/evaluate.hpp"

namespace skipv1 {

/// Why there is no device to use, in one line; empty if there is one.
std::string missing_device();
/// Throws unless `device` is "cpu", or "cuda" and there is one; and unless `dtype` is one that it has: f32 and f64, on the device
/// bf16 too.
void check_device(const std::string& device, const std::string& dtype);

/// `evaluate` and `generate` on the device, in float or, where `dtype` is "bf16", in bfloat16.
Evaluation evaluate_on_device(const Config& config, const Parameters<float>& parameters, const std::string& dtype,
                              const TextData& text, std::size_t length, std::size_t windows, std::size_t batch,
                              Progress* progress);
void generate_on_device(const Config& config, const Parameters<float>& parameters, const std::string& dtype,
                        const std::vector<std::int32_t>& prompt, std::size_t count, const Sampling& sampling, std::uint64_t seed,
                        const OnToken& on_token);

}  // namespace skipv1
