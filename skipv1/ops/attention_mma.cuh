// Attention's forward pass on tensor cores, bfloat16 with float sums: tiles, an online softmax, and the probabilities kept in
// registers between the two products (Dao 2023, FlashAttention-2).
#pragma once

#include "skipv1/core/kernel_matrix.cuh"
#include "skipv1/ops/attention_device.cuh"

namespace skipv1::detail {

// A tile is rows of `width` numbers, filled up with zeros to a multiple of 16, at a stride of 8 more: then the 8 rows that
// ldmatrix reads together lie in different banks. A block of 4 warps has 64 rows, a warp 16 of them.
constexpr std::size_t mma_rows = 64, mma_keys = 64, mma_threads = 128;

SKIPV1_HOST_DEVICE std::size_t padded_width(std::size_t width) { return (width + 15) / 16 * 16; }
SKIPV1_HOST_DEVICE std::size_t mma_stride(std::size_t width) { return padded_width(width) + 8; }

/// Starts copying `rows` rows of a head, from `first` on, into a tile; zeros from row `count` on.
SKIPV1_DEVICE void copy_tile(const Shared<bfloat16>& tile, const bfloat16* from, std::size_t row_stride, std::size_t rows,
                             std::size_t first, std::size_t count, std::size_t width) {
  const auto chunks = static_cast<unsigned>(padded_width(width) / 8);
  for (unsigned at = thread().x; at < rows * chunks; at += mma_threads) {
    const std::size_t row = at / chunks, i = std::size_t{at % chunks} * 8;
    const bool valid = first + row < count && i < width;
    copy_async(tile, row * mma_stride(width) + i, valid ? from + (first + row) * row_stride + i : from, valid);
  }
}

/// `sums (16, 8 N) = a (16 rows from `row` on) b^T (8 N rows)`, both tiles of one width.
template <std::size_t N>
SKIPV1_DEVICE void multiply_by_rows(float (&sums)[N][4], const Shared<bfloat16>& a, std::size_t row, const Shared<bfloat16>& b,
                                    std::size_t width) {
  const std::size_t stride = mma_stride(width), i = lane();
  for (auto& sum : sums) sum[0] = sum[1] = sum[2] = sum[3] = 0;
  for (std::size_t k = 0; k < width; k += 16) {
    std::uint32_t fa[4];
    load_matrices<4>(fa, a, (row + i % 16) * stride + k + i / 16 * 8);
    for (std::size_t n = 0; n < N; n += 2) {
      std::uint32_t fb[4];
      load_matrices<4>(fb, b, (n * 8 + i / 16 * 8 + i % 8) * stride + k + i / 8 % 2 * 8);
      const std::uint32_t low[2] = {fb[0], fb[1]}, high[2] = {fb[2], fb[3]};
      mma(sums[n], fa, low);
      mma(sums[n + 1], fa, high);
    }
  }
}
/// `sums (16, 8 M) += weights (16, 8 N) b`, b a tile of 8 N rows; sums beyond its width are left alone. The weights are sums of
/// `multiply_by_rows`, rounded to bfloat16: a D fragment's registers are those of an A fragment.
template <std::size_t N, std::size_t M>
SKIPV1_DEVICE void multiply_by_columns(float (&sums)[M][4], const float (&weights)[N][4], const Shared<bfloat16>& b,
                                       std::size_t width) {
  const std::size_t stride = mma_stride(width), i = lane();
  for (std::size_t k = 0; k < N; k += 2) {
    const std::uint32_t fa[4] = {pack_bfloat16(weights[k][0], weights[k][1]), pack_bfloat16(weights[k][2], weights[k][3]),
                                 pack_bfloat16(weights[k + 1][0], weights[k + 1][1]),
                                 pack_bfloat16(weights[k + 1][2], weights[k + 1][3])};
    SKIPV1_UNROLL
    for (std::size_t m = 0; m < M; m += 2) {
      if (m * 8 >= width) continue;
      std::uint32_t fb[4];
      load_matrices<4, true>(fb, b, (k * 8 + i % 16) * stride + m * 8 + i / 16 * 8);
      const std::uint32_t low[2] = {fb[0], fb[1]}, high[2] = {fb[2], fb[3]};
      mma(sums[m], fa, low);
      mma(sums[m + 1], fa, high);
    }
  }
}
/// Writes 16 rows of sums, from `row` on and fewer than `rows`, times a factor for rows g and g + 8, as rows of `to`.
template <class T, std::size_t M>
SKIPV1_DEVICE void store_rows(T* to, std::size_t row_stride, std::size_t row, std::size_t rows, std::size_t width,
                              const float (&sums)[M][4], const float (&factor)[2]) {
  const std::size_t g = lane() / 4, c = lane() % 4 * 2;
  for (std::size_t half = 0; half < 2; ++half) {
    if (row + g + 8 * half >= rows) continue;
    SKIPV1_UNROLL
    for (std::size_t m = 0; m < M; ++m) {
      if (m * 8 >= width) continue;
      Vector<T, 2> pair;
      pair[0] = static_cast<T>(sums[m][2 * half] * factor[half]);
      pair[1] = static_cast<T>(sums[m][2 * half + 1] * factor[half]);
      store_vector(to + (row + g + 8 * half) * row_stride + m * 8 + c, pair);
    }
  }
}

template <std::size_t stages>
std::size_t attention_mma_bytes(std::size_t key, std::size_t value) {
  return sizeof(bfloat16) * (mma_rows * mma_stride(key) + stages * mma_keys * (mma_stride(key) + mma_stride(value)));
}

/// The online softmax of the warp's 16 rows, a lane's rows g and g + 8: in base 2, `scale` being the scores' times log2(e).
struct OnlineSoftmax {
  float most[2], sum[2];

  /// Turns the scores of 64 keys from s0 on into probabilities, up to the factor that `sum` holds; row g sees `seen` keys.
  /// Returns what earlier sums must shrink by.
  template <std::size_t N>
  SKIPV1_DEVICE_MEMBER void take(float (&x)[N][4], float (&shrink)[2], std::size_t s0, std::size_t seen, float scale) {
    const std::size_t c = lane() % 4 * 2;
    for (std::size_t half = 0; half < 2; ++half) {
      float higher = most[half];
      for (std::size_t n = 0; n < N; ++n) {
        for (std::size_t j = 0; j < 2; ++j) {
          float& score = x[n][2 * half + j];
          score = s0 + n * 8 + c + j < seen + 8 * half ? scale * score : -infinity<float>();
          higher = score > higher ? score : higher;
        }
      }
      for (unsigned step = 1; step <= 2; step *= 2) {  // the four lanes of a row
        const float other = shuffle_xor(higher, step);
        higher = other > higher ? other : higher;
      }
      shrink[half] = fast_exp2(most[half] - higher);  // every row sees key 0, so `higher` is finite
      most[half] = higher;
      sum[half] *= shrink[half];
      for (std::size_t n = 0; n < N; ++n) {
        for (std::size_t j = 0; j < 2; ++j) {
          x[n][2 * half + j] = fast_exp2(x[n][2 * half + j] - higher);
          sum[half] += x[n][2 * half + j];
        }
      }
    }
  }
};

/// Grid (row tiles, H, B). M = padded d_v / 8, at most; with two stages a tile's copy runs beside the last one's arithmetic. For
/// d = 64 a tile of 64 keys is 4 * 64^3 operations a head width of 64 on 16 KB: at long context arithmetic bounds it.
template <std::size_t M, std::size_t stages>
SKIPV1_KERNEL attention_forward_mma(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads,
                                    AttentionSizes z, float scale) {
  const std::size_t h = block().y, b = block().z,
                    first = (grid_size().x - 1 - block().x) * mma_rows;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < mma_rows ? own.rows - first : mma_rows, keys = own.past + first + rows;
  const std::size_t k_size = mma_keys * mma_stride(z.key), v_size = mma_keys * mma_stride(z.value),
                    at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = heads[h].key, value = heads[h].value;
  const Shared<bfloat16> q_tile = dynamic_shared<bfloat16>(0, mma_rows * mma_stride(z.key));
  const auto tile = [&](std::size_t elements, std::size_t size) {
    return dynamic_shared<bfloat16>(2 * (mma_rows * mma_stride(z.key) + elements), size);
  };
  const auto copy = [&](std::size_t s0) {
    const std::size_t stage = s0 / mma_keys % stages * (k_size + v_size);
    copy_tile(tile(stage, k_size), key.data + b * key.batch_stride, key.row_stride, mma_keys, s0, keys, z.key);
    copy_tile(tile(stage + k_size, v_size), value.data + b * value.batch_stride, value.row_stride, mma_keys, s0, keys, z.value);
    copy_async_commit();
  };
  const std::size_t row = warp() * 16, seen = own.past + first + row + lane() / 4 + 1;
  OnlineSoftmax softmax{{-infinity<float>(), -infinity<float>()}, {0, 0}};
  float sums[M][4] = {};
  if (value.data) {
    copy_tile(q_tile, q + at * z.key, z.heads * z.key, mma_rows, 0, rows, z.key);
    copy(0);
  }
  for (std::size_t s0 = 0; value.data && s0 < keys; s0 += mma_keys) {
    const bool ahead = stages > 1 && s0 + mma_keys < keys;
    if (ahead) copy(s0 + mma_keys);
    ahead ? copy_async_wait<1>() : copy_async_wait<0>();
    sync_threads();
    const std::size_t stage = s0 / mma_keys % stages * (k_size + v_size);
    float x[mma_keys / 8][4], shrink[2];
    multiply_by_rows(x, q_tile, row, tile(stage, k_size), z.key);
    softmax.take(x, shrink, s0, seen, scale * 1.4426950408889634f);
    for (auto& sum : sums)
      for (std::size_t j = 0; j < 4; ++j) sum[j] *= shrink[j / 2];
    multiply_by_columns(sums, x, tile(stage + k_size, v_size), z.value);
    sync_threads();
    if (stages == 1 && s0 + mma_keys < keys) copy(s0 + mma_keys);
  }
  float factor[2] = {0, 0};
  for (std::size_t half = 0; value.data && half < 2; ++half) {
    for (unsigned step = 1; step <= 2; step *= 2) softmax.sum[half] += shuffle_xor(softmax.sum[half], step);
    factor[half] = 1 / softmax.sum[half];
  }
  store_rows(out + at * z.value, z.heads * z.value, row, rows, z.value, sums, factor);
  for (std::size_t half = 0; half < 2; ++half) {
    const std::size_t r = row + lane() / 4 + 8 * half;
    if (lane() % 4 > 0 || r >= rows) continue;
    lse[at + r * z.heads] = value.data ? softmax.most[half] * 0.6931471805599453f + std::log(softmax.sum[half]) : 0;
  }
}

}  // namespace skipv1::detail
