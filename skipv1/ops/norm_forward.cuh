// The forward pass of both norms on the device.
#pragma once

#include "skipv1/device/memory.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

enum class NormKind { layer, rms };
template <NormKind kind>
inline constexpr bool centred = kind == NormKind::layer;  ///< subtracts the mean

/// One warp, one row; V elements per load. Memory bounds it: 2 d sizeof(T) bytes per row for 4 d to 7 d operations, where a row
/// has at most 32 V `kept` elements; what is longer is read again. It reaches 3.36 TB/s, 82 % of a copy's rate, on an H200
/// (docs/performance/tried-h200.txt). A lane keeps the row's first `kept` loads in registers: as few as will do, so that the
/// loads of many warps are in flight. LayerNorm has `statistics` (N, 2): mean and 1 / standard deviation. RMSNorm has a
/// mean of 0, no bias, `statistics` (N). A row whose sum of squares overflows becomes NaN, as on the CPU.
template <class T, std::size_t V, std::size_t kept, NormKind kind>
SKIPV1_KERNEL norm_forward_fast(T* y, Sum<T>* statistics, const T* x, const T* weight, const T* bias, std::size_t rows,
                                std::size_t d, Sum<T> epsilon) {
  using S = Sum<T>;
  const std::size_t n = global_thread() / warp_size;
  if (n >= rows) return;
  const T* in = x + n * d;
  constexpr std::size_t step = warp_size * V;
  Vector<T, V> own[kept];
  SKIPV1_UNROLL
  for (std::size_t c = 0; c < kept; ++c)
    if (c * step + lane() * V < d) own[c] = load_vector<V>(in + c * step + lane() * V);
  const auto for_each_load = [&](const auto& f) {
    SKIPV1_UNROLL
    for (std::size_t c = 0; c < kept; ++c)
      if (c * step + lane() * V < d) f(c * step + lane() * V, own[c]);
    for (std::size_t i = kept * step + lane() * V; i < d; i += step) f(i, load_vector<V>(in + i));
  };
  S mean(0), square(0);
  if constexpr (centred<kind>) {
    for_each_load([&](std::size_t, const Vector<T, V>& v) {
      for (std::size_t j = 0; j < V; ++j) mean += static_cast<S>(v[j]);
    });
    mean = warp_sum(mean) / static_cast<S>(d);
  }
  for_each_load([&](std::size_t, const Vector<T, V>& v) {
    for (std::size_t j = 0; j < V; ++j) square += (static_cast<S>(v[j]) - mean) * (static_cast<S>(v[j]) - mean);
  });
  square = warp_sum(square);
  const S r = S(1) / std::sqrt(square / static_cast<S>(d) + epsilon) + (square - square);
  for_each_load([&](std::size_t i, Vector<T, V> v) {
    const Vector<T, V> w = load_vector<V>(weight + i);
    Vector<T, V> b{};
    if constexpr (centred<kind>) b = load_vector<V>(bias + i);
    for (std::size_t j = 0; j < V; ++j) {
      const S z = (static_cast<S>(v[j]) - mean) * r * static_cast<S>(w[j]);
      v[j] = static_cast<T>(centred<kind> ? z + static_cast<S>(b[j]) : z);
    }
    store_vector(y + n * d + i, v);
  });
  if (lane() > 0) return;
  if (centred<kind>) statistics[2 * n] = mean;
  statistics[centred<kind> ? 2 * n + 1 : n] = r;
}

/// `layer_norm_forward`, or `rms_norm_forward`, which has no bias.
template <NormKind kind, class T>
void norm_forward(const char* name, View<T, Device> y, View<Sum<T>, Device> statistics, ConstView<T, Device> x,
                  ConstView<T, Device> weight, ConstView<T, Device> bias, double epsilon) {
  const std::size_t rows = x.rows(), d = x.width();
  const bool wide = reads_16_bytes(d, x.data(), y.data(), weight.data(), bias.data());
  constexpr std::size_t V = per_16_bytes<T>;
  const auto kernel = !wide                    ? norm_forward_fast<T, 1, 8, kind>
                      : d <= 4 * warp_size * V ? norm_forward_fast<T, V, 4, kind>
                                               : norm_forward_fast<T, V, 8, kind>;
  launch({name, ceil_div(rows, 4), 128}, kernel, y.data(), statistics.data(), x.data(), weight.data(), bias.data(), rows, d,
         epsilon);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
