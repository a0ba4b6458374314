// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include "skipv1/core/check.hpp"
#include "skipv1/training/schedule.hpp"

namespace exercise {

inline void check_07_1() {
  const skipv1::Schedule right{.steps = 50, .peak = 2e-3, .warm_up = 0.1, .floor = 0.1};
  const double first = learning_rate(0, 50, 5, 2e-3);
  skipv1::require(first < 1.9e-3, "step 0 has ", first,
                  ", nearly the peak: Adam's averages know nothing yet, so it rises over 5 steps, ", "from 4e-04");
  for (std::size_t i = 0; i < 50; ++i) {
    const double own = learning_rate(i, 50, 5, 2e-3);
    skipv1::require(std::abs(own - right.rate(i)) < 1e-12, "50 steps, 5 of them warm-up: step ", i, " has ", own, ", must have ",
                    right.rate(i));
  }
}
inline void check_07_2() {
  const double own = bits_per_byte(2 * std::numbers::ln2, 100, 400);
  skipv1::require(std::abs(own - 0.5 * std::numbers::ln2) > 1e-9, own, " are nats per byte; a bit is ln 2 nats");
  skipv1::require(std::abs(own - 0.5) < 1e-9, "2 bits per token, 100 tokens in 400 bytes: ", own,
                  " bits per byte, must be 0.5: a byte has a quarter of a token here");
  const double other = bits_per_byte(3 * std::numbers::ln2, 50, 100);
  skipv1::require(std::abs(other - 1.5) < 1e-9, "3 bits per token, 50 tokens in 100 bytes: ", other,
                  " bits per byte, must be 1.5");
}

}  // namespace exercise
