// How far from their x points are drawn that share it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <vector>

#include "skipv1/plot/axis.hpp"

namespace skipv1::plot::detail {

/// Points of several series at one x stand beside each other, symmetrically about it, and never as far as another x; all
/// others lie at their x.
class Dodge {
 public:
  /// `pixels`: from a point to the next.
  explicit Dodge(double pixels) : pixels_(pixels) {}
  void add(double x, std::size_t series) {
    if (pixels_ == 0) return;
    std::vector<std::size_t>& here = series_[x];
    if (std::find(here.begin(), here.end(), series) == here.end()) here.push_back(series);
  }
  /// The largest shift, in pixels.
  double margin() const {
    std::size_t most = 1;
    for (const auto& [x, here] : series_) most = std::max(most, here.size());
    return pixels_ * static_cast<double>(most - 1) / 2;
  }
  double shift(double x, std::size_t series, const Axis& axis) const {
    const auto at = series_.find(x);
    if (at == series_.end() || at->second.size() < 2) return 0;
    const std::vector<std::size_t>& here = at->second;
    const auto own = std::find(here.begin(), here.end(), series);
    if (own == here.end()) return 0;
    const auto last = static_cast<double>(here.size() - 1);
    double step = pixels_;
    const auto keep_from = [&](double other) {  // 0.4 of the way on either side
      step = std::min(step, 0.8 * std::abs(axis.pixel(other) - axis.pixel(x)) / last);
    };
    if (at != series_.begin()) keep_from(std::prev(at)->first);
    if (std::next(at) != series_.end()) keep_from(std::next(at)->first);
    return step * (static_cast<double>(own - here.begin()) - last / 2);
  }

 private:
  double pixels_;
  std::map<double, std::vector<std::size_t>> series_;  // of each x, in their order
};

}  // namespace skipv1::plot::detail
