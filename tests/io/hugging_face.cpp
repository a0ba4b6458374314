#include "skipv1/io/hugging_face.hpp"

#include "skipv1/io/imports.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/models.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

Config small_gpt2() {
  Config c = small("mha", 4, true);
  c.architecture = Architecture::gpt2;
  c.intermediate_size = 96;
  return c;
}

std::string hugging_face_error(const std::filesystem::path& path) {
  return error_of([&] { import_checkpoint<float>(path); });
}

const std::string llama_config =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 11, "hidden_size": 24,
  "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 8, "rms_norm_eps": 1e-05, "rope_scaling": null, "hidden_act": "silu", "torch_dtype": "float32"})";
const std::string gpt2_config =
    R"({"model_type": "gpt2", "vocab_size": 11, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 8,
  "n_inner": null, "layer_norm_epsilon": 1e-05, "activation_function": "gelu_new", "resid_pdrop": 0.1})";

/// A model's tensors under GPT-2's own names and shapes, beside the memory they lie in.
struct Gpt2Tensors {
  std::vector<Tensor<float>> memory;
  std::vector<NamedTensor<float>> named;

  void add(const std::string& name, Shape shape, const std::function<float(std::size_t, std::size_t)>& value) {
    memory.emplace_back(shape);
    Tensor<float>& x = memory.back();
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = value(i / x.width(), i % x.width());
    named.push_back({name, x});
  }
  Gpt2Tensors(const Parameters<float>& p, const std::string& prefix) {
    const auto plain = [&](const std::string& theirs, const std::string& ours) { named.push_back({prefix + theirs, p[ours]}); };
    plain("wte.weight", "model.embed_tokens.weight"), plain("wpe.weight", "model.embed_positions.weight");
    plain("ln_f.weight", "model.norm.weight"), plain("ln_f.bias", "model.norm.bias");
    for (const std::string l : {"0", "1"}) {
      const std::string h = "h." + l + ".", layer = "model.layers." + l + ".";
      plain(h + "ln_1.weight", layer + "input_layernorm.weight"), plain(h + "ln_1.bias", layer + "input_layernorm.bias");
      plain(h + "ln_2.weight", layer + "post_attention_layernorm.weight");
      plain(h + "ln_2.bias", layer + "post_attention_layernorm.bias");
      const View<float> parts[] = {p[layer + "self_attn.q_proj.weight"], p[layer + "self_attn.k_proj.weight"],
                                   p[layer + "self_attn.v_proj.weight"]};
      const View<float> biases[] = {p[layer + "self_attn.q_proj.bias"], p[layer + "self_attn.k_proj.bias"],
                                    p[layer + "self_attn.v_proj.bias"]};
      add(prefix + h + "attn.c_attn.weight", {24, 72},
          [&](std::size_t in, std::size_t out) { return parts[out / 24](out % 24, in); });
      add(prefix + h + "attn.c_attn.bias", {72}, [&](std::size_t, std::size_t out) { return biases[out / 24](out % 24); });
      for (const auto& [theirs, ours] : {std::pair("attn.c_proj", "self_attn.o_proj"), std::pair("mlp.c_fc", "mlp.up_proj"),
                                         std::pair("mlp.c_proj", "mlp.down_proj")}) {
        const View<float> x = p[layer + ours + ".weight"];
        add(prefix + h + theirs + ".weight", {x.extent(1), x.extent(0)},
            [&](std::size_t in, std::size_t out) { return x(out, in); });
        plain(h + theirs + ".bias", layer + ours + ".bias");
      }
      add(prefix + h + "attn.bias", {1, 1, 8, 8},
          [](std::size_t row, std::size_t column) { return column <= row ? 1.0f : 0.0f; });
    }
  }
};

}  // namespace

TEST_CASE("a Hugging Face LLaMA is imported, from one file or several") {
  const Folder folder("hugging-face");
  Config c = small("gqa", 2, false);
  const Parameters<float> parameters = numbered(c);
  std::vector<NamedTensor<float>> tensors = named_tensors(parameters);
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", parameters["model.norm.weight"]});
  write(folder / "config.json", llama_config);
  write_safetensors(folder / "model.safetensors", tensors);
  Checkpoint<float> read = import_checkpoint<float>(folder.path());
  CHECK(read.config == c);
  CHECK(same(read.parameters, parameters));

  std::filesystem::remove(folder / "model.safetensors");
  const auto middle = tensors.begin() + 5;
  write_safetensors<float>(folder / "a.safetensors", {tensors.begin(), middle});
  write_safetensors<float>(folder / "b.safetensors", {middle, tensors.end()});
  const std::string index =
      R"({"metadata": {}, "weight_map": {"model.norm.weight": "b.safetensors", "lm_head.weight": "a.safetensors"}})";
  write(folder / "model.safetensors.index.json", index);
  read = import_checkpoint<float>(folder.path());
  CHECK(same(read.parameters, parameters));
  write(folder / "model.safetensors.index.json", edited(index, "a.safe", "../a.safe"));
  CHECK(hugging_face_error(folder.path()).find("\"../a.safetensors\" must be a .safetensors file of this folder") !=
        std::string::npos);
}

TEST_CASE("a Hugging Face GPT-2 is imported, with either prefix") {
  const Folder folder("hugging-face-gpt2");
  const Config c = small_gpt2();
  const Parameters<float> parameters = numbered(c);
  write(folder / "config.json", gpt2_config);
  for (const char* prefix : {"", "transformer."}) {
    write_safetensors(folder / "model.safetensors", Gpt2Tensors(parameters, prefix).named);
    const Checkpoint<float> read = import_checkpoint<float>(folder.path());
    CHECK(read.config == c);
    CHECK(same(read.parameters, parameters));
  }
  Gpt2Tensors more(parameters, "");
  more.named.push_back({"h.0.adapter.weight", more.named[0].tensor});
  write_safetensors(folder / "model.safetensors", more.named);
  CHECK(hugging_face_error(folder.path()).find("tensor \"h.0.adapter.weight\" is not one of this architecture") !=
        std::string::npos);
  more.named.resize(3);
  write_safetensors(folder / "model.safetensors", more.named);
  CHECK(hugging_face_error(folder.path()).find("tensor \"ln_f.bias\" is missing") != std::string::npos);
}

namespace {

/// The LLaMA of `llama_config` with an item more, or its refusal.
std::string hf_with(const std::string& item) { return edited(llama_config, "\"torch_dtype\": \"float32\"", item); }
/// As another model type.
std::string hf_type(const std::string& type, const std::string& item = "\"head_dim\": 6") {
  return edited(hf_with(item), "\"model_type\": \"llama\"", "\"model_type\": \"" + type + '"');
}
bool hf_refused(const std::string& text, const std::string& part) {
  const std::string line = error_of([&] { parse_hugging_face_config(text); });
  UNSCOPED_INFO(line);
  return line.find(part) != line.npos;
}

}  // namespace

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
  CHECK(parse_hugging_face_config(hf_with("\"quantization_config\": null")) == parse_hugging_face_config(llama_config));
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
  for (const char* type : {"qwen2", "qwen3", "mistral"})
    CHECK(hf_refused(edited(hf_type(type), "\"num_key_value_heads\": 2", "\"num_key_value_heads\": null"),
                     "\"num_key_value_heads\" is missing"));
}

TEST_CASE("our own checkpoints are imported too") {
  const Folder folder("import-ours");
  const Config c = small("skipv1", 2, false);
  write_checkpoint(folder.path(), c, numbered(c));
  const Checkpoint<float> read = import_checkpoint<float>(folder.path());
  CHECK((read.config == c && same(read.parameters, numbered(c))));
}

TEST_CASE("keys of ours beside a model_type are refused, both named") {
  const Folder folder("both-kinds");
  const Config c = small("resformer", 4, true);
  write_checkpoint(folder.path(), c, numbered(c));
  const std::string text = contents(folder / "config.json");
  for (const char* key : {"architecture", "attention", "norm_epsilon"}) {
    Json object = parse_json(llama_config);
    object[key] = parse_json(text)[key];
    write(folder / "config.json", object.dump());
    const std::string line = hugging_face_error(folder.path());
    INFO(line);
    CHECK(line.find('"' + std::string(key) + "\" beside \"model_type\"") != line.npos);
  }
}

TEST_CASE("a tied model may hold an equal copy of its head, and no other") {
  const Folder folder("tied-head");
  Config c = small("gqa", 2, true);
  const Parameters<float> parameters = numbered(c);
  const auto check = [&] {
    std::vector<NamedTensor<float>> tensors = named_tensors(parameters);
    Tensor<float> head({11, 24});
    copy(View<float>(head), parameters["model.embed_tokens.weight"]);
    tensors.push_back({"lm_head.weight", head});
    write_safetensors(folder / "model.safetensors", tensors);
    CHECK(same(import_checkpoint<float>(folder.path()).parameters, parameters));
    head(10, 23) += 1;
    write_safetensors(folder / "model.safetensors", tensors);
    CHECK(hugging_face_error(folder.path()).find("\"lm_head.weight\" differs from \"model.embed_tokens.weight\"") !=
          std::string::npos);
  };
  write(folder / "config.json", edited(llama_config, "\"rope_scaling\": null", "\"tie_word_embeddings\": true"));
  check();
  write_config(folder / "config.json", c);  // ours
  check();

  const Config gpt2 = small_gpt2();
  const Parameters<float> theirs = numbered(gpt2);
  Gpt2Tensors tensors(theirs, "transformer.");
  tensors.named.push_back({"lm_head.weight", theirs["model.embed_tokens.weight"]});
  write(folder / "config.json", gpt2_config);
  write_safetensors(folder / "model.safetensors", tensors.named);
  CHECK(same(import_checkpoint<float>(folder.path()).parameters, theirs));
  tensors.add("other", {11, 24}, [](auto, auto) { return 1.0f; });
  tensors.named.back().name = "lm_head.weight";
  tensors.named.erase(tensors.named.end() - 2);
  write_safetensors(folder / "model.safetensors", tensors.named);
  CHECK(hugging_face_error(folder.path()).find("differs from \"transformer.wte.weight\"") != std::string::npos);
}

TEST_CASE("wrappers' prefixes and rotary buffers are passed over in models of every kind") {
  const Folder folder("prefixes");
  const Config c = small("skipv1", 2, false);
  const Parameters<float> parameters = numbered(c);
  write_config(folder / "config.json", c);
  for (const std::string prefix : {"module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."}) {
    std::vector<NamedTensor<float>> tensors = named_tensors(parameters);
    tensors.push_back({"model.rotary_emb.inv_freq", parameters["model.norm.weight"]});
    for (NamedTensor<float>& x : tensors) x.name = prefix + x.name;
    write_safetensors(folder / "model.safetensors", tensors);
    CHECK(same(import_checkpoint<float>(folder.path()).parameters, parameters));
    tensors.push_back({"model.norm.weight", parameters["model.norm.weight"]});
    write_safetensors(folder / "model.safetensors", tensors);
    CHECK(hugging_face_error(folder.path()).find("its name is there twice") != std::string::npos);
  }
}

TEST_CASE("model.safetensors goes before an index beside it, and pickled weights are refused with the way out") {
  const Folder folder("precedence");
  const Config c = small("gqa", 2, false);
  const Parameters<float> parameters = numbered(c);
  write(folder / "config.json", llama_config);
  write(folder / "pytorch_model.bin", "PK");
  CHECK(hugging_face_error(folder.path()).find("pytorch_model.bin: weights in PyTorch's pickle format are not read") !=
        std::string::npos);
  write(folder / "model.safetensors.index.json", R"({"weight_map": null})");
  CHECK(hugging_face_error(folder.path()).find("index.json: \"weight_map\": expected an object, found null") !=
        std::string::npos);
  write(folder / "config.json", R"({"vocab_size": 7})");
  CHECK(hugging_face_error(folder.path())
            .find("config.json: neither \"model_type\", which transformers' configurations have, nor "
                  "\"architecture\"") != std::string::npos);
  write(folder / "config.json", llama_config);
  write(folder / "model.safetensors.index.json", R"({"weight_map": {"model.norm.weight": "missing.safetensors"}})");
  write_parameters(folder / "model.safetensors", parameters);
  CHECK(same(import_checkpoint<float>(folder.path()).parameters, parameters));
}
