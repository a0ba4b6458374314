// Models whose inputs and outputs are no tokens, and the theory's simplifications (linear attention, wide heads, no norms).
#include "skipv1/io/config.hpp"
#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/model/configurations.hpp"

using namespace skipv1;

namespace {

struct Run {
  explicit Run(const Config& config)
      : sample(config),
        decoder(config, sample.weights),
        cache(decoder.routing(), Sample::batch, Sample::length),
        scratch(cache),
        inputs({Sample::batch * Sample::length, config.hidden_size}),
        direction(inputs.shape()) {
    Random random(3);
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs.data()[i] = random.normal();
    for (std::size_t i = 0; i < inputs.size(); ++i) direction.data()[i] = random.normal();
  }
  View<double> forward(Keep keep = Keep::nothing) {
    cache.reset();
    return decoder.forward_rows(inputs, counts, cache, keep == Keep::nothing ? once : kept, keep);
  }
  /// The outputs times a fixed direction.
  double objective() {
    const View<double> y = forward();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += direction.data()[i] * y.data()[i];
    return sum;
  }
  void check_derivative(double& x, double derivative) {
    const double before = x, step = 1e-5;
    x = before + step;
    const double above = objective();
    x = before - step;
    const double below = objective();
    x = before;
    CHECK(derivative == Approx((above - below) / (2 * step)).epsilon(1e-6).margin(1e-8));
  }

  Sample sample;
  Decoder<double> decoder;
  Cache<double> cache, scratch;
  Tensor<double> inputs, direction;
  const std::vector<std::size_t> counts = std::vector<std::size_t>(Sample::batch, Sample::length);
  Activations<double> kept, once;
};

/// Models of the theory: every field of `TheoryConfig` off its default, alone and together.
std::vector<Config> theory_models() {
  std::vector<Config> all;
  for (const char* variant : {"mha", "skipv1", "skipv0", "resformer"}) {
    Config c = base(Architecture::llama, variant, 3, 2, 2);
    c.theory.softmax_layers = 1;
    all.push_back(c);
    c.theory.rotary_layers = 1, c.theory.head_size = 6;
    all.push_back(c);
    c.theory.norms = false, c.hidden_size = 5;
    all.push_back(c);
    c.theory.feed_forward = false, c.theory.softmax_layers = 0;
    all.push_back(c);
    c.theory.softmax_layers = every_layer;
    all.push_back(c);
  }
  Config c = base(Architecture::gpt2, "skipv1", 2, 2, 2);
  c.theory.softmax_layers = 0, c.theory.norms = false, c.theory.head_size = 3;
  all.push_back(c);
  return all;
}

}  // namespace

TEST_CASE("rows read in as a token's embedding is are worth that token") {
  for (Architecture architecture : {Architecture::llama, Architecture::gpt2}) {
    const Config config = base(architecture, "skipv1", 3, 4, 4);
    Run run(config);
    const Batch batch{run.sample.tokens, run.counts};
    const std::size_t d = config.hidden_size, n = batch.tokens.size(), v = config.vocab_size;
    const View<double> embedding = run.sample.weights["model.embed_tokens.weight"];
    for (std::size_t i = 0; i < n; ++i)
      copy(run.inputs.slice(i, 1), embedding.slice(static_cast<std::size_t>(batch.tokens[i]), 1));
    const View<double> rows = run.forward(Keep::for_backward);
    Cache<double> cache(run.decoder.routing(), Sample::batch, Sample::length);
    Activations<double> a;
    const View<double> logits = run.decoder.forward(batch, cache, a, Keep::for_backward);
    CHECK(std::equal(rows.data(), rows.data() + rows.size(), a.normed.data()));

    run.decoder.loss(conformance::draw_targets(n, v, 4), a);  // the logits are their gradient now
    const Parameters<double> by_tokens(config), by_rows(config);
    run.decoder.backward(by_tokens, run.scratch, a);
    const Tensor<double> drows({n, d});
    const std::string head = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    linear_backward_input(drows, logits, run.sample.weights[head]);
    const View<double> dinputs = run.decoder.backward_rows(drows, by_rows, run.scratch, run.kept);
    for (const auto& entry : by_rows.layout().entries()) {
      if (entry.name == "model.embed_tokens.weight" || entry.name == head) continue;
      INFO(entry.name);
      const View<double> g = by_rows[entry.name];
      CHECK(std::equal(g.data(), g.data() + g.size(), by_tokens[entry.name].data()));
    }
    CHECK(std::equal(dinputs.data(), dinputs.data() + dinputs.size(), a.gradient.stream.data()));
  }
}

TEST_CASE("gradients of the theory's models equal finite differences") {
  set_threads(1);
  for (const Config& config : theory_models()) {
    INFO(title(config) << " softmax layers " << config.theory.softmax_layers << " norms " << config.theory.norms);
    Run run(config);
    if (!config.theory.norms)  // else three blocks of cubic layers leave the range of finite differences
      for (std::size_t i = 0; i < run.sample.weights.flat().size(); ++i) run.sample.weights.flat().data()[i] *= 0.3;
    run.forward(Keep::for_backward);
    const Parameters<double> gradients(config);
    const View<double> dinputs = run.decoder.backward_rows(run.direction, gradients, run.scratch, run.kept);
    Random random(5);
    for (const auto& entry : gradients.layout().entries()) {
      if (entry.name == "model.embed_tokens.weight" || entry.name == "lm_head.weight") continue;
      INFO(entry.name);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const std::size_t i = random.below(entry.shape.size());
        run.check_derivative(run.sample.weights[entry.name].data()[i], gradients[entry.name].data()[i]);
      }
    }
    for (int repeat = 0; repeat < 4; ++repeat) {
      const std::size_t i = random.below(dinputs.size());
      run.check_derivative(run.inputs.data()[i], dinputs.data()[i]);
    }
  }
}

TEST_CASE("a linear layer of wide heads is what its formula says") {
  Config config = base(Architecture::llama, "skipv1", 2, 2, 2);
  config.theory = {5, 0, 0, false, false};
  config.hidden_size = 3;
  Run run(config);
  const View<double> y = run.forward();
  const std::size_t d = 3, width = 5, n = Sample::length;
  const auto weight = [&](std::size_t l, const char* name) {
    return run.sample.weights["model.layers." + std::to_string(l) + ".self_attn." + name + "_proj.weight"];
  };
  for (std::size_t b = 0; b < Sample::batch; ++b) {
    xt::xarray<double> x = xt::zeros<double>({n, d}), first = xt::zeros<double>({n, d});  // the stream, and the first layer's
    for (std::size_t i = 0; i < n * d; ++i) first.data()[i] = x.data()[i] = run.inputs.data()[b * n * d + i];
    for (std::size_t l = 0; l < 2; ++l) {
      xt::xarray<double> next = x;
      const auto project = [&](const xt::xarray<double>& from, std::size_t t, std::size_t layer, const char* name,
                               std::size_t row) {
        double sum = 0;
        for (std::size_t j = 0; j < d; ++j) sum += weight(layer, name)(row, j) * from(t, j);
        return sum;
      };
      for (std::size_t t = 0; t < n; ++t)
        for (std::size_t h = 0; h < 2; ++h)
          for (std::size_t s = 0; s <= t; ++s) {
            double dot = 0;
            for (std::size_t i = 0; i < width; ++i)
              dot += project(x, t, l, "q", h * width + i) * project(x, s, l, "k", h * width + i);
            dot /= std::sqrt(5.) * static_cast<double>(t + 1);
            const bool skipped = l == 1 && h == 1;  // its value: layer 0's head 1
            for (std::size_t i = 0; i < width; ++i) {
              const double value = skipped ? project(first, s, 0, "v", width + i) : project(x, s, l, "v", h * width + i);
              for (std::size_t o = 0; o < d; ++o) next(t, o) += weight(l, "o")(o, h * width + i) * value * dot;
            }
          }
      x = next;
    }
    for (std::size_t i = 0; i < n * d; ++i) CHECK(y.data()[b * n * d + i] == Approx(x.data()[i]).epsilon(1e-12));
  }
}

TEST_CASE("the theory's models cannot be written as config.json, and need no even heads without RoPE") {
  Config config = base(Architecture::llama, "mha", 2, 2, 2);
  config.theory.head_size = 3;
  CHECK_THROWS_WITH(validate(config), Catch::Contains("head_size is 3: RoPE needs an even head width"));
  config.theory.rotary_layers = 0;
  CHECK_NOTHROW(validate(config));
  CHECK_THROWS_WITH(write_config("no_such_folder/config.json", config), Catch::Contains("no keys for the theory's models"));
  Run run(config);
  const Tensor<double> narrow({2, 1});
  CHECK_THROWS_WITH(run.decoder.forward_rows(narrow, {1, 1}, run.cache, run.once), Catch::Contains("inputs (2, 1)"));
}
