// Attention's backward pass on tensor cores, with the kernels' division of attention_backward.cuh: rows' gradients, then heads'.
#pragma once

#include "skipv1/ops/attention_backward.cuh"
#include "skipv1/ops/attention_mma.cuh"

namespace skipv1::detail {

constexpr std::size_t mma_step = 32;  ///< keys, or rows, that a block goes through at a time

inline std::size_t attention_mma_backward_bytes(std::size_t key, std::size_t value) {
  return sizeof(bfloat16) * (mma_rows + mma_step) * (mma_stride(key) + mma_stride(value)) + sizeof(float) * 2 * mma_step;
}

/// Grid (row tiles, H, B): dq. M = the wider head's padded width / 8.
template <std::size_t M>
SKIPV1_KERNEL attention_backward_query_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  const std::size_t h = block().y, b = block().z, first = (grid_size().x - 1 - block().x) * mma_rows;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < mma_rows ? own.rows - first : mma_rows, keys = own.past + first + rows;
  const std::size_t ks = mma_stride(z.key), vs = mma_stride(z.value), at = (own.begin + first) * z.heads + h;
  const Shared<bfloat16> q_tile = dynamic_shared<bfloat16>(0, mma_rows * ks);
  const Shared<bfloat16> dout_tile = dynamic_shared<bfloat16>(2 * mma_rows * ks, mma_rows * vs);
  const Shared<bfloat16> k_tile = dynamic_shared<bfloat16>(2 * mma_rows * (ks + vs), mma_step * ks);
  const Shared<bfloat16> v_tile = dynamic_shared<bfloat16>(2 * (mma_rows * (ks + vs) + mma_step * ks), mma_step * vs);
  const Head<const bfloat16, Cuda> key = a.heads[h].key, value = a.heads[h].value;
  const std::size_t row = warp() * 16, g = lane() / 4, c = lane() % 4 * 2;
  float lse[2] = {}, delta[2] = {}, sums[M][4] = {};
  for (std::size_t half = 0; half < 2; ++half) {
    if (row + g + 8 * half >= rows) continue;
    lse[half] = a.lse[at + (row + g + 8 * half) * z.heads];
    delta[half] = a.delta[at + (row + g + 8 * half) * z.heads];
  }
  copy_tile(q_tile, a.q + at * z.key, z.heads * z.key, mma_rows, 0, rows, z.key);
  copy_tile(dout_tile, a.dout + at * z.value, z.heads * z.value, mma_rows, 0, rows, z.value);
  for (std::size_t s0 = 0; value.data && s0 < keys; s0 += mma_step) {
    copy_tile(k_tile, key.data + b * key.batch_stride, key.row_stride, mma_step, s0, keys, z.key);
    copy_tile(v_tile, value.data + b * value.batch_stride, value.row_stride, mma_step, s0, keys, z.value);
    copy_async_commit();
    copy_async_wait<0>();
    sync_threads();
    float x[mma_step / 8][4], dp[mma_step / 8][4];
    multiply_by_rows(x, q_tile, row, k_tile, z.key);
    multiply_by_rows(dp, dout_tile, row, v_tile, z.value);
    for (std::size_t n = 0; n < mma_step / 8; ++n) {
      for (std::size_t j = 0; j < 4; ++j) {
        const bool seen = s0 + n * 8 + c + j % 2 < own.past + first + row + g + j / 2 * 8 + 1;
        const float p = seen ? fast_exp2((scale * x[n][j] - lse[j / 2]) * 1.4426950408889634f) : 0;
        x[n][j] = scale * p * (dp[n][j] - delta[j / 2]);
      }
    }
    multiply_by_columns(sums, x, k_tile, z.key);
    sync_threads();
  }
  copy_async_wait<0>();  // the rows' own copies, where there was no key
  const float factor[2] = {1, 1};
  store_rows(a.dq + at * z.key, z.heads * z.key, row, rows, z.key, sums, factor);
}

/// Grid (key tiles, H, B): query head h's part of dk and dv. Each warp has 16 keys and goes through the rows 32 at a time, with
/// transposed scores.
template <std::size_t M>
SKIPV1_KERNEL attention_backward_heads_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  const std::size_t h = block().y, b = block().z, s0 = block().x * mma_rows;
  const AttentionSequence own = sequence(z, b);
  const std::size_t keys = own.past + own.rows, ks = mma_stride(z.key), vs = mma_stride(z.value);
  const Head<const bfloat16, Cuda> key = a.heads[h].key, value = a.heads[h].value;
  if (s0 >= keys || !value.data) return;
  const Shared<bfloat16> k_tile = dynamic_shared<bfloat16>(0, mma_rows * ks);
  const Shared<bfloat16> v_tile = dynamic_shared<bfloat16>(2 * mma_rows * ks, mma_rows * vs);
  const Shared<bfloat16> q_tile = dynamic_shared<bfloat16>(2 * mma_rows * (ks + vs), mma_step * ks);
  const Shared<bfloat16> dout_tile = dynamic_shared<bfloat16>(2 * (mma_rows * (ks + vs) + mma_step * ks), mma_step * vs);
  const Shared<float> row_numbers =
      dynamic_shared<float>(2 * (mma_rows + mma_step) * (ks + vs), 2 * mma_step);  // lse, then delta
  const std::size_t own_key = warp() * 16, g = lane() / 4, c = lane() % 4 * 2, at = own.begin * z.heads + h;
  float dk[M][4] = {}, dv[M][4] = {};
  copy_tile(k_tile, key.data + b * key.batch_stride, key.row_stride, mma_rows, s0, keys, z.key);
  copy_tile(v_tile, value.data + b * value.batch_stride, value.row_stride, mma_rows, s0, keys, z.value);
  const std::size_t begin = s0 < own.past ? 0 : (s0 - own.past) / mma_step * mma_step;  // rows before it do not see these keys
  for (std::size_t first = begin; first < own.rows; first += mma_step) {
    copy_tile(q_tile, a.q + at * z.key, z.heads * z.key, mma_step, first, own.rows, z.key);
    copy_tile(dout_tile, a.dout + at * z.value, z.heads * z.value, mma_step, first, own.rows, z.value);
    copy_async_commit();
    if (thread().x < 2 * mma_step) {
      const std::size_t row = first + thread().x % mma_step;
      const float* from = thread().x < mma_step ? a.lse : a.delta;
      row_numbers[thread().x] = row < own.rows ? from[at + row * z.heads] : 0.f;
    }
    copy_async_wait<0>();
    sync_threads();
    float p[mma_step / 8][4], dp[mma_step / 8][4];
    multiply_by_rows(p, k_tile, own_key, q_tile, z.key);
    multiply_by_rows(dp, v_tile, own_key, dout_tile, z.value);
    for (std::size_t n = 0; n < mma_step / 8; ++n) {
      for (std::size_t j = 0; j < 4; ++j) {
        const std::size_t i = n * 8 + c + j % 2, row = first + i;
        const bool seen = row < own.rows && s0 + own_key + g + j / 2 * 8 < own.past + row + 1;
        p[n][j] = seen ? fast_exp2((scale * p[n][j] - row_numbers[i]) * 1.4426950408889634f) : 0;
        dp[n][j] = scale * p[n][j] * (dp[n][j] - row_numbers[mma_step + i]);
      }
    }
    multiply_by_columns(dv, p, dout_tile, z.value);
    multiply_by_columns(dk, dp, q_tile, z.key);
    sync_threads();
  }
  const float factor[2] = {1, 1};
  const std::size_t to = (h * z.batch + b) * a.positions + s0, count = keys - s0 < mma_rows ? keys - s0 : mma_rows;
  store_rows(a.dkeys + to * z.key, z.key, own_key, count, z.key, dk, factor);
  store_rows(a.dvalues + to * z.value, z.value, own_key, count, z.value, dv, factor);
}

}  // namespace skipv1::detail
