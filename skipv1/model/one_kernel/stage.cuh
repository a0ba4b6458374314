// Staging: every block brings the rows that a phase multiplies by to its own shared memory, as they are, normed, or merged from
// attention's partial results. All blocks do the same work on data from L2, which saves a barrier of the grid each time.
#pragma once

#include "skipv1/kernel/mma.cuh"
#include "skipv1/model/one_kernel/product.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// A block's shared memory.
template <class T>
struct BlockMemory {
  using S = Sum<T>;
  StagedRows<T> rows;
  Shared<T> norm;  ///< (2, d): the next norm's weight and bias
  Reduction<S> reduction;
  Shared<S> sums;                ///< (2, warps), of up to 8 sequences (2, warps, 8)
  Shared<S> attention;           ///< in the place of `rows`
  Shared<Best<S>> best;          ///< (staged rows, pairs of a tile): the likeliest tokens so far
  Shared<std::uint32_t> held;    ///< (B): positions that the sequences hold, the newest included
  Shared<std::int32_t> tokens;   ///< (B): the newest
  Shared<std::uint32_t> layers;  ///< two layers' structs, the one at work and the next
  Shared<const T*> first_rows;   ///< (2, pairs, 2): of products, looked up ahead (`place_ahead`)
  Shared<std::uint32_t> group;   ///< (2): structs of what the block attends to next
  Shared<std::uint32_t> bounds;  ///< (2, phases, 4): and their pairs (`multiply_ahead`)
  /// The number of the group that the block attends to first, over all sequences; of one sequence then its split, and a split's
  /// keys; of more the second group's.
  Shared<std::uint32_t> place;
  Shared<S> rope;  ///< (B, rope_half, 2): at the newest positions, of up to 8 sequences

  SKIPV1_DEVICE_MEMBER BlockMemory(const Arguments<T>& a, const SharedPlan<T>& plan, unsigned column_tiles)
      : rows{dynamic_shared<T>(0, plan.norm / sizeof(T)), plan.pitch, 0},
        norm(dynamic_shared<T>(plan.norm, 2 * a.hidden)),
        reduction{dynamic_shared<S>(plan.reduce,
                                    std::size_t{reduction_turns(column_tiles)} * block_warps() * column_tiles * 4 * warp_size)},
        sums(dynamic_shared<S>(plan.sums, (plan.best - plan.sums) / sizeof(S))),
        attention(dynamic_shared<S>(0, plan.norm / sizeof(S))),
        best(dynamic_shared<Best<S>>(plan.best, std::size_t{64} * column_tiles)),
        held(dynamic_shared<std::uint32_t>(plan.held, a.batch)),
        tokens(dynamic_shared<std::int32_t>(plan.tokens, a.batch)),
        layers(dynamic_shared<std::uint32_t>(plan.layers, 2 * sizeof(Layer<T>) / 4)),
        first_rows(dynamic_shared<const T*>(plan.first_rows, 4 * (a.pairs_ahead + (phase_count - 1) * tile_pairs))),
        group(dynamic_shared<std::uint32_t>(plan.group, 2 * sizeof(Group<T>) / 4)),
        bounds(dynamic_shared<std::uint32_t>(plan.bounds, 2 * phase_count * 4)),
        place(dynamic_shared<std::uint32_t>(plan.place, 3)),
        rope(dynamic_shared<S>(plan.rope, (plan.total - plan.rope) / sizeof(S))) {}
};

/// Brings a norm's weight and bias (null: none) to shared memory, ahead of the barrier before the phase that needs them; `fast`:
/// by `cp.async`, since a load would wait for all weights in flight.
template <bool fast, class T>
SKIPV1_DEVICE void stage_norm(const BlockMemory<T>& m, const T* weight, const T* bias, std::uint32_t d) {
  if constexpr (fast) {
    constexpr std::uint32_t n = per_16_bytes<T>;
    for (std::uint32_t i = thread_number() * n; i < d; i += block_threads() * n) {
      cp_async(m.norm, i, weight + i);
      if (bias) cp_async(m.norm, d + i, bias + i);
    }
    cp_async_commit();
  } else {
    for (std::uint32_t i = thread_number(); i < d; i += block_threads()) {
      m.norm[i] = weight[i];
      if (bias) m.norm[d + i] = bias[i];
    }
  }
}

/// The warps of a block shared out among rows: a row's warps, or a warp's rows.
struct WarpsOfRow {
  unsigned warps, rows;  ///< of a row; rows at once
  SKIPV1_DEVICE_MEMBER explicit WarpsOfRow(unsigned count) {
    const unsigned all = block_warps();
    warps = all / count > 0 ? all / count : 1;
    rows = all / warps;
  }
  SKIPV1_DEVICE_MEMBER unsigned row() const { return warp() / warps; }
  SKIPV1_DEVICE_MEMBER unsigned thread() const { return warp() % warps * warp_size + lane(); }
  /// The sum of x over the threads of a row; `turn` 0 and 1 alternate.
  template <class S>
  SKIPV1_DEVICE_MEMBER S sum(const Shared<S>& memory, unsigned turn, S x) const {
    const unsigned all = block_warps(), first = turn * all + row() * warps;
    x = warp_sum(x);
    if (lane() == 0) memory[turn * all + warp()] = x;
    sync_threads();
    S sum(0);
    if (row() < rows)
      for (unsigned w = 0; w < warps; ++w) sum += static_cast<S>(memory[first + w]);
    return sum;
  }
};

/// Norms rows 0 … m.rows.count - 1 to shared memory: LayerNorm where there is a bias, else RMSNorm. `row(n)`: where row n lies;
/// `complete(n, i, x)` adds what its elements x from i on lack, and tells whether it has. A barrier of the block comes before
/// (the memory is free, the norm's weight is there) and at the end.
template <unsigned V, class T, class Row, class Complete>
SKIPV1_DEVICE void stage_normed(const BlockMemory<T>& m, std::uint32_t d, bool centred, Sum<T> epsilon, const Row& row,
                                const Complete& complete) {
  using S = Sum<T>;
  const WarpsOfRow shares(m.rows.count);
  const unsigned step = shares.warps * warp_size * V;
  for (unsigned first = 0; first < m.rows.count; first += shares.rows) {
    const unsigned n = first + shares.row();
    const bool own = n < m.rows.count && shares.row() < shares.rows;
    const std::size_t at = std::size_t{n} * m.rows.pitch;
    const auto each = [&](const auto& f) {
      for (unsigned i = shares.thread() * V; own && i < d; i += step) f(i);
    };
    S mean(0), square(0);
    const T* from = row(own ? n : first);
    each([&](unsigned i) { store_shared(m.rows.memory, at + i, load_exchanged<V>(from + i)); });
    each([&](unsigned i) {
      Vector<T, V> x = load_shared<V>(m.rows.memory, at + i);
      if (complete(n, i, x)) store_shared(m.rows.memory, at + i, x);
      for (unsigned j = 0; j < V; ++j) {
        const S v = static_cast<S>(x[j]);
        mean += v;
        square += v * v;
      }
    });
    if (centred) {
      mean = shares.sum(m.sums, 0, mean) / static_cast<S>(d);
      square = 0;
      each([&](unsigned i) {
        const Vector<T, V> x = load_shared<V>(m.rows.memory, at + i);
        for (unsigned j = 0; j < V; ++j) square += (static_cast<S>(x[j]) - mean) * (static_cast<S>(x[j]) - mean);
      });
    } else {
      mean = 0;
    }
    square = shares.sum(m.sums, 1, square);
    const S r = S(1) / std::sqrt(square / static_cast<S>(d) + epsilon) + (square - square);  // NaN where squares overflow
    each([&](unsigned i) {
      Vector<T, V> x = load_shared<V>(m.rows.memory, at + i);
      const Vector<T, V> w = load_shared<V>(m.norm, i);
      Vector<T, V> b{};
      if (centred) b = load_shared<V>(m.norm, d + i);
      for (unsigned j = 0; j < V; ++j) {
        const S z = (static_cast<S>(x[j]) - mean) * r * static_cast<S>(w[j]);
        x[j] = static_cast<T>(centred ? z + static_cast<S>(b[j]) : z);
      }
      store_shared(m.rows.memory, at + i, x);
    });
    sync_threads();
  }
}

/// Brings rows (count, width) that other blocks have stored to shared memory as they are.
template <unsigned V, class T>
SKIPV1_DEVICE void stage_rows(const BlockMemory<T>& m, const T* from, std::uint32_t width) {
  for (unsigned i = thread_number() * V; i < m.rows.count * width; i += block_threads() * V)
    store_shared(m.rows.memory, std::size_t{i / width} * m.rows.pitch + i % width, load_exchanged<V>(from + i));
  sync_threads();
}

/// Brings attention's outputs (count, H d_v) of sequences `b0 …` to shared memory, each merged of its splits' parts: an online
/// softmax over parts, in base 2.
template <unsigned V, class T>
SKIPV1_DEVICE void stage_attention(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer, std::uint32_t b0) {
  using S = Sum<T>;
  constexpr unsigned at_once = 4;
  const std::uint32_t width = a.heads * a.value_width;
  for (unsigned i = thread_number() * V; i < m.rows.count * width; i += block_threads() * V) {
    const std::uint32_t n = i / width, h = i % width / a.value_width, column = i % a.value_width;
    Vector<T, V> out{};
    if (layer.all_attend || layer.heads[h].value.data) {
      const S* part = a.partial + (std::size_t{b0 + n} * a.heads + h) * a.splits * a.part_width();
      S most = -infinity<S>(), sum(0), o[V] = {};
      for (unsigned s = 0; s < a.splits; s += at_once) {  // all loads before the first use
        Vector<S, V> x[at_once];
        Vector<S, 2> state[at_once];
        SKIPV1_UNROLL
        for (unsigned k = 0; k < at_once; ++k) {
          const S* from = part + (s + k < a.splits ? s + k : s) * a.part_width();
          x[k] = load_exchanged<V>(from + column);
          state[k] = load_exchanged<2>(from + a.part_state());
        }
        SKIPV1_UNROLL
        for (unsigned k = 0; k < at_once; ++k) {
          const S row_max = s + k < a.splits ? state[k][0] : -infinity<S>(), higher = row_max > most ? row_max : most;
          const S base = higher == -infinity<S>() ? S(0) : higher;
          const S before = fast_exp2(most - base), now = fast_exp2(row_max - base);
          most = higher;
          sum = sum * before + state[k][1] * now;
          for (unsigned j = 0; j < V; ++j) o[j] = o[j] * before + x[k][j] * now;
        }
      }
      for (unsigned j = 0; j < V; ++j) out[j] = static_cast<T>(o[j] / sum);
    }
    store_shared(m.rows.memory, std::size_t{n} * m.rows.pitch + i % width, out);
  }
  sync_threads();
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
