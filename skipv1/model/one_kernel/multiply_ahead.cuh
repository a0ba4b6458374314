// Products of the one-kernel step in bfloat16, for up to 8 sequences, whose first rows have been looked up ahead.
#pragma once

#include "skipv1/model/one_kernel/stage.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// What the end of a pair's sums needs: what is added, and of the projections where the sums go and how they are rotated.
template <class T>
struct Ending {
  Sum<T> first{}, second{};
  T* to = nullptr;                 ///< in the cache or among the queries, or null
  std::uint32_t* words = nullptr;  ///< for other blocks
  std::uint32_t apart = 0;         ///< from the first row to the second
  Sum<T> share = 1;                ///< of the sums, where layer 0's values are mixed in, already weighted:
  Sum<T> mixed[2] = {};
  Sum<T> cosine = 1, sine = 0;
};

/// The warps' sums of a tile, in shared memory.
template <unsigned R, class T>
class WarpSums {
  using S = Sum<T>;
  static constexpr unsigned apart = R == 1 ? tile_pairs : 2 * warp_size, size = 2 * apart;  // a warp's: first rows, second rows

 public:
  SKIPV1_DEVICE_MEMBER WarpSums(const BlockMemory<T>& m, unsigned turn)
      : memory_(m.reduction.memory), at_(turn * block_warps() * size + (R == 1 ? lane() / 4 : lane())) {}
  /// Stores the warp's, in mma's layout; of one sequence the first column alone.
  SKIPV1_DEVICE_MEMBER void store(const S (&sums)[4]) const {
    if (R == 1 && lane() % 4 > 0) return;
    for (unsigned i = 0; i < (R == 1 ? 1 : 2); ++i) {
      memory_[at_ + warp() * size + i * warp_size] = sums[i];
      memory_[at_ + warp() * size + i * warp_size + apart] = sums[i + 2];
    }
  }
  /// Adds those of the lane's pair and of column j of two.
  SKIPV1_DEVICE_MEMBER void add(Ending<T>& e, unsigned j) const {
    for (unsigned w = 0; w < block_warps(); ++w) {
      e.first += static_cast<S>(memory_[at_ + w * size + j * warp_size]);
      e.second += static_cast<S>(memory_[at_ + w * size + j * warp_size + apart]);
    }
  }
  /// The same of one sequence, in the warp that finishes the tile: four lanes of a pair share the warps. The vote tells nvcc that
  /// lanes do not diverge here; otherwise it adds a second copy of the shuffles.
  SKIPV1_DEVICE_MEMBER void add_single(Ending<T>& e, unsigned finisher) const {
    if (!any(warp() == finisher)) return;
    S first(0), second(0);
    SKIPV1_UNROLL
    for (unsigned k = 0; k < block_warps(); k += 4) {
      const unsigned w = k + lane() % 4;
      if (block_warps() % 4 != 0 && w >= block_warps()) break;
      first += static_cast<S>(memory_[at_ + w * size]);
      second += static_cast<S>(memory_[at_ + w * size + apart]);
    }
    for (unsigned step = 1; step < 4; step *= 2) first += shuffle_xor(first, step), second += shuffle_xor(second, step);
    e.first += first, e.second += second;
  }

 private:
  Shared<S> memory_;
  std::uint32_t at_;
};

/// The block's share of a product with R = 1 or up to 8 staged rows. `bounds`: the pairs' begin and end, and the rows of a pair
/// of one weight, 0 where rows do not follow each other and have been looked up: `rows_of(i)` of the block's pair i; and all
/// rows. `next()`: the following product's first rows; `stage(following)` stages the rows, after all that does not wait for them;
/// `following` is loaded after the first tile. One thread per pair and staged row n calls `finish(pair, n, e)`: e is what
/// `addends(pair, n)` has loaded, with the sums added, and what `place(pair, n, e)` has found. `turn` alternates.
template <unsigned R, class T, class Rows, class Next, class Stage, class Add, class Place, class Finish>
SKIPV1_DEVICE void multiply_ahead(WeightStream<T, true, 1>& stream, const Vector<std::uint32_t, 4>& bounds, const Rows& rows_of,
                                  const Next& next, const Stage& stage, const BlockMemory<T>& m, const Add& addends,
                                  const Place& place, const Finish& finish, unsigned& turn) {
  using S = Sum<T>;
  const std::uint32_t begin = bounds[0], end = bounds[1], rows_of_pair = bounds[2];
  const unsigned j = R == 1 ? 0 : warp() % 2;  // of the sums that this thread finishes
  const std::uint32_t n = R == 1 ? 0 : lane() % 4 * 2 + j;
  std::uint32_t tile = begin;
  unsigned finisher = 0;  // of one sequence's tile: each warp in turn, since who finishes a tile is late for the next
  do {
    const std::uint32_t pair = tile + lane() / 4;
    const bool finishes = R == 1 ? warp() == finisher && lane() % 4 == 0 && pair < end
                                 : thread_number() < 2 * warp_size && n < m.rows.count && pair < end;
    Ending<T> e;
    if (finishes) e = addends(pair, n);
    if (R == 1 && finishes) place(pair, n, e);  // where more rows are staged, registers are short
    const std::uint32_t later = pair + tile_pairs < end ? pair + tile_pairs : end - 1;
    LaneRows<T> following;
    if (tile + tile_pairs >= end) {
      following = next();
    } else if (rows_of_pair) {
      following = stream.rows_after(later - pair, rows_of_pair);
      if (2 * later + 1 == bounds[3]) following.second = following.first;  // an odd number: the last row has none beside it
    } else {
      following = rows_of(later - begin);
    }
    if (tile == begin) stage(following);  // here alone, so that its code is there once
    if (begin == end) {
      stream.begin(following);
      sync_threads();  // no warp gets a phase ahead of another
      return;
    }
    TileSums<S, 1> sums;
    stream.multiply(sums, m.rows, following);
    const WarpSums<R, T> warps(m, turn);
    warps.store(sums[0]);
    sync_threads();
    if constexpr (R == 1)
      warps.add_single(e, finisher);
    else if (finishes)
      warps.add(e, j);
    if (R > 1 && finishes) place(pair, n, e);
    if (finishes) finish(pair, n, e);
    tile += tile_pairs, turn ^= 1;
    if (++finisher == block_warps()) finisher = 0;
  } while (tile < end);
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
