// Gradients of whole models, every variant, against finite differences.
#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/model/configurations.hpp"

using namespace skipv1;

namespace {

void check_gradients(const Config& config) {
  INFO(title(config));
  const Sample sample(config);
  const Decoder<double> decoder(config, sample.weights);
  const std::vector<std::int32_t> targets = conformance::draw_targets(sample.tokens.size(), config.vocab_size, sample_seed);
  const Batch batch{sample.tokens, std::vector<std::size_t>(Sample::batch, Sample::length)};
  Cache<double> cache(decoder.routing(), Sample::batch, Sample::length),
      scratch(decoder.routing(), Sample::batch, Sample::length, Holds::gradients);
  Activations<double> a, b;
  const auto loss = [&](Activations<double>& memory, Keep keep) {
    cache.reset();
    decoder.forward(batch, cache, memory, keep);
    return decoder.loss(targets, memory);
  };
  loss(a, Keep::for_backward);
  const Parameters<double> gradients(config);
  for (std::size_t l = 0; l < config.num_hidden_layers; ++l)  // what stands there does not matter
    for (const View<double>& x : {scratch.keys(l), scratch.values(l)}) std::fill_n(x.data(), x.size(), std::nan(""));
  decoder.backward(gradients, scratch, a);
  Random random(sample_seed);
#ifdef SKIPV1_ONE_SCALAR  // sanitized: the passes above are what matters
  const std::size_t tensors = 8;
#else
  const std::size_t tensors = 1;
#endif
  for (std::size_t k = 0; k < sample.weights.layout().entries().size(); k += tensors) {  // of so many one
    const ParameterLayout::Entry& entry = sample.weights.layout().entries()[k];
    INFO(entry.name);
    const View<double> x = sample.weights[entry.name], g = gradients[entry.name];
    const std::size_t i = random.below(x.size());
    const double kept = x.data()[i], step = 1e-5;
    const auto at = [&](double shift) {
      x.data()[i] = kept + shift;
      return loss(b, Keep::nothing);
    };
    const double difference = (at(step) - at(-step)) / (2 * step);
    x.data()[i] = kept;
    CHECK(g.data()[i] == Approx(difference).epsilon(1e-6).margin(1e-8));
  }
}

void check_all(const std::vector<Config>& configurations) {
  const int before = threads();
  set_threads(1);  // models this small are faster alone
  for (const Config& config : configurations) check_gradients(config);
  set_threads(before);
}

}  // namespace

TEST_CASE("gradients of gpt2 models equal finite differences") { check_all(configurations(Architecture::gpt2)); }
TEST_CASE("gradients of llama models equal finite differences") { check_all(configurations(Architecture::llama)); }
TEST_CASE("gradients of llama models with widths, biases, norms and frequencies of their own equal finite differences") {
  check_all(featured_configurations());
}
