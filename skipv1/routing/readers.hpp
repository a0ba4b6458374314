// Who reads a head: a routing table's names, and their inverse.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/core/hash_index.hpp"
#include "skipv1/core/write_mode.hpp"

namespace skipv1 {

/// No head: what a query head without a value reads (its output is zero), or a mean's missing second part.
inline constexpr std::size_t no_head = std::numeric_limits<std::size_t>::max();

/// What a query head reads: head `head` of layer `layer`; or the mean of `head` and `other` where `other` is given.
struct HeadName {
  std::size_t layer = 0, head = no_head, other = no_head;

  bool none() const { return head == no_head; }
  bool pooled() const { return other != no_head; }
  std::size_t hash() const { return Hash().add(layer).add(head).add(other).value(); }
  friend bool operator==(const HeadName&, const HeadName&) = default;  // (nvcc 13 does not derive it from the next)
  friend auto operator<=>(const HeadName&, const HeadName&) = default;
};

/// Query head `head` of layer `layer`.
struct QueryHead {
  std::size_t layer = 0, head = 0;
  friend bool operator==(const QueryHead&, const QueryHead&) = default;
};

/// The query heads that read one owned head, in order of layer, then head.
struct HeadReaders {
  std::vector<QueryHead> all;        ///< those that read it itself, and those that read it in a mean
  std::vector<QueryHead> attending;  ///< those whose attention reads it itself; a query head without a value attends to nothing

  /// The last layer that reads it itself; `no_head` if none does. The backward pass reaches this layer first.
  std::size_t last_attending_layer() const { return attending.empty() ? no_head : attending.back().layer; }
};

/// Which head of the pair that a query head reads.
enum class HeadPart { key, value };

/// One query head among those of its layer, by index: what attention's backward pass and its decoding kernel need of the table.
/// Small and without pointers, so that kernels read it as it is.
struct HeadReader {
  static constexpr std::uint16_t none = 0xffff;
  std::uint16_t key_first = none,
                value_first = none;  ///< the first that reads the same key head, value head; none without a value
  std::uint16_t pair_next = none;    ///< the next that reads the same key head and the same value head
  std::uint16_t pair_rank = 0;       ///< how many before it do
  WriteMode key = WriteMode::accumulate, value = WriteMode::accumulate;  ///< how this layer writes the gradients of the two heads

  friend bool operator==(const HeadReader&, const HeadReader&) = default;
};

/// The readers of one layer (H) from what each query head reads, (H) names each.
SKIPV1_COLD inline std::vector<HeadReader> layer_readers(std::span<const HeadName> keys, std::span<const HeadName> values) {
  require(keys.size() == values.size() && keys.size() < HeadReader::none, "readers of ", keys.size(), " keys and ", values.size(),
          " values: must be equally many, below ", HeadReader::none);
  std::vector<HeadReader> readers(keys.size());
  HashIndex first_of_key, first_of_value, last_of_pair;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const auto index = [](std::size_t h) { return static_cast<std::uint16_t>(h); };
    HeadReader& reader = readers[i];
    const auto same_key = [&](std::size_t h) { return keys[h] == keys[i]; };
    const auto same_value = [&](std::size_t h) { return values[h] == values[i]; };
    if (!values[i].none()) {
      reader.key_first = index(first_of_key.find_or_add(keys[i].hash(), same_key, i));
      reader.value_first = index(first_of_value.find_or_add(values[i].hash(), same_value, i));
    }
    const auto same_pair = [&](std::size_t h) { return same_key(h) && same_value(h); };
    std::size_t& last = last_of_pair.find_or_add(Hash().add(keys[i].hash()).add(values[i].hash()).value(), same_pair, i);
    if (last == i) continue;
    readers[last].pair_next = index(i);
    reader.pair_rank = index(readers[last].pair_rank + 1u);
    last = i;
  }
  return readers;
}

/// Counts of a layer's readers, for a host that launches kernels on a table in device memory. All zero: unknown.
struct ReaderCounts {
  std::size_t pairs = 0;    ///< pairs of a key head and a value head that are read; heads without a value count too
  std::size_t of_pair = 0;  ///< readers of one of them, at most
  std::size_t firsts = 0;   ///< query heads that are the first to read a key head or a value head
  std::size_t most = 0;     ///< readers of what one of those is the first to read, at most
};
inline ReaderCounts count_readers(std::span<const HeadReader> readers) {
  ReaderCounts counts;
  std::vector<std::size_t> of_first(readers.size());
  for (const HeadReader& reader : readers) {
    counts.pairs += reader.pair_rank == 0;
    counts.of_pair = std::max<std::size_t>(counts.of_pair, reader.pair_rank + 1u);
    if (reader.key_first != HeadReader::none) ++of_first[reader.key_first];
    if (reader.value_first != HeadReader::none && reader.value_first != reader.key_first) ++of_first[reader.value_first];
  }
  for (const std::size_t count : of_first) counts.firsts += count > 0, counts.most = std::max(counts.most, count);
  return counts;
}

}  // namespace skipv1
