// Configurations of Hugging Face's transformers: LLaMA, its relatives Qwen2, Qwen3 and Mistral, and GPT-2.
#pragma once

#include <algorithm>
#include <iterator>
#include <optional>

#include "skipv1/io/config.hpp"

namespace skipv1 {

namespace detail {

/// Throws unless the configuration's `key` is absent or `standard`: other values mean a model that is not ours.
inline void expect_standard(const Json& object, const char* key, const Json& standard) {
  const auto found = object.find(key);
  require(found == object.end() || *found == standard, '"', key, "\" is ", found == object.end() ? "" : brief(*found), ": only ",
          brief(standard), " is imported");
}

/// What a model type near LLaMA has that LLaMA has not, for the line that refuses it; empty where it is not known.
inline const char* feature_of(const std::string& type) {
  const std::pair<const char*, const char*> known[] = {
      {"mixtral", ", which has experts and sliding windows"},
      {"qwen2_moe", ", which has experts"},
      {"qwen3_moe", ", which has experts"},
      {"smollm3", ", which leaves rotation out in some layers"},
      {"olmo2", ", which puts its norms behind attention and feed-forward"},
      {"gemma", ", which scales embeddings and has norms that add 1 to their weights"},
      {"granite", ", which scales embeddings, residuals and logits"},
      {"cohere", ", whose attention and feed-forward read one norm"},
      {"gemma2", ", which has sliding windows and caps scores"},
      {"gemma3_text", ", which has sliding windows and norms that add 1 to their weights"},
      {"phi3", ", which fuses projections"},
      {"gpt_neox", ", which rotates a part of each head"}};
  for (const auto& [name, words] : known)
    if (type == name) return words;
  return "";
}

/// How a model type that is LLaMA but for some features says which it has.
struct LlamaRelative {
  const char* type;
  bool qkv_bias = false, qk_norm = false;                 ///< it always has them
  bool attention_bias_key = false, mlp_bias_key = false;  ///< it has a choice
  bool own_head_dim = false;                              ///< no "head_dim" does not mean hidden_size / num_attention_heads
  bool own_groups = false;                                ///< no "num_key_value_heads" does not mean num_attention_heads
  enum class Windows { none, everywhere, in_some_layers } windows = Windows::none;
};
inline constexpr LlamaRelative llama_relatives[] = {
    {.type = "llama", .attention_bias_key = true, .mlp_bias_key = true},
    {.type = "qwen2", .qkv_bias = true, .own_groups = true, .windows = LlamaRelative::Windows::in_some_layers},
    {.type = "qwen3",
     .qk_norm = true,
     .attention_bias_key = true,
     .own_head_dim = true,
     .own_groups = true,
     .windows = LlamaRelative::Windows::in_some_layers},
    {.type = "mistral", .own_groups = true, .windows = LlamaRelative::Windows::everywhere}};

/// Whether "layer_types" has a layer with a window; nothing where there is no such key. Throws if it is not a list of known
/// types, one for each layer.
inline std::optional<bool> find_sliding_layers(const Json& object, std::size_t layers) {
  const auto types = object.find("layer_types");
  if (types == object.end() || types->is_null()) return {};
  require(types->is_array() && types->size() == layers, "\"layer_types\": expected a list of ", layers,
          " types, one for each layer, found ", brief(*types));
  bool slides = false;
  for (const Json& type : *types) {
    require(type == "full_attention" || type == "sliding_attention", "\"layer_types\" has ", brief(type),
            ": only full_attention and sliding_attention are known");
    slides = slides || type == "sliding_attention";
  }
  return slides;
}

/// Throws if a layer sees less than the longest sequence: a window at least that long leaves nothing out.
inline void refuse_windows(const Json& object, const LlamaRelative& relative, const Config& c) {
  using Windows = LlamaRelative::Windows;
  const std::optional<bool> sliding_layers = find_sliding_layers(object, c.num_hidden_layers);
  const Json window = object.value("sliding_window", Json(4096u));  // transformers' default
  bool slides = relative.windows == Windows::everywhere && !window.is_null();
  if (relative.windows == Windows::in_some_layers) {
    JsonFields fields(object);
    bool used = false;
    std::size_t most = 28;
    fields.read("use_sliding_window", used, Presence::optional);
    fields.read("max_window_layers", most, Presence::optional, "an integer, not negative");
    used = used && !window.is_null();
    slides = sliding_layers.value_or(used && most < c.num_hidden_layers);
    require(!slides || used, "\"layer_types\" has \"sliding_attention\", and there is no window: ",
            window.is_null() ? "\"sliding_window\" is null" : "\"use_sliding_window\" is not true");
  } else {
    require(!sliding_layers.value_or(false) || slides, "\"layer_types\" has \"sliding_attention\": a \"model_type\" \"",
            relative.type, "\" has ", relative.windows == Windows::none ? "no windows" : "none where \"sliding_window\" is null");
  }
  require(!slides || (window.is_number_unsigned() && window.get<std::size_t>() >= c.max_position_embeddings),
          "\"sliding_window\" is ", brief(window), ": only windows of max_position_embeddings, ", c.max_position_embeddings,
          ", or more are imported, which leave nothing out");
}

/// The dictionary of rotary positions: "rope_parameters" or, as older versions call it, "rope_scaling"; null if there is none.
/// Throws if there are two that differ.
inline const Json* find_rope(const Json& object, std::string& name) {
  const Json* found = nullptr;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto rope = object.find(key);
    if (rope == object.end() || rope->is_null()) continue;
    require(rope->is_object(), '"', key, "\": expected an object, found ", brief(*rope));
    if (rope->empty()) continue;
    require(!found || *found == *rope, "\"rope_scaling\" beside \"rope_parameters\", and they differ: leave one of them out");
    found = &*rope, name = key;
  }
  return found;
}

/// The kind that "rope_type" or, as older versions call it, "type" names. `dynamic` is plain up to max_position_embeddings, and
/// no sequence is longer here.
inline RopeKind hugging_face_rope_kind(JsonFields& fields, const Json& rope, const std::string& name, const Config& c) {
  std::string kind = "default";
  for (const char* key : {"type", "rope_type"}) fields.read(key, kind, Presence::optional);
  require(!rope.contains("type") || rope["type"] == kind, '"', name, ".type\" is not \"", name, ".rope_type\"");
  if (kind == "default") {
    for (const auto& item : rope.items())
      require(rope.contains("rope_type") || rope.contains("type") || item.key() == "rope_theta" ||
                  item.key() == "partial_rotary_factor",
              '"', name, '.', brief(item.key()), "\" without \"", name,
              ".rope_type\": transformers takes the type as default then, and passes the rest over; only whole settings are "
              "imported");
    return RopeKind::plain;
  }
  if (kind == "dynamic") {
    double factor = 1;
    fields.read("factor", factor);
    std::size_t original = c.max_position_embeddings;
    fields.read_unless_null("original_max_position_embeddings", original);
    require(original == c.max_position_embeddings, '"', name, ".original_max_position_embeddings\" is ", original,
            ": with kind dynamic only max_position_embeddings, ", c.max_position_embeddings, ", is imported");
    return RopeKind::plain;
  }
  for (const RopeKind known : {RopeKind::linear, RopeKind::llama3, RopeKind::yarn})
    if (kind == to_string(known)) return known;
  fail('"', name, rope.contains("rope_type") ? ".rope_type" : ".type", "\" is \"", brief(kind),
       "\": only default, linear, dynamic, llama3 and yarn are imported");
}

inline void read_hugging_face_rope(const Json& object, Config& c) {
  expect_standard(object, "partial_rotary_factor", 1.0);
  std::string name;
  const Json* found = find_rope(object, name);
  if (!found) return;
  const Json& rope = *found;
  JsonFields fields(rope, name + ".");
  RopeScaling& s = c.rope_frequencies;
  fields.read("rope_theta", c.rope_theta, Presence::optional);
  fields.find("partial_rotary_factor", Presence::optional);
  expect_standard(rope, "partial_rotary_factor", 1.0);
  s.kind = hugging_face_rope_kind(fields, rope, name, c);
  const bool lengthened = s.kind == RopeKind::llama3 || s.kind == RopeKind::yarn;
  if (lengthened) s.original_max_position_embeddings = c.max_position_embeddings;
  read_rope_kind(fields, s, RopeKeys::hugging_face);
  if (s.kind == RopeKind::yarn) {
    double m = 0, all = 0;
    fields.read_unless_null("mscale", m);
    fields.read_unless_null("mscale_all_dim", all);
    if (rope.value("attention_factor", Json()).is_null() && m != 0 && all != 0)
      s.attention_factor = yarn_attention_factor(s.factor, m) / yarn_attention_factor(s.factor, all);
  }
  fields.finish();
  validate(s, c.rope_theta, name);
  if (!lengthened || !object.contains("original_max_position_embeddings")) return;
  std::size_t beside = s.original_max_position_embeddings;  // transformers would take this one
  JsonFields(object).read("original_max_position_embeddings", beside);
  require(!rope.contains("original_max_position_embeddings") || beside == s.original_max_position_embeddings,
          "\"original_max_position_embeddings\" is ", beside, ", in \"", name, "\" it is ", s.original_max_position_embeddings);
  s.original_max_position_embeddings = beside;
}

inline Config hugging_face_llama(const Json& object, const LlamaRelative& relative) {
  expect_standard(object, "hidden_act", "silu");
  JsonFields fields(object);
  Config c;
  fields.read("vocab_size", c.vocab_size);
  fields.read("hidden_size", c.hidden_size);
  fields.read("intermediate_size", c.intermediate_size);
  fields.read("num_hidden_layers", c.num_hidden_layers);
  fields.read("num_attention_heads", c.num_attention_heads);
  c.num_key_value_heads = c.num_attention_heads;
  if (fields.find("num_key_value_heads", relative.own_groups ? Presence::required : Presence::optional))
    fields.read_unless_null("num_key_value_heads", c.num_key_value_heads);
  fields.read("max_position_embeddings", c.max_position_embeddings);
  c.norm_epsilon = 1e-6;  // transformers' defaults
  c.tie_word_embeddings = false;
  fields.read("rms_norm_eps", c.norm_epsilon, Presence::optional);
  fields.read("rope_theta", c.rope_theta, Presence::optional);
  fields.read("tie_word_embeddings", c.tie_word_embeddings, Presence::optional);
  std::size_t head_dim = 0;
  relative.own_head_dim ? fields.read("head_dim", head_dim) : fields.read_unless_null("head_dim", head_dim);
  require(head_dim != 0 || object.value("head_dim", Json()).is_null(), "\"head_dim\" is 0: must be positive");
  set_head_dim(c, head_dim);
  c.qkv_bias = relative.qkv_bias, c.qk_norm = relative.qk_norm;
  if (relative.attention_bias_key) {
    fields.read("attention_bias", c.qkv_bias, Presence::optional);
    c.o_bias = c.qkv_bias;
  }
  if (relative.mlp_bias_key) fields.read("mlp_bias", c.mlp_bias, Presence::optional);
  read_hugging_face_rope(object, c);
  refuse_windows(object, relative, c);
  const bool grouped = c.num_key_value_heads != c.num_attention_heads;
  c.attention.variant = !grouped ? "mha" : c.num_key_value_heads == 1 ? "mqa" : "gqa";
  return c;
}

/// Reads `key`, for which transformers also knows `other`: it takes whichever it comes to last. Throws if they differ.
inline void read_either(JsonFields& fields, const char* key, const char* other, std::size_t& to) {
  const Json *one = fields.find(key, Presence::optional), *two = fields.find(other, Presence::optional);
  require(!one || !two || *one == *two, '"', other, "\" is another name of \"", key,
          "\" in transformers, and they differ: ", two ? brief(*two) : "", " and ", one ? brief(*one) : "");
  fields.read(two && !one ? other : key, to);
}

inline Config hugging_face_gpt2(const Json& object) {
  if (object.value("activation_function", Json("gelu_new")) != "gelu_pytorch_tanh")  // another name of the same
    expect_standard(object, "activation_function", "gelu_new");
  expect_standard(object, "scale_attn_weights", true);
  expect_standard(object, "scale_attn_by_inverse_layer_idx", false);
  expect_standard(object, "add_cross_attention", false);
  expect_standard(object, "tie_word_embeddings", true);
  JsonFields fields(object);
  Config c;
  c.architecture = Architecture::gpt2;
  fields.read("vocab_size", c.vocab_size);
  read_either(fields, "n_embd", "hidden_size", c.hidden_size);
  read_either(fields, "n_layer", "num_hidden_layers", c.num_hidden_layers);
  read_either(fields, "n_head", "num_attention_heads", c.num_attention_heads);
  read_either(fields, "n_positions", "max_position_embeddings", c.max_position_embeddings);
  require(c.hidden_size <= 1u << 29, "\"n_embd\" is ", c.hidden_size, ": at most ", 1u << 29);
  c.intermediate_size = 4 * c.hidden_size;
  fields.read_unless_null("n_inner", c.intermediate_size);
  fields.read("layer_norm_epsilon", c.norm_epsilon, Presence::optional);
  c.num_key_value_heads = c.num_attention_heads;
  return c;
}

}  // namespace detail

/// The configuration in a transformers `config.json` of model type llama, qwen2, qwen3, mistral or gpt2. Keys that change nothing
/// here are passed over. Throws, naming the key, where the model is one that this library has not (sliding windows, other
/// activations).
inline Config parse_hugging_face_config(std::string_view text) {
  const Json object = parse_json(text);
  require(object.is_object(), "expected an object, found ", detail::brief(object));
  std::string type;
  JsonFields(object).read("model_type", type);
  for (const char* ours : {"architecture", "attention", "norm_epsilon"})
    require(!object.contains(ours), "\"", ours,
            "\" beside \"model_type\": the first is a key of this library's own configurations, ",
            "the second of transformers': leave one of them out");
  for (const char* quantized : {"quantization_config", "compression_config"})
    require(
        object.value(quantized, Json()).is_null(), '"', quantized,
        "\": quantized weights are not imported (transformers writes plain ones: ", "model.dequantize(), then save_pretrained)");
  detail::expect_standard(object, "is_causal", true);
  const Json per_layer = object.value("per_layer_config", Json());
  require(per_layer.is_null() || per_layer.empty(), "\"per_layer_config\": layers that differ from one another are not imported");
  const auto relative = std::find_if(std::begin(detail::llama_relatives), std::end(detail::llama_relatives),
                                     [&](const detail::LlamaRelative& r) { return type == r.type; });
  const bool known = relative != std::end(detail::llama_relatives);
  require(known || type == "gpt2", "\"model_type\": expected \"llama\", \"qwen2\", \"qwen3\", \"mistral\" or \"gpt2\", found \"",
          detail::brief(type), '"', detail::feature_of(type));
  const Config c = known ? detail::hugging_face_llama(object, *relative) : detail::hugging_face_gpt2(object);
  validate(c);
  return c;
}

}  // namespace skipv1
