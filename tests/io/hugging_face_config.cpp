#include "skipv1/io/hugging_face_config.hpp"

#include "tests/io/hugging_face_configs.hpp"

using namespace skipv1;
using namespace skipv1::testing;

TEST_CASE("features of Hugging Face's LLaMA and its relatives are read") {
  const Config newer = parse_hugging_face_config(hf_with(R"("rope_parameters": {"rope_theta": 5e5, "rope_type": "default"})"));
  CHECK(newer.rope_theta == 5e5);
  CHECK(newer.rope_frequencies == RopeScaling{});
  CHECK(parse_hugging_face_config(hf_with("\"tie_word_embeddings\": true, \"head_dim\": 6")).tie_word_embeddings);
  CHECK(parse_hugging_face_config(hf_with("\"head_dim\": 6")).head_dim == 0);  // what follows from hidden_size
  CHECK(parse_hugging_face_config(hf_with("\"head_dim\": 16")).head_width() == 16);
  const auto features = [](const std::string& text) {
    const Config c = parse_hugging_face_config(text);
    return std::vector<bool>{c.qkv_bias, c.o_bias, c.mlp_bias, c.qk_norm};
  };
  using Set = std::vector<bool>;
  CHECK(features(hf_with("\"attention_bias\": true")) == Set{true, true, false, false});
  CHECK(features(hf_with("\"mlp_bias\": true")) == Set{false, false, true, false});
  CHECK(features(hf_type("qwen2")) == Set{true, false, false, false});
  CHECK(features(hf_type("qwen3")) == Set{false, false, false, true});
  CHECK(features(hf_type("qwen3", "\"head_dim\": 8, \"attention_bias\": true")) == Set{true, true, false, true});
  CHECK(features(hf_type("mistral", "\"sliding_window\": null, \"head_dim\": null")) == Set{false, false, false, false});
  CHECK(parse_hugging_face_config(edited(gpt2_config, "gelu_new", "gelu_pytorch_tanh")).gpt2());
}

TEST_CASE("scaled rotary positions are read under their newer and their older keys") {
  const auto read = [](const std::string& key, const std::string& rope) {
    return parse_hugging_face_config(edited(llama_config, "\"rope_scaling\": null", '"' + key + "\": " + rope)).rope_frequencies;
  };
  RopeScaling s;
  s.kind = RopeKind::linear, s.factor = 4;
  CHECK(read("rope_parameters", R"({"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4})") == s);
  CHECK(read("rope_scaling", R"({"type": "linear", "factor": 4.0})") == s);
  CHECK(read("rope_scaling", R"({"type": "linear", "rope_type": "linear", "factor": 4.0})") == s);
  s.kind = RopeKind::llama3, s.low_freq_factor = 1, s.high_freq_factor = 3, s.original_max_position_embeddings = 8;
  const std::string llama3 = R"({"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 3.0})";
  CHECK(read("rope_scaling", llama3) == s);  // max_position_embeddings is the default
  CHECK(read("original_max_position_embeddings\": 4, \"rope_scaling", llama3).original_max_position_embeddings == 4);
  CHECK(read("rope_scaling", R"({"type": "dynamic", "factor": 4.0})") == RopeScaling{});
  const RopeScaling yarn = read("rope_scaling", R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4})");
  CHECK((yarn.kind == RopeKind::yarn && yarn.original_max_position_embeddings == 4 && yarn.truncate));
  CHECK((yarn.beta_fast == 32 && yarn.beta_slow == 1 && yarn.attention_factor == Approx(1.1386294361119891)));
  const RopeScaling scaled = read("rope_scaling", R"({"type": "yarn", "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.5})");
  CHECK(scaled.attention_factor == Approx(1.1386294361119891 / 1.0693147180559945));
}

TEST_CASE("Hugging Face models that this library has not are refused by the key") {
  const auto rope = [](const std::string& item) { return hf_with("\"rope_parameters\": {" + item + "}"); };
  for (const auto& [type, feature] :
       {std::pair("mixtral", "experts"), std::pair("olmo2", "behind attention"), std::pair("gemma", "add 1"),
        std::pair("gemma2", "caps scores"), std::pair("falcon", "found \"falcon\"")})
    CHECK(hf_refused(hf_type(type), feature));
  CHECK(hf_refused(hf_type("gemma2"), "\"model_type\": expected \"llama\", \"qwen2\", \"qwen3\", \"mistral\" or \"gpt2\""));
  CHECK(hf_refused(edited(llama_config, "\"rope_scaling\": null", "\"rope_scaling\": {\"factor\": 8.0}"),
                   "\"rope_scaling.factor\" without \"rope_scaling.rope_type\": transformers takes the type as default then"));
  CHECK(hf_refused(edited(llama_config, "silu", "gelu"), "\"hidden_act\" is \"gelu\": only \"silu\" is imported"));
  CHECK(hf_refused(hf_with("\"head_dim\": 0"), "\"head_dim\" is 0"));
  CHECK(hf_refused(hf_with("\"head_dim\": 7"), "head_dim is 7: RoPE needs an even head width"));
  CHECK(hf_refused(rope(R"("rope_type": "longrope", "factor": 2.0)"), "\"rope_parameters.rope_type\" is \"longrope\": only"));
  CHECK(hf_refused(rope(R"("type": "longrope")"), "\"rope_parameters.type\" is \"longrope\""));
  CHECK(hf_refused(rope(R"("type": "linear", "rope_type": "yarn", "factor": 2.0)"), "is not \"rope_parameters.rope_type\""));
  CHECK(hf_refused(rope(R"("rope_type": "llama3", "factor": 2.0)"), "\"rope_parameters.low_freq_factor\" is missing"));
  CHECK(hf_refused(rope(R"("rope_type": "yarn")"), "\"rope_parameters.factor\" is missing"));
  CHECK(
      hf_refused(rope(R"("rope_type": "linear", "factor": 2.0, "beta_fast": 3)"), "\"rope_parameters.beta_fast\" is not a key"));
  CHECK(hf_refused(rope(R"("rope_type": "yarn", "factor": 2.0, "beta_fast": -1.0)"), "rope_parameters.beta_fast is -1"));
  CHECK(hf_refused(rope(R"("rope_type": "linear", "factor": -2.0)"), "rope_parameters.factor is -2: must be positive"));
  CHECK(hf_refused(edited(llama_config, "\"rope_scaling\": null", R"("rope_scaling": {"type": "linear", "factor": 0.0})"),
                   "rope_scaling.factor is 0: must be positive"));
  CHECK(hf_refused(rope(R"("rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 4)"),
                   "\"rope_parameters.original_max_position_embeddings\" is 4"));
  CHECK(hf_refused(rope(R"("factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0)"),
                   "\"rope_parameters.factor\" without \"rope_parameters.rope_type\""));
  CHECK(
      hf_refused(rope(R"("rope_type": "default", "factor": 4.0)"), "\"rope_parameters.factor\" is not a key that is known here"));
  CHECK(hf_refused(hf_with(R"("quantization_config": {"quant_method": "gptq", "bits": 4})"),
                   "\"quantization_config\": quantized weights are not imported"));
  CHECK(hf_refused(rope("\"partial_rotary_factor\": 0.5"), "\"partial_rotary_factor\" is 0.5"));
  CHECK(hf_refused(hf_with("\"partial_rotary_factor\": 0.5"), "\"partial_rotary_factor\" is 0.5"));
  CHECK(hf_refused(hf_with("\"rope_parameters\": 3"), "expected an object"));
  CHECK(hf_refused(
      edited(rope("\"rope_theta\": 1e4"), "\"rope_scaling\": null", R"("rope_scaling": {"type": "linear", "factor": 2.0})"),
      "\"rope_scaling\" beside \"rope_parameters\", and they differ"));
  const std::string yarn = R"("rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4})";
  CHECK(hf_refused(edited(hf_with("\"original_max_position_embeddings\": 5"), "\"rope_scaling\": null", yarn),
                   "\"original_max_position_embeddings\" is 5, in \"rope_scaling\" it is 4"));
  CHECK(hf_refused(edited(llama_config, "\"hidden_size\"", "\"hidden\""), "\"hidden_size\" is missing"));
  CHECK(hf_refused(edited(gpt2_config, "gelu_new", "relu"), "\"activation_function\" is \"relu\""));
  CHECK(hf_refused(edited(gpt2_config, "\"n_inner\": null", "\"scale_attn_by_inverse_layer_idx\": true"),
                   "\"scale_attn_by_inverse_layer_idx\""));
  CHECK(hf_refused(edited(gpt2_config, "24", "25"), "hidden_size 25 is not a multiple"));
  CHECK(hf_refused(edited(gpt2_config, "24", "4611686018427387904"), "\"n_embd\" is 4611686018427387904"));
  CHECK(hf_refused("[]", "expected an object"));
  CHECK(hf_refused("{}", "\"model_type\" is missing"));
  CHECK(hf_refused(R"({"model_type": null})", "\"model_type\": expected a string, found null"));
  CHECK(hf_refused(R"({"model_type": "llama", "vocab_size": null})", "\"vocab_size\": expected a positive integer, found null"));
}

TEST_CASE("windows that leave something out, and keys whose default is no other key, are refused") {
  const auto accepted = [](const std::string& text) { return error_of([&] { parse_hugging_face_config(text); }).empty(); };
  CHECK(hf_refused(hf_type("mistral", "\"sliding_window\": 7"),
                   "\"sliding_window\" is 7: only windows of max_position_embeddings, 8"));
  CHECK(accepted(hf_type("mistral", "\"sliding_window\": 8")));
  CHECK(accepted(hf_type("mistral")));  // 4096
  CHECK(hf_refused(edited(hf_type("mistral"), "\"max_position_embeddings\": 8", "\"max_position_embeddings\": 5000"),
                   "\"sliding_window\" is 4096"));
  const std::string used = "\"use_sliding_window\": true, \"sliding_window\": 7, ";
  CHECK(accepted(hf_type("qwen2", "\"sliding_window\": 7")));  // not used
  CHECK(hf_refused(hf_type("qwen2", used + "\"max_window_layers\": 1"), "\"sliding_window\" is 7"));
  CHECK(accepted(hf_type("qwen2", used + "\"max_window_layers\": 2")));  // no layer has one
  CHECK(hf_refused(hf_type("qwen2", used + R"("layer_types": ["full_attention", "sliding_attention"])"),
                   "\"sliding_window\" is 7"));
  CHECK(accepted(hf_type("qwen2", used + R"("layer_types": ["full_attention", "full_attention"])")));
  CHECK(hf_refused(hf_type("qwen2", R"("layer_types": ["full_attention", "chunked_attention"])"),
                   "\"layer_types\" has \"chunked_attention\""));
  CHECK(hf_refused(hf_type("qwen2", R"("layer_types": ["full_attention"])"), "\"layer_types\": expected a list of 2 types"));
  CHECK(hf_refused(hf_type("qwen2", "\"layer_types\": \"full_attention\""), "\"layer_types\": expected a list of 2 types"));
  const std::string second = R"("layer_types": ["full_attention", "sliding_attention"])";
  CHECK(hf_refused(hf_type("qwen2", second), "there is no window: \"use_sliding_window\" is not true"));
  CHECK(hf_refused(hf_type("qwen2", "\"use_sliding_window\": true, \"sliding_window\": null, " + second),
                   "\"sliding_window\" is null"));
  CHECK(hf_refused(hf_with(second), "\"layer_types\" has \"sliding_attention\": a \"model_type\" \"llama\" has no windows"));
  CHECK(hf_refused(hf_type("mistral", "\"sliding_window\": null, " + second), "none where \"sliding_window\" is null"));
  CHECK(hf_refused(hf_type("qwen3", "\"bos_token_id\": 1"), "\"head_dim\" is missing"));
  for (const char* type : {"qwen2", "mistral"})
    CHECK(hf_refused(edited(hf_type(type), "\"num_key_value_heads\": 2", "\"unused\": 2"), "\"num_key_value_heads\" is missing"));
}

TEST_CASE("a null of transformers' is the same as no key only where transformers takes it for that") {
  for (const char* type : {"llama", "qwen2", "mistral"})
    CHECK(parse_hugging_face_config(edited(hf_type(type), "\"num_key_value_heads\": 2", "\"num_key_value_heads\": null"))
              .num_key_value_heads == 4);
  for (const char* null : {"\"head_dim\": null", "\"layer_types\": null", "\"rope_parameters\": null",
                           "\"quantization_config\": null", "\"per_layer_config\": null", "\"bos_token_id\": null"})
    CHECK(parse_hugging_face_config(hf_with(null)) == parse_hugging_face_config(llama_config));
  for (const std::string key : {"attention_bias", "mlp_bias", "tie_word_embeddings", "rope_theta", "is_causal"})
    CHECK(hf_refused(hf_with('"' + key + "\": null"), '"' + key + '"'));
  CHECK(hf_refused(edited(llama_config, "1e-05", "null"), "\"rms_norm_eps\": expected a number, found null"));
  CHECK(hf_refused(edited(llama_config, "\"silu\"", "null"), "\"hidden_act\" is null"));
  CHECK(hf_refused(edited(gpt2_config, "\"gelu_new\"", "null"), "\"activation_function\" is null"));
  CHECK(hf_refused(hf_type("qwen3", "\"head_dim\": null"), "\"head_dim\": expected a positive integer, found null"));
  CHECK(
      hf_refused(hf_type("qwen2", "\"use_sliding_window\": null"), "\"use_sliding_window\": expected true or false, found null"));
  CHECK(hf_refused(hf_type("qwen2", "\"max_window_layers\": null"), "\"max_window_layers\""));
  const auto yarn = [](const std::string& items) {
    return hf_with(R"("rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4)" + items +
                   "}");
  };
  const std::string nulls =
      R"(, "attention_factor": null, "beta_fast": null, "beta_slow": null, "mscale": null, "mscale_all_dim": null)";
  CHECK(parse_hugging_face_config(yarn(nulls)) == parse_hugging_face_config(yarn("")));
  for (const char* key : {"truncate", "rope_theta", "partial_rotary_factor", "hello"})  // of truncate it would mean false
    CHECK(hf_refused(yarn(", \"" + std::string(key) + "\": null"), key));
  CHECK(hf_refused(edited(yarn(""), "\"yarn\"", "null"), "\"rope_parameters.rope_type\": expected a string, found null"));
  CHECK(hf_refused(edited(yarn(""), "4.0", "null"), "\"rope_parameters.factor\": expected a number, found null"));
}

TEST_CASE("keys that change a model in transformers, and that this library does not read, are refused") {
  for (const char* kind : {"llama", "gpt2"}) {
    Json config = parse_json(kind == std::string("llama") ? llama_config : gpt2_config);
    config["is_causal"] = true, config["per_layer_config"] = Json::object();
    CHECK(error_of([&] { parse_hugging_face_config(config.dump()); }).empty());
    config["is_causal"] = false;
    CHECK(hf_refused(config.dump(), "\"is_causal\" is false: only true is imported"));
    config["is_causal"] = true, config["per_layer_config"]["1"]["intermediate_size"] = 8;
    CHECK(hf_refused(config.dump(), "\"per_layer_config\": layers that differ"));
  }
  const Config gpt2 = parse_hugging_face_config(gpt2_config);
  for (const auto& [key, other] :
       {std::pair("n_embd", "hidden_size"), std::pair("n_layer", "num_hidden_layers"), std::pair("n_head", "num_attention_heads"),
        std::pair("n_positions", "max_position_embeddings")}) {
    Json config = parse_json(gpt2_config);
    config[other] = config[key];
    CHECK(parse_hugging_face_config(config.dump()) == gpt2);  // both, and equal
    config[other] = config[key].get<std::size_t>() + 1;
    CHECK(hf_refused(config.dump(),
                     '"' + std::string(other) + "\" is another name of \"" + key + "\" in transformers, and they differ"));
    config[other] = config[key];
    config.erase(key);
    CHECK(parse_hugging_face_config(config.dump()) == gpt2);  // the other name alone
    config.erase(other);
    CHECK(hf_refused(config.dump(), '"' + std::string(key) + "\" is missing"));
  }
}
