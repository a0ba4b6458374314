// Exercises of tutorial 09, as a reader finds them. Check one: sh tutorials/exercises.sh 09-1
#pragma once

#include <cstddef>

namespace exercise {

/// 09-1. Elements per token that `skipv1_mla` caches: a latent of width d_c (even) whose second half is layer 0's in all layers,
/// and a rotary key of width d_r per layer.
inline std::size_t skipv1_mla_elements(std::size_t layers, std::size_t d_c, std::size_t d_r) { return layers * (d_c / 2 + d_r); }

/// 09-2. The key/value group that query head h reads, of H query heads and H_kv groups; H_kv divides H.
inline std::size_t group_of(std::size_t h, std::size_t H, std::size_t H_kv) {
  (void)H;
  return h % H_kv;
}

}  // namespace exercise
