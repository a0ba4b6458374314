// What the decoder promises besides its numbers (reference.cpp, gradients.cpp): errors, partial batches and threads.
#include "tests/catch.hpp"
#include "tests/model/small_decoder.hpp"

using namespace skipv1;
using namespace skipv1::test;
using namespace skipv1::test::small;

namespace {

/// A cache of two sequences, 5 and 3 tokens long, with room for 9.
Cache<double> filled_cache(const Decoder<double>& decoder) {
  Cache<double> cache(decoder.routing(), 2, 9);
  Activations<double> a;
  decoder.forward({draw_tokens(8), {5, 3}}, cache, a);
  return cache;
}

bool same_cache(const Cache<double>& a, const Cache<double>& b, std::size_t layers) {
  bool same = a.lengths() == b.lengths();
  for (std::size_t l = 0; l < layers; ++l) same = same && same_bits(a.keys(l), b.keys(l)) && same_bits(a.values(l), b.values(l));
  return same;
}

}  // namespace

TEST_CASE("a batch that cannot be processed is refused by one line, and the cache stays as it was") {
  const Model model(base());
  const Cache<double> before = filled_cache(model.decoder);
  Cache<double> cache = before;
  Activations<double> a;
  const auto refusal = [&](const Batch& batch, Keep keep = Keep::nothing) {
    const std::string line = message([&] { model.decoder.forward(batch, cache, a, keep); });
    CHECK(same_cache(cache, before, 4));
    return line;
  };
  CHECK(refusal({{0, 13}, {1, 1}}) == "token 13 at 1 is outside the vocabulary of 13");
  CHECK(refusal({{-1, 0}, {1, 1}}) == "token -1 at 0 is outside the vocabulary of 13");
  CHECK(refusal({draw_tokens(6), {5, 1}}) == "sequence 0 would be 10 tokens long: the cache holds 9");
  CHECK(refusal({{0, 0}, {2, 1}}) == "batch of 2 tokens whose counts sum to 3: must be equal and positive");
  CHECK(refusal({{}, {0, 0}}) == "batch of 0 tokens whose counts sum to 0: must be equal and positive");
  CHECK(refusal({{0}, {1}}) == "batch of 1 sequences with a cache of 2");
  CHECK(refusal({{0, 0}, {1, 1}}, Keep::for_backward) ==
        "sequence 0: a pass kept for backward starts from an empty cache and fills it");
  Cache<double> long_cache(model.decoder.routing(), 1, 100);
  CHECK(message([&] {
          model.decoder.forward({draw_tokens(81), {81}}, long_cache, a);
        }) == "sequence 0 would be 81 tokens long: max_position_embeddings is 80");
  CHECK(long_cache.lengths()[0] == 0);
}

TEST_CASE("targets that give no loss are refused") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3), scratch = cache;
  Activations<double> a;
  model.decoder.forward({{1, 2, 3}, {3}}, cache, a);
  const auto refusal = [&](const std::vector<std::int32_t>& targets) { return message([&] { model.decoder.loss(targets, a); }); };
  CHECK(refusal({-1, -1, -1}) == "all 3 targets are ignored: the mean over none is undefined");
  CHECK(refusal({0, 13, 0}) == "target 13 at 1 is outside the vocabulary of 13");
  CHECK(refusal({0, 0, -2}) == "target -2 at 2 is outside the vocabulary of 13");
  CHECK(refusal({0, 0}) == "2 targets for 3 rows of logits");
  CHECK(message([&] { model.decoder.backward(Parameters<double>(base()), scratch, a); }) ==
        "backward: the forward pass kept nothing for it");
}

TEST_CASE("the loss is the mean over the targets that are left") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3);
  Activations<double> a;
  const View<double> logits = model.decoder.forward({{1, 2, 3}, {3}}, cache, a);
  double expected = 0;
  for (std::size_t n : {0u, 2u}) {
    double sum = 0;
    for (std::size_t v = 0; v < vocab; ++v) sum += std::exp(logits(n, v));
    expected += (std::log(sum) - logits(n, n + 4)) / 2;
  }
  CHECK(model.decoder.loss({4, -1, 6}, a) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("Logits::last gives each sequence's last row, those with new rows only") {
  for (Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
    const Model model(base("skipv1", architecture));
    Cache<double> one(model.decoder.routing(), 3, 7), other = one;
    Activations<double> a, b;
    const Batch batch{draw_tokens(9), {4, 0, 5}};
    const View<double> all = model.decoder.forward(batch, one, a);
    const View<double> last = model.decoder.forward(batch, other, b, Keep::nothing, Logits::last);
    CHECK(last.shape() == Shape{2, vocab});
    CHECK(error<double>(last.slice(0, 1), all.slice(3, 1)) < rounding<double>);
    CHECK(error<double>(last.slice(1, 1), all.slice(8, 1)) < rounding<double>);
    CHECK(same_cache(one, other, 4));
  }
}

TEST_CASE("a prompt alone in chunks, whose rows are computed in the cache, equals place and run, which move them there") {
  for (const char* variant : {"mha", "skipv1", "yoco", "resformer", "skipv1_mla", "denseformer"}) {
    CAPTURE(variant);
    const Model model(base(variant));
    Cache<double> one(model.decoder.routing(), 1, 9), other = one;
    Activations<double> a, b;
    const std::vector<std::int32_t> tokens = draw_tokens(8);
    for (const auto& [begin, count] : {std::pair{0, 3}, {3, 4}, {7, 1}}) {
      const Batch chunk{{tokens.begin() + begin, tokens.begin() + begin + count}, {static_cast<std::size_t>(count)}};
      const View<double> logits = model.decoder.forward(chunk, one, a, Keep::nothing, begin < 7 ? Logits::none : Logits::last);
      CHECK(logits.empty() == (begin < 7));
      model.decoder.place(chunk, other, b);
      model.decoder.run(other, b);
      other.grow(chunk.counts);
    }
    CHECK(same_bits(a.logits, b.logits));
    CHECK(same_cache(one, other, 4));
    CHECK(one.lengths() == other.lengths());
  }
}

TEST_CASE("a pass without logits has no loss and is not kept for backward") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3);
  Activations<double> a;
  CHECK(message([&] { model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::for_backward, Logits::none); }) ==
        "a pass kept for backward: needs logits");
  model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::nothing, Logits::none);
  CHECK(message([&] { model.decoder.loss({1, 2, 3}, a); }) == "loss: the forward pass made no logits");
}

TEST_CASE("decoding after a truncated detour equals decoding without it") {
  for (const char* variant : {"mha", "skipv1", "yoco", "resformer", "skipv1_mla", "denseformer"}) {
    CAPTURE(variant);
    const Model model(base(variant));
    Cache<double> straight = filled_cache(model.decoder), detour = straight;
    Activations<double> a, b;
    model.decoder.forward({draw_tokens(5), {4, 1}}, detour, b);
    detour.truncate(0, 5), detour.truncate(1, 3);
    const Batch next{{7, 8, 9}, {1, 2}};
    const View<double> expected = model.decoder.forward(next, straight, a), actual = model.decoder.forward(next, detour, b);
    CHECK(same_bits(actual, expected));
    detour.reset();
    const Batch fresh{draw_tokens(8), {5, 3}};
    Cache<double> empty(model.decoder.routing(), 2, 9);
    CHECK(same_bits(model.decoder.forward(fresh, detour, a), model.decoder.forward(fresh, empty, b)));
  }
}

TEST_CASE("a pass kept for backward computes the same as one that is not") {
  for (const char* variant : {"skipv1", "skipv1_mla", "denseformer"}) {
    CAPTURE(variant);
    const Model model(base(variant));
    Cache<double> one(model.decoder.routing(), 1, 6), other = one;
    Activations<double> a, b;
    const Batch batch{draw_tokens(6), {6}};
    CHECK(same_bits(model.decoder.forward(batch, one, a, Keep::for_backward), model.decoder.forward(batch, other, b)));
    CHECK(a.layers.size() == 4);
    CHECK(b.layers.size() == 1);
    CHECK(&a.layer(2) == &a.layers[2]);
    CHECK(&b.layer(2) == &b.layers[0]);
  }
}

TEST_CASE("activations can be handed from model to model") {
  Config wide = base("mha");
  wide.hidden_size = 32;
  Activations<double> shared;
  for (const Config& config : {base("mha"), wide, base("skipv1_mla"), base("denseformer"), base("mha", Architecture::gpt2)}) {
    CAPTURE(config.attention.variant);
    const Model model(config);
    Cache<double> one(model.decoder.routing(), 1, 5), other = one;
    Activations<double> fresh;
    const Batch batch{draw_tokens(5), {5}};
    CHECK(same_bits(model.decoder.forward(batch, one, shared), model.decoder.forward(batch, other, fresh)));
  }
}

TEST_CASE("the observer is called once a layer, when its attention is done") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 4);
  Activations<double> a;
  std::vector<std::size_t> seen;
  model.decoder.forward({draw_tokens(4), {4}}, cache, a, Keep::nothing, Logits::all, [&](std::size_t l) {
    seen.push_back(l);
    // The first row sees one key: its attention is that key's value, read where the table says.
    const View<const HeadPair<const double>> heads = model.decoder.heads(a, l);
    for (std::size_t h = 0; h < 4; ++h) {
      CHECK(heads(h).value.data == cache.value(model.decoder.routing().value(l, h)).data);
      CHECK(a.layer(l).attention(0, h, 2) == Approx(heads(h).value.at(0, 0)[2]).epsilon(1e-14));
    }
  });
  CHECK(seen == std::vector<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("a training step has the same bits with any number of threads") {
  for (const char* variant : {"skipv1", "svformer", "resformer", "denseformer", "skipv1_mla"}) {
    CAPTURE(variant);
    const Model model(base(variant));
    CHECK(thread_invariant([&] { return training_step(model); }));
  }
  Config pooling = base("skipv1", Architecture::gpt2);
  pooling.attention.injection = Injection::pooling;
  const Model model(pooling);
  CHECK(thread_invariant([&] { return training_step(model); }));
}

TEST_CASE("a training step that makes its logits in parts is one that makes all, to the bit where one part is all") {
  Config tied = base(), untied = base("skipv1_mla"), gpt2 = base("mha", Architecture::gpt2);
  tied.tie_word_embeddings = true, untied.tie_word_embeddings = false;
  for (const Config& config : {tied, untied, gpt2}) {
    CAPTURE(config.attention.variant);
    const Model model(config);
    const Tensor<double> whole = training_step(model);
    CHECK(same_bits<double>(training_step(model, 132 * vocab), whole));
    for (std::size_t rows : {66u, 50u, 5u, 1u})  // 2 x 66, 3 x 44, 26 x 5 and 2, 132 x 1
      CHECK(error<double>(training_step(model, rows * vocab + 12), whole) < 1e-12);
    CHECK(thread_invariant([&] { return training_step(model, 7 * vocab); }));
  }
}

TEST_CASE("a pass in parts and one with all logits are not taken for each other") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3), scratch = cache;
  Activations<double> a;
  const Parameters<double> gradients(base());
  CHECK(model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::for_backward, Logits::in_parts).empty());
  CHECK(message([&] { model.decoder.loss({2, 3, 4}, a); }) == "loss: the forward pass left the logits to run_loss_backward");
  CHECK(message([&] { model.decoder.backward(gradients, scratch, a); }) ==
        "backward: the forward pass left the logits to run_loss_backward");
  cache.reset();
  model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::for_backward);
  CHECK(message([&] { model.decoder.run_loss_backward(1, gradients, scratch, a); }) ==
        "run_loss_backward: the forward pass was not one for backward in parts");
}

TEST_CASE("the steps of a pass are refused in another order, and when they are repeated") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3), scratch = cache;
  Activations<double> a;
  const Parameters<double> gradients(base());
  const Batch batch{{1, 2, 3}, {3}};
  const std::vector<std::int32_t> targets{2, 3, 4};
  const auto pass = [&](Logits wanted = Logits::all) {
    cache.reset();
    model.decoder.forward(batch, cache, a, Keep::for_backward, wanted);
  };
  CHECK(message([&] { model.decoder.run(cache, a); }) == "run: a batch is placed first, once per pass");
  model.decoder.place(batch, cache, a, Keep::for_backward);
  CHECK(message([&] { model.decoder.loss(targets, a); }) ==
        "loss: comes after a forward pass, once where that was kept for backward");
  model.decoder.run(cache, a);
  CHECK(message([&] { model.decoder.run(cache, a); }) == "run: a batch is placed first, once per pass");
  const std::string order = "backward: comes after the loss, once per forward pass";
  CHECK(message([&] { model.decoder.backward(gradients, scratch, a); }) == order);
  model.decoder.loss(targets, a);
  CHECK(message([&] { model.decoder.loss(targets, a); }) ==
        "loss: comes after a forward pass, once where that was kept for backward");
  model.decoder.backward(gradients, scratch, a);
  CHECK(message([&] { model.decoder.backward(gradients, scratch, a); }) == order);
  pass(Logits::in_parts);
  const double scale = model.decoder.place_targets(targets, a);
  model.decoder.run_loss_backward(scale, gradients, scratch, a);
  CHECK(message([&] { model.decoder.run_loss_backward(scale, gradients, scratch, a); }) ==
        "run_loss_backward: comes after a forward pass, once");
  cache.reset();
  const double first = (model.decoder.forward(batch, cache, a), model.decoder.loss(targets, a));
  CHECK(model.decoder.loss(targets, a) == first);  // the logits are still there
}

TEST_CASE("a loss of one's own: backward from the gradient of the logits") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3), scratch = cache;
  Activations<double> a, b;
  const Parameters<double> expected(base()), gradients(base());
  model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::for_backward);
  model.decoder.loss({2, 3, 4}, a);
  Tensor<double> dlogits(a.logits.shape());
  copy(dlogits, a.logits);
  model.decoder.backward(expected, scratch, a);
  cache.reset();
  model.decoder.forward({{1, 2, 3}, {3}}, cache, b, Keep::for_backward);
  const Tensor<double> narrow({3, 2});
  CHECK(message([&] { model.decoder.backward(narrow, gradients, scratch, b); }) == "backward: dlogits (3, 2) of logits (3, 13)");
  model.decoder.backward(dlogits, gradients, scratch, b);
  CHECK(same_bits(gradients.flat(), expected.flat()));
  CHECK(message([&] { model.decoder.backward(dlogits, gradients, scratch, b); }) == "backward: comes after a forward pass, once");
}

TEST_CASE("a cache of another variant is refused") {
  const Model model(base("skipv1"));
  Cache<double> mha(make_routing(base("mha")), 1, 3), own(model.decoder.routing(), 1, 3);
  Activations<double> a;
  const std::string line =
      "a cache whose layer 1 holds 16 and 16 elements per token of keys and values, for a model whose layer holds 16 and 8";
  CHECK(message([&] { model.decoder.forward({{1, 2, 3}, {3}}, mha, a); }) == line);
  model.decoder.forward({{1, 2, 3}, {3}}, own, a, Keep::for_backward);
  model.decoder.loss({2, 3, 4}, a);
  CHECK(message([&] { model.decoder.backward(Parameters<double>(base("skipv1")), mha, a); }) == line);
  Config shallow = base("mha");
  shallow.num_hidden_layers = 2;
  Cache<double> of_two(make_routing(shallow), 1, 3);
  CHECK(message([&] { model.decoder.forward({{1, 2, 3}, {3}}, of_two, a); }) == "a cache of 2 layers for a model of 4");
}

TEST_CASE("backward adds to the gradients") {
  const Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 3), scratch = cache;
  Activations<double> a;
  const auto step = [&](const Parameters<double>& gradients) {
    cache.reset();
    model.decoder.forward({{1, 2, 3}, {3}}, cache, a, Keep::for_backward);
    model.decoder.loss({2, 3, 4}, a);
    model.decoder.backward(gradients, scratch, a);
  };
  const Parameters<double> once(base()), twice(base());
  step(once), step(twice), step(twice);
  CHECK(error<double>(added(twice.flat(), once.flat()), once.flat()) < rounding<double>);
}

TEST_CASE("a decoder refuses a wrong configuration and parameters of another one") {
  Config odd = base("yoco");
  const Parameters<double> parameters(base("mha")), yoco(odd);
  CHECK(message([&] { Decoder<double>(base("skipv1"), parameters); }) ==
        "parameters: model.layers.1.self_attn.v_proj.weight is (16, 16), this configuration's is (8, 16)");
  odd.num_hidden_layers = 3;
  CHECK(message([&] { Decoder<double>(odd, yoco); }) == "variant yoco: num_hidden_layers 3 is odd: must be even");
}

TEST_CASE("scale is one over the root of a query head's width") {
  CHECK(Model(base()).decoder.scale() == 0.5);
  CHECK(Model(base("mla")).decoder.scale() == Approx(1 / std::sqrt(6)).epsilon(1e-15));
}

TEST_CASE("a rectangle of tokens is a batch of equal counts") {
  const std::int32_t tokens[] = {1, 2, 3, 4, 5, 6};
  const Batch batch = Batch::rectangle({tokens, {2, 3}});
  CHECK(batch.tokens == std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
  CHECK(batch.counts == std::vector<std::size_t>{3, 3});
}
