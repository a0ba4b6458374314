// A picture in pixels: anti-aliased lines, polygons, markers and text, written as PNG.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/plot/font.hpp"
#include "skipv1/plot/geometry.hpp"

#if __has_include(<stb/stb_image_write.h>)
#include <stb/stb_image_write.h>
#else
#include <stb_image_write.h>
#endif

namespace skipv1::plot {

class Canvas {
 public:
  /// `width` x `height` pixels of `paper`; both 1 to 20000.
  Canvas(std::size_t width, std::size_t height, Colour paper = white) : width_(width), height_(height) {
    require(width >= 1 && height >= 1 && width <= 20000 && height <= 20000, "a picture of ", width, " x ", height,
            " pixels: both must be 1 to 20000");
    pixels_.assign(width * height, paper);
    clip_ = frame();
  }

  std::size_t width() const { return width_; }
  std::size_t height() const { return height_; }
  Colour pixel(std::size_t x, std::size_t y) const { return pixels_[y * width_ + x]; }
  Box frame() const { return {0, 0, static_cast<double>(width_), static_cast<double>(height_)}; }
  /// From now on only pixels whose centre lies in `box` are painted.
  void clip(Box box) { clip_ = box; }

  /// Paints a share of `coverage` (0 to 1) of a pixel.
  void blend(std::size_t x, std::size_t y, Colour colour, double coverage) {
    if (coverage <= 0 || !clip_.holds(centre(x, y))) return;
    Colour& pixel = pixels_[y * width_ + x];
    const double share = std::min(coverage, 1.0);
    pixel = mix(pixel, colour, share);
  }

  /// A rectangle, its edges anti-aliased.
  void fill(Box box, Colour colour, double opacity = 1) {
    each_pixel(box, [&](std::size_t x, std::size_t y) {
      blend(x, y, colour, opacity * overlap(x, box.left, box.right) * overlap(y, box.top, box.bottom));
    });
  }

  /// A polyline with round joints; `dash` holds lengths in pixels, drawn and left out in turn (empty: solid).
  void line(const std::vector<Point>& points, double thickness, Colour colour, const std::vector<double>& dash = {}) {
    if (points.size() < 2) return;
    const Window window = around(points, thickness / 2 + 2);
    std::vector<double> mask(window.width() * window.height());  // one mask for all pieces, or joints would be painted twice
    double left = dash.empty() ? 0 : dash[0];                    // of the current dash or gap
    for (std::size_t i = 0, phase = 0; i + 1 < points.size(); ++i) {
      const Point a = points[i], b = points[i + 1];
      if (dash.empty()) {
        cover(mask, window, a, b, thickness / 2);
        continue;
      }
      const double length = std::hypot(b.x - a.x, b.y - a.y), reach = thickness + 1;
      const auto at = [&](double s) { return Point{std::lerp(a.x, b.x, s / length), std::lerp(a.y, b.y, s / length)}; };
      const Shares seen = shares_within(a, b, {-reach, -reach, frame().right + reach, frame().bottom + reach});
      if (seen.from >= seen.to) continue;  // out of the picture; dashes begin where it comes in
      for (double s = seen.from * length, last = seen.to * length; s < last;) {
        const double end = std::min(s + left, last);
        if (phase % 2 == 0) cover(mask, window, at(s), at(end), thickness / 2);
        left -= end - s;
        s = end;
        if (left <= 1e-9) left = dash[++phase % dash.size()];
      }
    }
    for (std::size_t y = window.top; y < window.bottom; ++y)
      for (std::size_t x = window.left; x < window.right; ++x)
        if (const double covered = mask[window.index(x, y)]; covered > 0) blend(x, y, colour, covered);
  }
  void line(Point from, Point to, double thickness, Colour colour) { line(std::vector<Point>{from, to}, thickness, colour); }

  /// The inside of a closed polygon, of 4 x 4 samples per pixel; where it overlaps itself, by the odd-even rule.
  void polygon(const std::vector<Point>& corners, Colour colour, double opacity = 1) {
    constexpr std::size_t samples = 4;
    if (corners.size() < 3) return;
    const auto [low, high] = std::minmax_element(corners.begin(), corners.end(), [](Point a, Point b) { return a.y < b.y; });
    const Window window = around(corners, 1);
    std::vector<double> row_coverage(window.width()), crossings;
    for (std::size_t y = row(low->y); y < row(std::ceil(high->y)); ++y) {
      std::fill(row_coverage.begin(), row_coverage.end(), 0.0);
      for (std::size_t sample = 0; sample < samples; ++sample) {
        const double at = static_cast<double>(y) + (static_cast<double>(sample) + 0.5) / samples;
        crossings.clear();
        for (std::size_t i = 0; i < corners.size(); ++i) {
          const Point a = corners[i], b = corners[(i + 1) % corners.size()];
          if ((a.y <= at) != (b.y <= at)) crossings.push_back(a.x + (at - a.y) / (b.y - a.y) * (b.x - a.x));
        }
        std::sort(crossings.begin(), crossings.end());
        for (std::size_t i = 0; i + 1 < crossings.size(); i += 2)
          for (std::size_t x = column(crossings[i]); x < column(std::ceil(crossings[i + 1])); ++x)
            row_coverage[x - window.left] += overlap(x, crossings[i], crossings[i + 1]) / samples;
      }
      for (std::size_t x = window.left; x < window.right; ++x)
        blend(x, y, colour, opacity * std::min(1.0, row_coverage[x - window.left]));
    }
  }

  /// A marker of the given radius in pixels.
  void marker(Point at, Marker marker, double radius, Colour colour) {
    const double reach = 1.5 * radius + 1;
    each_pixel({at.x - reach, at.y - reach, at.x + reach, at.y + reach}, [&](std::size_t x, std::size_t y) {
      const double dx = std::abs(centre(x, y).x - at.x), dy = centre(x, y).y - at.y;
      double outside = std::hypot(dx, dy) - radius;
      if (marker == Marker::square) outside = std::max(dx, std::abs(dy)) - 0.9 * radius;
      if (marker == Marker::diamond) outside = (dx + std::abs(dy)) / std::sqrt(2.0) - 0.9 * radius;
      if (marker == Marker::triangle) outside = std::max(dy - 0.8 * radius, 0.866 * dx - 0.5 * dy - 0.65 * radius);
      blend(x, y, colour, 0.5 - outside);
    });
  }

  /// One line of text whose top is at `at`; `align` says which end or the middle lies there.
  void text(Point at, std::string_view text, double size, Colour colour, Align align = Align::left) {
    const double width = text_width(text, size);
    paint(text_mask(text, size), {at.x - shift(align, width), at.y}, colour, Reads::across);
  }
  /// Text that reads upwards; its left side (the top of the letters) is at `at.x`, its middle at `at.y`.
  void text_upwards(Point at, std::string_view text, double size, Colour colour) {
    paint(text_mask(text, size), {at.x, at.y - text_width(text, size) / 2}, colour, Reads::upwards);
  }

  /// The bytes of the picture as a PNG file (8-bit RGB).
  std::string png() const {
    std::string bytes;
    const auto append = [](void* to, void* data, int size) {
      static_cast<std::string*>(to)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
    };
    static_assert(sizeof(Colour) == 3);
    const int width = static_cast<int>(width_), height = static_cast<int>(height_);
    require(stbi_write_png_to_func(append, &bytes, width, height, 3, pixels_.data(), 3 * width) != 0,
            "the picture cannot be encoded as PNG");
    return bytes;
  }

 private:
  static Point centre(std::size_t x, std::size_t y) { return {static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5}; }
  static double shift(Align align, double width) { return align == Align::left ? 0 : align == Align::right ? width : width / 2; }
  static double overlap(std::size_t pixel, double from, double to) {
    const auto low = static_cast<double>(pixel);
    return std::max(0.0, std::min(to, low + 1) - std::max(from, low));
  }
  static std::size_t inside(double at, std::size_t extent) {
    return static_cast<std::size_t>(std::clamp(std::floor(at), 0.0, static_cast<double>(extent)));
  }
  std::size_t column(double x) const { return inside(x, width_); }
  std::size_t row(double y) const { return inside(y, height_); }

  template <class Task>
  void each_pixel(Box box, const Task& task) const {
    for (std::size_t y = row(box.top); y < row(std::ceil(box.bottom)); ++y)
      for (std::size_t x = column(box.left); x < column(std::ceil(box.right)); ++x) task(x, y);
  }

  /// Some columns and rows of the picture, the ends not among them.
  struct Window {
    std::size_t left, top, right, bottom;
    std::size_t width() const { return right - left; }
    std::size_t height() const { return bottom - top; }
    std::size_t index(std::size_t x, std::size_t y) const { return (y - top) * width() + x - left; }
  };
  /// Those within `reach` of the points: a small shape costs as much in a large picture as in a small one.
  Window around(const std::vector<Point>& points, double reach) const {
    Box box{points[0].x, points[0].y, points[0].x, points[0].y};
    for (const Point p : points) {
      box.left = std::min(box.left, p.x), box.right = std::max(box.right, p.x);
      box.top = std::min(box.top, p.y), box.bottom = std::max(box.bottom, p.y);
    }
    return {column(box.left - reach), row(box.top - reach), column(std::ceil(box.right + reach)),
            row(std::ceil(box.bottom + reach))};
  }

  /// Raises `mask` of `window` to the coverage of the segment a b with round ends: 1/2 + radius - distance, within 0 to 1.
  void cover(std::vector<double>& mask, const Window& window, Point a, Point b, double radius) const {
    const double dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy, reach = radius + 1;
    const Box box{std::min(a.x, b.x) - reach, std::min(a.y, b.y) - reach, std::max(a.x, b.x) + reach, std::max(a.y, b.y) + reach};
    each_pixel(box, [&](std::size_t x, std::size_t y) {
      const Point p = centre(x, y);
      const double along = square > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / square, 0.0, 1.0) : 0;
      const double distance = std::hypot(a.x + along * dx - p.x, a.y + along * dy - p.y);
      double& covered = mask[window.index(x, y)];
      covered = std::max(covered, std::clamp(radius + 0.5 - distance, 0.0, 1.0));
    });
  }

  enum class Reads { across, upwards };  ///< upwards: a quarter turn counterclockwise
  void paint(const Mask& mask, Point at, Colour colour, Reads direction) {
    const bool turned = direction == Reads::upwards;
    const auto left = std::lround(at.x), top = std::lround(at.y);
    for (std::size_t j = 0; j < mask.height; ++j) {
      for (std::size_t i = 0; i < mask.width; ++i) {
        const auto x = left + static_cast<long>(turned ? j : i), y = top + static_cast<long>(turned ? mask.width - 1 - i : j);
        if (x < 0 || y < 0 || x >= static_cast<long>(width_) || y >= static_cast<long>(height_)) continue;
        blend(static_cast<std::size_t>(x), static_cast<std::size_t>(y), colour, mask(i, j));
      }
    }
  }

  std::size_t width_, height_;
  std::vector<Colour> pixels_;
  Box clip_;
};

/// Writes `picture` to `path` as PNG, whole or not at all; throws if it cannot.
inline void save_png(const std::filesystem::path& path, const Canvas& picture) {
  const std::string bytes = picture.png();
  write_whole(path, [&](std::ostream& out) { out << bytes; });
}

}  // namespace skipv1::plot
