// Every rule of docs/spec/models.md that a configuration can break, broken once; and every combination it allows.
#include "skipv1/model/config.hpp"

#include <functional>

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

Config valid(const char* variant = "mha", Architecture architecture = Architecture::llama) {
  Config c;
  c.architecture = architecture;
  c.attention.variant = variant;
  if (c.latent()) c.attention.kv_latent_size = 8, c.attention.rotary_size = 4;
  if (c.attention.variant == "mqa") c.num_key_value_heads = 1;
  return c;
}

/// The line that `change` to a valid configuration brings about; the configuration itself must be fine.
std::string config_refusal(Config c, const std::function<void(Config&)>& change) {
  CHECK(message([&] { validate(c); }) == "");
  change(c);
  return message([&] { validate(c); });
}
std::string config_refusal(const std::function<void(Config&)>& change) { return config_refusal(valid(), change); }

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("sizes must be positive and fit 32 bits") {
  using Field = std::size_t Config::*;
  const std::pair<const char*, Field> fields[] = {{"vocab_size", &Config::vocab_size},
                                                  {"hidden_size", &Config::hidden_size},
                                                  {"intermediate_size", &Config::intermediate_size},
                                                  {"num_hidden_layers", &Config::num_hidden_layers},
                                                  {"num_attention_heads", &Config::num_attention_heads},
                                                  {"num_key_value_heads", &Config::num_key_value_heads},
                                                  {"max_position_embeddings", &Config::max_position_embeddings}};
  for (const auto& [name, field] : fields) {
    const bool counted = std::string_view(name).starts_with("num_");  // layers and heads: fewer than of what is a width
    for (const char* value : {"0", counted ? "4097" : "2147483648", "1000000000000"}) {
      CAPTURE(name, value);
      CHECK(config_refusal([&, f = field](Config& c) { c.*f = std::stoull(value); }) ==
            std::string(name) + " is " + value + ": must be 1 to " + (counted ? "4096" : "2147483647"));
    }
  }
  CHECK(config_refusal([](Config& c) { c.num_hidden_layers = 4097; }) == "num_hidden_layers is 4097: must be 1 to 4096");
  CHECK(config_refusal([](Config& c) { c.num_attention_heads = 8192; }) == "num_attention_heads is 8192: must be 1 to 4096");
}

TEST_CASE("widths and heads must divide") {
  CHECK(config_refusal([](Config& c) { c.hidden_size = 66; }) == "hidden_size 66 is not a multiple of num_attention_heads 4");
  CHECK(config_refusal(valid("gqa"), [](Config& c) { c.num_key_value_heads = 3; }) ==
        "num_attention_heads 4 is not a multiple of num_key_value_heads 3");
  CHECK(config_refusal(valid("gqa"), [](Config& c) { c.num_key_value_heads = 8; }) ==
        "num_attention_heads 4 is not a multiple of num_key_value_heads 8");
  CHECK(config_refusal([](Config& c) { c.hidden_size = 60; }) ==
        "hidden_size / num_attention_heads is 15: RoPE needs an even head width");
  CHECK(message([] {
          Config odd = valid("mha", Architecture::gpt2);
          odd.hidden_size = 60;
          validate(odd);
        }) == "");
}

TEST_CASE("what only llama has is refused elsewhere, by name") {
  const std::pair<const char*, std::function<void(Config&)>> features[] = {
      {"head_dim", [](Config& c) { c.head_dim = 8; }},
      {"qkv_bias", [](Config& c) { c.qkv_bias = true; }},
      {"o_bias", [](Config& c) { c.o_bias = true; }},
      {"mlp_bias", [](Config& c) { c.mlp_bias = true; }},
      {"qk_norm", [](Config& c) { c.qk_norm = true; }},
      {"rope_frequencies", [](Config& c) { c.rope_frequencies.kind = RopeKind::linear; }}};
  for (const auto& [name, set] : features) {
    CAPTURE(name);
    CHECK(config_refusal(set) == "");
    CHECK(config_refusal(valid("mha", Architecture::gpt2), set) ==
          std::string(name) + " with architecture gpt2: only llama has a choice");
    const bool of_heads = std::string(name) == "qkv_bias" || std::string(name) == "qk_norm";
    CHECK(config_refusal(valid("mla"), set) ==
          (of_heads ? std::string(name) + " with variant mla: only heads that are projected directly have it" : ""));
  }
  CHECK(config_refusal([](Config& c) { c.head_dim = 7; }) == "head_dim is 7: RoPE needs an even head width");
  CHECK(config_refusal([](Config& c) { c.head_dim = 1u << 21; }).find("head_dim is 2097152: at most") == 0);
  CHECK(config_refusal([](Config& c) { c.hidden_size = 30, c.head_dim = 10; }) == "");
}

TEST_CASE("numbers of norm, RoPE and the output head") {
  for (double value : {0.0, -1.0, not_a_number, infinite}) {
    CAPTURE(value);
    CHECK(config_refusal([&](Config& c) { c.norm_epsilon = value; }).find("norm_epsilon is ") == 0);
    CHECK(config_refusal([&](Config& c) { c.rope_theta = value; }).find("rope_theta is ") == 0);
    CHECK(config_refusal(valid("mha", Architecture::gpt2), [&](Config& c) { c.rope_theta = value; }) == "");  // gpt2 has none
  }
  CHECK(config_refusal([](Config& c) { c.norm_epsilon = -1; }) == "norm_epsilon is -1: must be positive");
  CHECK(config_refusal([](Config& c) { c.rope_theta = 0; }) == "rope_theta is 0: must be positive");
  CHECK(config_refusal([](Config& c) { c.tie_word_embeddings = false; }) == "");
  CHECK(config_refusal(valid("mha", Architecture::gpt2), [](Config& c) { c.tie_word_embeddings = false; }) ==
        "tie_word_embeddings is false: a gpt2 model's output head is tied");
}

TEST_CASE("a variant's own rules on heads and layers") {
  CHECK(config_refusal([](Config& c) {
          c.attention.variant = "skipv9";
        }).find("attention variant \"skipv9\" is unknown; known are mha, ") == 0);
  CHECK(config_refusal([](Config& c) { c.num_key_value_heads = 2; }) ==
        "variant mha: num_key_value_heads 2 must equal num_attention_heads 4 (fewer is gqa)");
  CHECK(config_refusal(valid("mqa"), [](Config& c) { c.num_key_value_heads = 2; }) ==
        "variant mqa: num_key_value_heads is 2: must be 1");
  for (const char* variant : {"yoco", "yoco_v", "skipv1_yoco"})
    CHECK(config_refusal(valid(variant), [](Config& c) { c.num_hidden_layers = 5; }) ==
          "variant " + std::string(variant) + ": num_hidden_layers 5 is odd: must be even");
}

TEST_CASE("skip ratio, source layer and value mix") {
  for (double ratio : {-0.01, 1.01, not_a_number})
    CHECK(config_refusal(valid("skipv1"), [&](Config& c) { c.attention.skip_ratio = ratio; }).find("skip_ratio is ") == 0);
  CHECK(config_refusal(valid("skipv1"), [](Config& c) { c.attention.skip_ratio = 1.5; }) == "skip_ratio is 1.5: must be 0 to 1");
  CHECK(config_refusal(valid("resformer"), [](Config& c) { c.attention.value_mix = not_a_number; }) ==
        "value_mix is nan: must be finite");
  CHECK(config_refusal(valid("skipv1"), [](Config& c) { c.attention.source_layer = 4; }) ==
        "source_layer 4: there are only 4 layers");
  for (const Variant& variant : variants())
    if (variant.name != "skipv1")
      CHECK(config_refusal(valid(variant.name.c_str()), [](Config& c) { c.attention.source_layer = 1; }) ==
            "source_layer 1 with variant " + variant.name + ": only skipv1 has one");
}

TEST_CASE("injections") {
  for (Injection injection : {Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer}) {
    const auto inject = [&](Config& c) { c.attention.injection = injection; };
    const std::string name = std::string("injection ") + to_string(injection),
                      line =
                          name + ": only skipv1 with num_key_value_heads equal to num_attention_heads and source_layer 0 has it";
    CHECK(config_refusal(valid("skipv1"), inject) == "");
    for (const char* variant : {"mha", "skipv0", "skipkv1", "skipv1_yoco", "skipv1_mla", "resformer"})
      CHECK(config_refusal(valid(variant), inject) == name + " with variant " + variant + ": only skipv1 has one");
    Config grouped = valid("skipv1"), later = valid("skipv1");
    grouped.num_key_value_heads = 2;
    later.attention.source_layer = 1;
    CHECK(config_refusal(grouped, inject) == line);
    CHECK(config_refusal(later, inject) == line);
  }
  CHECK(config_refusal(valid("skipv1"), [](Config& c) {
          c.attention.injection = Injection::pooling, c.attention.skip_ratio = 0.25;
        }) == "injection pooling with skip_ratio 0.25: must be 0.5");
  CHECK(config_refusal(valid("skipv1"), [](Config& c) { c.attention.learn_value_mix = true; }) ==
        "learn_value_mix with variant skipv1: only resformer learns it");
}

TEST_CASE("mla's own rules") {
  for (const char* variant : {"mla", "skipv1_mla"}) {
    const std::string name = variant;
    CHECK(config_refusal(valid(variant), [](Config& c) { c.architecture = Architecture::gpt2; }) ==
          "variant " + name + " with architecture gpt2: only llama has it");
    CHECK(config_refusal(valid(variant), [](Config& c) { c.num_key_value_heads = 2; }) ==
          "variant " + name + ": num_key_value_heads 2 must equal num_attention_heads 4");
    CHECK(config_refusal(valid(variant), [](Config& c) { c.attention.kv_latent_size = 0; }) ==
          "kv_latent_size is 0: must be 1 to 1048576");
    for (std::size_t size : {0u, 1u, 3u})
      CHECK(config_refusal(valid(variant), [&](Config& c) { c.attention.rotary_size = size; }) ==
            "rotary_size is " + std::to_string(size) + ": must be even and at least 2");
    CHECK(config_refusal(valid(variant), [](Config& c) { c.hidden_size = 60; }) == "");  // only the rotary part need be even
  }
  CHECK(config_refusal(valid("mla"), [](Config& c) { c.attention.kv_latent_size = 7; }) == "");
  CHECK(config_refusal(valid("skipv1_mla"), [](Config& c) { c.attention.kv_latent_size = 7; }) ==
        "kv_latent_size 7 is not a multiple of 2: variant skipv1_mla routes so many parts of it");
}

TEST_CASE("every allowed combination is accepted and has a table") {
  std::size_t accepted = 0;
  for (const Variant& variant : variants()) {
    for (Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
      if (variant.latent.count && architecture == Architecture::gpt2) continue;
      for (std::size_t kv_heads : {1u, 2u, 4u}) {
        if (kv_heads != 4 && (variant.name == "mha" || variant.latent.count)) continue;
        if (kv_heads != 1 && variant.name == "mqa") continue;
        for (std::size_t layers : {2u, 3u, 4u}) {
          if (variant.even_layers && layers == 3) continue;
          Config c = valid(variant.name.c_str(), architecture);
          c.num_key_value_heads = kv_heads, c.num_hidden_layers = layers;
          c.attention.learn_value_mix = variant.fields.learn_value_mix;
          c.attention.source_layer = variant.name == "skipv1" ? layers - 1 : 0;
          for (double ratio : {0.0, 0.25, 0.5, 1.0}) {
            c.attention.skip_ratio = ratio;
            CAPTURE(variant.name, kv_heads, layers, ratio);
            CHECK(message([&] { validate(c); }) == "");
            const Routing table = make_routing(c);
            CHECK(table.layers == layers);
            CHECK(table.owned_keys[0] > 0);
            ++accepted;
          }
        }
      }
    }
  }
  CHECK(accepted > 500);
}

TEST_CASE("a registered variant that fills a table of another size is refused") {
  register_variant({.name = "config_test_short", .summary = "one layer too few", .route = [](const RoutingShape& s) {
                      RoutingShape shorter = s;
                      --shorter.layers;
                      return routing::own_layer(shorter);
                    }});
  register_variant(
      {.name = "config_test_mix",
       .summary = "mixes more values than layer 0 has",
       .route =
           [](const RoutingShape& s) {
             return routing::own_keys(s, [](std::size_t l, std::size_t g) { return l == 0 ? HeadName{0, 0} : HeadName{l, g}; });
           },
       .mixing = routing::mixes_values});
  CHECK(message([] { make_routing(valid("config_test_short")); }) ==
        "variant config_test_short fills a table of 3 layers and 4 heads instead of 4 and 4");
  CHECK(message([] { make_routing(valid("config_test_mix")); }) ==
        "variant config_test_mix: layer 1 mixes 4 values with layer 0's 1");
  variants().pop_back();
  variants().pop_back();
}

TEST_CASE("what a configuration says about itself") {
  Config c = valid();
  c.hidden_size = 48;
  CHECK(c.head_width() == 12);
  CHECK(c.query_width() == 12);
  CHECK_FALSE(c.gpt2());
  CHECK_FALSE(c.latent());
  CHECK_FALSE(c.mixing().values);
  CHECK(&c.variant() == &find_variant("mha"));
  CHECK(valid("mla").query_width() == 16 + 4);
  CHECK(valid("mla").latent());
  CHECK(valid("resformer").mixing().values);
  Config injected = valid("skipv1");
  injected.attention.injection = Injection::resformer;
  CHECK(injected.mixing().values);
  CHECK(c == c);
  CHECK_FALSE(c == injected);
  CHECK(make_routing(c).key_width == 12);
}

TEST_CASE("names of architectures and injections") {
  CHECK(std::string(to_string(Architecture::gpt2)) == "gpt2");
  CHECK(std::string(to_string(Architecture::llama)) == "llama");
  for (const char* name : {"second_half", "pooling", "dynamic", "odd_even", "resformer"})
    CHECK(to_string(parse_injection(name)) == std::string(name));
  CHECK(message([] { parse_injection("first_half"); }) ==
        "injection \"first_half\" is unknown; known are second_half, pooling, dynamic, odd_even, resformer");
}
