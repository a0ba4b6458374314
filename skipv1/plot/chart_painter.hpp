// How a chart is laid out and drawn; `chart.hpp` includes it.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/dodge.hpp"
#include "skipv1/plot/markers.hpp"
#include "skipv1/plot/taken_pixels.hpp"

namespace skipv1::plot {

namespace detail {

inline constexpr double line_thickness = 2.5, gap = 12, legend_row = text_height + 8;

inline void check_series(const Series& s, const std::string& title) {
  require(s.x.size() == s.y.size(), "chart \"", title, "\": series \"", s.name, "\" has ", s.x.size(), " x and ", s.y.size(),
          " y");
  require(s.low.size() == s.high.size() && (s.low.empty() || s.low.size() == s.y.size()), "chart \"", title, "\": series \"",
          s.name, "\" has ", s.y.size(), " y, ", s.low.size(), " low and ", s.high.size(),
          " high: low and high must be empty or as many as y");
  require(s.labels.empty() || s.labels.size() == s.y.size(), "chart \"", title, "\": series \"", s.name, "\" has ", s.y.size(),
          " y and ", s.labels.size(), " labels: must be none or as many");
}

/// A chart while it is drawn: where its axes lie and which pixels its data take.
class ChartPainter {
 public:
  explicit ChartPainter(const Chart& chart)
      : chart_(chart),
        width_(static_cast<double>(chart.width)),
        canvas_(chart.width, chart.height, chart.title),
        dodge_(chart.dodge) {
    for (const Series& s : chart.series) check_series(s, chart.title);
    if (chart.log_x) x_.scale = Scale::logarithmic;
    if (chart.log_y) y_.scale = Scale::logarithmic;
    find_ranges();
  }

  Drawing paint() {
    lay_out(0);
    std::optional<Point> legend = {};
    const Point size = chart_.legend ? legend_size() : Point{};
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
    for (const Series& s : chart_.series) each_marker(s, [&](Point at) { markers_.add(at, index_of(s)); });
    each_series(&ChartPainter::paint_markers);
    for (const Series& s : chart_.series) paint_labels(s);
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
        if (s.points != Series::Points::hidden) dodge_.add(s.x[i], index_of(s));
        x.add(s.x[i]), y.add(s.y[i]);
        if (!s.low.empty() && y_.shows(s.low[i])) y.add(s.low[i]);
        if (!s.high.empty() && y_.shows(s.high[i])) y.add(s.high[i]);
      }
    }
    find_kinds();
    require(!x.empty(), named(), " has no point that can be drawn");
    for (const Reference& r : chart_.references)
      if (y_.shows(r.y)) y.add(r.y);
    set_range(x_, x, chart_.x_range, 0.02, "x");
    set_range(y_, y, chart_.y_range, 0.06, "y");
  }
  std::string named() const { return chart_.title.empty() ? "the chart" : "chart \"" + chart_.title + '"'; }
  /// Whether the data are whole numbers; and their x, each once.
  void find_kinds() {
    bool whole_x = true, whole_y = true;
    for (const Series& s : chart_.series)
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (!shows(s.x[i], s.y[i])) continue;
        whole_x = whole_x && s.x[i] == std::round(s.x[i]);
        whole_y = whole_y && s.y[i] == std::round(s.y[i]);
        if (x_values_.size() <= 12 && std::find(x_values_.begin(), x_values_.end(), s.x[i]) == x_values_.end())
          x_values_.push_back(s.x[i]);
      }
    std::sort(x_values_.begin(), x_values_.end());
    x_kind_ = whole_x ? Ticks::whole : Ticks::any;
    y_kind_ = whole_y && chart_.y_range.empty() ? Ticks::whole : Ticks::any;
  }
  void set_range(Axis& axis, const Range& data, const Range& given, double margin, const char* name) {
    const Range range = given.empty() ? widen(data, margin, axis.scale) : given;
    require(axis.shows(range.low) && axis.shows(range.high) && range.low < range.high, named(), ": its ", name,
            " axis cannot go from ", range.low, " to ", range.high, axis.log() ? " with a logarithmic scale" : "");
    require(has_length(range), named(), ": its ", name, " axis from ", range.low, " to ", range.high,
            " is shorter than 1e-12 of its ends");
    axis.low = range.low, axis.high = range.high;
  }

  /// Makes room for `right` pixels beside the plot, of which half of the picture is the plot's.
  void widen_canvas(double right) {
    const double beyond = std::ceil(right - width_ / 2);
    if (beyond <= 0) return;
    width_ += beyond;
    require(width_ <= 20000, named(), ": no room in 20000 pixels for the name \"", shortened(widest_name()), "\" in its legend");
    canvas_ = Drawing(static_cast<std::size_t>(width_), chart_.height, chart_.title);
  }

  /// Places the axes, `right` pixels being kept free on the right, and marks the pixels that data take.
  void lay_out(double right) {
    const auto height = static_cast<double>(chart_.height);
    title_ = wrap(chart_.title, title_size, width_ - 60);
    plot_.top = 20 + (title_.empty() ? 0 : static_cast<double>(title_.size()) * (title_size + 6) + 8);
    plot_.bottom = height - 22 - text_height - (chart_.x_label.empty() ? 0 : text_height + 6);
    require(plot_.bottom - plot_.top >= 60, named(), ": ", chart_.height, " pixels are too low for it");
    y_.from = plot_.bottom;
    y_.to = plot_.top;
    y_ticks_ = ticks(y_, plot_.height() / 45, y_kind_);
    double widest = 0;
    for (const std::string& label : labels_of(y_ticks_, y_, chart_.y_label))
      widest = std::max(widest, text_width(label, text_size));
    plot_.left = 14 + (chart_.y_label.empty() ? 0 : text_height + 10) + widest + 10;
    plot_.right = width_ - 28 - right;
    require(plot_.width() >= 100, named(), ": ", chart_.width, " pixels are too narrow beside ",
            right > widest ? "the name \"" + shortened(widest_name()) + "\" in its legend" : "the labels of its y axis");
    x_.from = plot_.left + dodge_.margin();
    x_.to = plot_.right - dodge_.margin();
    at_values_ = has_room_for_values();
    x_ticks_ = at_values_ ? x_values_ : ticks(x_, plot_.width() / 95, x_kind_);
    mark_data();
  }
  static std::vector<double> ticks(const Axis& axis, double most, Ticks kind) {
    const std::size_t count = std::max<std::size_t>(2, static_cast<std::size_t>(most));
    return axis.log() ? log_ticks({axis.low, axis.high}, count) : linear_ticks({axis.low, axis.high}, count, kind);
  }
  static std::vector<std::string> labels_of(const std::vector<double>& ticks, const Axis& axis, const std::string& label) {
    return has_prefixed_unit(label) ? plain_tick_labels(ticks) : tick_labels(ticks, axis.scale);
  }
  /// Few x on a log axis, or few whole ones whose labels are exact, are the ticks themselves, where their labels do not touch.
  bool has_room_for_values() const {
    if (x_values_.empty() || x_values_.size() > 12) return false;
    if (!x_.log() && (x_kind_ != Ticks::whole || !have_exact_labels(x_values_))) return false;
    const std::vector<std::string> labels = value_labels(x_values_);
    double end = -1e9;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const double x = x_.pixel(x_values_[i]), half = text_width(labels[i], text_size) / 2;
      if (x - half < end + 10 || x < plot_.left - 1 || x > plot_.right + 1) return false;
      end = x + half;
    }
    return true;
  }

  bool shows(double x, double y) const { return x_.shows(x) && y_.shows(y); }
  std::size_t index_of(const Series& s) const { return static_cast<std::size_t>(&s - chart_.series.data()); }
  /// Where a point of a series lies, beside those of other series at its x.
  Point place(const Series& s, double x, double y) const {
    Point p = place(x, y);
    p.x += dodge_.shift(x, index_of(s), x_);
    return p;
  }
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
          mark(place(s, s.x[i], s.low[i]), place(s, s.x[i], s.high[i]));
    }
    for (const Reference& r : chart_.references)
      if (y_.shows(r.y)) mark({plot_.left, y_.pixel(r.y)}, {plot_.right, y_.pixel(r.y)});
  }
  void mark(Point a, Point b) { taken_.add(a, b, canvas_.frame()); }
  std::size_t taken_in(const Box& box) const { return taken_.in(box); }
  std::string widest_name() const {
    std::string name;
    for (const Series& s : chart_.series)
      if (text_width(s.name, text_size) > text_width(name, text_size)) name = s.name;
    return name;
  }

  /// The legend's extent in pixels: one column, or as many of equal height as it takes to stay within the picture.
  Point legend_size() {
    double widest = 0, rows = 0;
    for (const Series& s : chart_.series) {
      if (s.name.empty()) continue;
      widest = std::max(widest, text_width(s.name, text_size));
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
    const std::vector<std::string> y_labels = labels_of(y_ticks_, y_, chart_.y_label),
                                   x_labels = at_values_ ? value_labels(x_ticks_) : labels_of(x_ticks_, x_, chart_.x_label);
    for (std::size_t i = 0; i < x_ticks_.size(); ++i) {
      const double x = std::floor(x_.pixel(x_ticks_[i])) + 0.5;
      canvas_.line({x, plot_.top}, {x, plot_.bottom}, 1, pale);
      canvas_.line({x, plot_.bottom}, {x, plot_.bottom + 5}, 1, ink);
      const double most = canvas_.frame().right - 2 - text_width(x_labels[i], text_size) / 2;
      canvas_.text({std::min(x, most), plot_.bottom + 10}, x_labels[i], text_size, ink, Align::centre);
    }
    for (std::size_t i = 0; i < y_ticks_.size(); ++i) {
      const double y = std::floor(y_.pixel(y_ticks_[i])) + 0.5;
      canvas_.line({plot_.left, y}, {plot_.right, y}, 1, pale);
      canvas_.line({plot_.left - 5, y}, {plot_.left, y}, 1, ink);
      canvas_.text({plot_.left - 10, y - font_middle * text_size}, y_labels[i], text_size, ink, Align::right);
    }
    canvas_.line({{plot_.left, plot_.top}, {plot_.left, plot_.bottom}, {plot_.right, plot_.bottom}}, 1.5, ink);
    const double centre = plot_.centre().x, middle = plot_.centre().y;
    for (std::size_t i = 0; i < title_.size(); ++i)
      canvas_.text({width_ / 2, 14 + static_cast<double>(i) * (title_size + 6)}, title_[i], title_size, black, Align::centre);
    const Fitted x = fitted(chart_.x_label, text_size, 2 * std::min(centre, canvas_.frame().right - centre) - 10);
    const Fitted y = fitted(chart_.y_label, text_size, 2 * std::min(middle, canvas_.frame().bottom - middle) - 10);
    canvas_.text({centre, canvas_.frame().bottom - 10 - text_height}, x.text, x.size, ink, Align::centre);
    canvas_.text_upwards({12, middle}, y.text, y.size, ink);
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
      for (std::size_t i = begin; i < end; ++i) points.push_back(place(s, s.x[i], s.y[i]));
      task(thin(points));
    });
  }

  void paint_spread(const Series& s, std::size_t style) {
    if (s.low.empty()) return;
    const auto whole = [&](std::size_t i) { return shows(s.x[i], s.low[i]) && shows(s.x[i], s.high[i]); };
    if (s.spread == Series::Spread::bars) {
      for (std::size_t i = 0; i < s.x.size(); ++i) {
        if (!whole(i)) continue;
        const Point low = place(s, s.x[i], s.low[i]), high = place(s, s.x[i], s.high[i]);
        canvas_.line(low, high, 1.6, line_colour(style));
        for (const Point end : {low, high}) canvas_.line({end.x - 5, end.y}, {end.x + 5, end.y}, 1.6, line_colour(style));
      }
      return;
    }
    runs(s.x.size(), whole, [&](std::size_t begin, std::size_t end) {
      std::vector<Point> upper, lower;
      for (std::size_t i = begin; i < end; ++i) {
        upper.push_back(place(s, s.x[i], s.high[i]));
        lower.push_back(place(s, s.x[i], s.low[i]));
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
  template <class Task>
  void each_marker(const Series& s, const Task& task) {
    if (!has_markers(s)) return;
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (shows(s.x[i], s.y[i]) && plot_.holds(place(s, s.x[i], s.y[i]))) task(place(s, s.x[i], s.y[i]));
  }
  void paint_markers(const Series& s, std::size_t style) {
    each_marker(s, [&](Point at) { paint_marker(canvas_, at, style, markers_.radius(at, index_of(s))); });
  }

  /// The labels of a series' points: each on the side of its point where it covers the least.
  void paint_labels(const Series& s) {
    for (std::size_t i = 0; i < s.labels.size(); ++i) {
      if (s.labels[i].empty() || !shows(s.x[i], s.y[i]) || !plot_.holds(place(s, s.x[i], s.y[i]))) continue;
      const Box room{plot_.left, plot_.top, canvas_.frame().right - 4, plot_.bottom};
      const std::string label = shortened(s.labels[i]);
      const double height = fitting_size(label, small_size, room.width());
      const Box best = taken_.beside(place(s, s.x[i], s.y[i]), text_width(label, height), height, room);
      canvas_.text({best.left, best.top}, label, height, ink);
      for (const double share : {-0.25, 0.15, 0.5, 0.85, 1.25})  // and room around it
        mark({best.left, best.top + share * height}, {best.right, best.top + share * height});
    }
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
      const double middle = std::floor(y + font_middle * text_size) + 0.5;
      if (s.joined) canvas_.line({{left + 8, middle}, {left + 52, middle}}, line_thickness, line_colour(style), line_dash(style));
      if (has_markers(s)) paint_marker(canvas_, {left + 30, middle}, style);
      canvas_.text({left + 62, y}, s.name, text_size, ink);
    }
  }

  /// Labels sit on their line, at whichever place along it covers the least data; never on the legend.
  void paint_reference_labels(const std::optional<Point>& legend, Point size) {
    for (const Reference& r : chart_.references) {
      if (r.label.empty() || !y_.shows(r.y)) continue;
      const double width = text_width(r.label, text_size), line = y_.pixel(r.y);
      if (line < plot_.top || line > plot_.bottom) continue;
      std::size_t least = std::numeric_limits<std::size_t>::max();
      Point best;
      for (const double share : {1.0, 0.0, 0.75, 0.25, 0.5}) {
        for (const double y : {line - text_height - 2, line + 6}) {
          const Point at{std::lerp(plot_.left + gap, plot_.right - gap - width, share), y};
          const Box box{at.x, at.y, at.x + width, at.y + text_height - 1};
          const double above = y < line ? 6 : 0, below = 6 - above;  // markers' room, but not on the side of its own line
          std::size_t cost = taken_in({box.left - 6, box.top - above, box.right + 6, box.bottom + below});
          if (y < plot_.top || box.bottom > plot_.bottom) cost += 1000;
          if (legend && box.meets({legend->x, legend->y, legend->x + size.x, legend->y + size.y})) cost += 1000;
          if (cost < least) least = cost, best = at;
        }
      }
      canvas_.text(best, r.label, text_size, grey);
      mark({best.x, best.y + text_height / 2}, {best.x + width, best.y + text_height / 2});
    }
  }

  const Chart& chart_;
  double width_;  // pixels of the canvas
  Drawing canvas_;
  Dodge dodge_;
  Axis x_, y_;
  Box plot_;
  std::vector<std::string> title_;  // its lines
  std::vector<double> x_ticks_, y_ticks_, x_values_;
  bool at_values_ = false;  // whether the x ticks stand at the data's x
  Ticks x_kind_ = Ticks::any, y_kind_ = Ticks::any;
  TakenPixels taken_;
  Markers markers_;
  std::size_t legend_rows_ = 1;  // in each of its columns
  double legend_column_ = 0;     // pixels
};

}  // namespace detail

inline Drawing describe(const Chart& chart) { return detail::ChartPainter(chart).paint(); }

}  // namespace skipv1::plot
