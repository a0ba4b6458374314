// What every kernel of the ladder computes: causal attention in bfloat16 by heads of 128, with sums in float,
//
//   O[h, t] = sum over s <= keys - rows + t of softmax(scale Q[h, t] . K[h, s]) V[h, s]
//
// Row t sees the first `keys - rows + t + 1` keys: rows are a sequence's last positions (docs/spec/models.md).
#pragma once

#include "skipv1/kernel/global.cuh"
#include "skipv1/kernel/tma.cuh"
#include "skipv1/kernel/wgmma.cuh"

namespace ladder::inline SKIPV1_FLAVOUR {

using namespace skipv1;

inline constexpr unsigned D = 128;  ///< the width of a head
/// Floats of a row's part in split-KV: O, row_max, row_sum, and what makes a multiple of 32 bytes of it.
inline constexpr unsigned part_pitch = D + 8;

struct Attention {
  bfloat16* out;              ///< (heads, rows, D)
  const bfloat16 *q, *k, *v;  ///< (heads, rows, D), (heads, keys, D) twice
  float* scratch;             ///< scores (heads, rows, keys); split-KV: (heads, parts, rows, part_pitch)
  TensorMap* maps;            ///< (heads, 3): of Q, K and V
  unsigned heads, rows, keys;
  float scale;

  /// How many keys row t sees.
  SKIPV1_DEVICE_MEMBER unsigned seen(unsigned t) const { return keys - rows + t + 1; }
  /// Row t of a head, and the first key and value of a head.
  SKIPV1_DEVICE_MEMBER std::size_t row(unsigned h, unsigned t) const { return (std::size_t{h} * rows + t) * D; }
  SKIPV1_DEVICE_MEMBER std::size_t key(unsigned h) const { return std::size_t{h} * keys * D; }
};

/// Rows of a block's tile of R rows; the last tile, whose rows see most keys, comes first, so that the card ends evenly.
template <unsigned R>
SKIPV1_DEVICE unsigned first_row() {
  return (grid_size().x - 1 - block().x) * R;
}

}  // namespace ladder::inline SKIPV1_FLAVOUR
