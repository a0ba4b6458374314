// Attention of few query rows to many keys, for calls with at most as many pairs of heads as multiprocessors. A block, or a
// thread-block cluster, goes through all keys of one pair of a sequence, so no second kernel merges partial results. The blocks
// of a cluster store their partial results ("parts") into each other's shared memory.
//
// A multiprocessor reads some 75 bytes per nanosecond, 1 / 55 of the card's rate, so 55 blocks keep the memory busy.
#pragma once

#include "skipv1/kernel/cluster.cuh"
#include "skipv1/ops/attention/decode.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// A call's pairs of heads, as far as the host knows them.
struct DecodePairs {
  std::size_t pairs, share;  ///< upper bounds: the pairs of all sequences; the bytes of one
  bool counted, alike;       ///< whether `pairs` is exact; whether every pair has `share` bytes
};
/// What a cluster costs in nanoseconds: its start, its barrier, a second merge. Zero in the emulator, so that small tests choose
/// clusters.
#if defined(__CUDACC__)
inline constexpr std::size_t cluster_time = 1200;
#else
inline constexpr std::size_t cluster_time = 0;
#endif
/// How many blocks share a pair, on a card of `processors` multiprocessors that holds `resident(blocks)` clusters of `blocks` at
/// once; 0: even shares and a merge take less time. Times are nanoseconds on an H200
/// (docs/performance/decode-clusters-h200.txt); per nanosecond a multiprocessor reads 75 bytes, the card 4,200.
template <class Resident>
unsigned blocks_of_pair(const DecodePairs& p, std::size_t processors, const Resident& resident) {
  constexpr std::size_t busy = 55, most_share = std::size_t{1} << 20, most_alone = 300000;
  const std::size_t all = p.pairs * p.share / 4200;
  unsigned best = 0;
  std::size_t least = all + 4000 + 32000 / std::max<std::size_t>(p.pairs, 1);
  for (const unsigned blocks : {1u, 2u, 3u, 4u, 6u, 8u}) {
    const std::size_t own = p.share / blocks, barrier = blocks == 1 ? 0 : cluster_time + 50 * (blocks - 1);
    if (p.pairs > (blocks == 1 ? processors : resident(blocks)) || (!p.alike && own > most_share)) continue;
    // If heads share pairs, some blocks are idle. Where the host does not know, that may cost the time of `most_alone` bytes.
    if (!p.counted && (own > most_share || own * (busy - std::min(busy, p.pairs * blocks)) > busy * most_alone)) continue;
    const std::size_t time = std::max(own / 75, all) + barrier;
    if (time < least) best = blocks, least = time;
  }
  return best;
}

/// A group of query heads that read one pair: the pair, the first member `lead`, and the member after it, `next` (H: none).
struct PairGroup {
  HeadPair<const bfloat16, Device> pair;
  unsigned lead, next;
};

/// Lane `from`'s head, for all lanes.
SKIPV1_DEVICE Head<const bfloat16, Device> shuffle_head(const Head<const bfloat16, Device>& head, unsigned from) {
  return {reinterpret_cast<const bfloat16*>(shuffle(reinterpret_cast<std::uintptr_t>(head.data), from)),
          shuffle(head.batch_stride, from), shuffle(head.row_stride, from)};
}

/// Finds group `number`; groups are ordered by their first members; `lead` is H if there are fewer. Each warp searches for itself
/// and loads 32 heads at once, since the loads of keys wait for the result.
SKIPV1_DEVICE PairGroup find_group(const Decode& a, unsigned number, unsigned most) {
  const auto H = static_cast<unsigned>(a.z.heads);
  for (unsigned h0 = 0; h0 < H; h0 += warp_size) {
    const unsigned h = h0 + lane();
    const HeadReader reader = h < H && a.readers ? a.readers[h] : HeadReader{};
    const HeadPair<const bfloat16, Device> own = h < H ? a.heads[h] : HeadPair<const bfloat16, Device>{};
    const bool leads = h < H && reader.pair_rank % most == 0;
    const unsigned all = ballot(leads), before = bit_count(all & ((1u << lane()) - 1)), count = bit_count(all);
    if (number >= count) {
      number -= count;
      continue;
    }
    const unsigned from = lowest_bit(ballot(leads && before == number));
    const unsigned next = shuffle(reader.pair_next == HeadReader::none ? H : unsigned{reader.pair_next}, from);
    return {{shuffle_head(own.key, from), shuffle_head(own.value, from)}, h0 + from, next};
  }
  return {{}, H, H};
}

/// Copies a warp's tiles of a pair's keys and values into shared memory, ahead of their use. Each warp of the cluster has every
/// n-th tile, for n warps.
template <unsigned W>
class PairStream {
 public:
  SKIPV1_DEVICE_MEMBER PairStream(const AttentionSizes& z, const HeadPair<const bfloat16, Device>& pair, std::size_t b,
                                  std::size_t keys, std::size_t first, std::size_t step)
      : z_(z), pair_(pair), b_(b), keys_(keys), from_(first), step_(step) {
    for (unsigned i = 0; i < Ring::stages - 1; ++i) copy_next();
  }
  /// The next tile's keys and values. It invalidates the tiles before.
  SKIPV1_DEVICE_MEMBER void next(Tile<W>& k, Tile<W>& v) {
    ring_.next(k, v, [this] { copy_next(); });
  }

 private:
  using Ring = DecodeRing<W, Caching::usual>;  // `evict_first` makes the longest rows slower

  SKIPV1_DEVICE_MEMBER void copy_next() {
    if (from_ < keys_) {
      ring_.copy(z_, pair_, b_, from_, keys_ - from_);
      from_ += step_;
    }
    ring_.commit();
  }

  const AttentionSizes& z_;
  const HeadPair<const bfloat16, Device>& pair_;
  Ring ring_;
  std::size_t b_, keys_, from_, step_;  ///< from_: the first key of the tile that is copied next
};

/// How many rows each block of a cluster writes: block `rank` writes the rows r with r % blocks = rank.
SKIPV1_HOST_DEVICE unsigned rows_of_block(unsigned blocks) { return (decode_rows + blocks - 1) / blocks; }
/// The parts in a block's shared memory: those of its warps, which overwrite the tiles; and, of the rows that it writes, those of
/// all blocks of the cluster. A part of a row is acc_o (W), row_max in base 2, row_sum.
template <unsigned W>
struct PairParts {
  static constexpr unsigned width = W + 2;
  Shared<float> of_warp, of_block;
  unsigned warps, blocks;

  SKIPV1_DEVICE_MEMBER PairParts()
      : of_warp(dynamic_shared<float>(0, std::size_t{block_size().x} / warp_size * decode_rows * width)),
        of_block(dynamic_shared<float>(decode_tile_bytes<W>(block_size().x / warp_size),
                                       cluster_blocks() > 1 ? cluster_blocks() * rows_of_block(cluster_blocks()) * width : 0)),
        warps(block_size().x / warp_size),
        blocks(cluster_blocks()) {}
  SKIPV1_DEVICE_MEMBER unsigned warp_part(unsigned w, unsigned r) const { return (w * decode_rows + r) * width; }
  SKIPV1_DEVICE_MEMBER unsigned block_part(unsigned rank, unsigned r) const {
    return (rank * rows_of_block(blocks) + r / blocks) * width;
  }
};
template <unsigned W>
std::size_t decode_pairs_bytes(std::size_t warps, unsigned blocks) {
  const std::size_t parts = blocks > 1 ? blocks * rows_of_block(blocks) : 0;
  return decode_tile_bytes<W>(warps) + parts * PairParts<W>::width * sizeof(float);
}

/// Merges `count` parts of a row: its softmax state, and columns `column` and `column + 1` of acc_o. Part p begins at
/// `parts[at(p)]`.
template <unsigned W>
struct JoinedPair {
  SoftmaxState<float> all;
  float low = 0, high = 0;

  template <class At>
  SKIPV1_DEVICE_MEMBER JoinedPair(const Shared<float>& parts, unsigned count, unsigned column, const At& at) {
    const auto exp = [](float x) { return fast_exp2(x); };
    const auto part = [&](std::size_t p) {
      const Vector<float, 2> state = load_shared<2>(parts, at(static_cast<unsigned>(p)) + W);
      return SoftmaxState<float>{state[0], state[1]};
    };
    all = merge<float>(count, part, exp);
    for (unsigned p = 0; p < count; ++p) {
      const float factor = exp(part(p).row_max - merge_base(all.row_max));
      const Vector<float, 2> values = load_shared<2>(parts, at(p) + column);
      low += factor * values[0];
      high += factor * values[1];
    }
  }
  /// Writes the two columns of row `to` of the call; column 0 also writes lse.
  SKIPV1_DEVICE_MEMBER void store(const Decode& a, std::size_t to, unsigned column) const {
    const float inverse = all.row_sum > 0 ? 1 / all.row_sum : 0;
    store_pair(a.out + to * a.z.value + column, pack_bfloat16(low * inverse, high * inverse));
    if (column == 0) a.lse[to] = log_sum_exp(all.row_max, all.row_sum);
  }
};

/// Stores the warp's part of each row into the block's shared memory, and to `place[r]` the index of row r in the call's (N, H).
template <unsigned W>
SKIPV1_DEVICE void store_part(const DecodeState<W>& state, const PairParts<W>& parts, const Shared<std::size_t>& place,
                              float scale, const DecodeRow (&row)[2]) {
  const unsigned g = lane() / 4, c = lane() % 4 * 2;
  SKIPV1_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned r = half * 8 + g, at = parts.warp_part(warp(), r);
    if (warp() == 0 && c == 0) place[r] = row[half].at;
    if (row[half].at == no_row) continue;
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; ++m)
      store_shared(parts.of_warp, at + m * 8 + c, Vector<float, 2>{state.acc_o[m][2 * half], state.acc_o[m][2 * half + 1]});
    if (c == 0)
      store_shared(parts.of_warp, at + W,
                   Vector<float, 2>{state.softmax.row_max[half] * positive_scale_log2(scale), state.softmax.row_sum[half]});
  }
}

/// Merges the parts of the block's warps, then those of the cluster's blocks, and writes the rows.
template <unsigned W>
SKIPV1_DEVICE void store_joined(const DecodeState<W>& state, const Decode& a, const DecodeRow (&row)[2]) {
  const PairParts<W> parts;
  SKIPV1_SHARED(std::size_t, place, decode_rows);
  cp_async_wait<0>();
  sync_threads();  // no tile is read any more
  store_part<W>(state, parts, place, a.scale, row);
  sync_threads();
  if (parts.blocks > 1) cluster_wait();  // all blocks have started
  const unsigned pairs = static_cast<unsigned>(a.z.value) / 2, rank = cluster_rank();
  for (unsigned i = thread().x; i < decode_rows * pairs; i += block_size().x) {
    const unsigned r = i / pairs, column = i % pairs * 2;
    if (place[r] == no_row) continue;
    const JoinedPair<W> joined(parts.of_warp, parts.warps, column, [&](unsigned w) { return parts.warp_part(w, r); });
    if (parts.blocks == 1) {
      joined.store(a, place[r], column);
      continue;
    }
    const unsigned at = parts.block_part(rank, r), to = r % parts.blocks;
    store_in_cluster(parts.of_block, (at + column) / 2, to, {joined.low, joined.high});
    if (column == 0) store_in_cluster(parts.of_block, (at + W) / 2, to, {joined.all.row_max, joined.all.row_sum});
  }
  if (parts.blocks == 1) return;
  sync_warp();  // which arrives as one
  cluster_arrive();
  cluster_wait();
  for (unsigned i = thread().x; i < rows_of_block(parts.blocks) * pairs; i += block_size().x) {
    const unsigned r = i / pairs * parts.blocks + rank, column = i % pairs * 2;
    if (r >= decode_rows || place[r] == no_row) continue;
    const JoinedPair<W> joined(parts.of_block, parts.blocks, column, [&](unsigned p) { return parts.block_part(p, r); });
    joined.store(a, place[r], column);
  }
}

/// Grid (C H, B): a cluster of C blocks per pair of heads of a sequence. The warps of the cluster take the pair's tiles in turn.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(decode_most_warps* warp_size, 1) attention_forward_decode_pairs(Decode a) {
  const auto H = static_cast<unsigned>(a.z.heads), rows = static_cast<unsigned>(a.max_rows), most = decode_rows / rows;
  const unsigned blocks = cluster_blocks(), warps = block_size().x / warp_size;
  if (blocks > 1) cluster_arrive();
  const AttentionSequence own = sequence(a.z, block().y);
  const PairGroup group = find_group(a, block().x / blocks, most);
  // Lengths and tables are read before: decoding's kernels, which alone let the next one start before they end, write none.
  wait_for_kernel_before();
  if (group.lead >= H || own.rows == 0) return;  // as do all blocks of the cluster
  DecodeRow row[2];
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned r = lane() / 4 + 8 * half, member = r / rows, t = r % rows;
    unsigned h = member == 0 ? group.lead : group.next;
    for (unsigned i = 1; i < member && h < H; ++i) h = a.readers[h].pair_next == HeadReader::none ? H : a.readers[h].pair_next;
    if (member < most && h < H && t < own.rows) row[half] = {(own.begin + t) * a.z.heads + h, own.past + t + 1};
  }
  constexpr std::size_t K = decode_keys<W>;
  const std::size_t keys = group.pair.value.data ? own.past + own.rows : 0, first = (cluster_rank() * warps + warp()) * K,
                    step = std::size_t{blocks} * warps * K;
  PairStream<W> stream(a.z, group.pair, block().y, keys, first, step);
  std::uint32_t fq[W / 16][4] = {};
  load_queries<W>(fq, a, row);
  DecodeState<W> state;
  for (std::size_t s0 = first; s0 < keys; s0 += step) {
    Tile<W> key_tile, value_tile;
    stream.next(key_tile, value_tile);
    add_tile<W>(state, fq, key_tile, value_tile, row, s0, s0 + K > own.past + 1, a.scale);
  }
  let_next_kernel_start();
  state.softmax.reduce_row_sum();
  store_joined<W>(state, a, row);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
