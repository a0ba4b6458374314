// What the one-kernel decoding step reads and writes (model/one_kernel.cuh): plain structs of sizes and addresses.
#pragma once

#include "skipv1/kernel/exchange.cuh"
#include "skipv1/ops/head.hpp"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// A weight (rows, in) and its bias (rows), or null.
template <class T>
struct Matrix {
  const T *weight = nullptr, *bias = nullptr;
  std::uint32_t rows = 0;
};

/// What a query head reads: a key head, and a value head or the mean of two (`other`); no value: its output is zero.
template <class T>
struct ReadHeads {
  Head<T, Device> key, value, other;
  const std::uint32_t *newest_key = nullptr, *newest_value = nullptr;  ///< numbered words of the newest position (`FastPhases`)
  std::uint32_t key_layer = 0, value_layer = 0;                        ///< whose they are
};

/// Query heads that read the same heads: `count` from `first` on of a layer's members, the first of which is head `member`.
template <class T>
struct alignas(16) Group {
  ReadHeads<T> heads;
  std::uint32_t first = 0, count = 0, member = 0;
};

/// One layer. Query heads that read the same heads are a group: `members` (H) lists group after group. Heads without a value are
/// in no group.
template <class T>
struct alignas(16) Layer {
  const T *norm1 = nullptr, *norm1_bias = nullptr, *norm2 = nullptr, *norm2_bias = nullptr;
  Matrix<T> query, key, value, output, gate, up, down;
  Matrix<T> head;  ///< the model's, here too: a choice among addresses of two kinds of memory is a load that waits for all others
  T *keys = nullptr, *values = nullptr;  ///< the layer's cache: (B, C, key.rows), (B, C, value.rows)
  std::uint32_t* numbered = nullptr;     ///< the newest position's keys, then values, as numbered words
  const T* mix = nullptr;                ///< (1): the share of the own value, where layer 0's is mixed in
  const T* depth = nullptr;              ///< (l + 2): weights of the outputs so far, where they are averaged
  const ReadHeads<T>* heads = nullptr;   ///< (H)
  const Group<T>* group = nullptr;       ///< (groups)
  const std::uint16_t* members = nullptr;
  std::uint32_t groups = 0;
  std::uint32_t all_attend = 1;  ///< whether every query head has a value
};

constexpr std::int32_t no_token = 0x7fffffff;  ///< chosen where a logit is NaN

/// The likeliest token of a block's part of the vocabulary.
template <class S>
struct Best {
  S logit;
  std::int32_t token;
};

/// The arguments of the kernel. B sequences, H heads of widths d_k and d_v; `activations` are of the newest position alone.
template <class T>
struct Arguments {
  using S = Sum<T>;

  std::uint32_t batch, layers, hidden, intermediate, vocab, heads, key_width, value_width, capacity;
  std::uint32_t rope_half;       ///< pairs that a head rotates; 0: none
  std::uint32_t steps;           ///< tokens per sequence
  std::uint32_t splits;          ///< parts that a sequence's keys are cut into
  std::uint32_t at_once;         ///< sequences whose rows are in shared memory at once
  std::uint32_t pieces_at_once;  ///< of attention in a block (`attend_alone`): 1 or 2
  std::uint32_t per_block;       ///< floor((2^32 - 1) / blocks): shares things out without a division
  std::uint32_t per_value;       ///< floor(2^32 / value_width) + 1
  std::uint32_t pairs_ahead;     ///< a block's pairs of rows of the projections, whole tiles: looked up ahead
  std::uint32_t outputs;         ///< block outputs that are kept: 1, or L + 1 where they are averaged
  bool layer_norm, gated;
  S epsilon, scale_log2;  ///< scale_log2: the scores' scale times log2(e)

  const Layer<T>* layer;  ///< (L)
  const T *token_table, *position_table, *norm, *norm_bias;
  const S* rope;                      ///< (positions, rope_half, 2)
  const T* const* rows_ahead;         ///< of `RowsAhead`, as
  const std::uint32_t* bounds_ahead;  ///< this
  const T* first_values;              ///< layer 0's values in the cache
  std::uint32_t first_columns;        ///< their elements per position
  const std::int32_t* past;           ///< (B) positions held before the first step
  std::int32_t* tokens;               ///< (steps + 1, B): the first row is given, step i writes row i + 1

  T *stream, *averaged;       ///< (outputs, B, d), (B, d)
  T *middle, *inner, *query;  ///< (B, d), (B, f), (B, H d_k)
  T* attended;                ///< (B, H d_v), of layers for which `attends_whole`
  /// What one sequence's phases pass on as numbered words (`store_numbered`): (d), (d), (f), (H d_k).
  std::uint32_t *numbered_stream, *numbered_middle, *numbered_inner, *numbered_query;
  T* logits;                       ///< (B, V) of the last step
  S* partial;                      ///< (B, H, splits, part_width)
  Best<S>* best;                   ///< (blocks, B)
  std::uint32_t* barrier_counter;  ///< zero when the launch begins
  std::uint64_t* timeline;         ///< (timed_barriers, blocks, 2): clocks before and after barriers, or null
  std::uint32_t timed_barriers;

  /// column / value_width. A division would wait for all loads in flight that share its scoreboard, as weights do.
  SKIPV1_DEVICE_MEMBER std::uint32_t head_of_value(std::uint32_t column) const {
    return static_cast<std::uint32_t>(std::uint64_t{column} * per_value >> 32);
  }
  /// Whether a layer's attention writes outputs, not parts: it has one split, and every query head has a value.
  SKIPV1_DEVICE_MEMBER bool attends_whole(const Layer<T>& in) const { return splits == 1 && in.all_attend; }
  /// Elements of a split's part: its numerators, then the largest score and the denominator, from `part_state` on.
  SKIPV1_HOST_DEVICE std::uint32_t part_state() const { return (value_width + 3) / 4 * 4; }
  SKIPV1_HOST_DEVICE std::uint32_t part_width() const { return part_state() + 4; }
};

/// Threads of a block on a card, and warps of the running block: the card's compiler knows them.
constexpr unsigned most_threads = 512;
SKIPV1_DEVICE unsigned block_warps() {
#if defined(__CUDACC__)
  return most_threads / warp_size;
#else
  return block_size().x / warp_size;
#endif
}
SKIPV1_DEVICE unsigned block_threads() { return block_warps() * warp_size; }

/// The least power of two that is at least n.
SKIPV1_HOST_DEVICE constexpr std::uint32_t power_of_two(std::uint32_t n) {
  std::uint32_t p = 1;
  while (p < n) p *= 2;
  return p;
}

/// Tiles whose sums lie in shared memory: with two, used alternately, one barrier per tile suffices; with 16 staged rows, which
/// leave less room, one.
SKIPV1_HOST_DEVICE constexpr unsigned reduction_turns(unsigned column_tiles) { return column_tiles == 1 ? 2 : 1; }

constexpr unsigned phase_count = 5;  ///< that are products

/// Shared memory of a block, in bytes from its beginning. A phase's rows and attention's sums share a place.
template <class T>
struct SharedPlan {
  using S = Sum<T>;
  static constexpr unsigned together = 4;  ///< query heads of a group that go through the keys at once, at most

  std::uint32_t pitch;  ///< elements between staged rows: apart by 64 bytes modulo 128, so that a warp's loads meet no bank twice
  std::size_t norm, reduce, sums, best, held, tokens, layers, first_rows, bounds, group, place, rope, total;

  SKIPV1_HOST_DEVICE SharedPlan(const Arguments<T>& a, unsigned warps, unsigned column_tiles) {
    const std::uint32_t attention = a.heads * a.value_width;
    std::uint32_t widest = a.hidden > a.intermediate ? a.hidden : a.intermediate;
    if (attention > widest) widest = attention;
    pitch = (widest + 63) / 64 * 64 + 32;
    const std::size_t rows = std::size_t{a.at_once} * pitch * sizeof(T),
                      merged = std::size_t{together} * warps * (a.value_width + 2) * sizeof(S);
    norm = round(rows > merged ? rows : merged);
    reduce = norm + round(2 * std::size_t{a.hidden} * sizeof(T));
    sums = reduce + round(std::size_t{reduction_turns(column_tiles)} * warps * column_tiles * 4 * warp_size * sizeof(S));
    best = sums + round(std::size_t{2} * warps * (a.batch <= 8 ? 8 : 1) * sizeof(S));
    held = best + round(std::size_t{64} * column_tiles * sizeof(Best<S>));
    tokens = held + round(std::size_t{a.batch} * 4);
    layers = tokens + round(std::size_t{a.batch} * 4);
    first_rows = layers + round(2 * sizeof(Layer<T>));
    bounds = first_rows + round(std::size_t{4} * (a.pairs_ahead + (phase_count - 1) * 8) * sizeof(T*));
    group = bounds + round(std::size_t{2} * phase_count * 4 * 4);
    place = group + round(2 * sizeof(Group<T>));
    rope = place + round(3 * 4);
    total = rope + round(a.batch <= 8 ? std::size_t{2} * a.batch * a.rope_half * sizeof(S) : 0);
  }
  SKIPV1_HOST_DEVICE static std::size_t round(std::size_t bytes) { return (bytes + 127) / 128 * 128; }
};

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
