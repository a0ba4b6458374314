// The decoder, cache and trainer on the device: the same source, every variant, against the CPU.
#include "skipv1/model/generate.hpp"
#include "skipv1/training/trainer.cuh"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

std::vector<Config> configurations() {
  std::vector<Config> all;
  for (const Variant& variant : variants()) {
    for (Architecture architecture : {Architecture::llama, Architecture::gpt2}) {
      Config c;
      c.architecture = architecture;
      c.vocab_size = 13, c.hidden_size = 32, c.intermediate_size = 24, c.num_hidden_layers = 4, c.max_position_embeddings = 16;
      c.attention.variant = variant.name;
      if (c.attention.variant == "mqa") c.num_key_value_heads = 1;
      if (c.attention.variant == "gqa") c.num_key_value_heads = 2;
      if (c.latent()) c.attention.kv_latent_size = 8, c.attention.rotary_size = 4;
      try {
        validate(c);
      } catch (const Error&) {
        continue;  // not every variant has both architectures
      }
      all.push_back(c);
    }
  }
  return all;
}

/// Parameters drawn on the host in double, and their copy on the device.
template <class T>
struct Models {
  Parameters<double> host;
  Parameters<T, Device> device;

  Models(const Config& config, Random& random) : host(config), device(config) {
    for (std::size_t i = 0; i < host.flat().size(); ++i) host.flat().data()[i] = 0.2 * random.normal();
    const auto flat = both<T>(Tensor<double>(to_tensor(host.flat())));
    copy(host.flat(), View<const double>(flat.host));
    copy(device.flat(), View<const T, Device>(View<T, Device>(flat.device)));
  }
  static Tensor<double> to_tensor(View<double> x) {
    Tensor<double> y(x.shape());
    copy(y, x);
    return y;
  }
};

template <class T>
Both<T> pair_of(View<double> host, View<T, Device> device) {
  Both<T> x{Tensor<double>(host.shape()), Tensor<T, Device>(device.shape())};
  copy(x.host, host);
  copy(x.device, device);
  return x;
}

}  // namespace

TEST_CASE("every variant's decoder on the device is that on the CPU, forward, loss and backward", "[cuda]") {
  using T = float;
  Random random(71);
  const std::vector<std::int32_t> tokens{1, 5, 2, 9, 12, 0, 3, 3, 7}, targets{5, 2, -1, 12, 4, 3, 3, 7, 1};
  const Batch batch{tokens, {5, 4}};
  std::size_t checked = 0;
  for (const Config& config : configurations()) {
    INFO(config.attention.variant << ", " << to_string(config.architecture));
    Models<T> models(config, random);
    const Decoder<double> host(config, models.host);
    const Decoder<T, Device> device(config, models.device);
    Cache<double> cache(host.routing(), 2, 5), dcache(host.routing(), 2, 5);
    Cache<T, Device> cache_on(host.routing(), 2, 5), dcache_on(host.routing(), 2, 5);
    Activations<double> a;
    Activations<T, Device> a_on;
    const View<double> logits = host.forward(Batch{tokens, {5, 4}}, cache, a);
    const View<T, Device> logits_on = device.forward(batch, cache_on, a_on);
    check_close("logits", pair_of<T>(logits, logits_on), 1e-5);
    const Batch square{{tokens.begin(), tokens.begin() + 8}, {4, 4}};
    Cache<double> full(host.routing(), 2, 4), dfull(host.routing(), 2, 4);
    Cache<T, Device> full_on(host.routing(), 2, 4), dfull_on(host.routing(), 2, 4);
    host.forward(square, full, a, Keep::for_backward);
    device.forward(square, full_on, a_on, Keep::for_backward);
    const std::vector<std::int32_t> wanted(targets.begin(), targets.begin() + 8);
    CHECK(device.loss(wanted, a_on) == Approx(host.loss(wanted, a)).epsilon(1e-5));
    Parameters<double> gradients(config);
    Parameters<T, Device> gradients_on(config);
    host.backward(gradients, dfull, a);
    device.backward(gradients_on, dfull_on, a_on);
    for (const ParameterLayout::Entry& entry : gradients.layout().entries()) {
      INFO(entry.name);
      check_close("gradient", pair_of<T>(gradients[entry.name], gradients_on[entry.name]), 1e-4, 1e-4);
    }
    ++checked;
  }
  CHECK(checked >= 12);
}

TEST_CASE("decoding on the device says what the CPU says; training takes the same steps", "[cuda]") {
  Random random(72);
  Config config;
  config.vocab_size = 13, config.hidden_size = 32, config.intermediate_size = 24, config.max_position_embeddings = 16;
  config.attention.variant = "skipv1";
  Models<float> models(config, random);
  const Decoder<double> host(config, models.host);
  const Decoder<float, Device> device(config, models.device);
  Sampling greedy;
  greedy.temperature = 0;
  const std::vector<std::vector<std::int32_t>> prompts{{1, 2, 3}, {4}};
  CHECK(generate(device, prompts, 6, greedy, 1) == generate(host, prompts, 6, greedy, 1));

  TrainingOptions options;
  options.batch = 2, options.length = 4, options.schedule.steps = 4;
  Trainer<double> on_host(config, options, 5);
  Trainer<float, Device> on_device(config, options, 5);
  const std::vector<std::int32_t> tokens{1, 5, 2, 9, 12, 0, 3, 3}, targets{5, 2, 9, 1, 0, 3, 3, 12};
  for (int i = 0; i < 3; ++i) {
    const StepReport want = on_host.step(tokens, targets), got = on_device.step(tokens, targets);
    CHECK(got.loss == Approx(want.loss).epsilon(1e-5));
    CHECK(got.gradient_norm == Approx(want.gradient_norm).epsilon(1e-4));
  }
}
