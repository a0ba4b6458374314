// A row for each thing that is compared: bars from zero, or dots with their spread. Names stand at the rows, so that no colour
// and no line needs to be told from another.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "skipv1/plot/axis.hpp"
#include "skipv1/plot/drawing.hpp"
#include "skipv1/plot/style.hpp"

namespace skipv1::plot {

/// One value for each row, NaN where there is none. `low` and `high`, both empty or as many, are an interval around it; `points`
/// (of each row) are drawn small; `texts` stand behind bars, and beside the plot for dots, which lie on either side of a
/// reference.
struct RowValues {
  std::string name;
  std::vector<double> values, low = {}, high = {};
  std::vector<std::vector<double>> points = {};
  std::vector<std::string> texts = {};
};

/// Rows from top to bottom. The height follows from their number.
struct RowChart {
  std::string title, label;  ///< of the value axis
  std::vector<std::string> rows;
  std::vector<RowValues> values;
  enum class Kind { bars, dots } kind = Kind::bars;
  std::vector<double> references = {};  ///< vertical lines
  std::size_t width = 960;
};

namespace detail {

class RowPainter {
 public:
  explicit RowPainter(const RowChart& c) : c_(c) {
    require(!c.rows.empty() && !c.values.empty(), "chart \"", c.title, "\" has no rows");
    for (const RowValues& v : c.values)
      require(v.values.size() == c.rows.size() && v.low.size() == v.high.size() &&
                  (v.low.empty() || v.low.size() == c.rows.size()) && (v.texts.empty() || v.texts.size() == c.rows.size()) &&
                  (v.points.empty() || v.points.size() == c.rows.size()),
              "chart \"", c.title, "\": \"", v.name, "\" has not one value for each of ", c.rows.size(), " rows");
  }

  Drawing paint() {
    lay_out();
    Drawing d(c_.width, static_cast<std::size_t>(std::ceil(height_)), c_.title);
    for (std::size_t i = 0; i < title_.size(); ++i)
      d.text({d.frame().right / 2, 14 + static_cast<double>(i) * (title_size + 6)}, title_[i], title_size, black, Align::centre);
    paint_legend(d);
    paint_axis(d);
    for (std::size_t row = 0; row < c_.rows.size(); ++row) {
      const double top = plot_.top + static_cast<double>(row) * row_height_;
      d.text_around({plot_.left - 12, top + row_height_ / 2}, c_.rows[row], text_size, ink, Align::right);
      for (std::size_t k = 0; k < c_.values.size(); ++k) paint_value(d, row, k, top + 5 + (static_cast<double>(k) + 0.5) * lane_);
    }
    d.line({{plot_.left, plot_.top}, {plot_.left, plot_.bottom}, {plot_.right, plot_.bottom}}, 1.5, ink);
    return d;
  }

 private:
  bool bars() const { return c_.kind == RowChart::Kind::bars; }

  void lay_out() {
    lane_ = c_.values.size() == 1 ? 24 : 17;
    row_height_ = lane_ * static_cast<double>(c_.values.size()) + 10;
    title_ = wrap(c_.title, title_size, static_cast<double>(c_.width) - 60);
    double names = 0, texts = 0;
    for (const std::string& name : c_.rows) names = std::max(names, text_width(name, text_size));
    for (const RowValues& v : c_.values)
      for (const std::string& text : v.texts) texts = std::max(texts, text_width(text, small_size) + 10);
    double top = 20 + (title_.empty() ? 0 : static_cast<double>(title_.size()) * (title_size + 6) + 8);
    legend_top_ = top;
    if (c_.values.size() > 1) top += text_height + 14;
    plot_ = {names + 32, top, static_cast<double>(c_.width) - 28 - texts,
             top + row_height_ * static_cast<double>(c_.rows.size())};
    require(plot_.width() >= 100, "chart \"", c_.title, "\": ", c_.width, " pixels are too narrow for its rows' names");
    height_ = plot_.bottom + 22 + text_height + (c_.label.empty() ? 0 : text_height + 8);
    Range range;
    for (const RowValues& v : c_.values) {
      for (const auto* all : {&v.values, &v.low, &v.high})
        for (const double x : *all)
          if (std::isfinite(x)) range.add(x);
      for (const auto& all : v.points)
        for (const double x : all)
          if (std::isfinite(x)) range.add(x);
    }
    require(!range.empty(), "chart \"", c_.title, "\" has no value that can be drawn");
    for (const double x : c_.references) range.add(x);
    if (bars()) range.add(0);
    const Range wide = widen(range, 0.04);
    axis_ = {bars() && range.low == 0 ? 0 : wide.low, bars() ? std::max(wide.high, 1e-9) : wide.high, Scale::linear, plot_.left,
             plot_.right};
  }

  void paint_legend(Drawing& d) const {
    double left = plot_.left;
    for (std::size_t k = 0; k < c_.values.size() && c_.values.size() > 1; ++k) {
      const double middle = legend_top_ + text_height / 2;
      if (bars()) {
        d.fill({left, middle - 7, left + 24, middle + 7}, line_colour(k));
      } else {
        d.marker({left + 12, middle}, static_cast<Marker>(k % 4), 6, line_colour(k));
      }
      d.text_around({left + 32, middle}, c_.values[k].name, text_size, ink, Align::left);
      left += 32 + text_width(c_.values[k].name, text_size) + 28;
    }
  }

  /// As many ticks as leave room between their labels.
  std::pair<std::vector<double>, std::vector<std::string>> labelled_ticks() const {
    for (auto most = std::max<std::size_t>(2, static_cast<std::size_t>(plot_.width() / 60));; --most) {
      const std::vector<double> ticks = linear_ticks({axis_.low, axis_.high}, most);
      const std::vector<std::string> labels = has_prefixed_unit(c_.label) ? plain_tick_labels(ticks) : tick_labels(ticks);
      double widest = 0;
      for (const std::string& label : labels) widest = std::max(widest, text_width(label, text_size));
      if (most == 2 || ticks.size() < 2 || axis_.pixel(ticks[1]) - axis_.pixel(ticks[0]) >= widest + 24) return {ticks, labels};
    }
  }

  void paint_axis(Drawing& d) const {
    const auto [ticks, labels] = labelled_ticks();
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      const double x = std::floor(axis_.pixel(ticks[i])) + 0.5;
      d.line({x, plot_.top}, {x, plot_.bottom}, 1, pale);
      d.line({x, plot_.bottom}, {x, plot_.bottom + 5}, 1, ink);
      d.text({x, plot_.bottom + 10}, labels[i], text_size, ink, Align::centre);
    }
    for (const double x : c_.references) d.line({{axis_.pixel(x), plot_.top}, {axis_.pixel(x), plot_.bottom}}, 1.6, grey, {7, 5});
    const Fitted label = fitted(c_.label, text_size, static_cast<double>(c_.width) - 40);
    const double centre =
        std::min((plot_.left + plot_.right) / 2, static_cast<double>(c_.width) - 20 - text_width(label.text, label.size) / 2);
    d.text({centre, height_ - 10 - text_height}, label.text, label.size, ink, Align::centre);
  }

  void paint_value(Drawing& d, std::size_t row, std::size_t k, double y) const {
    const RowValues& v = c_.values[k];
    if (!std::isfinite(v.values[row])) return;
    const Colour colour = line_colour(k);
    const double x = axis_.pixel(v.values[row]);
    double end = x;
    if (bars()) d.fill({std::min(axis_.pixel(0), x), y - lane_ / 2 + 2, std::max(axis_.pixel(0), x), y + lane_ / 2 - 2}, colour);
    if (!v.low.empty() && std::isfinite(v.low[row]) && std::isfinite(v.high[row])) {
      const double low = axis_.pixel(v.low[row]), high = axis_.pixel(v.high[row]);
      d.line({low, y}, {high, y}, 1.8, bars() ? ink : colour);
      for (const double at : {low, high}) d.line({at, y - 5}, {at, y + 5}, 1.8, bars() ? ink : colour);
      end = std::max(end, high);
    }
    if (!bars()) {
      d.marker({x, y}, static_cast<Marker>(k % 4), 6, colour);
      end += 6;
    }
    if (!v.points.empty())
      for (const double point : v.points[row]) {
        d.marker({axis_.pixel(point), y}, Marker::circle, 3.2, white);
        d.marker({axis_.pixel(point), y}, Marker::circle, 2.4, mix(colour, black, 0.35));
        end = std::max(end, axis_.pixel(point) + 3);
      }
    if (!v.texts.empty()) d.text_around({bars() ? end + 8 : plot_.right + 10, y}, v.texts[row], small_size, ink, Align::left);
  }

  const RowChart& c_;
  std::vector<std::string> title_;
  double lane_ = 0, row_height_ = 0, legend_top_ = 0, height_ = 0;
  Box plot_;
  Axis axis_;
};

}  // namespace detail

/// The picture of `chart`. Throws if it has no value to draw, if sizes disagree, or if it is too narrow.
inline Drawing describe(const RowChart& chart) { return detail::RowPainter(chart).paint(); }
inline void save_figure(const std::filesystem::path& path, const RowChart& chart) { save_figure(path, describe(chart)); }

}  // namespace skipv1::plot
