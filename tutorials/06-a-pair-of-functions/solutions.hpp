// Solutions to exercises.hpp.
#pragma once

#include "skipv1/kernel/global.cuh"

namespace exercise {

using namespace skipv1;

/// One warp, one row: neighbouring lanes have neighbouring elements.
SKIPV1_KERNEL scale_rows(float* y, const float* x, const float* w, unsigned rows, unsigned d) {
  const unsigned n = block().x * 4 + warp();
  if (n >= rows) return;
  for (unsigned i = lane(); i < d; i += warp_size) store_global(y + n * d + i, load_global(x + n * d + i) * load_global(w + i));
}

SKIPV1_KERNEL reverse(float* x) {
  SKIPV1_SHARED(float, numbers, 128);
  float* const own = x + block().x * 128;
  numbers[thread().x] = load_global(own + thread().x);
  sync_threads();
  store_global(own + thread().x, static_cast<float>(numbers[127 - thread().x]));
}

SKIPV1_KERNEL twice(float* y, const float* x, unsigned n) {
  const std::size_t i = global_thread();
  if (i < n) store_global(y + i, 2 * load_global(x + i));
}

/// Through shared memory: a warp loads a row of the tile and stores a column of it. 33: a column lies in 32 banks.
SKIPV1_KERNEL transpose(float* y, const float* x, unsigned n) {
  SKIPV1_SHARED(float, tile, 32 * 33);
  const unsigned row = block().y * 32, column = block().x * 32;
  for (unsigned r = thread().y; r < 32; r += 8) tile[r * 33 + thread().x] = load_global(x + (row + r) * n + column + thread().x);
  sync_threads();
  for (unsigned r = thread().y; r < 32; r += 8)
    store_global(y + (column + r) * n + row + thread().x, static_cast<float>(tile[thread().x * 33 + r]));
}

}  // namespace exercise
