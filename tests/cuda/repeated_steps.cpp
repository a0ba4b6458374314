// Steps of decoding and of training on the device: graphs that do what plain calls do, and allocate nothing.
#include <cstring>

#include "skipv1/model/generate.hpp"
#include "skipv1/training/trainer.cuh"
#include "tests/cuda/decoder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

using Tokens = std::vector<std::int32_t>;

template <class T>
bool same_bits(View<T, Device> a, View<T, Device> b) {
  const Tensor<T> x = to_host(a), y = to_host(b);
  return x.shape() == y.shape() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

Tokens tokens_of_step(std::size_t step, std::size_t count, std::size_t vocab) {
  Random random(100 + step);
  Tokens tokens;
  for (std::size_t n = 0; n < count; ++n) tokens.push_back(static_cast<std::int32_t>(random.below(vocab)));
  return tokens;
}

}  // namespace

TEMPLATE_TEST_CASE("a decoding step's graph gives the bits of plain decoding, and allocates nothing after the first", "[cuda]",
                   float, bfloat16) {
  using T = TestType;
  const char* variant = GENERATE("skipv1", "gqa", "denseformer", "skipv1_mla", "resformer");
  INFO(variant);
  Config config = small_config(Architecture::llama, find_variant(variant));
  if (std::string(variant) == "skipv1") config.attention.injection = Injection::pooling;
  Parameters<double> host(config);
  initialize(host, config, 3);
  Parameters<T, Device> parameters(config);
  load(parameters, host);
  const Decoder<T, Device> decoder(config, parameters);
  const Batch prompts{tokens_of_step(0, 7, config.vocab_size), {5, 2}};
  Cache<T, Device> cache(decoder.routing(), 2, 12), plain_cache(decoder.routing(), 2, 12);
  Activations<T, Device> prefill, plain;
  decoder.forward(prompts, cache, prefill, Keep::nothing, Logits::last);
  decoder.forward(prompts, plain_cache, prefill, Keep::nothing, Logits::last);
  DecodingStep<T, Device> step(decoder, cache);
  std::size_t allocations = 0;
  for (std::size_t i = 1; i <= 6; ++i) {
    if (i == 4) cache.truncate(1, 0), plain_cache.truncate(1, 0);
    const Tokens next = tokens_of_step(i, 2, config.vocab_size);
    const View<T, Device> logits = step(next);
    CHECK(same_bits<T>(logits, decoder.forward({next, {1, 1}}, plain_cache, plain)));
    if (i == 1) allocations = skipv1::detail::device_allocations();
    CHECK(skipv1::detail::device_allocations() == allocations);
  }
  CHECK(cache.lengths() == std::vector<std::size_t>{11, 3});
}

TEST_CASE("a training step's graph takes the steps of plain calls, and allocates nothing after the first", "[cuda]") {
  const Architecture architecture = GENERATE(Architecture::llama, Architecture::gpt2);
  const Config config = small_config(architecture, find_variant("skipv1"));
  constexpr std::size_t B = 2, L = 6;
  TrainingOptions options;
  options.batch = B, options.length = L, options.schedule.steps = 6;
  Trainer<float, Device> trainer(config, options, 5);

  Parameters<float, Device> parameters(config), gradients(config), m(config), v(config);
  copy(parameters.flat(), initial_parameters<float>(config, 5).flat());
  const Decoder<float, Device> decoder(config, parameters);
  std::size_t allocations = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    const Tokens tokens = tokens_of_step(i, B * L, config.vocab_size);
    Tokens targets = tokens_of_step(50 + i, B * L, config.vocab_size);
    if (i >= 3) targets[i] = ignored_target;  // one fewer counts: another scale of the loss
    const std::size_t before = skipv1::detail::device_allocations();
    const StepReport report = trainer.step(tokens, targets);
    allocations = skipv1::detail::device_allocations() - before;
    if (i > 0) CHECK(allocations == 0);

    Cache<float, Device> cache(decoder.routing(), B, L), dcache(decoder.routing(), B, L);
    Activations<float, Device> a;
    zero(gradients.flat());
    decoder.forward({tokens, {L, L}}, cache, a, Keep::for_backward);
    CHECK(decoder.loss(targets, a) == report.loss);
    decoder.backward(gradients, dcache, a);
    const double length = norm(gradients.flat());
    CHECK(length == report.gradient_norm);
    AdamW settings = options.adamw;
    settings.learning_rate = options.schedule.rate(i);
    adamw<float>(parameters.flat(), m.flat(), v.flat(), gradients.flat(), settings, i + 1, parameters.layout().decayed(),
                 clip_scale(length, options.clip));
    CHECK(same_bits<float>(parameters.flat(), trainer.parameters().flat()));
  }
}

TEST_CASE("training on the device follows the CPU's losses in float, and in bfloat16 as far as that is exact", "[cuda]") {
  const Config config = small_config(Architecture::llama, find_variant("skipv1"));
  constexpr std::size_t B = 2, L = 6, steps = 12;
  TrainingOptions options;
  options.batch = B, options.length = L, options.schedule = {steps, 1e-2};
  Trainer<float> on_cpu(config, options, 7);
  Trainer<float, Device> in_float(config, options, 7);
  Trainer<bfloat16, Device> in_bfloat16(config, options, 7);
  const Tokens tokens = tokens_of_step(0, B * L, config.vocab_size);
  Tokens targets(tokens.begin() + 1, tokens.end());
  targets.push_back(tokens[0]);
  double first = 0, last = 0;
  for (std::size_t i = 0; i < steps; ++i) {
    last = on_cpu.step(tokens, targets).loss;
    if (i == 0) first = last;
    CHECK(in_float.step(tokens, targets).loss == Approx(last).epsilon(1e-4));
    CHECK(in_bfloat16.step(tokens, targets).loss == Approx(last).epsilon(3e-2));
  }
  CHECK(last < 0.6 * first);  // the batch is learned by heart
}
