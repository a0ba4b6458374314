// The backward pass of both norms on the device: dx, dweight, dbias, the sums of dx and what the norm made, from one reading of
// x, dy and dx.
#pragma once

#include "skipv1/kernel/mma.cuh"
#include "skipv1/device/resident.cuh"
#include "skipv1/ops/column_sum.cuh"
#include "skipv1/ops/norm_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Loads per thread and row; with the column sums they need up to 128 registers.
inline constexpr std::size_t norm_loads = 3;
/// Stages of the pipeline: rows of x, dy and dx in shared memory or in flight. Two blocks of 256 threads fit 227 KiB.
inline constexpr std::size_t norm_stages = 3;

/// The elements of a load in Sum<T>. A bfloat16 takes one instruction; nvcc's conversion takes two for the second of a pair.
template <class T, std::size_t V>
struct Wide {
  Sum<T> at[V];
  SKIPV1_DEVICE_MEMBER const Sum<T>& operator[](std::size_t j) const { return at[j]; }
};
template <class T, std::size_t V>
SKIPV1_DEVICE Wide<T, V> wide(const Vector<T, V>& v) {
  Wide<T, V> x;
  if constexpr (std::is_same_v<T, bfloat16> && V > 1) {
    std::uint32_t pairs[V / 2];
    memcpy(pairs, &v, sizeof(v));
    for (std::size_t j = 0; j < V; ++j) {
      const std::uint32_t bits = j % 2 == 0 ? pairs[j / 2] << 16 : pairs[j / 2] & 0xffff0000u;
      memcpy(&x.at[j], &bits, 4);
    }
  } else {
    for (std::size_t j = 0; j < V; ++j) x.at[j] = static_cast<Sum<T>>(v[j]);
  }
  return x;
}

/// `store_vector` to global memory by one st.global.v4: nvcc may split computed bfloat16 into stores of 2 or 4 bytes.
template <class T, std::size_t V>
SKIPV1_DEVICE void store_at_once(T* to, const Vector<T, V>& v) {
#if defined(__CUDACC__)
  if constexpr (sizeof(v) == 16) {
    std::uint32_t b[4];
    memcpy(b, &v, 16);
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]) : "memory");
    return;
  }
#endif
  store_vector(to, v);
}

/// Block (32 G, R): sums a and b over the G warps of each of the R rows. All threads call it; `odd` alternates from row to row
/// and picks the buffer, since a row's partial sums may still be read while the next row's are written.
template <class S>
SKIPV1_DEVICE void row_sums(S& a, S& b, bool odd) {
  SKIPV1_SHARED(S, parts, 128);
  a = warp_sum(a), b = warp_sum(b);
  const unsigned warps = block_size().x / warp_size, first = odd ? 64 : 0;
  if (warps == 1) return;
  if (lane() == 0) parts[first + warp()] = a, parts[first + 32 + warp()] = b;
  sync_threads();
  a = b = S(0);
  for (unsigned j = first + thread().y * warps; j < first + (thread().y + 1) * warps; ++j) a += parts[j], b += parts[32 + j];
}

/// `parts[block().x, i] = sum over the block's R rows of threads of sums`, parts (blocks, d), through the shared memory of the
/// pipeline.
template <class S, std::size_t V>
SKIPV1_DEVICE void store_column_sums(S* parts, const S (&sums)[norm_loads][V], std::size_t d) {
  constexpr std::size_t P = V < per_16_bytes<S> ? V : per_16_bytes<S>;
  const unsigned threads = block_size().x * block_size().y, width = block_size().x * unsigned{norm_loads * V};
  const Shared<S> others = dynamic_shared<S>(0, block_size().y * width);
  sync_threads();
  SKIPV1_UNROLL
  for (unsigned c = 0; c < norm_loads; ++c) {
    SKIPV1_UNROLL
    for (unsigned j = 0; j < V; j += P) {
      Vector<S, P> some;
      for (unsigned k = 0; k < P; ++k) some[k] = sums[c][j + k];
      store_shared(others, thread().y * width + (c * block_size().x + thread().x) * V + j, some);
    }
  }
  sync_threads();
  for (unsigned i = thread_number(); i < d; i += threads) {
    S sum(0);
    for (unsigned y = 0; y < block_size().y; ++y) sum += others[y * width + i];
    parts[block().x * d + i] = sum;
  }
}

/// A pipeline of `stages` rows of x, dy and dx in shared memory. A thread reads only what it copied itself, so it needs no
/// barrier. The loads of a warp lie side by side.
template <class T, std::size_t V>
struct RowsAhead {
  static constexpr unsigned loads = norm_loads, piece = warp_size * V, stage = 3 * loads * piece;  // a warp's numbers
  const T* from[3];
  std::size_t rows, d;
  unsigned stages;
  Shared<T> memory = dynamic_shared<T>(0, block_size().x* block_size().y / warp_size * stages * stage);
  unsigned first = warp() * stages * stage + lane() * unsigned{V}, now = first;  ///< the places in `memory` of the stages' first

  /// Columns from one load to the next; whether the row has a load c.
  SKIPV1_DEVICE_MEMBER std::size_t width() const { return std::size_t{block_size().x} * V; }
  SKIPV1_DEVICE_MEMBER bool has(unsigned c) const { return c * width() + thread().x * V < d; }
  /// Starts the copy of row n, of which the thread's elements begin at i, to the stage at `to`.
  SKIPV1_DEVICE_MEMBER void fetch(std::size_t n, std::size_t i, unsigned to) const {
    SKIPV1_UNROLL
    for (unsigned c = 0; c < loads; ++c) {
      SKIPV1_UNROLL
      for (unsigned array = 0; array < 3 && n < rows && has(c); ++array) {
        if constexpr (V == 1)
          store_shared(memory, to + (array * loads + c) * piece, load_vector<V>(from[array] + i + c * width()));
        else
          cp_async(memory, to + (array * loads + c) * piece, from[array] + i + c * width());
      }
    }
    cp_async_commit();
  }
  SKIPV1_DEVICE_MEMBER void wait() const {
    stages == 3 ? cp_async_wait<2>() : stages == 2 ? cp_async_wait<1>() : cp_async_wait<0>();
  }
  /// Load c of the current row of x (0), dy (1) or dx (2).
  SKIPV1_DEVICE_MEMBER Wide<T, V> get(unsigned array, unsigned c) const {
    return wide(load_shared<V>(memory, now + (array * loads + c) * piece));
  }
  /// Starts the copy of row n to the current stage, and advances to the next.
  SKIPV1_DEVICE_MEMBER void replace(std::size_t n, std::size_t i) {
    fetch(n, i, now);
    now = now + stage < first + stages * stage ? now + stage : first;
  }
};

/// Where the norm's output `w z + b` (N, d) goes, from which weights' gradients are made; null `to`: not wanted. `bias` is null
/// for RMSNorm.
template <class T>
struct NormMade {
  T* to;
  const T* bias;
};

/// Which sums of dx a kernel makes beside it.
enum class SumsOfDx { none, columns };

/// Block (32 G, R), persistent: R rows at a time; V elements per load. Memory bounds it: 4 d sizeof(T) bytes per row for about 20
/// d operations; 5 d with `made`, the forward pass's output, which may alias dy: each thread writes only what it has read. It
/// reaches 3.45 TB/s, 84 % of a copy's rate, on an H200 (docs/performance/tried-h200.txt). The block's parts of dweight, of dbias
/// for LayerNorm, and with `SumsOfDx::columns` of the column sums of dx go to `parts (kinds, blocks, d)`, in this order. RMSNorm
/// has a mean of 0 that does not depend on the row, and no bias.
template <class T, std::size_t V, NormKind which, SumsOfDx sums>
SKIPV1_KERNEL SKIPV1_BOUNDS(512, 1)
    norm_backward_fast(T* dx, Sum<T>* parts, const T* dy, const T* x, const T* weight, const Sum<T>* statistics, NormMade<T> made,
                       std::size_t rows, std::size_t d, unsigned stages) {
  using S = Sum<T>;
  const S share = S(1) / static_cast<S>(d);
  const std::size_t step = std::size_t{grid_size().x} * block_size().y;
  RowsAhead<T, V> ahead{{x, dy, dx}, rows, d, stages};
  S mean(0), r(0), next_mean(0), next_r(0);
  const auto load_next = [&](std::size_t n) {
    if (centred<which> && n < rows) next_mean = statistics[2 * n];
    if (n < rows) next_r = statistics[centred<which> ? 2 * n + 1 : n];
  };
  S weight_sums[norm_loads][V] = {}, bias_sums[norm_loads][V] = {}, dx_sums[norm_loads][V] = {};
  std::size_t n = block().x * block_size().y + thread().y, i = n * d + thread().x * V;  // the row, where its numbers begin
  for (unsigned s = 0; s < stages; ++s) ahead.fetch(n + s * step, i + s * step * d, ahead.first + s * ahead.stage);
  load_next(n);
  for (bool odd = false; n - thread().y < rows; n += step, i += step * d, odd = !odd) {
    mean = next_mean, r = next_r;
    load_next(n + step);
    ahead.wait();
    const auto for_each_load = [&](const auto& f) {  // of x, dy, and the weights
      SKIPV1_UNROLL
      for (unsigned c = 0; c < norm_loads; ++c) {
        if (n >= rows || !ahead.has(c)) continue;
        f(c, ahead.get(0, c), ahead.get(1, c), wide(load_vector<V>(weight + c * ahead.width() + thread().x * V)));
      }
    };
    S g_mean(0), gz_mean(0);
    for_each_load([&](unsigned, const auto& in, const auto& dout, const auto& w) {
      for (std::size_t j = 0; j < V; ++j) {
        g_mean += w[j] * dout[j];
        gz_mean += w[j] * dout[j] * ((in[j] - mean) * r);
      }
    });
    row_sums(g_mean, gz_mean, odd);
    g_mean = centred<which> ? g_mean * share : S(0), gz_mean *= share;
    for_each_load([&](unsigned c, const auto& in, const auto& dout, const auto& w) {
      const Wide<T, V> before = ahead.get(2, c);
      Vector<T, V> out;
      for (std::size_t j = 0; j < V; ++j) {
        const S z = (in[j] - mean) * r;
        weight_sums[c][j] += dout[j] * z;
        if (centred<which>) bias_sums[c][j] += dout[j];
        out[j] = static_cast<T>(before[j] + r * (w[j] * dout[j] - g_mean - z * gz_mean));
        if (sums == SumsOfDx::columns) dx_sums[c][j] += static_cast<S>(out[j]);
      }
      store_at_once(dx + i + c * ahead.width(), out);
      if (!made.to) return;
      Wide<T, V> b{};
      if (centred<which>) b = wide(load_vector<V>(made.bias + c * ahead.width() + thread().x * V));
      for (std::size_t j = 0; j < V; ++j) out[j] = static_cast<T>((in[j] - mean) * r * w[j] + b[j]);
      store_at_once(made.to + i + c * ahead.width(), out);
    });
    ahead.replace(n + stages * step, i + stages * step * d);
  }
  const std::size_t kind = grid_size().x * d;
  store_column_sums(parts, weight_sums, d);
  if (centred<which>) store_column_sums(parts + kind, bias_sums, d);
  if (sums == SumsOfDx::columns) store_column_sums(parts + (centred<which> ? 2 : 1) * kind, dx_sums, d);
}

/// One thread, one element of what the forward pass made.
template <NormKind which, class T>
SKIPV1_KERNEL norm_made_first(NormMade<T> made, const T* x, const T* weight, const Sum<T>* statistics, std::size_t N,
                              std::size_t d) {
  using S = Sum<T>;
  const std::size_t n = global_thread() / d, i = global_thread() % d;
  if (n >= N) return;
  const S mean = centred<which> ? statistics[2 * n] : S(0), r = statistics[centred<which> ? 2 * n + 1 : n];
  const S z = (static_cast<S>(x[n * d + i]) - mean) * r * static_cast<S>(weight[i]);
  made.to[n * d + i] = static_cast<T>(centred<which> ? z + static_cast<S>(made.bias[i]) : z);
}

/// dx (N, d), dweight, dbias (LayerNorm) and, where given, dx_sums (d) accumulate: see layer_norm.hpp and rms_norm.hpp. Returns
/// false, with nothing done, where rows are longer than 1536 loads. Takes at most `room` bytes of shared memory, of which 1 KiB
/// is for `row_sums`; 73 KiB are enough.
template <NormKind which, class T>
bool norm_backward(const char* name, View<T, Device> dx, View<T, Device> dweight, View<T, Device> dbias, ConstView<T, Device> dy,
                   ConstView<T, Device> x, ConstView<T, Device> weight, ConstView<Sum<T>, Device> statistics,
                   View<T, Device> dx_sums, NormMade<T> made, std::size_t room = shared_memory_of_block()) {
  const std::size_t rows = x.rows(), d = x.width();
  const bool wide = reads_16_bytes(d, dx.data(), dy.data(), x.data(), weight.data(), made.to, made.bias);
  const std::size_t numbers = wide ? per_16_bytes<T> : 1, warps = ceil_div(d, norm_loads * warp_size * numbers);
  if (warps > 16) return false;
  if (rows == 0) return true;
  const auto kernel = !wide             ? norm_backward_fast<T, 1, which, SumsOfDx::columns>
                      : dx_sums.empty() ? norm_backward_fast<T, per_16_bytes<T>, which, SumsOfDx::none>
                                        : norm_backward_fast<T, per_16_bytes<T>, which, SumsOfDx::columns>;
  const std::size_t at_once = std::max<std::size_t>(1, 8 / warps), threads = warps * warp_size * at_once,
                    bytes_of_row = 3 * norm_loads * threads * numbers * sizeof(T),
                    stages = std::min(norm_stages, (room - 1024) / bytes_of_row), bytes = stages * bytes_of_row,
                    blocks = std::min(resident_blocks(kernel, threads, bytes), ceil_div(rows, at_once));
  Sum<T>* parts = scratch<Sum<T>>(3 * blocks * d);
  launch({name, blocks, {warps * warp_size, at_once}, bytes}, kernel, dx.data(), parts, dy.data(), x.data(), weight.data(),
         statistics.data(), made, rows, d, stages);
  add_parts<T>(name, {dweight, dbias, dx_sums}, parts, blocks);
  return true;
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
