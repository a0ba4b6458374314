// Rotary positions on the device: see rope.hpp, whose table is copied here.
#pragma once

#include <cstdint>

#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, V neighbouring pairs of a head of row n; `half / V` calls a head.
template <class T, std::size_t V>
struct Rope {
  T* x;
  const Sum<T>* table;
  const std::int32_t* positions;
  std::size_t heads, width, half;
  bool inverse;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, unsigned at) const {
    using S = Sum<T>;
    const unsigned of_head = static_cast<unsigned>(half / V), h = at / of_head, i = at % of_head * V;
    const S* turns = table + (static_cast<std::size_t>(positions[n]) * half + i) * 2;
    T *first = x + (n * heads + h) * width + (width - 2 * half) + i, *second = first + half;
    Vector<T, V> a = load_vector<V>(first), b = load_vector<V>(second);
    for (std::size_t j = 0; j < V; ++j) {
      const Vector<S, 2> turn = load_vector<2>(turns + 2 * j);
      const S c = turn[0], s = inverse ? -turn[1] : turn[1], aj = static_cast<S>(a[j]), bj = static_cast<S>(b[j]);
      a[j] = static_cast<T>(aj * c - bj * s);
      b[j] = static_cast<T>(bj * c + aj * s);
    }
    store_vector(first, a);
    store_vector(second, b);
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU; the table's numbers are Sum<T>. Memory bounds it: 2 sizeof(T) bytes per number.
template <class T>
void rope(View<T, Device> x, ConstView<Sum<T>, Device> table, View<const std::int32_t, Device> positions, bool inverse = false) {
  const std::size_t heads = x.extent(1), width = x.extent(2), half = table.extent(1);
  const auto run = [&](auto V) {
    detail::for_each_of_rows("rope", x.extent(0), heads * half / V,
                             detail::Rope<T, V>{x.data(), table.data(), positions.data(), heads, width, half, inverse});
  };
  reads_16_bytes(half, x.data()) && width % per_16_bytes<T> == 0 ? run(numbers_a_load<T>) : run(one_a_load);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
