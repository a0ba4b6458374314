// Moving the rows of a batch (packed) into a cache (by sequence and position).
#pragma once

#include "skipv1/ops/head.hpp"
#include "skipv1/core/parallel.hpp"

namespace skipv1 {

namespace reference {

/// Row n of sequence b becomes position `past[b] + n - row_begin[b]` of its cache. cache (B, C, w), x (N, w), with
/// `past[b] + row_begin[b + 1] - row_begin[b] <= C`.
template <class T>
void scatter_rows(View<T> cache, ConstView<T> x, const Sequences<Cpu>& sequences) {
  for (std::size_t b = 0; b < sequences.batch(); ++b)
    for (std::int32_t n = sequences.row_begin(b); n < sequences.row_begin(b + 1); ++n)
      for (std::size_t i = 0; i < x.extent(1); ++i) {
        const auto t = static_cast<std::size_t>(sequences.past(b) + n - sequences.row_begin(b));
        cache(b, t, i) = x(static_cast<std::size_t>(n), i);
      }
}

}  // namespace reference

/// As `reference::scatter_rows`; all rows of a sequence by one copy.
template <class T>
void scatter_rows(View<T, Cpu> cache, ConstView<T, Cpu> x, const Sequences<Cpu>& sequences) {
  require_fit(cache.shape().rank() == 3 && cache.extent(0) >= sequences.batch() && cache.extent(2) == x.width(), "scatter_rows",
              "cache x", "cache (B, C, w), x (N, w)", cache, x);
  require_sequences("scatter_rows", sequences, x.rows(), cache.extent(1));
  const std::size_t capacity = cache.extent(1), w = cache.extent(2);
  parallel_for(sequences.batch(), [&](std::size_t b) {
    const auto begin = static_cast<std::size_t>(sequences.row_begin(b)),
               end = static_cast<std::size_t>(sequences.row_begin(b + 1));
    const std::size_t at = b * capacity + static_cast<std::size_t>(sequences.past(b));
    std::copy_n(x.data() + begin * w, (end - begin) * w, cache.data() + at * w);
  });
}

}  // namespace skipv1
