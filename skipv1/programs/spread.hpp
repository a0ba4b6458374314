// What several seeds say together.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
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

/// Half the width of the interval of 95 % of a mean, by Student's t with n - 1 degrees of freedom; infinite of one.
inline double half_interval(const std::vector<double>& x) {
  constexpr double quantiles[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                  2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                  2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (x.size() < 2) return std::numeric_limits<double>::infinity();
  const std::size_t freedom = x.size() - 1, known = std::size(quantiles);
  const double t = freedom <= known ? quantiles[freedom - 1] : 1.960 + 2.46 / static_cast<double>(freedom);
  return t * deviation(x) / std::sqrt(static_cast<double>(x.size()));
}

/// Whether differences agree in their sign.
inline const char* sign_verdict(const std::vector<double>& gaps) {
  const auto [low, high] = std::minmax_element(gaps.begin(), gaps.end());
  return *high < 0 ? "lower in every seed" : *low > 0 ? "higher in every seed" : "the sign depends on the seed";
}

}  // namespace skipv1
