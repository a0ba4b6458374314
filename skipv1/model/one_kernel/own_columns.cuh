// Staging for one sequence, or up to eight: each warp brings to shared memory the columns of the rows that it multiplies itself.
// No other warp reads them, so only a norm's sums need a barrier of the block.
#pragma once

#include "skipv1/model/one_kernel/stage.cuh"

namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR {

/// The columns that a warp multiplies: 32 of each 32 x warps, in four lanes' eights. Of R = 1 row lanes with one lane() % 4 share
/// the warp's steps: each stages every eighth. Of R = 8 rows row n is of lanes 4 n to 4 n + 3, which multiply it.
template <unsigned R>
struct OwnColumns {
  static_assert(R == 1 || R == warp_size / 4);
  static constexpr unsigned sharers = warp_size / 4 / R;  ///< lanes that stage the same part of a step
  std::uint32_t begin, step;
  /// `count`: rows that there are.
  SKIPV1_DEVICE_MEMBER explicit OwnColumns(std::uint32_t count) : step(sharers * stride()) {
    begin = R == 1 || row() < count ? first() + lane() / 4 % sharers * stride() : 0x80000000u;  // beyond every row
  }
  SKIPV1_DEVICE_MEMBER static std::uint32_t row() { return R == 1 ? 0 : lane() / 4; }
  /// The sum over the lanes of a row.
  template <class S>
  SKIPV1_DEVICE_MEMBER static S sum(S x) {
    if constexpr (R == 1) return warp_sum(x);
    x += shuffle_xor(x, 1);
    return x + shuffle_xor(x, 2);
  }
  SKIPV1_DEVICE_MEMBER static std::uint32_t stride() { return block_warps() * 32; }
  SKIPV1_DEVICE_MEMBER static std::uint32_t first() { return warp() * 32 + lane() % 4 * 8; }
  /// Calls `f(column)` for the lane's eights of a row.
  template <class F>
  SKIPV1_DEVICE_MEMBER void each(std::uint32_t width, const F& f) const {
    SKIPV1_NO_UNROLL
    for (std::uint32_t i = begin; i < width; i += step) f(i);
  }
  /// Stages what other blocks have stored, rows of `width`, `at_once` loads in flight.
  template <unsigned at_once, class T>
  SKIPV1_DEVICE_MEMBER void fill(const StagedRows<T>& to, std::uint32_t width, const T* rows) const {
    SKIPV1_NO_UNROLL
    for (std::uint32_t from = warp() * 32, i = begin; from < width; from += at_once * step, i += at_once * step) {
      Vector<T, 8> x[at_once];
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k)
        x[k] = load_exchanged<8>(i + k * step < width, rows + std::size_t{row()} * width + i + k * step);
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k)
        if (i + k * step < width) store_shared(to.memory, row() * to.pitch + i + k * step, x[k]);
    }
  }
  /// Columns of a row that warp w multiplies.
  SKIPV1_DEVICE_MEMBER static std::uint32_t of_warp(std::uint32_t w, std::uint32_t width) {
    const std::uint32_t rest = width % stride(), before = w * 32;
    return width / stride() * 32 + (rest <= before ? 0 : rest - before < 32 ? rest - before : 32);
  }
};

/// A row's mean (0 unless `centred`) and the sum of squares about it, of the warps' (Chan's formula): one barrier of the block.
/// Up to 8 rows; one sequence's are in `norm_own_eight`.
template <class T>
struct RowMoments {
  using S = Sum<T>;
  static constexpr unsigned R = 8;
  using Own = OwnColumns<R>;
  S mean, square;

  SKIPV1_DEVICE_MEMBER RowMoments(const BlockMemory<T>& m, const Own& own, std::uint32_t d, S per_column, bool centred)
      : mean(0), square(0) {
    const std::uint32_t n = Own::row();
    const auto each = [&](const auto& f) {
      own.each(d, [&](std::uint32_t i) {
        const Vector<T, 8> x = load_shared<8>(m.rows.memory, n * m.rows.pitch + i);
        for (unsigned j = 0; j < 8; ++j) f(static_cast<S>(x[j]));
      });
    };
    S middle(0), squares(0);
    if (centred) {
      each([&](S x) { middle += x; });
      sync_warp();
      const std::uint32_t columns = Own::of_warp(warp(), d);
      middle = Own::sum(middle) / static_cast<S>(columns > 0 ? columns : 1);
    }
    each([&](S x) { squares += (x - middle) * (x - middle); });
    squares = Own::sum(squares);
    const unsigned warps = block_warps(), all = warps * R;
    if (lane() % (warp_size / R) == 0) m.sums[warp() * R + n] = middle, m.sums[all + warp() * R + n] = squares;
    cp_async_wait<0>();  // the norm's weight, too
    sync_threads();
    // Each of a row's four lanes takes every fourth warp: the block is as fast as it has few instructions.
    constexpr unsigned lanes = warp_size / R, most = (most_threads / warp_size + lanes - 1) / lanes;
    S count[most], own_mean[most], own_square[most];
    SKIPV1_UNROLL
    for (unsigned k = 0; k < most; ++k) {
      const unsigned w = lane() % lanes + k * lanes, there = w < warps ? w : 0;
      count[k] = w < warps ? static_cast<S>(Own::of_warp(there, d)) : S(0);
      own_mean[k] = static_cast<S>(m.sums[there * R + n]);
      own_square[k] = w < warps ? static_cast<S>(m.sums[all + there * R + n]) : S(0);
    }
    if (centred) {
      for (unsigned k = 0; k < most; ++k) mean += own_mean[k] * count[k];
      mean = Own::sum(mean) * per_column;
    }
    for (unsigned k = 0; k < most; ++k) square += own_square[k] + (own_mean[k] - mean) * (own_mean[k] - mean) * count[k];
    square = Own::sum(square);
  }
};

/// Stages up to 8 rows with their norm: LayerNorm if `centred`, else RMSNorm. `fill(own)` stages the rows as they are. A row
/// whose sum of squares overflows becomes NaN.
template <class T, class Fill>
SKIPV1_DEVICE void stage_own_normed(const BlockMemory<T>& m, std::uint32_t d, bool centred, Sum<T> epsilon, const Fill& fill) {
  using S = Sum<T>;
  const OwnColumns<8> own(m.rows.count);
  const S per_column = S(1) / static_cast<S>(d);
  fill(own);
  const RowMoments<T> row(m, own, d, per_column, centred);
  const S r = fast_rsqrt(row.square * per_column + epsilon) + (row.square - row.square);
  own.each(d, [&](std::uint32_t i) {
    const std::uint32_t at = OwnColumns<8>::row() * m.rows.pitch + i;
    Vector<T, 8> x = load_shared<8>(m.rows.memory, at);
    const Vector<T, 8> w = load_shared<8>(m.norm, i);
    Vector<T, 8> b{};
    if (centred) b = load_shared<8>(m.norm, d + i);
    for (unsigned j = 0; j < 8; ++j) {
      const S z = (static_cast<S>(x[j]) - row.mean) * r * static_cast<S>(w[j]);
      x[j] = static_cast<T>(centred ? z + static_cast<S>(b[j]) : z);
    }
    store_shared(m.rows.memory, at, x);
  });
  sync_warp();
}

/// One sequence's norm, in registers: of a row of at most 8 numbers per thread the lane has eight, x, if `valid`, from column i
/// on. LayerNorm if `centred`, else RMSNorm; NaN where the sum of squares overflows. One barrier of the block; the warps' sums
/// meet by Chan's formula.
template <class T>
SKIPV1_DEVICE void norm_own_eight(const BlockMemory<T>& m, Vector<T, 8>& x, bool valid, std::uint32_t i, std::uint32_t d,
                                  bool centred, Sum<T> epsilon) {
  using S = Sum<T>;
  const unsigned warps = block_warps();
  const S per_column = S(1) / static_cast<S>(d);
  S v[8], middle(0), squares(0);
  for (unsigned j = 0; j < 8; ++j) v[j] = static_cast<S>(x[j]);
  if (centred) {
    for (unsigned j = 0; j < 8; ++j) middle += v[j];
    const std::uint32_t columns = OwnColumns<1>::of_warp(warp(), d);
    const S root = fast_rsqrt(static_cast<S>(columns > 0 ? columns : 1));
    middle = warp_sum(valid ? middle : S(0)) * root * root;
  }
  for (unsigned j = 0; j < 8; ++j) squares += (v[j] - middle) * (v[j] - middle);
  squares = warp_sum(valid ? squares : S(0));
  if (lane() == 0) m.sums[warp()] = middle, m.sums[warps + warp()] = squares;
  cp_async_wait<0>();  // the norm's weight, too
  sync_threads();
  const unsigned w = lane() < warps ? lane() : 0;  // a lane takes a warp
  const S count = lane() < warps ? static_cast<S>(OwnColumns<1>::of_warp(w, d)) : S(0);
  S mean(0), own = static_cast<S>(m.sums[w]);
  if (centred) mean = warp_sum(own * count) * per_column;
  own -= mean;
  const S square = warp_sum((lane() < warps ? static_cast<S>(m.sums[warps + w]) : S(0)) + own * own * count);
  const S r = fast_rsqrt(square * per_column + epsilon) + (square - square);
  if (!valid) return;
  const Vector<T, 8> weight = load_shared<8>(m.norm, i);
  Vector<T, 8> bias{};
  if (centred) bias = load_shared<8>(m.norm, d + i);
  for (unsigned j = 0; j < 8; ++j) {
    const S z = (v[j] - mean) * r * static_cast<S>(weight[j]);
    x[j] = static_cast<T>(centred ? z + static_cast<S>(bias[j]) : z);
  }
}

/// Stages rows (count, width) as they are, that other blocks have stored.
template <class T>
SKIPV1_DEVICE void stage_own_rows(const BlockMemory<T>& m, const T* rows, std::uint32_t width) {
  OwnColumns<8>(m.rows.count).fill<4>(m.rows, width, rows);
  sync_warp();
}

/// Of eight lanes' splits, two per lane: largest scores, in base 2, and denominators become shares of the sum of all.
template <class S>
SKIPV1_DEVICE void find_shares(const S (&most)[2], S (&share)[2]) {
  S higher = most[0] > most[1] ? most[0] : most[1], sum(0);
  for (unsigned apart = 1; apart < 8; apart *= 2) {
    const S other = shuffle_xor(higher, apart);
    higher = other > higher ? other : higher;
  }
  const S base = higher == -infinity<S>() ? S(0) : higher;
  S factor[2];
  for (unsigned i = 0; i < 2; ++i) {
    factor[i] = fast_exp2(most[i] - base);
    sum += share[i] * factor[i];
  }
  for (unsigned apart = 1; apart < 8; apart *= 2) sum += shuffle_xor(sum, apart);
  const S root = sum > S(0) ? fast_rsqrt(sum) : S(0);
  for (unsigned i = 0; i < 2; ++i) share[i] = factor[i] * root * root;
}

/// Stages one sequence's attention output, merged of its splits' parts. Eight lanes have 32 columns, which are of one head: each
/// finds the shares of two splits, then all add four columns of every split.
template <class T>
SKIPV1_DEVICE void stage_own_attention(const BlockMemory<T>& m, const Arguments<T>& a, const Layer<T>& layer,
                                       const Sum<T>* parts) {
  using S = Sum<T>;
  const std::uint32_t width = a.heads * a.value_width, number = lane() % 8;
  for (std::uint32_t begin = warp() * 32; begin < width; begin += 4 * OwnColumns<1>::stride()) {
    const std::uint32_t chunk = begin + lane() / 8 * OwnColumns<1>::stride(), h = a.head_of_value(chunk);
    const bool valid = chunk < width && (layer.all_attend || layer.heads[h].value.data);
    const S* part = parts + std::size_t{h} * a.splits * a.part_width();
    const std::uint32_t column = chunk - h * a.value_width + number * 4;
    S most[2], share[2];
    SKIPV1_UNROLL
    for (unsigned i = 0; i < 2; ++i) {
      const bool here = valid && number + 8 * i < a.splits;
      const Vector<S, 2> state = load_exchanged<2>(here, part + (number + 8 * i) * a.part_width() + a.part_state());
      most[i] = here ? state[0] : -infinity<S>(), share[i] = state[1];
    }
    S o[4] = {};
    constexpr unsigned at_once = 4;
    for (unsigned s = 0; s < a.splits; s += at_once) {
      Vector<S, 4> x[at_once];
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k) {
        x[k] = load_exchanged<4>(valid && s + k < a.splits, part + (s + k) * a.part_width() + column);
      }
      if (s == 0) find_shares(most, share);
      SKIPV1_UNROLL
      for (unsigned k = 0; k < at_once; ++k) {
        const S weight = shuffle(s + k < 8 ? share[0] : share[1], (lane() & ~7u) + (s + k) % 8);
        for (unsigned j = 0; j < 4; ++j) o[j] += weight * x[k][j];
      }
    }
    Vector<T, 4> out;
    for (unsigned j = 0; j < 4; ++j) out[j] = static_cast<T>(o[j]);
    if (chunk < width) store_shared(m.rows.memory, chunk + number * 4, out);
  }
  sync_warp();
}

}  // namespace skipv1::one_kernel::inline SKIPV1_FLAVOUR
