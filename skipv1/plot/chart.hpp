// Line charts: series with bands or error bars, reference lines, a legend that keeps clear of the data.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/plot/axis.hpp"
#include "skipv1/plot/canvas.hpp"

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
  std::size_t width = 960, height = 600;  ///< pixels; a legend that would take more than half of the width adds to it
};

/// Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that white paper swallows.
inline Colour line_colour(std::size_t style) {
  constexpr std::array<Colour, 7> colours{
      {{0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {86, 180, 233}, {230, 159, 0}, {0, 0, 0}}};
  return colours[style % colours.size()];
}
/// Lengths in pixels, drawn and left out in turn; empty: solid. With the 7 colours 4 dashes make 28 styles, the next 4 make 56.
inline std::vector<double> line_dash(std::size_t style) {
  constexpr std::size_t kinds = 4;
  static const std::vector<double> dashes[2 * kinds] = {{},      {11, 6}, {3, 5},  {12, 5, 3, 5},
                                                        {20, 3}, {6, 12}, {2, 10}, {12, 4, 3, 4, 3, 4}};
  return dashes[style % kinds + (style / 28 % 2 ? kinds : 0)];
}

namespace detail {

inline constexpr double line_thickness = 2.5, gap = 12, legend_row = text_height + 6;

inline void check_series(const Series& s, const std::string& title) {
  require(s.x.size() == s.y.size(), "chart \"", title, "\": series \"", s.name, "\" has ", s.x.size(), " x and ", s.y.size(),
          " y");
  require(s.low.size() == s.high.size() && (s.low.empty() || s.low.size() == s.y.size()), "chart \"", title, "\": series \"",
          s.name, "\" has ", s.y.size(), " y, ", s.low.size(), " low and ", s.high.size(),
          " high: low and high must be empty or as many as y");
}

/// A chart while it is drawn: where its axes lie and which pixels its data take.
class ChartPainter {
 public:
  explicit ChartPainter(const Chart& chart)
      : chart_(chart), width_(static_cast<double>(chart.width)), canvas_(chart.width, chart.height) {
    for (const Series& s : chart.series) check_series(s, chart.title);
    x_.log = chart.log_x;
    y_.log = chart.log_y;
    find_ranges();
  }

  Canvas paint() {
    lay_out(0);
    std::optional<Point> legend = {};
    const Point size = legend_size();
    if (size.y > 0) {
      legend = free_place(size);
      if (!legend) {  // no room among the data: to the right of them
        widen_canvas(size.x + gap);
        lay_out(size.x + gap);
        legend = Point{plot_.right + gap, plot_.top};
      }
    }
    paint_axes();
    canvas_.clip(plot_);
    for (const Reference& r : chart_.references)
      if (y_.shows(r.y)) canvas_.line({{plot_.left, y_.pixel(r.y)}, {plot_.right, y_.pixel(r.y)}}, 1.6, grey, {7, 5});
    each_series(&ChartPainter::paint_spread);
    each_series(&ChartPainter::paint_line);
    canvas_.clip(canvas_.frame());
    each_series(&ChartPainter::paint_markers);
    if (legend) paint_legend(*legend, size);
    paint_reference_labels(legend, size);
    return std::move(canvas_);
  }

 private:
  void find_ranges() {
    Range x, y;
    for (const Series& s : chart_.series) {
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (!shows(s.x[i], s.y[i])) continue;
        x.add(s.x[i]);
        y.add(s.y[i]);
        if (!s.low.empty() && y_.shows(s.low[i])) y.add(s.low[i]);
        if (!s.high.empty() && y_.shows(s.high[i])) y.add(s.high[i]);
      }
    }
    require(!x.empty(), "chart \"", chart_.title, "\" has no point that can be drawn");
    for (const Reference& r : chart_.references)
      if (y_.shows(r.y)) y.add(r.y);
    set_range(x_, x, chart_.x_range, 0.02, "x");
    set_range(y_, y, chart_.y_range, 0.06, "y");
  }
  void set_range(Axis& axis, const Range& data, const Range& given, double margin, const char* name) {
    const Range range = given.empty() ? widen(data, axis.log, margin) : given;
    require(axis.shows(range.low) && axis.shows(range.high) && range.low < range.high, "chart \"", chart_.title, "\": its ", name,
            " axis cannot go from ", range.low, " to ", range.high, axis.log ? " with a logarithmic scale" : "");
    require(has_length(range), "chart \"", chart_.title, "\": its ", name, " axis from ", range.low, " to ", range.high,
            " is shorter than 1e-12 of its ends");
    axis.low = range.low;
    axis.high = range.high;
  }

  /// Makes room for `right` pixels beside the plot, of which half of the picture is the plot's.
  void widen_canvas(double right) {
    const double beyond = std::ceil(right - width_ / 2);
    if (beyond <= 0) return;
    width_ += beyond;
    require(width_ <= 20000, "chart \"", chart_.title, "\": no room in 20000 pixels for the name \"", shortened(widest_name()),
            "\" in its legend");
    canvas_ = Canvas(static_cast<std::size_t>(width_), chart_.height);
  }

  /// Places the axes, `right` pixels being kept free on the right, and marks the pixels that data take.
  void lay_out(double right) {
    const auto height = static_cast<double>(chart_.height);
    plot_.top = chart_.title.empty() ? 20 : 20 + font_height * title_scale + 10;
    plot_.bottom = height - 22 - text_height - (chart_.x_label.empty() ? 0 : text_height + 6);
    require(plot_.bottom - plot_.top >= 60, "chart \"", chart_.title, "\": ", chart_.height, " pixels are too low for it");
    y_.from = plot_.bottom;
    y_.to = plot_.top;
    y_ticks_ = ticks(y_, plot_.height() / 45);
    double widest = 0;
    for (const std::string& label : tick_labels(y_ticks_, y_.log)) widest = std::max(widest, text_width(label, text_scale));
    plot_.left = 14 + (chart_.y_label.empty() ? 0 : text_height + 10) + widest + 10;
    plot_.right = width_ - 28 - right;
    require(plot_.width() >= 100, "chart \"", chart_.title, "\": ", chart_.width, " pixels are too narrow beside ",
            right > widest ? "the name \"" + shortened(widest_name()) + "\" in its legend" : "the labels of its y axis");
    x_.from = plot_.left;
    x_.to = plot_.right;
    x_ticks_ = ticks(x_, plot_.width() / 95);
    mark_data();
  }
  static std::vector<double> ticks(const Axis& axis, double most) {
    const std::size_t count = std::max<std::size_t>(2, static_cast<std::size_t>(most));
    return axis.log ? log_ticks({axis.low, axis.high}, count) : linear_ticks({axis.low, axis.high}, count);
  }

  bool shows(double x, double y) const { return x_.shows(x) && y_.shows(y); }
  Point place(double x, double y) const {
    constexpr double most = 1e5;  // outside a given range: where dashes are cut, no further
    return {std::clamp(x_.pixel(x), -most, most), std::clamp(y_.pixel(y), -most, most)};
  }

  void mark_data() {
    taken_.clear();
    for (const Series& s : chart_.series) {
      each_run(s, [&](const std::vector<Point>& points) {
        for (std::size_t i = 0; i < points.size(); ++i) mark(points[i > 0 && s.joined ? i - 1 : i], points[i]);
      });
      for (std::size_t i = 0; i < s.low.size(); ++i)
        if (shows(s.x[i], s.y[i]) && shows(s.x[i], s.low[i]) && shows(s.x[i], s.high[i]))
          mark(place(s.x[i], s.low[i]), place(s.x[i], s.high[i]));
    }
    for (const Reference& r : chart_.references)
      if (y_.shows(r.y)) mark({plot_.left, y_.pixel(r.y)}, {plot_.right, y_.pixel(r.y)});
  }
  void mark(Point a, Point b) {
    const Shares seen = shares_within(a, b, canvas_.frame());
    if (seen.from > seen.to) return;
    const double length = (seen.to - seen.from) * std::hypot(b.x - a.x, b.y - a.y), steps = std::ceil(length / 4) + 1;
    for (double i = 0; i <= steps; ++i) {
      const double share = std::lerp(seen.from, seen.to, i / steps);
      taken_.push_back({std::lerp(a.x, b.x, share), std::lerp(a.y, b.y, share)});
    }
  }
  std::size_t taken_in(const Box& box) const {
    return static_cast<std::size_t>(std::count_if(taken_.begin(), taken_.end(), [&](Point p) { return box.holds(p); }));
  }

  std::string widest_name() const {
    std::string name;
    for (const Series& s : chart_.series)
      if (text_width(s.name, text_scale) > text_width(name, text_scale)) name = s.name;
    return name;
  }
  /// The beginning of a long text, for a line of an error.
  static std::string shortened(const std::string& text) {
    std::size_t end = std::min<std::size_t>(text.size(), 60);
    while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return end < text.size() ? text.substr(0, end) + "..." : text;
  }

  /// The legend's extent in pixels: one column, or as many of equal height as it takes to stay within the picture.
  Point legend_size() {
    double widest = 0, rows = 0;
    for (const Series& s : chart_.series) {
      if (s.name.empty()) continue;
      widest = std::max(widest, text_width(s.name, text_scale));
      ++rows;
    }
    if (rows == 0) return {};
    const double most = std::max(1.0, std::floor((canvas_.frame().bottom - plot_.top - 10) / legend_row));
    const double columns = std::ceil(rows / most);
    legend_rows_ = static_cast<std::size_t>(std::ceil(rows / columns));
    legend_column_ = widest + 72;
    return {columns * legend_column_, static_cast<double>(legend_rows_) * legend_row + 10};
  }
  /// A place for a box of `size` that no data touch: corners first, then the middles of the edges.
  std::optional<Point> free_place(Point size) const {
    const double left = plot_.left + gap, right = plot_.right - gap - size.x;
    const double top = plot_.top + gap, bottom = plot_.bottom - gap - size.y;
    const double centre = (left + right) / 2, middle = (top + bottom) / 2;
    if (right < left || bottom < top) return {};
    for (const Point at : {Point{right, top}, Point{left, top}, Point{right, bottom}, Point{left, bottom}, Point{centre, top},
                           Point{centre, bottom}, Point{right, middle}, Point{left, middle}})
      if (taken_in({at.x - 8, at.y - 8, at.x + size.x + 8, at.y + size.y + 8}) == 0) return at;
    return {};
  }

  void paint_axes() {
    const std::vector<std::string> x_labels = tick_labels(x_ticks_, x_.log), y_labels = tick_labels(y_ticks_, y_.log);
    for (std::size_t i = 0; i < x_ticks_.size(); ++i) {
      const double x = std::floor(x_.pixel(x_ticks_[i])) + 0.5;
      canvas_.line({x, plot_.top}, {x, plot_.bottom}, 1, pale);
      canvas_.line({x, plot_.bottom}, {x, plot_.bottom + 5}, 1, ink);
      canvas_.text({x, plot_.bottom + 10}, x_labels[i], text_scale, ink, Align::centre);
    }
    for (std::size_t i = 0; i < y_ticks_.size(); ++i) {
      const double y = std::floor(y_.pixel(y_ticks_[i])) + 0.5;
      canvas_.line({plot_.left, y}, {plot_.right, y}, 1, pale);
      canvas_.line({plot_.left - 5, y}, {plot_.left, y}, 1, ink);
      canvas_.text({plot_.left - 10, y - font_ascent * text_scale / 2}, y_labels[i], text_scale, ink, Align::right);
    }
    canvas_.line({{plot_.left, plot_.top}, {plot_.left, plot_.bottom}, {plot_.right, plot_.bottom}}, 1.5, ink);
    const double centre = (plot_.left + plot_.right) / 2;
    const double title = fitting_scale(chart_.title, title_scale, canvas_.frame().right - 20);
    const double x_scale = fitting_scale(chart_.x_label, text_scale, 2 * std::min(centre, canvas_.frame().right - centre) - 10);
    const double y_scale = fitting_scale(chart_.y_label, text_scale, plot_.bottom + 30);
    canvas_.text({canvas_.frame().right / 2, 16}, chart_.title, title, black, Align::centre);
    canvas_.text({centre, canvas_.frame().bottom - 10 - text_height}, chart_.x_label, x_scale, ink, Align::centre);
    canvas_.text_upwards({12, (plot_.top + plot_.bottom) / 2}, chart_.y_label, y_scale, ink);
  }

  void each_series(void (ChartPainter::*task)(const Series&, std::size_t)) {
    for (std::size_t i = 0; i < chart_.series.size(); ++i) (this->*task)(chart_.series[i], chart_.series[i].style.value_or(i));
  }
  /// Calls `task(begin, end)` for the longest runs of points that `holds`.
  template <class Holds, class Task>
  static void runs(std::size_t count, const Holds& holds, const Task& task) {
    for (std::size_t begin = 0; begin < count; ++begin) {
      std::size_t end = begin;
      while (end < count && holds(end)) ++end;
      if (end > begin) task(begin, end);
      begin = end;
    }
  }

  /// Calls `task` with the places of each run of points that are shown; of very many, thinned out.
  template <class Task>
  void each_run(const Series& s, const Task& task) const {
    const auto whole = [&](std::size_t i) { return shows(s.x[i], s.y[i]); };
    runs(s.x.size(), whole, [&](std::size_t begin, std::size_t end) {
      std::vector<Point> points;
      for (std::size_t i = begin; i < end; ++i) points.push_back(place(s.x[i], s.y[i]));
      task(thin(points));
    });
  }

  void paint_spread(const Series& s, std::size_t style) {
    if (s.low.empty()) return;
    const auto whole = [&](std::size_t i) { return shows(s.x[i], s.low[i]) && shows(s.x[i], s.high[i]); };
    if (s.spread == Series::Spread::bars) {
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (!whole(i)) continue;
        const Point low = place(s.x[i], s.low[i]), high = place(s.x[i], s.high[i]);
        canvas_.line(low, high, 1.6, line_colour(style));
        for (const Point end : {low, high}) canvas_.line({end.x - 5, end.y}, {end.x + 5, end.y}, 1.6, line_colour(style));
      }
      return;
    }
    runs(s.x.size(), whole, [&](std::size_t begin, std::size_t end) {
      std::vector<Point> upper, lower;
      for (std::size_t i = begin; i < end; ++i) {
        upper.push_back(place(s.x[i], s.high[i]));
        lower.push_back(place(s.x[i], s.low[i]));
      }
      canvas_.band(upper, lower, line_colour(style), 0.18);
    });
  }

  void paint_line(const Series& s, std::size_t style) {
    if (!s.joined) return;
    each_run(
        s, [&](const std::vector<Point>& points) { canvas_.line(points, line_thickness, line_colour(style), line_dash(style)); });
  }

  static bool has_markers(const Series& s) {
    return !s.joined || s.points == Series::Points::shown || (s.points == Series::Points::automatic && s.x.size() <= 30);
  }
  void paint_marker(Point at, std::size_t style) {
    const auto kind = static_cast<Marker>(style % 4);
    canvas_.marker(at, kind, 7.5, white);
    canvas_.marker(at, kind, 5.5, line_colour(style));
  }
  void paint_markers(const Series& s, std::size_t style) {
    if (!has_markers(s)) return;
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (shows(s.x[i], s.y[i]) && plot_.holds(place(s.x[i], s.y[i]))) paint_marker(place(s.x[i], s.y[i]), style);
  }

  void paint_legend(Point at, Point size) {
    canvas_.fill({at.x, at.y, at.x + size.x, at.y + size.y}, white, 0.85);
    std::size_t entry = 0;
    for (std::size_t i = 0; i < chart_.series.size(); ++i) {
      const Series& s = chart_.series[i];
      if (s.name.empty()) continue;
      const std::size_t style = s.style.value_or(i);
      const double left = at.x + static_cast<double>(entry / legend_rows_) * legend_column_;
      const double y = at.y + 8 + static_cast<double>(entry++ % legend_rows_) * legend_row;
      const double middle = std::floor(y + font_ascent * text_scale / 2) + 0.5;
      if (s.joined) canvas_.line({{left + 8, middle}, {left + 52, middle}}, line_thickness, line_colour(style), line_dash(style));
      if (has_markers(s)) paint_marker({left + 30, middle}, style);
      canvas_.text({left + 62, y}, s.name, text_scale, ink);
    }
  }

  /// Labels sit on their line, at whichever place along it covers the least data; never on the legend.
  void paint_reference_labels(const std::optional<Point>& legend, Point size) {
    for (const Reference& r : chart_.references) {
      if (r.label.empty() || !y_.shows(r.y)) continue;
      const double width = text_width(r.label, text_scale), line = y_.pixel(r.y);
      if (line < plot_.top || line > plot_.bottom) continue;
      std::size_t least = std::numeric_limits<std::size_t>::max();
      Point best;
      for (const double share : {1.0, 0.0, 0.75, 0.25, 0.5}) {
        for (const double y : {line - text_height - 2, line + 6}) {
          const Point at{std::lerp(plot_.left + gap, plot_.right - gap - width, share), y};
          const Box box{at.x, at.y, at.x + width, at.y + text_height - 1};
          std::size_t cost = taken_in(box);
          if (y < plot_.top || box.bottom > plot_.bottom) cost += 1000;
          if (legend && box.meets({legend->x, legend->y, legend->x + size.x, legend->y + size.y})) cost += 1000;
          if (cost < least) {
            least = cost;
            best = at;
          }
        }
      }
      canvas_.text(best, r.label, text_scale, grey);
      mark({best.x, best.y + text_height / 2}, {best.x + width, best.y + text_height / 2});
    }
  }

  const Chart& chart_;
  double width_;  // pixels of the canvas
  Canvas canvas_;
  Axis x_, y_;
  Box plot_;
  std::vector<double> x_ticks_, y_ticks_;
  std::vector<Point> taken_;
  std::size_t legend_rows_ = 1;  // in each of its columns
  double legend_column_ = 0;     // pixels
};

}  // namespace detail

/// The picture of `chart`. Throws if it has no point to draw, if sizes disagree, or if it is too small for its labels.
inline Canvas draw(const Chart& chart) { return detail::ChartPainter(chart).paint(); }

/// Draws `chart` into the PNG file `path`.
inline void save_png(const std::filesystem::path& path, const Chart& chart) { save_png(path, draw(chart)); }

}  // namespace skipv1::plot
