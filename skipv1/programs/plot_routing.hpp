// skipv1-plot --routing: which head reads what, as a picture and as text.
#pragma once

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "skipv1/io/imports.hpp"
#include "skipv1/model/config.hpp"
#include "skipv1/plot/routing.hpp"
#include "skipv1/training/run_folder.hpp"
#include "skipv1/programs/option_names.hpp"

namespace skipv1 {

/// What the map is of; 0 where nothing was said.
struct RoutingMap {
  std::string variant;  ///< a name, a table's file, or a model
  std::size_t layers = 0, heads = 0, kv_heads = 0;
};

namespace detail {

/// `line` with the options in place of the configuration's keys; of a table whose heads no option counts, its first layer.
inline std::string in_map_options(const std::string& line, const RoutingMap& map, bool table) {
  return in_words(line, {{"num_hidden_layers", table && !map.layers ? "as many as of the values" : "--layers"},
                         {"num_attention_heads", "--heads"},
                         {"num_key_value_heads", table && !map.kv_heads ? "layer 0's" : "--kv-heads"}});
}

/// Throws unless a map has room for the heads.
inline void require_map(const Config& c, const std::string& place) {
  constexpr std::size_t most = 128;
  const auto fits = [](std::size_t count) { return count >= 1 && count <= most; };
  require(fits(c.num_hidden_layers) && fits(c.num_attention_heads), place, c.num_hidden_layers, " layers of ",
          c.num_attention_heads, " heads: a map has 1 to ", most, " of each");
}

}  // namespace detail

/// The configuration of a model by its folder, its run's or its config.json; none where `name` is a variant's or a table's file.
/// A variant that a folder has the name of is the variant: the folder is "./mha".
inline std::optional<Config> model_config(const std::string& name) {
  const auto of_folder = [](const std::filesystem::path& model) { return read_model_config(model / "config.json"); };
  for (const Variant& variant : variants())
    if (variant.name == name) return {};
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) return read_model(name, of_folder);
  if (std::filesystem::path(name).extension() != ".json" || !std::filesystem::is_regular_file(name, error)) return {};
  const Json object = read_config_as(name, parse_json);
  if (!object.is_object() || (!object.contains("architecture") && !object.contains("model_type"))) return {};
  return read_model_config(name);
}

/// A configuration whose table is the one asked for: a model's own. A table's file says how many layers and heads there are; a
/// variant by name has 4 and 4, if nothing else is said. Throws if that is no table, naming its file.
inline Config config_of(const RoutingMap& map) {
  if (const std::optional<Config> model = model_config(map.variant)) {
    for (const auto& [option, asked] : {std::pair("--layers", map.layers), {"--heads", map.heads}, {"--kv-heads", map.kv_heads}})
      require(asked == 0, option, ": of a variant or a table; ", map.variant, " is a model, which has its own");
    detail::require_map(*model, map.variant + ": ");
    return *model;
  }
  Config c;
  choose_variant(c.attention, map.variant);
  const HeadTable& table = c.attention.table;
  const std::size_t rows = table.values.size(), columns = rows ? table.values[0].size() : 0;
  require(!rows || columns, map.variant, ": \"values\", layer 0: has no head");
  const auto chosen = [](std::size_t asked, std::size_t found) { return asked ? asked : found ? found : 4; };
  c.num_hidden_layers = chosen(map.layers, rows);
  c.num_attention_heads = chosen(map.heads, columns ? columns : std::max<std::size_t>(map.kv_heads, 4));
  c.num_key_value_heads = map.kv_heads ? map.kv_heads : rows ? columns : c.num_attention_heads;
  const std::string place = rows ? map.variant + ": " : "";
  detail::require_map(c, place);
  c.hidden_size = 64 * c.num_attention_heads;
  c.attention.kv_latent_size = 64, c.attention.rotary_size = 16;  // read by what has a latent
  try {
    make_routing(c);
  } catch (const Error& error) {
    fail(place, detail::in_map_options(error.what(), map, rows > 0));
  }
  return c;
}

}  // namespace skipv1
