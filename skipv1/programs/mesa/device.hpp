// Training on a device: device/ defines it for the memory spaces `Cuda` and `Emulated`.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace skipv1::mesa {

struct Setting;
struct Trained;

/// Why `Space` cannot be used on this machine, in one line; empty if it can.
template <class Space>
std::string why_not();
/// Trains all models with all seeds in `Space`, and sets their outcomes: see `learn_all`.
template <class Space>
void learn_on(std::vector<Trained>& all, const Setting& s, const std::function<void()>& on_step);

}  // namespace skipv1::mesa
