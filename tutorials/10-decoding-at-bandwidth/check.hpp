// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <algorithm>

#include "skipv1/core/check.hpp"

namespace exercise {

inline void check_10_1() {
  const auto close = [](double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(1.0, std::abs(b)); };
  const Part equal = merge_two({2, 1, 5}, {2, 3, 7});
  skipv1::require(close(equal.row_sum, 4) && close(equal.acc, 12), "equal maxima: sum ", equal.row_sum, " and acc ", equal.acc,
                  ", must be 4 and 12");
  const Part all = merge_two({0, 1, 10}, {std::log(4.0), 1, 20});
  skipv1::require(!close(all.row_sum, 2),
                  "maxima 0 and ln 4, sums 1 and 1: yours add up to 2; each sum is measured from its own maximum, ",
                  "so rescale it by exp(row_max_p - row_max)");
  skipv1::require(close(all.row_max, std::log(4.0)) && close(all.row_sum, 1.25) && close(all.acc, 22.5),
                  "maxima 0 and ln 4, sums 1 and 1, ", "acc 10 and 20: (", all.row_max, ", ", all.row_sum, ", ", all.acc,
                  "), must be (ln 4, 1.25, 22.5)");
  const Part far = merge_two({-2000, 1, 10}, {2000, 1, 20});
  skipv1::require(close(far.acc, 20), "maxima -2000 and 2000: acc ", far.acc, ", must be 20: subtract before exp");
}
inline void check_10_2() {
  for (const auto& [teams, tiles] : {std::pair<std::size_t, std::size_t>{6, 33}, {48, 200}, {5, 3}}) {
    std::size_t least = tiles, most = 0;
    for (std::size_t team = 0; team < teams; ++team) {
      const std::size_t begin = begin_of(team, teams, tiles), end = begin_of(team + 1, teams, tiles);
      skipv1::require(begin <= end, teams, " teams, ", tiles, " tiles: team ", team, " has tiles ", begin, " to ", end);
      least = std::min(least, end - begin), most = std::max(most, end - begin);
    }
    skipv1::require(begin_of(0, teams, tiles) == 0 && begin_of(teams, teams, tiles) == tiles, "not all of the ", tiles,
                    " tiles are given out");
    skipv1::require(most <= least + 1, teams, " teams, ", tiles, " tiles: one has ", most, ", another ", least,
                    "; all wait for the slowest, and whole tiles allow a difference of 1");
  }
}
inline void check_10_3() {
  const double own = concatenated_bytes(1024, 16, 64), once = 2.0 * 1024 * 16 * 64;
  skipv1::require(own != 8 * once / 2, own,
                  " bytes are SkipV1's, which concatenates values alone: SkipKV1's keys move three times, too");
  skipv1::require(own == 6 * once, own, " bytes for 1024 positions of 16 pairs of 64: must be ", 6 * once);
  const double other = concatenated_bytes(100, 8, 32);
  skipv1::require(other == 12.0 * 100 * 8 * 32, other, " bytes for 100 positions of 8 pairs of 32: must be ",
                  12.0 * 100 * 8 * 32);
}

}  // namespace exercise
