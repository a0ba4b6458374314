#include "skipv1/conformance/mistakes.hpp"

#include <cmath>
#include <functional>
#include <sstream>

#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/compare.hpp"
#include "skipv1/conformance/mistake_lists.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/model/decoder.hpp"

namespace skipv1::conformance {

namespace {

using Names = std::vector<HeadName>;

/// The same model with something wrong.
struct Wrong {
  explicit Wrong(const Case& c) : config(c.config), weights(c.config), routing(make_routing(c.config)), tokens(c.tokens.shape()) {
    copy(weights.flat(), c.weights.flat());
    std::copy_n(c.tokens.data(), c.tokens.size(), tokens.data());
  }
  /// Calls `change(name, x)` on every tensor whose name contains `part`.
  template <class Change>
  void each(const std::string& part, const Change& change) {
    for (const ParameterLayout::Entry& entry : weights.layout().entries())
      if (entry.name.find(part) != entry.name.npos) change(entry.name, weights[entry.name]);
  }

  Config config;
  Parameters<double> weights;
  Routing routing;
  Tensor<std::int32_t> tokens;
};

/// Calls `judge` with the words and the logits (B, T, V) of every mistake that is wanted and that the case's configuration
/// allows.
class Mistakes {
 public:
  using Wanted = std::function<bool(const std::string& words)>;
  using Judge = std::function<void(const std::string& words, View<const double> made)>;
  /// `windows`: how many keys a query sees where a sliding window is tried.
  Mistakes(const Case& c, const std::vector<std::size_t>& windows, Wanted wanted, Judge judge)
      : case_(c), windows_(windows), wanted_(std::move(wanted)), judge_(std::move(judge)) {}

  void run() {
    try_tables();
    try_rules();
    try_tokens();
    try_constants();
    try_weights();
    try_heads();
  }

 private:
  template <class Change>
  void attempt(const std::string& words, const Change& change) {
    if (!wanted_(words)) return;
    try {
      Wrong wrong(case_);
      change(wrong);
      const Decoder<double> decoder(wrong.config, wrong.weights, wrong.routing);
      Cache<double> cache(decoder.routing(), case_.batch(), case_.length());
      Activations<double> a;
      const View<double> rows = decoder.forward(Batch::rectangle(wrong.tokens), cache, a);
      judge_(words, {rows.data(), case_.logits.shape()});
    } catch (const Error&) {  // a mistake that this configuration does not allow
    }
  }

  void try_tables() {
    Rules rules;
    if (!case_.config.gpt2()) rules.inner = Rules::Inner::silu;
    for (const TableMistake& mistake : table_mistakes(case_.config)) {
      if (!wanted_(mistake.words)) continue;
      try {
        Routing routing = make_routing(case_.config);
        mistake.change(routing);
        judge_(mistake.words, altered_pass(case_.config, case_.weights, routing, case_.tokens, rules));
      } catch (const Error&) {  // a head that is not there
      }
    }
  }
  void try_rules() {
    for (const RuleMistake& mistake : rule_mistakes(case_.config, windows_)) {
      if (!wanted_(mistake.words)) continue;
      const Tensor<double> made =
          altered_pass(case_.config, case_.weights, make_routing(case_.config), case_.tokens, mistake.rules);
      judge_(mistake.words, made);
    }
  }

  /// Other tokens than the case's; `move` is of one sequence.
  void try_tokens() {
    const auto attempt_move = [&](const char* words, void (*move)(std::int32_t * begin, std::int32_t * end)) {
      attempt(words, [&](Wrong& wrong) {
        for (std::size_t b = 0; b < case_.batch(); ++b) move(&wrong.tokens(b, 0), &wrong.tokens(b, 0) + case_.length());
      });
    };
    attempt_move("each position reads the token before its own, the first one the last",
                 [](std::int32_t* begin, std::int32_t* end) { std::rotate(begin, end - 1, end); });
    attempt_move("each position reads the next token, the last one the first",
                 [](std::int32_t* begin, std::int32_t* end) { std::rotate(begin, begin + 1, end); });
    attempt_move("each position reads the token before its own, the first one token 0",
                 [](std::int32_t* begin, std::int32_t* end) { std::copy_backward(begin, end - 1, end), *begin = 0; });
  }

  void try_constants() {
    for (const double epsilon : {1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12}) {
      std::ostringstream words;
      words << "epsilon of the norms is " << epsilon << " instead of " << case_.config.norm_epsilon;
      attempt(words.str(), [&](Wrong& wrong) { wrong.config.norm_epsilon = epsilon; });
    }
    for (const double theta : {100.0, 1e4, 1e5, 5e5, 1e6}) {
      std::ostringstream words;
      words << "rope_theta is " << theta << " instead of " << case_.config.rope_theta;
      attempt(words.str(), [&](Wrong& wrong) { wrong.config.rope_theta = theta; });
    }
    for (const ConfigMistake& mistake : rope_mistakes(case_.config))
      attempt(mistake.words, [&](Wrong& wrong) { wrong.config = mistake.config; });
    attempt("lambda is 0.5, whatever the configuration and the weights say", [](Wrong& wrong) {
      wrong.config.attention.value_mix = 0.5;
      wrong.each("value_mix", [](const std::string&, View<double> x) { x.data()[0] = 0.5; });
    });
    attempt("the learned lambda is left unread: it is the configuration's", [&](Wrong& wrong) {
      wrong.each("value_mix", [&](const std::string&, View<double> x) { x.data()[0] = case_.config.attention.value_mix; });
    });
    attempt("lambda and 1 - lambda are swapped", [](Wrong& wrong) {
      wrong.config.attention.value_mix = 1 - wrong.config.attention.value_mix;
      wrong.each("value_mix", [](const std::string&, View<double> x) { x.data()[0] = 1 - x.data()[0]; });
    });
    attempt("lambda goes through a sigmoid", [](Wrong& wrong) {
      const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
      wrong.config.attention.value_mix = sigmoid(wrong.config.attention.value_mix);
      wrong.each("value_mix", [&](const std::string&, View<double> x) { x.data()[0] = sigmoid(x.data()[0]); });
    });
    for (const Injection injection :
         {Injection::second_half, Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer})
      attempt(std::string("injection is ") + to_string(injection), [=](Wrong& wrong) {
        wrong.config.attention.injection = injection;
        validate(wrong.config);
        wrong.routing = make_routing(wrong.config);
      });
    try_scales();
  }

  void try_scales() {
    const double own = static_cast<double>(case_.config.query_width()), d = static_cast<double>(case_.config.hidden_size),
                 head = static_cast<double>(case_.config.head_width());
    attempt_scale("scores are not scaled", std::sqrt(own));
    attempt_scale("scores are scaled by 1 / sqrt(d), the model's width instead of a head's", std::sqrt(own / d));
    attempt_scale("scores are scaled by 1 / sqrt(d_h) instead of 1 / sqrt(d_h + d_r)", std::sqrt(own / head));
    if (case_.config.head_dim)
      attempt_scale(
          "scores are scaled by the width hidden_size / num_attention_heads instead of head_dim",
          std::sqrt(own / (own - head + static_cast<double>(case_.config.hidden_size / case_.config.num_attention_heads))));
    attempt_scale("scores are scaled by 1 / d_h instead of 1 / sqrt(d_h)", 1 / std::sqrt(own));
    attempt_scales("scores of layer l are divided by l + 1, too", [](std::size_t l) { return 1 / static_cast<double>(l + 1); });
  }
  void attempt_scale(const char* words, double factor) {
    attempt_scales(words, [=](std::size_t) { return factor; });
  }
  /// Scores of layer l times `factor(l)`, through the queries.
  template <class Factor>
  void attempt_scales(const char* words, const Factor& factor) {
    attempt(words, [&](Wrong& wrong) {
      for (std::size_t l = 0; l < case_.config.num_hidden_layers; ++l)
        wrong.each("layers." + std::to_string(l) + (case_.config.qk_norm ? ".self_attn.q_norm" : ".self_attn.q_proj"),
                   [&](const std::string&, View<double> x) {
                     for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= factor(l);
                   });
    });
  }

  void try_weights() {
    const auto fill = [](double value) {
      return [value](const std::string& name, View<double> x) {
        if (!name.ends_with(".bias") || value == 0) std::fill_n(x.data(), x.size(), value);
      };
    };
    attempt("the norms' weights are left out", [&](Wrong& wrong) { wrong.each("norm.weight", fill(1)); });
    const std::pair<const char*, const char*> norms[] = {
        {"the final norm does not multiply by its weight", "model.norm.weight"},
        {"a block's first norm does not multiply by its weight", "input_layernorm"},
        {"a block's second norm does not multiply by its weight", "post_attention_layernorm"}};
    for (const auto& norm : norms) attempt(norm.first, [&](Wrong& wrong) { wrong.each(norm.second, fill(1)); });
    attempt("the norms' weights are taken as 1 + w", [](Wrong& wrong) {
      wrong.each("norm.weight", [](const std::string&, View<double> x) {
        for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 1;
      });
    });
    attempt("the norms of queries and keys do not multiply by their weights", [&](Wrong& wrong) {
      for (const char* part : {"q_norm", "k_norm"}) wrong.each(part, fill(1));
    });
    attempt("queries are multiplied by the weight of the keys' norm and keys by that of the queries'", [](Wrong& wrong) {
      wrong.each("q_norm", [&](std::string name, View<double> queries) {
        const View<double> keys = wrong.weights[name.replace(name.find("q_norm"), 6, "k_norm")];
        if (!keys.empty()) std::swap_ranges(keys.data(), keys.data() + keys.size(), queries.data());
      });
    });
    attempt("the norms' biases are left out", [&](Wrong& wrong) { wrong.each("norm.bias", fill(0)); });
    attempt("all biases are left out", [&](Wrong& wrong) { wrong.each(".bias", fill(0)); });
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "layernorm"})
      attempt(std::string(part) + "'s bias is left out", [&](Wrong& wrong) { wrong.each(std::string(part) + ".bias", fill(0)); });
    attempt("gate_proj and up_proj are swapped", [&](Wrong& wrong) {
      wrong.each("gate_proj", [&](const std::string& name, View<double> gate) {
        std::string up = name;
        up.replace(up.find("gate"), 4, "up");
        std::swap_ranges(gate.data(), gate.data() + gate.size(), wrong.weights[up].data());
      });
    });
    for (const std::size_t first : {1u, 2u})
      attempt("positions are counted from " + std::to_string(first), [=](Wrong& wrong) {
        wrong.each("embed_positions", [=](const std::string&, View<double> x) {
          if (first < x.extent(0)) std::copy(x.data() + first * x.width(), x.data() + x.size(), x.data());
        });
      });
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"})
      attempt(std::string(part) + "'s matrix is read transposed", [&](Wrong& wrong) {
        wrong.each(std::string(part) + ".weight", [](const std::string&, View<double> x) {
          for (std::size_t i = 0; i < x.extent(0) && x.extent(0) == x.extent(1); ++i)
            for (std::size_t j = 0; j < i; ++j) std::swap(x(i, j), x(j, i));
        });
      });
  }

  /// Mistakes in the order of elements of a head, as permutations of the matrices' columns.
  void try_heads() {
    const Config& config = case_.config;
    const std::size_t heads = config.num_attention_heads, head = config.head_width();
    attempt("attention's heads are merged as (d_h, H) instead of (H, d_h)", [&](Wrong& wrong) {
      wrong.each("o_proj.weight", [&](const std::string&, View<double> x) {
        for (std::size_t out = 0; out < x.extent(0); ++out) {
          const std::vector<double> row(&x(out, 0), &x(out, 0) + x.width());
          for (std::size_t h = 0; h < heads; ++h)
            for (std::size_t i = 0; i < head; ++i) x(out, h * head + i) = row[i * heads + h];
        }
      });
    });
  }

  const Case& case_;
  std::vector<std::size_t> windows_;
  Wanted wanted_;
  Judge judge_;
};

/// The first position whose logits differ, in any sequence; 0 where none does.
std::size_t first_position(const Case& c, View<const double> logits, double bound) {
  const auto [least, most] = std::minmax_element(c.logits.data(), c.logits.data() + c.logits.size());
  const double unit = bound * std::max(-*least, *most);
  std::size_t first = c.length();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!(std::abs(logits.data()[i] - c.logits.data()[i]) <= unit)) first = std::min(first, i / c.config.vocab_size % c.length());
  return first < c.length() ? first : 0;
}

}  // namespace

std::vector<std::string> recognise_mistakes(const Case& c, View<const double> logits, double bound) {
  if (!(logits.shape() == c.logits.shape())) return {};
  struct Found {
    std::string words;
    double error;
  };
  std::vector<Found> found;
  const auto every = [](const std::string&) { return true; };
  Mistakes(c, windows_up_to(first_position(c, logits, bound)), every, [&](const std::string& words, View<const double> made) {
    const bool differs = !compare("logits", "logits", made, c.logits, bound).pass;
    const Comparison same = compare("logits", "logits", logits, made, bound);
    if (differs && same.pass) found.push_back({words, same.error});
  }).run();
  // Neighbouring constants may all be within the bound: the nearest is meant.
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.error < b.error; });
  std::vector<std::string> nearest;
  for (const Found& x : found)
    if (x.error <= 2 * found.front().error + 1e-14) nearest.push_back(x.words);
  return nearest;
}

std::map<std::string, double> effects_of_mistakes(const Case& c, const std::function<bool(const std::string& words)>& wanted) {
  std::map<std::string, double> effects;
  Mistakes(c, {std::max<std::size_t>(1, c.length() / 2)}, wanted, [&](const std::string& words, View<const double> made) {
    const double error = compare("logits", "logits", made, c.logits, 0).error;
    if (error > 1e-10) effects[words] = error;
  }).run();
  return effects;
}

std::vector<std::string> recognise_count(const Case& c, const std::string& name, std::size_t count) {
  const Config& config = c.config;
  const std::size_t head = 2 * config.num_hidden_layers * config.head_width();
  std::vector<std::string> found;
  if (name == "kv_elements_per_token") {
    if (count == head * config.num_key_value_heads) found.push_back("every layer caches all heads, shared ones included");
    if (count == head * config.num_attention_heads) found.push_back("every query head's key and value is cached in every layer");
    if (config.num_attention_heads != config.num_key_value_heads &&
        count * config.num_key_value_heads == c.elements * config.num_attention_heads)
      found.push_back("heads are repeated for their groups before they are cached");
  }
  if (name == "parameters" && config.tie_word_embeddings && count == c.parameters + config.vocab_size * config.hidden_size)
    found.push_back("a tied output head counts as parameters of its own");
  return found;
}

}  // namespace skipv1::conformance
