// config.json <-> Config (docs/spec/formats.md, "config.json").
#pragma once

#include "skipv1/io/file.hpp"
#include "skipv1/io/head_table.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/model/config.hpp"

namespace skipv1 {

namespace detail {

inline void read_attention(const Json& object, AttentionConfig& attention) {
  JsonFields fields(object, "attention.");
  std::string injection = to_string(attention.injection);
  fields.read("variant", attention.variant);
  fields.read("skip_ratio", attention.skip_ratio, Presence::optional);
  fields.read("source_layer", attention.source_layer, Presence::optional, "an integer, not negative");
  fields.read("injection", injection, Presence::optional);
  fields.read("value_mix", attention.value_mix, Presence::optional);
  fields.read("learn_value_mix", attention.learn_value_mix, Presence::optional);
  fields.read("kv_latent_size", attention.kv_latent_size, Presence::optional);
  fields.read("rotary_size", attention.rotary_size, Presence::optional);
  if (const Json* table = fields.find("table", Presence::optional)) attention.table = parse_table(*table, "attention.table.");
  fields.finish();
  attention.injection = parse_injection(injection);
}

inline Architecture parse_architecture(const std::string& name) {
  require(name == "gpt2" || name == "llama", "\"architecture\": expected \"gpt2\" or \"llama\", found \"", brief(name), '"');
  return name == "gpt2" ? Architecture::gpt2 : Architecture::llama;
}

/// Whose keys a file has: transformers' may be null where they may be absent, and the original context is one of them.
enum class RopeKeys { ours, hugging_face };

/// The kind and its numbers; what a file leaves out keeps the defaults of the specification.
inline void read_rope_kind(JsonFields& fields, RopeScaling& s, RopeKeys keys) {
  const bool ours = keys == RopeKeys::ours;
  const Presence original = ours ? Presence::required : Presence::optional;
  const auto read = [&](const char* key, double& to) {
    ours ? fields.read(key, to, Presence::optional) : fields.read_unless_null(key, to);
  };
  if (s.kind != RopeKind::plain) fields.read("factor", s.factor);
  if (s.kind == RopeKind::llama3 || s.kind == RopeKind::yarn)
    fields.read("original_max_position_embeddings", s.original_max_position_embeddings, original);
  if (s.kind == RopeKind::llama3) {
    fields.read("low_freq_factor", s.low_freq_factor);
    fields.read("high_freq_factor", s.high_freq_factor);
  }
  if (s.kind != RopeKind::yarn) return;
  s.attention_factor = yarn_attention_factor(s.factor);
  read("attention_factor", s.attention_factor);
  read("beta_fast", s.beta_fast);
  read("beta_slow", s.beta_slow);
  fields.read("truncate", s.truncate, Presence::optional);
}

inline void read_rope_frequencies(const Json& object, RopeScaling& s) {
  JsonFields fields(object, "rope_frequencies.");
  std::string kind;
  fields.read("kind", kind);
  s.kind = parse_rope_kind(kind);
  read_rope_kind(fields, s, RopeKeys::ours);
  fields.finish();
}

inline Json rope_json(const RopeScaling& s) {
  Json object = {{"kind", to_string(s.kind)}, {"factor", s.factor}};
  if (s.kind == RopeKind::linear) return object;
  object["original_max_position_embeddings"] = s.original_max_position_embeddings;
  if (s.kind == RopeKind::llama3) {
    object["low_freq_factor"] = s.low_freq_factor;
    object["high_freq_factor"] = s.high_freq_factor;
    return object;
  }
  object["attention_factor"] = s.attention_factor;
  object["beta_fast"] = s.beta_fast;
  object["beta_slow"] = s.beta_slow;
  object["truncate"] = s.truncate;
  return object;
}

/// Sets a width of heads, 0 for what follows from hidden_size: a configuration says each width in one way.
inline void set_head_dim(Config& c, std::size_t head_dim) {
  const bool follows = c.num_attention_heads != 0 && c.hidden_size % c.num_attention_heads == 0 &&
                       head_dim == c.hidden_size / c.num_attention_heads;
  c.head_dim = follows ? 0 : head_dim;
}

/// What a configuration does with keys that it does not know.
enum class UnknownKeys { refused, passed_over };

/// The configuration that `object` is.
inline Config config_of(const Json& object, UnknownKeys unknown) {
  JsonFields fields(object);
  Config c;
  std::string architecture;
  fields.read("architecture", architecture);
  c.architecture = parse_architecture(architecture);
  fields.read("vocab_size", c.vocab_size);
  fields.read("hidden_size", c.hidden_size);
  fields.read("intermediate_size", c.intermediate_size);
  fields.read("num_hidden_layers", c.num_hidden_layers);
  fields.read("num_attention_heads", c.num_attention_heads);
  fields.read("num_key_value_heads", c.num_key_value_heads);
  fields.read("max_position_embeddings", c.max_position_embeddings);
  fields.read("norm_epsilon", c.norm_epsilon);
  fields.read("rope_theta", c.rope_theta, c.gpt2() ? Presence::optional : Presence::required);
  fields.read("tie_word_embeddings", c.tie_word_embeddings);
  std::size_t head_dim = 0;
  fields.read("head_dim", head_dim, Presence::optional);
  if (const Json* value = fields.find("head_dim", Presence::optional))
    fields.expect(head_dim != 0, "head_dim", "a positive integer", *value);
  set_head_dim(c, head_dim);
  fields.read("qkv_bias", c.qkv_bias, Presence::optional);
  fields.read("o_bias", c.o_bias, Presence::optional);
  fields.read("mlp_bias", c.mlp_bias, Presence::optional);
  fields.read("qk_norm", c.qk_norm, Presence::optional);
  if (const Json* rope = fields.find("rope_frequencies", Presence::optional)) {
    fields.expect(rope->is_object(), "rope_frequencies", "an object", *rope);
    read_rope_frequencies(*rope, c.rope_frequencies);
  }
  const Json& attention = *fields.find("attention");
  fields.expect(attention.is_object(), "attention", "an object", attention);
  if (unknown == UnknownKeys::refused) fields.finish();
  read_attention(attention, c.attention);
  validate(c);
  return c;
}

}  // namespace detail

/// The configuration that `text` writes down. Throws if a key is missing, unknown, there twice or of the wrong type, and as
/// `validate`. Of "attention" all but "variant" may be left out, "rope_theta" for gpt2, and what only some models of llama have.
inline Config parse_config(std::string_view text) { return detail::config_of(parse_json(text), detail::UnknownKeys::refused); }

/// What `parse(text)` makes of a configuration's file; its errors begin with the file's name.
template <class Parse>
auto read_config_as(const std::filesystem::path& path, const Parse& parse) {
  Source from(path);
  require(from.size() <= 1 << 20, from.name(), ": ", from.size(), " bytes: a configuration has at most ", 1 << 20);
  return at_place(from.name(), [&] { return parse(from.text(0, from.size())); });
}

/// Reads `config.json`.
inline Config read_config(const std::filesystem::path& path) { return read_config_as(path, parse_config); }

/// The table in a file of its own.
inline HeadTable read_table(const std::filesystem::path& path) {
  return read_config_as(path, [](std::string_view text) { return parse_table(parse_json(text)); });
}
/// Writes a table's file, whole or not at all.
inline void write_table(const std::filesystem::path& path, const HeadTable& table) {
  write_whole(path, [&](std::ostream& out) { out << json_text(table_json(table), 2) << '\n'; });
}

/// What `--variant` says: a variant's name, or the file of a table, whose name ends in .json. Throws if it is neither.
inline void choose_variant(AttentionConfig& attention, const std::string& name) {
  attention.variant = name;
  if (std::filesystem::path(name).extension() != ".json") try {
      return static_cast<void>(find_variant(name));
    } catch (const Error& error) {
      fail(error.what(), ", or a file that ends in .json");
    }
  attention.variant = table_variant().name, attention.table = read_table(name);
}

/// The same for a whole configuration. Throws, naming the file, if its table does not fit the layers and heads, or if an owned
/// head has no reader.
inline void choose_variant(Config& c, const std::string& name) {
  choose_variant(c.attention, name);
  if (c.attention.table.empty()) return;
  RoutingShape shape;
  shape.layers = c.num_hidden_layers, shape.heads = shape.kv_heads = c.num_key_value_heads;
  shape.table = &c.attention.table;
  at_place(name, [&] { routing::check_given(shape); });
}

/// The sizes of a configuration, by the names that they have in Hugging Face Transformers as well.
inline Json sizes_json(const Config& c) {
  return {{"vocab_size", c.vocab_size},
          {"hidden_size", c.hidden_size},
          {"intermediate_size", c.intermediate_size},
          {"num_hidden_layers", c.num_hidden_layers},
          {"num_attention_heads", c.num_attention_heads},
          {"num_key_value_heads", c.num_key_value_heads},
          {"max_position_embeddings", c.max_position_embeddings}};
}

/// `config.json`'s text; `parse_config` makes the same configuration of it. Of "attention"
/// it has what the variant uses, and whatever else is not at its default.
inline std::string config_text(const Config& c) {
  const AttentionConfig &a = c.attention, defaults;
  const VariantFields& fields = c.variant().fields;
  Json attention = {{"variant", a.variant}};
  const auto write = [&](bool used, const char* key, const auto& value, const auto& standard) {
    if (used || value != standard) attention[key] = value;
  };
  write(fields.skip_ratio, "skip_ratio", a.skip_ratio, defaults.skip_ratio);
  write(fields.source_layer, "source_layer", a.source_layer, defaults.source_layer);
  write(fields.injection, "injection", std::string(to_string(a.injection)), to_string(defaults.injection));
  write(c.mixing().values, "value_mix", a.value_mix, defaults.value_mix);
  write(fields.learn_value_mix, "learn_value_mix", a.learn_value_mix, defaults.learn_value_mix);
  write(c.latent(), "kv_latent_size", a.kv_latent_size, defaults.kv_latent_size);
  write(c.latent(), "rotary_size", a.rotary_size, defaults.rotary_size);
  if (!a.table.empty()) attention["table"] = table_json(a.table);
  Json object = {{"architecture", to_string(c.architecture)}};
  object.update(sizes_json(c));
  object["norm_epsilon"] = c.norm_epsilon;
  if (!c.gpt2() || c.rope_theta != Config{}.rope_theta) object["rope_theta"] = c.rope_theta;
  object["tie_word_embeddings"] = c.tie_word_embeddings;
  if (c.head_dim) object["head_dim"] = c.head_dim;
  for (const auto& [key, set] :
       {std::pair("qkv_bias", c.qkv_bias), {"o_bias", c.o_bias}, {"mlp_bias", c.mlp_bias}, {"qk_norm", c.qk_norm}})
    if (set) object[key] = true;
  if (c.rope_frequencies.kind != RopeKind::plain) object["rope_frequencies"] = detail::rope_json(c.rope_frequencies);
  object["attention"] = attention;
  return object.dump(2) + '\n';
}

/// Writes `config.json`, whole or not at all. Throws if `c` is not valid.
inline void write_config(const std::filesystem::path& path, const Config& c) {
  validate(c);
  write_whole(path, [&](std::ostream& out) { out << config_text(c); });
}

}  // namespace skipv1
