// Learning rate over the steps of a run: linear warm-up, then a cosine (the paper's recipe: docs/spec/paper.md, "Training
// recipes").
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace skipv1 {

/// A run of `steps` steps with a peak learning rate, reached after a share `warm_up` of them and left by a half cosine that ends
/// at `floor` times the peak.
struct Schedule {
  std::size_t steps = 1000;
  double peak = 1e-3, warm_up = 0.1, floor = 0.1;

  /// The rate of step `i = 0 … steps - 1`.
  double rate(std::size_t i) const {
    const double at = static_cast<double>(i), ramp = std::max(1.0, warm_up * static_cast<double>(steps));
    if (at < ramp) return peak * (at + 1) / ramp;
    const double rest = std::max(1.0, static_cast<double>(steps) - ramp);
    return peak * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, (at - ramp) / rest))));
  }
};

}  // namespace skipv1
