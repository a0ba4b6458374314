// A checkpoint as a folder of transformers: LLaMA, Qwen2, Qwen3 or GPT-2 where the variant is plain and one of them has all its
// features, else a model of type skipv1.
#pragma once

#include "skipv1/io/hugging_face.hpp"

namespace skipv1 {

/// What transformers itself has of a configuration.
enum class TransformersModel { llama, qwen2, qwen3, gpt2, skipv1 };
/// Its class there.
inline const char* class_of(TransformersModel kind) {
  constexpr const char* names[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM", "GPT2LMHeadModel",
                                   "SkipV1ForCausalLM"};
  return names[static_cast<std::size_t>(kind)];
}

inline TransformersModel transformers_model(const Config& c) {
  const bool plain = c.attention.variant == "mha" || c.attention.variant == "gqa" || c.attention.variant == "mqa";
  if (!plain || (c.gpt2() && c.num_key_value_heads != c.num_attention_heads)) return TransformersModel::skipv1;
  if (c.gpt2()) return TransformersModel::gpt2;
  const bool all_biases = c.qkv_bias == c.o_bias;
  if (c.qk_norm) return all_biases && !c.mlp_bias ? TransformersModel::qwen3 : TransformersModel::skipv1;
  if (c.hidden_size % c.num_attention_heads != 0) return TransformersModel::skipv1;  // LlamaConfig refuses it
  if (all_biases) return TransformersModel::llama;
  return c.qkv_bias && !c.mlp_bias && c.head_dim == 0 ? TransformersModel::qwen2 : TransformersModel::skipv1;
}

namespace detail {

/// Scaled rotary positions, as transformers writes them.
inline Json transformers_rope(const Config& c) {
  Json rope = rope_json(c.rope_frequencies);
  rope.erase("kind");
  rope["rope_type"] = to_string(c.rope_frequencies.kind);
  rope["rope_theta"] = c.rope_theta;
  return rope;
}

/// LLaMA or a relative: `kind` says which.
inline Json llama_json(const Config& c, TransformersModel kind) {
  const bool qwen2 = kind == TransformersModel::qwen2, qwen3 = kind == TransformersModel::qwen3;
  Json object = {{"architectures",
                  {qwen2   ? "Qwen2ForCausalLM"
                   : qwen3 ? "Qwen3ForCausalLM"
                           : "LlamaForCausalLM"}},
                 {"model_type", qwen2   ? "qwen2"
                                : qwen3 ? "qwen3"
                                        : "llama"}};
  object.update(sizes_json(c));
  object["rms_norm_eps"] = c.norm_epsilon;
  object["rope_theta"] = c.rope_theta;
  object["hidden_act"] = "silu";
  object["tie_word_embeddings"] = c.tie_word_embeddings;
  if (c.rope_frequencies.kind != RopeKind::plain) {
    object["rope_parameters"] = transformers_rope(c);
    object["rope_scaling"] = object["rope_parameters"];
  }
  if (!qwen2) {
    object["head_dim"] = c.head_width();
    object["attention_bias"] = c.qkv_bias;
  }
  if (qwen2 || qwen3) {
    object["use_sliding_window"] = false;
    object["layer_types"] = std::vector<std::string>(c.num_hidden_layers, "full_attention");
  } else {
    object["mlp_bias"] = c.mlp_bias;
  }
  return object;
}

inline Json gpt2_json(const Config& c) {
  return {{"architectures", {class_of(TransformersModel::gpt2)}},
          {"model_type", "gpt2"},
          {"vocab_size", c.vocab_size},
          {"n_embd", c.hidden_size},
          {"n_inner", c.intermediate_size},
          {"n_layer", c.num_hidden_layers},
          {"n_head", c.num_attention_heads},
          {"n_positions", c.max_position_embeddings},
          {"layer_norm_epsilon", c.norm_epsilon},
          {"activation_function", "gelu_new"},
          {"tie_word_embeddings", true}};
}

/// Ours beside what transformers needs to find the class in `modeling_skipv1.py`.
inline Json skipv1_json(const Config& c) {
  Json object = parse_json(config_text(c));
  object["model_type"] = "skipv1";
  object["architectures"] = {class_of(TransformersModel::skipv1)};
  object["auto_map"] = {{"AutoConfig", "modeling_skipv1.SkipV1Config"},
                        {"AutoModelForCausalLM", "modeling_skipv1.SkipV1ForCausalLM"}};
  return object;
}

/// Rows of `from` (out, in) become columns `begin …` of `to` (in, columns): the inverse of `turn`.
template <class T>
void turn_back(View<T> to, View<T> from, std::size_t begin = 0) {
  for (std::size_t o = 0; o < from.extent(0); ++o)
    for (std::size_t i = 0; i < from.extent(1); ++i) to(i, begin + o) = from(o, i);
}

/// GPT-2's tensors under transformers' names; `kept` owns those that are turned.
template <class T>
std::vector<NamedTensor<T>> gpt2_tensors(const Config& c, const Parameters<T>& w, std::vector<Tensor<T>>& kept) {
  std::vector<NamedTensor<T>> all = {{"transformer.wte.weight", w["model.embed_tokens.weight"]},
                                     {"transformer.wpe.weight", w["model.embed_positions.weight"]},
                                     {"transformer.ln_f.weight", w["model.norm.weight"]},
                                     {"transformer.ln_f.bias", w["model.norm.bias"]}};
  const std::size_t d = c.hidden_size;
  const auto keep = [&](const std::string& name, Shape shape) -> View<T> {
    kept.push_back(Tensor<T>(shape));
    all.push_back({name, kept.back()});
    return kept.back();
  };
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l) {
    const std::string to = "transformer.h." + std::to_string(l) + '.', from = "model.layers." + std::to_string(l) + '.';
    for (const auto& [theirs, ours] : {std::pair("ln_1", "input_layernorm"), std::pair("ln_2", "post_attention_layernorm")})
      for (const char* part : {".weight", ".bias"}) all.push_back({to + theirs + part, w[from + ours + part]});
    const View<T> fused = keep(to + "attn.c_attn.weight", {d, 3 * d}), bias = keep(to + "attn.c_attn.bias", {3 * d});
    std::size_t begin = 0;
    for (const char* ours : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
      turn_back<T>(fused, w[from + ours + ".weight"], begin);
      copy<T>(bias.slice(begin, d), w[from + ours + ".bias"]);
      begin += d;
    }
    for (const auto& [theirs, ours] : {std::pair("attn.c_proj", "self_attn.o_proj"), std::pair("mlp.c_fc", "mlp.up_proj"),
                                       std::pair("mlp.c_proj", "mlp.down_proj")}) {
      const View<T> matrix = w[from + ours + ".weight"];
      turn_back<T>(keep(to + theirs + ".weight", {matrix.extent(1), matrix.extent(0)}), matrix);
      all.push_back({to + theirs + ".bias", w[from + ours + ".bias"]});
    }
  }
  return all;
}

}  // namespace detail

/// Writes `config.json` and `model.safetensors` to the folder `out`. Where the variant is none of transformers' own
/// (`TransformersModel::skipv1`) its model file belongs beside them.
template <class T>
void export_hugging_face(const std::filesystem::path& out, const Config& c, const Parameters<T>& parameters, const Dtype& dtype) {
  const TransformersModel kind = transformers_model(c);
  Json config = kind == TransformersModel::gpt2     ? detail::gpt2_json(c)
                : kind == TransformersModel::skipv1 ? detail::skipv1_json(c)
                                                    : detail::llama_json(c, kind);
  const std::string name = dtype.name;
  if (kind != TransformersModel::skipv1)
    for (const char* key : {"bos_token_id", "eos_token_id"})
      config[key] = nullptr;  // else transformers' defaults stop at token 2
  config["dtype"] = name == "F64" ? "float64" : name == "F32" ? "float32" : name == "BF16" ? "bfloat16" : "float16";
  std::vector<Tensor<T>> kept;
  kept.reserve(c.num_hidden_layers * 5);  // its elements are pointed at
  const std::vector<NamedTensor<T>> tensors =
      kind == TransformersModel::gpt2 ? detail::gpt2_tensors(c, parameters, kept) : named_tensors(parameters);
  write_safetensors(out / "model.safetensors", tensors, dtype);
  write_whole(out / "config.json", [&](std::ostream& file) { file << config.dump(2) << '\n'; });
}

}  // namespace skipv1
