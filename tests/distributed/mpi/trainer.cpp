// Several processes train as one does, in every variant.
#include "skipv1/training/trainer.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/distributed/mpi/world.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

constexpr std::size_t windows = 6, length = 8, steps = 20;  // 6: for 1, 2 and 3 processes

Config config_of_variant(const std::string& variant) {
  Config c;
  c.vocab_size = 23, c.hidden_size = 16, c.intermediate_size = 24, c.num_hidden_layers = 4, c.max_position_embeddings = length;
  c.num_attention_heads = c.num_key_value_heads = 4;
  c.attention.variant = variant;
  if (variant == "gqa") c.num_key_value_heads = 2;
  if (c.latent()) c.attention.kv_latent_size = 4, c.attention.rotary_size = 2;
  return c;
}
TrainingOptions options_for(std::size_t batch) {
  TrainingOptions o;
  o.schedule = {steps, 1e-2, 0.2, 0.1};
  o.batch = batch, o.length = length, o.clip = 0.5;
  return o;
}
/// The windows `first … first + count - 1` of a step: all for one process, a part for one of several.
std::vector<std::int32_t> tokens_of(std::size_t step, std::size_t first, std::size_t count, std::size_t shift) {
  std::vector<std::int32_t> tokens;
  for (std::size_t w = first; w < first + count; ++w) {
    Random random = Random(5).split(step * windows + w);
    const std::size_t begin = random.below(23), stride = 1 + random.below(3);
    for (std::size_t t = 0; t < length; ++t) tokens.push_back(static_cast<std::int32_t>((begin + (t + shift) * stride) % 23));
  }
  return tokens;
}
template <class T>
StepReport step_on(Trainer<T>& trainer, std::size_t first, std::size_t count) {
  const std::size_t s = trainer.steps();
  return trainer.step(tokens_of(s, first, count, 0), tokens_of(s, first, count, 1));
}

/// The largest relative difference of losses and norms over the steps, and of the parameters after them, between one process and
/// all of them.
template <class T>
double largest_difference(const Config& c) {
  const std::size_t size = here().size(), part = windows / size, first = here().rank() * part;
  const Parameters<T> initial = initial_parameters<T>(c, 3);
  Trainer<T> alone(c, options_for(windows), initial), together(c, options_for(part), initial, here());
  double most = 0;
  for (std::size_t i = 0; i < steps; ++i) {
    const StepReport one = step_on(alone, 0, windows), all = step_on(together, first, part);
    CHECK(one.learning_rate == all.learning_rate);
    most = std::max({most, std::abs(one.loss / all.loss - 1), std::abs(one.gradient_norm / all.gradient_norm - 1)});
  }
  return most;
}

}  // namespace

TEST_CASE("processes together follow one process's loss: f64 to 1e-10 over 20 steps, every variant") {
  for (const char* variant : {"mha", "gqa", "skipv1", "skipkv1", "skipv1_yoco", "svformer", "resformer", "denseformer", "mla"}) {
    INFO(variant);
    CHECK(largest_difference<double>(config_of_variant(variant)) < 1e-10);
  }
}

TEST_CASE("the same with biases and positions, a head of its own, learned mixing; and f32 to 1e-4") {
  Config gpt2 = config_of_variant("skipv1");
  gpt2.architecture = Architecture::gpt2;
  CHECK(largest_difference<double>(gpt2) < 1e-10);
  Config untied = config_of_variant("skipv1");
  untied.tie_word_embeddings = false;
  CHECK(largest_difference<double>(untied) < 1e-10);
  Config learned = config_of_variant("resformer");
  learned.attention.learn_value_mix = true;
  CHECK(largest_difference<double>(learned) < 1e-10);
  CHECK(largest_difference<float>(config_of_variant("skipv1")) < 1e-4);
}

TEST_CASE("moments are gathered whole on the first process, and a trainer restored from them goes on alone") {
  const Config c = config_of_variant("skipv1");
  const std::size_t part = windows / here().size(), first = here().rank() * part;
  const Parameters<double> initial = initial_parameters<double>(c, 3);
  Trainer<double> together(c, options_for(part), initial, here());
  for (int i = 0; i < 4; ++i) step_on(together, first, part);
  const auto parameters = together.master(), m = together.first_moment(), v = together.second_moment();
  const StepReport all = step_on(together, first, part);
  REQUIRE(parameters.has_value() == here().first());
  REQUIRE(m.has_value() == here().first());
  if (!here().first()) return;
  Trainer<double> alone(c, options_for(windows), 77);
  alone.restore(4, *parameters, *m, *v);
  const StepReport one = step_on(alone, 0, windows);
  CHECK(std::abs(one.loss / all.loss - 1) < 1e-12);
  CHECK(error(together.parameters().flat(), alone.parameters().flat()) < 1e-10);
}

TEST_CASE("several processes ignore no target") {
  if (here().size() == 1) return;
  Trainer<float> trainer(config_of_variant("mha"), options_for(1), initial_parameters<float>(config_of_variant("mha"), 1),
                         here());
  std::vector<std::int32_t> targets(length, 1);
  targets[3] = ignored_target;
  CHECK_THAT(message([&] { trainer.step(std::vector<std::int32_t>(length, 2), targets); }), Catch::Contains("an ignored target"));
}
