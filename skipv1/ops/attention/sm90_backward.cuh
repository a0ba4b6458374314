// Attention's backward pass on Hopper (compute capability 9.0, compiled for sm_90a): one kernel with 5 products, as
// FlashAttention-3's.
//
// A block owns K = 128 keys of one key/value head and loops over the tiles of R query rows that see them: R = 64, or 128 where
// heads are narrow. With transposed scores,
//   S^T = K Q^T,  dP^T = V dO^T,  P^T = 2^(scale_log2 S^T - lse),  dS^T = P^T (dP^T - delta),
//   dV += P^T dO,  dK += dS^T Q  (accumulators of the block),  dQ += dS K  (accumulated in device memory).
//
// Warps: two consumer warpgroups of 64 keys each, and a producer warpgroup of which four threads have one duty each: load tiles
// (TMA), wait for the semaphore of dQ's tile, store dQ (bulk reduce-add), release the semaphore.
//
// Deterministic dQ: a semaphore per tile of dQ fixes the order in which blocks add to it. Persistent blocks draw key tiles in the
// same order, so the block that must release is already resident.
//
// The order is one of two (`KeyOrder`):
// - Later keys first. A block goes up from the first row tile that sees its keys. Its predecessor began K / R row tiles
//   further on, so it seldom waits. The longest key tiles, which all rows see, are drawn last.
// - Earlier keys first. The longest key tiles are drawn first, of 32 heads in turn, so that blocks end at about the same time. A
//   block goes down from the last row tile, which sees all keys, and follows its predecessor. The host chooses this order for
//   heads of 4 readers or more: a key tile's steps grow with its readers.
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
  unsigned tiles;     ///< how many row tiles do; the loop's i-th is `row_tile(i)`

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
  /// dS^T, which both warpgroups multiply by K; after the loop it stages dK and dV for their stores.
  SKIPV1_DEVICE_MEMBER Tile<R, K> ds_tile() const { return {memory(), (2 * K + stages * 2 * R) * pitch}; }
  SKIPV1_DEVICE_MEMBER Tile<W, K> gradient_tile() const { return {memory(), ds_tile().base}; }
  SKIPV1_DEVICE_MEMBER Shared<bfloat16> memory() const { return dynamic_shared<bfloat16>(0, Shape::elements); }
  /// The block's part of a tile of dQ; lse and delta of each stage. Layouts are those of `BackwardMemory`.
  SKIPV1_DEVICE_MEMBER Shared<float> dq_tile() const { return dynamic_shared<float>(2 * Shape::elements, Shape::dq_elements); }
  SKIPV1_DEVICE_MEMBER Shared<float> lse_delta() const {
    return dynamic_shared<float>(2 * Shape::elements + Shape::dq_elements * sizeof(float), Shape::lse_delta);
  }
  /// One per stage, then one for K and V.
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() {
    return dynamic_shared<std::uint64_t>(2 * Shape::elements + (Shape::dq_elements + Shape::lse_delta) * sizeof(float),
                                         Shape::mbarrier_count);
  }
  /// The tickets of the current key tile and of the next; round r has element r % 2.
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> tile_tickets() {
    return dynamic_shared<std::uint32_t>(Shape::bytes - 2 * sizeof(std::uint32_t), 2);
  }
  /// Named barrier of all warps, twice per row tile. At the first, wgmma has read the previous stage, that tile's dQ is in shared
  /// memory, and its semaphore is acquired. At the second, dS^T is in shared memory, and the bulk store has read dQ's tile.
  SKIPV1_DEVICE_MEMBER static void sync() { named_barrier_sync<1, Shape::threads>(); }
};

/// The producer warpgroup's work for query head r. Lane 0 of each warp has one duty, since each may block for long: warp 0 loads
/// what the consumers read, warp 1 waits for the semaphore, warp 2 stores dQ, warp 3 releases. Without `with_key` dS is zero, and
/// only warp 0 works. `copied` row tiles of earlier readers have gone through the stages. Calls `before_last` once, in the last
/// tile.
template <unsigned W, KeyOrder order, class Act>
SKIPV1_DEVICE void produce(const BackwardBlock<W, order>& block, const BackwardMemory& m, std::size_t r, bool with_key,
                           unsigned copied, const Act& before_last) {
  using Block = BackwardBlock<W, order>;
  constexpr unsigned R = Block::R, K = Block::K, pitch = Block::pitch, stages = Block::stages, boxes = Block::Shape::boxes;
  const KeyTile& keys = block.keys;
  const Mbarriers mbarriers = block.mbarriers();
  const unsigned role = lane() == 0 && (warp() % 4 == 0 || with_key) ? warp() % 4 : 4;
  // Where the predecessor is one row tile ahead only, the warp that stores also releases, half a step sooner.
  constexpr bool at_once = K / R < 2;
  const bool copies = role == 0, waits = role == 1, stores = role == 2, releases = role == 3 && !at_once;
  const std::size_t first_tile = m.tile(keys.b, r, block.begin * boxes);
  const auto at = [&](unsigned i) { return first_tile + block.turn(i) * boxes; };
  const TensorMap* maps = m.maps + (keys.b * m.heads + r) * tensor_maps_per_head;
  const auto copy = [&](unsigned i) {
    if (i >= block.tiles) return;
    const unsigned stage = (copied + i) % stages;
    const std::size_t row = (block.begin + block.turn(i)) * R;
    mbarrier_arrive_expect_tx(mbarriers, stage, 2 * 2 * R * pitch + 2 * R * sizeof(float));
    for (unsigned which = 0; which < 2; ++which) tma_load_rows(block.tile(stage, which), maps + which, row, mbarriers, stage);
    bulk_load(block.lse_delta(), stage * 2 * R, m.lse_delta + at(i) * 2 * tma_box_rows, 2 * R, mbarriers, stage);
  };
  // How many blocks add to the i-th tile's dQ before this one: those of later keys that its last row sees, or of earlier keys.
  const auto ticket = [&](unsigned i) {
    if constexpr (order == KeyOrder::earlier_first) return static_cast<std::uint32_t>(keys.s0 / K);
    const std::size_t end = (block.begin + i + 1) * R, rows = end < keys.own.rows ? end : keys.own.rows;
    return static_cast<std::uint32_t>((keys.own.past + rows - 1) / K - keys.s0 / K);
  };
  const auto store_dq = [&](unsigned i) {
    float* to = m.dq_acc + at(i) * tma_box_rows * W;
    ticket(i) > 0 ? bulk_reduce_add(to, block.dq_tile(), 0, R * W) : bulk_store(to, block.dq_tile(), 0, R * W);
  };
  if (copies) {
    mbarrier_arrive_expect_tx(mbarriers, stages, 2 * 2 * K * pitch);
    for (unsigned which = 0; which < tensor_maps_per_head; ++which) fence_acquire_tensor_map(maps + which);
    for (unsigned which = 0; which < 2; ++which)
      tma_load_rows(block.head_tile(which), maps + 2 + which, keys.s0, mbarriers, stages);
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
    if (stores && i > 0 && at_once) semaphore_release(m.semaphores + at(i - 1));
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

/// `S^T -> P^T`. The columns are query rows; `lse[n]` holds lse of column pair n. If `masked`, the columns from `g - seen + 1` on
/// see key g of the warp's 16.
template <unsigned N, class Rows>
SKIPV1_DEVICE void transposed_probabilities(float (&acc_s)[N][4], const Rows& lse, bool masked, int seen, float scale_log2) {
  const int c = static_cast<int>(lane() % 4 * 2), g = static_cast<int>(lane() / 4);
  SKIPV1_UNROLL
  for (unsigned n = 0; n < N; ++n) {
    const Vector<float, 2> of_rows = lse[n];
    for (unsigned l = 0; l < 4; ++l) {
      const bool sees = g + static_cast<int>(l / 2 * 8) < seen + static_cast<int>(n * 8 + l % 2) + c;
      acc_s[n][l] = probability(acc_s[n][l], !masked || sees, scale_log2, of_rows[l % 2]);
    }
  }
}
/// A stage's lse or delta: two query rows per column pair. Of 64 rows all are loaded at once, of more each as it is used:
/// registers are scarce.
template <unsigned N>
class PerRow {
 public:
  SKIPV1_DEVICE_MEMBER PerRow(const Shared<float>& from, unsigned begin) : from_(from), begin_(begin + lane() % 4 * 2) {
    SKIPV1_UNROLL
    for (unsigned n = 0; at_once && n < N; ++n) loaded_[n] = load(n);
  }
  SKIPV1_DEVICE_MEMBER Vector<float, 2> operator[](unsigned n) const {
    if constexpr (at_once) return loaded_[n];
    return load(n);
  }

 private:
  static constexpr bool at_once = N <= 8;
  /// Each 64 rows have their lse, then their delta.
  SKIPV1_DEVICE_MEMBER Vector<float, 2> load(unsigned n) const {
    return load_shared<2>(from_, begin_ + n / 8 * 2 * tma_box_rows + n % 8 * 8);
  }
  Shared<float> from_;
  unsigned begin_;
  Vector<float, 2> loaded_[at_once ? N : 1];
};
/// Issues the warpgroup's part of `dQ = dS K`: where the block has 128 rows, 64 of them; else columns from `64 group` on.
template <unsigned W, unsigned R, unsigned K, std::size_t M>
SKIPV1_DEVICE void issue_dq(float (&acc_dq)[M][4], const Tile<R, K>& ds_tile, const Tile<W, K>& k_tile, unsigned group) {
  const unsigned row = R > 64 ? group * 64 : 0, column = R > 64 ? 0 : group * 64;
  SKIPV1_UNROLL
  for (unsigned k = 0; k < K; k += 16)
    wgmma_AtB(acc_dq, MatrixDescriptor(ds_tile, k, row), MatrixDescriptor(k_tile, k, column), accumulate_if(k > 0));
}

/// A consumer warpgroup's loop over the rows of one query head: accumulates dK / scale and dV of its 64 keys, and hands dQ /
/// scale to the producer. The block has finished `readers` query heads and `copied` row tiles before. `own_group`: which of the
/// two warpgroups' parts of dQ this code computes, where their sizes differ; else 0.
template <unsigned W, KeyOrder order, unsigned own_group>
SKIPV1_DEVICE void consume(float (&dk)[W / 8][4], float (&dv)[W / 8][4], const BackwardBlock<W, order>& block, bool with_key,
                           bool with_value, float scale_log2, unsigned readers, unsigned copied) {
  using Block = BackwardBlock<W, order>;
  constexpr unsigned R = Block::R, K = Block::K, stages = Block::stages;
  constexpr unsigned N = R > 64 || own_group == 0 ? 8 : (W - 64) / 8;  // acc_dq has 64 rows and 8 N columns
  // With 128 rows there are no registers for acc_dp while the previous tile's dS is still read.
  constexpr bool dp_after_s = R > 64;
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
    if constexpr (dp_after_s) {
      wgmma_fence(acc_s);
    } else {
      wgmma_fence(acc_s, acc_dp);
    }
    issue_wgmma_ABt(acc_s, k_tile, g * 64, q_tile);
    wgmma_commit();
    if constexpr (!dp_after_s) {
      issue_wgmma_ABt(acc_dp, v_tile, g * 64, dout_tile);
      wgmma_commit();
    }
    fence_proxy_async();  // dQ of the tile before, for the bulk store
    Block::sync();
    const PerRow<R / 8> lse(lse_delta, stage * 2 * R);
    wgmma_wait<dp_after_s ? 0 : 1>(acc_s, dk, ds);
    if constexpr (dp_after_s) {
      wgmma_fence(acc_dp);
      issue_wgmma_ABt(acc_dp, v_tile, g * 64, dout_tile);
      wgmma_commit();
    }
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
    const PerRow<R / 8> delta(lse_delta, stage * 2 * R + tma_box_rows);
    SKIPV1_UNROLL
    for (unsigned n = 0; n < R / 8; ++n) {
      const Vector<float, 2> of_rows = delta[n];
      for (unsigned l = 0; l < 4; ++l) acc_dp[n][l] = acc_s[n][l] * (acc_dp[n][l] - of_rows[l % 2]);
    }
    to_a_fragments(ds, acc_dp);
    if (!with_key) clear(ds);
    const Tile<R, K> ds_tile = block.ds_tile();
    SKIPV1_UNROLL
    for (unsigned k = 0; k < R / 16; ++k) ds_tile.store_a(ds[k], own_key, 16 * k);
    fence_proxy_async();
    Block::sync();
    wgmma_fence(acc_dq, dk, ds);
    issue_dq(acc_dq, ds_tile, k_tile, g);
    wgmma_commit();
    issue_wgmma_AB(dk, ds, q_tile);
    wgmma_commit();
    stage = stage + 1 == stages ? 0 : stage + 1;
    phase += stage == 0;
    if (i + 1 < block.tiles) mbarrier_wait(mbarriers, stage, phase);
    wgmma_wait<1>(acc_dq, dv, p);
    SKIPV1_UNROLL
    for (unsigned n = 0; n < N; ++n)
      store_shared(dq_tile, (group * 8 + n) * 512 + t % 128 * 4,
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

/// How many query heads `for_each_reader` visits.
SKIPV1_DEVICE unsigned count_readers(const BackwardMemory& m, std::size_t h) {
  unsigned count = 0;
  for_each_reader(m, h, [&](std::size_t, bool, bool) { ++count; });
  return count;
}

/// Stores `factor` times dK or dV of the warp's 16 keys to the head `to` in device memory.
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

/// A consumer warpgroup's work for a key tile of the heads that h is the first to read. Counts are as `consume` has them.
template <unsigned W, KeyOrder order, unsigned own_group>
SKIPV1_DEVICE void consume_key_tile(const AttentionGradients<bfloat16>& a, const AttentionSizes& z, const BackwardMemory& m,
                                    const BackwardBlock<W, order>& block, std::size_t h, float scale, unsigned& readers,
                                    unsigned& copied) {
  float dk[W / 8][4] = {}, dv[W / 8][4] = {};
  bool first_of_key = false, first_of_value = false;
  for_each_reader(m, h, [&](std::size_t, bool with_key, bool with_value) {
    first_of_key = first_of_key || with_key, first_of_value = first_of_value || with_value;
    consume<W, order, own_group>(dk, dv, block, with_key, with_value, scale * static_cast<float>(log2_e), readers++, copied);
    copied += block.tiles;
  });
  if (first_of_key) store_head_gradient(block, dk, a.dheads[h].key, write_mode<HeadPart::key>(a.readers[h]), z.key, scale);
  if (first_of_value) store_head_gradient(block, dv, a.dheads[h].value, write_mode<HeadPart::value>(a.readers[h]), z.value, 1);
}

/// Persistent blocks, as many as the device holds at once, draw key tiles. A key tile belongs to the first reader of its head:
/// the block loops over all readers of that head in order, so dK and dV accumulate in registers.
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
    return;
  }
  setmaxnreg_inc<240>();
  const auto consume_all = [&](auto group) {
    for_each_key_tile([&](const KeyTile& own, std::size_t h, unsigned, unsigned& readers, unsigned& copied) {
      if (own.s0 >= own.keys || count_readers(m, h) == 0) return Block::sync();
      consume_key_tile<W, order, decltype(group)::value>(a, z, m, Block(own), h, scale, readers, copied);
    });
  };
  // Parts of dQ of different sizes need code for each warpgroup: a wgmma under a branch is serialized by the compiler.
  constexpr unsigned second = Block::R == 64 && W < 128 ? 1 : 0;
  if (second == 0 || shuffle(thread().x / 128, 0) == 0) {
    consume_all(std::integral_constant<unsigned, 0>{});
  } else {
    consume_all(std::integral_constant<unsigned, second>{});
  }
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
