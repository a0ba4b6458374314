// Small configurations of Hugging Face's, and variations of them.
#pragma once

#include "skipv1/io/hugging_face_config.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"

namespace skipv1::testing {

inline const std::string llama_config =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 11, "hidden_size": 24,
  "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 8, "rms_norm_eps": 1e-05, "rope_scaling": null, "hidden_act": "silu", "torch_dtype": "float32"})";
inline const std::string gpt2_config =
    R"({"model_type": "gpt2", "vocab_size": 11, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 8,
  "n_inner": null, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new", "resid_pdrop": 0.1})";

/// The LLaMA of `llama_config` with an item more, or its refusal.
inline std::string hf_with(const std::string& item) { return edited(llama_config, "\"torch_dtype\": \"float32\"", item); }
/// As another model type.
inline std::string hf_type(const std::string& type, const std::string& item = "\"head_dim\": 6") {
  return edited(hf_with(item), "\"model_type\": \"llama\"", "\"model_type\": \"" + type + '"');
}
inline bool hf_refused(const std::string& text, const std::string& part) {
  const std::string line = error_of([&] { parse_hugging_face_config(text); });
  UNSCOPED_INFO(line);
  return line.find(part) != line.npos;
}

}  // namespace skipv1::testing
