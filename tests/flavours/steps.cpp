// Compiled once per flavour (skipv1/kernel/flavour.cuh): every name of the device half that it uses exists in both.
#include "tests/flavours/steps.hpp"

#include "skipv1/training/trainer.cuh"

using namespace skipv1;

namespace {

SKIPV1_KERNEL reverse(std::int32_t* x, unsigned n) {
  SKIPV1_SHARED(std::int32_t, tile, 64);
  if (thread().x < n) tile[thread().x] = x[thread().x];
  sync_threads();
  if (thread().x < n) x[thread().x] = tile[n - 1 - thread().x];
}

}  // namespace

template <class Space>
std::string why_not() {
  return why_no_device();
}

template <class Space>
std::vector<double> losses() {
  Config config;
  config.vocab_size = 11, config.hidden_size = 16, config.num_hidden_layers = 2, config.intermediate_size = 24;
  config.num_attention_heads = config.num_key_value_heads = 2, config.max_position_embeddings = 8;
  config.attention.variant = "skipv1";
  TrainingOptions options;
  options.batch = 2, options.length = 8, options.schedule = {3, 1e-2};
  Trainer<float, Space> trainer(config, options, 1);
  std::vector<std::int32_t> tokens(16), targets(16);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(i * i % 11);
    targets[i] = static_cast<std::int32_t>((i + 1) * (i + 1) % 11);
  }
  std::vector<double> found;
  for (int step = 0; step < 3; ++step) found.push_back(trainer.step(tokens, targets).loss);
  return found;
}

template <class Space>
std::string reversed(std::string text) {
  Tensor<std::int32_t> x({text.size()});
  std::copy(text.begin(), text.end(), x.data());
  Tensor<std::int32_t, Space> on = to_device<std::int32_t>(x);
  launch({"reverse", 1, 64}, reverse, on.data(), static_cast<unsigned>(text.size()));
  const Tensor<std::int32_t> back = to_host<std::int32_t>(on);
  std::transform(back.data(), back.data() + back.size(), text.begin(), [](std::int32_t c) { return static_cast<char>(c); });
  return std::string(device_name) + ": " + text;
}

template decltype(why_not<Device>) why_not<Device>;
template decltype(losses<Device>) losses<Device>;
template decltype(reversed<Device>) reversed<Device>;
