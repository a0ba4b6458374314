// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include "skipv1/core/check.hpp"

namespace exercise {

inline void check_05_1() {
  const double own = standard_deviation({1, 3, 5});
  skipv1::require(std::abs(own - std::sqrt(8.0 / 3)) > 1e-9, "three seeds at 1, 3, 5: ", own,
                  " is too small; the mean was taken from the same seeds, so divide by n - 1");
  skipv1::require(std::abs(own - 4) > 1e-9, "three seeds at 1, 3, 5: ", own,
                  " is the variance; its root is the standard deviation");
  skipv1::require(std::abs(own - 2) < 1e-9, "three seeds at 1, 3, 5: ", own, ", must be 2");
  skipv1::require(
      std::abs(standard_deviation({1, 1, 1, 5}) - 2) < 1e-9 && std::abs(standard_deviation({2, 12}) - std::sqrt(50.0)) < 1e-9,
      "seeds at 1, 1, 1, 5 and at 2, 12: ", standard_deviation({1, 1, 1, 5}), " and ", standard_deviation({2, 12}),
      ", must be 2 and ", std::sqrt(50.0));
}
inline void check_05_2() {
  const double own = error_of_difference({1.0, 2.0, 4.0}, {0.5, 1.5, 3.5});
  skipv1::require(own < 1e-9, "model a is 0.5 above b for each seed, so the difference is certain; your standard error is ", own,
                  ": take differences seed by seed");
  const double other = error_of_difference({1, 2, 3, 4}, {0, 2, 2, 4});
  skipv1::require(std::abs(other - std::sqrt(1.0 / 3) / 2) < 1e-9, "differences 1, 0, 1, 0: ", other, ", must be ",
                  std::sqrt(1.0 / 3) / 2, ", their standard deviation over the root of their number");
}

}  // namespace exercise
