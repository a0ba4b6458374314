// Embedding: rows of a table picked by number (tokens, positions).
#pragma once

#include <cstdint>

#include "skipv1/core/write_mode.hpp"
#include "skipv1/core/parallel.hpp"
#include "skipv1/core/tensor.hpp"

namespace skipv1 {

namespace reference {

/// `x[n] = table[ids[n]]`, or `x[n] += table[ids[n]]` with `WriteMode::accumulate`. x (N, d), table (V, d), ids (N) in `0 … V -
/// 1`.
template <class T>
void embedding_forward(View<T> x, ConstView<T> table, View<const std::int32_t> ids, WriteMode mode = WriteMode::overwrite) {
  for (std::size_t n = 0; n < x.extent(0); ++n)
    for (std::size_t i = 0; i < x.extent(1); ++i) {
      const T e = table(static_cast<std::size_t>(ids(n)), i);
      x(n, i) = mode == WriteMode::accumulate ? x(n, i) + e : e;
    }
}

/// `dtable[ids[n]] += dx[n]`: a token that occurs twice accumulates two gradients. Shapes as forward.
template <class T>
void embedding_backward(View<T> dtable, ConstView<T> dx, View<const std::int32_t> ids) {
  for (std::size_t n = 0; n < dx.extent(0); ++n)
    for (std::size_t i = 0; i < dx.extent(1); ++i) dtable(static_cast<std::size_t>(ids(n)), i) += dx(n, i);
}

}  // namespace reference

/// As `reference::embedding_forward`. Throws at ids outside the table; on the device, which cannot throw, the caller has checked
/// them. Memory bounds it: 2 N d numbers moved.
template <class T>
void embedding_forward(View<T, Cpu> x, ConstView<T, Cpu> table, View<const std::int32_t, Cpu> ids,
                       WriteMode mode = WriteMode::overwrite) {
  require_fit(x.rows() == ids.size() && table.width() == x.width(), "embedding_forward", "x table ids",
              "x (N, d), table (V, d), ids (N)", x, table, ids);
  require_indices("embedding_forward: ids", ids, 0, table.rows());
  const std::size_t d = x.width();
  parallel_ranges(ids.size(), 32, [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const T* row = table.data() + static_cast<std::size_t>(ids(n)) * d;
      T* out = x.data() + n * d;
      for (std::size_t i = 0; i < d; ++i) out[i] = mode == WriteMode::accumulate ? out[i] + row[i] : row[i];
    }
  });
}

/// As `reference::embedding_backward`. Memory bounds it: N d numbers read, N d accumulated.
template <class T>
void embedding_backward(View<T, Cpu> dtable, ConstView<T, Cpu> dx, View<const std::int32_t, Cpu> ids) {
  require_fit(dx.rows() == ids.size() && dtable.width() == dx.width(), "embedding_backward", "dtable dx ids",
              "dtable (V, d), dx (N, d), ids (N)", dtable, dx, ids);
  require_indices("embedding_backward: ids", ids, 0, dtable.rows());
  const std::size_t d = dx.width();
  parallel_ranges(d, 64, [&](std::size_t begin, std::size_t end) {  // by columns: a token may occur many times
    for (std::size_t n = 0; n < ids.size(); ++n) {
      T* row = dtable.data() + static_cast<std::size_t>(ids(n)) * d;
      for (std::size_t i = begin; i < end; ++i) row[i] += dx.data()[n * d + i];
    }
  });
}

}  // namespace skipv1
