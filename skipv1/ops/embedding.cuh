// Embedding on the device: see embedding.hpp.
#pragma once

#include <cstdint>

#include "skipv1/ops/map.cuh"

namespace skipv1 {

namespace detail {

/// One call, one output.
template <class T>
struct EmbeddingRow {
  T* x;
  const T* table;
  const std::int32_t* ids;
  std::size_t d;
  bool add;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t at) const {
    const std::size_t n = at / d, i = at % d;
    const T row = table[static_cast<std::size_t>(ids[n]) * d + i];
    x[at] = add ? static_cast<T>(static_cast<Sum<T>>(x[at]) + static_cast<Sum<T>>(row)) : row;
  }
};

/// One thread, one column: all rows in order.
template <class T>
struct EmbeddingColumn {
  T* dtable;
  const T* dx;
  const std::int32_t* ids;
  std::size_t rows, d;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t i) const {
    for (std::size_t n = 0; n < rows; ++n) {
      T& sum = dtable[static_cast<std::size_t>(ids[n]) * d + i];
      sum = static_cast<T>(static_cast<Sum<T>>(sum) + static_cast<Sum<T>>(dx[n * d + i]));
    }
  }
};

/// One block, one row n; only the first row of each token works, and adds that token's other rows in order. Every block reads the
/// ids from the L2 cache, so N rows cost 4 N^2 bytes of its traffic beside the 2 N d sizeof(T) of memory.
template <class T>
SKIPV1_KERNEL embedding_backward_fast(T* dtable, const T* dx, const std::int32_t* ids, std::size_t rows, std::size_t d) {
  using S = Sum<T>;
  constexpr unsigned threads = 128, columns = 8;  // columns of a thread at a time
  SKIPV1_SHARED(std::int32_t, of_token, threads);
  const std::size_t n = block().x, t = thread().x;
  const std::int32_t id = ids[n];
  bool earlier = false;
  for (std::size_t m = t; m < n; m += threads) earlier = earlier || ids[m] == id;
  if (block_max(earlier ? 1.f : 0.f) > 0.f) return;
  for (std::size_t begin = 0; begin < d; begin += threads * columns) {
    S sum[columns] = {};
    for (std::size_t base = n; base < rows; base += threads) {
      sync_threads();
      of_token[t] = base + t < rows && ids[base + t] == id ? 1 : 0;
      sync_threads();
      for (std::size_t m = base; m < rows && m < base + threads; ++m) {
        if (of_token[m - base] == 0) continue;
        for (unsigned c = 0; c < columns; ++c) {
          const std::size_t i = begin + c * threads + t;
          if (i < d) sum[c] += static_cast<S>(dx[m * d + i]);
        }
      }
    }
    for (unsigned c = 0; c < columns; ++c) {
      const std::size_t i = begin + c * threads + t;
      if (i >= d) continue;
      T& out = dtable[static_cast<std::size_t>(id) * d + i];
      out = static_cast<T>(static_cast<S>(out) + sum[c]);
    }
  }
}

}  // namespace detail

/// As on the CPU.
template <class T>
void embedding_forward(View<T, Cuda> x, ConstView<T, Cuda> table, View<const std::int32_t, Cuda> ids, bool add = false) {
  detail::for_each("embedding_forward", x.size(), detail::EmbeddingRow<T>{x.data(), table.data(), ids.data(), x.width(), add});
}
template <class T>
void embedding_backward(View<T, Cuda> dtable, ConstView<T, Cuda> dx, View<const std::int32_t, Cuda> ids,
                        Version version = Version::fast) {
  const std::size_t rows = ids.size(), d = dx.width();
  if (version == Version::first) {
    detail::for_each("embedding_backward_first", d, detail::EmbeddingColumn<T>{dtable.data(), dx.data(), ids.data(), rows, d});
  } else {
    launch({"embedding_backward", rows, 128}, detail::embedding_backward_fast<T>, dtable.data(), dx.data(), ids.data(), rows, d);
  }
}

}  // namespace skipv1
