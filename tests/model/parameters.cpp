// Names, shapes and counts of parameters held to docs/spec/formats.md, "Tensor names", written out here once more.
#include "skipv1/model/parameters.hpp"

#include <map>

#include "skipv1/model/weights.hpp"
#include "skipv1/ops/adamw.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

Config base(Architecture architecture, const std::string& variant) {
  Config c;
  c.architecture = architecture;
  c.vocab_size = 11, c.hidden_size = 12, c.intermediate_size = 7, c.num_hidden_layers = 4;
  c.num_attention_heads = 6, c.num_key_value_heads = 6, c.max_position_embeddings = 9;
  c.attention.variant = variant;
  if (variant == "mqa") c.num_key_value_heads = 1;
  if (variant == "gqa") c.num_key_value_heads = 3;
  if (c.latent()) c.attention.kv_latent_size = 10, c.attention.rotary_size = 4;
  c.tie_word_embeddings = c.gpt2();
  return c;
}

std::vector<Config> configurations() {
  std::vector<Config> all;
  for (Architecture architecture : {Architecture::gpt2, Architecture::llama})
    for (const Variant& variant : variants())
      if (architecture == Architecture::llama || !variant.latent.count) all.push_back(base(architecture, variant.name));
  all.push_back(base(Architecture::gpt2, "resformer"));
  all.back().attention.learn_value_mix = true;
  all.push_back(base(Architecture::llama, "skipv1"));
  all.back().attention.source_layer = 2;
  all.back().tie_word_embeddings = true;
  return all;
}

using Shapes = std::map<std::string, std::vector<std::size_t>>;

/// Heads that layer l of four owns, by docs/spec/models.md, "Head routing", column "owned" at a ratio of one half: keys and
/// values.
std::pair<std::size_t, std::size_t> owned(const Config& c, std::size_t l) {
  const std::string& v = c.attention.variant;
  const std::size_t all = c.num_key_value_heads, half = l <= c.attention.source_layer ? all : (all + 1) / 2;
  const std::size_t first = l < 2 ? all : 0, even = l % 2 == 0 ? all : 0;
  if (v == "skipv1" || v == "skipv0") return {all, half};
  if (v == "svformer") return {all, l == 0 ? all : 0};
  if (v == "yoco_v") return {all, first};
  if (v == "yoco") return {first, first};
  if (v == "cla_v") return {all, even};
  if (v == "cla") return {even, even};
  if (v == "skipkv1") return {half, half};
  if (v == "skipv1_yoco") return {first, half};
  return {all, all};
}

void add(Shapes& shapes, const Config& c, const std::string& name, std::size_t out, std::size_t in) {
  if (out == 0) return;
  shapes[name + ".weight"] = {out, in};
  if (c.gpt2()) shapes[name + ".bias"] = {out};
}
void add_norm(Shapes& shapes, const Config& c, const std::string& name) {
  shapes[name + ".weight"] = {c.hidden_size};
  if (c.gpt2()) shapes[name + ".bias"] = {c.hidden_size};
}

/// The tensors of docs/spec/formats.md.
Shapes expected_shapes(const Config& c) {
  Shapes shapes;
  const std::size_t d = c.hidden_size, d_h = d / c.num_attention_heads, H = c.num_attention_heads,
                    d_c = c.attention.kv_latent_size;
  const bool mla = c.attention.variant == "mla" || c.attention.variant == "skipv1_mla";
  shapes["model.embed_tokens.weight"] = {c.vocab_size, d};
  if (c.gpt2()) shapes["model.embed_positions.weight"] = {c.max_position_embeddings, d};
  if (!c.tie_word_embeddings) shapes["lm_head.weight"] = {c.vocab_size, d};
  add_norm(shapes, c, "model.norm");
  for (std::size_t l = 0; l < 4; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".", attention = layer + "self_attn.";
    add_norm(shapes, c, layer + "input_layernorm");
    add_norm(shapes, c, layer + "post_attention_layernorm");
    add(shapes, c, attention + "q_proj", H * (d_h + (mla ? c.attention.rotary_size : 0)), d);
    add(shapes, c, attention + "o_proj", d, H * d_h);
    if (mla) {
      add(shapes, c, attention + "kv_down_proj", c.attention.variant == "skipv1_mla" && l > 0 ? d_c / 2 : d_c, d);
      add(shapes, c, attention + "k_up_proj", H * d_h, d_c);
      add(shapes, c, attention + "v_up_proj", H * d_h, d_c);
      add(shapes, c, attention + "k_rotary_proj", c.attention.rotary_size, d);
    } else {
      add(shapes, c, attention + "k_proj", owned(c, l).first * d_h, d);
      add(shapes, c, attention + "v_proj", owned(c, l).second * d_h, d);
    }
    if (c.attention.learn_value_mix && l > 0) shapes[attention + "value_mix"] = {1};
    add(shapes, c, layer + "mlp.up_proj", c.intermediate_size, d);
    add(shapes, c, layer + "mlp.down_proj", d, c.intermediate_size);
    if (!c.gpt2()) add(shapes, c, layer + "mlp.gate_proj", c.intermediate_size, d);
    if (c.attention.variant == "denseformer") shapes["model.depth_weights." + std::to_string(l)] = {l + 2};
  }
  return shapes;
}

}  // namespace

TEST_CASE("tensors of every variant have the names and shapes of docs/spec/formats.md") {
  for (const Config& config : configurations()) {
    CAPTURE(to_string(config.architecture), config.attention.variant);
    const ParameterLayout layout(config);
    Shapes actual;
    for (const auto& entry : layout.entries()) actual[entry.name] = {entry.shape.begin(), entry.shape.end()};
    const Shapes expected = expected_shapes(config);
    CHECK(actual == expected);
    std::size_t count = 0;
    for (const auto& [name, shape] : expected) count += shape[0] * (shape.size() > 1 ? shape[1] : 1);
    CHECK(layout.count() == count);
    CHECK(layout.entries().size() == expected.size());
  }
}

TEST_CASE("parameter counts by formula") {
  const std::size_t V = 11, d = 12, f = 7, L = 4, T = 9;
  const auto count = [](Architecture a, const char* variant) { return ParameterLayout(base(a, variant)).count(); };
  const std::size_t gpt2 = (V + T) * d + L * (4 * (d * d + d) + 2 * d * f + f + d + 4 * d) + 2 * d;
  const std::size_t llama = 2 * V * d + L * (4 * d * d + 3 * d * f + 2 * d) + d;
  CHECK(count(Architecture::gpt2, "mha") == gpt2);
  CHECK(count(Architecture::llama, "mha") == llama);
  CHECK(count(Architecture::gpt2, "skipv1") == gpt2 - (L - 1) * d / 2 * (d + 1));
  CHECK(count(Architecture::llama, "skipv1") == llama - (L - 1) * d / 2 * d);
  CHECK(count(Architecture::llama, "denseformer") == llama + 2 + 3 + 4 + 5);
}

TEST_CASE("matrices come first, tensors are aligned and apart, gaps stay zero") {
  for (const Config& config : configurations()) {
    CAPTURE(to_string(config.architecture), config.attention.variant);
    const Parameters<float> parameters(config);
    CHECK(largest(parameters.flat()) == 0);
    initialize(parameters, config, 1);
    const ParameterLayout& layout = parameters.layout();
    CHECK(parameters.flat().size() == layout.size());
    std::vector<int> covered(layout.size(), 0);
    for (const auto& entry : layout.entries()) {
      CHECK(entry.offset % 64 == 0);
      CHECK((entry.shape.rank() == 2) == (entry.offset < layout.decayed()));
      for (std::size_t i = 0; i < entry.shape.size(); ++i) ++covered.at(entry.offset + i);
    }
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < covered.size(); ++i) wrong += covered[i] > 1 || (covered[i] == 0 && parameters.flat()(i) != 0);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a tensor is found by its name, and a name that there is not is empty") {
  const Parameters<float> parameters(base(Architecture::gpt2, "skipv1"));
  const View<float> x = parameters["model.layers.1.self_attn.v_proj.weight"];
  CHECK(x.shape() == Shape{6, 12});
  CHECK(x.data() == parameters.flat().data() + parameters.layout().find("model.layers.1.self_attn.v_proj.weight")->offset);
  CHECK(parameters["lm_head.weight"].empty());
  CHECK(parameters.layout().find("lm_head.weight") == nullptr);
}

TEST_CASE("initial values: deviations, ones, zeros and configured scalars") {
  Config config = base(Architecture::gpt2, "denseformer");
  config.hidden_size = 48, config.intermediate_size = 96;
  const Parameters<float> parameters(config);
  initialize(parameters, config, 1);
  const auto deviation = [&](const char* name) {
    const View<float> x = parameters[name];
    return norm(x) / std::sqrt(static_cast<double>(x.size()));
  };
  CHECK(deviation("model.layers.1.self_attn.q_proj.weight") == Approx(0.02).epsilon(0.06));
  CHECK(deviation("model.layers.1.mlp.up_proj.weight") == Approx(0.02).epsilon(0.06));
  CHECK(deviation("model.layers.1.self_attn.o_proj.weight") == Approx(0.02 / std::sqrt(8)).epsilon(0.06));
  CHECK(deviation("model.layers.3.mlp.down_proj.weight") == Approx(0.02 / std::sqrt(8)).epsilon(0.06));
  CHECK(same_bits<float>(parameters["model.layers.2.input_layernorm.weight"], filled<float>({48}, 1)));
  CHECK(same_bits<float>(parameters["model.norm.weight"], filled<float>({48}, 1)));
  CHECK(largest(parameters["model.layers.2.self_attn.v_proj.bias"]) == 0);
  CHECK(largest(parameters["model.norm.bias"]) == 0);
  const View<float> depth = parameters["model.depth_weights.2"];
  CHECK(std::vector<float>(depth.data(), depth.data() + depth.size()) == std::vector<float>{0, 0, 0, 1});

  Config mixed = base(Architecture::llama, "resformer"), latent = base(Architecture::llama, "mla");
  mixed.attention.learn_value_mix = true, mixed.attention.value_mix = 0.25;
  latent.hidden_size = 48, latent.attention.kv_latent_size = 40;
  const Parameters<float> p(mixed), q(latent);
  initialize(p, mixed, 1), initialize(q, latent, 1);
  CHECK(p["model.layers.3.self_attn.value_mix"](0) == 0.25f);
  const View<float> down = q["model.layers.1.self_attn.kv_down_proj.weight"];  // does not write into the residual stream
  CHECK(norm(down) / std::sqrt(static_cast<double>(down.size())) == Approx(0.02).epsilon(0.06));
}

TEST_CASE("initial values repeat by seed, and equal tensors of two variants start equal") {
  const Config mha = base(Architecture::llama, "mha"), skip = base(Architecture::llama, "skipv1");
  const Parameters<float> a(mha), again(mha), other(mha), b(skip);
  initialize(a, mha, 7), initialize(again, mha, 7), initialize(other, mha, 8), initialize(b, skip, 7);
  CHECK(same_bits(a.flat(), again.flat()));
  CHECK_FALSE(same_bits(a.flat(), other.flat()));
  std::size_t equal = 0;
  for (const auto& entry : b.layout().entries()) {
    if (!(a[entry.name].shape() == entry.shape)) continue;
    CHECK(same_bits(a[entry.name], b[entry.name]));
    ++equal;
  }
  CHECK(equal == b.layout().entries().size() - 3);  // all but the three halved v_proj
  CHECK_FALSE(same_bits(a["model.layers.1.self_attn.q_proj.weight"], a["model.layers.1.self_attn.k_proj.weight"]));
}

TEST_CASE("a tensor drawn in parts has its stream's numbers, one after another") {
  Config c = base(Architecture::llama, "mha");
  c.vocab_size = 6000;  // 72,000 elements of an embedding: more than a part
  const Parameters<float> drawn(c);
  initialize(drawn, c, 7);
  const std::string name = "model.embed_tokens.weight";
  std::uint64_t id = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char letter : name) id = (id ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  Random stream = Random(7).split(id);
  Tensor<float> expected(drawn[name].shape());
  for (std::size_t i = 0; i < expected.size(); ++i) expected.data()[i] = static_cast<float>(0.02 * stream.normal());
  CHECK(same_bits(drawn[name], View<const float>(expected)));
}

TEST_CASE("weights are the tensors by role") {
  const Config tied = base(Architecture::gpt2, "skipv1"), untied = base(Architecture::llama, "denseformer"),
               mla = base(Architecture::llama, "mla");
  const Parameters<double> p(tied), q(untied), r(mla);
  const Weights<double> a(p, tied), b(q, untied), c(r, mla);
  CHECK(a.head.data() == a.tokens.data());
  CHECK(a.positions.shape() == Shape{9, 12});
  CHECK(a.layers.size() == 4);
  CHECK(a.layers[1].value.data() == p["model.layers.1.self_attn.v_proj.weight"].data());
  CHECK(a.layers[1].down_bias.data() == p["model.layers.1.mlp.down_proj.bias"].data());
  CHECK(a.layers[1].gate.empty());
  CHECK(a.depth.empty());
  CHECK(b.head.data() == q["lm_head.weight"].data());
  CHECK(b.positions.empty());
  CHECK(b.norm_bias.empty());
  CHECK(b.depth[3].size() == 5);
  CHECK(b.layers[0].gate.data() == q["model.layers.0.mlp.gate_proj.weight"].data());
  CHECK(c.layers[2].value.data() == r["model.layers.2.self_attn.kv_down_proj.weight"].data());
  CHECK(c.layers[2].key.data() == r["model.layers.2.self_attn.k_rotary_proj.weight"].data());
  CHECK(c.layers[2].key_up.shape() == Shape{12, 10});
}

TEST_CASE("weights of another configuration are refused by the first tensor that differs") {
  const Config mha = base(Architecture::llama, "mha"), skip = base(Architecture::llama, "skipv1"),
               gpt2 = base(Architecture::gpt2, "mha");
  CHECK(message([&] { Weights<float>(Parameters<float>(mha), skip); }) ==
        "parameters: model.layers.1.self_attn.v_proj.weight is (12, 12), this configuration's is (6, 12)");
  CHECK(message([&] { Weights<float>(Parameters<float>(mha), gpt2); }) ==
        "parameters: model.embed_positions.weight is missing, this configuration has it");
  const Config dense = base(Architecture::llama, "denseformer");
  const std::size_t count = ParameterLayout(mha).count();
  CHECK(message([&] { Weights<float>(Parameters<float>(dense), mha); }) ==
        "parameters: " + std::to_string(count + 14) + " elements, this configuration has " + std::to_string(count));
}
