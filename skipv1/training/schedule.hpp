// Learning rate over the steps of a run: linear warm-up, then a cosine (the paper's recipe: docs/spec/paper.md, "Training
// recipes").
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace skipv1 {

/// A run of `steps` steps. The rate rises linearly over the first `warm_up_steps()` of them to `peak`, and falls along half a
/// cosine to `floor` times the peak, which the last step has.
struct Schedule {
  std::size_t steps = 1000;
  double peak = 1e-3, warm_up = 0.1, floor = 0.1;

  /// The share `warm_up` of the steps as a whole number, at least 1: without warm-up the first step has the peak.
  std::size_t warm_up_steps() const {
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::round(warm_up * static_cast<double>(steps))));
  }
  /// The rate of step `i = 0 … steps - 1`; never above `peak`.
  double rate(std::size_t i) const {
    const std::size_t warm = warm_up_steps(), step = i + 1;  // counted from 1: step `warm` has the peak, step `steps` the floor
    if (step <= warm) return peak * (static_cast<double>(step) / static_cast<double>(warm));
    if (step >= steps) return peak * floor;
    const double at = static_cast<double>(step - warm) / static_cast<double>(steps - warm);
    return peak * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * at)));
  }
};

}  // namespace skipv1
