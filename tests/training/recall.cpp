#include "skipv1/training/recall.hpp"

#include <map>
#include <set>

#include "skipv1/training/trainer.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {
Config recall_model(std::size_t vocab, std::size_t length) {
  Config c;
  c.vocab_size = vocab, c.hidden_size = 32, c.intermediate_size = 48, c.num_hidden_layers = 2, c.max_position_embeddings = length;
  c.num_attention_heads = c.num_key_value_heads = 4;
  return c;
}
}  // namespace

TEST_CASE("each answer is the value that followed the same key") {
  const RecallTask task{6, 32};
  std::set<std::vector<std::int32_t>> orders;
  const Windows w = task.sequences(0, 20, 3);
  REQUIRE(w.tokens.size() == 20 * task.length());
  for (std::size_t b = 0; b < 20; ++b) {
    const std::int32_t *tokens = w.tokens.data() + b * task.length(), *targets = w.targets.data() + b * task.length();
    std::map<std::int32_t, std::int32_t> value;
    for (std::size_t i = 0; i < 12; i += 2) {
      CHECK(tokens[i] < 16);
      CHECK(tokens[i + 1] >= 16);
      CHECK(tokens[i + 1] < 32);
      CHECK(value.emplace(tokens[i], tokens[i + 1]).second);  // no key twice
    }
    std::set<std::int32_t> asked;
    std::vector<std::int32_t> order;
    for (std::size_t i = 0; i < task.length(); ++i) {
      const bool counts = i >= 12 && i % 2 == 0;
      CHECK(targets[i] == (counts ? value.at(tokens[i]) : ignored_target));
      if (!counts) continue;
      CHECK(tokens[i + 1] == targets[i]);
      asked.insert(tokens[i]), order.push_back(tokens[i]);
    }
    CHECK(asked.size() == 6);
    orders.insert(order);
  }
  CHECK(orders.size() == 20);
}

TEST_CASE("sequences depend on their number and seed only") {
  const RecallTask task{4, 16};
  const Windows all = task.sequences(0, 6, 1), part = task.sequences(4, 2, 1);
  CHECK(std::equal(part.tokens.begin(), part.tokens.end(), all.tokens.begin() + 4 * 16));
  CHECK(std::equal(part.targets.begin(), part.targets.end(), all.targets.begin() + 4 * 16));
  CHECK(task.sequences(0, 6, 2).tokens != all.tokens);
}

TEST_CASE("a recall task needs a key for each pair") {
  CHECK_THAT(message([] { RecallTask{9, 16}.sequences(0, 1, 1); }), Catch::Contains("recall of 9 pairs with 16 ids"));
  CHECK_THROWS_AS((RecallTask{0, 16}.sequences(0, 1, 1)), Error);
  CHECK_THROWS_AS((RecallTask{2, 15}.sequences(0, 1, 1)), Error);
  CHECK_NOTHROW(RecallTask{8, 16}.sequences(0, 1, 1));
}

TEST_CASE("recall is scored as the logits of each answer say") {
  const RecallTask task{3, 16};
  const Config c = recall_model(16, task.length());
  Parameters<double> parameters(c);
  Random random(2);
  for (std::size_t i = 0; i < parameters.flat().size(); ++i) parameters.flat()(i) = 0.5 * random.normal();
  const Decoder<double> decoder(c, parameters);
  const Windows w = task.sequences(0, 5, 7);
  double nats = 0;
  std::size_t right = 0;
  for (std::size_t n = 0; n < w.tokens.size(); ++n) {
    if (w.targets[n] == ignored_target) continue;
    const std::size_t begin = n / task.length() * task.length();
    const std::vector<std::int32_t> seen(w.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                         w.tokens.begin() + static_cast<std::ptrdiff_t>(n + 1));
    Cache<double> cache(decoder.routing(), 1, seen.size());
    Activations<double> a;
    const View<double> logits = decoder.forward({seen, {seen.size()}}, cache, a, Keep::nothing, Logits::last);
    double sum = 0;
    std::size_t most = 0;
    for (std::size_t v = 0; v < 16; ++v) sum += std::exp(logits(0u, v)), most = logits(0u, v) > logits(0u, most) ? v : most;
    nats += std::log(sum) - logits(0u, static_cast<std::size_t>(w.targets[n]));
    right += most == static_cast<std::size_t>(w.targets[n]);
  }
  for (const std::size_t batch : {1u, 2u, 8u}) {
    const RecallScore score = evaluate_recall(decoder, task, 5, batch, 7);
    CHECK(score.answers == 15);
    CHECK(score.nats_per_answer == Approx(nats / 15).epsilon(1e-12));
    CHECK(score.accuracy == Approx(static_cast<double>(right) / 15));
  }
  CHECK_THROWS_AS(evaluate_recall(decoder, task, 0, 1), Error);
}

TEST_CASE("lessons ask for keys of their pairs until their end, the numbers of pairs in turns") {
  const RecallTask task{4, 32};
  const Windows w = task.lessons({1, 3}, 3, 4, 1);
  REQUIRE(w.tokens.size() == 4 * 16);
  for (std::size_t b = 0; b < 4; ++b) {
    const std::size_t pairs = b % 2 ? 1 : 3;  // the first is number 3
    const std::int32_t *tokens = w.tokens.data() + b * 16, *targets = w.targets.data() + b * 16;
    std::map<std::int32_t, std::int32_t> value;
    for (std::size_t i = 0; i < 2 * pairs; i += 2) value[tokens[i]] = tokens[i + 1];
    CHECK(value.size() == pairs);
    for (std::size_t i = 0; i < 16; ++i)
      CHECK(targets[i] == (i >= 2 * pairs && i % 2 == 0 ? value.at(tokens[i]) : ignored_target));
  }
  CHECK_THAT(message([&] { task.lessons({5}, 0, 1, 1); }), Catch::Contains("a lesson of 5 pairs: must be 1 to 4"));
}

TEST_CASE("a model that is trained on the task answers") {
  const RecallTask task{2, 16};
  TrainingOptions o;
  o.schedule = {200, 1e-2};
  o.batch = 32, o.length = task.length();
  Trainer<float> trainer(recall_model(16, task.length()), o, 1);
  const auto one = [&] { return evaluate_recall(trainer.decoder(), RecallTask{1, 16}, 100, 50).accuracy; };
  CHECK(one() < 0.5);
  for (std::size_t i = 0; i < o.schedule.steps; ++i) {
    const Windows w = task.lessons({1, 2}, i * o.batch, o.batch, 1);
    trainer.step(w.tokens, w.targets);
  }
  CHECK(one() > 0.95);                                                      // there is one value
  CHECK(evaluate_recall(trainer.decoder(), task, 100, 50).accuracy > 0.4);  // one of two, at least
}
