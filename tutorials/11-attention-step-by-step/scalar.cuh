// Rungs 1 to 5: one thread multiplies numbers one by one.
#pragma once

#include "problem.cuh"
#include "skipv1/kernel/tile.cuh"

namespace ladder::inline SKIPV1_FLAVOUR {

/// Rung 1. One thread, one row, as the formula says it: all scores to memory, masked where the row does not see the key, and
/// their maximum; their exponentials; the sum over values.
SKIPV1_KERNEL naive(Attention a) {
  const unsigned h = block().y, t = block().x * block_size().x + thread().x;
  if (t >= a.rows) return;
  const bfloat16 *q = a.q + a.row(h, t), *k = a.k + a.key(h), *v = a.v + a.key(h);
  float* const scores = a.scratch + (std::size_t{h} * a.rows + t) * a.keys;
  float row_max = -infinity<float>(), row_sum = 0;
  for (unsigned s = 0; s < a.keys; ++s) {
    float dot = 0;
    for (unsigned d = 0; d < D; ++d)
      dot += static_cast<float>(load_global(q + d)) * static_cast<float>(load_global(k + std::size_t{s} * D + d));
    dot = s < a.seen(t) ? a.scale * dot : -infinity<float>();
    store_global(scores + s, dot);
    row_max = fmaxf(row_max, dot);
  }
  for (unsigned s = 0; s < a.keys; ++s) {
    const float p = std::exp(load_global(scores + s) - row_max);
    store_global(scores + s, p);
    row_sum += p;
  }
  for (unsigned d = 0; d < D; ++d) {
    float o = 0;
    for (unsigned s = 0; s < a.keys; ++s)
      o += load_global(scores + s) * static_cast<float>(load_global(v + std::size_t{s} * D + d));
    store_global(a.out + a.row(h, t) + d, static_cast<bfloat16>(o / row_sum));
  }
}

/// Rung 2. One warp, one row: a lane has four neighbouring elements, so that a warp loads the 256 bytes of a key at once.
SKIPV1_KERNEL coalesced(Attention a) {
  const unsigned h = block().y, t = block().x * (block_size().x / warp_size) + warp(), d = 4 * lane();
  if (t >= a.rows) return;
  const bfloat16 *k = a.k + a.key(h) + d, *v = a.v + a.key(h) + d;
  float* const scores = a.scratch + (std::size_t{h} * a.rows + t) * a.keys;
  const Vector<bfloat16, 4> q = load_global<4>(a.q + a.row(h, t) + d);
  const unsigned seen = a.seen(t);
  float row_max = -infinity<float>(), row_sum = 0, o[4] = {};
  for (unsigned s0 = 0; s0 < seen; s0 += warp_size) {
    float own = 0;  // lane i keeps the score of key s0 + i, and the warp stores 32 at once
    for (unsigned s = s0; s < s0 + warp_size && s < seen; ++s) {
      const Vector<bfloat16, 4> x = load_global<4>(k + std::size_t{s} * D);
      float dot = 0;
      for (unsigned j = 0; j < 4; ++j) dot += static_cast<float>(q[j]) * static_cast<float>(x[j]);
      dot = a.scale * warp_sum(dot);
      row_max = fmaxf(row_max, dot);
      if (lane() == s % warp_size) own = dot;
    }
    if (s0 + lane() < seen) store_global(scores + s0 + lane(), own);
  }
  for (unsigned s0 = 0; s0 < seen; s0 += warp_size) {
    const float p = s0 + lane() < seen ? std::exp(load_global(scores + s0 + lane()) - row_max) : 0;
    row_sum += p;
    for (unsigned s = s0; s < s0 + warp_size && s < seen; ++s) {
      const Vector<bfloat16, 4> x = load_global<4>(v + std::size_t{s} * D);
      const float p_s = shuffle(p, s % warp_size);
      for (unsigned j = 0; j < 4; ++j) o[j] += p_s * static_cast<float>(x[j]);
    }
  }
  row_sum = warp_sum(row_sum);
  Vector<bfloat16, 4> out;
  for (unsigned j = 0; j < 4; ++j) out[j] = static_cast<bfloat16>(o[j] / row_sum);
  store_global(a.out + a.row(h, t) + d, out);
}

// Rungs 3 to 5: a block of 16 x 16 threads takes a tile of 64 rows and goes through the keys 64 at a time. Thread (x, y) has rows
// y + 16 i and keys x + 16 j, i, j < 4: for 8 elements read from shared memory it does 16 multiply-adds.
constexpr unsigned tile = 64, side = 16, tile_threads = side * side, per_thread = tile / side, of_d = D / side;
constexpr unsigned padded = D + 1, padded_p = tile + 1;  // odd: 16 rows at one column lie in 16 banks

struct FloatTiles {
  static constexpr std::size_t bytes = sizeof(float) * (2 * tile * padded + tile * padded_p);
  SKIPV1_DEVICE_MEMBER static Shared<float> q() { return dynamic_shared<float>(0, tile * padded); }
  SKIPV1_DEVICE_MEMBER static Shared<float> kv() { return dynamic_shared<float>(sizeof(float) * tile * padded, tile * padded); }
  SKIPV1_DEVICE_MEMBER static Shared<float> p() {
    return dynamic_shared<float>(sizeof(float) * 2 * tile * padded, tile * padded_p);
  }
};
/// Copies `count` rows to a tile; the rest becomes zero.
SKIPV1_DEVICE void load_tile(const Shared<float>& to, const bfloat16* from, unsigned count) {
  for (unsigned i = thread_number() * 2; i < tile * D; i += tile_threads * 2) {
    const unsigned r = i / D, d = i % D;
    Vector<bfloat16, 2> x{};
    if (r < count) x = load_global<2>(from + std::size_t{r} * D + d);
    for (unsigned j = 0; j < 2; ++j) to[r * padded + d + j] = r < count ? static_cast<float>(x[j]) : 0.f;
  }
}
/// s[i][j] = Q[y + 16 i] . K[x + 16 j].
SKIPV1_DEVICE void multiply_keys(float (&s)[per_thread][per_thread], const Shared<float>& q, const Shared<float>& k) {
  for (unsigned d = 0; d < D; ++d) {
    float a[per_thread], b[per_thread];
    for (unsigned i = 0; i < per_thread; ++i) a[i] = q[(thread().y + side * i) * padded + d];
    for (unsigned j = 0; j < per_thread; ++j) b[j] = k[(thread().x + side * j) * padded + d];
    SKIPV1_UNROLL
    for (unsigned i = 0; i < per_thread; ++i)
      for (unsigned j = 0; j < per_thread; ++j) s[i][j] += a[i] * b[j];
  }
}
/// o[i][c] += sum over s of P[y + 16 i][s] V[s][x + 16 c].
SKIPV1_DEVICE void multiply_values(float (&o)[per_thread][of_d], const Shared<float>& p, const Shared<float>& v) {
  for (unsigned s = 0; s < tile; ++s) {
    float a[per_thread], b[of_d];
    for (unsigned i = 0; i < per_thread; ++i) a[i] = p[(thread().y + side * i) * padded_p + s];
    for (unsigned c = 0; c < of_d; ++c) b[c] = v[s * padded + thread().x + side * c];
    SKIPV1_UNROLL
    for (unsigned i = 0; i < per_thread; ++i)
      for (unsigned c = 0; c < of_d; ++c) o[i][c] += a[i] * b[c];
  }
}
/// The maximum, and the sum, over the 16 threads of a row.
SKIPV1_DEVICE float max_of_row(float x) {
  for (unsigned step = side / 2; step > 0; step /= 2) x = fmaxf(x, shuffle_xor(x, step));
  return x;
}
SKIPV1_DEVICE float sum_of_row(float x) {
  for (unsigned step = side / 2; step > 0; step /= 2) x += shuffle_xor(x, step);
  return x;
}

/// Rung 3. Tiles in shared memory: a key, once loaded, serves 64 rows. Scores still go through memory.
SKIPV1_KERNEL SKIPV1_BOUNDS(tile_threads, 2) tiled(Attention a) {
  const unsigned h = block().y, first = first_row<tile>(), x = thread().x, y = thread().y;
  const unsigned rows = a.rows - first < tile ? a.rows - first : tile, keys = a.seen(first + rows - 1);
  const Shared<float> q = FloatTiles::q(), kv = FloatTiles::kv(), p_tile = FloatTiles::p();
  const auto on_tile = [&](unsigned i, unsigned s) { return y + side * i < rows && s < keys; };
  float* const scores = a.scratch + (std::size_t{h} * a.rows + first) * a.keys;
  float row_max[per_thread], row_sum[per_thread] = {}, o[per_thread][of_d] = {};
  for (float& m : row_max) m = -infinity<float>();
  load_tile(q, a.q + a.row(h, first), rows);
  for (unsigned s0 = 0; s0 < keys; s0 += tile) {
    sync_threads();
    load_tile(kv, a.k + a.key(h) + std::size_t{s0} * D, keys - s0);
    sync_threads();
    float s[per_thread][per_thread] = {};
    multiply_keys(s, q, kv);
    for (unsigned i = 0; i < per_thread; ++i) {
      for (unsigned j = 0; j < per_thread; ++j) {
        const unsigned at = s0 + x + side * j;
        const float score = at < a.seen(first + y + side * i) ? a.scale * s[i][j] : -infinity<float>();
        if (on_tile(i, at)) store_global(scores + std::size_t{y + side * i} * a.keys + at, score);
        row_max[i] = fmaxf(row_max[i], score);
      }
    }
  }
  for (float& m : row_max) m = max_of_row(m);
  for (unsigned s0 = 0; s0 < keys; s0 += tile) {
    sync_threads();
    load_tile(kv, a.v + a.key(h) + std::size_t{s0} * D, keys - s0);
    for (unsigned i = 0; i < per_thread; ++i) {
      for (unsigned j = 0; j < per_thread; ++j) {
        const unsigned at = s0 + x + side * j;  // a score that this thread has stored
        const float p =
            on_tile(i, at) ? std::exp(load_global(scores + std::size_t{y + side * i} * a.keys + at) - row_max[i]) : 0.f;
        row_sum[i] += p;
        p_tile[(y + side * i) * padded_p + x + side * j] = p;
      }
    }
    sync_threads();
    multiply_values(o, p_tile, kv);
  }
  for (unsigned i = 0; i < per_thread; ++i) {
    const float sum = sum_of_row(row_sum[i]);
    for (unsigned c = 0; c < of_d && y + side * i < rows; ++c)
      store_global(a.out + a.row(h, first + y + side * i) + x + side * c, static_cast<bfloat16>(o[i][c] / sum));
  }
}

/// Replaces a thread's scores by probabilities, up to the factor that row_sum holds too, and rescales its part of O
/// (Milakov and Gimelshein 2018). A score of -infinity is not seen.
SKIPV1_DEVICE void online_softmax(float (&s)[per_thread][per_thread], float (&row_max)[per_thread], float (&row_sum)[per_thread],
                                  float (&o)[per_thread][of_d]) {
  SKIPV1_UNROLL
  for (unsigned i = 0; i < per_thread; ++i) {
    float new_max = row_max[i], sum = 0;
    for (unsigned j = 0; j < per_thread; ++j) new_max = fmaxf(new_max, s[i][j]);
    new_max = max_of_row(new_max);
    const float base = new_max == -infinity<float>() ? 0 : new_max, rescale = std::exp(row_max[i] - base);
    for (unsigned j = 0; j < per_thread; ++j) sum += s[i][j] = std::exp(s[i][j] - base);
    row_max[i] = new_max;
    row_sum[i] = row_sum[i] * rescale + sum;
    for (float& x : o[i]) x *= rescale;
  }
}

/// Rung 4. The online softmax: one pass over the keys, and no score goes to memory.
SKIPV1_KERNEL SKIPV1_BOUNDS(tile_threads, 2) online(Attention a) {
  const unsigned h = block().y, first = first_row<tile>(), x = thread().x, y = thread().y;
  const unsigned rows = a.rows - first < tile ? a.rows - first : tile, keys = a.seen(first + rows - 1);
  const Shared<float> q = FloatTiles::q(), kv = FloatTiles::kv(), p_tile = FloatTiles::p();
  float row_max[per_thread], row_sum[per_thread] = {}, o[per_thread][of_d] = {};
  for (float& m : row_max) m = -infinity<float>();
  load_tile(q, a.q + a.row(h, first), rows);
  for (unsigned s0 = 0; s0 < keys; s0 += tile) {
    sync_threads();
    load_tile(kv, a.k + a.key(h) + std::size_t{s0} * D, keys - s0);
    sync_threads();
    float s[per_thread][per_thread] = {};
    multiply_keys(s, q, kv);
    for (unsigned i = 0; i < per_thread; ++i)
      for (unsigned j = 0; j < per_thread; ++j)
        s[i][j] = s0 + x + side * j < a.seen(first + y + side * i) ? a.scale * s[i][j] : -infinity<float>();
    online_softmax(s, row_max, row_sum, o);
    for (unsigned i = 0; i < per_thread; ++i)
      for (unsigned j = 0; j < per_thread; ++j) p_tile[(y + side * i) * padded_p + x + side * j] = s[i][j];
    sync_threads();
    load_tile(kv, a.v + a.key(h) + std::size_t{s0} * D, keys - s0);
    sync_threads();
    multiply_values(o, p_tile, kv);
  }
  for (unsigned i = 0; i < per_thread; ++i) {
    const float sum = sum_of_row(row_sum[i]);
    for (unsigned c = 0; c < of_d && y + side * i < rows; ++c)
      store_global(a.out + a.row(h, first + y + side * i) + x + side * c, static_cast<bfloat16>(o[i][c] / sum));
  }
}

struct AsyncTiles {
  static constexpr std::size_t elements = std::size_t{5} * tile * D, bytes = 2 * elements + sizeof(float) * tile * padded_p;
  SKIPV1_DEVICE_MEMBER static Tile<D> at(unsigned i) { return {dynamic_shared<bfloat16>(0, elements), i * tile * D}; }
  SKIPV1_DEVICE_MEMBER static Tile<D> q() { return at(0); }
  SKIPV1_DEVICE_MEMBER static Tile<D> k(unsigned stage) { return at(1 + 2 * stage); }
  SKIPV1_DEVICE_MEMBER static Tile<D> v(unsigned stage) { return at(2 + 2 * stage); }
  SKIPV1_DEVICE_MEMBER static Shared<float> p() { return dynamic_shared<float>(2 * elements, tile * padded_p); }
};

/// Rung 5. `cp.async` fills the next tile while the block computes on this one: two stages, one barrier per tile. The copy cannot
/// convert, so tiles are bfloat16, read 8 elements at a time.
SKIPV1_KERNEL SKIPV1_BOUNDS(tile_threads, 2) asynchronous(Attention a) {
  const unsigned h = block().y, first = first_row<tile>(), x = thread().x, y = thread().y;
  const unsigned rows = a.rows - first < tile ? a.rows - first : tile, keys = a.seen(first + rows - 1);
  const Tile<D> q = AsyncTiles::q();
  const Shared<float> p_tile = AsyncTiles::p();
  const auto copy = [&](unsigned i) {
    const std::size_t from = a.key(h) + std::size_t{i} * tile * D, count = keys - i * tile;
    AsyncTiles::k(i % 2).load_async<tile, tile_threads>(a.k + from, D, count, D, thread_number());
    AsyncTiles::v(i % 2).load_async<tile, tile_threads>(a.v + from, D, count, D, thread_number());
    cp_async_commit();
  };
  float row_max[per_thread], row_sum[per_thread] = {}, o[per_thread][of_d] = {};
  for (float& m : row_max) m = -infinity<float>();
  q.load_async<tile, tile_threads>(a.q + a.row(h, first), D, rows, D, thread_number());
  copy(0);
  for (unsigned i = 0; i * tile < keys; ++i) {
    cp_async_wait<0>();
    sync_threads();  // the tile is there, and nobody reads the stage that the next one goes to
    if ((i + 1) * tile < keys) copy(i + 1);
    const Tile<D> k = AsyncTiles::k(i % 2), v = AsyncTiles::v(i % 2);
    float s[per_thread][per_thread] = {};
    for (unsigned d = 0; d < D; d += 8) {
      Vector<bfloat16, 8> qs[per_thread], ks[per_thread];
      for (unsigned n = 0; n < per_thread; ++n) qs[n] = load_shared<8>(q.memory, q.at(y + side * n, d));
      for (unsigned n = 0; n < per_thread; ++n) ks[n] = load_shared<8>(k.memory, k.at(x + side * n, d));
      SKIPV1_UNROLL
      for (unsigned e = 0; e < 8; ++e)
        for (unsigned n = 0; n < per_thread; ++n)
          for (unsigned m = 0; m < per_thread; ++m) s[n][m] += static_cast<float>(qs[n][e]) * static_cast<float>(ks[m][e]);
    }
    for (unsigned n = 0; n < per_thread; ++n)
      for (unsigned m = 0; m < per_thread; ++m)
        s[n][m] = i * tile + x + side * m < a.seen(first + y + side * n) ? a.scale * s[n][m] : -infinity<float>();
    online_softmax(s, row_max, row_sum, o);
    for (unsigned n = 0; n < per_thread; ++n)
      for (unsigned m = 0; m < per_thread; ++m) p_tile[(y + side * n) * padded_p + x + side * m] = s[n][m];
    sync_warp();  // a row's 16 threads are of one warp
    for (unsigned key = 0; key < tile; ++key) {
      const Vector<bfloat16, 8> vs = load_shared<8>(v.memory, v.at(key, 8 * x));
      for (unsigned n = 0; n < per_thread; ++n) {
        const float p = p_tile[(y + side * n) * padded_p + key];
        SKIPV1_UNROLL
        for (unsigned c = 0; c < 8; ++c) o[n][c] += p * static_cast<float>(vs[c]);
      }
    }
    sync_warp();
  }
  for (unsigned n = 0; n < per_thread; ++n) {
    const float sum = sum_of_row(row_sum[n]);
    Vector<bfloat16, 8> out;
    for (unsigned c = 0; c < 8; ++c) out[c] = static_cast<bfloat16>(o[n][c] / sum);
    if (y + side * n < rows) store_global(a.out + a.row(h, first + y + side * n) + 8 * x, out);
  }
}

}  // namespace ladder::inline SKIPV1_FLAVOUR
