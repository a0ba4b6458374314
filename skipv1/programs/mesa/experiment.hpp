// Which models tutorial 05 trains, and the predictors they are held to.
#pragma once

#include <algorithm>

#include "skipv1/routing/routing.hpp"
#include "skipv1/programs/mesa/trained.hpp"

namespace skipv1::mesa {

/// Everything that the program's options say.
struct Plan {
  Setting setting;
  std::vector<std::size_t> widths = {5, 6};
  std::vector<Kind> kinds = {Kind::linear};
  std::size_t focus = 6;  ///< the width at which curves are shown and ablations are made
  bool grid = true, ablations = false, norms = false, feed_forward = false;
  bool pair = false;  ///< no ResFormer
};

inline AttentionConfig variant(const char* name, double ratio = 0.5, std::size_t source = 0) {
  AttentionConfig a;
  a.variant = name, a.skip_ratio = ratio, a.source_layer = source;
  return a;
}

/// MHA, SkipV1 and ResFormer alike but for their attention.
inline std::vector<ToyModel> rivals(ToyModel like) {
  std::vector<ToyModel> all;
  for (const auto& [name, id] : {std::pair{"MHA", "mha"}, {"SkipV1", "skipv1"}, {"ResFormer", "resformer"}}) {
    like.name = name, like.attention = variant(id);
    all.push_back(like);
  }
  return all;
}

/// The depth-4 ablations: the share that is skipped, the layer it comes from, and skipping with nothing routed in.
inline std::vector<ToyModel> ablated(ToyModel like) {
  like.layers = like.heads = 4;
  std::vector<ToyModel> all;
  const auto add = [&](const char* name, const AttentionConfig& attention) {
    like.name = name, like.attention = attention;
    all.push_back(like);
  };
  add("MHA", variant("mha"));
  add("SkipV1, ratio 0.25", variant("skipv1", 0.25));
  add("SkipV1, ratio 0.5", variant("skipv1"));
  add("SkipV1, ratio 0.75", variant("skipv1", 0.75));
  add("source layer 1", variant("skipv1", 0.5, 1));
  add("source layer 2", variant("skipv1", 0.5, 2));
  add("SkipV0", variant("skipv0"));
  return all;
}

/// All models of a plan, each once, the longest work first.
inline std::vector<ToyModel> models_of(const Plan& plan) {
  std::vector<ToyModel> all;
  const auto add = [&](const std::vector<ToyModel>& some) {
    for (ToyModel m : some) {
      m.norms = plan.norms, m.feed_forward = plan.feed_forward;
      if (plan.pair && m.name == "ResFormer") continue;
      if (std::find(all.begin(), all.end(), m) == all.end()) all.push_back(m);
    }
  };
  ToyModel like;
  like.width = plan.focus;
  if (plan.ablations) {
    add(ablated(like));
    like.layers = 4;
    add(rivals(like));
    like.layers = 2;
    for (const Labels labels : {Labels::fixed, Labels::fresh}) {
      like.labels = labels;
      add(rivals(like));
    }
    like.labels = Labels::context, like.kind = Kind::all_linear, like.width = plan.widths.back();
    add(rivals(like));
  }
  if (!plan.grid) return all;
  like.layers = 2;
  for (const Kind kind : plan.kinds) {
    for (const std::size_t width : plan.widths) {
      like.kind = kind, like.width = width;
      add(rivals(like));
    }
  }
  return all;
}

/// Bytes that learning a model takes at least: parameters, gradients and moments, and the largest pass, a step's or that over
/// the test prompts.
inline double least_bytes(const ToyModel& m, const Setting& s) {
  const StackConfig c = config_of(m, s);
  const auto number = [](std::size_t x) { return static_cast<double>(x); };
  const double width = number(m.width), layers = number(m.layers), heads = number(m.heads * s.head_size);
  const double learned = number(stack_layout(c).count()) + width * number(3 * s.task.dim + 2);  // with the maps in and out
  const double rows = number(std::max(s.recipe.batch, s.test)) * number(2 * s.task.context + 1);
  const double layer = width + 2 * heads + 3 * number(c.feed_forward);
  const double row =
      layers * layer + width * (layers + 4) + number(cache_elements_per_token(make_routing(detail::table_config(c))));
  return sizeof(float) * (4 * learned + rows * row);
}

/// The losses of predictors after 0 … n pairs, over the zero predictor's.
struct Predictors {
  std::vector<double> one_step, ridge;

  explicit Predictors(Task task);
  /// The mean error, over the places of x, of a layer that sees `numbers` of the d d numbers of `Y X^T` (tutorial 04, step 1).
  double seeing(std::size_t numbers, std::size_t dim) const {
    const double share = static_cast<double>(numbers) / static_cast<double>(dim * dim);
    return 1 - share * (1 - detail::mean(one_step));
  }
};

/// How many numbers of `Y X^T` reach a second layer of MHA whose tokens are `width` wide: the best `a b` with `a + b = width`.
inline std::size_t numbers_of_mha(std::size_t width, std::size_t dim) {
  std::size_t most = 0;
  for (std::size_t a = 0; a <= std::min(width, dim); ++a) most = std::max(most, a * std::min(dim, width - a));
  return most;
}

}  // namespace skipv1::mesa
