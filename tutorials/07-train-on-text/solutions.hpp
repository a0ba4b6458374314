// Solutions to exercises.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>

namespace exercise {

inline double learning_rate(std::size_t i, std::size_t steps, std::size_t warm, double peak) {
  const double step = static_cast<double>(i) + 1, rise = static_cast<double>(warm), all = static_cast<double>(steps);
  if (step <= rise) return peak * step / rise;
  return peak * (0.1 + 0.45 * (1 + std::cos(std::numbers::pi * (step - rise) / (all - rise))));
}

/// A bit is ln 2 nats.
inline double bits_per_byte(double nats_per_token, double tokens, double bytes) {
  return nats_per_token / std::numbers::ln2 * tokens / bytes;
}

}  // namespace exercise
