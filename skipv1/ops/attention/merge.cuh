// Merging partial softmaxes, where several threads, warps or blocks share the keys of a row (Flash-Decoding, Dao et al. 2023):
//
//   row_max = max over p of row_max_p,  f_p = exp(row_max_p - row_max),
//   row_sum = sum over p of f_p row_sum_p,  O = sum over p of f_p O_p / row_sum
#pragma once

#include "skipv1/kernel/kernel.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// A softmax over some of a row's keys; where it has seen none, row_max is -infinity and row_sum 0.
template <class S>
struct SoftmaxState {
  S row_max, row_sum;
};

/// What maxima are measured from: the row's; 0 where no part has seen a key, so that every f_p is 0 and not NaN.
template <class S>
SKIPV1_DEVICE S merge_base(S row_max) {
  return row_max == -infinity<S>() ? S(0) : row_max;
}
/// The state over parts `0 … count - 1`, `part(p)` each, added up in this order. `exp` is the exponential of the base that
/// row_max is in; `f_p = exp(part(p).row_max - merge_base(row_max))`.
template <class S, class Part, class Exp>
SKIPV1_DEVICE SoftmaxState<S> merge(std::size_t count, const Part& part, const Exp& exp) {
  SoftmaxState<S> all{-infinity<S>(), S(0)};
  for (std::size_t p = 0; p < count; ++p) all.row_max = part(p).row_max > all.row_max ? part(p).row_max : all.row_max;
  for (std::size_t p = 0; p < count; ++p) all.row_sum += exp(part(p).row_max - merge_base(all.row_max)) * part(p).row_sum;
  return all;
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
