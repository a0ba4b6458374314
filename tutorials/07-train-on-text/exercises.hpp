// Exercises of tutorial 07, as a reader finds them. Check one: sh tutorials/exercises.sh 07-1
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

namespace exercise {

/// 07-1. The learning rate of step i = 0 … steps - 1: it rises linearly to `peak` over the first `warm` steps (step warm - 1 has
/// it), then falls along half a cosine to a tenth of it, which the last step has. warm >= 1.
inline double learning_rate(std::size_t i, std::size_t steps, std::size_t warm, double peak) {
  (void)warm;
  const double at = static_cast<double>(i) / static_cast<double>(steps);
  return peak * (0.1 + 0.45 * (1 + std::cos(std::numbers::pi * at)));
}

/// 07-2. Bits per byte of text: a model that loses so many nats per token, on a text of so many tokens and bytes.
inline double bits_per_byte(double nats_per_token, double tokens, double bytes) { return nats_per_token * tokens / bytes; }

}  // namespace exercise
