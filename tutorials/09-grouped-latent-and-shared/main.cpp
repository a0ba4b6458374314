// Tutorial 09: three more ways to a smaller cache, grouped heads, a latent and sharing between layers, and SkipV1 on top of each.
#include <cstdio>
#include <filesystem>

#include "skipv1/io/cli.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/plot/routing.hpp"
#include "skipv1/plot/rows.hpp"

using namespace skipv1;

namespace {

struct Model {
  const char* variant;
  bool grouped;
};
/// Each way by itself, then with SkipV1.
constexpr Model models[] = {{"mha", false},  {"skipv1", false},      {"gqa", true},  {"skipv1", true},
                            {"yoco", false}, {"skipv1_yoco", false}, {"mla", false}, {"skipv1_mla", false}};

std::string name_of(const Model& m) {
  const std::string variant = m.variant;
  return variant + (m.grouped && variant != "gqa" ? ", grouped" : "");
}

Config config_of(const Model& m, std::size_t layers, std::size_t heads, std::size_t width) {
  Config c;
  c.vocab_size = 64, c.hidden_size = width, c.intermediate_size = 2 * width, c.num_hidden_layers = layers;
  c.num_attention_heads = heads, c.num_key_value_heads = m.grouped ? heads / 2 : heads;
  c.max_position_embeddings = 64;
  c.attention.variant = m.variant;
  c.attention.kv_latent_size = width / 4, c.attention.rotary_size = width / heads / 2;
  validate(c);
  return c;
}

/// Largest difference between the logits of one pass and of decoding token by token.
double decode_difference(const Config& config) {
  Parameters<double> parameters(config);
  initialize(parameters, config, 1);
  const Decoder<double> decoder(config, parameters);
  const std::vector<std::int32_t> tokens{3, 1, 4, 1, 5, 9, 2, 6};
  Cache<double> cache(decoder.routing(), 1, tokens.size());
  Activations<double> at_once, one_by_one;
  const View<double> full = decoder.forward({tokens, {tokens.size()}}, cache, at_once);
  cache.reset();
  double worst = 0;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const View<double> logits = decoder.forward({{tokens[t]}, {1}}, cache, one_by_one);
    for (std::size_t v = 0; v < config.vocab_size; ++v) worst = std::max(worst, std::abs(logits(0u, v) - full(t, v)));
  }
  return worst;
}

void print_table(const Model& m) {
  const Routing table = make_routing(config_of(m, 4, 4, 32));
  std::printf("%s\n", name_of(m).c_str());
  std::printf("%s", plot::to_text(table).c_str());
}

void tutorial(const std::string& figures) {
  if (!figures.empty()) require_writable_folder(figures);
  for (const Model& m : models) print_table(m);

  std::printf("\nGPT2-355M's shape: 24 layers, 16 heads, width 1024; latent 256, rotary key 32\n");
  std::printf("%-18s %18s %10s\n", "", "elements per token", "of MHA");
  double all = 0;
  plot::RowChart chart{"Key/value cache of one sequence of 32,768 tokens in bfloat16, GPT2-355M's shape", "GiB", {}, {{"", {}}}};
  for (const Model& m : models) {
    const Config c = config_of(m, 24, 16, 1024);
    const std::size_t elements = Cache<float>(make_routing(c), 1, 1).elements_per_token();  // counted in the memory itself
    if (all == 0) all = static_cast<double>(elements);
    std::printf("%-18s %18zu %8.2f %%\n", name_of(m).c_str(), elements, 100 * static_cast<double>(elements) / all);
    const double gib = 32768.0 * 2 * static_cast<double>(elements) / (1 << 30);
    char text[16];
    std::snprintf(text, sizeof text, "%.2f", gib);
    chart.rows.push_back(title_of(m.variant) + (m.grouped && std::string(m.variant) != "gqa" ? ", grouped" : ""));
    chart.values[0].values.push_back(gib), chart.values[0].texts.push_back(text);
  }

  double worst = 0;
  for (const Model& m : models) worst = std::max(worst, decode_difference(config_of(m, 4, 4, 32)));
  std::printf("\ndecoding against one pass, all eight: %s\n", worst < 1e-12 ? "below 1e-12" : "TOO LARGE");
  if (figures.empty()) return;
  std::filesystem::create_directories(figures);
  plot::save_figure(figures + "/cache.png", chart);
  for (const Model& m : {models[3], models[5], models[7]})
    plot::save_figure(
        figures + "/" + m.variant + (m.grouped ? "_grouped" : "") + ".png",
        plot::routing_picture(make_routing(config_of(m, 4, 4, 32)), title_of(m.variant) + (m.grouped ? ", grouped" : "")));
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "SkipV1 on top of grouped heads, of a latent, and of sharing between layers: tables and caches.\n"
      "Example: 09-grouped-latent-and-shared --figures figures"};
  std::string figures;
  app.add_option("--figures", figures, "draw the caches and the tables into this folder");
  return run_program(app, argc, argv, [&] { tutorial(figures); });
}
