#include "skipv1/training/evaluate.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

struct Sample {
  Config config;
  Parameters<double> parameters;
  TextData text;
};
Sample sample(const std::string& text) {
  Config c;
  c.vocab_size = 256, c.hidden_size = 8, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
  c.num_attention_heads = c.num_key_value_heads = 2;
  Sample s{c, Parameters<double>(c), TextData(text, ByteTokenizer())};
  Random random(3);
  for (std::size_t i = 0; i < s.parameters.flat().size(); ++i) s.parameters.flat()(i) = 0.5 * random.normal();
  return s;
}

/// The loss of the text's predicted tokens, one after the other: each from a pass over its window up to the token before it.
double naive(const Sample& s, std::size_t length, std::size_t count) {
  const Decoder<double> decoder(s.config, s.parameters);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = i / length * length;
    const std::vector<std::int32_t> seen(s.text.tokens().begin() + static_cast<std::ptrdiff_t>(begin),
                                         s.text.tokens().begin() + static_cast<std::ptrdiff_t>(i + 1));
    Cache<double> cache(decoder.routing(), 1, seen.size());
    Activations<double> a;
    const View<double> logits = decoder.forward({seen, {seen.size()}}, cache, a, Keep::nothing, Logits::last);
    double all = 0;
    for (std::size_t v = 0; v < 256; ++v) all += std::exp(logits(0u, v));
    sum += std::log(all) - logits(0u, static_cast<std::size_t>(s.text.tokens()[i + 1]));
  }
  return sum / static_cast<double>(count);
}

}  // namespace

TEST_CASE("a whole text is evaluated to its last token, whatever the batch") {
  const Sample s = sample("Twenty-three bytes here.");  // 24 tokens, 23 predicted: windows of 5, 5, 5, 5, 3
  const Decoder<double> decoder(s.config, s.parameters);
  for (const std::size_t batch : {1u, 3u, 8u}) {
    const Evaluation e = evaluate(decoder, s.text, 5, 0, batch);
    CHECK(e.tokens == 23);
    CHECK(e.bytes == 23);
    CHECK(e.nats_per_token == Approx(naive(s, 5, 23)).epsilon(1e-12));
    CHECK(e.perplexity() == Approx(std::exp(naive(s, 5, 23))));
    CHECK(e.bits_per_byte() == Approx(naive(s, 5, 23) / std::log(2.0)));
  }
  CHECK(evaluate(decoder, s.text, 8).nats_per_token == Approx(naive(s, 8, 23)).epsilon(1e-12));
}

TEST_CASE("some windows are the first ones") {
  const Sample s = sample("Twenty-three bytes here.");
  const Decoder<double> decoder(s.config, s.parameters);
  const Evaluation e = evaluate(decoder, s.text, 5, 2);
  CHECK(e.tokens == 10);
  CHECK(e.nats_per_token == Approx(naive(s, 5, 10)).epsilon(1e-12));
  CHECK(evaluate(decoder, s.text, 5, 99).tokens == 20);  // no more than there are
}

TEST_CASE("a text too short to predict anything is an error") {
  const Sample s = sample("a");
  const Decoder<double> decoder(s.config, s.parameters);
  CHECK_THAT(message([&] { evaluate(decoder, s.text, 5); }), Catch::Contains("too short to predict any"));
  CHECK_THROWS_AS(evaluate(decoder, s.text, 5, 1), Error);
  CHECK_THROWS_AS(evaluate(decoder, sample("abc").text, 0), Error);
  CHECK_THROWS_AS(evaluate(decoder, sample("Twenty-three bytes here.").text, 9), Error);  // beyond the model's positions
}

TEST_CASE("losses by place are the losses of the tokens there") {
  const Sample s = sample("Twenty-three bytes here.");  // windows of 5, 5, 5, 5, 3
  const Decoder<double> decoder(s.config, s.parameters);
  for (const std::size_t batch : {1u, 3u}) {
    PlaceLosses places{{0, 1, 3}};
    const Evaluation e = evaluate(decoder, s.text, 5, 0, batch, nullptr, one_process(), &places);
    CHECK(places.tokens == std::vector<std::size_t>{5, 10, 8});
    double sum = 0, first = 0;
    for (std::size_t i = 0; i < 3; ++i) sum += places.nats_per_token[i] * static_cast<double>(places.tokens[i]);
    CHECK(sum / 23 == Approx(e.nats_per_token).epsilon(1e-12));
    for (std::size_t i = 0; i < 23; i += 5)  // each window's first token
      first += naive(s, 5, i + 1) * static_cast<double>(i + 1) - (i ? naive(s, 5, i) * static_cast<double>(i) : 0);
    CHECK(places.nats_per_token[0] == Approx(first / 5).epsilon(1e-9));
  }
  PlaceLosses wrong{{1, 3}};
  CHECK_THROWS_AS(evaluate(decoder, s.text, 5, 0, 8, nullptr, one_process(), &wrong), Error);
}
