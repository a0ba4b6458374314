// The online softmax on fragments of accumulators: used by every tensor core kernel of the forward pass and by decoding.
//
//   row_max' = max(row_max, max over s of S_s)
//   row_sum' = 2^(row_max - row_max') row_sum + sum over s of 2^(S_s - row_max')
//   O'       = 2^(row_max - row_max') O + P' V                                (Milakov and Gimelshein 2018; Dao et al. 2022)
//
// Exponents are in base 2: the scores are multiplied by scale_log2 = |scale| log2(e), and queries are negated where scale < 0.
#pragma once

#include "skipv1/kernel/mma.cuh"
#include "skipv1/ops/attention/common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// `|scale| log2(e)`; a scale of zero becomes one that no score makes visible, so that masked scores times it stay -infinity.
SKIPV1_DEVICE float positive_scale_log2(float scale) { return fmaxf(fabsf(scale) * static_cast<float>(log2_e), 1e-30f); }

/// `log(sum over s of exp(scale S_s))` of a row, from its scaled maximum in base 2 and its sum; 0 for a row that sees no key.
SKIPV1_DEVICE float log_sum_exp(float row_max_log2, float row_sum) {
  return row_sum > 0 ? row_max_log2 * static_cast<float>(1 / log2_e) + std::log(row_sum) : 0;
}

/// Multiplies rows g and g + 8 of acc_o by their factors.
template <std::size_t M>
SKIPV1_DEVICE void rescale_acc_o(float (&acc_o)[M][4], const float (&rescale)[2]) {
  SKIPV1_UNROLL
  for (auto& acc : acc_o)
    for (unsigned l = 0; l < 4; ++l) acc[l] *= rescale[l / 2];
}

/// The state of a warp's 16 rows, of which a lane has rows g = lane / 4 and g + 8 (`half` 0 and 1).
///
/// `row_max` is an unscaled score that no later one exceeds by more than `slack` doublings. So acc_o is rescaled in the first few
/// tiles only (FlashAttention-4's rule); the factor that this leaves in P, at most 2^slack, cancels in the division by row_sum.
/// `row_sum` covers the lane's keys alone until `reduce_row_sum`. `may_see_none`: a row may see no key of its first tiles, as in
/// decoding; elsewhere every row sees key 0, so row_max is finite from the first tile on.
template <bool may_see_none = false>
struct OnlineSoftmax {
  static constexpr float slack = 8;
  float row_max[2] = {-infinity<float>(), -infinity<float>()}, row_sum[2] = {};

  /// Replaces the scores of 8 N keys by probabilities, up to the factor that row_sum holds too. Returns whether acc_o must be
  /// multiplied by `rescale`. Where `masked`, row g sees the first `seen` of the keys, row g + 8 `more` keys more.
  template <std::size_t N>
  SKIPV1_DEVICE_MEMBER bool update(float (&acc_s)[N][4], float (&rescale)[2], bool masked, int seen, int more,
                                   float scale_log2) {
    const int c = static_cast<int>(lane() % 4 * 2);
    if (masked) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n)
        for (unsigned j = 0; j < 4; ++j)
          if (static_cast<int>(n * 8 + j % 2) + c >= seen + (j < 2 ? 0 : more)) acc_s[n][j] = -infinity<float>();
    }
    SKIPV1_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      float new_max = row_max[half];
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) new_max = fmaxf(new_max, fmaxf(acc_s[n][2 * half], acc_s[n][2 * half + 1]));
      for (unsigned step = 1; step <= 2; step *= 2) new_max = fmaxf(new_max, shuffle_xor(new_max, step));  // the row's four lanes
      const bool rescales = (new_max - row_max[half]) * scale_log2 > slack;  // false where both are -infinity
      rescale[half] = rescales ? fast_exp2((row_max[half] - new_max) * scale_log2) : 1;
      row_max[half] = rescales ? new_max : row_max[half];
      const float max_scaled = scaled_max(half, scale_log2);
      float tile_sum(0);
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) {
        for (unsigned j = 2 * half; j < 2 * half + 2; ++j) {
          acc_s[n][j] = fast_exp2(acc_s[n][j] * scale_log2 - max_scaled);
          tile_sum += acc_s[n][j];
        }
      }
      row_sum[half] = row_sum[half] * rescale[half] + tile_sum;
    }
    return rescale[0] < 1 || rescale[1] < 1;
  }
  /// The row's maximum in base 2; 0 where the row has seen no key.
  SKIPV1_DEVICE_MEMBER float scaled_max(unsigned half, float scale_log2) const {
    return may_see_none && row_max[half] == -infinity<float>() ? 0 : row_max[half] * scale_log2;
  }
  /// Sums row_sum over the four lanes of each row.
  SKIPV1_DEVICE_MEMBER void reduce_row_sum() {
    for (unsigned half = 0; half < 2; ++half)
      for (unsigned step = 1; step <= 2; step *= 2) row_sum[half] += shuffle_xor(row_sum[half], step);
  }
  /// The factors that turn acc_o into O; and the rows' log-sum-exp to `lse[r * stride]`, the first row being r = `row` of `rows`.
  SKIPV1_DEVICE_MEMBER void finalize(float (&factor)[2], float* lse, std::size_t stride, std::size_t row, std::size_t rows,
                                     float scale_log2) {
    reduce_row_sum();
    for (unsigned half = 0; half < 2; ++half) {
      factor[half] = 1 / row_sum[half];
      const std::size_t r = row + lane() / 4 + 8 * half;
      if (lane() % 4 == 0 && r < rows) lse[r * stride] = log_sum_exp(scaled_max(half, scale_log2), row_sum[half]);
    }
  }
};

/// The backward pass's probability of a score: `p = 2^(scale_log2 S - lse_log2)`, zero where the row does not see the key.
SKIPV1_DEVICE float probability(float score, bool seen, float scale_log2, float lse_log2) {
  return seen ? fast_exp2(score * scale_log2 - lse_log2) : 0;
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
