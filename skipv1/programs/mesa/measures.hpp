// What a training of tutorial 05 is measured by: which lists of numbers there are, how long each is, and between what it lies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace skipv1::mesa {

/// A list of an `Outcome`.
struct Measure {
  const char* name;
  std::size_t size;
  double least, most;
};

inline constexpr double most_error = 1e100;  ///< far above what a training in float has before its loss is not finite

/// All lists of a training: of `pairs` pairs in context, of a model of `layers`, over `steps` in `points` stretches.
inline std::vector<Measure> measures(std::size_t pairs, std::size_t layers, std::size_t steps, std::size_t points) {
  constexpr double rounding = 1e-4;
  return {{"error", 1, 0, most_error},
          {"pairs", pairs + 1, 0, most_error},
          {"curve", std::min(points, steps), 0, most_error},
          {"x", layers, -most_error, 1 + rounding},
          {"y", layers, -most_error, 1 + rounding},
          {"label", layers + 1, -rounding, most_error},
          {"heads", layers, -1 - rounding, 1 + rounding},
          {"tokens", layers, -1 - rounding, 1 + rounding}};
}

}  // namespace skipv1::mesa
