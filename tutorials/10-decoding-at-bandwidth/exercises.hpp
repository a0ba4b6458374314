// Exercises of tutorial 10, as a reader finds them. Check one: sh tutorials/exercises.sh 10-1
#pragma once

#include <cmath>
#include <cstddef>

namespace exercise {

/// What a team has of a row: the largest score, the sum of `exp(score - row_max)`, and that sum over values.
struct Part {
  double row_max, row_sum, acc;
};
/// 10-1. Both teams' parts as one.
inline Part merge_two(const Part& a, const Part& b) {
  return {a.row_max > b.row_max ? a.row_max : b.row_max, a.row_sum + b.row_sum, a.acc + b.acc};
}

/// 10-2. The first tile of team `team`, of `teams` that share `tiles` as evenly as whole tiles allow; `begin_of(teams, …)` is
/// `tiles`.
inline std::size_t begin_of(std::size_t team, std::size_t teams, std::size_t tiles) {
  return team == teams ? tiles : team * (tiles / teams);
}

/// 10-3. Bytes that a layer of SkipKV1 moves in bfloat16 if the halves of its key heads and of its value heads are concatenated
/// before attention, from the numbers of positions, pairs of heads, and elements of a head.
inline double concatenated_bytes(double positions, double pairs, double d) { return 2 * positions * pairs * d * (1 + 3); }

}  // namespace exercise
