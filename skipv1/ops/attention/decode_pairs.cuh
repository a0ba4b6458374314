// Attention of few query rows to many keys where pairs of heads are at most as many as multiprocessors: a block for each pair of
// a sequence goes through all of its keys, so that there are no parts for a second kernel to join.
//
// A multiprocessor reads some 75 bytes a nanosecond, of what the card can one part in 55: that many blocks keep the memory busy.
#pragma once

#include "skipv1/ops/attention/decode.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Whether a block for each pair takes less time than even shares and a join, which take 4 us more: `share` bytes of each of
/// `pairs` pairs, at most, on a card of `processors` multiprocessors. Unequal sequences cost the time of a share at most.
inline bool few_pairs(std::size_t pairs, std::size_t share, std::size_t processors) {
  constexpr std::size_t busy = 55, most_share = std::size_t{1} << 20, most_alone = 300000;
  return pairs <= processors && share <= most_share && share * (busy - std::min(busy, pairs)) <= busy * most_alone;
}

/// The query heads of one group, and what they read: the first member, and the one behind it; H: none.
struct PairGroup {
  HeadPair<const bfloat16, Device> pair;
  unsigned lead, next;
};

/// A lane's head, for all lanes.
SKIPV1_DEVICE Head<const bfloat16, Device> shuffle_head(const Head<const bfloat16, Device>& head, unsigned from) {
  return {reinterpret_cast<const bfloat16*>(shuffle(reinterpret_cast<std::uintptr_t>(head.data), from)),
          shuffle(head.batch_stride, from), shuffle(head.row_stride, from)};
}

/// Finds group `number` of the heads, in order of their first members; `lead` is H if there are fewer. By each warp for itself:
/// all heads are loaded at once, for the keys wait for them.
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

/// A warp's tiles of a pair's keys: every `warps`th, on their way into shared memory.
template <unsigned W>
class PairStream {
 public:
  SKIPV1_DEVICE_MEMBER PairStream(const AttentionSizes& z, const HeadPair<const bfloat16, Device>& pair, std::size_t b,
                                  std::size_t keys)
      : z_(z), pair_(pair), b_(b), keys_(keys), from_(std::size_t{warp()} * decode_keys<W>) {
    for (unsigned i = 0; i < DecodeRing<W>::stages - 1; ++i) copy_next();
  }
  /// The next tile's keys and values. The tiles before are no longer there.
  SKIPV1_DEVICE_MEMBER void next(Tile<W>& k, Tile<W>& v) {
    ring_.next(k, v, [this] { copy_next(); });
  }

 private:
  SKIPV1_DEVICE_MEMBER void copy_next() {
    if (from_ < keys_) {
      ring_.copy(z_, pair_, b_, from_, keys_ - from_);
      from_ += std::size_t{block_size().x / warp_size} * decode_keys<W>;
    }
    ring_.commit();
  }

  const AttentionSizes& z_;
  const HeadPair<const bfloat16, Device>& pair_;
  DecodeRing<W> ring_;
  std::size_t b_, keys_, from_;  ///< from_: the first key of the tile that is copied next
};

/// Joins the warps' states of `rows` rows of the block in shared memory, and writes them; `at[r]`: which of the call's (N, H)
/// rows is row r, `no_row` if none.
template <unsigned W>
SKIPV1_DEVICE void store_joined(const DecodeState<W>& state, const Decode& a, const DecodeRow (&row)[2]) {
  constexpr unsigned width = W + 2;
  const unsigned warps = block_size().x / warp_size, g = lane() / 4, c = lane() % 4 * 2;
  const float scale_log2 = positive_scale_log2(a.scale);
  const auto o_of_warp = dynamic_shared<float>(0, std::size_t{warps} * decode_rows * width);
  SKIPV1_SHARED(std::size_t, place, decode_rows);
  cp_async_wait<0>();
  sync_threads();  // no tile is read any more
  SKIPV1_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned r = half * 8 + g, base = (warp() * decode_rows + r) * width;
    if (warp() == 0 && c == 0) place[r] = row[half].at;
    if (row[half].at == no_row) continue;
    SKIPV1_UNROLL
    for (unsigned m = 0; m < W / 8; ++m)
      for (unsigned j = 0; j < 2; ++j) o_of_warp[base + m * 8 + c + j] = state.acc_o[m][2 * half + j];
    if (c == 0)
      o_of_warp[base + W] = state.softmax.row_max[half] * scale_log2, o_of_warp[base + W + 1] = state.softmax.row_sum[half];
  }
  sync_threads();
  const auto pairs = static_cast<unsigned>(a.z.value) / 2;
  for (unsigned i = thread().x; i < decode_rows * pairs; i += block_size().x) {
    const unsigned r = i / pairs, column = i % pairs * 2;
    const std::size_t at = place[r];
    if (at == no_row) continue;
    const auto of_warp = [&](std::size_t w) {
      const std::size_t base = (w * decode_rows + r) * width + W;
      return SoftmaxState<float>{o_of_warp[base], o_of_warp[base + 1]};
    };
    const auto exp = [](float x) { return fast_exp2(x); };
    const SoftmaxState<float> all = merge<float>(warps, of_warp, exp);
    float low(0), high(0);
    for (unsigned w = 0; w < warps; ++w) {
      const float factor = exp(of_warp(w).row_max - merge_base(all.row_max));
      low += factor * o_of_warp[(w * decode_rows + r) * width + column];
      high += factor * o_of_warp[(w * decode_rows + r) * width + column + 1];
    }
    const float inverse = all.row_sum > 0 ? 1 / all.row_sum : 0;
    store_pair(a.out + at * a.z.value + column, pack_bfloat16(low * inverse, high * inverse));
    if (column == 0) a.lse[at] = log_sum_exp(all.row_max, all.row_sum);
  }
}

/// Grid (H, B): a pair of heads of a sequence each.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(decode_most_warps* warp_size, 1) attention_forward_decode_pairs(Decode a) {
  const auto H = static_cast<unsigned>(a.z.heads), rows = static_cast<unsigned>(a.max_rows), most = decode_rows / rows;
  const AttentionSequence own = sequence(a.z, block().y);
  const PairGroup group = find_group(a, block().x, most);
  if (group.lead >= H || own.rows == 0) return;
  DecodeRow row[2];
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned r = lane() / 4 + 8 * half, member = r / rows, t = r % rows;
    unsigned h = member == 0 ? group.lead : group.next;
    for (unsigned i = 1; i < member && h < H; ++i) h = a.readers[h].pair_next == HeadReader::none ? H : a.readers[h].pair_next;
    if (member < most && h < H && t < own.rows) row[half] = {(own.begin + t) * a.z.heads + h, own.past + t + 1};
  }
  const std::size_t keys = group.pair.value.data ? own.past + own.rows : 0;
  PairStream<W> stream(a.z, group.pair, block().y, keys);
  std::uint32_t fq[W / 16][4] = {};
  load_queries<W>(fq, a, row);
  DecodeState<W> state;
  constexpr std::size_t K = decode_keys<W>;
  for (std::size_t s0 = warp() * K; s0 < keys; s0 += block_size().x / warp_size * K) {
    Tile<W> key_tile, value_tile;
    stream.next(key_tile, value_tile);
    add_tile<W>(state, fq, key_tile, value_tile, row, s0, s0 + K > own.past + 1, a.scale);
  }
  state.softmax.reduce_row_sum();
  store_joined<W>(state, a, row);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
