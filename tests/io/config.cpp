#include "skipv1/io/config.hpp"

#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

const std::string good_config = R"({
  "architecture": "llama",
  "vocab_size": 300,
  "hidden_size": 32,
  "intermediate_size": 80,
  "num_hidden_layers": 4,
  "num_attention_heads": 8,
  "num_key_value_heads": 8,
  "max_position_embeddings": 128,
  "norm_epsilon": 1e-05,
  "rope_theta": 10000.0,
  "tie_word_embeddings": true,
  "attention": {
    "variant": "skipv1",
    "skip_ratio": 0.25,
    "source_layer": 0,
    "injection": "odd_even"
  }
}
)";

std::string config_error(const std::string& text) {
  return error_of([&] { parse_config(text); });
}

}  // namespace

TEST_CASE("a configuration is read and written as docs/spec/formats.md has it") {
  const Config c = parse_config(good_config);
  CHECK((c.architecture == Architecture::llama && c.vocab_size == 300 && c.hidden_size == 32 && c.intermediate_size == 80));
  CHECK(
      (c.num_hidden_layers == 4 && c.num_attention_heads == 8 && c.num_key_value_heads == 8 && c.max_position_embeddings == 128));
  CHECK((c.norm_epsilon == 1e-5 && c.rope_theta == 10000 && c.tie_word_embeddings));
  CHECK((c.attention.variant == "skipv1" && c.attention.skip_ratio == 0.25 && c.attention.injection == Injection::odd_even));
  CHECK(config_text(c) == good_config);
}

TEST_CASE("every variant's configuration comes back as it was written") {
  const Folder folder("config");
  const auto path = folder / "config.json";
  for (const Variant& variant : variants()) {
    for (const Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
      if (variant.latent.count && architecture == Architecture::gpt2) continue;
      Config c;
      c.architecture = architecture;
      c.attention.variant = variant.name;
      c.norm_epsilon = 1.0 / 3;
      c.rope_theta = 1e4 + 0.1;
      c.attention.skip_ratio = 0.1 + 0.2;
      if (variant.name == "mqa") c.num_key_value_heads = 1;
      if (variant.name == "skipv1") c.attention.source_layer = 2;
      if (variant.fields.learn_value_mix) c.attention.learn_value_mix = true;
      if (variant.latent.count) c.attention.kv_latent_size = 24, c.attention.rotary_size = 6;
      c.attention.value_mix = 0.7;
      write_config(path, c);
      INFO(config_text(c));
      CHECK(read_config(path) == c);
    }
  }
  for (const Injection injection :
       {Injection::second_half, Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer}) {
    Config c;
    c.attention.variant = "skipv1";
    c.attention.injection = injection;
    CHECK(parse_config(config_text(c)) == c);
  }
}

TEST_CASE("the features of llama come back as they were written") {
  Config c;
  c.hidden_size = 66, c.head_dim = 24;
  c.qkv_bias = c.mlp_bias = true;
  for (const RopeKind kind : {RopeKind::plain, RopeKind::linear, RopeKind::llama3, RopeKind::yarn}) {
    c.o_bias = c.qk_norm = kind == RopeKind::yarn;
    c.rope_frequencies = {.kind = kind};
    if (kind != RopeKind::plain) c.rope_frequencies.factor = 2.5;
    if (kind == RopeKind::llama3) c.rope_frequencies.low_freq_factor = 0.5, c.rope_frequencies.high_freq_factor = 2;
    if (kind == RopeKind::yarn) {
      c.rope_frequencies.beta_fast = 16, c.rope_frequencies.beta_slow = 2, c.rope_frequencies.truncate = false;
      c.rope_frequencies.attention_factor = 0.75;
    }
    if (kind == RopeKind::llama3 || kind == RopeKind::yarn) c.rope_frequencies.original_max_position_embeddings = 32;
    INFO(config_text(c));
    CHECK(parse_config(config_text(c)) == c);
  }
  const auto with = [](const std::string& items) { return edited(good_config, "\"attention\"", items + ", \"attention\""); };
  CHECK(parse_config(with("\"head_dim\": 4")) == parse_config(good_config));  // what follows from hidden_size
  CHECK(config_error(with("\"head_dim\": 0")) == "\"head_dim\": expected a positive integer, found 0");
  CHECK(config_error(with("\"qk_norm\": 1")) == "\"qk_norm\": expected true or false, found 1");
  const auto rope = [&](const std::string& items) { return with("\"rope_frequencies\": {" + items + "}"); };
  const RopeScaling yarn =
      parse_config(rope(R"("kind": "yarn", "factor": 4, "original_max_position_embeddings": 64)")).rope_frequencies;
  CHECK((yarn.attention_factor == Approx(1.1386294361119891) && yarn.beta_fast == 32 && yarn.beta_slow == 1 && yarn.truncate));
  CHECK(config_error(rope("\"kind\": \"dynamic\"")).find("rope kind \"dynamic\" is unknown") == 0);
  CHECK(config_error(rope("\"factor\": 2")) == "\"rope_frequencies.kind\" is missing");
  CHECK(config_error(rope("\"kind\": \"linear\"")) == "\"rope_frequencies.factor\" is missing");
  CHECK(config_error(rope("\"kind\": \"llama3\", \"factor\": 2")) ==
        "\"rope_frequencies.original_max_position_embeddings\" is missing");
  CHECK(config_error(rope("\"kind\": \"plain\", \"factor\": 2")).find("\"rope_frequencies.factor\" is not a key") == 0);
  CHECK(config_error(rope("\"kind\": \"linear\", \"factor\": -2")) == "rope_frequencies.factor is -2: must be positive");
}

TEST_CASE("what may be left out has its default") {
  std::string text = edited(edited(good_config, "\"llama\"", "\"gpt2\""), "  \"rope_theta\": 10000.0,\n", "");
  text = text.replace(text.find("\"skip_ratio\""), std::string::npos, "\"value_mix\": 1}}");
  const Config c = parse_config(text);
  CHECK((c.gpt2() && c.rope_theta == 10000));
  CHECK((c.attention.skip_ratio == 0.5 && c.attention.source_layer == 0 && c.attention.injection == Injection::second_half));
  CHECK(c.attention.value_mix == 1);
  CHECK(config_text(c).find("rope_theta") == std::string::npos);
}

TEST_CASE("errors name the file and the key") {
  const Folder folder("config-error");
  const auto path = folder / "config.json";
  write(path, edited(good_config, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": \"four\""));
  CHECK(error_of([&] { read_config(path); }) ==
        path.string() + ": \"num_hidden_layers\": expected a positive integer, found \"four\"");
  write(path, edited(good_config, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5")
                  .replace(good_config.find("skipv1"), 6, "yoco_v"));
  CHECK(error_of([&] { read_config(path); }).starts_with(path.string() + ": variant yoco_v: num_hidden_layers 5 is odd"));
  write(path, std::string((1 << 20) + 1, ' '));
  CHECK(error_of([&] { read_config(path); }).find("1048577 bytes") != std::string::npos);
  Config wrong;
  wrong.vocab_size = 0;
  write(path, good_config);
  CHECK_THROWS_AS(write_config(path, wrong), Error);
  CHECK(contents(path) == good_config);
}

TEST_CASE("configurations that break a rule are refused in one line that says why") {
  const auto says = [](const std::string& from, const std::string& to, const std::string& part) {
    const std::string line = config_error(edited(good_config, from, to));
    UNSCOPED_INFO(line);
    return line.find(part) != line.npos && line.find('\n') == line.npos;
  };
  REQUIRE(config_error(good_config).empty());
  for (const char* key : {"architecture", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "norm_epsilon", "rope_theta",
                          "tie_word_embeddings", "attention", "variant"}) {
    const std::string quoted = '"' + std::string(key) + '"',
                      line = config_error(edited(good_config, quoted, "\"" + std::string(key) + "s\""));
    INFO(line);
    const std::string place = '"' + std::string(key == std::string("variant") ? "attention." : "") + key;
    CHECK(line == place + "\" is missing; there is " + place + "s\"");
  }
  CHECK(config_error(edited(good_config, "\"hidden_size\"", "\"width\"")) == "\"hidden_size\" is missing");
  const std::string cut = config_error(good_config.substr(0, good_config.find("true") + 2));
  INFO(cut);
  CHECK(cut.find("invalid literal") != cut.npos);  // the whole reason, not its begin
  for (const char* value : {"\"300\"", "300.0", "3e2", "1e30", "-300", "null", "true", "[300]", "{}"})
    CHECK(says("300", value, "\"vocab_size\": expected a positive integer, found "));
  CHECK(says("300", "0", "vocab_size is 0"));
  CHECK(says("300", "2147483648", "vocab_size is 2147483648"));
  CHECK(says("300", "18446744073709551615", "vocab_size is 18446744073709551615"));
  CHECK(says("300", "18446744073709551616", "expected a positive integer, found 1.8"));
  CHECK(says("1e-05", "\"small\"", "\"norm_epsilon\": expected a number, found \"small\""));
  CHECK(says("1e-05", "-1e-05", "norm_epsilon is -1e-05"));
  CHECK(says("1e-05", "1e999", "not JSON"));
  CHECK(says("1e-05", "NaN", "not JSON"));
  CHECK(says("true", "1", "\"tie_word_embeddings\": expected true or false, found 1"));
  CHECK(says("\"llama\"", "\"bert\"", "\"architecture\": expected \"gpt2\" or \"llama\", found \"bert\""));
  CHECK(says("\"llama\"", "7", "\"architecture\": expected a string, found 7"));
  CHECK(says("\"vocab_size\"", "\"dropout\": 0, \"vocab_size\"", "\"dropout\" is not a key"));
  CHECK(says("\"skip_ratio\"", "\"ratio\": 0, \"skip_ratio\"", "\"attention.ratio\" is not a key"));
  CHECK(says("\"skip_ratio\": 0.25", "\"skip_ratio\": \"half\"", "\"attention.skip_ratio\": expected a number, found \"half\""));
  CHECK(says("\"skip_ratio\": 0.25", "\"skip_ratio\": 1.5", "skip_ratio is 1.5"));
  CHECK(says("\"source_layer\": 0", "\"source_layer\": 0.5", "\"attention.source_layer\": expected an integer"));
  CHECK(says("\"source_layer\": 0", "\"source_layer\": 4", "source_layer 4"));
  CHECK(says("odd_even", "even_odd", "\"even_odd\" is unknown"));
  CHECK(says("\"variant\": \"skipv1\"", "\"variant\": \"skipv9\"", "\"skipv9\" is unknown"));
  CHECK(says("\"vocab_size\"", "\"hidden_size\": 32, \"vocab_size\"", "\"hidden_size\" is there twice"));
  CHECK(says("\"skip_ratio\"", "\"variant\": \"mha\", \"skip_ratio\"", "\"variant\" is there twice"));
  CHECK(says("\"num_key_value_heads\": 8", "\"num_key_value_heads\": 3", "not a multiple of num_key_value_heads 3"));
  CHECK(says("300", "300,", "not JSON"));
  CHECK(config_error("").starts_with("not JSON"));
  CHECK(config_error("[1]") == "expected an object, found [1]");
  CHECK(config_error("7") == "expected an object, found 7");
  CHECK(config_error(good_config + "x").starts_with("not JSON"));
  CHECK(config_error(good_config.substr(0, good_config.find("\"attention\"")) + "\"attention\": \"skipv1\"}") ==
        "\"attention\": expected an object, found \"skipv1\"");
  CHECK(config_error(std::string(100000, '[')).size() < 200);
  CHECK(config_error('"' + std::string(100000, 'x')).size() < 200);
}
