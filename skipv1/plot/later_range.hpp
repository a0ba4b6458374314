// Where a curve's beginning would take the picture: the y axis of what comes after it.
#pragma once

#include <cmath>
#include <cstddef>

#include "skipv1/plot/chart.hpp"

namespace skipv1::plot {

/// What to do where the beginning takes less than half of the y axis.
enum class ShortFall { keep, leave_out };

/// Whether a chart has a series that is a curve: points alone have no beginning.
inline bool has_curve(const Chart& chart) {
  for (const Series& s : chart.series)
    if (s.joined) return true;
  return false;
}

/// What the curves have from the share `from` of the x axis on, all single points and the references: the y axis, where curves
/// that fall steeply at first would all look alike. Empty if there is no curve, or if that leaves out little, unless asked for.
inline Range later_range(const Chart& chart, double from, ShortFall little = ShortFall::keep) {
  const auto shown = [](double value, bool log) { return !log || value > 0; };
  Range x = chart.x_range, all, later;
  for (const Series& s : chart.series)
    for (const double value : s.x)
      if (chart.x_range.empty() && shown(value, chart.log_x)) x.add(value);
  const double begin = chart.log_x ? x.low * std::pow(x.high / x.low, from) : x.low + from * (x.high - x.low);
  for (const Series& s : chart.series)
    for (std::size_t i = 0; i < s.y.size(); ++i) {
      if (!shown(s.y[i], chart.log_y)) continue;
      all.add(s.y[i]);
      if ((!s.joined || s.x[i] >= begin) && s.x[i] <= x.high) later.add(s.y[i]);
    }
  if (later.empty() || !has_curve(chart)) return {};
  for (const Reference& r : chart.references)
    if (shown(r.y, chart.log_y)) all.add(r.y), later.add(r.y);
  const bool is_little = 2 * (later.high - later.low) > all.high - all.low;
  if (!has_length(later) || (is_little && little == ShortFall::keep)) return {};
  return widen(later, 0.06, chart.log_y ? Scale::logarithmic : Scale::linear);
}

}  // namespace skipv1::plot
