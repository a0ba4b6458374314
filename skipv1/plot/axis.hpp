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

/// How values lie along an axis.
enum class Scale { linear, logarithmic };

/// Maps `low … high` to the pixels `from … to`.
struct Axis {
  double low = 0, high = 1;
  Scale scale = Scale::linear;
  double from = 0, to = 1;

  /// Whether a value has a place on the axis' scale: finite, and positive on a logarithmic one.
  bool shows(double value) const { return std::isfinite(value) && (!log() || value > 0); }
  double pixel(double value) const { return from + (to - from) * (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)); }
  /// The inverse of `pixel`.
  double value(double pixel) const {
    const double at = std::lerp(scaled(low), scaled(high), (pixel - from) / (to - from));
    return log() ? std::exp(at) : at;
  }
  bool log() const { return scale == Scale::logarithmic; }

 private:
  double scaled(double value) const { return log() ? std::log(value) : value; }
};

/// Whether `range` is long enough for an axis: 1e-12 of its larger end. Below that its ticks would be some roundings apart, and
/// below the least normal double their spacing would have no digits left.
inline bool has_length(Range range) {
  const double larger = std::max(std::abs(range.low), std::abs(range.high));
  return range.high - range.low >= std::max(1e-12 * larger, 1e-300);
}

/// `range` with a margin of `share` of its length on both sides; a single value, or values too close for an axis, get room
/// around them.
inline Range widen(Range range, double share, Scale scale = Scale::linear) {
  if (scale == Scale::logarithmic) {
    const double factor = has_length(range) ? std::exp(share * (std::log(range.high) - std::log(range.low))) : 2;
    const auto normal = [](double x) {
      return std::clamp(x, std::numeric_limits<double>::min(), std::numeric_limits<double>::max());
    };
    return {normal(range.low / factor), normal(range.high * factor)};
  }
  const double larger = std::max(std::abs(range.low), std::abs(range.high));
  const double margin = has_length(range) ? share * (range.high - range.low) : larger >= 1e-300 ? 0.1 * larger : 1;
  return {range.low - margin, range.high + margin};
}

/// Which values a tick may have.
enum class Ticks { any, whole };

/// Multiples of 1, 2 or 5 times a power of ten within `range`: the closest spacing that gives at most `most` (2 to 1000) of them;
/// of `Ticks::whole` at least 1. Throws if the range has no length, or none that doubles can divide.
inline std::vector<double> linear_ticks(Range range, std::size_t most, Ticks kind = Ticks::any) {
  const double wanted = (range.high - range.low) / static_cast<double>(most);
  const double least = kind == Ticks::whole ? std::max(wanted, 1.0) : wanted;
  // The multiples k are counted in doubles, which stand still beyond 2^53: k is at most 1e12 * `most` here.
  require(std::isfinite(least) && has_length(range) && most >= 2 && most <= 1000, "ticks: no room for ", most, " between ",
          range.low, " and ", range.high);
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
/// linear ticks where the range holds fewer than two of those. Throws unless the range is positive, finite and has a length.
inline std::vector<double> log_ticks(Range range, std::size_t most) {
  require(range.low > 0 && std::isfinite(range.high) && has_length(range) && most >= 2, "ticks: no room for ", most, " between ",
          range.low, " and ", range.high, " with a logarithmic scale");
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
/// The power of 1000 in which numbers of this size are written: 0 below 10,000 and, as there is no sixth name, from 1e15 on.
inline int thousands(double size) { return size < 1e4 || size >= 1e15 ? 0 : static_cast<int>(std::log10(size) / 3 + 1e-9); }
/// `value` with `digits` significant digits, and an exponent where that is shorter: 2.5e20.
inline std::string general(int digits, double value) {
  std::string text = format("%.*g", digits, value);
  if (const std::size_t plus = text.find("e+"); plus != text.npos) text.erase(plus + 1, 1);
  if (const std::size_t zero = text.find("e-0"); zero != text.npos) text.erase(zero + 2, 1);
  return text;
}
inline const char* suffix(int thousands) {
  constexpr const char* names[] = {"", "k", "M", "G", "T"};
  return names[thousands];
}
/// Below this, labels of the data's own values have all digits.
inline double end_of_whole_labels(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double value) { return std::abs(value) >= 1e5; }) ? 1e4 : 1e5;
}
}  // namespace detail

/// A number with commas between its thousands, from 10,000 on; without decimals.
inline std::string with_commas(double value) {
  std::string text = detail::format("%.*f", 0, value);
  const std::size_t first = text[0] == '-' ? 1 : 0;
  if (text.size() - first < 5) return text;
  for (std::size_t i = text.size(); i > first + 3;) text.insert(i -= 3, ",");
  return text;
}

/// What is written at values of the data themselves: "256", "16,384", "39M". From 100,000 on as few digits, two at least, as tell
/// neighbours apart, beside such values from 10,000 on; below, whole numbers whole.
inline std::vector<std::string> value_labels(const std::vector<double>& values) {
  std::vector<std::string> labels;
  const double whole = detail::end_of_whole_labels(values);
  for (int digits = 2; digits <= 17; ++digits) {
    labels.clear();
    for (const double value : values) {
      const double size = std::abs(value);
      if (size < whole && value == std::round(value)) {
        labels.push_back(with_commas(value));
      } else if (size < whole || size >= 1e15) {
        labels.push_back(detail::general(digits + 1, value));
      } else {
        const double rounded = std::stod(detail::format("%.*e", digits - 1, value));  // 999,999 is 1.0M, not 1000k
        const int thousands = detail::thousands(std::abs(rounded));
        const double shown = rounded / std::pow(1000, thousands);
        const int decimals = std::max(0, digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(shown)) + 1e-9)));
        labels.push_back(detail::format("%.*f", decimals, shown) + detail::suffix(thousands));
      }
    }
    std::vector<std::string> sorted = labels;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end()) break;
  }
  return labels;
}

/// Whether `value_labels` writes all digits of these whole numbers.
inline bool have_exact_labels(const std::vector<double>& values) {
  const double whole = detail::end_of_whole_labels(values);
  return std::all_of(values.begin(), values.end(), [&](double value) {
    return std::abs(value) < whole || value == std::stod(detail::format("%.*e", 1, value));
  });
}

/// Whether an axis' label names a unit that has a prefix already, as "KiB": "30k KiB" would have two.
inline bool has_prefixed_unit(const std::string& label) {
  for (const char* unit : {"KiB", "MiB", "GiB", "kB", "MB", "GB", "TFLOP", "GFLOP"})
    if (label.find(unit) != label.npos) return true;
  return false;
}
/// Ticks without k, M, G, T: "30,000".
inline std::vector<std::string> plain_tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  for (const double tick : ticks)
    labels.push_back(tick == 0                                           ? "0"
                     : tick == std::round(tick) && std::abs(tick) < 1e15 ? with_commas(tick)
                                                                         : detail::general(6, tick));
  return labels;
}

/// What is written at `ticks`, in their order. On a linear axis all have the same unit (k, M, G or T from 10,000 on) and as many
/// decimals as their spacing needs; on a log axis each is written for itself. From 1e15 on there is an exponent.
inline std::vector<std::string> tick_labels(const std::vector<double>& ticks, Scale scale = Scale::linear) {
  const bool log = scale == Scale::logarithmic;
  double largest = 0, closest = 1;  // `closest`: of neighbours, relative to the larger of the two (log) or to the largest
  for (const double tick : ticks) largest = std::max(largest, std::abs(tick));
  for (std::size_t i = 1; i < ticks.size(); ++i)
    closest = std::min(closest, (ticks[i] - ticks[i - 1]) / (log ? ticks[i] : largest));
  const int digits = ticks.size() == 1 ? 12 : 2 + static_cast<int>(-std::log10(closest));  // that tell neighbours apart
  std::vector<std::string> labels;
  for (const double tick : ticks) {
    const int thousands = detail::thousands(log ? tick : largest);
    const double unit = std::pow(1000, thousands);
    if (tick == 0) {
      labels.push_back("0");
    } else if (log || ticks.size() == 1) {
      labels.push_back(detail::general(std::max(6, digits), tick / unit) + detail::suffix(thousands));
    } else if (largest < 1e-3 || largest >= 1e15) {
      labels.push_back(detail::general(digits, tick));
    } else {
      const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10((ticks[1] - ticks[0]) / unit) + 1e-9)));
      labels.push_back(detail::format("%.*f", decimals, tick / unit) + detail::suffix(thousands));
    }
  }
  return labels;
}

}  // namespace skipv1::plot
