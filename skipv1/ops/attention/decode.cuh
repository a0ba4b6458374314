// Attention of few query rows to many keys, as in decoding, on tensor cores: the keys of all sequences are shared out evenly, so
// that neither one long sequence nor many of different lengths leave a multiprocessor idle.
//
// Memory bounds it: 2 (d_k + d_v) bytes per position and pair of heads, read once for all query heads that read the pair. To hide
// the latency of memory, a multiprocessor needs some 40 KB in flight. Its warps keep 96 to 144 KB in flight, each in a pipeline
// of its own, so that no barrier stands between them.
#pragma once

#include "skipv1/kernel/tile.cuh"
#include "skipv1/ops/attention/decode_plan.cuh"
#include "skipv1/ops/attention/merge.cuh"
#include "skipv1/ops/attention/softmax.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// The keys of a tile, and the tiles of a warp's pipeline. A block has 8 warps, or as many as its shared memory allows, and a
/// multiprocessor holds one block.
template <unsigned W>
inline constexpr unsigned decode_keys = W <= 64 ? 32 : 16;
template <unsigned W>
inline constexpr unsigned decode_stages = W <= 128 ? 3 : 2;
constexpr unsigned decode_most_warps = 8;

/// Bytes of shared memory: the warps' pipelines, the heads' groups.
template <unsigned W>
SKIPV1_HOST_DEVICE std::size_t decode_tile_bytes(std::size_t warps) {
  return std::size_t{2} * warps * decode_stages<W> * 2 * decode_keys<W> * Tile<W>::pitch;
}
template <unsigned W>
std::size_t attention_decode_bytes(std::size_t warps, std::size_t heads) {
  return decode_tile_bytes<W>(warps) + 3 * heads * sizeof(std::uint16_t);
}

/// The state of a warp's 16 rows: softmax and accumulators.
template <unsigned W>
struct DecodeState {
  OnlineSoftmax<true> softmax;
  float acc_o[W / 8][4] = {};

  /// Adds a tile of keys, by their scores, and its values; arguments as `OnlineSoftmax::update`. A row may see none of the keys.
  template <std::size_t N>
  SKIPV1_DEVICE_MEMBER void update(float (&acc_s)[N][4], const Tile<W>& v, bool masked, int seen, int more, float scale_log2) {
    float rescale[2];
    softmax.update(acc_s, rescale, masked, seen, more, scale_log2);
    rescale_acc_o(acc_o, rescale);  // always: a branch would keep loads of V from being issued before it
    SKIPV1_UNROLL
    for (unsigned k = 0; k < N; k += 2) {
      std::uint32_t p[4];
      to_a_fragment(p, acc_s[k], acc_s[k + 1]);
      SKIPV1_UNROLL
      for (unsigned m = 0; m < W / 8; m += 2) {
        std::uint32_t fb[2][2];
        v.load_b(fb, k * 8, m * 8);
        mma(acc_o[m], p, fb[0]);
        mma(acc_o[m + 1], p, fb[1]);
      }
    }
  }
};

/// How long the second-level cache keeps what is copied: keys and values are read once, and would evict queries, parts and code.
enum class Caching { usual, evict_first };

/// A warp's tiles of keys and values in shared memory: a ring that asynchronous copies fill ahead of their use.
template <unsigned W, Caching caching>
class DecodeRing {
 public:
  static constexpr unsigned stages = decode_stages<W>;

  SKIPV1_DEVICE_MEMBER DecodeRing()
      : memory_(dynamic_shared<bfloat16>(0, decode_tile_bytes<W>(block_size().x / warp_size) / 2)), policy_(evict_first()) {}

  /// Starts the copy of sequence `b`'s keys of `pair`, and of its values, from key `s0` on: a tile of them, or the `count` that
  /// are left.
  SKIPV1_DEVICE_MEMBER void copy(const AttentionSizes& z, const HeadPair<const bfloat16, Device>& pair, std::size_t b,
                                 std::size_t s0, std::size_t count) const {
    copy(pair.key, 0, b, s0, count, z.key);
    copy(pair.value, 1, b, s0, count, z.value);
  }
  /// Ends the stage of what `copy` has started since the last one; it may be nothing.
  SKIPV1_DEVICE_MEMBER void commit() {
    cp_async_commit();
    to_ = to_ == stages - 1 ? 0 : to_ + 1;
  }
  /// Waits for the oldest stage; `copy_next` then starts another's copy and commits it. The tiles before are no longer there.
  template <class CopyNext>
  SKIPV1_DEVICE_MEMBER void next(Tile<W>& k, Tile<W>& v, const CopyNext& copy_next) {
    cp_async_wait<stages - 2>();
    sync_warp();
    copy_next();
    k = tile(to_, 0);  // the oldest: what is copied next goes there
    v = tile(to_, 1);
  }

 private:
  SKIPV1_DEVICE_MEMBER Tile<W> tile(unsigned stage, unsigned which) const {
    return {memory_, ((warp() * stages + stage) * 2 + which) * decode_keys<W> * Tile<W>::pitch};
  }
  SKIPV1_DEVICE_MEMBER void copy(const Head<const bfloat16, Device>& head, unsigned which, std::size_t b, std::size_t s0,
                                 std::size_t count, std::size_t width) const {
    const bfloat16* from = head.data + b * head.batch_stride + s0 * head.row_stride;
    const Tile<W> to = tile(to_, which);
    if constexpr (caching == Caching::evict_first)
      to.template load_async<decode_keys<W>, warp_size>(from, head.row_stride, count, width, lane(), policy_);
    else
      to.template load_async<decode_keys<W>, warp_size>(from, head.row_stride, count, width, lane());
  }

  Shared<bfloat16> memory_;
  std::uint64_t policy_;
  unsigned to_ = 0;
};

/// A warp's copies in flight of tiles into shared memory, across the ends of pieces.
template <unsigned W>
class DecodeStream {
 public:
  SKIPV1_DEVICE_MEMBER DecodeStream(const Decode& a, const HeadGroups& groups, const DecodePlan& plan, const DecodePiece& first,
                                    std::uint64_t tiles)
      : a_(a), groups_(groups), plan_(plan), piece_(first), left_(tiles) {
    start_piece();
    for (unsigned i = 0; i < Ring::stages - 1; ++i) copy_next();
  }
  /// The next tile's keys and values. The tiles before are no longer there.
  SKIPV1_DEVICE_MEMBER void next(Tile<W>& k, Tile<W>& v) {
    ring_.next(k, v, [this] { copy_next(); });
  }

 private:
  using Ring = DecodeRing<W, Caching::evict_first>;

  SKIPV1_DEVICE_MEMBER void start_piece() {
    const unsigned group = group_of(groups_, plan_, piece_);
    pair_ = group < groups_.count ? a_.heads[groups_.first[group]] : HeadPair<const bfloat16, Device>{};
  }
  SKIPV1_DEVICE_MEMBER void copy_next() {
    if (left_ > 0 && piece_.begin == piece_.end) {
      next_piece<decode_keys<W>>(a_.z, plan_.sets, piece_);
      start_piece();
    }
    if (left_ > 0 && pair_.value.data) {
      const std::size_t s0 = std::size_t{piece_.begin} * decode_keys<W>;
      ring_.copy(a_.z, pair_, piece_.b, s0, piece_.own.past + piece_.own.rows - s0);
    }
    if (left_ > 0) ++piece_.begin, --left_;
    ring_.commit();
  }

  const Decode& a_;
  const HeadGroups& groups_;
  const DecodePlan& plan_;
  Ring ring_;
  DecodePiece piece_;  ///< its tiles from `begin` on are still to be copied
  HeadPair<const bfloat16, Device> pair_;
  std::uint64_t left_;
};

/// The queries of a warp's 16 rows, as fragments.
template <unsigned W>
SKIPV1_DEVICE void load_queries(std::uint32_t (&fq)[W / 16][4], const Decode& a, const DecodeRow (&row)[2]) {
  const unsigned c = lane() % 4 * 2;
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W / 16; ++k) {
    for (unsigned j = 0; j < 4; ++j) {
      const unsigned i = k * 16 + j / 2 * 8;
      if (row[j % 2].at != no_row && i < a.z.key) fq[k][j] = load_pair(a.q + row[j % 2].at * a.z.key + i + c);
    }
  }
  if (a.scale < 0) {  // after all loads, so that none waits for the one before
    for (auto& four : fq)
      for (std::uint32_t& pair : four) pair ^= 0x80008000u;  // the signs of both bfloat16
  }
}

/// Adds a tile of keys and values, which begins at key s0. `masked`: a row may not see all of them.
template <unsigned W>
SKIPV1_DEVICE void add_tile(DecodeState<W>& state, const std::uint32_t (&fq)[W / 16][4], const Tile<W>& keys,
                            const Tile<W>& values, const DecodeRow (&row)[2], std::size_t s0, bool masked, float scale) {
  constexpr unsigned K = decode_keys<W>;
  float x[K / 8][4] = {};
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W / 16; ++k) {
    SKIPV1_UNROLL
    for (unsigned n = 0; n < K / 8; n += 2) {
      std::uint32_t fb[2][2];
      keys.load_bt(fb, n * 8, k * 16);
      mma(x[n], fq[k], fb[0]);
      mma(x[n + 1], fq[k], fb[1]);
    }
  }
  const int seen = static_cast<int>(row[0].keys) - static_cast<int>(s0),
            more = static_cast<int>(row[1].keys) - static_cast<int>(row[0].keys);
  state.update(x, values, masked, seen, more, positive_scale_log2(scale));
}

/// Goes through a piece's keys.
template <unsigned W>
SKIPV1_DEVICE void take_piece(DecodeState<W>& state, DecodeStream<W>& stream, const Decode& a, const DecodePiece& piece,
                              const DecodeRow (&row)[2], bool has_value) {
  constexpr unsigned K = decode_keys<W>;
  std::uint32_t fq[W / 16][4] = {};
  load_queries<W>(fq, a, row);
  for (std::uint32_t i = piece.begin; i < piece.end; ++i) {
    Tile<W> keys, values;
    stream.next(keys, values);
    const std::size_t s0 = std::size_t{i} * K;
    if (has_value) add_tile<W>(state, fq, keys, values, row, s0, s0 + K > piece.own.past + 1, a.scale);
  }
  state.softmax.reduce_row_sum();
}

/// Writes the rows of a group all of whose keys the warp had, or its part of them, and where the parts are: with `count` teams
/// from `first_team` on.
template <unsigned W>
SKIPV1_DEVICE void store_piece(const DecodeState<W>& state, const Decode& a, const DecodePlan& plan, const DecodePiece& piece,
                               const DecodeRow (&row)[2], std::uint32_t first_team, std::uint32_t count) {
  const unsigned g = lane() / 4, c = lane() % 4 * 2;
  const bool whole = piece.begin == 0 && piece.end == piece.tiles;
  const std::uint32_t own_warp = block().x * (block_size().x / warp_size) + warp();
  SKIPV1_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    if (row[half].at == no_row) continue;
    float* part = a.partial + ((std::size_t{own_warp} * 2 + (piece.begin == 0)) * decode_rows + half * 8 + g) * (a.z.value + 4);
    const float row_max = state.softmax.row_max[half] * positive_scale_log2(a.scale), row_sum = state.softmax.row_sum[half];
    const float factor = row_sum > 0 ? 1 / row_sum : 0;
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; ++m) {
      if (m * 8 >= a.z.value) continue;
      const float low = state.acc_o[m][2 * half], high = state.acc_o[m][2 * half + 1];
      if (whole) store_pair(a.out + row[half].at * a.z.value + m * 8 + c, pack_bfloat16(low * factor, high * factor));
      if (!whole) store_vector(part + m * 8 + c, Vector<float, 2>{low, high});
    }
    if (c > 0) continue;
    if (whole) a.lse[row[half].at] = log_sum_exp(row_max, row_sum);
    if (!whole) store_vector(part + a.z.value, Vector<float, 2>{row_max, row_sum});
    if (piece.begin == 0)
      a.parts[row[half].at] = {first_team * plan.size + warp() % plan.size, plan.size, whole ? 1 : count, half * 8 + g};
  }
}

/// One wave of blocks.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(decode_most_warps* warp_size, 1) attention_forward_decode(Decode a) {
  const unsigned warps = block_size().x / warp_size;
  const unsigned most = decode_rows / static_cast<unsigned>(a.max_rows);
  const HeadGroups groups = group_heads(decode_tile_bytes<W>(warps), a.readers, static_cast<unsigned>(a.z.heads), most);
  const DecodePlan plan = make_plan(tiles_of_all<decode_keys<W>>(a.z), groups.count, grid_size().x * warps, warps);
  const std::uint32_t team = (block().x * warps + warp()) / plan.size;
  if (team >= plan.teams) return;
  std::uint64_t at = plan.begin_of(team);
  const std::uint64_t end = plan.begin_of(team + 1);
  DecodePiece piece = find_piece<decode_keys<W>>(a.z, plan, at);
  DecodeStream<W> stream(a, groups, plan, piece, end - at);
  for (;; next_piece<decode_keys<W>>(a.z, plan.sets, piece)) {
    const std::uint64_t sequence_begin = at - piece.begin;
    const std::uint32_t first_team = plan.team_of(sequence_begin),
                        count = plan.team_of(sequence_begin + piece.tiles - 1) - first_team + 1;
    if (end - at < piece.end - piece.begin) piece.end = piece.begin + static_cast<std::uint32_t>(end - at);
    at += piece.end - piece.begin;
    const unsigned group = group_of(groups, plan, piece);
    DecodeRow row[2];
    bool has_value = false;
    if (group < groups.count) {
      for (unsigned half = 0; half < 2; ++half) row[half] = row_of(a, groups, group, piece.own, lane() / 4 + 8 * half);
      has_value = a.heads[groups.first[group]].value.data != nullptr;
    }
    DecodeState<W> state;
    take_piece(state, stream, a, piece, row, has_value);
    if (!has_value) piece.end = piece.tiles;  // nothing to join: who begins writes zeros
    if (has_value || piece.begin == 0) store_piece(state, a, plan, piece, row, first_team, count);
    if (at >= end) break;
  }
  cp_async_wait<0>();
}

/// Adds the first `count` of at most `at_once` parts of a row to a lane's columns of O and their state: an online softmax over
/// parts, in base 2. All loads are issued before the first result is used. `part(k)`: part k, for k < count.
template <unsigned at_once, unsigned V, unsigned C, class Part, class Column>
SKIPV1_DEVICE void add_parts(SoftmaxState<float>& all, float (&o)[C][V], std::uint32_t count, std::size_t width, const Part& part,
                             const Column& column) {
  Vector<float, 2> state[at_once];  // row_max, row_sum
  Vector<float, V> loaded[at_once][C];
  float new_max = all.row_max;
  SKIPV1_UNROLL
  for (unsigned k = 0; k < at_once; ++k) {
    const bool there = k < count;
    const float* from = part(there ? k : 0);
    state[k] = there ? load_vector<2>(from + width) : Vector<float, 2>{-infinity<float>(), 0};
    SKIPV1_UNROLL
    for (unsigned c = 0; c < C; ++c) {
      loaded[k][c] = {};
      if (there && column(c) < width) loaded[k][c] = load_vector<V>(from + column(c));
    }
  }
  for (const Vector<float, 2>& x : state) new_max = fmaxf(new_max, x[0]);
  const float base = merge_base(new_max), rescale = fast_exp2(all.row_max - base);
  all = {new_max, all.row_sum * rescale};
  for (auto& some : o)
    for (float& v : some) v *= rescale;
  SKIPV1_UNROLL
  for (unsigned k = 0; k < at_once; ++k) {
    const float factor = fast_exp2(state[k][0] - base);
    all.row_sum += factor * state[k][1];
    for (unsigned c = 0; c < C; ++c)
      for (unsigned j = 0; j < V; ++j) o[c][j] += factor * loaded[k][c][j];
  }
}

/// One block, one row of one head: merges its parts. Each warp takes every `warps`th, several at once; the warps' results are
/// merged in shared memory.
template <unsigned warps>
SKIPV1_KERNEL SKIPV1_BOUNDS(warps* warp_size, 16 / warps) attention_merge_decode(Decode a) {
  constexpr unsigned V = 4, C = attention_widest / warp_size / V, at_once = 8;
  SKIPV1_SHARED(float, o_of_warp, warps* attention_widest);
  SKIPV1_SHARED(float, max_of_warp, warps);
  SKIPV1_SHARED(float, sum_of_warp, warps);
  const std::size_t at = block().x, width = a.z.value + 4;
  if (at >= static_cast<std::size_t>(a.z.row_begin[a.z.batch]) * a.z.heads) return;  // a row of no sequence
  const DecodeParts own = a.parts[at];
  if (own.count < 2) return;
  const auto column = [](unsigned c) { return (c * warp_size + lane()) * V; };
  SoftmaxState<float> state{-infinity<float>(), 0};
  float o[C][V] = {};
  for (std::uint32_t p0 = warp(); p0 < own.count; p0 += at_once * warps) {
    const auto part = [&](unsigned k) {  // the first is the second of its warp's two
      const std::uint32_t p = p0 + k * warps;
      return a.partial + ((std::size_t{own.first + p * own.step} * 2 + (p == 0 ? 1 : 0)) * decode_rows + own.r) * width;
    };
    add_parts<at_once>(state, o, (own.count - p0 + warps - 1) / warps, a.z.value, part, column);
  }
  for (unsigned c = 0; c < C; ++c)
    for (unsigned j = 0; j < V; ++j) o_of_warp[warp() * attention_widest + column(c) + j] = o[c][j];
  if (lane() == 0) max_of_warp[warp()] = state.row_max, sum_of_warp[warp()] = state.row_sum;
  sync_threads();
  const auto of_warp = [&](std::size_t w) { return SoftmaxState<float>{max_of_warp[w], sum_of_warp[w]}; };
  const auto exp = [](float x) { return fast_exp2(x); };
  state = merge<float>(warps, of_warp, exp);
  for (unsigned j = thread().x; j < a.z.value; j += warps * warp_size) {
    float sum(0);
    for (unsigned w = 0; w < warps; ++w)
      sum += exp(of_warp(w).row_max - merge_base(state.row_max)) * o_of_warp[w * attention_widest + j];
    a.out[at * a.z.value + j] = static_cast<bfloat16>(sum / state.row_sum);
  }
  if (thread().x == 0) a.lse[at] = log_sum_exp(state.row_max, state.row_sum);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
