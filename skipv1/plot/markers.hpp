// The markers of a chart's points. Of several at one place, as of equal points, the first is larger and each next one smaller, so
// that all are seen.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "skipv1/plot/drawing.hpp"
#include "skipv1/plot/style.hpp"

namespace skipv1::plot::detail {

inline constexpr double marker_radius = 5.5;

inline void paint_marker(Drawing& d, Point at, std::size_t style, double radius = marker_radius) {
  const auto kind = static_cast<Marker>(style % 4);
  d.marker(at, kind, radius + (radius < marker_radius ? 1 : 2), white);
  d.marker(at, kind, radius, line_colour(style));
  if (has_open_marker(style) && radius > 3) d.marker(at, kind, radius - 2.5, white);
}

/// Which series have a marker at a place.
class Markers {
 public:
  void add(Point at, std::size_t series) {
    std::vector<std::size_t>& here = series_[place(at)];
    if (std::find(here.begin(), here.end(), series) == here.end()) here.push_back(series);
  }
  double radius(Point at, std::size_t series) const {
    const auto found = series_.find(place(at));
    if (found == series_.end() || found->second.size() < 2) return marker_radius;
    const std::vector<std::size_t>& here = found->second;
    const auto before = std::find(here.begin(), here.end(), series) - here.begin();
    const double others = static_cast<double>(here.size() - 1);
    const double largest = std::max(marker_radius + 1.1 * others, 1.9 + 2.9 * others);
    return largest - 2.9 * static_cast<double>(before);
  }

 private:
  using Place = std::pair<double, double>;
  static Place place(Point at) { return {at.x, at.y}; }
  std::map<Place, std::vector<std::size_t>> series_;
};

}  // namespace skipv1::plot::detail
