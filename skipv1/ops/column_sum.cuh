// Sums over rows, one for each column: the gradients of weights and biases that all rows share. No atomics, so every run gives
// the same bits.
#pragma once

#include "skipv1/core/cuda.cuh"

namespace skipv1::detail {

/// One thread, one column.
template <class T, class F>
SKIPV1_KERNEL column_sum_first(T* sums, std::size_t rows, std::size_t width, F f) {
  const std::size_t i = global_thread();
  if (i >= width) return;
  Sum<T> sum = static_cast<Sum<T>>(sums[i]);
  for (std::size_t n = 0; n < rows; ++n) sum += f(n, i);
  sums[i] = static_cast<T>(sum);
}

/// The sum of `f(n, i)` over `begin <= n < end`, of the column i of a thread of a block (32, 8), which takes 8 rows at a time and
/// then adds up their 8 sums; whole to the threads with y = 0 and i < width.
template <class S, class F>
SKIPV1_DEVICE S column_sum_of(std::size_t begin, std::size_t end, std::size_t i, std::size_t width, const F& f) {
  SKIPV1_SHARED(S, sums, 256);
  S sum(0);
  if (i < width)
    for (std::size_t n = begin + thread().y; n < end; n += 8) sum += f(n, i);
  sums[thread().y * 32 + thread().x] = sum;
  sync_threads();
  if (thread().y == 0)
    for (unsigned j = 1; j < 8; ++j) sum += sums[j * 32 + thread().x];
  return sum;
}
/// Block (x, y): columns `32 x …` of the y-th part of the rows.
template <class S, class F>
SKIPV1_KERNEL column_sum_parts(S* parts, std::size_t rows, std::size_t width, std::size_t rows_of_part, F f) {
  const std::size_t i = std::size_t{block().x} * 32 + thread().x, begin = block().y * rows_of_part;
  const S sum = column_sum_of<S>(begin, begin + rows_of_part < rows ? begin + rows_of_part : rows, i, width, f);
  if (thread().y == 0 && i < width) parts[block().y * width + i] = sum;
}
/// Block x: columns `32 x …` of the parts.
template <class T>
SKIPV1_KERNEL column_sum_whole(T* sums, const Sum<T>* parts, std::size_t count, std::size_t width) {
  const std::size_t i = std::size_t{block().x} * 32 + thread().x;
  const Sum<T> sum =
      column_sum_of<Sum<T>>(0, count, i, width, [&](std::size_t j, std::size_t at) { return parts[j * width + at]; });
  if (thread().y == 0 && i < width) sums[i] = static_cast<T>(static_cast<Sum<T>>(sums[i]) + sum);
}

/// `sums[i] += sum over n < rows of f(n, i)`, `f` a device functor. The fast version reads what f reads once, at memory speed
/// when there are enough parts to fill the card: 64 rows each, at most 256 parts.
template <class T, class F>
void column_sum(const char* name, View<T, Cuda> sums, std::size_t rows, const F& f, Version version) {
  const std::size_t width = sums.size();
  if (rows == 0) return;
  if (version == Version::first) return launch(one_thread_each(name, width), column_sum_first<T, F>, sums.data(), rows, width, f);
  const std::size_t rows_of_part = std::max<std::size_t>(64, ceil_div(rows, 256)), parts = ceil_div(rows, rows_of_part);
  Sum<T>* partial = scratch<Sum<T>>(parts * width);
  launch({name, {ceil_div(width, 32), parts}, {32, 8}}, column_sum_parts<Sum<T>, F>, partial, rows, width, rows_of_part, f);
  launch({name, ceil_div(width, 32), {32, 8}}, column_sum_whole<T>, sums.data(), partial, parts, width);
}

/// Rows of a matrix: what a bias's gradient sums.
template <class T>
struct RowsOf {
  const T* x;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const { return static_cast<Sum<T>>(x[n * d + i]); }
};

}  // namespace skipv1::detail
