// Which places of a chart its data take, so that labels keep clear of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "skipv1/plot/geometry.hpp"

namespace skipv1::plot::detail {

/// Points every four pixels along what is drawn.
class TakenPixels {
 public:
  void clear() { points_.clear(); }
  /// The part of the segment a b within `frame`.
  void add(Point a, Point b, const Box& frame) {
    const Shares seen = shares_within(a, b, frame);
    if (seen.from > seen.to) return;
    const double length = (seen.to - seen.from) * std::hypot(b.x - a.x, b.y - a.y), steps = std::ceil(length / 4) + 1;
    for (double i = 0; i <= steps; ++i) {
      const double share = std::lerp(seen.from, seen.to, i / steps);
      points_.push_back({std::lerp(a.x, b.x, share), std::lerp(a.y, b.y, share)});
    }
  }
  std::size_t in(const Box& box) const {
    return static_cast<std::size_t>(std::count_if(points_.begin(), points_.end(), [&](Point p) { return box.holds(p); }));
  }
  /// A box of that size beside `p`, on the side where it covers the least and which has room for it; within `room` in any case.
  Box beside(Point p, double width, double height, const Box& room) const {
    constexpr double off = 10;
    Box best;
    std::size_t least = std::numeric_limits<std::size_t>::max();
    for (const Point to :
         {Point{off, -height / 2}, Point{-off - width, -height / 2}, Point{off, -height - 3}, Point{off, 3},
          Point{-off - width, -height - 3}, Point{-off - width, 3}, Point{-width / 2, -height - off}, Point{-width / 2, off}}) {
      const Box box{p.x + to.x, p.y + to.y, p.x + to.x + width, p.y + to.y + height};
      std::size_t cost = in(box);
      if (box.left < room.left || box.right > room.right || box.top < room.top || box.bottom > room.bottom) cost += 1000;
      if (cost < least) least = cost, best = box;
    }
    const double left = std::max(room.left, std::min(best.left, room.right - width));
    const double top = std::max(room.top, std::min(best.top, room.bottom - height));
    return {left, top, left + width, top + height};
  }

 private:
  std::vector<Point> points_;
};

}  // namespace skipv1::plot::detail
