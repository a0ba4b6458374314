// Attention's backward pass by mma.sync (compute capability 8.0): dQ in one kernel, dK and dV in another. Both recompute P from
// the log-sum-exp, so no two blocks add to one element and the results are the same to the bit; that costs 7 products where
// atomic additions, or the ordered ones of sm90_backward.cuh, need 5.
#pragma once

#include "skipv1/ops/attention/tiled_backward.cuh"
#include "skipv1/ops/attention/sm80_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// Sizes of the dQ kernel: 4 warps of 32 query rows, tiles of `keys` keys in two stages.
template <unsigned W>
struct QueryShape {
  static constexpr unsigned S = 2, rows = 64 * S, rows_of_warp = 16 * S, keys = W <= 64 ? 64 : 32;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (2 * rows + 2 * 2 * keys), bytes = 2 * elements;
};
/// Sizes of the dK, dV kernel. Warps work in pairs on 32 keys: side 0 computes S^T, P^T and dV, side 1 dP^T, dS^T and dK, for
/// which it gets P^T through shared memory. So a fragment that is read once serves 32 keys, and a warp holds one accumulator in
/// registers. The first half of a block's warps are side 0.
template <unsigned W>
struct HeadsShape {
  static constexpr unsigned S = 2, warps = W <= 64 ? 4 : 8, threads = 32 * warps, blocks = W <= 64 ? 3 : 1, pairs = warps / 2,
                            keys_of_pair = 16 * S, keys = keys_of_pair * pairs, rows = W <= 64 ? 32 : 64;
  static constexpr std::size_t tiles = std::size_t{Tile<W>::pitch} * (2 * keys + 3 * 2 * rows),  // then the probabilities
      elements = tiles + keys * rows, bytes = 2 * elements + 3 * 2 * rows * sizeof(float);
  SKIPV1_DEVICE_MEMBER static unsigned side() { return warp() / pairs; }
  SKIPV1_DEVICE_MEMBER static unsigned pair() { return warp() % pairs; }
};

/// `dS / scale = P (dP - delta)`, in place of the A fragments of P. `delta(i, k, l)`: delta of the two elements in register l of
/// fragment (i, k).
template <unsigned S, unsigned K, class Delta>
SKIPV1_DEVICE void p_to_ds(std::uint32_t (&p)[S][K][4], const float (&dp)[S][2 * K][4], const Delta& delta) {
  SKIPV1_UNROLL
  for (unsigned i = 0; i < S; ++i) {
    for (unsigned k = 0; k < K; ++k) {
      for (unsigned l = 0; l < 4; ++l) {
        const float* x = dp[i][2 * k + l / 2] + l % 2 * 2;
        const Vector<float, 2> y = unpack_bfloat16(p[i][k][l]), d = delta(i, k, l);
        p[i][k][l] = pack_bfloat16(y[0] * (x[0] - d[0]), y[1] * (x[1] - d[1]));
      }
    }
  }
}

/// `delta = dO . O` of the warp's 16 rows, of which `rows` exist, from index `at` of (N, H) on: to device memory for the other
/// kernel, and of rows g and g + 8 to `delta`.
SKIPV1_DEVICE void compute_delta(float (&delta)[2], const AttentionGradients<bfloat16>& a, const AttentionSizes& z,
                                 std::size_t at, std::size_t rows) {
  const std::size_t r = lane() / 2, n = at + r * z.heads;
  float sum = 0;
  for (std::size_t j = lane() % 2 * 8; r < rows && j < z.value; j += 16) {
    const Vector<bfloat16, 8> x = load_vector<8>(a.dout + n * z.value + j), y = load_vector<8>(a.out + n * z.value + j);
    for (unsigned l = 0; l < 8; ++l) sum += static_cast<float>(x[l]) * static_cast<float>(y[l]);
  }
  sum += shuffle_xor(sum, 1);
  if (lane() % 2 == 0 && r < rows) a.delta[n] = sum;
  for (unsigned half = 0; half < 2; ++half) delta[half] = shuffle(sum, lane() / 4 * 2 + 16 * half);
}

/// lse / log(2) and delta of the warp's 16 S rows, a lane's rows g and g + 8 of each 16, the first being row `row` of `rows`.
template <unsigned S>
SKIPV1_DEVICE void load_lse_delta(float (&lse)[S][2], float (&delta)[S][2], const AttentionGradients<bfloat16>& a,
                                  const AttentionSizes& z, std::size_t at, std::size_t row, std::size_t rows) {
  for (unsigned j = 0; j < 2 * S; ++j) {
    const std::size_t r = row + lane() / 4 + 8 * j;
    if (r >= rows) continue;
    lse[j / 2][j % 2] = a.lse[at + r * z.heads] * static_cast<float>(log2_e);
  }
  for (unsigned j = 0; j < S; ++j) {
    const std::size_t begin = row + 16 * j;
    compute_delta(delta[j], a, z, at + begin * z.heads, begin < rows ? rows - begin : 0);
  }
}

/// `S -> P` of 16 S rows and 8 N keys. Where `masked`, row g sees the keys below `rest`, measured from the lane's first column.
template <unsigned S, unsigned N>
SKIPV1_DEVICE void probabilities(float (&acc_s)[S][N][4], const float (&lse)[S][2], bool masked, int rest, float scale_log2) {
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j)
    for (unsigned n = 0; n < N; ++n)
      for (unsigned l = 0; l < 4; ++l)
        acc_s[j][n][l] =
            probability(acc_s[j][n][l], !masked || static_cast<int>(n * 8 + l % 2) < rest + static_cast<int>(16 * j + l / 2 * 8),
                        scale_log2, lse[j][l / 2]);
}

/// Grid (H, row tiles, B): dQ of a tile of rows, and delta for the other kernel.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(mma_threads, 2)
    attention_backward_query_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  using Shape = QueryShape<W>;
  constexpr unsigned S = Shape::S, K = Shape::keys, pitch = Tile<W>::pitch;
  const std::size_t h = block().x, b = block().z, first = (grid_size().y - 1 - block().y) * Shape::rows;
  const AttentionSequence own = sequence(z, b);
  if (first >= own.rows) return;
  const std::size_t rows = own.rows - first < Shape::rows ? own.rows - first : Shape::rows,
                    at = (own.begin + first) * z.heads + h;
  const Head<const bfloat16, Device> key = a.heads[h].key, value = a.heads[h].value;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::elements);
  const Tile<W> q_tile{memory, 0}, dout_tile{memory, Shape::rows * pitch};
  const auto tile = [&](unsigned i, unsigned which) {
    return Tile<W>{memory, (2 * Shape::rows + (i % 2 * 2 + which) * K) * pitch};
  };
  const unsigned t = thread().x, row = warp() * Shape::rows_of_warp;
  const auto seen = static_cast<int>(own.past + first + row + 1), keys = static_cast<int>(own.past + first + rows);
  const bfloat16 *next_k = nullptr, *next_v = nullptr;  // where the thread reads next
  const auto copy = [&](unsigned i) {
    const std::size_t count = static_cast<unsigned>(keys) - i * K;
    tile(i, 0).template load_async_from<K, mma_threads>(next_k, key.row_stride, count, z.key, t);
    tile(i, 1).template load_async_from<K, mma_threads>(next_v, value.row_stride, count, z.value, t);
    cp_async_commit();
    next_k += K * key.row_stride;
    next_v += K * value.row_stride;
  };
  float lse[S][2] = {}, delta[S][2] = {}, acc_dq[S][W / 8][4] = {};
  if (value.data) {
    q_tile.template load_async<Shape::rows, mma_threads>(a.q + at * z.key, z.heads * z.key, rows, z.key, t);
    dout_tile.template load_async<Shape::rows, mma_threads>(a.dout + at * z.value, z.heads * z.value, rows, z.value, t);
    next_k = Tile<W>::template thread_source<mma_threads>(key.data + b * key.batch_stride, key.row_stride, t);
    next_v = Tile<W>::template thread_source<mma_threads>(value.data + b * value.batch_stride, value.row_stride, t);
    copy(0);
    load_lse_delta(lse, delta, a, z, at, row, rows);
  }
  const float scale_log2 = scale * static_cast<float>(log2_e);
  for (unsigned i = 0; value.data && static_cast<int>(i * K) < keys; ++i) {
    cp_async_wait<0>();
    sync_threads();
    const int s0 = static_cast<int>(i * K);
    if (s0 + static_cast<int>(K) < keys) copy(i + 1);
    if (row >= rows || s0 >= seen + static_cast<int>(Shape::rows_of_warp) - 1) continue;
    std::uint32_t p[S][K / 16][4];
    {
      float acc_s[S][K / 8][4] = {};
      mma_ABt(acc_s, q_tile.rows_from(row), tile(i, 0));
      const int rest = seen - s0 + static_cast<int>(lane() / 4) - static_cast<int>(lane() % 4 * 2);
      if (seen - s0 < static_cast<int>(K)) {
        probabilities(acc_s, lse, true, rest, scale_log2);
      } else {
        probabilities(acc_s, lse, false, rest, scale_log2);
      }
      for (unsigned j = 0; j < S; ++j) to_a_fragments(p[j], acc_s[j]);
    }
    float acc_dp[S][K / 8][4] = {};
    mma_ABt(acc_dp, dout_tile.rows_from(row), tile(i, 1));
    p_to_ds(p, acc_dp, [&](unsigned j, unsigned, unsigned l) { return Vector<float, 2>{delta[j][l % 2], delta[j][l % 2]}; });
    mma_AB(acc_dq, p, tile(i, 0));
  }
  sync_warp();
  const float factor[2] = {scale, scale};
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j)
    q_tile.store_accumulators(acc_dq[j], row + 16 * j, factor);  // these rows the warp alone has read
  sync_warp();
  q_tile.template store_global<Shape::rows_of_warp>(a.dq_at(own.begin + first, h, z), a.dq_row, row, rows, z.key);
}

/// Calls `add(r, with_key, with_value)` for each query head r, in order, that reads a key or value head of which h is the first
/// reader. A warp looks at 32 query heads at once.
template <class Add>
SKIPV1_DEVICE void for_each_reader(const AttentionGradients<bfloat16>& a, std::size_t h, std::size_t heads, const Add& add) {
  for (std::size_t begin = h; begin < heads; begin += warp_size) {
    const std::size_t r = begin + lane();
    const unsigned of_key = ballot(r < heads && first_reader<HeadPart::key>(a.readers[r]) == h),
                   of_value = ballot(r < heads && first_reader<HeadPart::value>(a.readers[r]) == h);
    for (unsigned left = of_key | of_value; left != 0; left &= left - 1) {
      const unsigned i = lowest_bit(left);
      add(begin + i, (of_key >> i & 1) != 0, (of_value >> i & 1) != 0);
    }
  }
}

/// A block's keys: positions `s0 …` of sequence b, which has `keys` of them; none where s0 >= keys.
struct KeyTile {
  std::size_t b, s0, keys;
  AttentionSequence own;
};
/// Those of head h of sequence b from s0 on; none where no new row reads them or the head has no value.
SKIPV1_DEVICE KeyTile own_keys(const AttentionGradients<bfloat16>& a, const AttentionSizes& z, std::size_t h, std::size_t b,
                               std::size_t s0) {
  const AttentionSequence own = sequence(z, b);
  return {b, s0, own.rows > 0 && a.heads[h].value.data ? own.past + own.rows : 0, own};
}

/// The shared memory of a dK, dV block: K and V, three stages of Q and dO, P^T between the sides, three of lse and
/// delta.
template <unsigned W>
struct HeadsMemory {
  using Shape = HeadsShape<W>;
  static constexpr unsigned R = Shape::rows, pitch = Tile<W>::pitch;
  SKIPV1_DEVICE_MEMBER static Shared<bfloat16> tiles() { return dynamic_shared<bfloat16>(0, Shape::tiles); }
  /// What side `which` multiplies by its rows: K or V.
  SKIPV1_DEVICE_MEMBER static Tile<W> head_tile(unsigned which) { return {tiles(), which * Shape::keys * pitch}; }
  /// Q (0) or dO (1) of tile i.
  SKIPV1_DEVICE_MEMBER static Tile<W> tile(unsigned i, unsigned which) {
    return {tiles(), (2 * Shape::keys + (i % 3 * 2 + which) * R) * pitch};
  }
  SKIPV1_DEVICE_MEMBER static Shared<std::uint32_t> p_exchange() {
    return dynamic_shared<std::uint32_t>(2 * Shape::tiles, Shape::keys * R / 2);
  }
  SKIPV1_DEVICE_MEMBER static unsigned p_index(unsigned j, unsigned k) {
    return (((Shape::pair() * Shape::S + j) * (R / 16) + k) * warp_size + lane()) * 4;
  }
  SKIPV1_DEVICE_MEMBER static Shared<float> lse_delta() { return dynamic_shared<float>(2 * Shape::elements, 3 * 2 * R); }
  SKIPV1_DEVICE_MEMBER static unsigned lse_index(unsigned i) { return i % 3 * 2 * R; }
  SKIPV1_DEVICE_MEMBER static unsigned delta_index(unsigned i) { return (i % 3 * 2 + 1) * R; }
};

/// The copies in flight of one query head's rows into shared memory: where this thread reads next, and how many rows are left.
/// Few pointers leave registers for prefetched fragments, on which the kernel's speed depends (docs/performance/ledger.md).
template <unsigned W>
struct RowStream {
  using Shape = HeadsShape<W>;
  using Memory = HeadsMemory<W>;
  static constexpr unsigned R = Shape::rows;
  static_assert(Shape::threads >= 2 * R);
  const AttentionSizes& z;
  const bfloat16 *q, *dout;
  const float* lse_or_delta;  ///< of thread t < R lse of row t, of R <= t < 2 R delta
  int left;

  SKIPV1_DEVICE_MEMBER RowStream(const AttentionGradients<bfloat16>& a, const AttentionSizes& sizes, std::size_t at,
                                 std::size_t rows)
      : z(sizes),
        q(Tile<W>::template thread_source<Shape::threads>(a.q + at * z.key, z.heads * z.key, thread().x)),
        dout(Tile<W>::template thread_source<Shape::threads>(a.dout + at * z.value, z.heads * z.value, thread().x)),
        lse_or_delta((thread().x < R ? a.lse : a.delta) + at + thread().x % R * z.heads),
        left(static_cast<int>(rows)) {}
  /// Starts the copies of tile i, and returns lse or delta of this thread's row, for `store` once the tile before is no longer
  /// read.
  SKIPV1_DEVICE_MEMBER float load(unsigned i) {
    const std::size_t count = static_cast<unsigned>(left), q_stride = z.heads * z.key, dout_stride = z.heads * z.value;
    const unsigned t = thread().x;
    Memory::tile(i, 0).template load_async_from<R, Shape::threads>(q, q_stride, count, z.key, t);
    Memory::tile(i, 1).template load_async_from<R, Shape::threads>(dout, dout_stride, count, z.value, t);
    cp_async_commit();
    q += R * q_stride;
    dout += R * dout_stride;
    const float x = t < 2 * R && static_cast<int>(t % R) < left ? *lse_or_delta : 0;
    lse_or_delta += R * z.heads;
    left -= static_cast<int>(R);
    return x;
  }
  SKIPV1_DEVICE_MEMBER void store(unsigned i, float x) const {
    const unsigned t = thread().x;
    if (t < 2 * R) Memory::lse_delta()[Memory::lse_index(i) + t] = t < R ? x * static_cast<float>(log2_e) : x;
  }
};

/// Side 0: `S^T -> P^T` of the pair's keys and tile i, rounded and handed to side 1. `seen`: how many of the pair's keys the
/// tile's first row sees.
template <unsigned W>
SKIPV1_DEVICE void exchange_probabilities(float (&acc_s)[HeadsShape<W>::S][HeadsShape<W>::rows / 8][4], unsigned i, int seen,
                                          float scale_log2) {
  using Shape = HeadsShape<W>;
  using Memory = HeadsMemory<W>;
  constexpr unsigned S = Shape::S, R = Shape::rows;
  const Shared<float> lse_delta = Memory::lse_delta();
  const unsigned c = lane() % 4 * 2;
  const auto to_p = [&](bool masked) {
    SKIPV1_UNROLL
    for (unsigned n = 0; n < R / 8; ++n) {
      const Vector<float, 2> lse = load_shared<2>(lse_delta, Memory::lse_index(i) + n * 8 + c);
      for (unsigned j = 0; j < S; ++j) {
        for (unsigned l = 0; l < 4; ++l) {
          const bool sees = static_cast<int>(lane() / 4 + l / 2 * 8 + 16 * j) < seen + static_cast<int>(n * 8 + c + l % 2);
          acc_s[j][n][l] = probability(acc_s[j][n][l], !masked || sees, scale_log2, lse[l % 2]);
        }
      }
    }
  };
  seen < static_cast<int>(Shape::keys_of_pair) ? to_p(true) : to_p(false);
  SKIPV1_UNROLL
  for (unsigned j = 0; j < S; ++j) {
    for (unsigned k = 0; k < R / 16; ++k) {
      Vector<std::uint32_t, 4> p;
      to_a_fragment(p.at, acc_s[j][2 * k], acc_s[j][2 * k + 1]);
      store_shared(Memory::p_exchange(), Memory::p_index(j, k), p);
    }
  }
}

/// Adds to acc, which is dV (side 0) or dK / scale (side 1) of the pair's keys, what query head r contributes, if `adds`; side 0
/// computes P^T for its partner in any case. Side 1 multiplies one tile late, while side 0 computes the next exponentials.
template <unsigned W>
SKIPV1_DEVICE void add_reader(float (&acc)[HeadsShape<W>::S][W / 8][4], const AttentionGradients<bfloat16>& a,
                              const AttentionSizes& z, std::size_t r, bool adds, float scale_log2) {
  using Shape = HeadsShape<W>;
  using Memory = HeadsMemory<W>;
  constexpr unsigned S = Shape::S, R = Shape::rows;
  const KeyTile own = own_keys(a, z, block().x, block().z, std::size_t{block().y} * Shape::keys);
  const unsigned side = Shape::side(), own_key = Shape::pair() * Shape::keys_of_pair, c = lane() % 4 * 2;
  // Rows before `begin` do not see these keys.
  const std::size_t past = own.own.past, begin = own.s0 < past ? 0 : (own.s0 - past) / R * R;
  RowStream<W> rows(a, z, (own.own.begin + begin) * z.heads + r, own.own.rows - begin);
  sync_threads();  // the reader before
  const auto load_head = [&](unsigned which, const Head<const bfloat16, Device>& head, std::size_t width) {
    Memory::head_tile(which).template load_async<Shape::keys, Shape::threads>(
        head.data + own.b * head.batch_stride + own.s0 * head.row_stride, head.row_stride, own.keys - own.s0, width, thread().x);
  };
  load_head(0, a.heads[r].key, z.key);
  load_head(1, a.heads[r].value, z.value);
  rows.store(0, rows.load(0));
  // How many of the pair's keys a tile's first row sees; less than 1 where rows further down see the first of them.
  int seen = static_cast<int>(past + begin + 1) - static_cast<int>(own.s0 + own_key);
  const unsigned tiles = (static_cast<unsigned>(own.own.rows - begin) + R - 1) / R;
  std::uint32_t p_or_ds[S][R / 16][4];
  for (unsigned i = 0;; ++i, seen += static_cast<int>(R)) {
    cp_async_wait<0>();
    sync_threads();
    const bool more = rows.left > 0;
    const float next = more ? rows.load(i + 1) : 0;
    if (side == 1 && i > 0 && adds) mma_AB(acc, p_or_ds, Memory::tile(i - 1, 0));  // of the tile before
    if (i == tiles) break;
    const bool works = seen + static_cast<int>(R) > 1 && (side == 0 || adds);
    float acc_s[S][R / 8][4] = {};  // S^T, or dP^T
    if (works) mma_ABt(acc_s, Memory::head_tile(side).rows_from(own_key), Memory::tile(i, side));
    if (works && side == 0) exchange_probabilities<W>(acc_s, i, seen, scale_log2);
    sync_threads();
    SKIPV1_UNROLL
    for (unsigned j = 0; j < S; ++j) {
      for (unsigned k = 0; k < R / 16; ++k) {
        const Vector<std::uint32_t, 4> p =
            works ? load_shared<4>(Memory::p_exchange(), Memory::p_index(j, k)) : Vector<std::uint32_t, 4>{};
        for (unsigned l = 0; l < 4; ++l) p_or_ds[j][k][l] = p[l];
      }
    }
    if (side == 1) {
      p_to_ds(p_or_ds, acc_s, [&](unsigned, unsigned k, unsigned l) {
        return load_shared<2>(Memory::lse_delta(), Memory::delta_index(i) + k * 16 + l / 2 * 8 + c);
      });
    }
    if (side == 0 && adds && works) mma_AB(acc, p_or_ds, Memory::tile(i, 1));
    if (more) rows.store(i + 1, next);
  }
}

/// Grid (H, key tiles, B): dK and dV of the heads that h is the first to read, from all their readers in order.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(HeadsShape<W>::threads, HeadsShape<W>::blocks)
    attention_backward_heads_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  using Shape = HeadsShape<W>;
  const std::size_t h = block().x;
  const auto own_tile = [&] { return own_keys(a, z, h, block().z, std::size_t{block().y} * Shape::keys); };
  if (const KeyTile own = own_tile(); own.s0 >= own.keys) return;  // not kept: registers are scarce
  const bool first_of_key = first_reader<HeadPart::key>(a.readers[h]) == h,
             first_of_value = first_reader<HeadPart::value>(a.readers[h]) == h;
  float acc[Shape::S][W / 8][4] = {};
  const unsigned side = Shape::side();
  for_each_reader(a, h, z.heads, [&](std::size_t r, bool with_key, bool with_value) {
    add_reader<W>(acc, a, z, r, side == 0 ? with_value : with_key, scale * static_cast<float>(log2_e));
  });
  if (!(side == 0 ? first_of_value : first_of_key)) return;
  const KeyTile own = own_tile();
  const unsigned own_key = Shape::pair() * Shape::keys_of_pair;
  const Head<bfloat16, Device> to = side == 0 ? a.dheads[h].value : a.dheads[h].key;
  const Tile<W> tile{dynamic_shared<bfloat16>(0, Shape::tiles), side * Shape::keys * Tile<W>::pitch};
  const float by = side == 0 ? 1 : scale, factor[2] = {by, by};
  sync_warp();
  SKIPV1_UNROLL
  for (unsigned j = 0; j < Shape::S; ++j)
    tile.store_accumulators(acc[j], own_key + 16 * j, factor);  // these rows the warp alone has read
  sync_warp();
  tile.template store_global<Shape::keys_of_pair>(
      to.data + own.b * to.batch_stride + own.s0 * to.row_stride, to.row_stride, own_key, own.keys - own.s0,
      side == 0 ? z.value : z.key,
      side == 0 ? write_mode<HeadPart::value>(a.readers[h]) : write_mode<HeadPart::key>(a.readers[h]));
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
