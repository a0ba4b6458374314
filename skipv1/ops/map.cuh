// Element-wise kernels: `y[i] = f(in[i]…)`.
#pragma once

#include "skipv1/device/memory.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

template <std::size_t V, class T, class F, class... Vectors>
SKIPV1_DEVICE void map_vector(T* y, const F& f, const Vectors&... in) {
  Vector<T, V> out;
  for (std::size_t j = 0; j < V; ++j) out[j] = static_cast<T>(f(static_cast<Sum<T>>(in[j])...));
  store_vector(y, out);
}
/// One thread, V outputs.
template <std::size_t V, class T, class F, class... In>
SKIPV1_KERNEL map_kernel(T* y, std::size_t n, F f, const In*... in) {
  const std::size_t i = global_thread() * V;
  if (i < n) map_vector<V>(y + i, f, load_vector<V>(in + i)...);
}

/// `y[i] = f(in[i]…)`, computed in Sum<T>; y may be one of the inputs. Memory bounds it, so loads and stores are of 16 bytes
/// where the addresses allow.
template <class T, class F, class... In>
void map(const char* name, View<T, Device> y, const F& f, const In*... in) {
  constexpr std::size_t V = per_16_bytes<T>;
  const std::size_t n = y.size();
  if (reads_16_bytes(n, y.data(), in...)) {
    launch(one_thread_each(name, n / V), map_kernel<V, T, F, In...>, y.data(), n, f, in...);
  } else {
    launch(one_thread_each(name, n), map_kernel<1, T, F, In...>, y.data(), n, f, in...);
  }
}

/// One thread, one call of `f(i)`.
template <class F>
SKIPV1_KERNEL for_each_kernel(std::size_t n, F f) {
  const std::size_t i = global_thread();
  if (i < n) f(i);
}
/// Calls the device functor f for `i = 0 … n - 1`.
template <class F>
void for_each(const char* name, std::size_t n, const F& f) {
  launch(one_thread_each(name, n), for_each_kernel<F>, n, f);
}

/// Block (32 G, R): G warps per row call `f(n, i)`; no thread divides by the width.
template <class F>
SKIPV1_KERNEL for_each_of_rows_kernel(std::size_t rows, unsigned width, F f) {
  const std::size_t n = std::size_t{block().x} * block_size().y + thread().y;
  if (n >= rows) return;
  for (unsigned i = thread().x; i < width; i += block_size().x) f(n, i);
}
/// Calls the device functor `f(n, i)` for `n = 0 … rows - 1` and `i = 0 … width - 1`. Few rows, as in decoding, have eight warps
/// each: one warp would wait for memory several times.
template <class F>
void for_each_of_rows(const char* name, std::size_t rows, std::size_t width, const F& f) {
  const std::size_t warps = rows < 1024 ? 8 : 1, rows_of_block = 8 / warps;
  launch({name, ceil_div(rows, rows_of_block), {warps * warp_size, rows_of_block}}, for_each_of_rows_kernel<F>, rows, width, f);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
