// How much of each pixel a line of text covers.
#pragma once

#include <cstddef>
#include <vector>

namespace skipv1::plot {

/// 0 to 1, row-major.
struct Mask {
  std::size_t width = 0, height = 0;
  std::vector<double> coverage;

  double operator()(std::size_t x, std::size_t y) const { return coverage[y * width + x]; }
};

}  // namespace skipv1::plot
