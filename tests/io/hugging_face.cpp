#include <functional>

#include "skipv1/io/hugging_face.hpp"

#include "skipv1/io/imports.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/hugging_face_configs.hpp"
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
  more.named.back().name = "h.7.ln_1.weight";
  write_safetensors(folder / "model.safetensors", more.named);
  CHECK(hugging_face_error(folder.path()).find("tensor \"h.7.ln_1.weight\": the configuration has ") != std::string::npos);
  more.named.resize(3);
  write_safetensors(folder / "model.safetensors", more.named);
  CHECK(hugging_face_error(folder.path()).find("tensor \"ln_f.bias\" is missing") != std::string::npos);
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
