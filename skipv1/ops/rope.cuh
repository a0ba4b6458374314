// Rotary positions on the device: see rope.hpp, whose table is copied here.
#pragma once

#include <cstdint>

#include "skipv1/ops/map.cuh"
#include "skipv1/ops/rope.hpp"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one pair.
template <class T>
SKIPV1_KERNEL rope_first(T* x, const Sum<T>* table, const std::int32_t* positions, std::size_t N, std::size_t heads,
                         std::size_t width, std::size_t half, Rotation rotation) {
  using S = Sum<T>;
  const std::size_t at = global_thread(), n = at / (heads * half), h = at / half % heads, i = at % half;
  if (n >= N) return;
  const S* turn = table + (static_cast<std::size_t>(positions[n]) * half + i) * 2;
  const S c = turn[0], s = rotation == Rotation::inverse ? -turn[1] : turn[1];
  T* head = x + (n * heads + h) * width + (width - 2 * half);
  const S a = static_cast<S>(head[i]), b = static_cast<S>(head[i + half]);
  head[i] = static_cast<T>(a * c - b * s);
  head[i + half] = static_cast<T>(b * c + a * s);
}

/// One call, V neighbouring pairs of a head of row n; `half / V` calls per head. From a row to the next there are `row` elements.
template <class T, std::size_t V>
struct Rope {
  T* x;
  std::size_t row;
  const Sum<T>* table;
  const std::int32_t* positions;
  std::size_t width, half;
  Rotation rotation;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, unsigned at) const {
    using S = Sum<T>;
    const unsigned of_head = static_cast<unsigned>(half / V), h = at / of_head, i = at % of_head * V;
    const S* turns = table + (static_cast<std::size_t>(positions[n]) * half + i) * 2;
    T *first = x + n * row + h * width + (width - 2 * half) + i, *second = first + half;
    Vector<T, V> a = load_vector<V>(first), b = load_vector<V>(second);
    for (std::size_t j = 0; j < V; ++j) {
      const Vector<S, 2> turn = load_vector<2>(turns + 2 * j);
      const S c = turn[0], s = rotation == Rotation::inverse ? -turn[1] : turn[1], aj = static_cast<S>(a[j]),
              bj = static_cast<S>(b[j]);
      a[j] = static_cast<T>(aj * c - bj * s);
      b[j] = static_cast<T>(bj * c + aj * s);
    }
    store_vector(first, a);
    store_vector(second, b);
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As `rope`; from a row of x (N, H, d) to the next there are `row` elements. Memory bounds it: 2 sizeof(T) bytes per element for
/// 3 operations; the table stays in L2.
template <class T>
void rope_rows(View<T, Device> x, std::size_t row, ConstView<Sum<T>, Device> table, View<const std::int32_t, Device> positions,
               Rotation rotation) {
  const std::size_t rows = x.extent(0), heads = x.extent(1), width = x.extent(2), half = table.extent(1);
  const auto run = [&](auto V) {
    detail::for_each_of_rows("rope", rows, heads * half / V,
                             detail::Rope<T, V>{x.data(), row, table.data(), positions.data(), width, half, rotation});
  };
  const bool wide = reads_16_bytes(half, x.data()) && width % per_16_bytes<T> == 0 && row % per_16_bytes<T> == 0;
  wide ? run(numbers_a_load<T>) : run(one_a_load);
}
/// As on the CPU; the table is in Sum<T>.
template <class T>
void rope(View<T, Device> x, ConstView<Sum<T>, Device> table, View<const std::int32_t, Device> positions,
          Rotation rotation = Rotation::forward, Version version = Version::fast) {
  const std::size_t rows = x.extent(0), heads = x.extent(1), width = x.extent(2), half = table.extent(1);
  if (version == Version::first) {
    return launch(one_thread_each("rope_first", rows * heads * half), detail::rope_first<T>, x.data(), table.data(),
                  positions.data(), rows, heads, width, half, rotation);
  }
  rope_rows<T>(x, heads * width, table, positions, rotation);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
