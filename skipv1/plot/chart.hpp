// Line charts: series with bands or error bars, reference lines, a legend that keeps clear of the data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skipv1/plot/axis.hpp"
#include "skipv1/plot/drawing.hpp"
#include "skipv1/plot/style.hpp"

namespace skipv1::plot {

/// A line through (x, y). `low` and `high`, both empty or as long as `y`, are drawn as a band or as error bars.
/// Points that are not finite, or not positive on a log axis, are left out and interrupt the line.
struct Series {
  std::string name;
  std::vector<double> x, y, low = {}, high = {};
  enum class Spread { band, bars } spread = Spread::band;
  /// Automatic: shown if there are at most 30.
  enum class Points { automatic, shown, hidden } points = Points::automatic;
  bool joined = true;                     ///< false: points only
  std::optional<std::size_t> style = {};  ///< which colour and dash; the position in the chart if not given
  std::vector<std::string> labels = {};   ///< written beside the points; empty, or as many as `y`
};

/// A horizontal line at `y` with a label on it.
struct Reference {
  double y = 0;
  std::string label;
};

/// A line chart. Where its range is empty an axis spans the data with a small margin.
struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  std::vector<Reference> references = {};
  bool log_x = false, log_y = false;
  Range x_range = {}, y_range = {};
  /// Pixels, across, from a point to another series' of the same x, so that these do not hide each other. Less where another x is
  /// near; a series whose points are hidden stays at its x.
  double dodge = 0;
  bool legend = true;
  std::size_t width = 960, height = 600;  ///< pixels; a legend that would take more than half of the width adds to it
};

/// The picture of `chart`. Throws if it has no point to draw, if sizes disagree, or if it is too small for its labels.
inline Drawing describe(const Chart& chart);
/// The same in pixels.
inline Canvas draw(const Chart& chart) { return describe(chart).pixels(); }
/// Draws `chart` into the PNG file `path`, or with `save_figure` into an SVG beside it too.
inline void save_png(const std::filesystem::path& path, const Chart& chart) { save_png(path, draw(chart)); }
inline void save_figure(const std::filesystem::path& path, const Chart& chart) { save_figure(path, describe(chart)); }

}  // namespace skipv1::plot

#include "skipv1/plot/chart_painter.hpp"
