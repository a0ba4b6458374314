// Attention of few query rows to many keys, as in decoding, on tensor cores: the keys of all sequences are shared out evenly, so
// that neither one long sequence nor many of different lengths leave a multiprocessor idle.
//
// Bytes: 2 (d_k + d_v) a position and pair of heads, each read once for all query heads that read the pair: memory bounds it. To
// hide its latency a multiprocessor needs some 40 KB on their way; its warps have 96 to 144 KB, in pipelines of their own,
// without barriers between them.
#pragma once

#include "skipv1/core/kernel_tile.cuh"
#include "skipv1/ops/attention_device.cuh"

namespace skipv1::detail {

// A warp goes through 16 keys at a time, for up to 16 query rows: those of one sequence, of heads that read one key head and one
// value head.
constexpr unsigned decode_warps = 4, decode_keys = 16, decode_rows = 16;
template <unsigned W>
inline constexpr unsigned decode_stages = W <= 64    ? 4
                                          : W <= 128 ? 3
                                                     : 2;
constexpr std::size_t no_row = ~std::size_t{0};

/// What a call reads and writes. `partial` (warps of the grid, 2, 16, d_v + 4): weighted values, maximum and sum of rows whose
/// keys several warps share; `arrived` (warps of the grid): zero before and after.
struct Decode {
  bfloat16* out;
  float* lse;
  const bfloat16* q;
  const HeadPair<const bfloat16, Cuda>* heads;
  AttentionSizes z;
  std::size_t max_rows;  ///< of one sequence, at most 16
  float scale;           ///< times log2(e)
  float* partial;
  std::uint32_t* arrived;
};

/// Bytes of shared memory: the warps' pipelines, the heads' groups.
template <unsigned W>
SKIPV1_HOST_DEVICE std::size_t decode_tile_bytes() {
  return std::size_t{2} * decode_warps * decode_stages<W> * 2 * decode_keys * Tile<W>::pitch;
}
template <unsigned W>
std::size_t attention_decode_bytes(std::size_t heads) {
  return decode_tile_bytes<W>() + 3 * heads * sizeof(std::uint16_t);
}

/// Query heads that read the same pair of heads, in groups of at most `most`. `first[i]`: the first head of group i; `next[h]`:
/// the next head of h's pair, H if there is none.
struct HeadGroups {
  Shared<std::uint16_t> next, first, leads;
  unsigned count, most;
};
SKIPV1_DEVICE HeadGroups group_heads(std::size_t offset, const HeadPair<const bfloat16, Cuda>* heads, unsigned H, unsigned most) {
  const auto array = [&](unsigned i) { return dynamic_shared<std::uint16_t>(offset + i * H * sizeof(std::uint16_t), H); };
  HeadGroups groups{array(0), array(1), array(2), 0, most};
  for (unsigned h = thread().x; h < H; h += block_size().x) {
    const bfloat16 *key = heads[h].key.data, *value = heads[h].value.data;
    unsigned before = 0, after = H;
    for (unsigned other = 0; other < H; ++other) {
      const bool same = (heads[other].key.data == key) & (heads[other].value.data == value);
      before += same & (other < h);
      after = (same & (other > h) & (other < after)) ? other : after;
    }
    groups.next[h] = static_cast<std::uint16_t>(after);
    groups.leads[h] = before % most == 0;
  }
  sync_threads();
  for (unsigned h = thread().x; h < H; h += block_size().x) {
    unsigned before = 0;
    for (unsigned other = 0; other < h; ++other) before += groups.leads[other];
    if (groups.leads[h]) groups.first[before] = static_cast<std::uint16_t>(h);
  }
  for (unsigned h = 0; h < H; ++h) groups.count += groups.leads[h];
  sync_threads();
  return groups;
}

/// A run of tiles of one group of one sequence; all of the group's where `begin` is 0 and `end` is `tiles`.
struct DecodePiece {
  std::size_t b;
  AttentionSequence own;
  std::uint32_t group, begin, end, tiles;
};

/// How `warps` warps, each of which gets one, share the tiles of all groups of all sequences, in that order: warp w has
/// `total w / warps …`.
struct DecodePlan {
  std::uint64_t total;
  std::uint32_t warps, groups;

  SKIPV1_DEVICE_MEMBER std::uint64_t begin_of(std::uint32_t w) const { return total * w / warps; }
  SKIPV1_DEVICE_MEMBER std::uint32_t warp_of(std::uint64_t tile) const {
    return static_cast<std::uint32_t>(((tile + 1) * warps - 1) / total);
  }
};
SKIPV1_DEVICE std::uint32_t tiles_of(const AttentionSequence& own) {
  return own.rows == 0 ? 0 : static_cast<std::uint32_t>((own.past + own.rows + decode_keys - 1) / decode_keys);
}
SKIPV1_DEVICE std::uint32_t tiles_of_all(const AttentionSizes& z) {
  std::uint32_t tiles = 0;
  for (std::size_t b = lane(); b < z.batch; b += warp_size) tiles += tiles_of(sequence(z, b));
  return warp_sum(tiles);
}
/// The piece that begins at `tile` of all, which is below their number, and goes on to its group's end.
SKIPV1_DEVICE DecodePiece find_piece(const AttentionSizes& z, const DecodePlan& plan, std::uint64_t tile) {
  for (std::size_t b0 = 0;; b0 += warp_size) {
    const std::uint64_t own =
        b0 + lane() < z.batch ? std::uint64_t{tiles_of(sequence(z, b0 + lane()))} * plan.groups : std::uint64_t{0};
    std::uint64_t end = own;  // the sum over the lanes up to this one
    for (unsigned step = 1; step < warp_size; step *= 2) {
      const std::uint64_t below = shuffle(end, lane() - step);
      if (lane() >= step) end += below;
    }
    const std::uint64_t all = shuffle(end, warp_size - 1);
    if (tile >= all) {
      tile -= all;
      continue;
    }
    const unsigned which = warp_sum(tile < end ? 0u : 1u);
    const auto within = static_cast<std::uint32_t>(tile - shuffle(end - own, which));
    const AttentionSequence at = sequence(z, b0 + which);
    const std::uint32_t tiles = tiles_of(at);
    return {b0 + which, at, within / tiles, within % tiles, tiles, tiles};
  }
}
SKIPV1_DEVICE void next_piece(const AttentionSizes& z, std::uint32_t groups, DecodePiece& piece) {
  piece.begin = 0;
  piece.end = piece.tiles;
  if (++piece.group < groups) return;
  piece.group = 0;
  do {
    piece.own = sequence(z, ++piece.b);
    piece.tiles = tiles_of(piece.own);
  } while (piece.tiles == 0);
  piece.end = piece.tiles;
}

/// Which of the call's (N, H) rows is row r of a piece's 16, and how many keys it sees.
struct DecodeRow {
  std::size_t at = no_row, keys = 0;
};
SKIPV1_DEVICE DecodeRow row_of(const Decode& a, const HeadGroups& groups, const DecodePiece& piece, unsigned r) {
  const unsigned H = static_cast<unsigned>(a.z.heads), rows = static_cast<unsigned>(a.max_rows);
  const unsigned member = r / rows, t = r % rows;
  unsigned h = groups.first[piece.group];
  for (unsigned i = 0; i < member && h < H; ++i) h = groups.next[h];
  if (member >= groups.most || h >= H || t >= piece.own.rows) return {};
  return {(piece.own.begin + t) * a.z.heads + h, piece.own.past + t + 1};
}

/// The softmax's state for a warp's 16 rows, a lane's rows g and g + 8, in base 2; sums are of the lane's keys alone until
/// `join`.
template <unsigned W>
struct DecodeState {
  float most[2] = {-infinity<float>(), -infinity<float>()}, sum[2] = {}, values[W / 8][4] = {};

  /// Takes in the scores of 16 keys from s0 on and their values.
  SKIPV1_DEVICE_MEMBER void take(float (&x)[2][4], const Tile<W>& v, std::size_t s0, const DecodeRow (&row)[2], float scale) {
    const unsigned c = lane() % 4 * 2;
    float shrink[2];
    SKIPV1_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      float higher = most[half];
      for (unsigned n = 0; n < 2; ++n) {
        for (unsigned j = 0; j < 2; ++j) {
          float& score = x[n][2 * half + j];
          score = s0 + n * 8 + c + j < row[half].keys ? scale * score : -infinity<float>();
          higher = score > higher ? score : higher;
        }
      }
      for (unsigned step = 1; step <= 2; step *= 2) {
        const float other = shuffle_xor(higher, step);
        higher = other > higher ? other : higher;
      }
      const float base = higher == -infinity<float>() ? 0 : higher;  // a row may see none of the piece's keys
      shrink[half] = fast_exp2(most[half] - base);
      most[half] = higher;
      sum[half] *= shrink[half];
      for (unsigned n = 0; n < 2; ++n) {
        for (unsigned j = 0; j < 2; ++j) {
          x[n][2 * half + j] = fast_exp2(x[n][2 * half + j] - base);
          sum[half] += x[n][2 * half + j];
        }
      }
    }
    std::uint32_t p[4];
    round_to_a(p, x[0], x[1]);
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; m += 2) {
      std::uint32_t fb[2][2];
      v.load_b(fb, 0, m * 8);
      for (unsigned n = 0; n < 2; ++n) {
        for (unsigned j = 0; j < 4; ++j) values[m + n][j] *= shrink[j / 2];
        mma(values[m + n], p, fb[n]);
      }
    }
  }
  /// Sums over all keys.
  SKIPV1_DEVICE_MEMBER void join() {
    for (unsigned half = 0; half < 2; ++half)
      for (unsigned step = 1; step <= 2; step *= 2) sum[half] += shuffle_xor(sum[half], step);
  }
};

/// A warp's tiles on their way into shared memory, ahead of their use and across the ends of pieces.
template <unsigned W>
class DecodeStream {
 public:
  SKIPV1_DEVICE_MEMBER DecodeStream(const Decode& a, const HeadGroups& groups, const DecodePiece& first, std::uint64_t tiles)
      : a_(a), groups_(groups), memory_(dynamic_shared<bfloat16>(0, decode_tile_bytes<W>() / 2)), piece_(first), left_(tiles) {
    start_piece();
    for (unsigned i = 0; i < stages - 1; ++i) copy_next();
  }
  /// Waits for the next tile's keys and values, and starts another's copy. The tiles before are no longer there.
  SKIPV1_DEVICE_MEMBER void next(Tile<W>& k, Tile<W>& v) {
    copy_async_wait<stages - 2>();
    sync_warp();
    copy_next();
    k = tile(to_, 0);  // the oldest: what is copied next goes there
    v = tile(to_, 1);
  }

 private:
  static constexpr unsigned stages = decode_stages<W>;

  SKIPV1_DEVICE_MEMBER Tile<W> tile(unsigned stage, unsigned which) const {
    return {memory_, ((warp() * stages + stage) * 2 + which) * decode_keys * Tile<W>::pitch};
  }
  SKIPV1_DEVICE_MEMBER void start_piece() { pair_ = a_.heads[groups_.first[piece_.group]]; }
  SKIPV1_DEVICE_MEMBER void copy_next() {
    if (left_ > 0 && piece_.begin == piece_.end) {
      next_piece(a_.z, groups_.count, piece_);
      start_piece();
    }
    if (left_ > 0 && pair_.value.data) {
      const std::size_t s0 = std::size_t{piece_.begin} * decode_keys, count = piece_.own.past + piece_.own.rows - s0;
      const auto copy = [&](const Head<const bfloat16, Cuda>& head, unsigned which, std::size_t width) {
        tile(to_, which)
            .template copy<decode_keys, warp_size>(head.data + piece_.b * head.batch_stride + s0 * head.row_stride,
                                                   head.row_stride, count, width, lane());
      };
      copy(pair_.key, 0, a_.z.key);
      copy(pair_.value, 1, a_.z.value);
    }
    if (left_ > 0) ++piece_.begin, --left_;
    copy_async_commit();
    to_ = to_ == stages - 1 ? 0 : to_ + 1;
  }

  const Decode& a_;
  const HeadGroups& groups_;
  Shared<bfloat16> memory_;
  DecodePiece piece_;  ///< its tiles from `begin` on are still to be copied
  HeadPair<const bfloat16, Cuda> pair_;
  std::uint64_t left_;
  unsigned to_ = 0;
};

/// Goes through a piece's keys.
template <unsigned W>
SKIPV1_DEVICE void take_piece(DecodeState<W>& state, DecodeStream<W>& stream, const Decode& a, const DecodePiece& piece,
                              const DecodeRow (&row)[2], bool has_value) {
  const unsigned c = lane() % 4 * 2;
  std::uint32_t fq[W / 16][4] = {};
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W / 16; ++k) {
    for (unsigned j = 0; j < 4; ++j) {
      const unsigned i = k * 16 + j / 2 * 8;
      if (row[j % 2].at != no_row && i < a.z.key) fq[k][j] = load_pair(a.q + row[j % 2].at * a.z.key + i + c);
    }
  }
  for (std::uint32_t i = piece.begin; i < piece.end; ++i) {
    Tile<W> keys, values;
    stream.next(keys, values);
    if (!has_value) continue;
    float x[2][4] = {};
    SKIPV1_UNROLL
    for (unsigned k = 0; k < W / 16; ++k) {
      std::uint32_t fb[2][2];
      keys.load_b_transposed(fb, 0, k * 16);
      mma(x[0], fq[k], fb[0]);
      mma(x[1], fq[k], fb[1]);
    }
    state.take(x, values, std::size_t{i} * decode_keys, row, a.scale);
  }
  state.join();
}

/// The result of a row: its values over their sum, and the log-sum-exp.
SKIPV1_DEVICE void store_log_sum(const Decode& a, std::size_t at, float most, float sum) {
  a.lse[at] = sum > 0 ? most * 0.6931471805599453f + std::log(sum) : 0;
}

/// Puts the pieces of warps `first … first + count - 1` together, for R of their 16 rows from `row0` on, and writes those that
/// are some. The loads of several pieces are under way at once, as other warps' copies keep them waiting.
template <unsigned W, unsigned R>
SKIPV1_DEVICE void join_pieces(const Decode& a, const DecodeRow (&rows)[2], unsigned row0, std::uint32_t first,
                               std::uint32_t count) {
  constexpr unsigned C = W / 32, V = C < 4 ? C : 4, at_once = R == 1 ? 8 : W <= 128 ? 2 : 1;
  const std::size_t width = a.z.value + 4;
  const auto part = [&](std::uint32_t p, unsigned r) {  // a group's first piece is the second of its warp's two
    return a.partial + ((std::size_t{first + p} * 2 + (p == 0 ? 1 : 0)) * decode_rows + row0 + r) * width;
  };
  const auto column = [&](unsigned i) { return (i / V * warp_size + lane()) * V; };
  float most[R], sum[R] = {}, values[R][C] = {}, factor[R];
  for (float& m : most) m = -infinity<float>();
  for (std::uint32_t p0 = 0; p0 < count; p0 += warp_size) {
    const std::uint32_t n = count - p0 < warp_size ? count - p0 : warp_size;
    SKIPV1_UNROLL
    for (unsigned r = 0; r < R; ++r) {
      const float* own = part(p0 + (lane() < n ? lane() : 0), r) + a.z.value;
      const Vector<float, 2> state = load_vector<2>(own);
      const float own_most = lane() < n ? state[0] : -infinity<float>();
      const float higher = warp_max(own_most > most[r] ? own_most : most[r]), shrink = fast_exp2(most[r] - higher);
      factor[r] = fast_exp2(own_most - higher);
      most[r] = higher;
      sum[r] = sum[r] * shrink + warp_sum(factor[r] * state[1]);
      for (float& v : values[r]) v *= shrink;
    }
    for (std::uint32_t p = 0; p < n; p += at_once) {
      Vector<float, V> loaded[at_once][R][C / V];
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k)
        for (unsigned r = 0; r < R; ++r)
          for (unsigned i = 0; i < C / V; ++i)
            if (column(i * V) < a.z.value)
              loaded[k][r][i] = load_vector<V>(part(p0 + (p + k < n ? p + k : p), r) + column(i * V));
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k) {
        for (unsigned r = 0; r < R; ++r) {
          const float f = p + k < n ? shuffle(factor[r], (p + k) % warp_size) : 0;
          for (unsigned i = 0; i < C; ++i) values[r][i] += f * loaded[k][r][i / V][i % V];
        }
      }
    }
  }
  SKIPV1_UNROLL
  for (unsigned r = 0; r < R; ++r) {
    const std::size_t at = shuffle(row0 < 8 ? rows[0].at : rows[1].at, (row0 + r) % 8 * 4);
    if (at == no_row) continue;
    for (unsigned i = 0; i < C; ++i) {
      const unsigned j = column(i) + i % V;
      if (j < a.z.value) a.out[at * a.z.value + j] = static_cast<bfloat16>(values[r][i] / sum[r]);
    }
    if (lane() == 0) store_log_sum(a, at, most[r], sum[r]);
  }
}

/// Writes the rows of a group all of whose keys the warp had; or its part of them, and if it is the last to come, their sum.
template <unsigned W>
SKIPV1_DEVICE void store_piece(const DecodeState<W>& state, const Decode& a, const DecodePlan& plan, const DecodePiece& piece,
                               const DecodeRow (&row)[2], std::uint32_t own_warp, std::uint64_t group_begin) {
  const unsigned g = lane() / 4, c = lane() % 4 * 2;
  const bool whole = piece.begin == 0 && piece.end == piece.tiles;
  SKIPV1_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    if (row[half].at == no_row) continue;
    float* part = a.partial + ((std::size_t{own_warp} * 2 + (piece.begin == 0)) * decode_rows + half * 8 + g) * (a.z.value + 4);
    const float factor = state.sum[half] > 0 ? 1 / state.sum[half] : 0;
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; ++m) {
      if (m * 8 >= a.z.value) continue;
      const float low = state.values[m][2 * half], high = state.values[m][2 * half + 1];
      if (whole) store_pair(a.out + row[half].at * a.z.value + m * 8 + c, pack_bfloat16(low * factor, high * factor));
      if (!whole) store_vector(part + m * 8 + c, Vector<float, 2>{low, high});
    }
    if (c > 0) continue;
    if (whole) store_log_sum(a, row[half].at, state.most[half], state.sum[half]);
    if (!whole) store_vector(part + a.z.value, Vector<float, 2>{state.most[half], state.sum[half]});
  }
  if (whole) return;
  const std::uint32_t first = plan.warp_of(group_begin), count = plan.warp_of(group_begin + piece.tiles - 1) - first + 1;
  sync_warp();
  std::uint32_t before = 0;
  if (lane() == 0) before = count_up(a.arrived + first);
  if (shuffle(before, 0) + 1 < count) return;
  sync_warp();
  if (lane() == 0) a.arrived[first] = 0;
  const unsigned most = warp_max(row[1].at != no_row ? g + 8 : row[0].at != no_row ? g : 0u);
  if (most == 0) return join_pieces<W, 1>(a, row, 0, first, count);
  for (unsigned row0 = 0; row0 <= most; row0 += 4) join_pieces<W, 4>(a, row, row0, first, count);
}

/// One wave of blocks.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(decode_warps* warp_size, W <= 128 ? 2 : 1) attention_forward_decode(Decode a) {
  const unsigned most = decode_rows / static_cast<unsigned>(a.max_rows);
  const HeadGroups groups = group_heads(decode_tile_bytes<W>(), a.heads, static_cast<unsigned>(a.z.heads), most);
  const std::uint64_t total = std::uint64_t{tiles_of_all(a.z)} * groups.count;
  const std::uint32_t warps = grid_size().x * decode_warps, own_warp = block().x * decode_warps + warp();
  const DecodePlan plan{total, total < warps ? static_cast<std::uint32_t>(total) : warps, groups.count};
  if (own_warp >= plan.warps) return;
  std::uint64_t at = plan.begin_of(own_warp);
  const std::uint64_t end = plan.begin_of(own_warp + 1);
  DecodePiece piece = find_piece(a.z, plan, at);
  DecodeStream<W> stream(a, groups, piece, end - at);
  for (;; next_piece(a.z, plan.groups, piece)) {
    const std::uint64_t group_begin = at - piece.begin;
    if (end - at < piece.end - piece.begin) piece.end = piece.begin + static_cast<std::uint32_t>(end - at);
    at += piece.end - piece.begin;
    const DecodeRow row[2] = {row_of(a, groups, piece, lane() / 4), row_of(a, groups, piece, lane() / 4 + 8)};
    const bool has_value = a.heads[groups.first[piece.group]].value.data != nullptr;
    DecodeState<W> state;
    take_piece(state, stream, a, piece, row, has_value);
    if (!has_value) piece.end = piece.tiles;  // nothing to join: who begins the group writes its zeros
    if (has_value || piece.begin == 0) store_piece(state, a, plan, piece, row, own_warp, group_begin);
    if (at >= end) break;
  }
  copy_async_wait<0>();
}

}  // namespace skipv1::detail
