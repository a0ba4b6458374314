// docs/spec defines what the code accepts: every variant, injection and conversion, every key of config.json, every tensor's
// name.
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

#include "skipv1/io/config.hpp"
#include "skipv1/model/parameters.hpp"
#include "skipv1/uptraining/convert.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

std::string spec_page(const std::string& name) {
  std::ifstream file("docs/spec/" + name + ".md");
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

bool defines(const std::string& text, const std::string& name) { return text.find("`" + name + "`") != std::string::npos; }

/// A small valid configuration of each built-in variant, for both architectures where it has both.
std::vector<Config> one_of_each_variant() {
  std::vector<Config> all;
  for (const Variant& variant : variants()) {
    if (variant.name.find("test") != std::string::npos) continue;
    for (const Architecture architecture : {Architecture::llama, Architecture::gpt2}) {
      if (variant.latent.count && architecture == Architecture::gpt2) continue;
      Config c;
      c.architecture = architecture;
      c.attention.variant = variant.name;
      if (variant.name == "mqa") c.num_key_value_heads = 1;
      if (variant.latent.count) c.attention.kv_latent_size = 8, c.attention.rotary_size = 4;
      if (variant.fields.learn_value_mix) c.attention.learn_value_mix = true;
      c.tie_word_embeddings = c.gpt2();
      all.push_back(c);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("docs/spec/models.md defines every variant, injection and conversion") {
  const std::string models = spec_page("models");
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    if (variant.name.find("test") == std::string::npos) CHECK(defines(models, variant.name));  // other tests register some
  }
  for (const Injection injection :
       {Injection::second_half, Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer})
    CHECK(defines(models, to_string(injection)));
  for (const Strategy strategy : strategies) CHECK(defines(models, to_string(strategy)));
  CHECK_FALSE(defines(models, "no_such_variant"));
}

TEST_CASE("docs/spec/formats.md defines every key and tensor that is written") {
  const std::string formats = spec_page("formats");
  for (const Config& c : one_of_each_variant()) {
    const std::string text = config_text(c);
    const std::regex key("\"([a-z_]+)\":");
    for (std::sregex_iterator i(text.begin(), text.end(), key), end; i != end; ++i) {
      CAPTURE(i->str());
      CHECK(defines(formats, (*i)[1]));
    }
    const ParameterLayout layout(c);
    for (const ParameterLayout::Entry& entry : layout.entries()) {
      CAPTURE(entry.name);
      std::string name = std::regex_replace(entry.name, std::regex("layers\\.[0-9]+\\."), "layers.{l}.");
      name = std::regex_replace(name, std::regex("depth_weights\\.[0-9]+"), "depth_weights.{i}");
      // A bias shares its weight's row, and v_up_proj that of k_up_proj.
      name = std::regex_replace(name, std::regex("\\.bias$"), ".weight");
      name = std::regex_replace(name, std::regex("v_up_proj"), "k_up_proj");
      CHECK(defines(formats, name));
    }
  }
}
