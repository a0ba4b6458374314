// Exercises of tutorial 06, as a reader finds them. Check one: sh tutorials/exercises.sh 06-1
// Kernels run in the emulator, which counts what `load_global` and `store_global` touch.
#pragma once

#include "skipv1/kernel/global.cuh"

namespace exercise {

using namespace skipv1;

/// 06-1. `y[n, i] = x[n, i] w[i]`, rows of d floats, d a multiple of 32. Blocks of 128 threads, one for every 4 rows. It is
/// right; make it coalesced: each sector of x and y may be touched once.
SKIPV1_KERNEL scale_rows(float* y, const float* x, const float* w, unsigned rows, unsigned d) {
  const unsigned n = block().x * 4 + thread().x;
  if (thread().x >= 4 || n >= rows) return;
  for (unsigned i = 0; i < d; ++i) store_global(y + n * d + i, load_global(x + n * d + i) * load_global(w + i));
}

/// 06-2. Each block of 128 threads reverses its 128 numbers by way of shared memory. Something is missing.
SKIPV1_KERNEL reverse(float* x) {
  SKIPV1_SHARED(float, numbers, 128);
  float* const own = x + block().x * 128;
  numbers[thread().x] = load_global(own + thread().x);
  store_global(own + thread().x, static_cast<float>(numbers[127 - thread().x]));
}

/// 06-3. `y[i] = 2 x[i]`, i < n: blocks of 128 threads, as many as cover n. Something is missing.
SKIPV1_KERNEL twice(float* y, const float* x, unsigned n) {
  (void)n;
  const std::size_t i = global_thread();
  store_global(y + i, 2 * load_global(x + i));
}

/// 06-4. `y = x^T`, n x n floats, n a multiple of 32: one block of 32 x 8 threads for each 32 x 32 of x. It is right; make its
/// stores coalesced as its loads are.
SKIPV1_KERNEL transpose(float* y, const float* x, unsigned n) {
  const unsigned row = block().y * 32, column = block().x * 32 + thread().x;
  for (unsigned r = row + thread().y; r < row + 32; r += 8) store_global(y + column * n + r, load_global(x + r * n + column));
}

}  // namespace exercise
