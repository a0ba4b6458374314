// Axes: where a value lies in pixels, which values get a tick, and what is written there.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "skipv1/core/check.hpp"

namespace skipv1::plot {

/// The smallest and the largest of the values that were added; empty at first.
struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  bool empty() const { return low > high; }
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// Maps `low … high`, by its logarithm if `log`, to the pixels `from … to`.
struct Axis {
  double low = 0, high = 1;
  bool log = false;
  double from = 0, to = 1;

  /// Whether a value has a place on the axis' scale: finite, and positive if `log`.
  bool shows(double value) const { return std::isfinite(value) && (!log || value > 0); }
  double pixel(double value) const { return from + (to - from) * (scale(value) - scale(low)) / (scale(high) - scale(low)); }
  /// The inverse of `pixel`.
  double value(double pixel) const {
    const double scaled = std::lerp(scale(low), scale(high), (pixel - from) / (to - from));
    return log ? std::exp(scaled) : scaled;
  }

 private:
  double scale(double value) const { return log ? std::log(value) : value; }
};

/// `range` with a margin of `share` of its length on both sides; a single value gets room around it.
inline Range widen(Range range, bool log, double share) {
  if (log) {
    const double factor = range.low < range.high ? std::pow(range.high / range.low, share) : 2;
    return {range.low / factor, range.high * factor};
  }
  const double length = range.high - range.low;
  const double margin = length > 0 ? share * length : range.low != 0 ? 0.1 * std::abs(range.low) : 1;
  return {range.low - margin, range.high + margin};
}

/// Multiples of 1, 2 or 5 times a power of ten within `range`: the closest spacing that gives at most `most` (>= 2) of them.
inline std::vector<double> linear_ticks(Range range, std::size_t most) {
  const double least = (range.high - range.low) / static_cast<double>(most);
  require(std::isfinite(least) && least > 0 && most >= 2, "ticks: no room for ", most, " between ", range.low, " and ",
          range.high);
  double power = std::pow(10, std::floor(std::log10(least)));
  for (;; power *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double first = std::ceil(range.low / (digit * power) - 1e-9), last = std::floor(range.high / (digit * power) + 1e-9);
      if (last - first + 1 > static_cast<double>(most)) continue;
      std::vector<double> ticks;
      // k * digit / 10^n rather than k * digit * 10^-n: the nearest double, so that 0.3 is 0.3.
      for (double k = first; k <= last; ++k) ticks.push_back(power < 1 ? k * digit / std::round(1 / power) : k * digit * power);
      return ticks;
    }
  }
}

/// For a log axis: powers of ten, thinned out to at most `most` (>= 2); with 2 and 5 times them where there is room;
/// linear ticks where the range holds fewer than two of those.
inline std::vector<double> log_ticks(Range range, std::size_t most) {
  const double first = std::floor(std::log10(range.low)), last = std::ceil(std::log10(range.high));
  const auto collect = [&](std::initializer_list<double> digits, double step) {
    std::vector<double> ticks;
    for (double power = std::ceil(first / step) * step; power <= last; power += step)
      for (const double digit : digits) {
        const double tick = power < 0 ? digit / std::pow(10, -power) : digit * std::pow(10, power);
        if (tick >= range.low * (1 - 1e-9) && tick <= range.high * (1 + 1e-9)) ticks.push_back(tick);
      }
    return ticks;
  };
  std::vector<double> ticks = collect({1, 2, 5}, 1);
  if (ticks.size() < 2) return linear_ticks(range, most);
  for (double step = 1; ticks.size() > most; ++step) ticks = collect({1}, step);
  return ticks;
}

namespace detail {
inline std::string format(const char* how, int digits, double value) {
  char text[64];
  std::snprintf(text, sizeof text, how, digits, value);
  return text;
}
/// The power of 1000 in which numbers of this size are written (0 below 10,000), at most 4.
inline int thousands(double size) { return size < 1e4 ? 0 : std::min(4, static_cast<int>(std::log10(size) / 3 + 1e-9)); }
inline const char* suffix(int thousands) {
  constexpr const char* names[] = {"", "k", "M", "G", "T"};
  return names[thousands];
}
}  // namespace detail

/// What is written at `ticks`. On a linear axis all have the same unit (k, M, G or T from 10,000 on) and as many decimals
/// as their spacing needs; on a log axis each is written for itself.
inline std::vector<std::string> tick_labels(const std::vector<double>& ticks, bool log) {
  double largest = 0;
  for (const double tick : ticks) largest = std::max(largest, std::abs(tick));
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : largest;
  std::vector<std::string> labels;
  for (const double tick : ticks) {
    const int thousands = detail::thousands(log ? tick : largest);
    const double unit = std::pow(1000, thousands);
    if (tick == 0) {
      labels.push_back("0");
    } else if (log) {
      labels.push_back(detail::format("%.*g", 6, tick / unit) + detail::suffix(thousands));
    } else if (largest < 1e-3) {
      labels.push_back(detail::format("%.*g", 2 + static_cast<int>(std::log10(largest / step)), tick));
    } else {
      const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step / unit) + 1e-9)));
      labels.push_back(detail::format("%.*f", decimals, tick / unit) + detail::suffix(thousands));
    }
  }
  return labels;
}

}  // namespace skipv1::plot
