// Exercises of tutorial 01, as a reader finds them. Check one: sh tutorials/exercises.sh 01-1
#pragma once

#include <cstddef>
#include <vector>

namespace exercise {

using Rows = std::vector<std::vector<double>>;  ///< one row per position

/// 01-1. Attention of one query, d wide: `o = sum over s of p_s v_s`, `p = softmax over s of q . k_s / sqrt(d)`.
inline std::vector<double> attend(const std::vector<double>& q, const Rows& keys, const Rows& values) {
  (void)q, (void)keys;
  return std::vector<double>(values[0].size(), 0.0);
}

/// 01-2. Bytes that MHA caches for `tokens` tokens: `layers` layers of `heads` heads, d wide, of numbers of `bytes` bytes.
inline std::size_t cache_bytes(std::size_t layers, std::size_t heads, std::size_t d, std::size_t bytes, std::size_t tokens) {
  return layers * heads * d * bytes * tokens;
}

}  // namespace exercise
