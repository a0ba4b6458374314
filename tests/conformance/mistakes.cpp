// Mistakes that are planted are named, each by its own words.
#include "skipv1/conformance/mistakes.hpp"

#include <sstream>

#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/report.hpp"
#include "skipv1/conformance/unseen_mistakes.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/conformance/case_folder.hpp"

using namespace skipv1;
using namespace skipv1::conformance;
using namespace skipv1::testing;

TEST_CASE("a known mistake is recognised by its numbers, and no other") {
  Config config = small("skipv1", 4, true);
  config.hidden_size = 32, config.norm_epsilon = 1e-3;
  const CaseFolder s(config);
  const auto logits_of = [&](const Config& c, const Parameters<double>& weights, const Routing& routing) {
    const Decoder<double> decoder(c, weights, routing);
    Cache<double> cache(decoder.routing(), s.c.batch(), s.c.length());
    Activations<double> a;
    Tensor<double> logits(s.c.logits.shape());
    const View<double> rows = decoder.forward(Batch::rectangle(s.c.tokens), cache, a);
    std::copy_n(rows.data(), rows.size(), logits.data());
    return logits;
  };
  CHECK(recognise_mistakes(s.c, s.c.logits, 1e-10).empty());
  Config epsilon = config;
  epsilon.norm_epsilon = 1e-5;
  CHECK(recognise_mistakes(s.c, logits_of(epsilon, s.c.weights, make_routing(config)), 1e-10) ==
        std::vector<std::string>{"epsilon of the norms is 1e-05 instead of 0.001"});
  Routing wrong_half = make_routing(config);
  wrong_half.values[4 + 2].head = 0, wrong_half.values[4 + 3].head = 1;
  const Tensor<double> wrong = logits_of(config, s.c.weights, wrong_half);
  REQUIRE(recognise_mistakes(s.c, wrong, 1e-10).size() == 1);
  CHECK_THAT(recognise_mistakes(s.c, wrong, 1e-10)[0], Catch::Contains("the wrong half is reused"));
  write_npy<double>(s.actual / "logits.npy", wrong);
  std::vector<Comparison> all = s.compare();
  recognise_actual(s.c, s.actual, all);
  CHECK(all.at(0).mistakes.size() == 1);
  Report report;
  report.add("x", all);
  CHECK_THAT(report.json()[0]["mistakes"][0].get<std::string>(), Catch::Contains("the wrong half is reused"));
}

TEST_CASE("neighbours as rotary pairs are recognised where queries and keys have biases, too") {
  Config config = small("gqa", 4, true);
  config.hidden_size = 32, config.num_key_value_heads = 2, config.qkv_bias = true;
  const CaseFolder s(config);
  const Parameters<double> wrong(config);
  copy(wrong.flat(), s.c.weights.flat());
  double largest = 0;
  for (std::size_t l = 0; l < config.num_hidden_layers; ++l) {
    for (const char* name : {"q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias"}) {
      const std::string full = "model.layers." + std::to_string(l) + ".self_attn." + name;
      const View<const double> right = s.c.weights[full];
      const View<double> rows = wrong[full];
      const std::size_t row = right.size() / right.extent(0), head = config.head_width();
      for (std::size_t i = 0; i < right.extent(0); ++i) {  // row i of the halves is row `from` of the neighbours
        const std::size_t within = i % head, from = i - within + (within < head / 2 ? 2 * within : 2 * (within - head / 2) + 1);
        for (std::size_t j = 0; j < row; ++j) rows.data()[i * row + j] = right.data()[from * row + j];
        if (row == 1) largest = std::max(largest, std::abs(right.data()[i]));
      }
    }
  }
  REQUIRE(largest > 0);
  const Decoder<double> decoder(config, wrong);
  Cache<double> cache(decoder.routing(), s.c.batch(), s.c.length());
  Activations<double> a;
  Tensor<double> logits(s.c.logits.shape());
  const View<double> rows = decoder.forward(Batch::rectangle(s.c.tokens), cache, a);
  std::copy_n(rows.data(), rows.size(), logits.data());
  CHECK(recognise_mistakes(s.c, logits, 1e-10) ==
        std::vector<std::string>{"rotary pairs are neighbours (2i, 2i+1) instead of halves (i, i + d/2)"});
}

TEST_CASE("mistakes of the rotation, of one half of a table and of the block's order are recognised by their own words") {
  Config config = small("gqa", 4, true);
  config.hidden_size = 32, config.num_key_value_heads = 2, config.norm_epsilon = 1e-3;
  const CaseFolder s(config);
  Rules right;
  right.inner = Rules::Inner::silu;
  const auto found = [&](const Rules& rules, const Routing& routing) {
    return recognise_mistakes(s.c, altered_pass(config, s.c.weights, routing, s.c.tokens, rules), 1e-10);
  };
  CHECK(found(right, make_routing(config)).empty());
  const std::pair<const char*, void (*)(Rules&)> rules[] = {
      {"keys are rotated twice, as where they are cached and again where they are read",
       [](Rules& r) { r.rotates_keys_twice = true; }},
      {"queries are rotated twice", [](Rules& r) { r.rotates_queries_twice = true; }},
      {"queries and keys are rotated twice", [](Rules& r) { r.rotates_queries_twice = r.rotates_keys_twice = true; }},
      {"the feed-forward reads what attention reads: the block's input through the first norm",
       [](Rules& r) { r.norms = Rules::Order::parallel_of_one; }}};
  for (const auto& [words, change] : rules) {
    Rules wrong = right;
    change(wrong);
    CHECK(found(wrong, make_routing(config)) == std::vector<std::string>{words});
  }
  const std::string groups = "query head h reads group h mod H_kv instead of floor(h H_kv / H)";
  for (const std::string part : {"", " (of values alone)", " (of keys alone)"}) {
    Routing wrong = make_routing(config);
    for (std::size_t l = 0; l < config.num_hidden_layers; ++l)
      for (std::size_t h = 0; h < 4; ++h) {
        if (part != " (of values alone)") wrong.keys[l * 4 + h].head = h % 2;
        if (part != " (of keys alone)") wrong.values[l * 4 + h].head = h % 2;
      }
    CHECK(found(right, wrong) == std::vector<std::string>{groups + part});
  }
}

TEST_CASE("what layers find in the place of shared values, and each new rule, is recognised by its own words and no other's") {
  using Shared = Rules::Shared;
  const std::pair<const char*, void (*)(Rules&)> rules[] = {
      {"what the causal mask hides has score 0 instead of -inf", [](Rules& r) { r.mask = Rules::Mask::filled; }},
      {"what the causal mask hides has score -10 instead of -inf",
       [](Rules& r) { r.mask = Rules::Mask::filled, r.masked_score = -10; }},
      {"the causal mask adds -10 to scores instead of -inf", [](Rules& r) { r.mask = Rules::Mask::added, r.masked_score = -10; }},
      {"a sliding window: a query sees the last 3 keys alone, its own among them, in layer 1 alone",
       [](Rules& r) { r.mask = Rules::Mask::window, r.window = 3, r.window_layer = 1, r.window_every = 3; }},
      {"the softmax runs over heads instead of keys", [](Rules& r) { r.softmax = Rules::Softmax::over_heads; }},
      {"values are computed from the norm's input instead of its output", [](Rules& r) { r.unnormed_values = true; }},
      {"keys and values are split as (d_h, H) instead of (H, d_h)", [](Rules& r) { r.strided_keys = r.strided_values = true; }},
      {"norms divide by the root of the sum of squares instead of their mean", [](Rules& r) { r.sums_squares = true; }},
      {"the output head's matrix (V, d) is reshaped to (d, V) instead of transposed", [](Rules& r) { r.reshaped_head = true; }},
      {"shared values are their layer's v_proj of the reading layer's input", [](Rules& r) { r.shared = Shared::of_this_input; }},
      {"shared values are one position late", [](Rules& r) { r.shared = Shared::one_late; }},
      {"a layer hands on its attention's output, before o_proj, instead of its values",
       [](Rules& r) { r.shared = Shared::of_attention; }},
      {"shared values have gone through their layer's o_proj", [](Rules& r) { r.shared = Shared::of_output_weights; }},
      {"shared values have gone through their layer's o_proj, without its bias",
       [](Rules& r) { r.shared = Shared::without_output_bias; }}};
  for (const Architecture architecture : {Architecture::llama, Architecture::gpt2}) {
    Config config = small("skipv1", 4, true);
    config.architecture = architecture, config.hidden_size = 32, config.num_hidden_layers = 3, config.norm_epsilon = 1e-3;
    config.o_bias = architecture == Architecture::llama;
    const CaseFolder s(config);
    const auto found = [&](const Rules& given, Routing routing = {}) {
      if (routing.layers == 0) routing = make_routing(config);
      return recognise_mistakes(s.c, altered_pass(config, s.c.weights, routing, s.c.tokens, given), 1e-10);
    };
    Rules right;
    if (architecture == Architecture::llama) right.inner = Rules::Inner::silu;
    CHECK(found(right).empty());
    for (const auto& [words, change] : rules) {
      Rules wrong = right;
      change(wrong);
      CHECK(found(wrong) == std::vector<std::string>{words});
    }
    Routing of_layer_1 = make_routing(config);  // whose two heads are its own
    for (std::size_t h = 2; h < 4; ++h) of_layer_1.values[2 * 4 + h] = {1, h - 2};
    CHECK(found(right, of_layer_1) ==
          std::vector<std::string>{"layer 1 is the source of all shared values, its heads repeated where it owns fewer"});
  }
}

TEST_CASE(
    "a sliding window is recognised with its width, and so are a squared GELU, a residual without its embedding, moved tokens") {
  for (const Architecture architecture : {Architecture::llama, Architecture::gpt2}) {
    Config config = small("skipv1", 4, true);
    config.architecture = architecture, config.hidden_size = 32, config.num_hidden_layers = 3;
    const CaseFolder s(config);
    Rules right;
    if (architecture == Architecture::llama) right.inner = Rules::Inner::silu;
    const auto found = [&](const Rules& rules, View<const std::int32_t> tokens, double bound = 1e-10) {
      return recognise_mistakes(s.c, altered_pass(config, s.c.weights, make_routing(config), tokens, rules), bound);
    };
    CHECK(found(right, s.c.tokens).empty());
    const std::string windows[] = {"its own key alone", "the last 2 keys alone, its own among them",
                                   "the last 3 keys alone, its own among them", "the last 4 keys alone, its own among them",
                                   "the last 5 keys alone, its own among them"};
    REQUIRE(s.c.length() == std::size(windows) + 1);  // a wider one is none
    Rules wrong = right;
    wrong.mask = Rules::Mask::window;
    for (wrong.window = 1; wrong.window <= s.c.length(); ++wrong.window) {
      std::vector<std::string> words;
      if (wrong.window < s.c.length()) words.push_back("a sliding window: a query sees " + windows[wrong.window - 1]);
      CHECK(found(wrong, s.c.tokens) == words);
    }
    wrong = right, wrong.final_embedding = false;
    CHECK(found(wrong, s.c.tokens) == std::vector<std::string>{"what the final norm reads lacks the embedding"});
    wrong = right, wrong.inner = Rules::Inner::squared_gelu;
    CHECK(found(wrong, s.c.tokens) ==
          std::vector<std::string>{"the feed-forward's function is GELU by tanh with x^2 in the place of x^3"});
    const auto moved = [&](const char* words, std::size_t from, bool zero) {  // position t has the token of position t + from
      Tensor<std::int32_t> tokens(s.c.tokens.shape());
      for (std::size_t b = 0; b < s.c.batch(); ++b)
        for (std::size_t t = 0; t < s.c.length(); ++t)
          tokens(b, t) = zero && t == 0 ? 0 : s.c.tokens(b, (t + from) % s.c.length());
      CHECK(found(right, tokens) == std::vector<std::string>{words});
    };
    moved("each position reads the token before its own, the first one the last", s.c.length() - 1, false);
    moved("each position reads the token before its own, the first one token 0", s.c.length() - 1, true);
    moved("each position reads the next token, the last one the first", 1, false);
  }
}

TEST_CASE("of a sliding window whose first key left out weighs too little to be seen, the width is recognised") {
  Config config = small("skipv1", 4, true);
  config.hidden_size = 32;
  const CaseFolder s(config);
  Rules wrong;
  wrong.inner = Rules::Inner::silu, wrong.mask = Rules::Mask::window;
  int tried = 0;
  for (wrong.window = 2; wrong.window + 1 < s.c.length(); ++wrong.window) {
    const Tensor<double> logits = altered_pass(config, s.c.weights, make_routing(config), s.c.tokens, wrong);
    double first = 0, all = 0, largest = 0;  // what the window changes: at the first position that lacks a key, and anywhere
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double change = std::abs(logits.data()[i] - s.c.logits.data()[i]);
      largest = std::max(largest, std::abs(s.c.logits.data()[i])), all = std::max(all, change);
      if (i / config.vocab_size % s.c.length() == wrong.window) first = std::max(first, change);
    }
    if (1.1 * first >= all) continue;
    ++tried;
    const std::vector<std::string> found = recognise_mistakes(s.c, logits, 1.05 * first / largest);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0], Catch::Contains("sees the last " + std::to_string(wrong.window) + " keys alone"));
  }
  CHECK(tried > 0);
}

TEST_CASE("without the norms' biases, the last one's included, logits are recognised") {
  Config config = small("skipv1", 2, true);
  config.architecture = Architecture::gpt2;
  const CaseFolder s(config);
  const Parameters<double> wrong(config);
  copy(wrong.flat(), s.c.weights.flat());
  for (const ParameterLayout::Entry& entry : wrong.layout().entries())
    if (entry.name.ends_with("norm.bias")) std::fill_n(wrong[entry.name].data(), wrong[entry.name].size(), 0.0);
  const Tensor<double> logits = altered_pass(config, wrong, make_routing(config), s.c.tokens, Rules());
  CHECK(recognise_mistakes(s.c, logits, 1e-10) == std::vector<std::string>{"the norms' biases are left out"});
}

TEST_CASE("what logits of 16 bits do not show is listed, unless another case shows it") {
  Config config = small("skipv1", 2, true);
  config.architecture = Architecture::gpt2, config.norm_epsilon = 1e-3;
  CaseFolder s(config);
  const auto listed = [](const std::vector<Case*>& cases) {
    UnseenMistakes unseen;
    for (const Case* c : cases) unseen.add(*c);
    std::ostringstream out;
    unseen.print(out);
    return out.str();
  };
  CHECK(listed({}).empty());
  const std::string erf = "  the feed-forward's function is GELU by erf\n";
  CHECK_THAT(listed({&s.c}), Catch::StartsWith("with logits of 16 bits this case does not show the mistakes below, "));
  CHECK_THAT(listed({&s.c}), Catch::Contains(erf) && !Catch::Contains("bfloat16") && !Catch::Contains("there is no causal mask"));
  CaseFolder fine(config);
  fine.c.bounds.set("bf16", "logits", 1e-9);
  CHECK(listed({&s.c, &fine.c}).empty());
  CaseFolder coarse(config);
  coarse.c.bounds.set("f32", "logits", 1);
  CHECK(listed({&coarse.c}).empty());  // nor would float32 show it
}
