#include "skipv1/conformance/mistakes.hpp"

#include <cmath>
#include <sstream>

#include "skipv1/conformance/compare.hpp"
#include "skipv1/model/decoder.hpp"

namespace skipv1::conformance {

namespace {

using Names = std::vector<HeadName>;

/// The same model with something wrong.
struct Wrong {
  explicit Wrong(const Case& c) : config(c.config), weights(c.config), routing(make_routing(c.config)) {
    copy(weights.flat(), c.weights.flat());
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
};

class Recogniser {
 public:
  Recogniser(const Case& c, View<const double> logits, double bound) : case_(c), logits_(logits), bound_(bound) {}

  std::vector<std::string> run() {
    try_tables();
    try_constants();
    try_weights();
    try_heads();
    // Neighbouring constants may all be within the bound: the nearest is meant.
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.error < b.error; });
    std::vector<std::string> nearest;
    for (const Found& found : found_)
      if (found.error <= 2 * found_.front().error + 1e-14) nearest.push_back(found.words);
    return nearest;
  }

 private:
  struct Found {
    std::string words;
    double error;
  };

  template <class Change>
  void attempt(const std::string& words, const Change& change) {
    try {
      Wrong wrong(case_);
      change(wrong);
      const Decoder<double> decoder(wrong.config, wrong.weights, wrong.routing);
      Cache<double> cache(decoder.routing(), case_.batch(), case_.length());
      Activations<double> a;
      const View<double> rows = decoder.forward(Batch::rectangle(case_.tokens), cache, a);
      const View<const double> made(rows.data(), case_.logits.shape());
      const bool differs = !compare("logits", "logits", made, case_.logits, bound_).pass;
      const Comparison same = compare("logits", "logits", logits_, made, bound_);
      if (differs && same.pass) found_.push_back({words, same.error});
    } catch (const Error&) {  // a mistake that this configuration does not allow
    }
  }

  /// Calls `change(l, row)` on each layer's keys and values, and keeps the table whole.
  template <class Change>
  void attempt_table(const std::string& words, const Change& change) {
    attempt(words, [&](Wrong& wrong) {
      for (Names* reads : {&wrong.routing.keys, &wrong.routing.values}) {
        const std::vector<std::size_t>& owned =
            reads == &wrong.routing.keys ? wrong.routing.owned_keys : wrong.routing.owned_values;
        for (std::size_t l = 0; l < wrong.routing.layers; ++l) {
          const auto begin = reads->begin() + static_cast<std::ptrdiff_t>(l * wrong.routing.heads);
          Names row(begin, begin + static_cast<std::ptrdiff_t>(wrong.routing.heads));
          change(l, row);
          for (const HeadName& name : row) require(name.none() || name.head < owned[name.layer], "no such head");
          std::copy(row.begin(), row.end(), begin);
        }
      }
    });
  }

  void try_tables() {
    const std::size_t heads = case_.config.num_attention_heads, groups = case_.config.num_key_value_heads;
    const auto earlier = [](std::size_t l, const HeadName& name) { return !name.none() && name.layer < l; };
    attempt_table("the wrong half is reused: the source layer's first heads instead of its last", [&](std::size_t l, Names& row) {
      std::size_t least = no_head;
      for (const HeadName& name : row)
        if (earlier(l, name)) least = std::min(least, name.head);
      for (HeadName& name : row)
        if (earlier(l, name)) name.head -= least;
    });
    attempt_table("shared heads are read one layer too early", [&](std::size_t l, Names& row) {
      for (HeadName& name : row)
        if (earlier(l, name) && name.layer > 0) --name.layer;
    });
    attempt_table("shared heads are read one layer too late", [&](std::size_t l, Names& row) {
      for (HeadName& name : row)
        if (earlier(l, name)) ++name.layer;
    });
    attempt_table("query head h reads group h mod H_kv instead of floor(h H_kv / H)", [&](std::size_t, Names& row) {
      const Names right = row;
      for (std::size_t h = 0; h < heads; ++h) row[h] = right[h % groups * (heads / groups)];
    });
    attempt_table("reused heads stand before a layer's own instead of after them", [&](std::size_t l, Names& row) {
      std::stable_partition(row.begin(), row.end(), [&](const HeadName& name) { return earlier(l, name); });
    });
  }

  void try_constants() {
    for (const double epsilon : {1e-3, 1e-5, 1e-6, 1e-8, 1e-12}) {
      std::ostringstream words;
      words << "epsilon of the norms is " << epsilon << " instead of " << case_.config.norm_epsilon;
      attempt(words.str(), [&](Wrong& wrong) { wrong.config.norm_epsilon = epsilon; });
    }
    for (const double theta : {100.0, 1e4, 1e5, 5e5, 1e6}) {
      std::ostringstream words;
      words << "rope_theta is " << theta << " instead of " << case_.config.rope_theta;
      attempt(words.str(), [&](Wrong& wrong) { wrong.config.rope_theta = theta; });
    }
    attempt("lambda and 1 - lambda are swapped", [](Wrong& wrong) {
      wrong.config.attention.value_mix = 1 - wrong.config.attention.value_mix;
      wrong.each("value_mix", [](const std::string&, View<double> x) { x.data()[0] = 1 - x.data()[0]; });
    });
    const double own = static_cast<double>(case_.config.query_width()), d = static_cast<double>(case_.config.hidden_size),
                 head = static_cast<double>(case_.config.head_width());
    attempt_scale("scores are not scaled", std::sqrt(own));
    attempt_scale("scores are scaled by 1 / sqrt(d), the model's width instead of a head's", std::sqrt(own / d));
    attempt_scale("scores are scaled by 1 / sqrt(d_h) instead of 1 / sqrt(d_h + d_r)", std::sqrt(own / head));
    attempt_scale("scores are scaled by 1 / d_h instead of 1 / sqrt(d_h)", 1 / std::sqrt(own));
  }
  /// Scores times `factor`, through the queries.
  void attempt_scale(const char* words, double factor) {
    attempt(words, [&](Wrong& wrong) {
      wrong.each("q_proj", [&](const std::string&, View<double> x) {
        for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= factor;
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
    attempt("the norms' weights are taken as 1 + w", [](Wrong& wrong) {
      wrong.each("norm.weight", [](const std::string&, View<double> x) {
        for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 1;
      });
    });
    attempt("all biases are left out", [&](Wrong& wrong) { wrong.each(".bias", fill(0)); });
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "layernorm"})
      attempt(std::string(part) + "'s bias is left out", [&](Wrong& wrong) { wrong.each(std::string(part) + ".bias", fill(0)); });
    attempt("gate_proj and up_proj are swapped", [&](Wrong& wrong) {
      wrong.each("gate_proj", [&](const std::string& name, View<double> gate) {
        std::string up = name;
        up.replace(up.find("gate"), 4, "up");
        std::swap_ranges(gate.data(), gate.data() + gate.size(), wrong.weights[up].data());
      });
    });
    attempt("positions are counted from 1", [](Wrong& wrong) {
      wrong.each("embed_positions",
                 [](const std::string&, View<double> x) { std::copy(x.data() + x.width(), x.data() + x.size(), x.data()); });
    });
    for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"})
      attempt(std::string(part) + "'s matrix is read transposed", [&](Wrong& wrong) {
        wrong.each(std::string(part) + ".weight", [](const std::string&, View<double> x) {
          for (std::size_t i = 0; i < x.extent(0) && x.extent(0) == x.extent(1); ++i)
            for (std::size_t j = 0; j < i; ++j) std::swap(x(i, j), x(j, i));
        });
      });
  }

  /// Mistakes in the order of elements of a head, as permutations of the matrices' rows.
  void try_heads() {
    const Config& config = case_.config;
    const std::size_t rotary = config.latent() ? config.attention.rotary_size : config.head_width(),
                      heads = config.num_attention_heads, head = config.head_width();
    if (!config.gpt2())
      attempt("rotary pairs are neighbours (2i, 2i+1) instead of halves (i, i + d/2)", [&](Wrong& wrong) {
        const auto permute = [&](std::size_t width) {
          return [&, width](const std::string&, View<double> x) {
            for (std::size_t begin = width - rotary; begin < x.extent(0); begin += width) pair_neighbours(x, begin, rotary);
          };
        };
        wrong.each("q_proj", permute(config.query_width()));
        wrong.each(config.latent() ? "k_rotary_proj" : "k_proj", permute(rotary));
      });
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
  /// Rows `begin …` of a rotated head: 0, 2, 4, … come first, 1, 3, 5, … after them, where halves are rotated as those pairs.
  static void pair_neighbours(View<double> x, std::size_t begin, std::size_t width) {
    const std::vector<double> rows(&x(begin, 0), &x(begin, 0) + width * x.width());
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t from = i < width / 2 ? 2 * i : 2 * (i - width / 2) + 1;
      std::copy_n(&rows[from * x.width()], x.width(), &x(begin + i, 0));
    }
  }

  const Case& case_;
  View<const double> logits_;
  double bound_;
  std::vector<Found> found_;
};

}  // namespace

std::vector<std::string> recognise_mistakes(const Case& c, View<const double> logits, double bound) {
  if (!(logits.shape() == c.logits.shape())) return {};
  return Recogniser(c, logits, bound).run();
}

}  // namespace skipv1::conformance
