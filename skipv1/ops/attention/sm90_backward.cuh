// Attention's backward pass by warpgroups' products and the copy engine: what sm80_backward.cuh does, with 5 products
// for its 7. A block has 128 keys of a head and goes through the rows that see them; what it finds for the rows' own gradients is
// added to sums in memory. Blocks take turns at a row's sums, later keys first, so that results are the same to the bit: a block
// begins at the first rows that see its keys, where those after it have been before it, so turns are seldom waited for.
#pragma once

#include "skipv1/kernel/named_barrier.cuh"
#include "skipv1/kernel/semaphore.cuh"
#include "skipv1/kernel/tma.cuh"
#include "skipv1/ops/attention/sm80_backward.cuh"
#include "skipv1/ops/attention/sm90_common.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Two warpgroups of 64 keys each, and one that serves them; tiles of R rows, of which `stages` are on their way or in use.
template <unsigned W>
struct WarpgroupBackward {
  static constexpr unsigned K = 128, R = tma_box_rows, threads = 3 * 128, stages = 3, pitch = Tile<W>::pitch;
  static constexpr std::size_t elements = std::size_t{3 * K + stages * 2 * R} * pitch;
  static constexpr std::size_t dq_elements = R * pitch, lse_delta = stages * 2 * R, mbarrier_count = stages + 1;
  static constexpr std::size_t bytes = 2 * elements + (dq_elements + lse_delta) * sizeof(float) +
                                       mbarrier_count * sizeof(std::uint64_t) + 2 * sizeof(std::uint32_t);
};

/// What the backward pass's kernels hand on, in memory: of each sequence, head and tile of rows.
struct BackwardMemory {
  TensorMap* maps;            ///< of each sequence and head (`make_head_tensor_maps`)
  float* lse_delta;           ///< of each row the log-sum-exp in base 2, infinity where there is no row; then of each row delta
  float* dq_acc;              ///< dq / scale, as a warpgroup's products have them, 64 rows of `pitch` columns
  std::uint32_t* semaphores;  ///< per tile of dq_acc: how many tiles of keys have added to it
  std::uint32_t* readers;  ///< of each head, for 32 query heads a word: which read its key head, then its value head, if it leads
  std::uint32_t* next_tile;  ///< the tile scheduler's counter
  std::size_t heads, tiles, key_tiles;

  SKIPV1_DEVICE_MEMBER std::size_t tile(std::size_t b, std::size_t h, std::size_t i) const { return (b * heads + h) * tiles + i; }
  SKIPV1_HOST_DEVICE std::size_t words() const { return (heads + 31) / 32; }
};

/// Grid (row tiles, H, B): maps, and each row's numbers.
template <unsigned W>
SKIPV1_KERNEL attention_backward_prepare(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m) {
  if constexpr (!SKIPV1_SM90A) return;
  constexpr unsigned R = tma_box_rows;
  const std::size_t h = block().y, b = block().z, tile = m.tile(b, h, block().x);
  const HeadPair<const bfloat16, Device> pair = a.heads[h];
  const AttentionSequence own = sequence(z, b);
  if (block().x == 0) make_head_tensor_maps(m.maps + (b * z.heads + h) * tensor_maps_per_head, a.q, a.dout, pair, z, own, h, b);
  if (block().x == 0 && b == 0) {
    for (std::size_t i = 0; warp() == 0 && i < m.words(); ++i) {
      const std::size_t r = i * 32 + lane();
      const unsigned of_key = ballot(r < z.heads && first_reader<true>(a.readers[r]) == h),
                     of_value = ballot(r < z.heads && first_reader<false>(a.readers[r]) == h);
      if (lane() < 2) m.readers[(h * m.words() + i) * 2 + lane()] = lane() == 0 ? of_key : of_value;
    }
    if (thread().x == 0 && h == 0) *m.next_tile = 0;
  }
  if (thread().x == 0) m.semaphores[tile] = 0;
  float delta[R / 16] = {};  // 8 lanes a row, 16 rows at a time
  const std::size_t first = std::size_t{block().x} * R + warp() * 4 + lane() / 8;
  SKIPV1_UNROLL
  for (unsigned i = 0; i < R / 16; ++i) {
    const std::size_t row = first + i * 16, n = (own.begin + row) * z.heads + h;
    SKIPV1_UNROLL
    for (unsigned column = lane() % 8 * 8; column < W; column += 64) {
      if (row >= own.rows || column >= z.value) continue;
      const Vector<bfloat16, 8> x = load_vector<8>(a.dout + n * z.value + column),
                                y = load_vector<8>(a.out + n * z.value + column);
      for (unsigned l = 0; l < 8; ++l) delta[i] += static_cast<float>(x[l]) * static_cast<float>(y[l]);
    }
  }
  SKIPV1_UNROLL
  for (unsigned i = 0; i < R / 16; ++i) {
    const std::size_t row = first + i * 16, n = (own.begin + row) * z.heads + h;
    for (unsigned step = 1; step < 8; step *= 2) delta[i] += shuffle_xor(delta[i], step);
    if (lane() % 8 >= 2) continue;
    const float lse = row < own.rows ? a.lse[n] * static_cast<float>(log2_e) : infinity<float>();
    m.lse_delta[(tile * 2 + lane() % 8) * R + row % R] = lane() % 8 == 0 ? lse : delta[i];
  }
}

/// A block's keys, the rows that see them, and where in shared memory it has both.
template <unsigned W>
struct BackwardBlock {
  using Shape = WarpgroupBackward<W>;
  static constexpr unsigned R = Shape::R, K = Shape::K, pitch = Shape::pitch, stages = Shape::stages;
  KeyTile keys;
  std::size_t begin;  ///< tiles of rows before it do not see these keys
  unsigned tiles;     ///< how many do

  SKIPV1_DEVICE_MEMBER explicit BackwardBlock(const KeyTile& own)
      : keys(own),
        begin(own.s0 < own.own.past ? 0 : (own.s0 - own.own.past) / R),
        tiles(static_cast<unsigned>((own.own.rows + R - 1) / R - begin)) {}
  /// Keys, or values.
  SKIPV1_DEVICE_MEMBER Tile<W, K> head_tile(unsigned which) const { return {memory(), which * K * pitch}; }
  /// Queries, or outputs' gradients.
  SKIPV1_DEVICE_MEMBER Tile<W, R> tile(unsigned stage, unsigned which) const {
    return {memory(), (2 * K + (stage * 2 + which) * R) * pitch};
  }
  /// Scores' gradients of keys and rows; in its place, once no products are left, the warps' 16 keys' gradients.
  SKIPV1_DEVICE_MEMBER Tile<R, K> ds_tile() const { return {memory(), (2 * K + stages * 2 * R) * pitch}; }
  SKIPV1_DEVICE_MEMBER Tile<W, K> gradient_tile() const { return {memory(), ds_tile().base}; }
  SKIPV1_DEVICE_MEMBER Shared<bfloat16> memory() const { return dynamic_shared<bfloat16>(0, Shape::elements); }
  /// What the keys add to a tile's sums; of each stage, the rows' numbers: both as in `BackwardMemory`.
  SKIPV1_DEVICE_MEMBER Shared<float> dq_tile() const { return dynamic_shared<float>(2 * Shape::elements, Shape::dq_elements); }
  SKIPV1_DEVICE_MEMBER Shared<float> lse_delta() const {
    return dynamic_shared<float>(2 * Shape::elements + Shape::dq_elements * sizeof(float), Shape::lse_delta);
  }
  /// Of each stage, then of the heads.
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() {
    return dynamic_shared<std::uint64_t>(2 * Shape::elements + (Shape::dq_elements + Shape::lse_delta) * sizeof(float),
                                         Shape::mbarrier_count);
  }
  /// Which tile of keys this is, and the one after it, in turn.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> tile_tickets() {
    return dynamic_shared<std::uint32_t>(Shape::bytes - 2 * sizeof(std::uint32_t), 2);
  }
  /// Once all threads are here, the products before are done, what the threads wrote is seen, and the sums' turn has come.
  SKIPV1_DEVICE_MEMBER static void sync() { named_barrier_sync<1, Shape::threads>(); }
};

/// What a warpgroup does for query head r beside those that multiply, a warp each, for each of these may take long: it copies,
/// after `copied` other tiles, what they read; waits for the turn of a tile's sums; sends what is added to them; and passes the
/// turn on. One thread calls `before_last` before the last time that all threads meet.
template <unsigned W, class Act>
SKIPV1_DEVICE void produce(const BackwardBlock<W>& block, const BackwardMemory& m, std::size_t r, bool with_key, unsigned copied,
                           const Act& before_last) {
  using Block = BackwardBlock<W>;
  constexpr unsigned R = Block::R, K = Block::K, pitch = Block::pitch, stages = Block::stages;
  const KeyTile& keys = block.keys;
  const Mbarriers mbarriers = block.mbarriers();
  const unsigned role = lane() == 0 && (warp() % 4 == 0 || with_key) ? warp() % 4 : 4;
  const bool copies = role == 0, waits = role == 1, stores = role == 2, releases = role == 3;
  const std::size_t first_tile = m.tile(keys.b, r, block.begin);
  const TensorMap* maps = m.maps + (keys.b * m.heads + r) * tensor_maps_per_head;
  const auto copy = [&](unsigned i) {
    if (i >= block.tiles) return;
    const unsigned stage = (copied + i) % stages;
    const std::size_t row = (block.begin + i) * R;
    mbarrier_arrive_expect_tx(mbarriers, stage, 2 * 2 * R * pitch + 2 * R * sizeof(float));
    for (unsigned which = 0; which < 2; ++which) tma_load_tile(block.tile(stage, which), 0, maps + which, row, mbarriers, stage);
    bulk_load(block.lse_delta(), stage * 2 * R, m.lse_delta + (first_tile + i) * 2 * R, 2 * R, mbarriers, stage);
  };
  const auto ticket = [&](unsigned i) {  // blocks before this one: those of the later keys that the tile's last row sees
    const std::size_t end = (block.begin + i + 1) * R, rows = end < keys.own.rows ? end : keys.own.rows;
    return static_cast<std::uint32_t>((keys.own.past + rows - 1) / K - keys.s0 / K);
  };
  const auto store_dq = [&](unsigned i) {
    float* to = m.dq_acc + (first_tile + i) * R * pitch;
    ticket(i) > 0 ? bulk_reduce_add(to, block.dq_tile(), 0, R * pitch) : bulk_store(to, block.dq_tile(), 0, R * pitch);
  };
  if (copies) {
    mbarrier_arrive_expect_tx(mbarriers, stages, 2 * 2 * K * pitch);
    for (unsigned which = 0; which < tensor_maps_per_head; ++which) fence_acquire_tensor_map(maps + which);
    for (unsigned which = 0; which < 2; ++which)
      for (unsigned row = 0; row < K; row += tma_box_rows)
        tma_load_tile(block.head_tile(which), row, maps + 2 + which, keys.s0 + row, mbarriers, stages);
    copy(0);
    copy(1);
  }
  for (unsigned i = 0; i < block.tiles; ++i) {
    Block::sync();
    if (releases && i > 1) semaphore_release(m.semaphores + first_tile + i - 2);
    if (stores && i > 0) store_dq(i - 1);
    if (stores) bulk_wait_group_read();
    Block::sync();
    if (copies) copy(i + 2);
    if (copies && i + 1 == block.tiles) before_last();
    if (stores) bulk_wait_group();
    if (waits) semaphore_wait(m.semaphores + first_tile + i, ticket(i));
  }
  Block::sync();
  if (releases && block.tiles > 1) semaphore_release(m.semaphores + first_tile + block.tiles - 2);
  if (stores) {
    store_dq(block.tiles - 1);
    bulk_wait_group();
    semaphore_release(m.semaphores + first_tile + block.tiles - 1);
  }
}

/// Adds to dk, up to the scale, and dv what a query head adds to the gradients of the warpgroup's keys, with transposed scores;
/// and has what the keys add to its rows' sums sent. `readers` heads and `copied` tiles of rows came before.
template <unsigned W>
SKIPV1_DEVICE void consume(float (&dk)[W / 8][4], float (&dv)[W / 8][4], const BackwardBlock<W>& block, bool with_key,
                           bool with_value, float scale_log2, unsigned readers, unsigned copied) {
  using Block = BackwardBlock<W>;
  constexpr unsigned R = Block::R, K = Block::K, pitch = Block::pitch, stages = Block::stages, N = pitch / 16;
  const KeyTile& keys = block.keys;
  const Mbarriers mbarriers = block.mbarriers();
  const Shared<float> lse_delta = block.lse_delta(), dq_tile = block.dq_tile();
  const Tile<W, K> k_tile = block.head_tile(0), v_tile = block.head_tile(1);
  const unsigned t = thread().x, group = shuffle(t / 128, 0), own_key = warp() * 16, c = lane() % 4 * 2;
  mbarrier_wait(mbarriers, stages, readers);
  // How many of the warp's keys a tile's first row sees.
  auto seen = static_cast<int>(keys.own.past + block.begin * R + 1) - static_cast<int>(keys.s0 + own_key);
  unsigned stage = copied % stages, phase = copied / stages;
  std::uint32_t p[R / 16][4] = {}, ds[R / 16][4] = {};
  mbarrier_wait(mbarriers, stage, phase);
  for (unsigned i = 0; i < block.tiles; ++i, seen += static_cast<int>(R)) {
    const unsigned g = opaque(group);
    const Tile<W, R> q_tile = block.tile(stage, 0), dout_tile = block.tile(stage, 1);
    float acc_s[R / 8][4], acc_dp[R / 8][4], acc_dq[N][4];
    wgmma_fence(acc_s, acc_dp);
    issue_wgmma_ABt(acc_s, k_tile, g * 64, q_tile);
    wgmma_commit();
    issue_wgmma_ABt(acc_dp, v_tile, g * 64, dout_tile);
    wgmma_commit();
    fence_proxy_async();  // the sums before
    Block::sync();
    Vector<float, 2> lse[R / 8], delta[R / 8];
    SKIPV1_UNROLL
    for (unsigned n = 0; n < R / 8; ++n) lse[n] = load_shared<2>(lse_delta, stage * 2 * R + n * 8 + c);
    wgmma_wait<1>(acc_s, dk, ds);
    const auto probabilities = [&](bool masked) {
      SKIPV1_UNROLL
      for (unsigned n = 0; n < R / 8; ++n) {
        for (unsigned l = 0; l < 4; ++l) {
          const bool sees = static_cast<int>(lane() / 4 + l / 2 * 8) < seen + static_cast<int>(n * 8 + c + l % 2);
          acc_s[n][l] = probability(acc_s[n][l], !masked || sees, scale_log2, lse[n][l % 2]);
        }
      }
    };
    seen < 16 ? probabilities(true) : probabilities(false);
    to_a_fragments(p, acc_s);
    if (!with_value) clear(p);
    wgmma_fence(dv, p);
    issue_wgmma_AB(dv, p, dout_tile);
    wgmma_commit();
    wgmma_wait<1>(acc_dp);
    SKIPV1_UNROLL
    for (unsigned n = 0; n < R / 8; ++n) delta[n] = load_shared<2>(lse_delta, (stage * 2 + 1) * R + n * 8 + c);
    SKIPV1_UNROLL
    for (unsigned n = 0; n < R / 8; ++n)
      for (unsigned l = 0; l < 4; ++l) acc_dp[n][l] = acc_s[n][l] * (acc_dp[n][l] - delta[n][l % 2]);
    to_a_fragments(ds, acc_dp);
    if (!with_key) clear(ds);
    const Tile<R, K> ds_tile = block.ds_tile();
    SKIPV1_UNROLL
    for (unsigned k = 0; k < R / 16; ++k) ds_tile.store_a(ds[k], own_key, 16 * k);
    fence_proxy_async();
    Block::sync();
    wgmma_fence(acc_dq, dk, ds);
    SKIPV1_UNROLL
    for (unsigned k = 0; k < K; k += 16)
      wgmma_AtB(acc_dq, MatrixDescriptor(ds_tile, k, 0), MatrixDescriptor(k_tile, k, g * (pitch / 2)), accumulate_if(k > 0));
    wgmma_commit();
    issue_wgmma_AB(dk, ds, q_tile);
    wgmma_commit();
    stage = stage + 1 == stages ? 0 : stage + 1;
    phase += stage == 0;
    if (i + 1 < block.tiles) mbarrier_wait(mbarriers, stage, phase);
    wgmma_wait<1>(acc_dq, dv, p);
    SKIPV1_UNROLL
    for (unsigned n = 0; n < N; ++n)
      store_shared(dq_tile, (group * N + n) * 512 + t % 128 * 4,
                   Vector<float, 4>{acc_dq[n][0], acc_dq[n][1], acc_dq[n][2], acc_dq[n][3]});
  }
  fence_proxy_async();
  wgmma_wait<0>(dk, ds);
  Block::sync();
}

/// Calls `add(r, with_key, with_value)` for each query head r, in order, that reads h's key head or value head, where h leads.
template <class Add>
SKIPV1_DEVICE void for_each_reader(const BackwardMemory& m, std::size_t h, const Add& add) {
  for (std::size_t i = h / 32; i < m.words(); ++i) {
    const std::uint32_t *words = m.readers + (h * m.words() + i) * 2, of_key = words[0], of_value = words[1];
    for (unsigned left = of_key | of_value; left != 0; left &= left - 1) {
      const unsigned bit = lowest_bit(left);
      add(i * 32 + bit, (of_key >> bit & 1) != 0, (of_value >> bit & 1) != 0);
    }
  }
}

/// How many these are.
SKIPV1_DEVICE unsigned count_readers(const BackwardMemory& m, std::size_t h) {
  unsigned count = 0;
  for_each_reader(m, h, [&](std::size_t, bool, bool) { ++count; });
  return count;
}

/// Blocks take tiles of keys, of a head of a sequence, one after the other, later keys of a head first: the gradients of a key
/// head and a value head, for the head that first reads them, from all their readers in order; and sums of queries' gradients.
/// Two warpgroups work, one serves them.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(WarpgroupBackward<W>::threads, 1)
    attention_backward_wgmma(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  using Block = BackwardBlock<W>;
  constexpr unsigned K = Block::K;
  const Shared<std::uint32_t> tile_tickets = Block::tile_tickets();
  const auto choose = [&](unsigned round) { tile_tickets[round % 2] = take_ticket(m.next_tile); };
  const auto each = [&](const auto& work) {
    unsigned readers = 0, copied = 0;
    Block::sync();
    for (unsigned round = 0;; ++round) {
      const std::size_t n = tile_tickets[round % 2], h = n / m.key_tiles % z.heads, b = n / m.key_tiles / z.heads;
      if (b >= z.batch) return;
      work(own_keys(a, z, h, b, (m.key_tiles - 1 - n % m.key_tiles) * K), h, round, readers, copied);
    }
  };
  if (thread().x == 0) mbarrier_init(Block::mbarriers(), 0, Block::stages + 1), choose(0);
  if (thread().x / 128 == 2) {
    setmaxnreg_dec<24>();
    each([&](const KeyTile& own, std::size_t h, unsigned round, unsigned&, unsigned& copied) {
      unsigned left = own.s0 < own.keys ? count_readers(m, h) : 0;
      if (left == 0) {
        if (thread().x % 128 == 0) choose(round + 1);
        return Block::sync();
      }
      const Block here(own);
      for_each_reader(m, h, [&](std::size_t r, bool with_key, bool) {
        produce(here, m, r, with_key, copied, [&] {
          if (--left == 0) choose(round + 1);
        });
        copied += here.tiles;
      });
    });
  } else {
    setmaxnreg_inc<240>();
    each([&](const KeyTile& own, std::size_t h, unsigned, unsigned& readers, unsigned& copied) {
      if (own.s0 >= own.keys || count_readers(m, h) == 0) return Block::sync();
      const Block here(own);
      float dk[W / 8][4] = {}, dv[W / 8][4] = {};
      bool first_of_key = false, first_of_value = false;
      for_each_reader(m, h, [&](std::size_t, bool with_key, bool with_value) {
        first_of_key = first_of_key || with_key, first_of_value = first_of_value || with_value;
        consume(dk, dv, here, with_key, with_value, scale * static_cast<float>(log2_e), readers++, copied);
        copied += here.tiles;
      });
      const auto add = [&](const float(&acc)[W / 8][4], const Head<bfloat16, Device>& to, WriteMode mode, std::size_t width,
                           float by) {
        const Tile<W, K> tile = here.gradient_tile();
        const float factor[2] = {by, by};
        sync_warp();
        tile.store_accumulators(acc, warp() * 16, factor);
        sync_warp();
        tile.template store_global<16>(to.data + own.b * to.batch_stride + own.s0 * to.row_stride, to.row_stride, warp() * 16,
                                       own.keys - own.s0, width, mode);
      };
      if (first_of_key) add(dk, a.dheads[h].key, write_mode<true>(a.readers[h]), z.key, scale);
      if (first_of_value) add(dv, a.dheads[h].value, write_mode<false>(a.readers[h]), z.value, 1);
    });
  }
}

/// Grid (row tiles, H, B): dq of its sums.
template <unsigned W>
SKIPV1_KERNEL attention_backward_finish(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  constexpr unsigned R = tma_box_rows, pitch = Tile<W>::pitch;
  const std::size_t h = block().y, b = block().z, first = std::size_t{block().x} * R;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  float dq[W / 8][4] = {};
  const float* dq_acc = m.dq_acc + m.tile(b, h, block().x) * R * pitch + thread().x * 4;
  SKIPV1_UNROLL
  for (unsigned n = 0; n < W / 8; ++n) {
    if (!a.heads[h].value.data) continue;
    const Vector<float, 4> four = load_vector<4>(dq_acc + n * 512);
    for (unsigned l = 0; l < 4; ++l) dq[n][l] = four[l];
  }
  const Tile<W, R> tile{dynamic_shared<bfloat16>(0, std::size_t{R} * pitch), 0};
  const unsigned row = warp() * 16;
  const float factor[2] = {scale, scale};
  tile.store_accumulators(dq, row, factor);
  sync_warp();
  tile.template store_global<16>(a.dq + ((own.begin + first) * z.heads + h) * z.key, z.heads * z.key, row,
                                 own.rows - first < R ? own.rows - first : R, z.key);
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
