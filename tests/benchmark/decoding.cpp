// Decoding one sequence beside its ceiling, the rate at which the same threads read the same weights, and the time to a prompt's
// first token, in one run.
#include <cstdio>
#include <set>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/model/generate.hpp"
#include "tests/benchmark/seconds.hpp"

using namespace skipv1;
using benchmark::seconds;

namespace {

/// The time that the share `at` of the times stays below.
double quantile(std::vector<double> x, double at) {
  std::sort(x.begin(), x.end());
  return x[static_cast<std::size_t>(at * static_cast<double>(x.size() - 1) + 0.5)];
}

struct Options {
  std::vector<std::string> variants{"mha", "skipv1"};
  std::vector<std::size_t> contexts{128, 2048}, prompts{128, 512};
  std::size_t layers = 12, repeats = 31;
  std::string json;
};

Config config_of(const std::string& variant, std::size_t width, std::size_t layers, std::size_t vocab, std::size_t longest) {
  Config c;
  c.hidden_size = width, c.intermediate_size = width * 11 / 4, c.num_hidden_layers = layers;
  c.num_attention_heads = c.num_key_value_heads = width / 64;
  c.vocab_size = vocab, c.max_position_embeddings = longest;
  c.attention.variant = variant;
  return c;
}

/// Some random numbers over and over: as much to read as any weights, and sooner there.
template <class T>
void fill(View<T> x, double scale, std::uint64_t seed) {
  Random random(seed);
  const std::size_t some = std::min<std::size_t>(x.size(), 1 << 20);
  for (std::size_t i = 0; i < some; ++i) x.data()[i] = static_cast<T>(scale * random.normal());
  for (std::size_t i = some; i < x.size(); i += some) std::copy_n(x.data(), std::min(some, x.size() - i), x.data() + i);
}

/// A model, and a sequence whose keys and values are random numbers too.
struct Model {
  Model(const Config& c, std::size_t longest)
      : config(c), parameters(c), decoder(c, parameters), cache(decoder.routing(), 1, longest) {
    fill(parameters.flat(), 0.02, 1);
    const View<float> norm = parameters["model.norm.weight"];
    std::fill_n(norm.data(), norm.size(), 8.0f);  // logits spread by 5, as a trained model's: choosing goes by the likeliest
    for (std::size_t l = 0; l < c.num_hidden_layers; ++l) fill(cache.keys(l), 1, 2), fill(cache.values(l), 1, 3);
  }
  /// Bytes that a token behind `context` others reads: weights, and of each layer every head that a query head of it reads.
  double bytes(std::size_t context) const {
    const Routing& table = decoder.routing();
    std::size_t row = 0;
    for (std::size_t l = 0; l < table.layers; ++l) {
      std::set<std::pair<std::size_t, std::size_t>> keys, values;
      for (std::size_t h = 0; h < table.heads; ++h) {
        keys.emplace(table.key(l, h).layer, table.key(l, h).head);
        values.emplace(table.value(l, h).layer, table.value(l, h).head);
      }
      row += keys.size() * table.key_width + values.size() * table.value_width;
    }
    return static_cast<double>(sizeof(float) * (parameters.layout().count() + row * (context + 1)));
  }

  Config config;
  Parameters<float> parameters;
  Decoder<float> decoder;
  Cache<float> cache;
};

/// GB/s at which all threads read x, as the product of its halves does.
double reading(View<const float> x) {
  const std::size_t half = x.size() / 2, grain = 1 << 18;
  std::vector<float> sums((half + grain - 1) / grain);
  const double time = seconds([&] {
    parallel_ranges(half, grain, [&](std::size_t begin, std::size_t end) {
      dot_rows(end - begin, x.data() + begin, x.data() + half + begin, 0, 1, &sums[begin / grain]);
    });
  });
  require(std::isfinite(sums[0]), "the weights' sum is not finite");
  return 1e-9 * static_cast<double>(8 * half) / time;
}

/// The largest difference, over the largest logit, of a small model's logits, token by token from the cache in float, from the
/// whole pass in double.
double error_of(const std::string& variant) {
  const std::size_t length = 150;
  const Config c = config_of(variant, 128, 3, 100, length);
  const Parameters<double> truth(c);
  const Parameters<float> parameters(c);
  initialize(truth, c, 4);
  std::copy_n(truth.flat().data(), truth.flat().size(), parameters.flat().data());
  const Decoder<double> exact(c, truth);
  const Decoder<float> decoder(c, parameters);
  Batch batch{{}, {length}};
  Random random(5);
  for (std::size_t t = 0; t < length; ++t) batch.tokens.push_back(static_cast<std::int32_t>(random.below(c.vocab_size)));
  Cache<double> exact_cache(exact.routing(), 1, length);
  Activations<double> activations;
  const View<double> expected = exact.forward(batch, exact_cache, activations);
  Cache<float> cache(decoder.routing(), 1, length);
  DecodingStep<float, Cpu> step(decoder, cache);
  double error = 0, largest = 0;
  for (std::size_t t = 0; t < length; ++t) {
    const View<float> logits = step({batch.tokens[t]});
    for (std::size_t v = 0; v < c.vocab_size; ++v) {
      error = std::max(error, std::abs(static_cast<double>(logits(0u, v)) - expected(t, v)));
      largest = std::max(largest, std::abs(expected(t, v)));
    }
  }
  require(error < 1e-4 * largest, variant, ": logits differ from float64's by ", error / largest, ": must be below 1e-4");
  return error / largest;
}

/// Times of one variant behind one context.
struct Line {
  std::size_t model, context;
  std::vector<double> token, choosing, share;  ///< seconds per token, those of choosing it, share of the ceiling
};

/// Seconds to the logits behind a prompt of each length.
void measure_prompts(const Options& o, const std::vector<std::unique_ptr<Model>>& models, Json& json) {
  Random random(7);
  for (std::size_t length : o.prompts) {
    Batch prompt{{}, {length}};
    for (std::size_t t = 0; t < length; ++t) prompt.tokens.push_back(static_cast<std::int32_t>(random.below(32000)));
    std::vector<Activations<float>> activations(models.size());
    std::vector<std::vector<double>> times(models.size());
    for (std::size_t i = 0; i <= (o.repeats + 3) / 4; ++i)
      for (std::size_t m = 0; m < models.size(); ++m) {
        Model& model = *models[m];
        model.cache.reset();
        const double time =
            seconds([&] { model.decoder.forward(prompt, model.cache, activations[m], Keep::nothing, Logits::last); });
        if (i > 0) times[m].push_back(time);  // the first allocates
      }
    for (std::size_t m = 0; m < models.size(); ++m) {
      const double time = quantile(times[m], 0.5);
      std::printf("%-8s prompt of %4zu: %.1f ms (%.1f to %.1f), %.0f tokens/s, median of %zu\n", o.variants[m].c_str(), length,
                  1e3 * time, 1e3 * quantile(times[m], 0.1), 1e3 * quantile(times[m], 0.9), static_cast<double>(length) / time,
                  times[m].size());
      json["prompts"].push_back({{"variant", o.variants[m]}, {"length", length}, {"seconds", times[m]}});
    }
  }
}

void measure(const Options& o) {
  JsonOutput output(o.json, {"threads", "reading_gb_s", "lines"});
  std::size_t longest = *std::max_element(o.contexts.begin(), o.contexts.end()) + 1;
  for (std::size_t length : o.prompts) longest = std::max(longest, length);
  std::vector<std::unique_ptr<Model>> models;
  std::vector<Line> lines;
  for (const std::string& variant : o.variants) {
    std::printf("%s: token by token from the cache, float, against the whole pass in float64: %.1e\n", variant.c_str(),
                error_of(variant));
    for (std::size_t context : o.contexts) lines.push_back({models.size(), context, {}, {}, {}});
    models.push_back(std::make_unique<Model>(config_of(variant, 1024, o.layers, 32000, longest), longest));
  }
  std::vector<std::unique_ptr<DecodingStep<float, Cpu>>> steps;
  for (const auto& m : models) steps.push_back(std::make_unique<DecodingStep<float, Cpu>>(m->decoder, m->cache));
  Random random(6);
  std::vector<double> ceilings;
  for (std::size_t i = 0; i <= o.repeats; ++i) {  // in turn, since a machine's speed may change while this runs
    for (Line& line : lines) {
      Model& m = *models[line.model];
      m.cache.reset();
      m.cache.grow({line.context});
      const double ceiling = reading(m.parameters.flat());
      View<float> logits;
      const double stepping = seconds([&] { logits = (*steps[line.model])({static_cast<std::int32_t>(i)}); });
      const double choosing = seconds([&] { sample<float>(logits.reshape({logits.width()}), {0.8, 0, 0.95}, random); });
      if (i == 0) continue;  // allocates
      ceilings.push_back(ceiling);
      line.token.push_back(stepping + choosing), line.choosing.push_back(choosing);
      line.share.push_back(1e-9 * m.bytes(line.context) / line.token.back() / ceiling);
    }
  }
  std::printf("llama, d 1024, %zu layers, FFN 2816, vocabulary 32000, %d thread%s, float, median of %zu (10 to 90 %%)\n",
              o.layers, threads(), threads() == 1 ? "" : "s", o.repeats);
  std::printf("reading the weights: %.1f GB/s (%.1f to %.1f)\n", quantile(ceilings, 0.5), quantile(ceilings, 0.1),
              quantile(ceilings, 0.9));
  Json json{{"threads", threads()}, {"layers", o.layers}, {"repeats", o.repeats}, {"reading_gb_s", quantile(ceilings, 0.5)}};
  for (const Line& line : lines) {
    const std::string& variant = o.variants[line.model];
    const double bytes = models[line.model]->bytes(line.context), time = quantile(line.token, 0.5);
    std::printf(
        "%-8s context %5zu: %6.1f tokens/s (%.1f to %.1f), "
        "%.0f MB per token, %.1f GB/s, %.0f %% of reading (%.0f to %.0f); "
        "choosing the token %.2f ms of %.1f\n",
        variant.c_str(), line.context, 1 / time, 1 / quantile(line.token, 0.9), 1 / quantile(line.token, 0.1), 1e-6 * bytes,
        1e-9 * bytes / time, 100 * quantile(line.share, 0.5), 100 * quantile(line.share, 0.1), 100 * quantile(line.share, 0.9),
        1e3 * quantile(line.choosing, 0.5), 1e3 * time);
    json["lines"].push_back({{"variant", variant},
                             {"context", line.context},
                             {"bytes", bytes},
                             {"seconds", line.token},
                             {"choosing_seconds", line.choosing},
                             {"share", line.share}});
  }
  measure_prompts(o, models, json);
  output.write(json, 1);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Decoding one sequence beside the rate of reading its weights, and the time to a prompt's first token.\n"
      "Example: skipv1-benchmark-decoding --variants mha skipv1 --contexts 128 2048 --json decoding.json"};
  Options o;
  app.add_option("--variants", o.variants, "attention variants")->capture_default_str();
  app.add_option("--contexts", o.contexts, "how many tokens there are before the one timed")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--prompts", o.prompts, "lengths of the prompts whose first token is timed; a quarter of the repeats")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--layers", o.layers)->check(at_least(1))->capture_default_str();
  app.add_option("--repeats", o.repeats, "timed tokens of each line")->check(at_least(1))->capture_default_str();
  app.add_option("--json", o.json, "write the numbers into this file; -: to standard output");
  return run_program(app, argc, argv, [&] { measure(o); });
}
