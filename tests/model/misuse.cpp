// What a program can get wrong with a model, its parameters, caches and activations: each is refused by one line, before memory
// is touched, or does not compile.
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/checkpoint.hpp"
#include "skipv1/model/generate.hpp"
#include "skipv1/training/trainer.hpp"
#include "tests/catch.hpp"
#include "tests/model/small_decoder.hpp"

using namespace skipv1;
using namespace skipv1::test;
using namespace skipv1::test::small;

namespace {

constexpr std::size_t minus_one = std::numeric_limits<std::size_t>::max();  // what -1 becomes

// Over temporaries.
static_assert(std::is_constructible_v<Decoder<double>, const Config&, const Parameters<double>&>);
static_assert(!std::is_constructible_v<Decoder<double>, const Config&, Parameters<double>>);
static_assert(!std::is_constructible_v<Decoder<double>, const Config&, Parameters<double>, Routing>);
static_assert(!std::is_constructible_v<DecodingStep<double, Cpu>, Decoder<double>, Cache<double>&>);
static_assert(!std::is_constructible_v<View<double>, Tensor<double>>);
template <class Part>
concept Writable = std::is_same_v<Part, View<double>>;
template <class X>
concept GivesWritableParts =
    Writable<decltype(std::declval<X>().slice(0, 1))> || Writable<decltype(std::declval<X>().reshape({}))>;
template <class X>
concept GivesWritableTensors = Writable<decltype(std::declval<X>().flat())> || Writable<decltype(std::declval<X>()["name"])>;
static_assert(!GivesWritableParts<Tensor<double>> && GivesWritableParts<Tensor<double>&>);
static_assert(!GivesWritableTensors<Parameters<double>> && GivesWritableTensors<const Parameters<double>&>);

/// A pass over two sequences of four tokens and its loss, ready for backward.
struct MisusedPass {
  Model model{base()};
  Cache<double> cache{model.decoder.routing(), 2, 4};
  Activations<double> a;
  Parameters<double> gradients{base()};

  MisusedPass() {
    model.decoder.forward({draw_tokens(8), {4, 4}}, cache, a, Keep::for_backward);
    model.decoder.loss(draw_tokens(8), a);
  }
  std::string backward(const Parameters<double>& to, Cache<double> scratch) {
    return message([&] { model.decoder.backward(to, scratch, a); });
  }
};

}  // namespace

TEST_CASE("misuse: gradients that go where they have no place") {
  MisusedPass p;
  const Routing& routing = p.model.decoder.routing();
  CHECK(p.backward(p.gradients, {routing, 1, 4}) ==
        "backward: cache_gradients of 1 sequences of 4 positions, for a pass over 2 of 4");
  CHECK(p.backward(p.gradients, {routing, 2, 3}) ==
        "backward: cache_gradients of 2 sequences of 3 positions, for a pass over 2 of 4");
  CHECK(p.backward(p.model.parameters, {routing, 2, 4}) == "backward: the gradients given are the model's own parameters");
  CHECK(message([&] { p.model.decoder.backward(p.gradients, p.cache, p.a); }) ==
        "backward: cache_gradients is the pass's own cache, which is read");
  CHECK(largest<double>(p.gradients.flat()) == 0);
  CHECK(p.backward(p.gradients, {routing, 2, 4}).empty());  // what was refused has changed nothing
}

TEST_CASE("misuse: steps of one pass by two models, or with two caches") {
  MisusedPass p;
  const Model twin(base());
  Config config = base();
  config.vocab_size = 500;
  const Model wide(config);
  Cache<double> scratch(twin.decoder.routing(), 2, 4);
  CHECK(message([&] { twin.decoder.backward(p.gradients, scratch, p.a); }) ==
        "backward: these activations are of another model's pass, or of none");
  p.cache.reset();
  p.model.decoder.forward({draw_tokens(8), {4, 4}}, p.cache, p.a);
  CHECK(message([&] { wide.decoder.loss(std::vector<std::int32_t>(8, 499), p.a); }) ==
        "loss: these activations are of another model's pass, or of none");
  Cache<double> placed(twin.decoder.routing(), 1, 4), other = placed;
  twin.decoder.place({{1, 2}, {2}}, placed, p.a);
  CHECK(message([&] { twin.decoder.run(other, p.a); }) == "forward: the batch was placed for another cache");
}

TEST_CASE("misuse: models, tables and caches that were moved away") {
  Model model(base());
  Cache<double> cache(model.decoder.routing(), 1, 4);
  Activations<double> a;
  Decoder<double> moved = std::move(model.decoder);
  const auto forward = [&](const Decoder<double>& decoder, Cache<double>& in) {
    return message([&] { decoder.forward({{1}, {1}}, in, a); });
  };
  CHECK(forward(moved, cache).empty());
  CHECK(forward(model.decoder, cache) == "a model that was moved away");  // NOLINT: that is what is tested
  const std::string table = ": it was moved away, or not made by count_owned";
  CHECK(message([&] { Cache<double>(model.decoder.routing(), 1, 4); }) ==
        "routing: a table of 4 layers that lists the heads of 0" + table);
  CHECK(message([&] { Cache<double>(Routing{}, 1, 4); }) == "routing: a table of 0 layers that lists the heads of 0" + table);
  Cache<double> kept = std::move(cache);
  CHECK(forward(moved, cache) == "a cache of 0 layers for a model of 4");  // NOLINT
  const Parameters<double> parameters = std::move(model.parameters);       // their memory lives on, and the decoder over it
  CHECK(forward(moved, kept).empty());
  CHECK(message([&] { Decoder<double>(base(), model.parameters); }) ==  // NOLINT
        "parameters: model.embed_tokens.weight is missing, this configuration has it");
}

TEST_CASE("misuse: sizes that were negative, or that no memory has") {
  const Model model(base());
  const Routing& routing = model.decoder.routing();
  CHECK(message([&] {
          Tensor<float>({minus_one, 2});
        }) == "a tensor (18446744073709551615, 2) of 4 bytes per element: larger than any memory");
  const std::size_t half = minus_one / 2 + 1;
  CHECK_THROWS_AS(Tensor<float>({half, 2}), Error);  // their product is 0 in 64 bits
  CHECK(Tensor<float>({half, 0}).empty());
  CHECK(message([&] { Cache<double>(routing, 1, half); }) ==
        "a cache of 1 sequences of 9223372036854775808 positions: must be at most 2147483647 each");
  CHECK_THROWS_AS(Cache<double>(routing, minus_one, 1), Error);
  Cache<double> cache(routing, 2, 4);
  Activations<double> a;
  model.decoder.forward({{1, 2}, {1, 1}}, cache, a);
  CHECK(message([&] {
          model.decoder.forward({{1}, {minus_one, 2}}, cache, a);
        }) ==  // the counts' sum is 1
        "sequence 0 would be 18446744073709551615 tokens long: max_position_embeddings is 80");
  for (const std::size_t count : {minus_one, std::size_t{1} << 50})
    CHECK(message([&] { generate(model.decoder, {{1}}, count, {.temperature = 0}, 1); }) ==
          "sequence 0 would be 81 tokens long: max_position_embeddings is 80");
  for (const int n : {0, -3, 1000000})
    CHECK(message([&] { set_threads(n); }) == "set_threads: " + std::to_string(n) + ": must be 1 to 4096");
}

TEST_CASE("misuse: configurations that are no model's, before anything is made of them") {
  const auto refusal = [](std::size_t Config::*field, std::size_t value) {
    Config c = base();
    c.*field = value;
    const std::string line = message([&] { Parameters<float>{c}; });
    CHECK(message([&] { make_routing(c); }) == line);
    return line;
  };
  CHECK(refusal(&Config::num_attention_heads, 0) == "num_attention_heads is 0: must be 1 to 4096");
  CHECK(refusal(&Config::num_attention_heads, 3) == "hidden_size 16 is not a multiple of num_attention_heads 3");
  CHECK(refusal(&Config::hidden_size, minus_one) == "hidden_size is 18446744073709551615: must be 1 to 2147483647");
}

TEST_CASE("misuse: layers, heads and blocks that are not there") {
  MisusedPass p;
  CHECK(message([&] { p.cache.keys(4); }) == "a cache of 4 layers has no layer 4");
  CHECK(message([&] { p.cache.value({1, 7}); }) == "a cache's layer holds 8 elements per token: no head 7 of width 4");
  CHECK(message([&] { p.model.decoder.routing().value(9, 0); }) ==
        "routing: a table of 4 layers and 4 heads, 16 in all, has no head 0 of layer 9");
  CHECK(message([&] { p.a.layer(4); }) == "activations of 4 layers: no layer 4");
  Activations<double> none;
  CHECK(message([&] { none.layer(0); }) == "activations of 0 layers: no layer 0");
  CHECK(message([&] { none.block_output(0); }) == "activations of 0 layers: no block 0");
}

TEST_CASE("misuse: a table given in place of the configuration's own") {
  const Model model(base());
  const auto refusal = [&](const auto& change) {
    Routing table = model.decoder.routing();
    change(table);
    return message([&] { Decoder<double>(base(), model.parameters, table); });
  };
  CHECK(refusal([](Routing& t) { t.values.resize(3); }) == "the routing table given: 16 keys and 3 values: must be 16 each");
  CHECK(refusal([](Routing& t) {
          t.keys[0] = {0, 0, 1};
        }) == "the routing table given: layer 0 head 0 reads the mean of two keys: only values have means");
  const std::string reads = "the routing table given: layer 0 head 0 reads what neither it nor an earlier layer owns";
  CHECK(refusal([](Routing& t) { t.values[0] = {3, 0}; }) == reads);
  CHECK(refusal([](Routing& t) { t.keys[0] = {}; }) == reads);
  CHECK(refusal([](Routing& t) { t.readers.clear(); }).empty());  // they are found anew
}

TEST_CASE("misuse: a trainer and a checkpoint of another model's parameters") {
  const TrainingOptions options{.batch = 1, .length = 4};
  const auto of = [](const char* variant) { return initial_parameters<double>(base(variant), 1); };
  const Parameters<double> cla = of("cla_v"), yoco = of("yoco_v"), mha = of("mha");
  REQUIRE(cla.layout().size() == yoco.layout().size());  // only names tell them apart
  CHECK(message([&] { Trainer<double>(base("yoco_v"), options, cla); }) ==
        "parameters: model.layers.1.self_attn.v_proj.weight is missing, this configuration has it");
  Trainer<double> trainer(base("yoco_v"), options, yoco);
  const auto refusal = [&](const Parameters<double>& p, const Parameters<double>& m, const Parameters<double>& v) {
    const std::string line = message([&] { trainer.restore(3, p, m, v); });
    CHECK(trainer.steps() == 0);
    CHECK(same_bits<double>(trainer.parameters().flat(), yoco.flat()));
    return line;
  };
  CHECK(refusal(cla, yoco, yoco) == "parameters: model.layers.1.self_attn.v_proj.weight is missing, this configuration has it");
  CHECK(refusal(mha, mha, yoco) == "restore: first moment: 6752 elements, this configuration has 6240");
  CHECK(refusal(mha, yoco, cla).starts_with("restore: second moment: model.layers.1.self_attn.v_proj.weight is missing"));
  CHECK(message([&] { write_checkpoint("build", base("yoco_v"), cla); }) ==
        "checkpoint: model.layers.1.self_attn.v_proj.weight is missing, this configuration has it");
}

TEST_CASE("misuse: two trainers of one model's parameters train copies of their own") {
  const Parameters<double> initial = initial_parameters<double>(base(), 1);
  const TrainingOptions options{.batch = 1, .length = 4};
  Trainer<double> one(base(), options, initial), other(base(), options, initial);
  const auto last = [](Trainer<double>& trainer) {
    double loss = 0;
    for (int i = 0; i < 3; ++i) loss = trainer.step({1, 2, 3, 4}, {2, 3, 4, 5}).loss;
    return loss;
  };
  const double first = last(one);
  CHECK(last(other) == first);
  const Parameters<double> again = initial_parameters<double>(base(), 1);
  CHECK(same_bits<double>(initial.flat(), again.flat()));
}

TEST_CASE("misuse: what a pass or a decoder reads is gone") {
  const auto gone = std::string("the parameters that this decoder reads are gone");
  static_assert(!std::is_copy_constructible_v<Activations<double>> && std::is_move_constructible_v<Activations<double>>);
  MisusedPass p;
  Cache<double> scratch(p.model.decoder.routing(), 2, 4), moved = std::move(p.cache);
  p.cache = Cache<double>(p.model.decoder.routing(), 2, 4);  // the moved one still holds what is read
  CHECK(p.backward(p.gradients, scratch).empty());
  MisusedPass q;
  q.cache = Cache<double>(q.model.decoder.routing(), 2, 4);
  CHECK(q.backward(q.gradients, scratch) == "backward: the cache of the forward pass, which is read, is gone or was assigned to");

  auto parameters = std::make_unique<Parameters<double>>(initial_parameters<double>(base(), 1));
  const Decoder<double> decoder(base(), *parameters);
  Cache<double> cache(decoder.routing(), 2, 4);
  Activations<double> a;
  const auto loss = [&](const Decoder<double>& of) {
    cache.reset();
    of.forward({draw_tokens(8), {4, 4}}, cache, a);
    return of.loss(draw_tokens(8), a);
  };
  const double first = loss(decoder);
  const Parameters<double> other = initial_parameters<double>(base(), 2);
  *parameters = other;  // where the decoder reads them
  CHECK(loss(decoder) == loss(Decoder<double>(base(), other)));
  CHECK(loss(decoder) != first);
  *parameters = initial_parameters<double>(base("mha"), 1);  // larger
  CHECK(message([&] { loss(decoder); }) == "forward: " + gone);
  const Decoder<double> second(base("mha"), *parameters);
  Cache<double> full(second.routing(), 2, 4);
  second.forward({draw_tokens(8), {4, 4}}, full, a);
  parameters.reset();
  CHECK(message([&] { second.loss(draw_tokens(8), a); }) == "loss: " + gone);

  const auto of_one = [](const char* name, Shape shape) {
    return Parameters<double>(ParameterLayout(std::vector<ParameterLayout::Entry>{{name, shape}}));
  };
  Parameters<double> one = of_one("a", {8, 16});
  const Lifetime::Watch watch(one.lifetime());
  one = of_one("a", {8, 16});
  CHECK(!watch.over());
  one = of_one("b", {8, 16});  // as many elements, but another tensor
  CHECK(watch.over());
}

TEST_CASE("misuse: activations that were moved away serve again") {
  MisusedPass p;
  Activations<double> taken = std::move(p.a);
  p.cache.reset();
  p.model.decoder.forward({draw_tokens(8), {4, 4}}, p.cache, p.a, Keep::for_backward);  // NOLINT: that is what is tested
  CHECK(p.model.decoder.loss(draw_tokens(8), p.a) > 0);
  Cache<double> scratch(p.model.decoder.routing(), 2, 4);
  CHECK(message([&] { p.model.decoder.backward(p.gradients, scratch, taken); }).empty());
}

TEST_CASE("misuse: an observer that throws leaves nothing behind that passes for a result") {
  MisusedPass p;
  const auto broken = [&](Activations<double>& a) {
    p.cache.reset();
    p.model.decoder.forward({draw_tokens(8), {4, 4}}, p.cache, a, Keep::for_backward, Logits::all, [](std::size_t l) {
      if (l == 1) throw std::runtime_error("the observer's own");
    });
  };
  const double before = p.model.decoder.loss(draw_tokens(8), [&]() -> Activations<double>& {
    p.cache.reset();
    p.model.decoder.forward({draw_tokens(8), {4, 4}}, p.cache, p.a);
    return p.a;
  }());
  CHECK_THROWS_WITH(broken(p.a), "the observer's own");
  CHECK(p.cache.lengths() == std::vector<std::size_t>{0, 0});
  CHECK(message([&] { p.model.decoder.loss(draw_tokens(8), p.a); }) ==
        "loss: comes after a forward pass, once where that was kept for backward");
  p.model.decoder.forward({draw_tokens(8), {4, 4}}, p.cache, p.a);
  CHECK(p.model.decoder.loss(draw_tokens(8), p.a) == before);
}

TEST_CASE("misuse: steps that throw in the middle of a training change nothing") {
  const TrainingOptions options{.batch = 1, .length = 4};
  Trainer<double> trainer(base(), options, 1), untouched(base(), options, 1);
  CHECK_THROWS_AS(trainer.step({1, 2, 3, 4}, {2}), Error);
  CHECK_THROWS_AS(trainer.step({1, 2, 3, -4}, {2, 3, 4, 5}), Error);
  CHECK_THROWS_AS(trainer.step({1, 2, 3, 4}, {2, 3, 4, 1000}), Error);
  CHECK(trainer.steps() == 0);
  for (int i = 0; i < 2; ++i)
    CHECK(trainer.step({1, 2, 3, 4}, {2, 3, 4, 5}).loss == untouched.step({1, 2, 3, 4}, {2, 3, 4, 5}).loss);
}

TEST_CASE("misuse: numbers of steps, processes and ranges that count nothing, and views of nothing") {
  Tensor<float> x = zeros<float>({4}), m = x, v = x, g = x;
  CHECK(message([&] { adamw<float>(x, m, v, g, AdamW{}, 0, 0, 1.0); }) == "adamw: step 0: steps are counted from 1");
  Optimizer<float> optimizer;
  CHECK(message([&] {
          optimizer.run({ParameterGroup<float>{x, x, m, v, g}}, 1.0);
        }) == "adamw: step 0: steps are counted from 1");
  CHECK(message([] { shard(10, 0, 0); }) == "shard: process 0 of 0: they are counted from 0");
  CHECK(message([] { parallel_ranges(3, 0, [](std::size_t, std::size_t) {}); }) ==
        "parallel_ranges: ranges of 0: must be 1 at least");
  CHECK(message([&] { copy<float>(x, View<const float>(nullptr, {4})); }) == "copy: of two tensors (4) one is a view of nothing");
  CHECK(message([] { rope_table<float>(2, 5, 10000.0); }) == "rope_table: width 5, theta 10000: must be even, and positive");
  CHECK(message([] { rope_table<float>(2, 4, 0.0); }) == "rope_table: width 4, theta 0: must be even, and positive");
  CHECK(message([] { routing::own_layer({.layers = 2, .heads = 0, .kv_heads = 0}); }) ==
        "routing: a table of 2 layers and 0 heads: must have one of each at least");
  CHECK(message([] { fill_routing({}, HeadOf(), HeadOf()); }) == "an empty function was called");
}
