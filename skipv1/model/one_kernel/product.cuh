// Products of few rows with a weight that is read once: a block's share of the weight's rows, for all staged rows at once.
//
// Memory bounds it: in out sizeof(T) bytes for up to 16 multiplications per element. So a lane keeps 8 loads of 16 bytes in
// flight, 64 KB per multiprocessor, across the ends of tiles and across the barrier before the next phase: weights depend on no
// other block. On tensor cores 16 staged rows cost no more than one. The weight's rows are the rows of A, straight from memory:
// the order of columns in a fragment does not matter to the sum, as long as A and B agree.
#pragma once

#include "skipv1/kernel/mma.cuh"
#include "skipv1/model/one_kernel/arguments.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// Pairs of rows: of one weight, neighbours, or the two that RoPE rotates with each other; or a row each of two weights. The last
/// pair of an odd number has one row.
template <class T>
struct RowPairs {
  const T *weight = nullptr, *second = nullptr;  ///< second: null for pairs of one weight
  std::uint32_t rows = 0;
  std::uint32_t half = 0;  ///< of a head's width, where RoPE rotates; 0: neighbours

  SKIPV1_HOST_DEVICE std::uint32_t count() const { return second ? rows : (rows + 1) / 2; }
  SKIPV1_HOST_DEVICE std::uint32_t first_of(std::uint32_t pair) const {
    return second ? pair : half ? pair / half * 2 * half + pair % half : 2 * pair;
  }
  SKIPV1_HOST_DEVICE std::uint32_t second_of(std::uint32_t pair) const {
    return second ? pair : first_of(pair) + (half ? half : 1);
  }
};

/// What a phase multiplies by: up to three lists of pairs, one after the other; all rows are `in` long.
template <class T>
struct Product {
  RowPairs<T> part[3];
  std::uint32_t in = 0, per_block = 0;  ///< per_block: as in `Arguments`

  SKIPV1_HOST_DEVICE std::uint32_t count() const { return part[0].count() + part[1].count() + part[2].count(); }
  /// Whether rows of pairs follow each other at one distance, all of them there.
  SKIPV1_DEVICE_MEMBER bool is_even() const {
    return !part[1].weight && !part[2].weight && part[0].half == 0 && (part[0].second || part[0].rows % 2 == 0);
  }
  /// Where block b's pairs begin; they end where the next block's begin.
  SKIPV1_HOST_DEVICE std::uint32_t begin(std::uint32_t b, std::uint32_t blocks) const {
    std::uint32_t each = static_cast<std::uint32_t>(std::uint64_t{count()} * per_block >> 32), more = count() - each * blocks;
    if (more >= blocks) ++each, more -= blocks;
    return b * each + (b < more ? b : more);
  }
  /// Calls `f(part's number, pair within it)`.
  template <class F>
  SKIPV1_HOST_DEVICE void locate(std::uint32_t pair, const F& f) const {
    const std::uint32_t first = part[0].count(), second = first + part[1].count();
    if (pair < first)
      f(0u, pair);
    else if (pair < second)
      f(1u, pair - first);
    else
      f(2u, pair - second);
  }
};

/// The two rows that a lane reads.
template <class T>
struct LaneRows {
  const T *first = nullptr, *second = nullptr;  ///< null: the block has none
  std::uint32_t in = 0;

  LaneRows() = default;
  /// Beyond the end: the last pair's, which its own lanes load at the same time; their sums are not used.
  SKIPV1_HOST_DEVICE LaneRows(const Product<T>& p, std::uint32_t pair, std::uint32_t begin, std::uint32_t end) : in(p.in) {
    if (begin == end) return;
    if (pair >= end) pair = end - 1;
    p.locate(pair, [&](unsigned number, std::uint32_t local) {
      const RowPairs<T> rows = number == 0 ? p.part[0] : number == 1 ? p.part[1] : p.part[2];
      first = rows.weight + std::size_t{rows.first_of(local)} * p.in;
      const std::uint32_t other = rows.second_of(local);
      second = other < rows.rows ? (rows.second ? rows.second : rows.weight) + std::size_t{other} * p.in : first;
    });
  }
};

/// The lane's rows of the block's first tile.
template <class T>
SKIPV1_DEVICE LaneRows<T> first_rows(const Product<T>& p) {
  const std::uint32_t begin = p.begin(block().x, grid_size().x);
  return {p, begin + lane() / 4, begin, p.begin(block().x + 1, grid_size().x)};
}

constexpr unsigned tile_pairs = 8;  ///< of a tile: a lane has pair `lane / 4`, and of its columns those of `lane % 4`

/// Staged rows in shared memory.
template <class T>
struct StagedRows {
  Shared<T> memory;
  std::uint32_t pitch, count;
};

/// A tile's sums: of the first rows of its pairs, and of the second, with each staged row, in mma's layout.
template <class S, unsigned N>
using TileSums = S[N][4];

/// The weights in flight. `fast`: bfloat16, all widths multiples of 8, N tiles of 8 staged rows on tensor cores; otherwise
/// plain loops with nothing ahead.
template <class T, bool fast, unsigned N>
class WeightStream {
 public:
  SKIPV1_DEVICE_MEMBER WeightStream() : policy_(evict_first()) {}

  /// Issues the loads of the block's first tile of a product.
  SKIPV1_DEVICE_MEMBER void begin(const Product<T>& p) { begin(first_rows(p)); }
  SKIPV1_DEVICE_MEMBER void begin(const LaneRows<T>& first) {
    rows_ = first;
    if constexpr (fast) {
      each_slot([&](auto k) {
        slot_[k][0] = slot_[k][1] = {};
        load<k>(own_column());
      });
    }
  }
  /// The rows `pairs` pairs further on; a pair has `rows_of_pair` rows of one weight.
  SKIPV1_DEVICE_MEMBER LaneRows<T> rows_after(std::uint32_t pairs, unsigned rows_of_pair) const {
    LaneRows<T> rows = rows_;
    const std::size_t elements = std::size_t{pairs} * rows_of_pair * rows.in;
    rows.first += elements, rows.second += elements;
    return rows;
  }
  /// Brings what is loaded after the loads in flight to the second-level cache: more of the tile, or the first of `next`; each
  /// warp a row.
  SKIPV1_DEVICE_MEMBER void prefetch(const LaneRows<T>& next) const {
    const std::uint32_t round = depth * step();
    const bool more = rows_.in > round;
    const std::uint32_t from = more ? round : 0, in = (more ? rows_.in : next.in) - from;
    const T* first = more ? rows_.first : next.first;
    const T* second = more ? rows_.second : next.second;
    const T* row = warp() < tile_pairs ? first : second;
    if (lane() == warp() % tile_pairs * 4 && row != nullptr)
      prefetch_l2(row + from, static_cast<std::uint32_t>((in < round ? in : round) * sizeof(T)));
  }
  /// Multiplies a tile, whose first loads are in flight, by the staged rows, and issues the first loads of `next` after its own.
  SKIPV1_DEVICE_MEMBER void multiply(TileSums<Sum<T>, N>& sums, const StagedRows<T>& x, const LaneRows<T>& next) {
    SKIPV1_UNROLL
    for (auto& some : sums)
      for (auto& sum : some) sum = 0;
    if constexpr (fast)
      multiply_fast(sums, x, next);
    else
      multiply_plain(sums, x);
    rows_ = next;
  }

 private:
  static constexpr unsigned depth = 4;  ///< loads in flight of each of a lane's rows

  /// Where the lane's columns begin, and the stride from one load to the next.
  SKIPV1_DEVICE_MEMBER static std::uint32_t own_column() { return warp() * 32 + lane() % 4 * 8; }
  SKIPV1_DEVICE_MEMBER static std::uint32_t step() { return block_warps() * 32; }
  /// Calls `f(k)` for k = 0 … depth - 1, constants.
  template <class F>
  SKIPV1_DEVICE_MEMBER static void each_slot(const F& f) {
    [&]<unsigned... k>(std::integer_sequence<unsigned, k...>) { (f(std::integral_constant<unsigned, k>()), ...); }
    (std::make_integer_sequence<unsigned, depth>());
  }
  /// Loads slot k of what begins at column `at`; beyond the row's end nothing: what was there meets zeros.
  template <unsigned k>
  SKIPV1_DEVICE_MEMBER void load(std::uint32_t at) {
#if defined(__CUDACC__)
    constexpr unsigned offset = k * most_threads;
#else
    constexpr unsigned offset = 0;  // the emulator's blocks have other sizes
#endif
    const std::uint32_t from = at + k * step();
    const bool there = rows_.first != nullptr && from < rows_.in;
    load_once<offset>(slot_[k][0], there, rows_.first, from - offset, policy_);
    load_once<offset>(slot_[k][1], there, rows_.second, from - offset, policy_);
  }
  SKIPV1_DEVICE_MEMBER void multiply_fast(TileSums<Sum<T>, N>& sums, const StagedRows<T>& x, const LaneRows<T>& next) {
    const std::uint32_t in = rows_.in;
    std::uint32_t row[N];  // where the lane's staged rows begin; where there is none: the last, whose sums are not used
    SKIPV1_UNROLL
    for (unsigned t = 0; t < N; ++t) {
      const std::uint32_t n = t * 8 + lane() / 4;
      row[t] = (n < x.count ? n : x.count - 1) * x.pitch;
    }
    std::uint32_t at = own_column();
    for (std::uint32_t begin = 0; begin < in; begin += depth * step()) {
      std::uint32_t following = at + depth * step();
      if (begin + depth * step() >= in) rows_ = next, following = own_column();
      each_slot([&](auto k) {
        SKIPV1_UNROLL
        for (unsigned t = 0; t < N && warp() * 32 + begin + k * step() < in; ++t) {
          Vector<std::uint32_t, 4> b = {};
          if (at + k * step() < in) b = staged(x, row[t] + at + k * step());
          const Vector<std::uint32_t, 4>&first = slot_[k][0], &second = slot_[k][1];
          mma(sums[t], {first[0], second[0], first[1], second[1]}, {b[0], b[1]});
          mma(sums[t], {first[2], second[2], first[3], second[3]}, {b[2], b[3]});
        }
        load<k>(following);
      });
      at += depth * step();
    }
  }
  SKIPV1_DEVICE_MEMBER static Vector<std::uint32_t, 4> staged(const StagedRows<T>& x, std::size_t at) {
    const Vector<T, 8> v = load_shared<8>(x.memory, at);
    Vector<std::uint32_t, 4> bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
  }
  SKIPV1_DEVICE_MEMBER void multiply_plain(TileSums<Sum<T>, N>& sums, const StagedRows<T>& x) const {
    using S = Sum<T>;
    for (unsigned n = 0; n < x.count; ++n) {
      S first(0), second(0);
      for (std::uint32_t i = thread_number() / warp_size * 4 + lane() % 4; i < rows_.in; i += block_warps() * 4) {
        const S v = static_cast<S>(static_cast<T>(x.memory[n * x.pitch + i]));
        if (rows_.first) first += v * static_cast<S>(rows_.first[i]);
        if (rows_.second) second += v * static_cast<S>(rows_.second[i]);
      }
      for (unsigned step = 1; step < 4; step *= 2) {
        first += shuffle_xor(first, step);
        second += shuffle_xor(second, step);
      }
      if (lane() % 4 != n % 8 / 2) continue;
      sums[n / 8][n % 2] = first;
      sums[n / 8][2 + n % 2] = second;
    }
  }

  std::uint64_t policy_;
  LaneRows<T> rows_;  ///< of what is loaded next
  Vector<std::uint32_t, 4> slot_[depth][2];
};

/// Where the warps' sums of a tile meet.
template <class S>
struct Reduction {
  Shared<S> memory;
};

/// What is added to the sums of a pair's two rows: biases, residuals.
template <class S>
struct Addends {
  S first, second;
};

/// The block's share of a product with the staged rows. One thread per pair and staged row n calls `finish(pair, n, first,
/// second)`; the sums include `ahead(pair, n)`, which is loaded beside the weights. The first tile's loads are in flight already;
/// those of `next`, the following product, are issued before the last tile is done. A block has at least 64 N threads. `p` and
/// `next` are functions that return products, called again where they are needed: kept, the products would take 50 registers.
template <class T, bool fast, unsigned N, class This, class Next, class Ahead, class Finish>
SKIPV1_DEVICE void multiply_rows(WeightStream<T, fast, N>& stream, const This& p, const Next& next, const StagedRows<T>& x,
                                 const Reduction<Sum<T>>& reduction, const Ahead& ahead, const Finish& finish) {
  using S = Sum<T>;
  const unsigned warps = block_warps();
  const std::uint32_t blocks = grid_size().x, begin = p().begin(block().x, blocks), end = p().begin(block().x + 1, blocks);
  const unsigned t = thread_number() / 64, j = thread_number() / 32 % 2;  // of the sums that this thread finishes
  const std::uint32_t n = t * 8 + lane() % 4 * 2 + j;
  if (begin == end) stream.begin(next());
  unsigned turn = 0;
  for (std::uint32_t tile = begin; tile < end; tile += tile_pairs, turn = (turn + 1) % reduction_turns(N)) {
    const std::uint32_t pair = tile + lane() / 4;
    const bool finishes = t < N && pair < end && n < x.count, last = tile + tile_pairs >= end;
    Addends<S> sum{S(0), S(0)};
    if (finishes) sum = ahead(pair, n);
    LaneRows<T> following;
    if (last)
      following = first_rows(next());
    else if (p().is_even())
      following = stream.rows_after((pair + tile_pairs < end ? pair + tile_pairs : end - 1) - pair, p().part[0].second ? 1 : 2);
    else
      following = {p(), pair + tile_pairs, begin, end};
    TileSums<S, N> sums;
    stream.multiply(sums, x, following);
    const auto at = [&](unsigned w, unsigned s, unsigned i) {
      return (((turn * warps + w) * N + s) * 4 + i) * warp_size + lane();
    };
    SKIPV1_UNROLL
    for (unsigned s = 0; s < N; ++s)
      for (unsigned i = 0; i < 4; ++i) reduction.memory[at(warp(), s, i)] = sums[s][i];
    sync_threads();
    for (unsigned w = 0; finishes && w < warps; ++w) {
      sum.first += static_cast<S>(reduction.memory[at(w, t, j)]);
      sum.second += static_cast<S>(reduction.memory[at(w, t, j + 2)]);
    }
    if (reduction_turns(N) == 1) sync_threads();
    if (finishes) finish(pair, n, sum.first, sum.second);
  }
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
