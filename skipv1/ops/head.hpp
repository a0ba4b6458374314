// What attention reads: key and value heads where they lie in memory, and the sequences of a batch.
#pragma once

#include <algorithm>
#include <cstdint>

#include "skipv1/core/tensor.hpp"
#include "skipv1/routing/readers.hpp"

namespace skipv1 {

/// One head of one layer, all sequences and positions: entry (b, t) starts at `data + b batch_stride + t row_stride` (elements).
/// Null `data`: no head.
template <class T, class Space = Cpu>
struct Head {
  T* data = nullptr;
  std::size_t batch_stride = 0, row_stride = 0;

  T* at(std::size_t b, std::size_t t) const { return data + b * batch_stride + t * row_stride; }
  operator Head<const T, Space>() const requires(!std::is_const_v<T>) { return {data, batch_stride, row_stride}; }
  friend bool operator==(const Head&, const Head&) = default;
};

/// A head that is only read; like `ConstView` it takes no part in deducing `T`.
template <class T, class Space = Cpu>
using ConstHead = Head<const std::type_identity_t<T>, Space>;

/// The key head and the value head that one query head reads: a row of the routing table, resolved to memory.
template <class T, class Space = Cpu>
struct HeadPair {
  Head<T, Space> key, value;
  friend bool operator==(const HeadPair&, const HeadPair&) = default;
};

/// What attention reads: of each query head its pair of heads, and its place among the layer's readers (routing/readers.hpp).
/// Without `readers` every query head counts as the only one to read its pair: forward passes give the same result, the device's
/// decoding reads a shared head again for each query head, and backward passes throw.
template <class T, class Space = Cpu>
struct RoutedHeads {
  View<const HeadPair<const T, Space>, Space> pairs;  ///< (H)
  View<const HeadReader, Space> readers;              ///< (H), or empty
  ReaderCounts counts;                                ///< of these; the device's kernels are chosen by them

  RoutedHeads() = default;
  template <class Pairs>
  requires std::is_convertible_v<const Pairs&, View<const HeadPair<const T, Space>, Space>> RoutedHeads(
      const Pairs& p, View<const HeadReader, Space> r = {}, const ReaderCounts& c = {})
      : pairs(p), readers(r), counts(c) {}  // NOLINT: implicit

  operator View<const HeadPair<const T, Space>, Space>() const { return pairs; }
  std::size_t size() const { return pairs.size(); }
  const HeadPair<const T, Space>& operator()(std::size_t h) const { return pairs(h); }
  /// Throws unless all readers are there.
  void require_readers(const char* who) const {
    require(readers.size() == pairs.size(), who, ": ", readers.size(), " readers of ", pairs.size(), " routed heads");
  }
};

/// The sequences of a batch, packed: rows `row_begin[b] … row_begin[b+1]` are new positions of sequence b, which follow
/// `past[b]` earlier ones. So row n attends to `past[b] + (n - row_begin[b]) + 1` keys: the causal mask, aligned bottom-right.
template <class Space = Cpu>
struct Sequences {
  View<const std::int32_t, Space> row_begin, past;  ///< (B + 1), (B)
  std::size_t max_rows = 0, max_keys = 0;           ///< at least the most rows, and keys, of one sequence

  std::size_t batch() const { return past.size(); }
};

/// Throws unless every sequence has its rows among `rows`, and no more rows and keys than it says, or than `capacity`.
inline void require_sequences(const char* who, const Sequences<Cpu>& s, std::size_t rows, std::size_t capacity = SIZE_MAX) {
  require_fit(s.row_begin.size() == s.batch() + 1, who, "row_begin past", "row_begin (B + 1), past (B)", s.row_begin, s.past);
  capacity = std::min(capacity, s.max_keys);
  for (std::size_t b = 0; b < s.batch(); ++b) {
    const std::int64_t begin = s.row_begin(b), end = s.row_begin(b + 1), past = s.past(b);
    const auto below = [](std::int64_t count, std::size_t most) { return static_cast<std::uint64_t>(count) <= most; };
    require(begin >= 0 && begin <= end && below(end, rows) && below(end - begin, s.max_rows), who, ": sequence ", b, " has rows ",
            begin, " to ", end, " of ", rows, ": must be in order, and at most max_rows ", s.max_rows);
    require(past >= 0 && (begin == end || below(past + end - begin, capacity)), who, ": sequence ", b, " has ", past,
            " earlier keys and ", end - begin, " new ones: must be at most ", capacity);
  }
}

}  // namespace skipv1
