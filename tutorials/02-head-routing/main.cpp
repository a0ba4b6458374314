// Tutorial 02: every variant as its routing table; then one of our own, which half_cla.cpp registers before main begins.
#include <cstdio>
#include <filesystem>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/plot/routing.hpp"

using namespace skipv1;

namespace {

Config shape_of(const Variant& variant) {
  Config c;
  c.vocab_size = 50, c.hidden_size = 32, c.intermediate_size = 48, c.num_hidden_layers = 4, c.num_attention_heads = 4;
  c.num_key_value_heads = variant.name == "mqa" ? 1 : variant.name == "gqa" ? 2 : 4;
  c.max_position_embeddings = 32;
  c.attention.variant = variant.name;
  c.attention.kv_latent_size = 16, c.attention.rotary_size = 4;
  return c;
}

void print_table(const Variant& variant) {
  const Routing table = make_routing(shape_of(variant));
  std::printf("%s: %s\n", variant.name.c_str(), variant.summary.c_str());
  std::printf("%s", plot::to_text(table).c_str());
  std::printf("  cache: %zu elements per token\n\n", cache_elements_per_token(table));
}

/// Logits of one pass and of token-by-token decoding, largest difference.
double decode_difference(const Config& config) {
  Parameters<double> parameters(config);
  initialize(parameters, config, 1);
  const Decoder<double> decoder(config, parameters);
  Cache<double> cache(decoder.routing(), 1, 8);
  Activations<double> at_once, one_by_one;
  const std::vector<std::int32_t> tokens{3, 1, 4, 1, 5, 9, 2, 6};
  const View<double> full = decoder.forward({tokens, {8}}, cache, at_once);
  cache.reset();
  double worst = 0;
  for (std::size_t t = 0; t < 8; ++t) {
    const View<double> logits = decoder.forward({{tokens[t]}, {1}}, cache, one_by_one);
    for (std::size_t v = 0; v < config.vocab_size; ++v) worst = std::max(worst, std::abs(logits(0u, v) - full(t, v)));
  }
  return worst;
}

void tutorial(const std::string& figures) {
  if (!figures.empty()) require_writable_folder(figures);
  for (const Variant& variant : variants()) {
    print_table(variant);
    if (figures.empty()) continue;
    std::filesystem::create_directories(figures);
    const Config c = shape_of(variant);
    const std::string name = variant.title.empty() ? variant.name : variant.title;
    plot::save_figure(figures + "/" + variant.name + ".png", plot::routing_picture(make_routing(c), name, c.mixing()));
  }
  const double difference = decode_difference(shape_of(find_variant("half_cla")));
  std::printf("half_cla, decoding against one pass: %s\n", difference < 1e-12 ? "below 1e-12" : "TOO LARGE");
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{"Every variant's routing table, and one of our own.\nExample: 02-head-routing --figures figures"};
  std::string figures;
  app.add_option("--figures", figures, "draw each table of keys and values into this folder, as PNG and SVG");
  return run_program(app, argc, argv, [&] { tutorial(figures); });
}
