// The page's first part: a routing table, and what follows from it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "skipv1/io/config.hpp"
#include "skipv1/model/parameters.hpp"

namespace playground {

using namespace skipv1;

/// Which numbers of key and value heads a variant takes, found by asking it: "one", "all" (as many as query heads), or "any".
inline const char* kv_heads_of(const Variant& v) {
  const auto takes = [&](std::size_t kv_heads) {
    Config c;
    c.num_key_value_heads = kv_heads, c.attention.variant = v.name;
    if (v.latent.count) c.attention.kv_latent_size = 32, c.attention.rotary_size = 8;
    try {
      validate(c);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  const std::size_t heads = Config().num_attention_heads;
  return takes(heads / 2) ? "any" : takes(1) ? "one" : "all";
}

/// Every variant: its name, what it is, and which choices it reads.
inline Json variant_list() {
  Json list = Json::array();
  const auto add = [&](const Variant& v, const std::string& title) {
    list.push_back({{"name", v.name},
                    {"title", title},
                    {"summary", v.summary},
                    {"skip_ratio", v.fields.skip_ratio},
                    {"source_layer", v.fields.source_layer},
                    {"injection", v.fields.injection},
                    {"kv_heads", kv_heads_of(v)},
                    {"even_layers", v.even_layers},
                    {"latent", v.latent.count != 0}});
  };
  for (const Variant& v : variants()) add(v, v.title.empty() ? v.summary : v.title);
  add(table_variant(), "your own table");
  return list;
}

/// A head as the page has it: [layer, head], [layer, head, other] for a mean, null for none.
inline Json to_json(const HeadName& name) {
  if (name.none()) return nullptr;
  return name.pooled() ? Json{name.layer, name.head, name.other} : Json{name.layer, name.head};
}
/// A list of heads, layer by layer, as rows of the page.
inline Json rows_of(const std::vector<HeadName>& names, std::size_t heads) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i % heads == 0) rows.push_back(Json::array());
    rows.back().push_back(to_json(names[i]));
  }
  return rows;
}
/// Heads that nobody reads are not computed: those of a layer that are read become 0, 1, … in their order.
inline void renumber(std::vector<HeadTable::Row>& rows) {
  std::map<std::size_t, std::set<std::size_t>> read;
  const auto each = [&](const auto& f) {
    for (HeadTable::Row& row : rows)
      for (HeadName& name : row)
        for (std::size_t* head : {&name.head, &name.other})
          if (*head != no_head) f(read[name.layer], *head);
  };
  each([](std::set<std::size_t>& heads, std::size_t head) { heads.insert(head); });
  each([](const std::set<std::size_t>& heads, std::size_t& head) {
    head = static_cast<std::size_t>(std::distance(heads.begin(), heads.find(head)));
  });
}

/// Elements per token that a model of this shape caches as plain MHA.
inline std::size_t mha_elements(Config c) {
  c.attention = AttentionConfig{};
  c.num_key_value_heads = c.num_attention_heads;
  return cache_elements_per_token(make_routing(c));
}

/// How many query heads read each head that a layer owns, in its own layer and in later ones: [layer][head] = [own, later].
inline Json reader_counts(const std::vector<std::vector<HeadReaders>>& readers) {
  Json layers = Json::array();
  for (std::size_t l = 0; l < readers.size(); ++l) {
    layers.push_back(Json::array());
    for (const HeadReaders& head : readers[l]) {
      std::size_t own = 0;
      for (const QueryHead& reader : head.all) own += reader.layer == l;
      layers.back().push_back({own, head.all.size() - own});
    }
  }
  return layers;
}

/// `request`: "config" as in config.json, and "bytes" of a cached number.
inline Json routing_reply(const Json& request) {
  JsonFields fields(request);
  std::size_t bytes = 2;
  fields.read("bytes", bytes);
  Json text = *fields.find("config");
  fields.finish();
  if (text.is_object() && text["attention"].is_object() && text["attention"].contains("table")) {
    Json& own = text["attention"]["table"];
    HeadTable heads = parse_table(own, "attention.table.");
    renumber(heads.keys), renumber(heads.values);
    own = table_json(heads);
  }
  const Config config = parse_config(json_text(text));
  const Routing table = make_routing(config);
  const ParameterLayout layout(config);

  Json layers = Json::array(), tensors = Json::array();
  for (std::size_t l = 0; l < table.layers; ++l)
    layers.push_back({{"keys", table.owned_keys[l]},
                      {"values", table.owned_values[l]},
                      {"key_columns", table.key_columns(l)},
                      {"value_columns", table.value_columns(l)}});
  for (const ParameterLayout::Entry& entry : layout.entries())
    tensors.push_back({{"name", entry.name}, {"shape", std::vector<std::size_t>(entry.shape.begin(), entry.shape.end())}});
  std::uint64_t parameters = 0;  // in 64 bits also where std::size_t has 32: in WebAssembly
  for (const ParameterLayout::Entry& entry : layout.entries()) parameters += entry.shape.size();
  const std::size_t elements = cache_elements_per_token(table);
  Json reply{{"keys", rows_of(table.keys, table.heads)},
             {"values", rows_of(table.values, table.heads)},
             {"layers", layers},
             {"key_readers", reader_counts(table.key_readers)},
             {"value_readers", reader_counts(table.value_readers)},
             {"key_width", table.key_width},
             {"value_width", table.value_width},
             {"mixes_values", table.mixes_values},
             {"averages_depth", config.mixing().depth},
             {"elements_per_token", elements},
             {"bytes_per_token", elements * bytes},
             {"mha_bytes_per_token", mha_elements(config) * bytes},
             {"parameters", parameters},
             {"tensors", tensors}};
  if (!config.attention.table.empty()) reply["table"] = table_json(config.attention.table);
  if (table.has_latent())
    reply["latent"] = {{"parts", table.latent.parts}, {"part_width", table.latent.part_width}, {"owned", table.latent.owned}};
  return reply;
}

}  // namespace playground
