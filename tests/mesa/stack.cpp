// Stacks: blocks whose inputs and outputs are no tokens, and the theory's simplifications (linear attention, wide heads, no
// norms).
#include "skipv1/mesa/stack.hpp"
#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/model/configurations.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

struct Run {
  explicit Run(const StackConfig& config)
      : weights(stack_layout(config)),
        stack(config, weights),
        cache(stack.routing(), Sample::batch, Sample::length),
        scratch(cache),
        inputs({Sample::batch * Sample::length, config.width}),
        direction(inputs.shape()) {
    Random random(3);
    for (std::size_t i = 0; i < weights.flat().size(); ++i) weights.flat().data()[i] = 0.3 * random.normal();
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs.data()[i] = random.normal();
    for (std::size_t i = 0; i < inputs.size(); ++i) direction.data()[i] = random.normal();
  }
  View<double> forward(Keep keep = Keep::nothing) {
    cache.reset();
    return stack.forward(inputs, counts, cache, keep == Keep::nothing ? once : kept, keep);
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

  Parameters<double> weights;
  Stack<double> stack;
  Cache<double> cache, scratch;
  Tensor<double> inputs, direction;
  const std::vector<std::size_t> counts = std::vector<std::size_t>(Sample::batch, Sample::length);
  Activations<double> kept, once;
};

/// Every field of `StackConfig` off its default, alone and together.
std::vector<StackConfig> stacks() {
  std::vector<StackConfig> all;
  for (const char* variant : {"mha", "skipv1", "skipv0", "resformer"}) {
    StackConfig c{.width = 8, .layers = 3, .head_size = 4, .feed_forward = 12, .positions = 16};
    c.attention.variant = variant, c.attention.learn_value_mix = c.attention.variant == std::string("resformer");
    all.push_back(c);
    c.softmax_layers = 1;
    all.push_back(c);
    c.rotary_layers = 1, c.head_size = 6;
    all.push_back(c);
    c.norms = false, c.width = 5;
    all.push_back(c);
    c.feed_forward = 0, c.softmax_layers = 0;
    all.push_back(c);
    c.softmax_layers = every_layer, c.rotary_layers = 0, c.head_size = 3;
    all.push_back(c);
  }
  return all;
}

}  // namespace

TEST_CASE("a stack with all that a decoder has is worth its blocks: rows for tokens' embeddings, the same bits") {
  const Config config = base(Architecture::llama, "skipv1", 3, 4, 4);
  const Sample sample(config);
  const Decoder<double> decoder(config, sample.weights);
  const std::size_t d = config.hidden_size, n = sample.tokens.size();
  Run run({.width = d,
           .layers = 3,
           .heads = 4,
           .head_size = config.head_width(),
           .feed_forward = config.intermediate_size,
           .positions = config.max_position_embeddings,
           .norm_epsilon = config.norm_epsilon,
           .rope_theta = config.rope_theta,
           .attention = config.attention});
  for (const auto& entry : run.weights.layout().entries()) copy(run.weights[entry.name], sample.weights[entry.name]);
  const View<double> embedding = sample.weights["model.embed_tokens.weight"];
  for (std::size_t i = 0; i < n; ++i)
    copy(run.inputs.slice(i, 1), embedding.slice(static_cast<std::size_t>(sample.tokens[i]), 1));
  const View<double> rows = run.forward(Keep::for_backward);
  Cache<double> cache(decoder.routing(), Sample::batch, Sample::length);
  Activations<double> a;
  const View<double> logits = decoder.forward({sample.tokens, run.counts}, cache, a, Keep::for_backward);
  CHECK(std::equal(rows.data(), rows.data() + rows.size(), a.normed.data()));

  decoder.loss(conformance::draw_targets(n, config.vocab_size, 4), a);  // the logits are their gradient now
  const Parameters<double> by_tokens(config), by_rows(run.weights.layout());
  const Tensor<double> drows({n, d});
  linear_backward_input(drows, logits,
                        sample.weights[config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"]);
  decoder.backward(by_tokens, run.scratch, a);
  const View<double> dinputs = run.stack.backward(drows, by_rows, run.scratch, run.kept);
  for (const auto& entry : by_rows.layout().entries()) {
    INFO(entry.name);
    const View<double> g = by_rows[entry.name];
    CHECK(std::equal(g.data(), g.data() + g.size(), by_tokens[entry.name].data()));
  }
  CHECK(std::equal(dinputs.data(), dinputs.data() + dinputs.size(), a.gradient.stream.data()));
}

TEST_CASE("gradients of stacks equal finite differences") {
  set_threads(1);
  for (const StackConfig& config : stacks()) {
    CAPTURE(config.attention.variant, config.softmax_layers, config.rotary_layers, config.norms, config.feed_forward);
    Run run(config);
    run.forward(Keep::for_backward);
    const Parameters<double> gradients(run.weights.layout());
    const View<double> dinputs = run.stack.backward(run.direction, gradients, run.scratch, run.kept);
    Random random(5);
    for (const auto& entry : gradients.layout().entries()) {
      INFO(entry.name);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const std::size_t i = random.below(entry.shape.size());
        run.check_derivative(run.weights[entry.name].data()[i], gradients[entry.name].data()[i]);
      }
    }
    for (int repeat = 0; repeat < 4; ++repeat) {
      const std::size_t i = random.below(dinputs.size());
      run.check_derivative(run.inputs.data()[i], dinputs.data()[i]);
    }
  }
}

TEST_CASE("a linear layer of wide heads is what its formula says") {
  StackConfig config{.width = 3, .head_size = 5, .softmax_layers = 0, .rotary_layers = 0, .norms = false};
  config.attention.variant = "skipv1";
  Run run(config);
  const View<double> y = run.forward();
  const std::size_t d = 3, width = 5, n = Sample::length;
  const auto weight = [&](std::size_t l, const char* name) {
    return run.weights["model.layers." + std::to_string(l) + ".self_attn." + name + "_proj.weight"];
  };
  for (std::size_t b = 0; b < Sample::batch; ++b) {
    Tensor<double> x = zeros<double>({n, d}), first = zeros<double>({n, d});  // the stream, and the first layer's
    for (std::size_t i = 0; i < n * d; ++i) first.data()[i] = x.data()[i] = run.inputs.data()[b * n * d + i];
    for (std::size_t l = 0; l < 2; ++l) {
      Tensor<double> next = x;
      const auto project = [&](const Tensor<double>& from, std::size_t t, std::size_t layer, const char* name, std::size_t row) {
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

TEST_CASE("a stack that cannot be is refused, and inputs of another width") {
  StackConfig config{.head_size = 3};
  CHECK_THROWS_WITH(mesa::validate(config), Catch::Contains("RoPE needs an even head width"));
  config.rotary_layers = 0;
  CHECK_NOTHROW(mesa::validate(config));
  Run run(config);
  const Tensor<double> narrow({2, 1});
  CHECK_THROWS_WITH(run.stack.forward(narrow, {1, 1}, run.cache, run.once), Catch::Contains("inputs (2, 1)"));
  config.attention.variant = "denseformer";
  CHECK_THROWS_WITH(mesa::validate(config), Catch::Contains("a stack routes heads alone"));
}
