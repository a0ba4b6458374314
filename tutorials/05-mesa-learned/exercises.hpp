// Exercises of tutorial 05, as a reader finds them. Check one: sh tutorials/exercises.sh 05-1
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace exercise {

/// 05-1. The standard deviation of seeds, as an estimate for all seeds that could have been drawn.
inline double standard_deviation(const std::vector<double>& x) {
  double mean = 0, square = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) square += (v - mean) * (v - mean);
  return std::sqrt(square / static_cast<double>(x.size()));
}

/// 05-2. The standard error of the mean difference of two models that were trained with the same seeds: a[i] and b[i] share the
/// i-th.
inline double error_of_difference(const std::vector<double>& a, const std::vector<double>& b) {
  const double u = standard_deviation(a), v = standard_deviation(b);
  return std::sqrt((u * u + v * v) / static_cast<double>(a.size()));
}

}  // namespace exercise
