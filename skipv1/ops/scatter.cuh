// Moving the rows of a batch into a cache on the device: see scatter.hpp.
#pragma once

#include <cstdint>

#include "skipv1/ops/head.hpp"
#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// One call, V elements of row `row_begin[b] + row`, which becomes position `past[b] + row` of sequence b's cache; n = (b, row),
/// with `row < max_rows`: a sequence may have fewer.
template <class T, std::size_t V>
struct ScatterRows {
  T* cache;
  const T* x;
  const std::int32_t *row_begin, *past;
  std::size_t max_rows, capacity, width;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t at) const {
    const std::size_t b = n / max_rows, row = n % max_rows;
    const auto begin = static_cast<std::size_t>(row_begin[b]), end = static_cast<std::size_t>(row_begin[b + 1]);
    if (row >= end - begin) return;
    store_vector(cache + (b * capacity + static_cast<std::size_t>(past[b]) + row) * width + at * V,
                 load_vector<V>(x + (begin + row) * width + at * V));
  }
};
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 2 sizeof(T) bytes per element. One kernel: V = 1 is the first.
template <class T>
void scatter_rows(View<T, Device> cache, ConstView<T, Device> x, const Sequences<Device>& sequences) {
  const std::size_t w = cache.extent(2);
  const auto run = [&](auto V) {
    detail::for_each_of_rows("scatter_rows", sequences.batch() * sequences.max_rows, w / V,
                             detail::ScatterRows<T, V>{cache.data(), x.data(), sequences.row_begin.data(), sequences.past.data(),
                                                       sequences.max_rows, cache.extent(1), w});
  };
  reads_16_bytes(w, cache.data(), x.data()) ? run(numbers_a_load<T>) : run(one_a_load);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
