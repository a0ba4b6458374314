// Solutions to exercises.hpp.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace exercise {

/// The mean is of the same seeds, which leaves n - 1 of the n differences free.
inline double standard_deviation(const std::vector<double>& x) {
  double mean = 0, square = 0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  for (const double v : x) square += (v - mean) * (v - mean);
  return std::sqrt(square / static_cast<double>(x.size() - 1));
}

/// What a seed does to both models cancels in their difference.
inline double error_of_difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference;
  for (std::size_t i = 0; i < a.size(); ++i) difference.push_back(a[i] - b[i]);
  return standard_deviation(difference) / std::sqrt(static_cast<double>(a.size()));
}

}  // namespace exercise
