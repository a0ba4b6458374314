// Sums over all elements: gradients of scalars, norms, the loss. No atomics: every run gives the same bits.
#pragma once

#include "skipv1/device/memory.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Block (x, j): part x of sum j. Memory bounds it: the terms are read once.
template <class S, class F>
SKIPV1_KERNEL total_parts(S* parts, std::size_t n, F f) {
  const std::size_t j = block().y;
  S sum(0);
  for (std::size_t i = global_thread(); i < n; i += global_threads()) sum += f(j, i);
  sum = block_sum(sum);
  if (thread().x == 0) parts[j * grid_size().x + block().x] = sum;
}
/// Block j: `sums[j] += sum of parts[j]`.
template <class T, class S>
SKIPV1_KERNEL total_of_parts(T* sums, const S* parts, std::size_t count) {
  const std::size_t j = block().x;
  S sum(0);
  for (std::size_t i = thread().x; i < count; i += block_size().x) sum += parts[j * count + i];
  sum = block_sum(sum);
  if (thread().x == 0) sums[j] = static_cast<T>(static_cast<S>(sums[j]) + sum);
}

/// `sums[j] += sum over i < n of f(j, i)`, j < count, accumulated in S; f a device functor.
template <class S, class T, class F>
void total(const char* name, T* sums, std::size_t count, std::size_t n, const F& f) {
  if (n == 0 || count == 0) return;
  const std::size_t blocks = std::min<std::size_t>(ceil_div(n, 1024), 1024);
  S* parts = scratch<S>(count * blocks);
  launch({name, {blocks, count}, 256}, total_parts<S, F>, parts, n, f);
  launch({name, count, 256}, total_of_parts<T, S>, sums, parts, blocks);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
