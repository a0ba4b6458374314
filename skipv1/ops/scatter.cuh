// Moving rows between a batch and a cache on the device: see scatter.hpp.
#pragma once

#include <cstdint>

#include "skipv1/core/head.hpp"
#include "skipv1/ops/map.cuh"

namespace skipv1 {

namespace detail {
/// One call, one element of one of a sequence's `max_rows` rows, if it has so many.
template <class T, bool to_cache>
struct MoveRows {
  T* to;
  const T* from;
  const std::int32_t *row_begin, *past;
  std::size_t max_rows, capacity, width;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    const std::size_t i = at % width, row = at / width % max_rows, b = at / width / max_rows;
    const auto begin = static_cast<std::size_t>(row_begin[b]), end = static_cast<std::size_t>(row_begin[b + 1]);
    if (row >= end - begin) return;
    const std::size_t packed = (begin + row) * width + i,
                      cached = (b * capacity + static_cast<std::size_t>(past[b]) + row) * width + i;
    if constexpr (to_cache) {
      to[cached] = from[packed];
    } else {
      to[packed] = from[cached];
    }
  }
};
}  // namespace detail

/// As on the CPU.
template <class T>
void scatter_rows(View<T, Cuda> cache, ConstView<T, Cuda> x, const Sequences<Cuda>& sequences) {
  const std::size_t w = cache.extent(2);
  const detail::MoveRows<T, true> move{
      cache.data(), x.data(), sequences.row_begin.data(), sequences.past.data(), sequences.max_rows, cache.extent(1), w};
  detail::for_each("scatter_rows", sequences.batch() * sequences.max_rows * w, move);
}
template <class T>
void gather_rows(View<T, Cuda> x, ConstView<T, Cuda> cache, const Sequences<Cuda>& sequences) {
  const std::size_t w = cache.extent(2);
  const detail::MoveRows<T, false> move{
      x.data(), cache.data(), sequences.row_begin.data(), sequences.past.data(), sequences.max_rows, cache.extent(1), w};
  detail::for_each("gather_rows", sequences.batch() * sequences.max_rows * w, move);
}

}  // namespace skipv1
