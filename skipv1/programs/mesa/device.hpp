// Training on the device: cuda/, compiled by nvcc; library/no_cuda.cpp stands for it in a build without CUDA.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace skipv1::mesa {

struct Setting;
struct Trained;

/// Why there is no device to use, in one line; empty if there is one.
std::string missing_device();
/// Trains all models with all seeds on the device, and sets their outcomes: see `learn_all`.
void learn_on_device(std::vector<Trained>& all, const Setting& s, const std::function<void()>& on_step);

}  // namespace skipv1::mesa
