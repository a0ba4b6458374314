// Rungs 6 to 8: tensor cores multiply.
#pragma once

#include "problem.cuh"

namespace ladder::inline SKIPV1_FLAVOUR {

/// A warp's 16 rows. A lane has rows g = lane / 4 and g + 8 (`half` 0 and 1), and of these the columns of PTX's accumulators
/// (kernel/mma.cuh). Exponents are in base 2.
struct WarpRows {
  float acc_o[D / 8][4] = {}, row_max[2] = {-infinity<float>(), -infinity<float>()}, row_sum[2] = {};

  /// Replaces the scores of 8 N keys by probabilities, up to the factor that row_sum holds too. Row g sees the first `seen` of
  /// these keys, row g + 8 eight more.
  template <std::size_t N>
  SKIPV1_DEVICE_MEMBER void softmax(float (&acc_s)[N][4], int seen, float scale_log2) {
    SKIPV1_UNROLL
    for (unsigned half = 0; half < 2; ++half) {
      float new_max = row_max[half], sum = 0;
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n) {
        for (unsigned j = 2 * half; j < 2 * half + 2; ++j) {
          const int key = static_cast<int>(8 * n + lane() % 4 * 2 + j % 2);
          acc_s[n][j] = key < seen + static_cast<int>(8 * half) ? acc_s[n][j] * scale_log2 : -infinity<float>();
          new_max = fmaxf(new_max, acc_s[n][j]);
        }
      }
      for (unsigned step = 1; step <= 2; step *= 2) new_max = fmaxf(new_max, shuffle_xor(new_max, step));  // the row's lanes
      const float base = new_max == -infinity<float>() ? 0 : new_max, rescale = fast_exp2(row_max[half] - base);
      SKIPV1_UNROLL
      for (unsigned n = 0; n < N; ++n)
        for (unsigned j = 2 * half; j < 2 * half + 2; ++j) sum += acc_s[n][j] = fast_exp2(acc_s[n][j] - base);
      row_max[half] = new_max;
      row_sum[half] = row_sum[half] * rescale + sum;
      SKIPV1_UNROLL
      for (auto& acc : acc_o)
        for (unsigned j = 2 * half; j < 2 * half + 2; ++j) acc[j] *= rescale;
    }
  }
  SKIPV1_DEVICE_MEMBER void sum_over_lanes() {
    for (float& sum : row_sum)
      for (unsigned step = 1; step <= 2; step *= 2) sum += shuffle_xor(sum, step);
  }
  /// O = acc_o / row_sum to rows `t …` of a head, of which there are `rows`.
  SKIPV1_DEVICE_MEMBER void store(bfloat16* out, unsigned t, unsigned rows) {
    sum_over_lanes();
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned r = t + lane() / 4 + 8 * half;
      if (r >= rows) continue;
      for (unsigned m = 0; m < D / 8; ++m) {
        Vector<bfloat16, 2> pair;
        for (unsigned j = 0; j < 2; ++j) pair[j] = static_cast<bfloat16>(acc_o[m][2 * half + j] / row_sum[half]);
        store_global(out + std::size_t{r} * D + 8 * m + lane() % 4 * 2, pair);
      }
    }
  }
};

constexpr float log2_e = 1.44269504f;
constexpr unsigned mma_threads = 128, mma_rows = 64, mma_keys = 64;

struct MmaTiles {
  static constexpr std::size_t elements = std::size_t{D} * (mma_rows + 4 * mma_keys), bytes = 2 * elements;
  SKIPV1_DEVICE_MEMBER static Tile<D> at(unsigned i) { return {dynamic_shared<bfloat16>(0, elements), i * mma_keys * D}; }
};

/// What a block of four warps computes of 64 rows from `first` on and the keys `begin … end - 1`: `cp.async` as in rung 5, but a
/// warp has 16 rows, and `mma.sync` multiplies 16 x 16 by 16 x 8 at once. P stays in registers: the accumulators of one product
/// are laid out as the operand of the next.
SKIPV1_DEVICE void attend(WarpRows& own, const Attention& a, unsigned h, unsigned first, unsigned begin, unsigned end) {
  const Tile<D> q = MmaTiles::at(0);
  const unsigned row = warp() * 16, t = thread().x, rows = a.rows - first;
  const auto k_tile = [](unsigned i) { return MmaTiles::at(1 + i % 2 * 2); };
  const auto v_tile = [](unsigned i) { return MmaTiles::at(2 + i % 2 * 2); };
  const auto copy = [&](unsigned i) {
    const std::size_t s0 = begin + i * mma_keys, from = a.key(h) + s0 * D;
    k_tile(i).load_async<mma_keys, mma_threads>(a.k + from, D, end - s0, D, t);
    v_tile(i).load_async<mma_keys, mma_threads>(a.v + from, D, end - s0, D, t);
    cp_async_commit();
  };
  q.load_async<mma_rows, mma_threads>(a.q + a.row(h, first), D, rows, D, t);
  copy(0);
  const int seen = static_cast<int>(a.seen(first + row + lane() / 4));
  for (unsigned i = 0, s0 = begin; s0 < end; ++i, s0 += mma_keys) {
    cp_async_wait<0>();
    sync_threads();
    if (s0 + mma_keys < end) copy(i + 1);
    if (row >= rows || s0 >= a.seen(first + row + 15)) continue;  // the whole warp: no row, or none that sees a key of the tile
    float acc_s[mma_keys / 8][4] = {};
    SKIPV1_UNROLL
    for (unsigned d = 0; d < D; d += 16) {
      std::uint32_t fragment[4];
      q.load_a(fragment, row, d);
      SKIPV1_UNROLL
      for (unsigned n = 0; n < mma_keys / 8; n += 2) {
        std::uint32_t keys[2][2];
        k_tile(i).load_bt(keys, 8 * n, d);
        for (unsigned j = 0; j < 2; ++j) mma(acc_s[n + j], fragment, keys[j]);
      }
    }
    own.softmax(acc_s, seen - static_cast<int>(s0), a.scale * log2_e);
    SKIPV1_UNROLL
    for (unsigned s = 0; s < mma_keys; s += 16) {
      std::uint32_t p[4];
      to_a_fragment(p, acc_s[s / 8], acc_s[s / 8 + 1]);
      SKIPV1_UNROLL
      for (unsigned m = 0; m < D / 8; m += 2) {
        std::uint32_t values[2][2];
        v_tile(i).load_b(values, s, 8 * m);
        for (unsigned j = 0; j < 2; ++j) mma(own.acc_o[m + j], p, values[j]);
      }
    }
  }
}

/// Rung 6. Tensor cores by `mma.sync`.
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2) mma_sync(Attention a) {
  const unsigned h = block().y, first = first_row<mma_rows>();
  const unsigned rows = a.rows - first < mma_rows ? a.rows - first : mma_rows;
  WarpRows own;
  attend(own, a, h, first, 0, a.seen(first + rows - 1));
  own.store(a.out + a.row(h, 0), first + warp() * 16, a.rows);
}

/// Rung 7. Split-KV: block z of `grid.z` takes its part of the keys, a multiple of 64, and stores what it has of O, row_max and
/// row_sum.
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2) split_kv(Attention a) {
  const unsigned h = block().y, first = first_row<mma_rows>(), parts = grid_size().z, part = block().z;
  const unsigned rows = a.rows - first < mma_rows ? a.rows - first : mma_rows, keys = a.seen(first + rows - 1);
  const unsigned step = (keys + parts * mma_keys - 1) / (parts * mma_keys) * mma_keys, begin = part * step;
  WarpRows own;
  if (begin < keys) attend(own, a, h, first, begin, begin + step < keys ? begin + step : keys);
  own.sum_over_lanes();
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned t = first + warp() * 16 + lane() / 4 + 8 * half;
    if (t >= a.rows) continue;
    float* const to = a.scratch + ((std::size_t{h} * parts + part) * a.rows + t) * part_pitch;
    for (unsigned m = 0; m < D / 8; ++m)
      store_global(to + 8 * m + lane() % 4 * 2, Vector<float, 2>{{own.acc_o[m][2 * half], own.acc_o[m][2 * half + 1]}});
    if (lane() % 4 == 0) store_global(to + D, Vector<float, 2>{{own.row_max[half], own.row_sum[half]}});
  }
}
/// One warp, one row: merges its parts (Flash-Decoding, Dao et al. 2023).
SKIPV1_KERNEL merge_parts(Attention a, unsigned parts) {
  const unsigned h = block().y, t = block().x * (block_size().x / warp_size) + warp(), d = 4 * lane();
  if (t >= a.rows) return;
  float row_max = -infinity<float>(), row_sum = 0, o[4] = {};
  for (unsigned part = 0; part < parts; ++part) {
    const float* from = a.scratch + ((std::size_t{h} * parts + part) * a.rows + t) * part_pitch;
    const Vector<float, 2> state = load_global<2>(from + D);
    const float new_max = fmaxf(row_max, state[0]);  // part 0 has key 0, which every row sees: finite
    const float rescale = fast_exp2(row_max - new_max), factor = fast_exp2(state[0] - new_max);
    row_max = new_max;
    row_sum = row_sum * rescale + factor * state[1];
    const Vector<float, 4> x = load_global<4>(from + d);
    for (unsigned j = 0; j < 4; ++j) o[j] = o[j] * rescale + factor * x[j];
  }
  Vector<bfloat16, 4> out;
  for (unsigned j = 0; j < 4; ++j) out[j] = static_cast<bfloat16>(o[j] / row_sum);
  store_global(a.out + a.row(h, t) + d, out);
}

/// Rung 8: two consumer warpgroups of 64 rows each, one producer, a ring of two stages of 128 keys and their values.
struct Hopper {
  static constexpr unsigned groups = 2, threads = 128 * (groups + 1), rows = 64 * groups, keys = 128, stages = 2;
  static constexpr std::size_t elements = std::size_t{D} * (rows + stages * 2 * keys), mbarrier_count = 3 * stages + 1;
  static constexpr std::size_t bytes = 2 * elements + mbarrier_count * sizeof(std::uint64_t);
  SKIPV1_DEVICE_MEMBER static Tile<D, rows> q() { return {dynamic_shared<bfloat16>(0, elements), 0}; }
  SKIPV1_DEVICE_MEMBER static Tile<D, keys> tile(unsigned stage, unsigned which) {  // keys (0) or values (1)
    return {dynamic_shared<bfloat16>(0, elements), (rows + (2 * stage + which) * keys) * D};
  }
  SKIPV1_DEVICE_MEMBER static Mbarriers mbarriers() { return dynamic_shared<std::uint64_t>(2 * elements, mbarrier_count); }
  static constexpr unsigned q_full = 3 * stages;
  SKIPV1_DEVICE_MEMBER static unsigned full(unsigned stage, unsigned which) { return 2 * stage + which; }
  SKIPV1_DEVICE_MEMBER static unsigned empty(unsigned stage) { return 2 * stages + stage; }
};
/// Grid (heads), three warps: the tensor maps of Q, K and V, through which TMA finds a head's rows.
SKIPV1_KERNEL make_maps(Attention a) {
  const unsigned h = block().x, which = warp();
  const bfloat16* from = which == 0 ? a.q + a.row(h, 0) : (which == 1 ? a.k : a.v) + a.key(h);
  make_tensor_map(a.maps + h * 3 + which, dynamic_shared<std::uint32_t>(which * sizeof(TensorMap), 32), from, D,
                  which == 0 ? a.rows : a.keys, D);
}

/// Rung 8. One thread of the producer warpgroup loads whole tiles by TMA, each completing at an mbarrier; the consumers multiply
/// by `wgmma`, which reads K and V from shared memory itself. While one warpgroup takes exponentials the other multiplies.
SKIPV1_KERNEL SKIPV1_BOUNDS(Hopper::threads, 1) hopper(Attention a) {
  if constexpr (!SKIPV1_SM90A) return;
  const unsigned h = block().y, first = first_row<Hopper::rows>(), stages = Hopper::stages;
  const unsigned rows = a.rows - first < Hopper::rows ? a.rows - first : Hopper::rows;
  const unsigned tiles = (a.seen(first + rows - 1) + Hopper::keys - 1) / Hopper::keys;
  const Mbarriers mbarriers = Hopper::mbarriers();
  if (thread().x == 0) {
    mbarrier_init(mbarriers, Hopper::full(0, 0), 2 * stages);
    mbarrier_init(mbarriers, Hopper::empty(0), stages, 4 * Hopper::groups);
    mbarrier_init(mbarriers, Hopper::q_full, 1);
  }
  sync_threads();
  const unsigned group = shuffle(thread().x / 128, 0);  // the same in the whole warp, as the compiler sees
  if (group == Hopper::groups) {
    setmaxnreg_dec<24>();
    if (thread().x % 128 > 0) return;
    for (unsigned which = 0; which < 3; ++which) fence_acquire_tensor_map(a.maps + h * 3 + which);
    mbarrier_arrive_expect_tx(mbarriers, Hopper::q_full, 2 * Hopper::rows * D);
    for (unsigned r = 0; r < Hopper::rows; r += tma_box_rows)
      tma_load_tile(Hopper::q(), r, a.maps + h * 3, first + r, mbarriers, Hopper::q_full);
    for (unsigned i = 0; i < tiles; ++i) {
      const unsigned stage = i % stages;
      if (i >= stages) mbarrier_wait(mbarriers, Hopper::empty(stage), i / stages - 1);
      for (unsigned which = 0; which < 2; ++which) {
        const unsigned full = Hopper::full(stage, which);
        mbarrier_arrive_expect_tx(mbarriers, full, 2 * Hopper::keys * D);
        for (unsigned r = 0; r < Hopper::keys; r += tma_box_rows)
          tma_load_tile(Hopper::tile(stage, which), r, a.maps + h * 3 + 1 + which, i * Hopper::keys + r, mbarriers, full);
      }
    }
    return;
  }
  setmaxnreg_inc<240>();
  WarpRows own;
  std::uint32_t p[Hopper::keys / 16][4];
  float acc_s[Hopper::keys / 8][4];
  const unsigned row = warp() * 16;
  const int seen = static_cast<int>(a.seen(first + row + lane() / 4));
  mbarrier_wait(mbarriers, Hopper::q_full, 0);
  for (unsigned i = 0; i < tiles; ++i) {
    const unsigned stage = i % stages, phase = i / stages;
    mbarrier_wait(mbarriers, Hopper::full(stage, 0), phase);
    std::uint32_t q[D / 16][4];  // again for each tile: ptxas 13.0 gives registers of Q that outlive a tile to P
    for (unsigned d = 0; d < D; d += 16) Hopper::q().load_a(q[d / 16], row, d);
    wgmma_fence(acc_s, q);
    SKIPV1_UNROLL
    for (unsigned d = 0; d < D; d += 16)
      wgmma_ABt(acc_s, q[d / 16], MatrixDescriptor(Hopper::tile(stage, 0), 0, d), accumulate_if(d > 0));
    wgmma_commit();
    wgmma_wait<0>(acc_s, q);
    own.softmax(acc_s, seen - static_cast<int>(i * Hopper::keys), a.scale * log2_e);
    to_a_fragments(p, acc_s);
    mbarrier_wait(mbarriers, Hopper::full(stage, 1), phase);
    wgmma_fence(own.acc_o, p);
    SKIPV1_UNROLL
    for (unsigned s = 0; s < Hopper::keys; s += 16)
      wgmma_AB(own.acc_o, p[s / 16], MatrixDescriptor(Hopper::tile(stage, 1), s, 0));
    wgmma_commit();
    wgmma_wait<0>(own.acc_o, p);  // P too: wgmma reads it until here
    if (lane() == 0) mbarrier_arrive(mbarriers, Hopper::empty(stage));
  }
  own.store(a.out + a.row(h, 0), first + row, a.rows);
}

}  // namespace ladder::inline SKIPV1_FLAVOUR
