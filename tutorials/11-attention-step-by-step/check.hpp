// Checks the exercises of this tutorial; each throws what is wrong.
#pragma once

#if defined(SKIPV1_SOLUTIONS)
#include "solutions.hpp"
#else
#include "exercises.hpp"
#endif
#include <array>

#include "skipv1/core/check.hpp"
#include "skipv1/kernel/launch.cuh"

namespace exercise {

inline void check_11_1() {
  const auto output = [](const std::vector<std::vector<double>>& tiles) {
    Online row;
    for (const auto& scores : tiles) add_tile(row, scores, scores);
    return row.acc / row.row_sum;
  };
  const double right = (std::exp(-1.0) * 1 + 2 + std::exp(-2.0) * 0) / (std::exp(-1.0) + 1 + std::exp(-2.0));
  const double one = output({{1, 2, 0}}), falling = output({{2, 1}, {0}}), rising = output({{1}, {2, 0}});
  require(std::abs(one - right) < 1e-12, "scores 1, 2, 0 in one tile: ", one, ", must be ", right);
  require(std::abs(falling - right) < 1e-12, "tiles (2, 1), (0): ", falling, ", must be ", right);
  require(std::abs(rising - right) < 1e-12, "tiles (1), (2, 0): ", rising, ", must be ", right,
          "; the maximum rises in the second tile: rescale the sum and acc that the first left by exp(old - new)");
}
inline void check_11_2() {
  const double own = rows_bound_by_arithmetic(818e12, 4.1e12), scalar = rows_bound_by_arithmetic(59e12, 4.1e12);
  require(std::abs(own - 818 / 4.1) < 1e-6, "818 TFLOP/s and 4.1 TB/s: ", own,
          " rows; one row does one operation per byte of keys and ", "values, and the card wants 199.5");
  require(std::abs(scalar - 59 / 4.1) < 1e-6, "59 TFLOP/s and 4.1 TB/s: ", scalar, " rows, must be 14.4: of any card");
}
inline void check_11_3() {
  alignas(16) float x[128], y[128];
  for (unsigned i = 0; i < 128; ++i) x[i] = static_cast<float>(i), y[i] = -1;
  launch({"swap_lanes", 1, 32}, swap_lanes, y, static_cast<const float*>(x));
  for (unsigned i = 0; i < 128; ++i)
    require(y[i] == x[(31 - i / 4) * 4 + i % 4], "y[", i, "] is ", y[i], ", must be ", x[(31 - i / 4) * 4 + i % 4],
            ": NaN lies where a copy was not waited for");
}
inline void check_11_4() {
  const double own = sectors_of_tiles(4096, 4096, 64), right = 64.0 * 4096 * 16;
  require(own != 64 * right, own, " sectors: every row reads all keys; 64 rows of a tile share what is loaded once");
  require(own == right, "4096 rows and keys, tiles of 64 rows: ", own, " sectors, must be ", right,
          ": 64 tiles, 4096 keys and as many values, 256 bytes each");
  for (const auto& [rows, keys, R] : {std::array{128.0, 4096.0, 64.0}, {4096.0, 512.0, 64.0}, {4096.0, 4096.0, 128.0}})
    require(sectors_of_tiles(rows, keys, R) == rows / R * keys * 16, rows, " rows, ", keys, " keys, tiles of ", R,
            " rows: ", sectors_of_tiles(rows, keys, R), " sectors, must be ", rows / R * keys * 16);
}

}  // namespace exercise
