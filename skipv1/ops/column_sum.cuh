// Column sums: gradients of weights and biases that all rows share. No atomics: every run gives the same bits.
#pragma once

#include <initializer_list>

#include "skipv1/device/memory.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one column.
template <class T, class F>
SKIPV1_KERNEL column_sum_first_kernel(T* sums, std::size_t rows, std::size_t width, F f) {
  const std::size_t i = global_thread();
  if (i >= width) return;
  Sum<T> sum = static_cast<Sum<T>>(sums[i]);
  for (std::size_t n = 0; n < rows; ++n) sum += f(n, i);
  sums[i] = static_cast<T>(sum);
}
/// `sums[i] += sum over n < rows of f(n, i)`, `f` a device functor.
template <class T, class F>
void column_sum_first(const char* name, View<T, Device> sums, std::size_t rows, const F& f) {
  launch(one_thread_each(name, sums.size()), column_sum_first_kernel<T, F>, sums.data(), rows, sums.size(), f);
}

/// Block (32, R): `sums[j] += sum over begin <= n < end of x[n, i + j]`, complete in the threads with y = 0. A thread takes every
/// R-th row with `ahead` loads in flight; the R partial sums of a column meet in shared memory.
template <unsigned R, std::size_t ahead, std::size_t V, class S, class T>
SKIPV1_DEVICE void column_sum_of(S (&sums)[V], const T* x, std::size_t begin, std::size_t end, std::size_t i, std::size_t width) {
  SKIPV1_SHARED(S, others, 32 * R * V);
  for (std::size_t n = begin + thread().y; i < width && n < end; n += R * ahead) {
    Vector<T, V> row[ahead];
    SKIPV1_UNROLL
    for (std::size_t k = 0; k < ahead; ++k)
      if (n + k * R < end) row[k] = load_vector<V>(x + (n + k * R) * width + i);
    SKIPV1_UNROLL
    for (std::size_t k = 0; k < ahead; ++k)
      for (std::size_t j = 0; n + k * R < end && j < V; ++j) sums[j] += static_cast<S>(row[k][j]);
  }
  for (std::size_t j = 0; j < V; ++j) others[(thread().y * V + j) * 32 + thread().x] = sums[j];
  sync_threads();
  for (unsigned y = 1; thread().y == 0 && y < R; ++y)
    for (std::size_t j = 0; j < V; ++j) sums[j] += others[(y * V + j) * 32 + thread().x];
}
/// Block (x, y): columns `32 V x …`, part y of the rows. Memory bounds it: rows width sizeof(T) bytes, one addition per element.
/// It reaches 3.1 to 4.0 TB/s, 77 to 99 % of a copy's rate, on an H200 (docs/performance/tried-h200.txt).
template <class T, std::size_t V>
SKIPV1_KERNEL column_sum_parts(Sum<T>* parts, const T* x, std::size_t rows, std::size_t width, std::size_t rows_of_part) {
  const std::size_t i = global_thread() * V, begin = block().y * rows_of_part;
  Sum<T> sums[V] = {};
  column_sum_of<8, 4>(sums, x, begin, begin + rows_of_part < rows ? begin + rows_of_part : rows, i, width);
  for (std::size_t j = 0; thread().y == 0 && i < width && j < V; ++j) parts[block().y * width + i + j] = sums[j];
}
/// Up to three arrays of sums.
template <class T>
struct SumsOfKinds {
  T* of[3];
};
/// Block (x, y): columns `32 x …` of kind y: `sums[y][i] += sum over parts of parts[y, part, i]`; parts (kinds, count, width).
/// With two blocks per multiprocessor, 264 parts on an H100, all loads of a thread are in flight at once.
template <class T>
SKIPV1_KERNEL column_sum_whole(SumsOfKinds<T> sums, const Sum<T>* parts, std::size_t count, std::size_t width) {
  const std::size_t i = global_thread();
  T* const to = block().y == 0 ? sums.of[0] : block().y == 1 ? sums.of[1] : sums.of[2];
  const bool mine = thread().y == 0 && i < width;
  Sum<T> sum[1] = {mine ? static_cast<Sum<T>>(to[i]) : Sum<T>(0)};
  column_sum_of<32, 9>(sum, parts + block().y * count * width, 0, count, i, width);
  if (mine) to[i] = static_cast<T>(sum[0]);
}

/// `sums[kind] += sum over count of parts[kind]` for up to three `sums (width)`, one kind each; parts (kinds, count, width). An
/// empty view has no kind.
template <class T>
void add_parts(const char* name, std::initializer_list<View<T, Device>> sums, const Sum<T>* parts, std::size_t count) {
  const std::size_t width = sums.begin()->size();
  std::size_t kinds = 0;
  SumsOfKinds<T> to{};
  for (const View<T, Device>& of : sums)
    if (!of.empty()) to.of[kinds++] = of.data();
  launch({name, {ceil_div(width, 32), kinds}, {32, 32}}, column_sum_whole<T>, to, parts, count, width);
}

/// `sums[i] += sum over n < rows of x[n, i]`. x is read once, in at most 256 parts of at least 64 rows: enough blocks to fill the
/// card.
template <class T>
void column_sum(const char* name, View<T, Device> sums, View<const T, Device> x) {
  const std::size_t rows = x.rows(), width = sums.size();
  if (rows == 0) return;
  const std::size_t rows_of_part = std::max<std::size_t>(64, ceil_div(rows, 256)), parts = ceil_div(rows, rows_of_part);
  Sum<T>* partial = scratch<Sum<T>>(parts * width);
  const auto run = [&](auto numbers) {
    constexpr std::size_t V = decltype(numbers)::value;
    launch({name, {ceil_div(width, 32 * V), parts}, {32, 8}}, column_sum_parts<T, V>, partial, x.data(), rows, width,
           rows_of_part);
  };
  reads_16_bytes(width, x.data()) ? run(numbers_a_load<T>) : run(one_a_load);
  add_parts<T>(name, {sums}, partial, parts);
}

/// `x[n, i]`: the terms of a bias's gradient.
template <class T>
struct RowsOf {
  const T* x;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const { return static_cast<Sum<T>>(x[n * d + i]); }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
