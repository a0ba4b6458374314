// A matrix as coloured cells with labels and texts: routing tables, similarities, attention weights.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "skipv1/plot/axis.hpp"
#include "skipv1/plot/drawing.hpp"

namespace skipv1::plot {

/// `rows.size()` x `columns.size()` cells, row 0 on top, coloured by `values`.
struct MatrixPicture {
  std::string title, row_label, column_label;
  std::vector<std::string> rows, columns;  ///< labels
  std::vector<double> values;              ///< row-major; a cell that is not finite stays white
  std::vector<std::string> texts = {};     ///< what cells show, row-major; empty: nothing
  double low = 0, high = 0;                ///< values at the ends of the colour scale; equal: those of the data
  bool colour_bar = true;                  ///< whether to show the scale
  std::size_t width = 960, height = 600;   ///< pixels
};

/// A colour for `share` 0 to 1: from light yellow over green to dark blue, ever darker, so that it reads in grey too.
inline Colour shade(double share) {
  constexpr std::array<Colour, 6> steps{
      {{255, 249, 215}, {199, 226, 170}, {112, 195, 168}, {44, 143, 170}, {33, 84, 146}, {28, 26, 84}}};
  const double at = std::clamp(share, 0.0, 1.0) * (steps.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), steps.size() - 2);
  return mix(steps[i], steps[i + 1], at - static_cast<double>(i));
}

namespace detail {

/// A matrix while it is drawn.
class MatrixPainter {
 public:
  explicit MatrixPainter(const MatrixPicture& m) : m_(m), canvas_(m.width, m.height, m.title), range_{m.low, m.high} {
    const std::size_t cells = m.rows.size() * m.columns.size();
    require(cells > 0, "matrix \"", m.title, "\" is empty: ", m.rows.size(), " rows x ", m.columns.size(), " columns");
    require(m.values.size() == cells && (m.texts.empty() || m.texts.size() == cells), "matrix \"", m.title, "\": ", m.rows.size(),
            " rows x ", m.columns.size(), " columns, but ", m.values.size(), " values and ", m.texts.size(), " texts");
    require(m.low <= m.high, "matrix \"", m.title, "\": its colours cannot go from ", m.low, " to ", m.high);
    if (m.low == m.high) {
      range_ = {};
      for (const double value : m.values)
        if (std::isfinite(value)) range_.add(value);
      if (range_.empty()) range_ = {0, 1};
      if (!has_length(range_)) range_.high = range_.low;  // one colour, and no ticks
    }
    lay_out();
  }

  Drawing paint() {
    paint_cells();
    paint_labels();
    if (m_.colour_bar) paint_bar();
    return std::move(canvas_);
  }

 private:
  void lay_out() {
    double row_labels = 0;
    for (const std::string& label : m_.rows) row_labels = std::max(row_labels, text_width(label, text_size));
    const double room_left = 14 + (m_.row_label.empty() ? 0 : text_height + 10) + row_labels + 10;
    const double room_top = m_.title.empty() ? 20 : 16 + font_height * title_size + 18;
    const double room_bottom = 12 + text_height + (m_.column_label.empty() ? 0 : text_height + 8) + 10;
    const double width = canvas_.frame().right - room_left - (m_.colour_bar ? bar_room : 24);
    const double height = canvas_.frame().bottom - room_top - room_bottom;
    cell_width_ = std::floor(width / static_cast<double>(m_.columns.size()));
    cell_height_ = std::floor(height / static_cast<double>(m_.rows.size()));
    cell_width_ = std::min(cell_width_, 3 * cell_height_);
    cell_height_ = std::min(cell_height_, 2 * cell_width_);
    require(cell_width_ >= 1 && cell_height_ >= 1, "matrix \"", m_.title, "\": ", m_.width, " x ", m_.height,
            " pixels are too few for ", m_.rows.size(), " rows x ", m_.columns.size(), " columns");
    const double used = cell_width_ * static_cast<double>(m_.columns.size());
    cells_.left = std::floor(room_left + (width - used) / 2);
    cells_.top = std::floor(room_top);
    cells_.right = cells_.left + used;
    cells_.bottom = cells_.top + cell_height_ * static_cast<double>(m_.rows.size());
  }
  Box cell(std::size_t row, std::size_t column) const {
    const double left = cells_.left + cell_width_ * static_cast<double>(column),
                 top = cells_.top + cell_height_ * static_cast<double>(row);
    return {left, top, left + cell_width_, top + cell_height_};
  }
  Colour colour(double value) const {
    if (!std::isfinite(value)) return white;
    return shade(range_.low < range_.high ? (value - range_.low) / (range_.high - range_.low) : 0.5);
  }

  void paint_cells() {
    double scale = text_size;  // one for all texts, the largest that fits
    for (const std::string& text : m_.texts) scale = fitting_size(text, scale, cell_width_ - 6);
    scale = std::min(scale, cell_height_ - 2);
    const double space = std::min(cell_width_, cell_height_) >= 12 ? 1 : 0;  // between cells
    for (std::size_t row = 0; row < m_.rows.size(); ++row) {
      for (std::size_t column = 0; column < m_.columns.size(); ++column) {
        const std::size_t i = row * m_.columns.size() + column;
        const Box box = cell(row, column);
        const Colour paper = colour(m_.values[i]);
        canvas_.fill({box.left + space, box.top + space, box.right - space, box.bottom - space}, paper);
        if (m_.texts.empty() || scale < 7) continue;
        const Point at{(box.left + box.right) / 2, (box.top + box.bottom) / 2 - font_middle * scale};
        canvas_.text(at, m_.texts[i], scale, readable_on(paper), Align::centre);
      }
    }
    const Box& c = cells_;
    canvas_.line({{c.left, c.top}, {c.right, c.top}, {c.right, c.bottom}, {c.left, c.bottom}, {c.left, c.top}}, 1, grey);
  }

  void paint_labels() {
    double widest = 1;
    for (const std::string& label : m_.columns) widest = std::max(widest, text_width(label, text_size) + 10);
    const auto every = [](double size, double cell) { return static_cast<std::size_t>(std::max(1.0, std::ceil(size / cell))); };
    for (std::size_t i = 0; i < m_.columns.size(); i += every(widest, cell_width_)) {
      const Box box = cell(0, i);
      canvas_.text({(box.left + box.right) / 2, cells_.bottom + 10}, m_.columns[i], text_size, ink, Align::centre);
    }
    for (std::size_t i = 0; i < m_.rows.size(); i += every(text_height, cell_height_)) {
      const Box box = cell(i, 0);
      canvas_.text({cells_.left - 8, (box.top + box.bottom - 2 * font_middle * text_size) / 2}, m_.rows[i], text_size, ink,
                   Align::right);
    }
    const double centre = (cells_.left + cells_.right) / 2, middle = (cells_.top + cells_.bottom) / 2;
    const Fitted title = fitted(m_.title, title_size, canvas_.frame().right - 20);
    const Fitted across = fitted(m_.column_label, text_size, 2 * std::min(centre, canvas_.frame().right - centre) - 10);
    const Fitted upwards = fitted(m_.row_label, text_size, 2 * middle - 10);
    canvas_.text({canvas_.frame().right / 2, 16}, title.text, title.size, black, Align::centre);
    canvas_.text({centre, cells_.bottom + 14 + text_height}, across.text, across.size, ink, Align::centre);
    double row_labels = 0;
    for (const std::string& label : m_.rows) row_labels = std::max(row_labels, text_width(label, text_size));
    const double left = cells_.left - row_labels - 18 - text_height;
    canvas_.text_upwards({left, middle}, upwards.text, upwards.size, ink);
  }

  void paint_bar() {
    const Box bar{cells_.right + 24, cells_.top, cells_.right + 44, cells_.bottom};
    const Axis axis{range_.low, range_.high, Scale::linear, bar.bottom, bar.top};
    for (double y = bar.top; y < bar.bottom; ++y) canvas_.fill({bar.left, y, bar.right, y + 1}, colour(axis.value(y + 0.5)));
    if (range_.low == range_.high) return;
    const std::vector<double> ticks = linear_ticks(range_, std::max<std::size_t>(2, static_cast<std::size_t>(bar.height() / 50)));
    const std::vector<std::string> labels = tick_labels(ticks);
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      const double y = axis.pixel(ticks[i]);
      canvas_.line({bar.right, y}, {bar.right + 5, y}, 1, ink);
      canvas_.text({bar.right + 10, y - font_middle * text_size}, labels[i], text_size, ink);
    }
  }

  static constexpr double bar_room = 130;  // to the right of the cells
  const MatrixPicture& m_;
  Drawing canvas_;
  Range range_;
  Box cells_;
  double cell_width_ = 0, cell_height_ = 0;
};

}  // namespace detail

/// The picture of `matrix`. Throws if it is empty, if sizes disagree, or if there is no pixel for each cell.
inline Drawing describe(const MatrixPicture& matrix) { return detail::MatrixPainter(matrix).paint(); }
/// The same in pixels.
inline Canvas draw(const MatrixPicture& matrix) { return describe(matrix).pixels(); }
/// Draws `matrix` into the PNG file `path`, or with `save_figure` into an SVG beside it too.
inline void save_png(const std::filesystem::path& path, const MatrixPicture& matrix) { save_png(path, draw(matrix)); }
inline void save_figure(const std::filesystem::path& path, const MatrixPicture& matrix) { save_figure(path, describe(matrix)); }

}  // namespace skipv1::plot
