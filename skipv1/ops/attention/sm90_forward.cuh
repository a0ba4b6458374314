// Attention by warpgroups' products and the copy engine (compute capability 9.0, compiled for sm_90a): what sm80_forward.cuh
// does. A product runs while the threads take the softmax of the next tile (Shah et al. 2024, FlashAttention-3): each turn of the
// loop asks for its tile's scores, then for the last tile's acc_o, and waits for the scores alone before it works on them. Wide
// heads' keys and values are copied by a warp that does nothing else; warpgroups tell it when they are done with a tile, and do
// not wait for each other.
#pragma once

#include "skipv1/kernel/semaphore.cuh"
#include "skipv1/kernel/wgmma.cuh"
#include "skipv1/kernel/tma.cuh"
#include "skipv1/ops/attention/sm80_backward.cuh"

namespace skipv1::detail {

/// Of each sequence and head, in order: tensor maps of q, dO, k and v.
inline constexpr unsigned tensor_maps_per_head = 4;
/// Four warps make those of a sequence and head; none where there is nothing to read.
SKIPV1_DEVICE void make_head_tensor_maps(TensorMap* maps, const bfloat16* q, const bfloat16* dout,
                                         const HeadPair<const bfloat16, Cuda>& pair, const AttentionSizes& z,
                                         const AttentionSequence& own, std::size_t h, std::size_t b) {
  const unsigned which = warp();
  const Head<const bfloat16, Cuda> head = which == 2 ? pair.key : pair.value;
  const std::size_t width = which % 2 == 0 ? z.key : z.value;
  const bfloat16* rows = which == 0 ? q : dout;
  if (which >= tensor_maps_per_head || own.rows == 0 || !pair.value.data || (which < 2 && !rows)) return;
  make_tensor_map(maps + which, dynamic_shared<std::uint32_t>(which * sizeof(TensorMap), 32),
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
  static constexpr std::size_t elements = std::size_t{2 * rows + stages * 2 * K} * pitch, mbarrier_count = 4 * stages + 2;
  static constexpr std::size_t bytes = 2 * elements + mbarrier_count * sizeof(std::uint64_t) + sizeof(std::uint32_t);

  SKIPV1_DEVICE_MEMBER static Shared<bfloat16> memory() { return dynamic_shared<bfloat16>(0, elements); }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> q_tile() { return {memory(), 0}; }
  SKIPV1_DEVICE_MEMBER static Tile<W, rows> out_tile() { return {memory(), rows * pitch}; }
  SKIPV1_DEVICE_MEMBER static Tile<W, K> tile(unsigned stage, unsigned which) {
    return {memory(), (2 * rows + (stage * 2 + which) * K) * pitch};
  }
  /// Mbarriers: full and empty of each stage's keys and values, then of q.
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() { return dynamic_shared<std::uint64_t>(2 * elements, mbarrier_count); }
  SKIPV1_DEVICE_MEMBER static unsigned full(unsigned stage, unsigned which) { return stage * 2 + which; }
  SKIPV1_DEVICE_MEMBER static unsigned empty(unsigned stage, unsigned which) { return 2 * stages + stage * 2 + which; }
  static constexpr unsigned q_full = 4 * stages, q_empty = q_full + 1;
  /// The ticket of the tile of rows that is computed.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> tile_ticket() {
    return dynamic_shared<std::uint32_t>(2 * elements + mbarrier_count * sizeof(std::uint64_t), 1);
  }
};

/// What the forward pass's kernels hand on, in memory.
struct ForwardMemory {
  TensorMap* maps;           ///< of each sequence and head (`make_head_tensor_maps`)
  std::uint32_t* next_tile;  ///< the tile scheduler's counter
  std::size_t row_tiles;
};

/// Grid (H, B): maps.
template <class = void>
SKIPV1_KERNEL attention_forward_prepare(const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads, AttentionSizes z,
                                        ForwardMemory m) {
  const std::size_t h = block().x, b = block().y;
  make_head_tensor_maps(m.maps + (b * z.heads + h) * tensor_maps_per_head, q, nullptr, heads[h], z, sequence(z, b), h, b);
  if (h == 0 && b == 0 && thread().x == 0) *m.next_tile = 0;
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
SKIPV1_DEVICE void load_q(std::uint32_t (&q_fragments)[W / 16][4], const Tile<W, R>& tile, bool negative) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) {
    tile.load_a(q_fragments[k / 16], 0, k);
    for (std::uint32_t& pair : q_fragments[k / 16]) pair ^= negative ? 0x80008000u : 0;
  }
}
/// Issues `d (64, 8 N) = a (64 rows from `row` on) b^T (8 N rows)`.
template <unsigned W, unsigned R, unsigned K, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_ABt(float (&d)[N][4], const Tile<W, R>& a, unsigned row, const Tile<W, K>& b) {
  static_assert(K == 8 * N);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) wgmma_ABt(d, MatrixDescriptor(a, row, k), MatrixDescriptor(b, 0, k), accumulate_if(k > 0));
}
/// The same, a in fragments.
template <unsigned W, unsigned K, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_ABt(float (&d)[N][4], const std::uint32_t (&a)[W / 16][4], const Tile<W, K>& b) {
  SKIPV1_UNROLL
  for (unsigned k = 0; k < W; k += 16) wgmma_ABt(d, a[k / 16], MatrixDescriptor(b, 0, k), accumulate_if(k > 0));
}
/// Issues `d (64, W) += a (64, K) b`, a in fragments.
template <unsigned W, unsigned K, std::size_t M, std::size_t N>
SKIPV1_DEVICE void issue_wgmma_AB(float (&d)[M][4], const std::uint32_t (&a)[N][4], const Tile<W, K>& b) {
  static_assert(K == 16 * N && W == 8 * M);
  SKIPV1_UNROLL
  for (unsigned k = 0; k < N; ++k) wgmma_AB(d, a[k], MatrixDescriptor(b, 16 * k, 0));
}

/// Multiplies rows g and g + 8 of acc_o by their factors.
template <std::size_t M>
SKIPV1_DEVICE void rescale_acc_o(float (&acc_o)[M][4], const float (&rescale)[2]) {
  SKIPV1_UNROLL
  for (auto& acc : acc_o)
    for (unsigned l = 0; l < 4; ++l) acc[l] *= rescale[l / 2];
}

/// Grid (row tiles, H, B): for narrow heads, whose exponentials take as long as their products. Small blocks overlap best, and
/// copies by all threads are no slower (docs/performance/ledger.md).
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(NarrowForward<W>::threads, NarrowForward<W>::blocks)
    attention_forward_narrow(bfloat16* out, float* lse, const bfloat16* q, const HeadPair<const bfloat16, Cuda>* heads,
                             AttentionSizes z, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
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
    to.template load_async<K, threads>(from, head.row_stride, keys - i * K, width, t);
  };
  const auto arrive = [&] {
    cp_async_wait<0>();
    fence_proxy_async();
    sync_threads();
  };
  q_tile.template load_async<R, threads>(q + at * z.key, z.heads * z.key, rows, z.key, t);
  copy(k_tile(0), 0, key, z.key);
  cp_async_commit();
  arrive();
  std::uint32_t q_fragments[W / 16][4], p[K / 16][4];
  load_q(q_fragments, q_tile.rows_from(row), scale < 0);
  OnlineSoftmax softmax;
  const float scale_log2 = fabsf(scale) * static_cast<float>(log2_e);
  const auto seen = static_cast<int>(own.past + first + row + 1);  // by the warp's first row
  float acc_s[K / 8][4], acc_o[W / 8][4] = {}, rescale[2];
  const auto update_softmax = [&](unsigned i) {
    const int rest = seen - static_cast<int>(i * K);
    return softmax.update(acc_s, rescale, rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), scale_log2);
  };
  const auto copy_ahead = [&](unsigned i) {  // the keys of the next tile, the values of this one
    if (i + 1 < tiles) copy(k_tile(i + 1), i + 1, key, z.key);
    copy(v_tile(i), i, value, z.value);
    cp_async_commit();
  };
  copy_ahead(0);
  wgmma_fence(q_fragments);
  issue_wgmma_ABt(acc_s, q_fragments, k_tile(0));
  wgmma_commit();
  wgmma_wait<0>(acc_s);
  update_softmax(0);
  to_a_fragments(p, acc_s);
  for (unsigned i = 1; i < tiles; ++i) {
    arrive();
    copy_ahead(i);
    wgmma_fence(acc_s, acc_o, p);
    issue_wgmma_ABt(acc_s, q_fragments, k_tile(i));
    wgmma_commit();
    issue_wgmma_AB(acc_o, p, v_tile(i - 1));
    wgmma_commit();
    wgmma_wait<1>(acc_s);
    const bool rescales = update_softmax(i);
    wgmma_wait<0>(acc_o, p);
    if (any(rescales)) rescale_acc_o(acc_o, rescale);
    to_a_fragments(p, acc_s);
  }
  arrive();
  wgmma_fence(acc_o, p);
  issue_wgmma_AB(acc_o, p, v_tile(tiles - 1));
  wgmma_commit();
  wgmma_wait<0>(acc_o);
  float factor[2];
  softmax.finalize(factor, lse + at, z.heads, row, rows, scale_log2);
  q_tile.store_accumulators(acc_o, row, factor);  // these rows the warp alone has read
  sync_warp();
  q_tile.template store_global<16>(out + at * z.value, z.heads * z.value, row, rows, z.value);
}

/// Blocks take rows of a head of a sequence, one tile after the other.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(WideForward<W>::threads, 1)
    attention_forward_wide(bfloat16* out, float* lse, const HeadPair<const bfloat16, Cuda>* heads, AttentionSizes z,
                           ForwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  using Shape = WideForward<W>;
  constexpr unsigned K = Shape::K, groups = Shape::groups, stages = Shape::stages, pitch = Shape::pitch, warps = 4 * groups;
  const Mbarriers mbarriers = Shape::mbarriers();
  const Shared<std::uint32_t> tile_ticket = Shape::tile_ticket();
  const auto tile_count = static_cast<std::uint32_t>(m.row_tiles * z.heads * z.batch);
  if (thread().x == 0) {
    mbarrier_init(mbarriers, Shape::full(0, 0), 2 * stages);
    mbarrier_init(mbarriers, Shape::empty(0, 0), 2 * stages, warps);
    mbarrier_init(mbarriers, Shape::q_full, 1);
    mbarrier_init(mbarriers, Shape::q_empty, 1, warps);
  }
  sync_threads();
  const unsigned group = shuffle(thread().x / 128, 0);
  unsigned n = 0;  // tiles of keys before
  if (group == groups) {
    setmaxnreg_dec<24>();
    if (thread().x % 128 != 0) return;
    for (unsigned round = 0;; ++round) {
      const std::uint32_t ticket = take_ticket(m.next_tile);
      if (round > 0) mbarrier_wait(mbarriers, Shape::q_empty, round - 1);
      tile_ticket[0] = ticket;
      const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, ticket);
      if (own.rows == 0 || !heads[own.h].value.data) {
        mbarrier_arrive(mbarriers, Shape::q_full);
        if (ticket >= tile_count) return;
        continue;
      }
      const TensorMap* maps = m.maps + (own.b * z.heads + own.h) * tensor_maps_per_head;
      for (unsigned which = 0; which < tensor_maps_per_head; ++which)
        if (which != 1) fence_acquire_tensor_map(maps + which);
      mbarrier_arrive_expect_tx(mbarriers, Shape::q_full, 2 * Shape::rows * pitch);
      for (unsigned row = 0; row < Shape::rows; row += tma_box_rows)
        tma_load_tile(Shape::q_tile(), row, maps, own.first + row, mbarriers, Shape::q_full);
      const auto tiles = static_cast<unsigned>((own.own.past + own.first + own.rows + K - 1) / K);
      for (unsigned i = 0; i < tiles; ++i, ++n) {
        for (unsigned which = 0; which < 2; ++which) {
          const unsigned stage = n % stages, full = Shape::full(stage, which);
          if (n >= stages) mbarrier_wait(mbarriers, Shape::empty(stage, which), n / stages - 1);
          mbarrier_arrive_expect_tx(mbarriers, full, 2 * K * pitch);
          for (unsigned row = 0; row < K; row += tma_box_rows)
            tma_load_tile(Shape::tile(stage, which), row, maps + 2 + which, std::size_t{i} * K + row, mbarriers, full);
        }
      }
    }
  }
  setmaxnreg_inc<240>();
  const unsigned row = warp() * 16;
  const float scale_log2 = fabsf(scale) * static_cast<float>(log2_e);
  for (unsigned round = 0;; ++round) {
    mbarrier_wait(mbarriers, Shape::q_full, round);
    const std::uint32_t ticket = shuffle(lane() == 0 ? static_cast<std::uint32_t>(tile_ticket[0]) : 0, 0);
    const RowTile own = row_tile<Shape::rows>(z, m.row_tiles, ticket);
    std::uint32_t q_fragments[W / 16][4], p[K / 16][4];
    const bool works = own.rows > 0 && heads[own.h].value.data;
    if (works) load_q(q_fragments, Shape::q_tile().rows_from(row), scale < 0);
    sync_warp();
    if (lane() == 0) mbarrier_arrive(mbarriers, Shape::q_empty);
    if (ticket >= tile_count) return;
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
    const auto wait_full = [&](unsigned i, unsigned which) {
      mbarrier_wait(mbarriers, Shape::full((n + i) % stages, which), (n + i) / stages);
    };
    const auto arrive_empty = [&](unsigned i, unsigned which) {
      if (lane() == 0) mbarrier_arrive(mbarriers, Shape::empty((n + i) % stages, which));
    };
    OnlineSoftmax softmax;
    float acc_s[K / 8][4], acc_o[W / 8][4] = {}, rescale[2];
    const auto update_softmax = [&](unsigned i) {
      const int rest = seen - static_cast<int>(i * K);
      return softmax.update(acc_s, rescale, rest < static_cast<int>(K), rest + static_cast<int>(lane() / 4), scale_log2);
    };
    wait_full(0, 0);
    wgmma_fence(acc_s, q_fragments);
    issue_wgmma_ABt(acc_s, q_fragments, Shape::tile(n % stages, 0));
    wgmma_commit();
    wgmma_wait<0>(acc_s);
    arrive_empty(0, 0);
    update_softmax(0);
    to_a_fragments(p, acc_s);
    for (unsigned i = 1; i < tiles; ++i) {
      wait_full(i - 1, 1);
      wait_full(i, 0);
      wgmma_fence(acc_s, acc_o, p);
      issue_wgmma_ABt(acc_s, q_fragments, Shape::tile((n + i) % stages, 0));
      wgmma_commit();
      issue_wgmma_AB(acc_o, p, Shape::tile((n + i - 1) % stages, 1));
      wgmma_commit();
      wgmma_wait<1>(acc_s);
      arrive_empty(i, 0);
      const bool rescales = update_softmax(i);
      wgmma_wait<0>(acc_o, p);
      arrive_empty(i - 1, 1);
      if (any(rescales)) rescale_acc_o(acc_o, rescale);
      to_a_fragments(p, acc_s);
    }
    wait_full(tiles - 1, 1);
    wgmma_fence(acc_o, p);
    issue_wgmma_AB(acc_o, p, Shape::tile((n + tiles - 1) % stages, 1));
    wgmma_commit();
    wgmma_wait<0>(acc_o);
    arrive_empty(tiles - 1, 1);
    for (unsigned i = tiles; i < all; ++i)  // in order: each was there
      for (unsigned which = 0; which < 2; ++which) wait_full(i, which), arrive_empty(i, which);
    n += all;
    float factor[2];
    softmax.finalize(factor, lse + own.at, z.heads, row, own.rows, scale_log2);
    const Tile<W, Shape::rows> tile = Shape::out_tile();
    tile.store_accumulators(acc_o, row, factor);
    sync_warp();
    tile.template store_global<16>(out + own.at * z.value, z.heads * z.value, row, own.rows, z.value);
    sync_warp();
  }
}

}  // namespace skipv1::detail
