// Tutorial 01: one attention head by hand, then a whole decoder with and without its cache.
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/plot/rows.hpp"

using namespace skipv1;

namespace {

/// Attention of one head over three positions, printed step by step and computed by the library.
void attention_by_hand() {
  const double q[3][2] = {{1, 0}, {0, 1}, {1, 1}}, k[3][2] = {{1, 0}, {0, 2}, {1, 1}}, v[3][2] = {{1, 0}, {0, 1}, {2, 2}};
  const double scale = 1 / std::sqrt(2.0);
  std::printf("One head, three positions, width 2\n");
  for (int t = 0; t < 3; ++t)
    std::printf("  t = %d  q = (%g, %g)  k = (%g, %g)  v = (%g, %g)\n", t, q[t][0], q[t][1], k[t][0], k[t][1], v[t][0], v[t][1]);
  for (int t = 0; t < 3; ++t) {
    double p[3], sum = 0, o[2] = {0, 0};
    for (int s = 0; s <= t; ++s) sum += p[s] = std::exp(scale * (q[t][0] * k[s][0] + q[t][1] * k[s][1]));
    std::printf("  t = %d  p =", t);
    for (int s = 0; s <= t; ++s) {
      p[s] /= sum;
      std::printf(" %.4f", p[s]);
      for (int i = 0; i < 2; ++i) o[i] += p[s] * v[s][i];
    }
    std::printf("%*s out = (%.4f, %.4f)\n", 7 * (2 - t), "", o[0], o[1]);
  }

  Tensor<double> query({3, 1, 2}), out({3, 1, 2}), lse({3, 1});
  std::copy_n(&q[0][0], 6, query.data());
  const HeadPair<const double> reads{{&k[0][0], 6, 2},
                                     {&v[0][0], 6, 2}};  // data, elements to the next sequence, to the next position
  const std::int32_t row_begin[] = {0, 3}, past[] = {0};
  const View<const HeadPair<const double>> heads(&reads, {1});
  attention_forward(out, lse, query, heads, {{row_begin, {2}}, {past, {1}}, 3, 3}, scale);
  std::printf("  attention_forward, t = 2: (%.4f, %.4f), log of the sum %.4f\n\n", out(2u, 0u, 0u), out(2u, 0u, 1u), lse(2u, 0u));
}

Config small(const std::string& variant, std::size_t kv_heads) {
  Config c;
  c.vocab_size = 100, c.hidden_size = 64, c.intermediate_size = 172, c.num_hidden_layers = 4;
  c.num_attention_heads = 8, c.num_key_value_heads = kv_heads, c.max_position_embeddings = 64;
  c.attention.variant = variant;
  return c;
}

/// The largest difference between the logits of one pass over 24 tokens and those of 24 passes over one token each.
double decode_difference(const Config& config) {
  Parameters<double> parameters(config);
  initialize(parameters, config, 1);
  const Decoder<double> decoder(config, parameters);
  Batch all{{}, {24}};
  Random random(2);
  for (int t = 0; t < 24; ++t) all.tokens.push_back(static_cast<std::int32_t>(random.below(config.vocab_size)));

  Cache<double> cache(decoder.routing(), 1, 24);
  Activations<double> at_once, one_by_one;
  const View<double> full = decoder.forward(all, cache, at_once);
  cache.reset();
  double worst = 0;
  for (std::size_t t = 0; t < 24; ++t) {
    const View<double> logits = decoder.forward({{all.tokens[t]}, {1}}, cache, one_by_one);
    for (std::size_t v = 0; v < config.vocab_size; ++v) worst = std::max(worst, std::abs(logits(0u, v) - full(t, v)));
  }
  return worst;
}

/// GPT-2 355M's shape: what a cache of 2-byte elements takes.
void draw_cache(const std::string& file) {
  constexpr std::size_t context = 32768;
  plot::RowChart chart{
      "Key/value cache of one sequence of 32,768 tokens: GPT-2 355M's shape, 2 bytes per element", "GiB", {}, {{"", {}}}};
  const std::pair<const char*, std::size_t> shapes[] = {
      {"mha", 16}, {"skipv1", 16}, {"skipv1_yoco", 16}, {"gqa", 8}, {"skipv1", 8}};
  for (const auto& [variant, kv_heads] : shapes) {
    Config c;
    c.hidden_size = 1024, c.num_hidden_layers = 24, c.num_attention_heads = 16, c.num_key_value_heads = kv_heads,
    c.max_position_embeddings = context;
    c.attention.variant = variant;
    const double gib = 2.0 * context * static_cast<double>(cache_elements_per_token(make_routing(c))) / (1 << 30);
    char text[16];
    std::snprintf(text, sizeof text, "%.2f", gib);
    chart.rows.push_back(title_of(variant) + (kv_heads < 16 ? ", 8 key/value heads" : ""));
    chart.values[0].values.push_back(gib), chart.values[0].texts.push_back(text);
  }
  plot::save_figure(file, chart);
}

void tutorial(const std::string& figure) {
  if (!figure.empty()) plot::require_figure_name(figure), require_writable(figure);
  attention_by_hand();
  std::printf("Decoding token by token against one pass (8 heads of width 8, 4 layers, float64)\n");
  std::printf("  variant      key/value heads  cached elements per token  share of mha  difference\n");
  const double whole = static_cast<double>(cache_elements_per_token(make_routing(small("mha", 8))));
  const std::pair<const char*, std::size_t> shapes[] = {{"mha", 8},    {"gqa", 2},  {"mqa", 1},        {"skipv1", 8},
                                                        {"skipv1", 2}, {"yoco", 8}, {"skipv1_yoco", 8}};
  for (const auto& [variant, kv_heads] : shapes) {
    const Config c = small(variant, kv_heads);
    const std::size_t elements = cache_elements_per_token(make_routing(c));
    const double difference = decode_difference(c);
    std::printf("  %-12s %15zu  %25zu  %11.1f %%  %s\n", variant, kv_heads, elements, 100 * static_cast<double>(elements) / whole,
                difference < 1e-12 ? "below 1e-12" : "TOO LARGE");
  }
  if (!figure.empty()) draw_cache(figure);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{"Attention by hand, and decoding with a cache.\nExample: 01-attention-and-its-cache --figure cache.png"};
  std::string figure;
  app.add_option("--figure", figure, "draw what a cache takes into this PNG file, and into an SVG beside it");
  return run_program(app, argc, argv, [&] { tutorial(figure); });
}
