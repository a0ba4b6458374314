// Merging partial softmaxes, where several threads, warps or blocks share the keys of a row (Flash-Decoding, Dao et al. 2023):
//
//   row_max = max over p of row_max_p,  f_p = exp(row_max_p - row_max),
//   row_sum = sum over p of f_p row_sum_p,  O = sum over p of f_p O_p / row_sum
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// A softmax over some of a row's keys; row_sum is 0 where it has seen none, and row_max is -infinity then.
template <class S>
struct SoftmaxState {
  S row_max, row_sum;
};

/// `f_p`: what the values of part p are multiplied by. `exp` is the exponential of the base that row_max is in.
template <class S, class Exp>
SKIPV1_DEVICE S merge_factor(const SoftmaxState<S>& part, S row_max, const Exp& exp) {
  return part.row_sum > S(0) ? exp(part.row_max - row_max) : S(0);
}
/// The state over parts `0 … count - 1`, `part(p)` each, added up in this order.
template <class S, class Part, class Exp>
SKIPV1_DEVICE SoftmaxState<S> merge(std::size_t count, const Part& part, const Exp& exp) {
  SoftmaxState<S> all{-infinity<S>(), S(0)};
  for (std::size_t p = 0; p < count; ++p) all.row_max = part(p).row_max > all.row_max ? part(p).row_max : all.row_max;
  for (std::size_t p = 0; p < count; ++p) all.row_sum += merge_factor(part(p), all.row_max, exp) * part(p).row_sum;
  return all;
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
