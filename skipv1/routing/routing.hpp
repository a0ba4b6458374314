// Head routing: which layer's key and value head each query head reads. A variant is such a table
// (docs/spec/models.md, "Head routing").
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "skipv1/core/check.hpp"

namespace skipv1 {

/// No head: what a query head without a value reads (its output is zero), or a mean's missing second part.
inline constexpr std::size_t no_head = std::numeric_limits<std::size_t>::max();

/// What a query head reads: head `head` of layer `layer`; or the mean of `head` and `other` where `other` is given.
struct HeadName {
  std::size_t layer = 0, head = no_head, other = no_head;

  bool none() const { return head == no_head; }
  bool pooled() const { return other != no_head; }
  friend bool operator==(const HeadName&, const HeadName&) = default;
};

/// The table of a variant: `K(l, h)`, `V(l, h)` and what follows from them, who owns (computes and caches) what.
struct Routing {
  std::size_t layers = 0, heads = 0;
  std::vector<HeadName> keys, values;                 ///< (L, H), row-major
  std::vector<std::size_t> owned_keys, owned_values;  ///< (L) heads a layer owns
  std::size_t key_width = 0, value_width = 0;         ///< elements of one owned head

  const HeadName& key(std::size_t l, std::size_t h) const { return keys[l * heads + h]; }
  const HeadName& value(std::size_t l, std::size_t h) const { return values[l * heads + h]; }
};

/// What a table is filled from: `H` query heads in `H_kv` groups over `L` layers, and the variant's parameters.
enum class Injection { second_half, pooling, dynamic, odd_even, resformer };
struct RoutingShape {
  std::size_t layers = 1, heads = 1, kv_heads = 1;
  double skip_ratio = 0.5;
  std::size_t source_layer = 0;
  Injection injection = Injection::second_half;

  /// The group of query head `h`: `floor(h H_kv / H)`.
  std::size_t group(std::size_t h) const { return h * kv_heads / heads; }
  /// Heads that a layer keeps: `H_own = H_kv - ceil(r H_kv - 1/2)`; an exact half is kept, whatever `r`'s rounding in binary.
  std::size_t own() const {
    const double skipped = skip_ratio * static_cast<double>(kv_heads) - 0.5 - 1e-9;
    std::size_t skip = 0;
    while (static_cast<double>(skip) < skipped) ++skip;
    return kv_heads - skip;
  }
};

/// Checks a table and counts what each layer owns: heads `0 … n - 1`, where `n - 1` is the largest that anybody reads.
/// Throws if the table is not (L, H), if a head is read from a later layer, if an owned head is read by nobody, if a key is
/// pooled or missing, or half of a mean is.
inline void count_owned(Routing& table) {
  const std::size_t size = table.layers * table.heads;
  require(table.keys.size() == size && table.values.size() == size, "routing: a table of ", table.layers, " layers and ",
          table.heads, " heads has ", table.keys.size(), " keys and ", table.values.size(), " values: must be ", size, " each");
  const auto count = [&](const std::vector<HeadName>& reads, std::vector<std::size_t>& owned, const char* what) {
    std::vector<std::vector<bool>> read(table.layers);
    for (std::size_t i = 0; i < reads.size(); ++i) {
      const std::size_t l = i / table.heads, h = i % table.heads;
      require(!reads[i].none() || !reads[i].pooled(), "routing: layer ", l, " head ", h, " reads the mean of a ", what,
              " head and none");
      for (std::size_t head : {reads[i].head, reads[i].other}) {
        if (head == no_head) continue;
        require(reads[i].layer <= l, "routing: layer ", l, " head ", h, " reads a ", what, " of layer ", reads[i].layer,
                ": only this and earlier layers can be read");
        require(head < table.heads, "routing: layer ", l, " head ", h, " reads ", what, " head ", head, " of ", table.heads);
        auto& seen = read[reads[i].layer];
        if (seen.size() <= head) seen.resize(head + 1);
        seen[head] = true;
      }
    }
    owned.clear();
    for (std::size_t l = 0; l < table.layers; ++l) {
      const auto gap = std::find(read[l].begin(), read[l].end(), false);
      require(gap == read[l].end(), "routing: layer ", l, " would compute ", what, " head ", gap - read[l].begin(),
              ", which nobody reads");
      owned.push_back(read[l].size());
    }
  };
  for (const HeadName& key : table.keys)
    require(!key.none() && !key.pooled(), "routing: every query head reads exactly one key head");
  count(table.keys, table.owned_keys, "key");
  count(table.values, table.owned_values, "value");
}

/// Fills a table from two functions of (layer, group), each returning the `HeadName` to read. This is all a new variant needs.
template <class Key, class Value>
Routing fill_routing(const RoutingShape& shape, const Key& key, const Value& value) {
  Routing table;
  table.layers = shape.layers;
  table.heads = shape.heads;
  for (std::size_t l = 0; l < shape.layers; ++l) {
    for (std::size_t h = 0; h < shape.heads; ++h) {
      table.keys.push_back(key(l, shape.group(h)));
      table.values.push_back(value(l, shape.group(h)));
    }
  }
  count_owned(table);
  return table;
}

/// Elements that a cache of this table holds for one token: `sum over l of owned heads * width`.
inline std::size_t cache_elements_per_token(const Routing& table) {
  std::size_t elements = 0;
  for (std::size_t l = 0; l < table.layers; ++l)
    elements += table.owned_keys[l] * table.key_width + table.owned_values[l] * table.value_width;
  return elements;
}

/// For each layer the last one that reads its heads (L), itself if none does; `reads` are the table's keys or its values.
inline std::vector<std::size_t> last_readers(const Routing& table, const std::vector<HeadName>& reads) {
  std::vector<std::size_t> last(table.layers);
  for (std::size_t l = 0; l < table.layers; ++l) {
    last[l] = l;
    for (std::size_t h = 0; h < table.heads; ++h)
      if (const HeadName& name = reads[l * table.heads + h]; !name.none()) last[name.layer] = l;
  }
  return last;
}

/// For each head that a layer owns, `[layer][head]`, the last layer in which a query head with a value reads it, itself and not
/// in a mean: on the way back from the last layer, the first that adds to its gradient. `no_head` if there is none.
struct LastAttended {
  std::vector<std::vector<std::size_t>> keys, values;
};
inline LastAttended last_attended(const Routing& table) {
  const auto of = [&](const std::vector<HeadName>& reads, const std::vector<std::size_t>& owned) {
    std::vector<std::vector<std::size_t>> last;
    for (const std::size_t heads : owned) last.emplace_back(heads, no_head);
    for (std::size_t i = 0; i < reads.size(); ++i)
      if (const HeadName& name = reads[i]; !table.values[i].none() && !name.pooled())
        last[name.layer][name.head] = i / table.heads;
    return last;
  };
  return {of(table.keys, table.owned_keys), of(table.values, table.owned_values)};
}

/// The distinct pooled heads of a table (the means that its readers ask for), in order of first use.
inline std::vector<HeadName> pooled_heads(const Routing& table) {
  std::vector<HeadName> pooled;
  for (const HeadName& value : table.values)
    if (value.pooled() && std::find(pooled.begin(), pooled.end(), value) == pooled.end()) pooled.push_back(value);
  return pooled;
}

}  // namespace skipv1
