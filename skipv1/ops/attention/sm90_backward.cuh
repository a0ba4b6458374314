// Attention's backward pass on Hopper (compute capability 9.0, compiled for sm_90a): one kernel with 5 products, as
// FlashAttention-3's.
//
// A block owns 128 keys of one key/value head and loops over the tiles of 64 query rows that see them. With transposed scores,
//   S^T = K Q^T,  dP^T = V dO^T,  P^T = 2^(scale_log2 S^T - lse),  dS^T = P^T (dP^T - delta),
//   dV += P^T dO,  dK += dS^T Q  (accumulators of the block),  dQ += dS K  (accumulated in device memory).
//
// Warps: two consumer warpgroups of 64 keys each, and a producer warpgroup of which four threads have one duty each: load tiles
// (TMA), wait for the semaphore of dQ's tile, store dQ (bulk reduce-add), release the semaphore.
//
// Deterministic dQ: the blocks that add to one tile of dQ do so in a fixed order, by a semaphore per tile. The persistent blocks
// draw key tiles in the same order, so the block that must release has been started before.
//
// Later keys first: a block begins with the first rows that see its keys, where its predecessors have already been, and seldom
// waits; but the tiles that take longest, which all rows see, are drawn last. Earlier keys first: those tiles are drawn first, of
// several heads in turn, so that blocks end together; all begin with the last rows, which see all keys, and go through the rows
// one behind the other. That is for grouped heads, whose longest tiles are as many times longer as a key head has readers.
#pragma once

#include "skipv1/kernel/named_barrier.cuh"
#include "skipv1/kernel/semaphore.cuh"
#include "skipv1/ops/attention/sm90_backward_memory.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// A block's keys, the tiles of rows that see them, and the layout of its shared memory.
template <unsigned W, KeyOrder order>
struct BackwardBlock {
  using Shape = Sm90Backward<W>;
  static constexpr unsigned R = Shape::R, K = Shape::K, pitch = Shape::pitch, stages = Shape::stages;
  KeyTile keys;
  std::size_t begin;  ///< the first tile of rows that sees these keys
  unsigned tiles;     ///< how many tiles do; the i-th that is taken is `row_tile(i)`

  SKIPV1_DEVICE_MEMBER explicit BackwardBlock(const KeyTile& own)
      : keys(own),
        begin(own.s0 < own.own.past ? 0 : (own.s0 - own.own.past) / R),
        tiles(static_cast<unsigned>((own.own.rows + R - 1) / R - begin)) {}
  SKIPV1_DEVICE_MEMBER unsigned turn(unsigned i) const { return order == KeyOrder::later_first ? i : tiles - 1 - i; }
  SKIPV1_DEVICE_MEMBER std::size_t row_tile(unsigned i) const { return begin + turn(i); }
  /// K (`which` 0) or V (1) of the block.
  SKIPV1_DEVICE_MEMBER Tile<W, K> head_tile(unsigned which) const { return {memory(), which * K * pitch}; }
  /// Q (0) or dO (1) of a stage.
  SKIPV1_DEVICE_MEMBER Tile<W, R> tile(unsigned stage, unsigned which) const {
    return {memory(), (2 * K + (stage * 2 + which) * R) * pitch};
  }
  /// dS^T, which both warpgroups multiply by K; after the loop dK and dV take its place on their way out.
  SKIPV1_DEVICE_MEMBER Tile<R, K> ds_tile() const { return {memory(), (2 * K + stages * 2 * R) * pitch}; }
  SKIPV1_DEVICE_MEMBER Tile<W, K> gradient_tile() const { return {memory(), ds_tile().base}; }
  SKIPV1_DEVICE_MEMBER Shared<bfloat16> memory() const { return dynamic_shared<bfloat16>(0, Shape::elements); }
  /// What the block adds to a tile of dQ; lse and delta of each stage. Both lie as in `BackwardMemory`.
  SKIPV1_DEVICE_MEMBER Shared<float> dq_tile() const { return dynamic_shared<float>(2 * Shape::elements, Shape::dq_elements); }
  SKIPV1_DEVICE_MEMBER Shared<float> lse_delta() const {
    return dynamic_shared<float>(2 * Shape::elements + Shape::dq_elements * sizeof(float), Shape::lse_delta);
  }
  /// One per stage, then one for K and V.
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() {
    return dynamic_shared<std::uint64_t>(2 * Shape::elements + (Shape::dq_elements + Shape::lse_delta) * sizeof(float),
                                         Shape::mbarrier_count);
  }
  /// The tickets of this key tile and the next, alternately.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> tile_tickets() {
    return dynamic_shared<std::uint32_t>(Shape::bytes - 2 * sizeof(std::uint32_t), 2);
  }
  /// The barrier of all warps, twice per tile of rows. At the first, wgmma has read the stage before and dQ is in shared memory;
  /// at the second, dS^T is in shared memory, dQ's tile has been read, and the semaphore has been acquired.
  SKIPV1_DEVICE_MEMBER static void sync() { named_barrier_sync<1, Shape::threads>(); }
};

/// The producer warpgroup's part for query head r, four threads with one duty each, since each may block for long: thread 0 of
/// warp 0 loads what the consumers read, after `copied` tiles of earlier readers; of warp 1 waits for the semaphore; of warp 2
/// stores dQ; of warp 3 releases. Without `with_key` dS is zero, and warp 0 alone works. Calls `before_last` once, in the last
/// tile.
template <unsigned W, KeyOrder order, class Act>
SKIPV1_DEVICE void produce(const BackwardBlock<W, order>& block, const BackwardMemory& m, std::size_t r, bool with_key,
                           unsigned copied, const Act& before_last) {
  using Block = BackwardBlock<W, order>;
  constexpr unsigned R = Block::R, K = Block::K, pitch = Block::pitch, stages = Block::stages;
  const KeyTile& keys = block.keys;
  const Mbarriers mbarriers = block.mbarriers();
  const unsigned role = lane() == 0 && (warp() % 4 == 0 || with_key) ? warp() % 4 : 4;
  const bool copies = role == 0, waits = role == 1, stores = role == 2, releases = role == 3;
  const std::size_t first_tile = m.tile(keys.b, r, block.begin);
  const auto at = [&](unsigned i) { return first_tile + block.turn(i); };
  const TensorMap* maps = m.maps + (keys.b * m.heads + r) * tensor_maps_per_head;
  const auto copy = [&](unsigned i) {
    if (i >= block.tiles) return;
    const unsigned stage = (copied + i) % stages;
    const std::size_t row = (block.begin + block.turn(i)) * R;
    mbarrier_arrive_expect_tx(mbarriers, stage, 2 * 2 * R * pitch + 2 * R * sizeof(float));
    for (unsigned which = 0; which < 2; ++which) tma_load_tile(block.tile(stage, which), 0, maps + which, row, mbarriers, stage);
    bulk_load(block.lse_delta(), stage * 2 * R, m.lse_delta + at(i) * 2 * R, 2 * R, mbarriers, stage);
  };
  // How many blocks add to the i-th tile's dQ before this one: those of the later keys that its last row sees, or of the earlier.
  const auto ticket = [&](unsigned i) {
    if constexpr (order == KeyOrder::earlier_first) return static_cast<std::uint32_t>(keys.s0 / K);
    const std::size_t end = (block.begin + i + 1) * R, rows = end < keys.own.rows ? end : keys.own.rows;
    return static_cast<std::uint32_t>((keys.own.past + rows - 1) / K - keys.s0 / K);
  };
  const auto store_dq = [&](unsigned i) {
    float* to = m.dq_acc + at(i) * R * pitch;
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
    if (releases && i > 1) semaphore_release(m.semaphores + at(i - 2));
    if (stores && i > 0) store_dq(i - 1);
    if (stores) bulk_wait_group_read();
    Block::sync();
    if (copies) copy(i + 2);
    if (copies && i + 1 == block.tiles) before_last();
    if (stores) bulk_wait_group();
    if (waits) semaphore_wait(m.semaphores + at(i), ticket(i));
  }
  Block::sync();
  if (releases && block.tiles > 1) semaphore_release(m.semaphores + at(block.tiles - 2));
  if (stores) {
    store_dq(block.tiles - 1);
    bulk_wait_group();
    semaphore_release(m.semaphores + at(block.tiles - 1));
  }
}

/// `S^T -> P^T`; rows are columns here: `lse[n]` of the two of column pair n. Where `masked`, key g of the warp's 16 is seen by
/// the rows from `g - seen + 1` on.
template <unsigned N>
SKIPV1_DEVICE void transposed_probabilities(float (&acc_s)[N][4], const Vector<float, 2> (&lse)[N], bool masked, int seen,
                                            float scale_log2) {
  const int c = static_cast<int>(lane() % 4 * 2), g = static_cast<int>(lane() / 4);
  SKIPV1_UNROLL
  for (unsigned n = 0; n < N; ++n) {
    for (unsigned l = 0; l < 4; ++l) {
      const bool sees = g + static_cast<int>(l / 2 * 8) < seen + static_cast<int>(n * 8 + l % 2) + c;
      acc_s[n][l] = probability(acc_s[n][l], !masked || sees, scale_log2, lse[n][l % 2]);
    }
  }
}
/// Values of the two rows of each column pair, from a stage's lse or delta.
template <unsigned N>
SKIPV1_DEVICE void load_per_row(Vector<float, 2> (&to)[N], const Shared<float>& from, unsigned begin) {
  SKIPV1_UNROLL
  for (unsigned n = 0; n < N; ++n) to[n] = load_shared<2>(from, begin + n * 8 + lane() % 4 * 2);
}

/// A consumer warpgroup's loop over the rows of one query head: accumulates dK / scale and dV of its 64 keys, and hands dQ /
/// scale to the producer. `readers` query heads and `copied` tiles of rows came before in this block.
template <unsigned W, KeyOrder order>
SKIPV1_DEVICE void consume(float (&dk)[W / 8][4], float (&dv)[W / 8][4], const BackwardBlock<W, order>& block, bool with_key,
                           bool with_value, float scale_log2, unsigned readers, unsigned copied) {
  using Block = BackwardBlock<W, order>;
  constexpr unsigned R = Block::R, K = Block::K, pitch = Block::pitch, stages = Block::stages, N = pitch / 16;
  const KeyTile& keys = block.keys;
  const Mbarriers mbarriers = block.mbarriers();
  const Shared<float> lse_delta = block.lse_delta(), dq_tile = block.dq_tile();
  const Tile<W, K> k_tile = block.head_tile(0), v_tile = block.head_tile(1);
  const unsigned t = thread().x, group = shuffle(t / 128, 0), own_key = warp() * 16;
  mbarrier_wait(mbarriers, stages, readers);
  // How many of the warp's keys a tile's first row sees.
  auto seen = static_cast<int>(keys.own.past + block.row_tile(0) * R + 1) - static_cast<int>(keys.s0 + own_key);
  constexpr int step = order == KeyOrder::later_first ? static_cast<int>(R) : -static_cast<int>(R);
  unsigned stage = copied % stages, phase = copied / stages;
  std::uint32_t p[R / 16][4] = {}, ds[R / 16][4] = {};
  mbarrier_wait(mbarriers, stage, phase);
  for (unsigned i = 0; i < block.tiles; ++i, seen += step) {
    const unsigned g = opaque(group);  // addresses are computed anew in each iteration: registers are scarce
    const Tile<W, R> q_tile = block.tile(stage, 0), dout_tile = block.tile(stage, 1);
    float acc_s[R / 8][4], acc_dp[R / 8][4], acc_dq[N][4];
    wgmma_fence(acc_s, acc_dp);
    issue_wgmma_ABt(acc_s, k_tile, g * 64, q_tile);
    wgmma_commit();
    issue_wgmma_ABt(acc_dp, v_tile, g * 64, dout_tile);
    wgmma_commit();
    fence_proxy_async();  // dQ of the tile before, for the bulk store
    Block::sync();
    Vector<float, 2> lse[R / 8], delta[R / 8];
    load_per_row(lse, lse_delta, stage * 2 * R);
    wgmma_wait<1>(acc_s, dk, ds);
    if (seen < 16) {
      transposed_probabilities(acc_s, lse, true, seen, scale_log2);
    } else {
      transposed_probabilities(acc_s, lse, false, seen, scale_log2);
    }
    to_a_fragments(p, acc_s);
    if (!with_value) clear(p);
    wgmma_fence(dv, p);
    issue_wgmma_AB(dv, p, dout_tile);
    wgmma_commit();
    wgmma_wait<1>(acc_dp);
    load_per_row(delta, lse_delta, (stage * 2 + 1) * R);
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

/// Calls `add(r, with_key, with_value)` for each query head r, in order, that reads a key or value head of which h is the first
/// reader.
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

/// Stores dK or dV of the warp's 16 keys, times `factor`, to the head `to` in device memory.
template <unsigned W, KeyOrder order>
SKIPV1_DEVICE void store_head_gradient(const BackwardBlock<W, order>& block, const float (&acc)[W / 8][4],
                                       const Head<bfloat16, Device>& to, WriteMode mode, std::size_t width, float factor) {
  const KeyTile& own = block.keys;
  const auto tile = block.gradient_tile();
  const float factors[2] = {factor, factor};
  sync_warp();
  tile.store_accumulators(acc, warp() * 16, factors);
  sync_warp();
  tile.template store_global<16>(to.data + own.b * to.batch_stride + own.s0 * to.row_stride, to.row_stride, warp() * 16,
                                 own.keys - own.s0, width, mode);
}

/// Persistent blocks: as many as the device holds at once. Each draws tiles of keys. The block of
/// the first reader of a head loops over all its readers in order, so dK and dV gather in registers.
template <unsigned W, KeyOrder order>
SKIPV1_KERNEL SKIPV1_BOUNDS(Sm90Backward<W>::threads, 1)
    attention_backward_wgmma(AttentionGradients<bfloat16> a, AttentionSizes z, BackwardMemory m, float scale) {
  if constexpr (!SKIPV1_SM90A) return;
  using Block = BackwardBlock<W, order>;
  const Shared<std::uint32_t> tile_tickets = Block::tile_tickets();
  const auto draw = [&](unsigned round) { tile_tickets[round % 2] = take_ticket(m.next_tile); };
  const auto for_each_key_tile = [&](const auto& work) {
    unsigned readers = 0, copied = 0;
    Block::sync();
    for (unsigned round = 0;; ++round) {
      const std::size_t n = tile_tickets[round % 2];
      std::size_t h = n / m.key_tiles % z.heads, b = n / m.key_tiles / z.heads, key_tile = m.key_tiles - 1 - n % m.key_tiles;
      if constexpr (order == KeyOrder::earlier_first) {
        const BackwardMemory::DrawnTile at = m.in_turns(static_cast<std::uint32_t>(n), z.batch);
        h = at.h, b = at.b, key_tile = at.key_tile;
      }
      if (b >= z.batch) return;
      work(own_keys(a, z, h, b, key_tile * Block::K), h, round, readers, copied);
    }
  };
  if (thread().x == 0) mbarrier_init(Block::mbarriers(), 0, Block::stages + 1), draw(0);
  if (thread().x / 128 == 2) {
    setmaxnreg_dec<24>();
    for_each_key_tile([&](const KeyTile& own, std::size_t h, unsigned round, unsigned&, unsigned& copied) {
      unsigned left = own.s0 < own.keys ? count_readers(m, h) : 0;
      if (left == 0) {
        if (thread().x % 128 == 0) draw(round + 1);
        return Block::sync();
      }
      const Block here(own);
      for_each_reader(m, h, [&](std::size_t r, bool with_key, bool) {
        produce(here, m, r, with_key, copied, [&] {
          if (--left == 0) draw(round + 1);
        });
        copied += here.tiles;
      });
    });
  } else {
    setmaxnreg_inc<240>();
    for_each_key_tile([&](const KeyTile& own, std::size_t h, unsigned, unsigned& readers, unsigned& copied) {
      if (own.s0 >= own.keys || count_readers(m, h) == 0) return Block::sync();
      const Block here(own);
      float dk[W / 8][4] = {}, dv[W / 8][4] = {};
      bool first_of_key = false, first_of_value = false;
      for_each_reader(m, h, [&](std::size_t, bool with_key, bool with_value) {
        first_of_key = first_of_key || with_key, first_of_value = first_of_value || with_value;
        consume(dk, dv, here, with_key, with_value, scale * static_cast<float>(log2_e), readers++, copied);
        copied += here.tiles;
      });
      if (first_of_key) store_head_gradient(here, dk, a.dheads[h].key, write_mode<true>(a.readers[h]), z.key, scale);
      if (first_of_value) store_head_gradient(here, dv, a.dheads[h].value, write_mode<false>(a.readers[h]), z.value, 1);
    });
  }
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
