// Head routing: which layer's key and value head each query head reads. A variant is such a table
// (docs/spec/models.md, "Head routing").
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/core/function.hpp"
#include "skipv1/routing/head_table.hpp"
#include "skipv1/routing/readers.hpp"

namespace skipv1 {

/// MLA: which part of which layer's latent stands in each part of a layer's latent. Parts are no heads: all heads' keys and
/// values are made of the whole latent, in its own layer.
struct PartName {
  std::size_t layer = 0, part = 0;
  friend bool operator==(const PartName&, const PartName&) = default;
};
struct LatentRouting {
  std::size_t parts = 0;           ///< of each layer's latent, equally wide; 0: the model has no latent
  std::vector<PartName> reads;     ///< (L, parts), row-major
  std::vector<std::size_t> owned;  ///< (L): a layer computes and caches parts `0 … owned - 1`
  std::size_t part_width = 0;      ///< d_c / parts
  std::size_t rotary_width = 0;    ///< d_r: width of the rotary key, one per layer, which its own layer reads

  friend bool operator==(const LatentRouting&, const LatentRouting&) = default;
  const PartName& part(std::size_t l, std::size_t p) const { return reads[l * parts + p]; }
  /// The last layer that reads a part of layer l's latent.
  std::size_t last_reader(std::size_t l) const {
    std::size_t last = l;
    for (std::size_t i = 0; i < reads.size(); ++i)
      if (reads[i].layer == l) last = std::max(last, i / parts);
    return last;
  }
};

/// The table of a variant: `K(l, h)`, `V(l, h)` and what follows from them: who owns (computes and caches) what, and, inverted,
/// who reads each owned head.
struct Routing {
  std::size_t layers = 0, heads = 0;
  std::vector<HeadName> keys, values;                 ///< (L, H), row-major
  std::vector<std::size_t> owned_keys, owned_values;  ///< (L) heads a layer owns
  std::size_t key_width = 0, value_width = 0;         ///< elements of one owned head
  bool mixes_values = false;                          ///< owned values of layers `l >= 1` are mixed with layer 0's
  LatentRouting latent;                               ///< where there is one, it is cached and not the heads made of it

  // The inverse, by `invert`.
  std::vector<std::vector<HeadReaders>> key_readers, value_readers;  ///< [layer][owned head]
  std::vector<HeadReader> readers;                                   ///< (L, H): each query head among those of its layer
  std::vector<HeadName> means;                                       ///< the distinct means, in order of first use
  std::vector<std::size_t> mean_of;                                  ///< (L, H): which of them is read, or `no_head`

  /// What query head h of layer l reads; throws if the table has no such head.
  const HeadName& key(std::size_t l, std::size_t h) const { return keys[place(keys, l, h)]; }
  const HeadName& value(std::size_t l, std::size_t h) const { return values[place(values, l, h)]; }
  bool has_latent() const { return latent.parts != 0; }
  /// Elements per token of the keys, and of the values, that layer l caches; for MLA of its rotary key, and of its latent.
  std::size_t key_columns(std::size_t l) const { return has_latent() ? latent.rotary_width : owned_keys[l] * key_width; }
  std::size_t value_columns(std::size_t l) const {
    return has_latent() ? latent.owned[l] * latent.part_width : owned_values[l] * value_width;
  }
  /// The last layer that reads what layer l caches; l if none does. The backward pass reaches this layer first.
  std::size_t last_key_reader(std::size_t l) const { return has_latent() ? l : last_reader(key_readers[l], l); }
  std::size_t last_value_reader(std::size_t l) const {
    if (has_latent()) return latent.last_reader(l);
    return mixes_values && l == 0 ? layers - 1 : last_reader(value_readers[l], l);
  }
  /// Whether attention overwrites the gradients of all that layer l caches, where it reads them last. Otherwise something
  /// accumulates there first (a mean, a mixed value, a latent), and they start as zeros.
  bool overwrites_keys(std::size_t l) const { return !has_latent() && all_attended(key_readers[l]); }
  bool overwrites_values(std::size_t l) const {
    return !has_latent() && !(mixes_values && l == 0) && all_attended(value_readers[l]);
  }

 private:
  std::size_t place(const std::vector<HeadName>& names, std::size_t l, std::size_t h) const {
    require(h < heads && l < layers && l * heads + h < names.size(), "routing: a table of ", layers, " layers and ", heads,
            " heads, ", names.size(), " in all, has no head ", h, " of layer ", l);
    return l * heads + h;
  }
  static std::size_t last_reader(const std::vector<HeadReaders>& owned, std::size_t l) {
    std::size_t last = l;
    for (const HeadReaders& head : owned)
      if (!head.all.empty()) last = std::max(last, head.all.back().layer);
    return last;
  }
  static bool all_attended(const std::vector<HeadReaders>& owned) {
    return std::none_of(owned.begin(), owned.end(), [](const HeadReaders& head) { return head.attending.empty(); });
  }
};

/// Builds the inverse of a table whose names are of heads that are owned.
SKIPV1_COLD inline void invert(Routing& table) {
  const auto empty = [&](const std::vector<std::size_t>& owned) {
    std::vector<std::vector<HeadReaders>> of_layers(owned.size());
    for (std::size_t l = 0; l < owned.size(); ++l) of_layers[l] = std::vector<HeadReaders>(owned[l]);
    return of_layers;
  };
  table.key_readers = empty(table.owned_keys), table.value_readers = empty(table.owned_values);
  table.readers = std::vector<HeadReader>(table.layers * table.heads);
  table.means.clear(), table.mean_of.clear();
  const auto add = [](std::vector<std::vector<HeadReaders>>& readers, const HeadName& name, const QueryHead& reader,
                      const HeadName& value) {
    if (name.none()) return;
    HeadReaders& of_head = readers[name.layer][name.head];
    of_head.all.push_back(reader);
    if (name.pooled() && name.other != name.head) readers[name.layer][name.other].all.push_back(reader);
    if (!value.none() && !name.pooled()) of_head.attending.push_back(reader);
  };
  HashIndex mean_number;
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    const QueryHead reader{i / table.heads, i % table.heads};
    const HeadName& value = table.values[i];
    add(table.key_readers, table.keys[i], reader, value);
    add(table.value_readers, value, reader, value);
    table.mean_of.push_back(no_head);
    if (!value.pooled()) continue;
    const auto is_value = [&](std::size_t mean) { return table.means[mean] == value; };
    table.mean_of.back() = mean_number.find_or_add(value.hash(), is_value, table.means.size());
    if (table.mean_of.back() == table.means.size()) table.means.push_back(value);
  }
  for (std::size_t l = 0; l < table.layers; ++l) {
    const std::span<const HeadName> keys(&table.keys[l * table.heads], table.heads),
        values(&table.values[l * table.heads], table.heads);
    const std::vector<HeadReader> of_layer = layer_readers(keys, values);
    for (std::size_t h = 0; h < table.heads; ++h) {
      HeadReader& reader = table.readers[l * table.heads + h] = of_layer[h];
      const HeadName &key = keys[h], &value = values[h];
      if (table.key_readers[key.layer][key.head].last_attending_layer() == l) reader.key = WriteMode::overwrite;
      if (!value.none() && !value.pooled() && !(table.mixes_values && value.layer == 0) &&
          table.value_readers[value.layer][value.head].last_attending_layer() == l)
        reader.value = WriteMode::overwrite;
    }
  }
}

/// What fills the value slots that a layer skips (docs/spec/models.md, "Injections").
enum class Injection { second_half, pooling, dynamic, odd_even, resformer };
inline constexpr const char* injection_names[] = {"second_half", "pooling", "dynamic", "odd_even", "resformer"};
inline const char* to_string(Injection injection) { return injection_names[static_cast<std::size_t>(injection)]; }

/// What a table is filled from: `H` query heads in `H_kv` groups over `L` layers, and the variant's parameters.
struct RoutingShape {
  std::size_t layers = 1, heads = 1, kv_heads = 1;
  double skip_ratio = 0.5;
  std::size_t source_layer = 0;
  Injection injection = Injection::second_half;
  const HeadTable* table = nullptr;  ///< of the variant that is one; outlives the shape

  bool grouped() const { return kv_heads != heads; }
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

/// Checks a table, counts what each layer owns (heads `0 … n - 1`, where `n - 1` is the largest that anybody reads), and inverts
/// it. Throws if the table is not (L, H), if a head is read from a later layer, if an owned head is read by nobody, if a key is
/// pooled or missing, or half of a mean is.
SKIPV1_COLD inline void count_owned(Routing& table) {
  const std::size_t size = table.layers * table.heads;
  require(size > 0, "routing: a table of ", table.layers, " layers and ", table.heads, " heads: must have one of each at least");
  require(table.keys.size() == size && table.values.size() == size, "routing: a table of ", table.layers, " layers and ",
          table.heads, " heads has ", table.keys.size(), " keys and ", table.values.size(), " values: must be ", size, " each");
  const auto count = [&](const std::vector<HeadName>& reads, std::vector<std::size_t>& owned, const char* what) {
    std::vector<std::size_t> read(size, 0);  // (L, H): whether anybody does
    owned.assign(table.layers, 0);
    for (std::size_t i = 0; i < reads.size(); ++i) {
      const std::size_t l = i / table.heads, h = i % table.heads;
      require(!reads[i].none() || !reads[i].pooled(), "routing: layer ", l, " head ", h, " reads the mean of a ", what,
              " head and none");
      for (std::size_t head : {reads[i].head, reads[i].other}) {
        if (head == no_head) continue;
        require(reads[i].layer <= l, "routing: layer ", l, " head ", h, " reads a ", what, " of layer ", reads[i].layer,
                ": only this and earlier layers can be read");
        require(head < table.heads, "routing: layer ", l, " head ", h, " reads ", what, " head ", head, " of ", table.heads);
        std::size_t& heads = owned[reads[i].layer];
        heads = std::max(heads, head + 1);
        read[reads[i].layer * table.heads + head] = 1;
      }
    }
    for (std::size_t l = 0; l < table.layers; ++l)
      for (std::size_t head = 0; head < owned[l]; ++head)
        require(read[l * table.heads + head] != 0, "routing: layer ", l, " would compute ", what, " head ", head,
                ", which nobody reads");
  };
  for (const HeadName& key : table.keys)
    require(!key.none() && !key.pooled(), "routing: every query head reads exactly one key head");
  count(table.keys, table.owned_keys, "key");
  count(table.values, table.owned_values, "value");
  invert(table);
}

/// Throws unless the table tells of each layer what it owns and who reads it, as `count_owned` counts it: one that was moved away
/// does not.
SKIPV1_COLD inline void require_counted(const Routing& table) {
  const bool latent = !table.has_latent() || table.latent.owned.size() == table.layers;
  require(table.layers > 0 && latent && table.owned_keys.size() == table.layers && table.owned_values.size() == table.layers &&
              table.key_readers.size() == table.layers && table.value_readers.size() == table.layers,
          "routing: a table of ", table.layers, " layers that lists the heads of ", table.owned_keys.size(),
          ": it was moved away, or not made by count_owned");
}

/// What a group of layer `layer` reads.
using HeadOf = Function<HeadName(std::size_t layer, std::size_t group)>;

/// Fills a table from the heads to read. This is all a new variant needs.
SKIPV1_COLD inline Routing fill_routing(const RoutingShape& shape, const HeadOf& key, const HeadOf& value) {
  Routing table;
  table.layers = shape.layers;
  table.heads = shape.heads;
  table.keys = table.values = std::vector<HeadName>(shape.layers * shape.heads);
  for (std::size_t l = 0; l < shape.layers; ++l) {
    for (std::size_t h = 0; h < shape.heads; ++h) {
      table.keys[l * shape.heads + h] = key(l, shape.group(h));
      table.values[l * shape.heads + h] = value(l, shape.group(h));
    }
  }
  count_owned(table);
  return table;
}

/// Elements that a cache of this table holds per token (docs/spec/models.md, eq. (7)); for MLA the rotary keys and latents.
inline std::size_t cache_elements_per_token(const Routing& table) {
  std::size_t elements = 0;
  for (std::size_t l = 0; l < table.layers; ++l) elements += table.key_columns(l) + table.value_columns(l);
  return elements;
}

}  // namespace skipv1
