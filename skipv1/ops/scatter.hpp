// Moving the rows of a batch (packed) into a cache (by sequence and position).
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/core/parallel.hpp"

namespace skipv1 {

/// Writes the new rows of each sequence into a cache, behind its earlier ones: `cache[b, past[b] + i] = x[row_begin[b] + i]`.
/// cache (B, C, w), x (N, w). The caller has checked that they fit.
template <class T>
void scatter_rows(View<T, Cpu> cache, ConstView<T, Cpu> x, const Sequences<Cpu>& sequences) {
  const std::size_t capacity = cache.extent(1), w = cache.extent(2);
  parallel_for(sequences.batch(), [&](std::size_t b) {
    const auto begin = static_cast<std::size_t>(sequences.row_begin(b)),
               end = static_cast<std::size_t>(sequences.row_begin(b + 1));
    const std::size_t at = b * capacity + static_cast<std::size_t>(sequences.past(b));
    std::copy_n(x.data() + begin * w, (end - begin) * w, cache.data() + at * w);
  });
}

}  // namespace skipv1
