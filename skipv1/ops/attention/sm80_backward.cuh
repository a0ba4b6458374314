// Attention's backward pass on tensor cores: rows' gradients, then heads'. Both recompute the probabilities, so that no two
// blocks add into one number and results are the same to the bit; that takes 7 products for the 5 that atomic additions would
// allow.
#pragma once

#include "skipv1/ops/attention/tiled_backward.cuh"
#include "skipv1/ops/attention/sm80_forward.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

template <unsigned W>
struct QueryShape {
  static constexpr unsigned S = 2, rows = 64 * S, rows_of_warp = 16 * S, keys = W <= 64 ? 64 : 32;
  static constexpr std::size_t elements = std::size_t{Tile<W>::pitch} * (2 * rows + 2 * 2 * keys), bytes = 2 * elements;
};
/// Warps work in pairs on 32 keys: the first has the values' side (scores, probabilities, dv), the second the keys' (products of
/// values and output gradients, scores' gradients, dk), for which it gets the probabilities through shared memory. So a fragment,
/// once read, serves 32 keys, and a warp keeps one sum in registers. The first half of a block's warps are the values' side.
template <unsigned W>
struct HeadsShape {
  static constexpr unsigned S = 2, warps = W <= 64 ? 4 : 8, threads = 32 * warps, blocks = W <= 64 ? 3 : 1, pairs = warps / 2,
                            keys_of_pair = 16 * S, keys = keys_of_pair * pairs, rows = W <= 64 ? 32 : 64;
  static constexpr std::size_t tiles = std::size_t{Tile<W>::pitch} * (2 * keys + 3 * 2 * rows),  // then the probabilities
      elements = tiles + keys * rows, bytes = 2 * elements + 3 * 2 * rows * sizeof(float);
  SKIPV1_DEVICE_MEMBER static unsigned side() { return warp() / pairs; }
  SKIPV1_DEVICE_MEMBER static unsigned pair() { return warp() % pairs; }
};

/// The scores' gradients up to the scale, `ds = p (dp - delta)`, dp being products of values and output gradients: fragments of
/// probabilities become those of ds. `delta(i, k, l)` is delta of the two values of register l of fragment (i, k).
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

/// `dout . out` of the warp's 16 rows, of which `rows` exist, the first being number `at` of (N, H): to memory, and of rows g and
/// g + 8 to `delta`.
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

/// Grid (H, row tiles, B): dq, and delta.
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
      const auto probabilities = [&](bool masked) {
        SKIPV1_UNROLL
        for (unsigned j = 0; j < S; ++j)
          for (unsigned n = 0; n < K / 8; ++n)
            for (unsigned l = 0; l < 4; ++l)
              acc_s[j][n][l] = probability(
                  acc_s[j][n][l], !masked || static_cast<int>(n * 8 + l % 2) < rest + static_cast<int>(16 * j + l / 2 * 8),
                  scale_log2, lse[j][l / 2]);
      };
      seen - s0 < static_cast<int>(K) ? probabilities(true) : probabilities(false);
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
  q_tile.template store_global<Shape::rows_of_warp>(a.dq + at * z.key, z.heads * z.key, row, rows, z.key);
}

/// Calls `add(r, with_key, with_value)` for each query head r, in order, that reads h's key head or value head, where h is the
/// first to read it. A warp looks at 32 heads at once.
template <class Add>
SKIPV1_DEVICE void for_each_reader(const AttentionGradients<bfloat16>& a, std::size_t h, std::size_t heads, const Add& add) {
  for (std::size_t begin = h; begin < heads; begin += warp_size) {
    const std::size_t r = begin + lane();
    const unsigned of_key = ballot(r < heads && first_reader<true>(a.readers[r]) == h),
                   of_value = ballot(r < heads && first_reader<false>(a.readers[r]) == h);
    for (unsigned left = of_key | of_value; left != 0; left &= left - 1) {
      const unsigned i = lowest_bit(left);
      add(begin + i, (of_key >> i & 1) != 0, (of_value >> i & 1) != 0);
    }
  }
}

/// A block's keys: positions from s0 on of sequence b, which has `keys`; none where s0 is not below them.
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

/// Adds to acc, the warp's dv or, up to the scale, dk, what query head r adds to the gradients of the pair's keys, with
/// transposed scores; if `adds`: the values' side works for its partner in any case. The keys' side multiplies a tile late, while
/// the other takes the exponentials of the next. Whatever is worked out anew here, or kept as few pointers, leaves registers for
/// fragments read ahead: the kernel is as fast as it has those (docs/performance/ledger.md).
template <unsigned W>
SKIPV1_DEVICE void add_reader(float (&acc)[HeadsShape<W>::S][W / 8][4], const AttentionGradients<bfloat16>& a,
                              const AttentionSizes& z, std::size_t r, bool adds, float scale_log2) {
  using Shape = HeadsShape<W>;
  constexpr unsigned S = Shape::S, R = Shape::rows, pitch = Tile<W>::pitch;
  const Shared<bfloat16> memory = dynamic_shared<bfloat16>(0, Shape::tiles);
  const Shared<std::uint32_t> exchange = dynamic_shared<std::uint32_t>(2 * Shape::tiles, Shape::keys * R / 2);
  const Shared<float> lse_delta = dynamic_shared<float>(2 * Shape::elements, 3 * 2 * R);  // lse and delta of three tiles' rows
  // Side 0 multiplies keys by queries, and what comes of it by gradients of outputs; side 1 values by those, and that by queries.
  const auto head_tile = [&](unsigned which) { return Tile<W>{memory, which * Shape::keys * pitch}; };
  const auto tile = [&](unsigned i, unsigned which) {
    return Tile<W>{memory, (2 * Shape::keys + (i % 3 * 2 + which) * R) * pitch};
  };
  const KeyTile own = own_keys(a, z, block().x, block().z, std::size_t{block().y} * Shape::keys);
  const unsigned t = thread().x, side = Shape::side(), pair = Shape::pair(), own_key = pair * Shape::keys_of_pair,
                 c = lane() % 4 * 2;
  // Rows before `begin` do not see these keys. How many are left to read from there on, and where the thread reads next: queries,
  // gradients of outputs, a row's lse or its delta.
  const std::size_t past = own.own.past, begin = own.s0 < past ? 0 : (own.s0 - past) / R * R,
                    at = (own.own.begin + begin) * z.heads + r;
  auto left = static_cast<int>(own.own.rows - begin);
  const bfloat16* q = Tile<W>::template thread_source<Shape::threads>(a.q + at * z.key, z.heads * z.key, t);
  const bfloat16* dout = Tile<W>::template thread_source<Shape::threads>(a.dout + at * z.value, z.heads * z.value, t);
  const float* lse_or_delta = (t < R ? a.lse : a.delta) + at + t % R * z.heads;
  static_assert(Shape::threads >= 2 * R);
  const auto copy = [&](unsigned i) {
    const std::size_t count = static_cast<unsigned>(left), q_stride = z.heads * z.key, dout_stride = z.heads * z.value;
    tile(i, 0).template load_async_from<R, Shape::threads>(q, q_stride, count, z.key, t);
    tile(i, 1).template load_async_from<R, Shape::threads>(dout, dout_stride, count, z.value, t);
    cp_async_commit();
    q += R * q_stride;
    dout += R * dout_stride;
  };
  const auto load_lse_delta = [&] {
    const float x = t < 2 * R && static_cast<int>(t % R) < left ? *lse_or_delta : 0;
    lse_or_delta += R * z.heads;
    left -= static_cast<int>(R);
    return x;
  };
  const auto store_lse_delta = [&](unsigned i, float x) {
    if (t < 2 * R) lse_delta[i % 3 * 2 * R + t] = t < R ? x * static_cast<float>(log2_e) : x;
  };
  const auto exchanged = [&](unsigned j, unsigned k) { return (((pair * S + j) * (R / 16) + k) * warp_size + lane()) * 4; };
  sync_threads();  // the reader before
  const auto copy_own = [&](const Tile<W>& to, const Head<const bfloat16, Device>& head, std::size_t width) {
    to.template load_async<Shape::keys, Shape::threads>(head.data + own.b * head.batch_stride + own.s0 * head.row_stride,
                                                        head.row_stride, own.keys - own.s0, width, t);
  };
  copy_own(head_tile(0), a.heads[r].key, z.key);
  copy_own(head_tile(1), a.heads[r].value, z.value);
  copy(0);
  store_lse_delta(0, load_lse_delta());
  // How many of the pair's keys a tile's first row sees; less than 1 where rows further down see the first of them.
  int seen = static_cast<int>(past + begin + 1) - static_cast<int>(own.s0 + own_key);
  const unsigned tiles = (static_cast<unsigned>(own.own.rows - begin) + R - 1) / R;
  std::uint32_t p_or_ds[S][R / 16][4];
  for (unsigned i = 0;; ++i, seen += static_cast<int>(R)) {
    cp_async_wait<0>();
    sync_threads();
    const bool more = left > 0;
    float next = 0;
    if (more) {
      copy(i + 1);
      next = load_lse_delta();
    }
    if (side == 1 && i > 0 && adds) mma_AB(acc, p_or_ds, tile(i - 1, 0));  // of the tile before
    if (i == tiles) break;
    const bool works = seen + static_cast<int>(R) > 1 && (side == 0 || adds);
    float acc_s[S][R / 8][4] = {};
    if (works) mma_ABt(acc_s, head_tile(side).rows_from(own_key), tile(i, side));
    if (works && side == 0) {
      const auto probabilities = [&](bool masked) {
        SKIPV1_UNROLL
        for (unsigned n = 0; n < R / 8; ++n) {
          const Vector<float, 2> lse = load_shared<2>(lse_delta, i % 3 * 2 * R + n * 8 + c);
          for (unsigned j = 0; j < S; ++j) {
            for (unsigned l = 0; l < 4; ++l) {
              const bool sees = static_cast<int>(lane() / 4 + l / 2 * 8 + 16 * j) < seen + static_cast<int>(n * 8 + c + l % 2);
              acc_s[j][n][l] = probability(acc_s[j][n][l], !masked || sees, scale_log2, lse[l % 2]);
            }
          }
        }
      };
      seen < static_cast<int>(Shape::keys_of_pair) ? probabilities(true) : probabilities(false);
      SKIPV1_UNROLL
      for (unsigned j = 0; j < S; ++j) {
        for (unsigned k = 0; k < R / 16; ++k) {
          Vector<std::uint32_t, 4> p;
          to_a_fragment(p.at, acc_s[j][2 * k], acc_s[j][2 * k + 1]);
          store_shared(exchange, exchanged(j, k), p);
        }
      }
    }
    sync_threads();
    SKIPV1_UNROLL
    for (unsigned j = 0; j < S; ++j) {
      for (unsigned k = 0; k < R / 16; ++k) {
        const Vector<std::uint32_t, 4> p = works ? load_shared<4>(exchange, exchanged(j, k)) : Vector<std::uint32_t, 4>{};
        for (unsigned l = 0; l < 4; ++l) p_or_ds[j][k][l] = p[l];
      }
    }
    if (side == 1) {
      p_to_ds(p_or_ds, acc_s, [&](unsigned, unsigned k, unsigned l) {
        return load_shared<2>(lse_delta, (i % 3 * 2 + 1) * R + k * 16 + l / 2 * 8 + c);
      });
    }
    if (side == 0 && adds && works) mma_AB(acc, p_or_ds, tile(i, 1));
    if (more) store_lse_delta(i + 1, next);
  }
}

/// Grid (H, key tiles, B): the gradients of a key head and a value head, by the block of their first reader, which goes through
/// all their readers in order.
template <unsigned W>
SKIPV1_KERNEL SKIPV1_BOUNDS(HeadsShape<W>::threads, HeadsShape<W>::blocks)
    attention_backward_heads_mma(AttentionGradients<bfloat16> a, AttentionSizes z, float scale) {
  using Shape = HeadsShape<W>;
  const std::size_t h = block().x;
  const auto own_tile = [&] { return own_keys(a, z, h, block().z, std::size_t{block().y} * Shape::keys); };
  if (const KeyTile own = own_tile(); own.s0 >= own.keys) return;  // not kept: registers are scarce
  const bool first_of_key = first_reader<true>(a.readers[h]) == h, first_of_value = first_reader<false>(a.readers[h]) == h;
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
      side == 0 ? z.value : z.key, side == 0 ? write_mode<false>(a.readers[h]) : write_mode<true>(a.readers[h]));
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
