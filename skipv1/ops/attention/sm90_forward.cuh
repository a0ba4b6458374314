// Attention by warpgroups' products and the copy engine (compute capability 9.0, compiled for sm_90a): what sm80_forward.cuh
// does. A product runs while the threads take the softmax of the next tile (Shah et al. 2024, FlashAttention-3): each turn of the
// loop asks for its tile's scores, then for the last tile's sums, and waits for the scores alone before it works on them. Wide
// heads' keys and values are copied by a warp that does nothing else; warpgroups tell it when they are done with a tile, and do
// not wait for each other.
#pragma once

#include "skipv1/kernel/tma.cuh"
#include "skipv1/ops/attention/sm80_backward.cuh"

namespace skipv1::detail {

/// Of each sequence and head, in order: maps of the rows' queries and outputs' gradients, and of the head's keys and values.
inline constexpr unsigned head_maps = 4;
/// Four warps make those of a sequence and head; none where there is nothing to read.
SKIPV1_DEVICE void make_head_maps(TileMap* maps, const bfloat16* q, const bfloat16* dout,
                                  const HeadPair<const bfloat16, Cuda>& pair, const AttentionSizes& z,
                                  const AttentionSequence& own, std::size_t h, std::size_t b) {
  const unsigned which = warp();
  const Head<const bfloat16, Cuda> head = which == 2 ? pair.key : pair.value;
  const std::size_t width = which % 2 == 0 ? z.key : z.value;
  const bfloat16* rows = which == 0 ? q : dout;
  if (which >= head_maps || own.rows == 0 || !pair.value.data || (which < 2 && !rows)) return;
  make_tile_map(maps + which, dynamic_shared<std::uint32_t>(which * sizeof(TileMap), 32),
                which < 2 ? rows + (own.begin * z.heads + h) * width : head.data + b * head.batch_stride, width,
                which < 2 ? own.rows : own.past + own.rows, which < 2 ? z.heads * width : head.row_stride);
}

/// Blocks of one warpgroup, which has 64 rows, and tiles of 64 keys; a multiprocessor holds `blocks`.
template <unsigned W>
struct NarrowForward {
  static constexpr unsigned threads = 128, blocks = 4;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * 64 * (1 + 4), bytes = 2 * elements;
};
/// Warpgroups of 64 rows each, and one that copies; tiles of K keys and their values, of both of which `stages` are on their way
/// or in use.
template <unsigned W>
struct WideForward {
  static constexpr unsigned groups = 2, rows = 64 * groups, threads = 128 * (groups + 1), K = 128, stages = 2,
                            pitch = Tile<W>::pitch;
  static constexpr std::size_t elements = std::size_t{2 * rows + stages * 2 * K} * pitch, arrivals = 4 * stages + 2;
  static constexpr std::size_t bytes = 2 * elements + arrivals * sizeof(std::uint64_t) + sizeof(std::uint32_t);

  SKIPV1_DEVICE_MEMBER static Shared<bfloat16> memory() { return dynamic_shared<bfloat16>(0, elements); }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> q_tile() { return {memory(), 0}; }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> out_tile() { return {memory(), rows * pitch}; }
  SKIPV1_DEVICE_MEMBER static Tile<W, K> tile(unsigned stage, unsigned which) {
    return {memory(), (2 * rows + (stage * 2 + which) * K) * pitch};
  }
  /// Counters: of tiles of keys and values that are there, of those that have been used, of queries.
  SKIPV1_DEVICE_MEMBER static Arrivals counters() { return dynamic_shared<std::uint64_t>(2 * elements, arrivals); }
  SKIPV1_DEVICE_MEMBER static unsigned there(unsigned stage, unsigned which) { return stage * 2 + which; }
  SKIPV1_DEVICE_MEMBER static unsigned used(unsigned stage, unsigned which) { return 2 * stages + stage * 2 + which; }
  static constexpr unsigned queries_there = 4 * stages, queries_used = queries_there + 1;
  /// Which rows are worked on.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> chosen() {
    return dynamic_shared<std::uint32_t>(2 * elements + arrivals * sizeof(std::uint64_t), 1);
  }
};

/// What the forward pass's kernels hand on, in memory.
struct ForwardMemory {
  TileMap* maps;        ///< of each sequence and head (`make_head_maps`)
  std::uint32_t* next;  ///< the next rows to work on
  std::size_t row_tiles;
};

/// Grid (H, B): maps.
template <class = void>
SKIPV1_KERNEL attention_forward_prepare(const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads, AttentionSizes z,
                                        ForwardMemory m) {
  const std::size_t h = block().x, b = block().y;
  make_head_maps(m.maps + (b * z.heads + h) * head_maps, q, nullptr, heads[h], z, sequence(z, b), h, b);
  if (h == 0 && b == 0 && thread().x == 0) *m.next = 0;
}

/// Rows of one head of one sequence, of which a block has some.
struct RowTile {
  std::size_t h, b, first, rows, at;  ///< `at`: the first row's number in (N, H)
  AttentionSequence own;
};
/// Rows number n, of a tile each: of a head the last, which see most keys, come first. None where n is too high or no row is
/// there.
template <unsigned size>
SKIPV1_DEVICE RowTile row_tile(const AttentionSizes& z, std::size_t tiles, std::size_t n) {
  const std::size_t h = n / tiles % z.heads, b = n / tiles / z.heads, first = (tiles - 1 - n % tiles) * size;
  if (b >= z.batch) return {h, b, first, 0, 0, {}};
  const AttentionSequence own = sequence(z, b);
  const std::size_t left = first < own.rows ? own.rows - first : 0;
  return {h, b, first, left < size ? left : size, (own.begin + first) * z.heads + h, own};
}

/// The warp's 16 rows, which are the tile's first; their negatives where scores shall change their sign.
template <unsigned W, unsigned R>
SKIPV1_DEVICE void load_queries(std::uint32_t (&queries)[W / 16][4], const Tile<W, R>& tile, bool negative) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) {
    tile.load_a(queries[k / 16], 0, k);
    for (std::uint32_t& pair : queries[k / 16]) pair ^= negative ? 0x80008000u : 0;
  }
}
/// Asks for `x (64, 8 N) = a (64 rows from `row` on) b^T (8 N rows)`.
template <unsigned W, unsigned R, unsigned K, std::size_t N>
SKIPV1_DEVICE void ask_for_scores(float (&x)[N][4], const Tile<W, R>& a, unsigned row, const Tile<W, K>& b) {
  static_assert(K == 8 * N);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) warpgroup_rows(x, SharedMatrix(a, row, k), SharedMatrix(b, 0, k), k > 0);
}
/// The same, the rows in fragments.
template <unsigned W, unsigned K, std::size_t N>
SKIPV1_DEVICE void ask_for_scores(float (&x)[N][4], const std::uint32_t (&rows)[W / 16][4], const Tile<W, K>& b) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) warpgroup_rows(x, rows[k / 16], SharedMatrix(b, 0, k), k > 0);
}
/// Asks for `sums (64, W) += weights (64, K) b`.
template <unsigned W, unsigned K, std::size_t M, std::size_t N>
SKIPV1_DEVICE void ask_for_sums(float (&sums)[M][4], const std::uint32_t (&weights)[N][4], const Tile<W, K>& b) {
  static_assert(K == 16 * N && W == 8 * M);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) warpgroup_columns(sums, weights[k], SharedMatrix(b, 16 * k, 0));
}

/// Rows g and g + 8 of a warp's sums times their factors.
template <std::size_t M>
SKIPV1_DEVICE void shrink_sums(float (&sums)[M][4], const float (&shrink)[2]) {
  SKIPV1_UNROLL
  for (auto& sum : sums)
    for (unsigned l = 0; l < 4; ++l) sum[l] *= shrink[l / 2];
}

/// Grid (row tiles, H, B): for narrow heads, whose exponentials take as long as their products. Small blocks overlap best, and
/// copies by all threads are no slower (docs/performance/ledger.md).
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(NarrowForward<W>::threads, NarrowForward<W>::blocks)
    attention_forward_narrow(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads,
                             AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_HAS_WGMMA) return;
  constexpr unsigned K = 64, R = 64, size = 64 * Tile<W>::pitch, threads = NarrowForward<W>::threads;
  const std::size_t h = block().y, b = block().z;
  const std::size_t first = (grid_size().x - 1 - block().x) * R;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < R ? own.rows - first : R, at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Cuda> key = heads[h].key, value = heads[h].value;
  if (!value.data) return store_no_value<threads>(out + at * z.value, lse + at, z, rows);
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, NarrowForward<W>::elements);
  const Tile<W, R> q_tile{memory, 0};
  const auto k_tile = [&](unsigned i) { return Tile<W, K>{memory, (1 + i % 2) * size}; };
  const auto v_tile = [&](unsigned i) { return Tile<W, K>{memory, (3 + i % 2) * size}; };
  const unsigned t = thread().x, row = warp() * 16;
  const auto keys = static_cast<unsigned>(own.past + first + rows), tiles = (keys + K - 1) / K;
  const auto copy = [&](const Tile<W, K>& to, unsigned i, const Head<const bfloat16, Cuda>& head, std::size_t width) {
    const bfloat16* from = head.data + b * head.batch_stride + std::size_t{i} * K * head.row_stride;
    to.template copy<K, threads>(from, head.row_stride, keys - i * K, width, t);
  };
  const auto arrive = [&] {
    copy_async_wait<0>();
    warpgroup_publish();
    sync_threads();
  };
  q_tile.template copy<R, threads>(q + at * z.key, z.heads * z.key, rows, z.key, t);
  copy(k_tile(0), 0, key, z.key);
  copy_async_commit();
  arrive();
  std::uint32_t queries[W / 16][4], weights[K / 16][4];
  load_queries(queries, q_tile.from(row), scale < 0);
  OnlineSoftmax softmax;
  const float steepness = fabsf(scale) * static_cast<float>(log2_e);
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  float x[K / 8][4], sums[W / 8][4] = {}, shrink[2];
  const auto take = [&](unsigned i) {
    const int rest = seen - static_cast<int>(i * K);
    return softmax.take(x, shrink, rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), steepness);
  };
  const auto copy_ahead = [&](unsigned i) {  // the keys of the next tile, the values of this one
    if (i + 1 < tiles) copy(k_tile(i + 1), i + 1, key, z.key);
    copy(v_tile(i), i, value, z.value);
    copy_async_commit();
  };
  copy_ahead(0);
  warpgroup_begin(queries);
  ask_for_scores(x, queries, k_tile(0));
  warpgroup_commit();
  warpgroup_wait<0>(x);
  take(0);
  round_all(weights, x);
  for (unsigned i = 1; i < tiles; ++i) {
    arrive();
    copy_ahead(i);
    warpgroup_begin(x, sums, weights);
    ask_for_scores(x, queries, k_tile(i));
    warpgroup_commit();
    ask_for_sums(sums, weights, v_tile(i - 1));
    warpgroup_commit();
    warpgroup_wait<1>(x);
    const bool shrinks = take(i);
    warpgroup_wait<0>(sums, weights);
    if (any(shrinks)) shrink_sums(sums, shrink);
    round_all(weights, x);
  }
  arrive();
  warpgroup_begin(sums, weights);
  ask_for_sums(sums, weights, v_tile(tiles - 1));
  warpgroup_commit();
  warpgroup_wait<0>(sums);
  float factor[2];
  softmax.finish(factor, lse + at, z.heads, row, rows, steepness);
  q_tile.put(sums, row, factor);  // these rows the warp alone has read
  sync_warp();
  q_tile.template write<16>(out + at * z.value, z.heads * z.value, row, rows, z.value);
}

/// Blocks take rows of a head of a sequence, one tile after the other.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(WideForward<W>::threads, 1)
    attention_forward_wide(bfloat16* out, float* lse, const HeadPair<const bfloat16, Cuda>* heads, AttentionSizes z,
                           ForwardMemory m, float scale) {
  if constexpr (!SKIPV1_HAS_WGMMA) return;
  using Shape = WideForward<W>;
  constexpr unsigned K = Shape::K, groups = Shape::groups, stages = Shape::stages, pitch = Shape::pitch, warps = 4 * groups;
  const Arrivals counters = Shape::counters();
  const Shared<std::uint32_t> chosen = Shape::chosen();
  const auto count_of = static_cast<std::uint32_t>(m.row_tiles * z.heads * z.batch);
  if (thread().x == 0) {
    begin_arrivals(counters, Shape::there(0, 0), 2 * stages);
    begin_arrivals(counters, Shape::used(0, 0), 2 * stages, warps);
    begin_arrivals(counters, Shape::queries_there, 1);
    begin_arrivals(counters, Shape::queries_used, 1, warps);
  }
  sync_threads();
  const unsigned group = shuffle(thread().x / 128, 0);
  unsigned n = 0;  // tiles of keys before
  if (group == groups) {
    give_registers<24>();
    if (thread().x % 128 != 0) return;
    for (unsigned turn = 0;; ++turn) {
      const std::uint32_t number = take_number(m.next);
      if (turn > 0) wait_for_arrival(counters, Shape::queries_used, turn - 1);
      chosen[0] = number;
      const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, number);
      if (own.rows == 0 || !heads[own.h].value.data) {
        arrive(counters, Shape::queries_there);
        if (number >= count_of) return;
        continue;
      }
      const TileMap* maps = m.maps + (own.b * z.heads + own.h) * head_maps;
      for (unsigned which = 0; which < head_maps; ++which)
        if (which != 1) acquire_tile_map(maps + which);
      expect_bytes(counters, Shape::queries_there, 2 * Shape::rows * pitch);
      for (unsigned row = 0; row < Shape::rows; row += copied_rows)
        copy_tile(Shape::q_tile(), row, maps, own.first + row, counters, Shape::queries_there);
      const auto tiles = static_cast<unsigned>((own.own.past + own.first + own.rows + K - 1) / K);
      for (unsigned i = 0; i < tiles; ++i, ++n) {
        for (unsigned which = 0; which < 2; ++which) {
          const unsigned stage = n % stages, there = Shape::there(stage, which);
          if (n >= stages) wait_for_arrival(counters, Shape::used(stage, which), n / stages - 1);
          expect_bytes(counters, there, 2 * K * pitch);
          for (unsigned row = 0; row < K; row += copied_rows)
            copy_tile(Shape::tile(stage, which), row, maps + 2 + which, std::size_t{i} * K + row, counters, there);
        }
      }
    }
  }
  take_registers<240>();
  const unsigned row = warp() * 16;
  const float steepness = fabsf(scale) * static_cast<float>(log2_e);
  for (unsigned turn = 0;; ++turn) {
    wait_for_arrival(counters, Shape::queries_there, turn);
    const std::uint32_t number = shuffle(lane() == 0 ? static_cast<std::uint32_t>(chosen[0]) : 0, 0);
    const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, number);
    std::uint32_t queries[W / 16][4], weights[K / 16][4];
    const bool works = own.rows > 0 && heads[own.h].value.data;
    if (works) load_queries(queries, Shape::q_tile().from(row), scale < 0);
    sync_warp();
    if (lane() == 0) arrive(counters, Shape::queries_used);
    if (number >= count_of) return;
    if (own.rows == 0) continue;
    if (!works) {
      store_no_value<128 * groups>(out + own.at * z.value, lse + own.at, z, own.rows);
      continue;
    }
    // Tiles of keys that the block's rows see, and those that the group's do.
    const std::size_t keys = own.own.past + own.first + own.rows, end = own.own.past + own.first + (group + 1) * 64;
    const auto all = static_cast<unsigned>((keys + K - 1) / K),
               tiles = static_cast<unsigned>(((end < keys ? end : keys) + K - 1) / K);
    const auto seen = static_cast<int>(own.own.past + own.first + row + 1);  // by the warp's first row
    const auto wait = [&](unsigned i, unsigned which) {
      wait_for_arrival(counters, Shape::there((n + i) % stages, which), (n + i) / stages);
    };
    const auto pass = [&](unsigned i, unsigned which) {
      if (lane() == 0) arrive(counters, Shape::used((n + i) % stages, which));
    };
    OnlineSoftmax softmax;
    float x[K / 8][4], sums[W / 8][4] = {}, shrink[2];
    const auto take = [&](unsigned i) {
      const int rest = seen - static_cast<int>(i * K);
      return softmax.take(x, shrink, rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), steepness);
    };
    wait(0, 0);
    warpgroup_begin(x, queries);
    ask_for_scores(x, queries, Shape::tile(n % stages, 0));
    warpgroup_commit();
    warpgroup_wait<0>(x);
    pass(0, 0);
    take(0);
    round_all(weights, x);
    for (unsigned i = 1; i < tiles; ++i) {
      wait(i - 1, 1);
      wait(i, 0);
      warpgroup_begin(x, sums, weights);
      ask_for_scores(x, queries, Shape::tile((n + i) % stages, 0));
      warpgroup_commit();
      ask_for_sums(sums, weights, Shape::tile((n + i - 1) % stages, 1));
      warpgroup_commit();
      warpgroup_wait<1>(x);
      pass(i, 0);
      const bool shrinks = take(i);
      warpgroup_wait<0>(sums, weights);
      pass(i - 1, 1);
      if (any(shrinks)) shrink_sums(sums, shrink);
      round_all(weights, x);
    }
    wait(tiles - 1, 1);
    warpgroup_begin(sums, weights);
    ask_for_sums(sums, weights, Shape::tile((n + tiles - 1) % stages, 1));
    warpgroup_commit();
    warpgroup_wait<0>(sums);
    pass(tiles - 1, 1);
    for (unsigned i = tiles; i < all; ++i)  // in order: each was there
      for (unsigned which = 0; which < 2; ++which) wait(i, which), pass(i, which);
    n += all;
    float factor[2];
    softmax.finish(factor, lse + own.at, z.heads, row, own.rows, steepness);
    const Tile<W, Shape::rows> tile = Shape::out_tile();
    tile.put(sums, row, factor);
    sync_warp();
    tile.template write<16>(out + own.at * z.value, z.heads * z.value, row, own.rows, z.value);
    sync_warp();
  }
}

}  // namespace skipv1::detail
