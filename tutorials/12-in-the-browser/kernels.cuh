// RMSNorm's kernels of tutorial 06, with loads and stores that the emulator shows.
#pragma once

#include <cmath>
#include <cstddef>

#include "skipv1/kernel/global.cuh"

namespace playground::inline SKIPV1_FLAVOUR {

using namespace skipv1;

constexpr float epsilon = 1e-5f;

/// The library's `warp_sum` (kernel/kernel.cuh) once more, so that its shuffles are lines of this file, which the page shows.
template <class T>
SKIPV1_DEVICE T sum_over_warp(T x) {
  for (unsigned step = warp_size / 2; step > 0; step /= 2) x += shuffle_xor(x, step);
  return x;
}

/// One thread, one row: 32 lanes load from 32 rows.
SKIPV1_KERNEL one_thread_one_row(float* y, const float* x, const float* weight, std::size_t rows, std::size_t d) {
  const std::size_t n = global_thread();
  if (n >= rows) return;
  float square = 0;
  for (std::size_t i = 0; i < d; ++i) {
    const float x_i = load_global(x + n * d + i);
    square += x_i * x_i;
  }
  note_value("square", square);
  const float r = 1 / std::sqrt(square / static_cast<float>(d) + epsilon);
  note_value("r", r);
  for (std::size_t i = 0; i < d; ++i) store_global(y + n * d + i, load_global(weight + i) * load_global(x + n * d + i) * r);
}

/// One warp, one row: a lane loads four neighbours, and the lanes' sums are added up by shuffles.
SKIPV1_KERNEL one_warp_one_row(float* y, const float* x, const float* weight, std::size_t rows, std::size_t d) {
  const std::size_t n = global_thread() / warp_size;
  if (n >= rows) return;
  float square = 0;
  for (std::size_t i = lane() * 4; i < d; i += warp_size * 4) {
    const Vector<float, 4> v = load_global<4>(x + n * d + i);
    for (std::size_t j = 0; j < 4; ++j) square += v[j] * v[j];
  }
  note_value("square", square);
  const float r = 1 / std::sqrt(sum_over_warp(square) / static_cast<float>(d) + epsilon);
  note_value("r", r);
  for (std::size_t i = lane() * 4; i < d; i += warp_size * 4) {
    Vector<float, 4> v = load_global<4>(x + n * d + i);
    const Vector<float, 4> w = load_global<4>(weight + i);
    for (std::size_t j = 0; j < 4; ++j) v[j] *= r * w[j];
    store_global(y + n * d + i, v);
  }
}

/// One block, one row: each warp leaves its sum in shared memory, and behind a barrier all add them up. Without the barrier a
/// warp may read what the other has not written yet.
template <bool waits>
SKIPV1_KERNEL one_block_one_row(float* y, const float* x, const float* weight, std::size_t, std::size_t d) {
  SKIPV1_SHARED(float, partial, 32);
  const std::size_t n = block().x, i = thread().x * 4;
  Vector<float, 4> v{};
  if (i < d) v = load_global<4>(x + n * d + i);
  float square = 0;
  for (std::size_t j = 0; j < 4; ++j) square += v[j] * v[j];
  square = sum_over_warp(square);
  note_value("square", square);
  if (lane() == 0) partial[warp()] = square;
  if (waits) sync_threads();
  float sum = 0;
  for (unsigned w = 0; w < block_size().x / warp_size; ++w) sum += partial[w];
  const float r = 1 / std::sqrt(sum / static_cast<float>(d) + epsilon);
  note_value("r", r);
  if (i >= d) return;
  const Vector<float, 4> w = load_global<4>(weight + i);
  for (std::size_t j = 0; j < 4; ++j) v[j] *= r * w[j];
  store_global(y + n * d + i, v);
}

}  // namespace playground::inline SKIPV1_FLAVOUR
