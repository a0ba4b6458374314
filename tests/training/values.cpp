#include "skipv1/programs/values.hpp"

#include "skipv1/training/trainer.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {
Config values_config(const std::string& variant) {
  Config c;
  c.vocab_size = 256, c.hidden_size = 32, c.num_hidden_layers = 3, c.num_attention_heads = c.num_key_value_heads = 4;
  c.intermediate_size = 48, c.max_position_embeddings = 16;
  c.attention.variant = variant;
  return c;
}
/// Not so small that a value more or less is lost in rounding.
Parameters<float> random_parameters(const Config& c) {
  Parameters<float> p = initial_parameters<float>(c, 3);
  for (std::size_t i = 0; i < p.flat().size(); ++i)
    if (p.flat().data()[i] != 1.0f) p.flat().data()[i] *= 8;
  return p;
}
const TextData& letters() {
  static const TextData data = [] {
    std::string letters;
    Random random(5);
    for (int i = 0; i < 2000; ++i) letters += static_cast<char>('a' + random.below(20));
    return TextData(letters, ByteTokenizer());
  }();
  return data;
}
std::size_t windows() { return letters().count(16); }  ///< all of them, so that `evaluate` reads the same
double mean_loss(const WindowLosses& losses) {
  double sum = 0;
  for (const double loss : losses.windows) sum += loss / static_cast<double>(losses.windows.size());
  return sum;
}
}  // namespace

TEST_CASE("losses of windows are those of evaluate") {
  const Config c = values_config("skipv1");
  const Parameters<float> p = random_parameters(c);
  const Decoder<float> decoder(c, p);
  const WindowLosses losses = window_losses(decoder, letters(), 16, windows());
  REQUIRE(losses.windows.size() == windows());
  REQUIRE(losses.tokens.size() == 16 * windows());
  CHECK(mean_loss(losses) == Approx(evaluate(decoder, letters(), 16, windows()).nats_per_token).epsilon(1e-5));
  const WindowLosses some = window_losses(decoder, letters(), 16, 5);  // spread over the text
  for (std::size_t i = 0; i < 5; ++i) CHECK(some.windows[i] == Approx(losses.windows[i * windows() / 5]).epsilon(1e-5));
}

TEST_CASE("zeros for layer 0's values are a routing table without them, for all later layers and for one") {
  const Config c = values_config("skipv1");
  const Parameters<float> p = random_parameters(c);
  const Decoder<float> decoder(c, p);
  REQUIRE(routed_heads(decoder.routing(), 1) == std::vector<std::size_t>{2, 3});
  CHECK(routed_heads(decoder.routing(), 0).empty());
  const double base = evaluate(decoder, letters(), 16, windows()).nats_per_token;
  for (const auto& [from, to] : {std::pair{1u, 2u}, {1u, 1u}, {2u, 2u}}) {
    Routing table = decoder.routing();
    for (std::size_t l = from; l <= to; ++l)
      for (std::size_t h = 2; h < 4; ++h) table.values[l * 4 + h] = {};
    const double expected = evaluate(Decoder<float>(c, p, table), letters(), 16, windows()).nats_per_token;
    const WindowLosses losses =
        window_losses(decoder, letters(), 16, windows(), replacing(decoder.routing(), from, to, Replacement::zeros));
    CHECK(mean_loss(losses) == Approx(expected).epsilon(1e-5));
    CHECK(std::abs(expected - base) > 1e-4);
  }
}

TEST_CASE("values are replaced by zeros, by their mean and by another sequence's, head by head") {
  const Config c = values_config("skipv1");
  for (const Replacement by : {Replacement::zeros, Replacement::mean, Replacement::exchanged}) {
    const Cache<float> cache(make_routing(c), 3, 5);
    const View<float> values = cache.values(0);  // (3, 5, 32): heads of 8
    for (std::size_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(i);
    replace_values(cache, 0, {2}, 8, by);
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t t = 0; t < 5; ++t)
        for (std::size_t i = 0; i < 32; ++i) {
          const bool replaced = i / 8 == 2;
          const auto at = [&](std::size_t sequence, std::size_t position) {
            return static_cast<float>((sequence * 5 + position) * 32 + i);
          };
          const float expected = !replaced                  ? at(b, t)
                                 : by == Replacement::zeros ? 0.0f
                                 : by == Replacement::mean  ? (at(0, 0) + at(2, 4)) / 2
                                                            : at((b + 1) % 3, t);
          CHECK(values.data()[(b * 5 + t) * 32 + i] == Approx(expected));
        }
  }
  const Cache<float> one(make_routing(c), 1, 5);
  CHECK_THROWS_AS(replace_values(one, 0, {2}, 8, Replacement::exchanged), Error);
}

TEST_CASE("the token is read out of layer 0's values where they are as wide as the stream") {
  const Config c = values_config("mha");
  const Parameters<float> p = random_parameters(c);
  const Decoder<float> decoder(c, p);
  const std::vector<ReadOut> read = read_outs(decoder, p, letters(), 16, 60);
  REQUIRE(read.size() == 3);
  CHECK(read[0].token > 0.99);  // 20 different tokens, 32 features
  CHECK(read[0].before < 0.2);  // random text
}

TEST_CASE("heads and places of a model whose attention is switched off are alike as its inputs are") {
  const Config c = values_config("mha");
  Parameters<float> p = random_parameters(c);
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    for (const char* name : {"self_attn.o_proj.weight", "mlp.down_proj.weight"}) {
      const View<float> w = p[layer + name];
      std::fill(w.data(), w.data() + w.size(), 0.0f);
    }
  }
  const std::vector<Similarity> alike = similarities(Decoder<float>(c, p), letters(), 16, 4);
  REQUIRE(alike.size() == 3);
  CHECK(alike[0].tokens == Approx(alike[2].tokens));  // the stream is the embedding all the way
  CHECK(std::abs(alike[0].tokens) < 0.5);
  for (const Similarity& s : alike) CHECK(std::abs(s.heads.value()) < 0.9);
}

TEST_CASE("a bigram repeats where it was in the same window before") {
  Windows w;
  w.tokens = {1, 2, 1, 2, /**/ 1, 2, 3, 1};
  w.targets = {2, 1, 2, 3, /**/ 2, 3, 1, 2};
  CHECK(repeats_bigram(w, 4) == std::vector<bool>{false, false, true, false, false, false, false, true});
}
