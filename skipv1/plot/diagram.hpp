// Diagrams: vectors as rows of cells, labelled boxes, arrows.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "skipv1/plot/axis.hpp"
#include "skipv1/plot/drawing.hpp"

namespace skipv1::plot {

/// Colours with a meaning in all diagrams: what a head asks with, what is compared with it, what is read, what comes from layer
/// 0.
inline constexpr Colour query_colour{230, 159, 0}, key_colour{86, 180, 233}, value_colour{0, 158, 115}, first_colour{213, 94, 0},
    plain_colour{214, 220, 228};

/// `value` with `decimals` decimals.
inline std::string fixed(double value, int decimals) { return detail::format("%.*f", decimals, value); }

/// Words on a `Drawing`.
class Diagram {
 public:
  /// `title` is what a screen reader reads, and stands on top.
  Diagram(std::size_t width, std::size_t height, const std::string& title) : d_(width, height, title) {
    d_.text({20, 14}, title, title_size, black);
  }

  void label(Point at, const std::string& text, Align align = Align::centre, Colour colour = ink, double size = small_size + 1) {
    d_.text_around(at, text, size, colour, align);
  }
  /// Lines of text below each other, the first with its middle at `at`.
  void lines(Point at, const std::vector<std::string>& all, Align align = Align::left, Colour colour = ink) {
    for (std::size_t i = 0; i < all.size(); ++i) label({at.x, at.y + 21 * static_cast<double>(i)}, all[i], align, colour);
  }
  void box(Box b, const std::string& text, Colour paper = plain_colour) {
    d_.fill(b, paper);
    d_.outline(b, 1.2, ink);
    const double size = fitting_size(text, small_size + 1, b.width() - 8);
    d_.text_around(b.centre(), text, size, readable_on(paper));
  }
  void dashed(Box b, const std::string& text = "") {
    d_.outline(b, 1.2, grey, {5, 4});
    d_.text_around(b.centre(), text, small_size, grey);
  }
  /// A vector's cells from left to right, `cell` pixels wide; empty texts make plain cells.
  Box cells(Point at, const std::vector<std::string>& texts, Colour paper, double cell = 44, double height = 30) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const double left = at.x + cell * static_cast<double>(i);
      box({left, at.y, left + cell, at.y + height}, texts[i], paper);
    }
    return {at.x, at.y, at.x + cell * static_cast<double>(texts.size()), at.y + height};
  }
  void arrow(Point from, Point to, Colour colour = ink, double thickness = 1.8) {
    const double length = std::hypot(to.x - from.x, to.y - from.y);
    if (length < 1) return;
    const Point along{(to.x - from.x) / length, (to.y - from.y) / length}, across{-along.y, along.x};
    const Point neck{to.x - 10 * along.x, to.y - 10 * along.y};
    d_.line(from, neck, thickness, colour);
    d_.polygon({to, {neck.x + 5 * across.x, neck.y + 5 * across.y}, {neck.x - 5 * across.x, neck.y - 5 * across.y}}, colour);
  }

  Drawing& drawing() { return d_; }

 private:
  Drawing d_;
};

}  // namespace skipv1::plot
