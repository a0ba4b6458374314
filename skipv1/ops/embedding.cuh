// Embedding on the device: see embedding.hpp.
#pragma once

#include <cstdint>

#include "skipv1/core/write_mode.hpp"
#include "skipv1/device/sort.cuh"
#include "skipv1/ops/map.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One call, V outputs of row n: `x[n, i] = table[ids[n], i]`, or `+=` with `WriteMode::accumulate`.
template <class T, std::size_t V>
struct EmbeddingRow {
  T* x;
  const T* table;
  const std::int32_t* ids;
  std::size_t d;
  WriteMode mode;
  SKIPV1_DEVICE_MEMBER void operator()(std::size_t n, std::size_t at) const {
    Vector<T, V> row = load_vector<V>(table + static_cast<std::size_t>(ids[n]) * d + at * V);
    T* out = x + n * d + at * V;
    if (mode == WriteMode::accumulate) {
      const Vector<T, V> before = load_vector<V>(out);
      for (std::size_t j = 0; j < V; ++j) row[j] = static_cast<T>(static_cast<Sum<T>>(before[j]) + static_cast<Sum<T>>(row[j]));
    }
    store_vector(out, row);
  }
};

/// One call, one column i: `dtable[ids[n], i] += dx[n, i]` for all rows n in order. The first kernel; T rounds each sum.
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

/// The rows, sorted by token, that one thread sums.
inline constexpr std::size_t embedding_piece = 128;

/// One thread, V columns of one piece of the sorted rows. Memory bounds it: dx is read once, a row of dtable read and written
/// once per run: N d sizeof(T) bytes and more for N d additions. A run of equal tokens within the piece is accumulated
/// into dtable; the sum of one that began before goes to `parts[2 piece]`, of one that goes on after it to `parts[2 piece + 1]`.
template <class T, std::size_t V>
SKIPV1_KERNEL embedding_add_runs(T* dtable, Sum<T>* parts, const T* dx, Sorted ids, std::size_t rows, std::size_t d) {
  using S = Sum<T>;
  const std::size_t piece = block().x, i = (std::size_t{block().y} * block_size().x + thread().x) * V;
  if (i >= d) return;
  const std::size_t begin = piece * embedding_piece, end = begin + embedding_piece < rows ? begin + embedding_piece : rows;
  bool began_before = begin > 0 && ids.numbers[begin - 1] == ids.numbers[begin];
  S sum[V] = {};
  for (std::size_t n = begin; n < end; ++n) {
    const std::int32_t id = ids.numbers[n];
    const Vector<T, V> x = load_vector<V>(dx + static_cast<std::size_t>(ids.places[n]) * d + i);
    for (std::size_t j = 0; j < V; ++j) sum[j] += static_cast<S>(x[j]);
    const bool goes_on = n + 1 < rows && ids.numbers[n + 1] == id;
    if (goes_on && n + 1 < end) continue;
    if (began_before || goes_on) {
      for (std::size_t j = 0; j < V; ++j) parts[(2 * piece + (began_before ? 0 : 1)) * d + i + j] = sum[j];
    } else {
      T* to = dtable + static_cast<std::size_t>(id) * d + i;
      Vector<T, V> row = load_vector<V>(to);
      for (std::size_t j = 0; j < V; ++j) row[j] = static_cast<T>(static_cast<S>(row[j]) + sum[j]);
      store_vector(to, row);
    }
    for (std::size_t j = 0; j < V; ++j) sum[j] = S(0);
    began_before = false;
  }
}
/// One block, one piece; one thread, one column of each `block_size().x`. Where a run begins in the piece and goes on after it,
/// its parts are summed in order: the same bits in every run of the program.
template <class T>
SKIPV1_KERNEL embedding_add_parts(T* dtable, const Sum<T>* parts, Sorted ids, std::size_t rows, std::size_t d) {
  const std::size_t piece = block().x, begin = piece * embedding_piece, next = begin + embedding_piece;
  if (next >= rows || ids.numbers[next] != ids.numbers[next - 1]) return;
  const std::int32_t id = ids.numbers[next];
  if (begin > 0 && ids.numbers[begin - 1] == id) return;  // began before
  for (std::size_t i = thread().x; i < d; i += block_size().x) {
    Sum<T> sum = parts[(2 * piece + 1) * d + i];
    for (std::size_t n = next, p = piece + 1; n < rows && ids.numbers[n] == id; n += embedding_piece, ++p)
      sum += parts[2 * p * d + i];
    T& to = dtable[static_cast<std::size_t>(id) * d + i];
    to = static_cast<T>(static_cast<Sum<T>>(to) + sum);
  }
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU. Memory bounds it: 2 sizeof(T) bytes per element. One kernel: V = 1 is the first.
template <class T>
void embedding_forward(View<T, Device> x, ConstView<T, Device> table, View<const std::int32_t, Device> ids,
                       WriteMode mode = WriteMode::overwrite) {
  const std::size_t d = x.width();
  const auto run = [&](auto V) {
    detail::for_each_of_rows("embedding_forward", ids.size(), d / V,
                             detail::EmbeddingRow<T, V>{x.data(), table.data(), ids.data(), d, mode});
  };
  reads_16_bytes(d, x.data(), table.data()) ? run(numbers_a_load<T>) : run(one_a_load);
}
/// As on the CPU; the fast version sums in Sum<T>, without atomics: the same bits in every run.
template <class T>
void embedding_backward(View<T, Device> dtable, ConstView<T, Device> dx, View<const std::int32_t, Device> ids,
                        Version version = Version::fast) {
  using S = Sum<T>;
  const std::size_t rows = ids.size(), d = dx.width();
  if (version == Version::first) {
    return detail::for_each("embedding_backward_first", d,
                            detail::EmbeddingColumn<T>{dtable.data(), dx.data(), ids.data(), rows, d});
  }
  if (rows == 0) return;
  const detail::Sorted sorted = detail::sort(ids, dtable.extent(0));
  const std::size_t pieces = ceil_div(rows, detail::embedding_piece);
  S* parts = detail::scratch<S>(2 * pieces * d);
  const auto run = [&](auto V) {
    launch({"embedding_add_runs", {pieces, ceil_div(d, 64 * V)}, 64}, detail::embedding_add_runs<T, V>, dtable.data(), parts,
           dx.data(), sorted, rows, d);
  };
  reads_16_bytes(d, dtable.data(), dx.data()) ? run(numbers_a_load<T>) : run(one_a_load);
  launch({"embedding_add_parts", pieces, 128}, detail::embedding_add_parts<T>, dtable.data(), parts, sorted, rows, d);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
