// Exercises of tutorial 11, as a reader finds them. Check one: sh tutorials/exercises.sh 11-1
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "skipv1/kernel/global.cuh"
#include "skipv1/kernel/mma.cuh"

namespace exercise {

using namespace skipv1;

/// A row's softmax so far.
struct Online {
  double row_max = -INFINITY, row_sum = 0, acc = 0;
};
/// 11-1. The online softmax: adds a tile of scores and their values, one number wide; `acc / row_sum` is the output. Something is
/// missing.
inline void add_tile(Online& row, const std::vector<double>& scores, const std::vector<double>& values) {
  for (const double s : scores) row.row_max = std::max(row.row_max, s);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double p = std::exp(scores[i] - row.row_max);
    row.row_sum += p;
    row.acc += p * values[i];
  }
}

/// 11-2. From how many query rows per head on attention is bound by arithmetic, on a card with these operations and bytes per
/// second: keys and values in bfloat16, read once, `4 d` operations per score.
inline double rows_bound_by_arithmetic(double operations, double bytes) {
  (void)operations, (void)bytes;
  return 1;
}

/// 11-3. A warp copies 128 floats to shared memory by `cp.async`, and lane i writes out the four of lane 31 - i. Something is
/// missing.
SKIPV1_KERNEL swap_lanes(float* y, const float* x) {
  SKIPV1_SHARED(float, numbers, 128);
  cp_async(numbers, 4 * lane(), x + 4 * lane());
  cp_async_commit();
  store_global(y + 4 * lane(), load_shared<4>(numbers, 4 * (31 - lane())));
}

/// 11-4. Sectors of 32 bytes of keys and values that a kernel loads for one head of width 128 in bfloat16, without a mask: every
/// tile of R rows reads all keys and values once. R divides rows.
inline double sectors_of_tiles(double rows, double keys, double R) {
  (void)R;
  return rows * keys * 2 * 128 * 2 / 32;
}

}  // namespace exercise
