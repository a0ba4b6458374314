// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <cmath>

#include "skipv1/core/check.hpp"

namespace exercise {

inline void check_08_1() {
  const std::vector<std::vector<double>> old{{1, 10}, {3, 20}, {5, 60}, {9, 80}}, own = mean_v(old);
  skipv1::require(own.size() == 2, "four heads become two, not ", own.size());
  skipv1::require(own[0] != old[0] || own[1] != old[1],
                  "new heads 0 and 1 are old heads 0 and 1; what old heads 2 and 3 knew is lost: take means");
  for (const auto& head : own) skipv1::require(head.size() == 2, "a new head has ", head.size(), " elements; old ones have 2");
  const std::vector<std::vector<double>> right{{2, 15}, {7, 70}};
  for (std::size_t j = 0; j < 2; ++j)
    skipv1::require(own[j] == right[j], "new head ", j, " is (", own[j][0], ", ", own[j][1], "), the mean of old heads ", 2 * j,
                    " and ", 2 * j + 1, " is (", right[j][0], ", ", right[j][1], ')');
}
inline void check_08_2() {
  skipv1::require(saved_share(1) == 0, "a model of one layer saves ", saved_share(1), ": its first layer keeps all its values");
  skipv1::require(std::abs(saved_share(6) - 5.0 / 24) < 1e-12, "six layers save ", saved_share(6),
                  ", must be 5/24, the tutorial's 20.8 %: half of the values of five layers of six");
}

}  // namespace exercise
