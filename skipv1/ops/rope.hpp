// Rotary positions on half-split pairs (docs/spec/models.md, eq. (4); Su et al. 2021).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

/// By a position's angle, or back.
enum class Rotation : unsigned char { forward, inverse };

namespace reference {

/// Rotates the pair `(x_i, x_{i + w/2})` of the last w entries of every head by the angle `p_n theta^(-2i/w)`: half-split pairs,
/// not neighbours. With `Rotation::inverse` the angle is negative: the backward pass. x (N, heads, width), positions p (N), w
/// even and at most width.
template <class T>
void rope(View<T> x, std::size_t w, double theta, View<const std::int32_t> positions, Rotation rotation = Rotation::forward) {
  const std::size_t N = x.extent(0), heads = x.extent(1), begin = x.extent(2) - w;
  for (std::size_t n = 0; n < N; ++n)
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t i = 0; i < w / 2; ++i) {
        const double angle = positions(n) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(w));
        const T c = static_cast<T>(std::cos(angle)),
                s = static_cast<T>(rotation == Rotation::inverse ? -std::sin(angle) : std::sin(angle));
        const T a = x(n, h, begin + i), b = x(n, h, begin + i + w / 2);
        x(n, h, begin + i) = a * c - b * s;
        x(n, h, begin + i + w / 2) = b * c + a * s;
      }
}

}  // namespace reference

/// The table that `rope` reads, (positions, pairs, 2): entry (t, i) is `m cos p, m sin p` with `p = t frequencies[i]` and
/// m = `magnitude`, computed in double for every `T`.
template <class T>
Tensor<T, Cpu> rope_table(std::size_t positions, const std::vector<double>& frequencies, double magnitude = 1) {
  Tensor<T, Cpu> table({positions, frequencies.size(), 2});
  for (std::size_t t = 0; t < positions; ++t) {
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      const double p = static_cast<double>(t) * frequencies[i];
      table(t, i, 0u) = static_cast<T>(magnitude * std::cos(p));
      table(t, i, 1u) = static_cast<T>(magnitude * std::sin(p));
    }
  }
  return table;
}
/// With the plain frequencies `theta^(-2i/width)`.
template <class T>
Tensor<T, Cpu> rope_table(std::size_t positions, std::size_t width, double theta) {
  require(width % 2 == 0 && theta > 0, "rope_table: width ", width, ", theta ", theta, ": must be even, and positive");
  std::vector<double> frequencies(width / 2);
  for (std::size_t i = 0; i < width / 2; ++i)
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
  return rope_table<T>(positions, frequencies);
}

/// As `reference::rope` with the angles of `table`: rotates, in every head of x (N, heads, width), the last `2 table.extent(1)`
/// entries in place. positions (N). Memory bounds it: 2 numbers per element for 3 operations.
template <class T>
void rope(View<T, Cpu> x, ConstView<T, Cpu> table, View<const std::int32_t, Cpu> positions,
          Rotation rotation = Rotation::forward) {
  require_fit(x.shape().rank() == 3 && table.shape().rank() == 3 && table.extent(2) == 2 && 2 * table.extent(1) <= x.width() &&
                  positions.size() == x.extent(0),
              "rope", "x table positions", "x (N, heads, width), table (T, at most width / 2, 2), positions (N)", x, table,
              positions);
  require_indices("rope: positions", positions, 0, table.extent(0));
  const std::size_t heads = x.extent(1), width = x.extent(2), half = table.extent(1), begin = width - 2 * half;
  parallel_ranges(x.extent(0), 32, [&](std::size_t first, std::size_t last) {
    for (std::size_t n = first; n < last; ++n) {
      const T* turn = table.data() + static_cast<std::size_t>(positions(n)) * half * 2;
      for (std::size_t h = 0; h < heads; ++h) {
        T* head = x.data() + (n * heads + h) * width + begin;
        for (std::size_t i = 0; i < half; ++i) {
          const T c = turn[2 * i], s = rotation == Rotation::inverse ? -turn[2 * i + 1] : turn[2 * i + 1];
          const T a = head[i], b = head[i + half];
          head[i] = a * c - b * s;
          head[i + half] = b * c + a * s;
        }
      }
    }
  });
}

}  // namespace skipv1
