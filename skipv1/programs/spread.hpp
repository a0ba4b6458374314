// What several seeds say together.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace skipv1 {

inline double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

/// The standard deviation of a sample: over n - 1; 0 of one.
inline double deviation(const std::vector<double>& x) {
  double squares = 0;
  for (const double value : x) squares += (value - mean(x)) * (value - mean(x));
  return x.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(x.size() - 1));
}

/// Whether differences agree in their sign.
inline const char* sign_verdict(const std::vector<double>& gaps) {
  const auto [low, high] = std::minmax_element(gaps.begin(), gaps.end());
  return *high < 0 ? "lower in every seed" : *low > 0 ? "higher in every seed" : "the sign depends on the seed";
}

}  // namespace skipv1
