// Attention's forward pass on Hopper (compute capability 9.0, compiled for sm_90a), after FlashAttention-3 (Shah et al. 2024).
//
// The main loop overlaps the softmax with the tensor cores. In iteration i it issues S_i = Q K_i^T, then O += P_{i-1} V_{i-1};
// it waits for S_i alone, and computes P_i while the second product still runs.
//
// Two kernels run that loop. Narrow heads (d <= 64), whose exponentials take as long as their products, use small blocks of one
// warpgroup, which copy by cp.async. Wide heads use a persistent kernel: a producer warp loads K and V by TMA into a ring of
// stages, two consumer warpgroups of 64 rows each compute.
#pragma once

#include "skipv1/kernel/semaphore.cuh"
#include "skipv1/ops/attention/sm80_forward.cuh"
#include "skipv1/ops/attention/sm90_common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// A warp's 16 rows of the forward pass: queries in registers, the softmax's state, and O before the division by row_sum.
template <unsigned W, unsigned K>
struct ForwardRows {
  std::uint32_t q[W / 16][4];
  OnlineSoftmax<> softmax;
  float acc_o[W / 8][4] = {};
  int seen;  ///< keys that the warp's first row sees
  float scale_log2;

  /// `S -> P` of tile i of K keys; returns whether acc_o must be multiplied by `rescale`.
  SKIPV1_DEVICE_MEMBER bool update(float (&acc_s)[K / 8][4], float (&rescale)[2], unsigned i) {
    const int rest = seen - static_cast<int>(i * K), g = static_cast<int>(lane() / 4);
    return softmax.update(acc_s, rescale, rest < static_cast<int>(K), rest + g, 8, scale_log2);
  }
};

/// The main loop over `tiles` tiles of K keys. `Pipeline` says where they lie and when:
///   k_tile(i), v_tile(i)             tiles in shared memory
///   wait_first()                     until K_0 is full
///   wait(i)                          until K_i and V_{i-1} are full
///   wait_last(i)                     until V_i is full, i being the last
///   release_k(i), release_v(i)       no warp of this warpgroup reads the tile any more
template <unsigned W, unsigned K, class Pipeline>
SKIPV1_DEVICE void forward_main_loop(ForwardRows<W, K>& rows, unsigned tiles, const Pipeline& pipeline) {
  float acc_s[K / 8][4], rescale[2];
  std::uint32_t p[K / 16][4];
  pipeline.wait_first();
  wgmma_fence(acc_s, rows.q);
  issue_wgmma_ABt(acc_s, rows.q, pipeline.k_tile(0));
  wgmma_commit();
  wgmma_wait<0>(acc_s);
  pipeline.release_k(0);
  rows.update(acc_s, rescale, 0);
  to_a_fragments(p, acc_s);
  for (unsigned i = 1; i < tiles; ++i) {
    pipeline.wait(i);
    wgmma_fence(acc_s, rows.acc_o, p);
    issue_wgmma_ABt(acc_s, rows.q, pipeline.k_tile(i));
    wgmma_commit();
    issue_wgmma_AB(rows.acc_o, p, pipeline.v_tile(i - 1));
    wgmma_commit();
    wgmma_wait<1>(acc_s);
    pipeline.release_k(i);
    const bool rescales = rows.update(acc_s, rescale, i);
    wgmma_wait<0>(rows.acc_o, p);
    pipeline.release_v(i - 1);
    if (any(rescales)) rescale_acc_o(rows.acc_o, rescale);
    to_a_fragments(p, acc_s);
  }
  pipeline.wait_last(tiles - 1);
  wgmma_fence(rows.acc_o, p);
  issue_wgmma_AB(rows.acc_o, p, pipeline.v_tile(tiles - 1));
  wgmma_commit();
  wgmma_wait<0>(rows.acc_o);
  pipeline.release_v(tiles - 1);
}

/// The epilogue: O = acc_o / row_sum through the warp's own rows of `tile` in shared memory, and lse. `row`: the warp's first row
/// of the tile's `rows`.
template <unsigned W, unsigned K, unsigned R>
SKIPV1_DEVICE void store_forward(ForwardRows<W, K>& own, const Tile<W, R>& tile, bfloat16* out, float* lse,
                                 const AttentionSizes& z, unsigned row, std::size_t rows) {
  float factor[2];
  own.softmax.finalize(factor, lse, z.heads, row, rows, own.scale_log2);
  tile.store_accumulators(own.acc_o, row, factor);
  sync_warp();
  tile.template store_global<16>(out, z.heads * z.value, row, rows, z.value);
}

// Narrow heads.

/// One warpgroup a block, 64 rows, tiles of 64 keys, two stages; a multiprocessor holds `blocks` blocks.
template <unsigned W>
struct NarrowForward {
  static constexpr unsigned threads = 128, blocks = 4, R = 64, K = 64;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * 64 * (1 + 4), bytes = 2 * elements;
};

/// The pipeline of narrow heads: all threads copy by cp.async, one tile ahead, and meet at a barrier before each tile. Copies by
/// all threads are as fast as TMA here (docs/performance/ledger.md).
template <unsigned W>
struct CpAsyncPipeline {
  static constexpr unsigned K = NarrowForward<W>::K, threads = NarrowForward<W>::threads, size = 64 * Tile<W>::pitch;
  Shared<bfloat16> memory;
  Head<const bfloat16, Device> key, value;
  AttentionSizes z;
  std::size_t b;
  unsigned keys, tiles;

  SKIPV1_DEVICE_MEMBER Tile<W, K> k_tile(unsigned i) const { return {memory, (1 + i % 2) * size}; }
  SKIPV1_DEVICE_MEMBER Tile<W, K> v_tile(unsigned i) const { return {memory, (3 + i % 2) * size}; }
  SKIPV1_DEVICE_MEMBER void load(const Tile<W, K>& to, unsigned i, const Head<const bfloat16, Device>& head,
                                 std::size_t width) const {
    const bfloat16* from = head.data + b * head.batch_stride + std::size_t{i} * K * head.row_stride;
    to.template load_async<K, threads>(from, head.row_stride, keys - i * K, width, thread().x);
  }
  /// Until all copies before are visible to every thread and to wgmma.
  SKIPV1_DEVICE_MEMBER void wait_all() const {
    cp_async_wait<0>();
    fence_proxy_async();
    sync_threads();
  }
  SKIPV1_DEVICE_MEMBER void load_ahead(unsigned i) const {  // K of the next tile, V of this one
    if (i + 1 < tiles) load(k_tile(i + 1), i + 1, key, z.key);
    load(v_tile(i), i, value, z.value);
    cp_async_commit();
  }
  SKIPV1_DEVICE_MEMBER void wait_first() const { load_ahead(0); }
  SKIPV1_DEVICE_MEMBER void wait(unsigned i) const { wait_all(), load_ahead(i); }
  SKIPV1_DEVICE_MEMBER void wait_last(unsigned) const { wait_all(); }
  SKIPV1_DEVICE_MEMBER void release_k(unsigned) const {}  // the barrier does
  SKIPV1_DEVICE_MEMBER void release_v(unsigned) const {}
};

/// Grid (row tiles, H, B).
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(NarrowForward<W>::threads, NarrowForward<W>::blocks)
    attention_forward_narrow(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Device>* heads,
                             AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  using Shape = NarrowForward<W>;
  constexpr unsigned R = Shape::R, K = Shape::K, threads = Shape::threads;
  const std::size_t h = block().y, b = block().z;
  const std::size_t first = (grid_size().x - 1 - block().x) * R;  // the longest rows start first
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < R ? own.rows - first : R, at = (own.begin + first) * z.heads + h;
  if (!heads[h].value.data) return store_no_value<threads>(out + at * z.value, lse + at, z, rows);
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Tile<W, R> q_tile{memory, 0};
  const unsigned row = warp() * 16;
  const auto keys = static_cast<unsigned>(own.past + first + rows);
  const CpAsyncPipeline<W> pipeline{memory, heads[h].key, heads[h].value, z, b, keys, (keys + K - 1) / K};
  q_tile.template load_async<R, threads>(q + at * z.key, z.heads * z.key, rows, z.key, thread().x);
  pipeline.load(pipeline.k_tile(0), 0, pipeline.key, z.key);
  cp_async_commit();
  pipeline.wait_all();
  ForwardRows<W, K> state;
  state.seen = static_cast<int>(own.past + first + row + 1);
  state.scale_log2 = positive_scale_log2(scale);
  load_q(state.q, q_tile.rows_from(row), scale < 0);
  forward_main_loop(state, pipeline.tiles, pipeline);
  store_forward(state, q_tile, out + at * z.value, lse + at, z, row,
                rows);  // in place of the queries, which this warp alone read
}

// Wide heads.

/// Two consumer warpgroups of 64 rows and one producer; a ring of `stages` tiles of K keys and their values.
template <unsigned W>
struct WideForward {
  static constexpr unsigned groups = 2, rows = 64 * groups, threads = 128 * (groups + 1), K = 128, stages = 2,
                            pitch = Tile<W>::pitch, consumer_warps = 4 * groups;
  static constexpr std::size_t elements = std::size_t{2 * rows + stages * 2 * K} * pitch, mbarrier_count = 4 * stages + 2;
  static constexpr std::size_t bytes = 2 * elements + mbarrier_count * sizeof(std::uint64_t) + sizeof(std::uint32_t);

  SKIPV1_DEVICE_MEMBER static Shared<bfloat16> memory() { return dynamic_shared<bfloat16>(0, elements); }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> q_tile() { return {memory(), 0}; }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> out_tile() { return {memory(), rows * pitch}; }
  /// Keys (`which` 0) or values (1) of a stage.
  SKIPV1_DEVICE_MEMBER static Tile<W, K> tile(unsigned stage, unsigned which) {
    return {memory(), (2 * rows + (stage * 2 + which) * K) * pitch};
  }
  /// Mbarriers: full and empty of each stage's keys and values, then of the queries.
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() { return dynamic_shared<std::uint64_t>(2 * elements, mbarrier_count); }
  SKIPV1_DEVICE_MEMBER static unsigned full(unsigned stage, unsigned which) { return stage * 2 + which; }
  SKIPV1_DEVICE_MEMBER static unsigned empty(unsigned stage, unsigned which) { return 2 * stages + stage * 2 + which; }
  static constexpr unsigned q_full = 4 * stages, q_empty = q_full + 1;
  /// The tile of rows that the producer has drawn for the block.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> tile_ticket() {
    return dynamic_shared<std::uint32_t>(2 * elements + mbarrier_count * sizeof(std::uint64_t), 1);
  }
};

/// What the kernels of the wide forward pass share in device memory.
struct ForwardMemory {
  TensorMap* maps;           ///< per sequence and head (`make_head_tensor_maps`)
  std::uint32_t* next_tile;  ///< the tile scheduler's counter
  std::size_t row_tiles;     ///< per sequence and head

  SKIPV1_DEVICE_MEMBER std::uint32_t tile_count(const AttentionSizes& z) const {
    return static_cast<std::uint32_t>(row_tiles * z.heads * z.batch);
  }
};

/// Grid (H, B): tensor maps, and the scheduler's counter.
template <class = void>
SKIPV1_KERNEL attention_forward_prepare(const bfloat16* q, const HeadPair<const bfloat16, Device>* heads, AttentionSizes z,
                                        ForwardMemory m) {
  const std::size_t h = block().x, b = block().y;
  make_head_tensor_maps(m.maps + (b * z.heads + h) * tensor_maps_per_head, q, nullptr, heads[h], z, sequence(z, b), h, b);
  if (h == 0 && b == 0 && thread().x == 0) *m.next_tile = 0;
}

/// The producer, one thread: draws tiles of rows, and loads their queries and all keys and values that they see.
template <unsigned W>
SKIPV1_DEVICE void produce_forward(const HeadPair<const bfloat16, Device>* heads, const AttentionSizes& z,
                                   const ForwardMemory& m) {
  using Shape = WideForward<W>;
  constexpr unsigned K = Shape::K, stages = Shape::stages, pitch = Shape::pitch;
  const Mbarriers mbarriers = Shape::mbarriers();
  const Shared<std::uint32_t> tile_ticket = Shape::tile_ticket();
  unsigned n = 0;  // tiles of keys loaded so far
  for (unsigned round = 0;; ++round) {
    const std::uint32_t ticket = take_ticket(m.next_tile);
    if (round > 0) mbarrier_wait(mbarriers, Shape::q_empty, round - 1);
    tile_ticket[0] = ticket;
    const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, ticket);
    if (own.rows == 0 || !heads[own.h].value.data) {
      mbarrier_arrive(mbarriers, Shape::q_full);
      if (ticket >= m.tile_count(z)) return;
      continue;
    }
    const TensorMap* maps = m.maps + (own.b * z.heads + own.h) * tensor_maps_per_head;
    for (unsigned which = 0; which < tensor_maps_per_head; ++which)
      if (which != 1) fence_acquire_tensor_map(maps + which);  // 1: dO
    mbarrier_arrive_expect_tx(mbarriers, Shape::q_full, 2 * Shape::rows * pitch);
    tma_load_rows(Shape::q_tile(), maps, own.first, mbarriers, Shape::q_full);
    const auto tiles = static_cast<unsigned>((own.own.past + own.first + own.rows + K - 1) / K);
    for (unsigned i = 0; i < tiles; ++i, ++n) {
      for (unsigned which = 0; which < 2; ++which) {
        const unsigned stage = n % stages, full = Shape::full(stage, which);
        if (n >= stages) mbarrier_wait(mbarriers, Shape::empty(stage, which), n / stages - 1);
        mbarrier_arrive_expect_tx(mbarriers, full, 2 * K * pitch);
        tma_load_rows(Shape::tile(stage, which), maps + 2 + which, std::size_t{i} * K, mbarriers, full);
      }
    }
  }
}

/// The consumers' side of the ring; `n`: tiles of keys consumed before this tile of rows.
template <unsigned W>
struct TmaPipeline {
  using Shape = WideForward<W>;
  static constexpr unsigned stages = Shape::stages;
  unsigned n;

  SKIPV1_DEVICE_MEMBER Tile<W, Shape::K> k_tile(unsigned i) const { return Shape::tile((n + i) % stages, 0); }
  SKIPV1_DEVICE_MEMBER Tile<W, Shape::K> v_tile(unsigned i) const { return Shape::tile((n + i) % stages, 1); }
  SKIPV1_DEVICE_MEMBER void wait_full(unsigned i, unsigned which) const {
    mbarrier_wait(Shape::mbarriers(), Shape::full((n + i) % stages, which), (n + i) / stages);
  }
  SKIPV1_DEVICE_MEMBER void arrive_empty(unsigned i, unsigned which) const {
    if (lane() == 0) mbarrier_arrive(Shape::mbarriers(), Shape::empty((n + i) % stages, which));
  }
  SKIPV1_DEVICE_MEMBER void wait_first() const { wait_full(0, 0); }
  SKIPV1_DEVICE_MEMBER void wait(unsigned i) const { wait_full(i - 1, 1), wait_full(i, 0); }
  SKIPV1_DEVICE_MEMBER void wait_last(unsigned i) const { wait_full(i, 1); }
  SKIPV1_DEVICE_MEMBER void release_k(unsigned i) const { arrive_empty(i, 0); }
  SKIPV1_DEVICE_MEMBER void release_v(unsigned i) const { arrive_empty(i, 1); }
  /// Passes over a tile that this warpgroup's rows do not see.
  SKIPV1_DEVICE_MEMBER void skip(unsigned i) const {
    for (unsigned which = 0; which < 2; ++which) wait_full(i, which), arrive_empty(i, which);
  }
};

/// A consumer warpgroup, `group` of the block's: computes 64 rows of each tile that the producer draws.
template <unsigned W>
SKIPV1_DEVICE void consume_forward(bfloat16* out, float* lse, const HeadPair<const bfloat16, Device>* heads,
                                   const AttentionSizes& z, const ForwardMemory& m, float scale, unsigned group) {
  using Shape = WideForward<W>;
  constexpr unsigned K = Shape::K;
  const Mbarriers mbarriers = Shape::mbarriers();
  const Shared<std::uint32_t> tile_ticket = Shape::tile_ticket();
  const unsigned row = warp() * 16;
  unsigned n = 0;  // tiles of keys consumed so far
  for (unsigned round = 0;; ++round) {
    mbarrier_wait(mbarriers, Shape::q_full, round);
    const std::uint32_t ticket = shuffle(lane() == 0 ? static_cast<std::uint32_t>(tile_ticket[0]) : 0, 0);
    const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, ticket);
    ForwardRows<W, K> state;
    const bool works = own.rows > 0 && heads[own.h].value.data;
    if (works) load_q(state.q, Shape::q_tile().rows_from(row), scale < 0);
    sync_warp();
    if (lane() == 0) mbarrier_arrive(mbarriers, Shape::q_empty);
    if (ticket >= m.tile_count(z)) return;
    if (own.rows == 0) continue;
    if (!works) {
      store_no_value<128 * Shape::groups>(out + own.at * z.value, lse + own.at, z, own.rows);
      continue;
    }
    // Tiles of keys that the block's rows see, and those that this warpgroup's rows see.
    const std::size_t keys = own.own.past + own.first + own.rows, end = own.own.past + own.first + (group + 1) * 64;
    const auto all = static_cast<unsigned>((keys + K - 1) / K),
               tiles = static_cast<unsigned>(((end < keys ? end : keys) + K - 1) / K);
    state.seen = static_cast<int>(own.own.past + own.first + row + 1);
    state.scale_log2 = positive_scale_log2(scale);
    const TmaPipeline<W> pipeline{n};
    forward_main_loop(state, tiles, pipeline);
    for (unsigned i = tiles; i < all; ++i) pipeline.skip(i);
    n += all;
    store_forward(state, Shape::out_tile(), out + own.at * z.value, lse + own.at, z, row, own.rows);
    sync_warp();
  }
}

/// Persistent blocks: as many as the device holds at once.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(WideForward<W>::threads, 1)
    attention_forward_wide(bfloat16* out, float* lse, const HeadPair<const bfloat16, Device>* heads, AttentionSizes z,
                           ForwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  using Shape = WideForward<W>;
  const Mbarriers mbarriers = Shape::mbarriers();
  if (thread().x == 0) {
    mbarrier_init(mbarriers, Shape::full(0, 0), 2 * Shape::stages);
    mbarrier_init(mbarriers, Shape::empty(0, 0), 2 * Shape::stages, Shape::consumer_warps);
    mbarrier_init(mbarriers, Shape::q_full, 1);
    mbarrier_init(mbarriers, Shape::q_empty, 1, Shape::consumer_warps);
  }
  sync_threads();
  const unsigned group = shuffle(thread().x / 128, 0);  // the same in the whole warp, as the compiler sees
  if (group == Shape::groups) {
    setmaxnreg_dec<24>();
    if (thread().x % 128 == 0) produce_forward<W>(heads, z, m);
    return;
  }
  setmaxnreg_inc<240>();
  consume_forward<W>(out, lse, heads, z, m, scale, group);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
