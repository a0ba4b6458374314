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

/// Block (x, y): columns `32 x …` of the y-th part of the rows. Threads (32, 8): 8 rows at a time, then their 8 sums are added.
template <class S, class F>
SKIPV1_KERNEL column_sum_parts(S* parts, std::size_t rows, std::size_t width, std::size_t rows_of_part, F f) {
  SKIPV1_SHARED(S, sums, 256);
  const std::size_t i = std::size_t{block().x} * 32 + thread().x, begin = block().y * rows_of_part;
  const std::size_t end = begin + rows_of_part < rows ? begin + rows_of_part : rows;
  S sum(0);
  if (i < width)
    for (std::size_t n = begin + thread().y; n < end; n += 8) sum += f(n, i);
  sums[thread().y * 32 + thread().x] = sum;
  sync_threads();
  if (thread().y > 0 || i >= width) return;
  for (unsigned j = 1; j < 8; ++j) sum += sums[j * 32 + thread().x];
  parts[block().y * width + i] = sum;
}

template <class T>
SKIPV1_KERNEL add_parts(T* sums, const Sum<T>* parts, std::size_t count, std::size_t width) {
  const std::size_t i = global_thread();
  if (i >= width) return;
  Sum<T> sum = static_cast<Sum<T>>(sums[i]);
  for (std::size_t j = 0; j < count; ++j) sum += parts[j * width + i];
  sums[i] = static_cast<T>(sum);
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
  launch(one_thread_each(name, width), add_parts<T>, sums.data(), partial, parts, width);
}

/// Rows of a matrix: what a bias's gradient sums.
template <class T>
struct RowsOf {
  const T* x;
  std::size_t d;
  SKIPV1_DEVICE_MEMBER Sum<T> operator()(std::size_t n, std::size_t i) const { return static_cast<Sum<T>>(x[n * d + i]); }
};

}  // namespace skipv1::detail
