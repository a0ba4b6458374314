#include "skipv1/training/trainer.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

Config trainer_config(const char* variant = "skipv1") {
  Config c;
  c.vocab_size = 13, c.hidden_size = 8, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
  c.num_attention_heads = c.num_key_value_heads = 2;
  c.attention.variant = variant;
  return c;
}
TrainingOptions trainer_options() {
  TrainingOptions o;
  o.schedule = {20, 1e-2, 0.2, 0.1};
  o.batch = 2, o.length = 6;
  return o;
}
/// Tokens that repeat after four, and those that follow.
struct Data {
  std::vector<std::int32_t> tokens, targets;
  explicit Data(std::size_t step) {
    for (std::size_t i = 0; i < 12; ++i) {
      tokens.push_back(static_cast<std::int32_t>((i + step) % 4 * 3));
      targets.push_back(static_cast<std::int32_t>((i + step + 1) % 4 * 3));
    }
  }
};
template <class T>
std::vector<StepReport> train(Trainer<T>& trainer, std::size_t steps) {
  std::vector<StepReport> reports;
  for (std::size_t i = 0; i < steps; ++i) {
    const Data data(trainer.steps());
    reports.push_back(trainer.step(data.tokens, data.targets));
  }
  return reports;
}

}  // namespace

TEST_CASE("a trainer learns what is easy to learn") {
  Trainer<double> trainer(trainer_config(), trainer_options(), 1);
  const std::vector<StepReport> reports = train(trainer, 20);
  CHECK(reports[0].loss == Approx(std::log(13.0)).epsilon(0.02));  // at the start every token is as likely
  CHECK(reports[19].loss < 0.7 * reports[0].loss);
  for (std::size_t i = 0; i < 20; ++i)  // compiled apart, it may round in another way
    CHECK(reports[i].learning_rate == Approx(trainer_options().schedule.rate(i)).epsilon(1e-14));
}

TEST_CASE("a step is AdamW's formula on the clipped gradient") {
  TrainingOptions o = trainer_options();
  o.clip = 1e-3;
  o.adamw.weight_decay = 0.3;
  const Config c = trainer_config();
  Trainer<double> trainer(c, o, 4);
  const Parameters<double> before = initial_parameters<double>(c, 4);
  REQUIRE(same_bits(before.flat(), trainer.parameters().flat()));

  // The gradient by the decoder itself.
  const Decoder<double> decoder(c, before);
  Cache<double> cache(decoder.routing(), 2, 6), scratch(decoder.routing(), 2, 6);
  Activations<double> a;
  const Parameters<double> gradient(c);
  const Data data(0);
  decoder.forward(Batch{data.tokens, {6, 6}}, cache, a, Keep::for_backward);
  decoder.loss(data.targets, a);
  decoder.backward(gradient, scratch, a);
  double squares = 0;
  for (std::size_t i = 0; i < gradient.flat().size(); ++i) squares += gradient.flat()(i) * gradient.flat()(i);
  REQUIRE(std::sqrt(squares) > 1e-3);

  const StepReport report = train(trainer, 1)[0];
  CHECK(report.gradient_norm == Approx(std::sqrt(squares)));
  const double rate = o.schedule.rate(0);
  Parameters<double> expected(c);
  for (const auto& entry : before.layout().entries()) {
    const View<double> p = before[entry.name], g = gradient[entry.name];
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double clipped = g.data()[i] * 1e-3 / std::sqrt(squares), decay = entry.shape.rank() == 2 ? 0.3 : 0.0;
      // After one step both moments, corrected, are the gradient and its square.
      expected[entry.name].data()[i] =
          p.data()[i] - rate * (clipped / (std::sqrt(clipped * clipped) + o.adamw.epsilon) + decay * p.data()[i]);
    }
  }
  CHECK(error(trainer.parameters().flat(), expected.flat()) < 1e-9);
}

TEST_CASE("restored in the middle, a trainer goes on to the same bits, with any number of threads") {
  const int before = threads();
  Trainer<float> whole(trainer_config(), trainer_options(), 2);
  train(whole, 9);
  const Parameters<float> parameters = whole.parameters(), m = *whole.first_moment(), v = *whole.second_moment();
  const std::vector<StepReport> expected = train(whole, 5);
  for (const int n : {1, 3}) {
    set_threads(n);
    Trainer<float> resumed(trainer_config(), trainer_options(), 77);
    resumed.restore(9, parameters, m, v);
    const std::vector<StepReport> reports = train(resumed, 5);
    for (std::size_t i = 0; i < 5; ++i) CHECK(reports[i].loss == expected[i].loss);
    CHECK(same_bits(whole.parameters().flat(), resumed.parameters().flat()));
    CHECK(same_bits(whole.second_moment()->flat(), resumed.second_moment()->flat()));
    CHECK(resumed.steps() == 14);
  }
  set_threads(before);
}

TEST_CASE("a step that has diverged is told without a NaN's sign") {
  StepReport report;
  report.gradient_norm = std::copysign(std::nan(""), -1.0);
  CHECK_THROWS_WITH(require_finite(report, 7, "mha"),
                    "mha: step 7: the loss is 0, its gradient's norm nan: the run has diverged");
}

TEST_CASE("settings that cannot be trained with are refused") {
  const auto refused = [](const auto& change) {
    TrainingOptions o = trainer_options();
    change(o);
    return message([&] { Trainer<float>(trainer_config(), o, 1); });
  };
  using Catch::Contains;
  CHECK_THAT(refused([](auto& o) { o.length = 9; }), Contains("length 9: the model reads at most 8 (max_position_embeddings)"));
  CHECK_THAT(refused([](auto& o) { o.batch = 0; }), Contains("batch is 0: must be positive"));
  CHECK_THAT(refused([](auto& o) { o.schedule.steps = 0; }), Contains("steps is 0: must be positive"));
  CHECK_THAT(refused([](auto& o) { o.schedule.peak = -1; }), Contains("peak is -1: must be positive"));
  CHECK_THAT(refused([](auto& o) { o.schedule.warm_up = 1.5; }), Contains("warm_up is 1.5: must be 0 to 1"));
  CHECK_THAT(refused([](auto& o) { o.adamw.beta2 = 1; }), Contains("beta2 is 1: must be 0 or more, below 1"));
  CHECK_THAT(refused([](auto& o) { o.clip = std::nan(""); }), Contains("clip is nan"));
}

TEST_CASE("operations of a step are three times those of a forward pass, counted by hand") {
  Config c = trainer_config("mha");  // d 8, f 12, L 2, V 13; T 4, B 3
  const double matrices = 2 * (4 * 8 * 8 + 3 * 8 * 12) + 13 * 8, tokens = 12;
  const double attention = 3.5 * 2 * 2 * 8 * 2 * (3 * (1 + 2 + 3 + 4));  // seven products in all, half of them masked
  CHECK(training_flops(c, 3, 4) == Approx(6 * matrices * tokens + attention));
  c.tie_word_embeddings = false;  // the same work
  CHECK(training_flops(c, 3, 4) == Approx(6 * matrices * tokens + attention));
}
