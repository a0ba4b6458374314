// Rotary positions on the device: see rope.hpp, whose table is copied here.
#pragma once

#include <cstdint>

#include "skipv1/ops/map.cuh"

namespace skipv1 {

namespace detail {
/// One call, one pair of one head.
template <class T>
struct Rope {
  T* x;
  const Sum<T>* table;
  const std::int32_t* positions;
  std::size_t heads, width, half;
  bool inverse;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    using S = Sum<T>;
    const std::size_t i = at % half, h = at / half % heads, n = at / half / heads;
    const S* turn = table + (static_cast<std::size_t>(positions[n]) * half + i) * 2;
    T* head = x + (n * heads + h) * width + (width - 2 * half);
    const S c = turn[0], s = inverse ? -turn[1] : turn[1], a = static_cast<S>(head[i]), b = static_cast<S>(head[i + half]);
    head[i] = static_cast<T>(a * c - b * s);
    head[i + half] = static_cast<T>(b * c + a * s);
  }
};
}  // namespace detail

/// As on the CPU; the table's numbers are Sum<T>.
template <class T>
void rope(View<T, Cuda> x, ConstView<Sum<T>, Cuda> table, View<const std::int32_t, Cuda> positions, bool inverse = false) {
  const std::size_t heads = x.extent(1), half = table.extent(1);
  detail::for_each("rope", x.extent(0) * heads * half,
                   detail::Rope<T>{x.data(), table.data(), positions.data(), heads, x.extent(2), half, inverse});
}

}  // namespace skipv1
