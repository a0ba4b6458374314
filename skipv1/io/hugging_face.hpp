// Checkpoints of Hugging Face's transformers: LLaMA, whose tensors have our names, and GPT-2, whose are split and turned.
#pragma once

#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/model_tensors.hpp"

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
      {"qwen2", ", which has biases in attention and, in places, sliding windows"},
      {"qwen3", ", which has norms of queries and keys"},
      {"mistral", ", which has sliding windows"},
      {"mixtral", ", which has experts and sliding windows"},
      {"smollm3", ", which leaves rotation out in some layers"},
      {"gemma2", ", which has sliding windows and caps scores"},
      {"gemma3_text", ", which has norms of queries and keys and sliding windows"},
      {"phi3", ", which fuses projections and has scaled rotary positions"},
      {"gpt_neox", ", which rotates a part of each head"}};
  for (const auto& [name, words] : known)
    if (type == name) return words;
  return "";
}

inline Config hugging_face_llama(const Json& object) {
  for (const auto& [key, standard] :
       {std::pair("hidden_act", Json("silu")), std::pair("attention_bias", Json(false)), std::pair("mlp_bias", Json(false))})
    expect_standard(object, key, standard);
  const auto scaling = object.find("rope_scaling");
  require(scaling == object.end(), "\"rope_scaling\" is set, to ", scaling == object.end() ? "" : brief(*scaling),
          ": only plain rotary positions are imported");
  JsonFields fields(object);
  Config c;
  fields.read("vocab_size", c.vocab_size);
  fields.read("hidden_size", c.hidden_size);
  fields.read("intermediate_size", c.intermediate_size);
  fields.read("num_hidden_layers", c.num_hidden_layers);
  fields.read("num_attention_heads", c.num_attention_heads);
  c.num_key_value_heads = c.num_attention_heads;
  fields.read("num_key_value_heads", c.num_key_value_heads, false);
  fields.read("max_position_embeddings", c.max_position_embeddings);
  c.norm_epsilon = 1e-6;  // transformers' defaults
  c.tie_word_embeddings = false;
  fields.read("rms_norm_eps", c.norm_epsilon, false);
  fields.read("rope_theta", c.rope_theta, false);
  fields.read("tie_word_embeddings", c.tie_word_embeddings, false);
  if (const Json* rope = fields.find("rope_parameters", false)) {  // where newer versions keep theta
    JsonFields inner(*rope, "rope_parameters.");
    inner.read("rope_theta", c.rope_theta, false);
    for (const char* key : {"rope_type", "type"}) {  // the second is the older name
      inner.find(key, false);
      expect_standard(*rope, key, "default");
    }
    inner.find("partial_rotary_factor", false);
    expect_standard(*rope, "partial_rotary_factor", 1.0);
    inner.finish();
  }
  expect_standard(object, "partial_rotary_factor", 1.0);
  if (c.num_attention_heads != 0) expect_standard(object, "head_dim", c.head_width());
  const bool grouped = c.num_key_value_heads != c.num_attention_heads;
  c.attention.variant = !grouped ? "mha" : c.num_key_value_heads == 1 ? "mqa" : "gqa";
  return c;
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
  fields.read("n_embd", c.hidden_size);
  fields.read("n_layer", c.num_hidden_layers);
  fields.read("n_head", c.num_attention_heads);
  fields.read("n_positions", c.max_position_embeddings);
  require(c.hidden_size <= 1u << 29, "\"n_embd\" is ", c.hidden_size, ": at most ", 1u << 29);
  c.intermediate_size = 4 * c.hidden_size;
  fields.read("n_inner", c.intermediate_size, false);
  fields.read("layer_norm_epsilon", c.norm_epsilon, false);
  c.num_key_value_heads = c.num_attention_heads;
  return c;
}

/// `to` (out, in) becomes the transpose of columns `begin …` of `from` (in, columns).
template <class T>
void turn(View<T> to, View<T> from, std::size_t begin = 0) {
  for (std::size_t o = 0; o < to.extent(0); ++o)
    for (std::size_t i = 0; i < to.extent(1); ++i) to(o, i) = from(i, begin + o);
}

/// One layer of GPT-2: `c_attn` holds queries, keys and values side by side; matrices are stored (in, out).
template <class T>
void read_gpt2_layer(ModelTensors& tensors, const Config& c, const Parameters<T>& to, const std::string& from,
                     const std::string& layer) {
  const std::size_t d = c.hidden_size, inner = c.intermediate_size;
  for (const auto& [theirs, ours] : {std::pair("ln_1", "input_layernorm"), std::pair("ln_2", "post_attention_layernorm")})
    for (const char* part : {".weight", ".bias"}) tensors.read(from + theirs + part, to[layer + ours + part]);
  Tensor<T> fused({d, 3 * d}), bias({3 * d});
  tensors.template read<T>(from + "attn.c_attn.weight", fused);
  tensors.template read<T>(from + "attn.c_attn.bias", bias);
  std::size_t begin = 0;
  for (const char* ours : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
    turn<T>(to[layer + ours + ".weight"], fused, begin);
    copy<T>(to[layer + ours + ".bias"], bias.slice(begin, d));
    begin += d;
  }
  const auto matrix = [&](const char* theirs, const char* ours, std::size_t in, std::size_t out) {
    Tensor<T> turned({in, out});
    tensors.template read<T>(from + theirs + ".weight", turned);
    turn<T>(to[layer + ours + ".weight"], turned);
    tensors.read(from + theirs + ".bias", to[layer + ours + ".bias"]);
  };
  matrix("attn.c_proj", "self_attn.o_proj", d, d);
  matrix("mlp.c_fc", "mlp.up_proj", d, inner);
  matrix("mlp.c_proj", "mlp.down_proj", inner, d);
}

template <class T>
void read_gpt2(ModelTensors& tensors, const Config& c, const Parameters<T>& to) {
  const std::string from = tensors.has("transformer.wte.weight") ? "transformer." : "";
  tensors.read(from + "wte.weight", to["model.embed_tokens.weight"]);
  tensors.read(from + "wpe.weight", to["model.embed_positions.weight"]);
  for (const char* part : {".weight", ".bias"}) tensors.read(from + "ln_f" + part, to[std::string("model.norm") + part]);
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l)
    read_gpt2_layer(tensors, c, to, from + "h." + std::to_string(l) + '.', "model.layers." + std::to_string(l) + '.');
  require_tied_head<T>(tensors, from + "wte.weight", to["model.embed_tokens.weight"]);
  // Masks, which old files hold.
  tensors.finish([](const std::string& key) { return key.ends_with(".attn.bias") || key.ends_with(".attn.masked_bias"); });
}

}  // namespace detail

/// The configuration in a transformers `config.json` of model type llama or gpt2. Keys that change nothing here are passed over.
/// Throws, naming the key, where the model is one that this library has not (scaled rotary positions, other activations).
inline Config parse_hugging_face_config(std::string_view text) {
  Json object = parse_json(text);
  require(object.is_object(), "expected an object, found ", detail::brief(object));
  for (auto item = object.begin(); item != object.end();)
    item = item->is_null() ? object.erase(item) : std::next(item);  // null: absent
  std::string type;
  JsonFields(object).read("model_type", type);
  for (const char* ours : {"architecture", "attention", "norm_epsilon"})
    require(!object.contains(ours), "\"", ours,
            "\" beside \"model_type\": the first is a key of this library's own configurations, ",
            "the second of transformers': leave one of them out");
  require(type == "llama" || type == "gpt2", "\"model_type\": expected \"llama\" or \"gpt2\", found \"", detail::brief(type), '"',
          detail::feature_of(type));
  const Config c = type == "llama" ? detail::hugging_face_llama(object) : detail::hugging_face_gpt2(object);
  validate(c);
  return c;
}

/// Imports a transformers folder (config.json and safetensors, in one file or several) of a LLaMA or GPT-2 model. Throws if a
/// tensor is missing, unknown, of another shape than the configuration says, or not finite.
template <class T>
Checkpoint<T> import_hugging_face(const std::filesystem::path& folder) {
  const Config c = read_config_as(folder / "config.json", parse_hugging_face_config);
  ModelTensors tensors(folder);
  require_plausible(c, tensors.elements(), tensors.name());
  Checkpoint<T> checkpoint{c, Parameters<T>(c)};
  c.gpt2() ? detail::read_gpt2(tensors, c, checkpoint.parameters) : read_model_tensors(tensors, c, checkpoint.parameters);
  return checkpoint;
}

}  // namespace skipv1
