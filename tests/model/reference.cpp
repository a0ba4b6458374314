// The decoder of every variant held to the naive reference, however the tokens come, and the cache to its formula.
#include <functional>

#include "tests/model/reference.hpp"

#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/model/configurations.hpp"

using namespace skipv1;

namespace {

/// How many new tokens sequence b gets in a step.
using Counts = std::function<std::size_t(std::size_t step, std::size_t b)>;

/// The reference's logits (B, T, V).
std::vector<double> reference_logits(const Sample& sample) {
  constexpr std::size_t batch = Sample::batch, length = Sample::length;
  std::vector<double> logits;
  for (std::size_t b = 0; b < batch; ++b) {
    std::vector<reference::Layer> layers;
    const auto begin = sample.tokens.begin() + static_cast<std::ptrdiff_t>(b * length);
    for (const auto& row : reference::Model(sample.config, sample.weights).forward({begin, begin + length}, layers))
      logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

/// The decoder's logits (B, T, V) where step i gives sequence b its next `counts(i, b)` tokens, as many as are left.
std::vector<double> decode(const Decoder<double>& decoder, const Sample& sample, const Counts& counts) {
  constexpr std::size_t batch = Sample::batch, length = Sample::length;
  const std::size_t vocab = sample.config.vocab_size;
  std::vector<double> logits(batch * length * vocab);
  Cache<double> cache(decoder.routing(), batch, length);
  Activations<double> a;
  for (std::size_t step = 0; cache.lengths() != std::vector<std::size_t>(batch, length); ++step) {
    Batch next;
    std::vector<std::size_t> at;
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t done = cache.lengths()[b];
      next.counts.push_back(std::min<std::size_t>(counts(step, b), length - done));
      for (std::size_t i = 0; i < next.counts[b]; ++i) at.push_back(b * length + done + i);
    }
    for (std::size_t place : at) next.tokens.push_back(sample.tokens[place]);
    const View<double> rows = decoder.forward(next, cache, a);
    for (std::size_t n = 0; n < at.size(); ++n) std::copy_n(&rows(n, 0u), vocab, &logits[at[n] * vocab]);
  }
  return logits;
}

/// `max|a - b| / max|b|`; infinite where `actual` is not finite.
double error(const std::vector<double>& actual, const std::vector<double>& expected) {
  double most = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!std::isfinite(actual[i])) return INFINITY;
    most = std::max(most, std::abs(actual[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return most / largest;
}

/// Elements per token by the formulas of docs/spec/models.md, eq. (7), variant by variant.
std::size_t cached_elements(const Config& c) {
  const std::string& v = c.attention.variant;
  const std::size_t L = c.num_hidden_layers, H = c.num_key_value_heads, d = c.head_width(), half = L / 2;
  const auto skip = static_cast<std::size_t>(std::ceil(c.attention.skip_ratio * static_cast<double>(H) - 0.5));
  const std::size_t skipped_values = (L - 1 - c.attention.source_layer) * skip;
  if (v == "svformer") return (L * H + H) * d;
  if (v == "yoco_v") return (L * H + half * H) * d;
  if (v == "yoco") return 2 * half * H * d;
  if (v == "cla_v") return (L * H + (L + 1) / 2 * H) * d;
  if (v == "cla") return 2 * ((L + 1) / 2) * H * d;
  if (v == "skipkv1") return 2 * (L * H - skipped_values) * d;
  if (v == "skipv1_yoco") return (half * H + L * H - skipped_values) * d;
  if (v == "mla") return L * (c.attention.kv_latent_size + c.attention.rotary_size);
  if (v == "skipv1_mla")
    return L * (c.attention.kv_latent_size + c.attention.rotary_size) - (L - 1) * c.attention.kv_latent_size / 2;
  return (2 * L * H - (v.starts_with("skip") ? skipped_values : 0)) * d;
}

void check_forward(const Config& config) {
  INFO(title(config));
  const Sample sample(config);
  const Decoder<double> decoder(config, sample.weights);
  const std::vector<double> expected = reference_logits(sample);
  CHECK(error(decode(decoder, sample, [](auto, auto) { return 7u; }), expected) < 1e-12);
  CHECK(error(decode(decoder, sample, [](auto, auto) { return 1u; }), expected) < 1e-12);
  CHECK(error(decode(decoder, sample, [](auto step, auto) { return step == 0 ? 3u : 1u; }), expected) < 1e-12);
  CHECK(error(decode(decoder, sample, [](auto step, auto) { return 1 + step * 2 % 3; }), expected) < 1e-12);
  CHECK(error(decode(decoder, sample, [](auto step, auto b) { return step < b ? 0 : 1 + (step + b) % 2; }), expected) < 1e-12);
  CHECK(Cache<double>(decoder.routing(), 2, 5).elements_per_token() == cached_elements(config));
}

}  // namespace

TEST_CASE("gpt2 decoders equal the naive reference") {
  for (const Config& config : configurations(Architecture::gpt2)) check_forward(config);
}
TEST_CASE("llama decoders with widths, biases, norms and frequencies of their own equal the naive reference") {
  for (const Config& config : featured_configurations()) check_forward(config);
}
TEST_CASE("llama decoders equal the naive reference") {
  for (const Config& config : configurations(Architecture::llama)) check_forward(config);
}
