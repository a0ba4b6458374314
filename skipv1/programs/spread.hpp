// What several seeds say together.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <vector>

#include "skipv1/core/random.hpp"

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

/// The probability of a mean as far from zero as that of `x`, or farther, if each difference could as well have the other sign:
/// by `draws` random choices of the signs, the one that was seen counted in.
inline double sign_flip_probability(const std::vector<double>& x, std::size_t draws = 100000, std::uint64_t seed = 1) {
  const double seen = std::abs(std::accumulate(x.begin(), x.end(), 0.0)) * (1 - 1e-12);
  Random random(seed);
  std::size_t as_far = 1;
  for (std::size_t i = 0; i < draws; ++i) {
    double sum = 0;
    for (const double value : x) sum += random.uniform() < 0.5 ? value : -value;
    as_far += std::abs(sum) >= seen;
  }
  return static_cast<double>(as_far) / static_cast<double>(draws + 1);
}

/// Holm's correction of the probabilities of several tests: below a level where the chance that any true null hypothesis among
/// them is rejected is at most that level.
inline std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> corrected(p.size());
  double most = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    most = std::max(most, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    corrected[order[i]] = most;
  }
  return corrected;
}

/// Whether differences agree in their sign.
inline const char* sign_verdict(const std::vector<double>& gaps) {
  const auto [low, high] = std::minmax_element(gaps.begin(), gaps.end());
  return *high < 0 ? "lower in every seed" : *low > 0 ? "higher in every seed" : "the sign depends on the seed";
}

}  // namespace skipv1
