// Colours, points, boxes and how a segment lies in a box.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace skipv1::plot {

struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Colour&, const Colour&) = default;
};
inline constexpr Colour white{255, 255, 255}, black{0, 0, 0}, ink{40, 40, 40}, grey{110, 110, 110}, pale{228, 228, 228};

/// The colour at `share` (0 to 1) of the way from `a` to `b`.
inline Colour mix(Colour a, Colour b, double share) {
  const auto part = [&](std::uint8_t from, std::uint8_t to) {
    return static_cast<std::uint8_t>(std::lround(from + share * (to - from)));
  };
  return {part(a.r, b.r), part(a.g, b.g), part(a.b, b.b)};
}
/// Black or white, whichever reads better on `paper`.
inline Colour readable_on(Colour paper) { return 0.299 * paper.r + 0.587 * paper.g + 0.114 * paper.b > 140 ? black : white; }

/// In pixels, right and down from the top left corner; pixel (i, j) covers [i, i + 1) x [j, j + 1).
struct Point {
  double x = 0, y = 0;
};
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
  Point centre() const { return {(left + right) / 2, (top + bottom) / 2}; }
  bool holds(Point p) const { return p.x >= left && p.x <= right && p.y >= top && p.y <= bottom; }
  bool meets(Box b) const { return left < b.right && b.left < right && top < b.bottom && b.top < bottom; }
  friend bool operator==(const Box&, const Box&) = default;
};

/// The shares, from `from` to `to` within 0 to 1, at which the segment a b lies in `box`; `from` > `to` if it does not meet it.
struct Shares {
  double from = 0, to = 1;
};
inline Shares shares_within(Point a, Point b, const Box& box) {
  Shares s;
  const auto keep = [&](double begin, double step, double low, double high) {  // low <= begin + share * step <= high
    if (step == 0) {
      if (begin < low || begin > high) s.to = -1;
      return;
    }
    const double one = (low - begin) / step, other = (high - begin) / step;
    s.from = std::max(s.from, std::min(one, other));
    s.to = std::min(s.to, std::max(one, other));
  };
  keep(a.x, b.x - a.x, box.left, box.right);
  keep(a.y, b.y - a.y, box.top, box.bottom);
  return s;
}

/// Of more than 10,000 points, those that a line through all shows: of each stretch within one column of pixels the first, the
/// highest, the lowest and the last.
inline std::vector<Point> thin(const std::vector<Point>& points) {
  if (points.size() <= 10'000) return points;
  std::vector<Point> kept;
  for (std::size_t begin = 0, end = 0; begin < points.size(); begin = end) {
    std::array<std::size_t, 4> keep{begin, begin, begin, begin};
    for (; end < points.size() && std::floor(points[end].x) == std::floor(points[begin].x); ++end) {
      if (points[end].y < points[keep[1]].y) keep[1] = end;
      if (points[end].y > points[keep[2]].y) keep[2] = end;
      keep[3] = end;
    }
    std::sort(keep.begin(), keep.end());
    for (std::size_t i = 0; i < keep.size(); ++i)
      if (i == 0 || keep[i] != keep[i - 1]) kept.push_back(points[keep[i]]);
  }
  return kept;
}

enum class Align { left, centre, right };
enum class Marker { circle, square, diamond, triangle };

}  // namespace skipv1::plot
