// Sampling, and generation from the cache.
#include "skipv1/model/generate.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// How often each token comes in `count` draws.
std::vector<double> frequencies(const std::vector<double>& logits, const Sampling& s, std::size_t count) {
  Random random(5);
  std::vector<double> share(logits.size(), 0.0);
  for (std::size_t i = 0; i < count; ++i)
    share[static_cast<std::size_t>(sample<double>({logits.data(), {logits.size()}}, s, random))] +=
        1.0 / static_cast<double>(count);
  return share;
}

/// `sample`, with all tokens sorted first.
std::int32_t sample_of_sorted(const std::vector<double>& logits, const Sampling& s, Random& random) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](std::int32_t v) { return logits[static_cast<std::size_t>(v)]; };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b); });
  if (s.top_k > 0 && s.top_k < order.size()) order.resize(s.top_k);
  const auto weight = [&](std::int32_t v) { return std::exp((logit(v) - logit(order[0])) / s.temperature); };
  double all = 0, kept = 0;
  for (std::int32_t v : order) all += weight(v);
  std::size_t count = 0;
  while (count < order.size() && kept < s.top_p * all) kept += weight(order[count++]);
  double at = random.uniform() * kept;
  for (std::size_t i = 0; i < count; ++i)
    if ((at -= weight(order[i])) < 0) return order[i];
  return order[count - 1];
}

Config tiny() {
  Config c;
  c.vocab_size = 31, c.hidden_size = 16, c.intermediate_size = 24, c.num_hidden_layers = 3;
  c.max_position_embeddings = 24;
  c.attention.variant = "skipv1";
  return c;
}

/// A model whose next token depends on the whole context.
struct TinyModel {
  Config config = tiny();
  Parameters<double> parameters{config};
  Decoder<double> decoder{config, parameters};
  TinyModel() {
    initialize(parameters, config, 3);
    for (std::size_t i = 0; i < parameters.flat().size(); ++i) parameters.flat().data()[i] *= 20;
  }
};

}  // namespace

TEST_CASE("sample draws in proportion to the softmax") {
  const std::vector<double> logits{std::log(0.5), std::log(0.3), std::log(0.15), std::log(0.05)};
  const std::vector<double> share = frequencies(logits, {}, 20000);  // three standard errors: below 0.011
  for (std::size_t v = 0; v < 4; ++v) CHECK(share[v] == Approx(std::exp(logits[v])).margin(0.011));
  const std::vector<double> sharper = frequencies(logits, {0.5, 0, 1.0}, 20000);  // p^2, normalised
  CHECK(sharper[0] == Approx(0.25 / 0.365).margin(0.011));
}

TEST_CASE("sample filters: greedy, top-k, top-p") {
  const std::vector<double> logits{std::log(0.15), std::log(0.5), std::log(0.05), std::log(0.3)};
  CHECK(frequencies(logits, {0, 0, 1.0}, 50)[1] == Approx(1));
  const std::vector<double> two = frequencies(logits, {1.0, 2, 1.0}, 20000);
  CHECK(two[1] == Approx(0.5 / 0.8).margin(0.011));
  CHECK(two[0] + two[2] == 0);
  const std::vector<double> nucleus = frequencies(logits, {1.0, 0, 0.81}, 20000);  // 0.5 + 0.3 is less, so the third joins
  CHECK(nucleus[0] == Approx(0.15 / 0.95).margin(0.011));
  CHECK(nucleus[2] == 0);
  CHECK(frequencies(logits, {1.0, 0, 1e-9}, 50)[1] == Approx(1));  // at least one is left
  const std::vector<double> equal{2, 2, 2};
  CHECK(frequencies(equal, {0, 0, 1.0}, 50)[0] == Approx(1));
}

TEST_CASE("sample ranks no further than it draws, which changes no draw") {
  Random numbers(7), random(8), other(8);
  for (double spread : {0.0, 0.1, 3.0, 10.0}) {
    std::vector<double> logits(777);
    for (double& logit : logits) logit = std::round(4 * spread * numbers.normal()) / 4;  // many are equal
    for (std::size_t top_k : {0u, 1u, 64u, 65u, 500u, 777u, 1000u}) {
      for (double top_p : {0.3, 0.95, 1.0}) {
        CAPTURE(spread, top_k, top_p);
        const Sampling s{0.9, top_k, top_p};
        for (int i = 0; i < 20; ++i)
          CHECK(sample<double>({logits.data(), {777}}, s, random) == sample_of_sorted(logits, s, other));
      }
    }
  }
}

TEST_CASE("sample refuses what has no distribution") {
  Random random(1);
  const std::vector<double> nan{0, std::nan("")}, none{-INFINITY, -INFINITY}, good{1, 2};
  CHECK_THROWS_WITH(sample<double>({nan.data(), {2}}, {}, random), Catch::Contains("logit of token 1 is NaN"));
  CHECK_THROWS_WITH(sample<double>({none.data(), {2}}, {}, random), Catch::Contains("no finite logit"));
  CHECK_THROWS_WITH(sample<double>({good.data(), {2}}, {-1.0, 0, 1.0}, random), Catch::Contains("temperature is -1"));
  CHECK_THROWS_WITH(sample<double>({good.data(), {2}}, {1.0, 0, 0.0}, random), Catch::Contains("top_p is 0"));
}

TEST_CASE("generate: greedy tokens are those of full forward passes") {
  const TinyModel m;
  const std::vector<std::vector<std::int32_t>> prompts{{3, 1, 4, 1, 5}, {9}, {2, 6}};
  const auto said = generate(m.decoder, prompts, 8, {0, 0, 1.0}, 1);
  for (std::size_t b = 0; b < prompts.size(); ++b) {
    std::vector<std::int32_t> text = prompts[b];
    for (std::int32_t token : said[b]) {
      Cache<double> cache(m.decoder.routing(), 1, text.size());
      Activations<double> a;
      const View<double> logits = m.decoder.forward({text, {text.size()}}, cache, a, Keep::nothing, Logits::last);
      CHECK(token == std::max_element(logits.data(), logits.data() + logits.size()) - logits.data());
      text.push_back(token);
    }
    CHECK(said[b].size() == 8);
  }
}

TEST_CASE("generate: a seed decides, and the first sequence draws as it does alone") {
  const TinyModel m;
  const auto alone = generate(m.decoder, {{3, 1, 4}}, 12, {}, 7), again = generate(m.decoder, {{3, 1, 4}}, 12, {}, 7);
  const auto crowd = generate(m.decoder, {{3, 1, 4}, {1}, {5, 9, 2, 6}}, 12, {}, 7),
             other = generate(m.decoder, {{3, 1, 4}}, 12, {}, 8);
  CHECK(alone == again);
  CHECK(alone[0] == crowd[0]);
  CHECK(alone != other);
}

TEST_CASE("generate: a sequence ends where its caller says, the others go on") {
  const TinyModel m;
  std::vector<std::size_t> heard(2, 0);
  const auto said =
      generate(m.decoder, {{3}, {4}}, 6, {}, 2, [&](std::size_t b, std::int32_t) { return ++heard[b] < (b == 0 ? 2u : 9u); });
  CHECK(said[0].size() == 2);
  CHECK(said[1].size() == 6);
  CHECK(heard == std::vector<std::size_t>{2, 6});
}

TEST_CASE("generate refuses empty prompts and too long texts") {
  const TinyModel m;
  CHECK_THROWS_WITH(generate(m.decoder, {{1}, {}}, 2, {}, 1), Catch::Contains("prompt 1 is empty"));
  CHECK_THROWS_WITH(generate(m.decoder, {{1, 2}}, 40, {}, 1), Catch::Contains("max_position_embeddings is 24"));
}
