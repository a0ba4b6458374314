// Softmax cross-entropy on the device: see cross_entropy.hpp.
#pragma once

#include <cstdint>

#include "skipv1/device/memory.cuh"
#include "skipv1/kernel/mma.cuh"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/total.cuh"

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

/// One thread, one row.
template <class T>
SKIPV1_KERNEL cross_entropy_first(Sum<T>* loss, T* dlogits, const T* logits, const std::int32_t* targets, std::size_t N,
                                  std::size_t V, Sum<T> scale) {
  using S = Sum<T>;
  const std::size_t n = global_thread();
  if (n >= N) return;
  const auto logit = [&](std::size_t v) { return static_cast<S>(logits[n * V + v]); };
  S row_max = logit(0), row_sum(0);
  for (std::size_t v = 0; v < V; ++v) row_max = logit(v) > row_max ? logit(v) : row_max;
  for (std::size_t v = 0; v < V; ++v) row_sum += std::exp(logit(v) - row_max);
  const bool ignored = targets[n] == ignored_target;
  const std::size_t target = ignored ? 0 : static_cast<std::size_t>(targets[n]);
  loss[n] = ignored ? S(0) : std::log(row_sum) + (row_max - logit(target));
  for (std::size_t v = 0; dlogits && v < V; ++v) {
    const S p = std::exp(logit(v) - row_max) / row_sum;
    dlogits[n * V + v] = static_cast<T>(ignored ? S(0) : scale * (p - S(v == target)));
  }
}

/// The longest row, in bytes, that a block keeps in shared memory: every card from 8.0 on gives a block so much, beside what
/// block_sum needs; two such blocks fit an H100's multiprocessor.
inline constexpr std::size_t cross_entropy_kept = (std::size_t{99} << 10) - 512;

/// `e^x`; in float by the card's ex2.approx.
template <class S>
SKIPV1_DEVICE S exp_of(S x) {
  return fast_exp2(x * S(1.4426950408889634));
}

/// Whether a row of logits stays in shared memory between its two passes.
enum class RowOfLogits { kept, read_again };

/// One block, one row; V logits per load. Memory bounds it: 2 vocab sizeof(T) bytes per row where the row stays in shared memory
/// (`kept`), 3 where it does not; 2 exponentials and about 15 operations per logit take half as long at GPT-2's vocabulary. It
/// reaches 4.0 TB/s, 98 % of a copy's rate, on an H200 (docs/performance/tried-h200.txt). One pass gives maximum and sum:
/// a thread rescales its row_sum when its row_max grows.
template <class T, std::size_t V, RowOfLogits place>
SKIPV1_KERNEL SKIPV1_BOUNDS(512, 2)
    cross_entropy_fast(Sum<T>* loss, T* dlogits, const T* logits, const std::int32_t* targets, std::size_t vocab, Sum<T> scale) {
  using S = Sum<T>;
  constexpr bool keep = place == RowOfLogits::kept;
  const std::size_t n = block().x, first = thread().x * V, step = block_size().x * V;
  const T* in = logits + n * vocab;
  const Shared<T> row = dynamic_shared<T>(0, keep ? vocab : 0);
  const bool ignored = targets[n] == ignored_target;
  const auto target = static_cast<std::size_t>(targets[n]);
  if constexpr (keep) {  // a thread reads only what it copied: no barrier
    for (std::size_t v = first; !ignored && v < vocab; v += step) cp_async(row, v, in + v);
    cp_async_commit();
    cp_async_wait<0>();
  }
  const auto numbers = [&](std::size_t v) {
    if constexpr (keep)
      return load_shared<V>(row, v);
    else
      return load_vector<V>(in + v);
  };
  S row_max = -infinity<S>(), row_sum(0), at_target(0);
  if (!ignored) {
    at_target = static_cast<S>(in[target]);
    for (std::size_t v = first; v < vocab; v += step) {
      const Vector<T, V> x = numbers(v);
      S higher = row_max;
      for (std::size_t j = 0; j < V; ++j) higher = static_cast<S>(x[j]) > higher ? static_cast<S>(x[j]) : higher;
      if (higher > row_max) row_sum *= exp_of(row_max - higher);  // 0 at first
      row_max = higher;
      for (std::size_t j = 0; j < V; ++j) row_sum += exp_of(static_cast<S>(x[j]) - row_max);
    }
  }
  const S highest = block_max(row_max);
  row_sum = block_sum(row_max == highest ? row_sum : row_sum * exp_of(row_max - highest));
  if (thread().x == 0) loss[n] = ignored ? S(0) : std::log(row_sum) + (highest - at_target);
  if (!dlogits) return;
  const S factor = scale / row_sum;
  for (std::size_t v = first; v < vocab; v += step) {
    Vector<T, V> x{};
    if (!ignored) x = numbers(v);
    const auto j_target = static_cast<unsigned>(target - v);
    for (unsigned j = 0; j < V; ++j) {
      const S p = ignored ? S(0) : factor * exp_of(static_cast<S>(x[j]) - highest) - (j == j_target ? scale : S(0));
      x[j] = static_cast<T>(p);
    }
    store_vector(dlogits + n * vocab + v, x);
  }
}

template <class T>
struct Number {
  const T* x;
  SKIPV1_DEVICE_MEMBER double operator()(std::size_t, std::size_t i) const { return static_cast<double>(x[i]); }
};

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As on the CPU; the losses are Sum<T>.
template <class T>
void cross_entropy(View<Sum<T>, Device> loss, View<T, Device> dlogits, ConstView<T, Device> logits,
                   View<const std::int32_t, Device> targets, double scale, Version version = Version::fast) {
  const std::size_t rows = logits.rows(), vocab = logits.width();
  T* out = dlogits.empty() ? nullptr : dlogits.data();
  if (version == Version::first) {
    return launch(one_thread_each("cross_entropy_first", rows), detail::cross_entropy_first<T>, loss.data(), out, logits.data(),
                  targets.data(), rows, vocab, scale);
  }
  const bool wide = reads_16_bytes(vocab, logits.data(), out);
  const std::size_t loads = wide ? vocab / per_16_bytes<T> : vocab, bytes = vocab * sizeof(T),
                    threads = std::min<std::size_t>(loads < 2048 ? 256 : 512, ceil_div(loads, warp_size) * warp_size);
  const auto run = [&](auto kernel, std::size_t kept) {
    launch({"cross_entropy", rows, threads, kept}, kernel, loss.data(), out, logits.data(), targets.data(), vocab, scale);
  };
  if (!wide)
    run(detail::cross_entropy_fast<T, 1, detail::RowOfLogits::read_again>, 0);
  else if (out && bytes <= detail::cross_entropy_kept)
    run(detail::cross_entropy_fast<T, per_16_bytes<T>, detail::RowOfLogits::kept>, bytes);
  else
    run(detail::cross_entropy_fast<T, per_16_bytes<T>, detail::RowOfLogits::read_again>, 0);
}

/// As on the CPU.
template <class T>
void total_loss(View<double, Device> sum, ConstView<T, Device> loss) {
  zero<double>(sum);
  detail::total<double>("total_loss", sum.data(), 1, loss.size(), detail::Number<T>{loss.data()});
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
