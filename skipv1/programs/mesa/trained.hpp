// The models of tutorial 05, how they are trained, and what is known of each afterwards.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "skipv1/mesa/prompts.hpp"
#include "skipv1/mesa/recipe.hpp"
#include "skipv1/mesa/stack_config.hpp"

namespace skipv1::mesa {

class KeptOutcomes;

/// What all runs share.
struct Setting {
  Task task{4, 12, 0.1};
  Recipe recipe;
  std::size_t seeds = 5, head_size = 8, test = 2048, points = 20;
  std::uint64_t first_seed = 1;
  double rope_theta = 10;
  bool may_diverge = false;      ///< a training whose loss is not finite has an infinite error, and is none otherwise
  KeptOutcomes* kept = nullptr;  ///< trainings that are finished already (kept.hpp); null: none
};

/// Where attention is softmax: in every layer, in the first (which copies; the others are linear), in none.
enum class Kind { softmax, linear, all_linear };
inline const char* to_string(Kind kind) {
  constexpr const char* names[] = {"softmax", "linear", "all-linear"};
  return names[static_cast<std::size_t>(kind)];
}
inline const char* to_string(Labels labels) {
  constexpr const char* names[] = {"context", "fixed", "fresh"};
  return names[static_cast<std::size_t>(labels)];
}

/// A model to be trained.
struct ToyModel {
  std::string name;  ///< "MHA", "SkipV1", …: as it is called in tables and figures
  AttentionConfig attention;
  Kind kind = Kind::linear;
  std::size_t width = 4, layers = 2, heads = 2;
  Labels labels = Labels::context;
  bool feed_forward = false, norms = false;
  double rate = 0;  ///< the peak learning rate; 0: the recipe's
  friend bool operator==(const ToyModel&, const ToyModel&) = default;
};

/// The stack of a model: SwiGLU of 4 D where it has one, RoPE in the first layer alone.
inline StackConfig config_of(const ToyModel& m, const Setting& s) {
  return {.width = m.width,
          .layers = m.layers,
          .heads = m.heads,
          .head_size = s.head_size,
          .feed_forward = m.feed_forward ? 4 * m.width : 0,
          .positions = 2 * s.task.context + 1,
          .softmax_layers = m.kind == Kind::softmax  ? every_layer
                            : m.kind == Kind::linear ? std::size_t{1}
                                                     : std::size_t{0},
          .rotary_layers = 1,
          .norms = m.norms,
          .rope_theta = s.rope_theta,
          .attention = m.attention};
}

/// What was measured, by name: "pairs" (n + 1) the error after 0 … n pairs; "error" (1) their mean; "curve" the error while
/// training, in `points` stretches; and the fields of `Probes`. An error is a mean square over the zero predictor's.
using Outcome = std::map<std::string, std::vector<double>>;

namespace detail {
inline double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}
}  // namespace detail

/// A model's outcomes over seeds, in their order.
struct Trained {
  ToyModel model;
  std::vector<Outcome> outcomes;

  std::vector<double> mean(const std::string& what) const {
    std::vector<double> sum(outcomes[0].at(what).size(), 0);
    for (const Outcome& o : outcomes)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += o.at(what)[i] / static_cast<double>(outcomes.size());
    return sum;
  }
  /// The numbers of all seeds at one place of `what`.
  std::vector<double> each(const std::string& what, std::size_t i) const {
    std::vector<double> values;
    for (const Outcome& o : outcomes) values.push_back(o.at(what)[i]);
    return values;
  }
  /// The standard deviation over seeds; 0 for a single one, which has none.
  std::vector<double> deviation(const std::string& what) const {
    const std::vector<double> centre = mean(what);
    std::vector<double> square(centre.size(), 0);
    const auto rest = static_cast<double>(std::max<std::size_t>(outcomes.size(), 2) - 1);
    for (const Outcome& o : outcomes)
      for (std::size_t i = 0; i < square.size(); ++i) {
        const double off = o.at(what)[i] - centre[i];
        square[i] += off * off / rest;
      }
    for (double& value : square) value = std::sqrt(value);
    return square;
  }
};

/// What `a` has more than `b`, seed by seed, in all that both have.
inline Trained subtract(const Trained& a, const Trained& b) {
  Trained difference = a;
  for (std::size_t seed = 0; seed < a.outcomes.size(); ++seed)
    for (auto& [what, values] : difference.outcomes[seed])
      for (std::size_t i = 0; i < values.size(); ++i) values[i] -= b.outcomes[seed].at(what).at(i);
  return difference;
}

/// The trained models that `wanted` says, in their order.
template <class Wanted>
std::vector<const Trained*> select(const std::vector<Trained>& all, const Wanted& wanted) {
  std::vector<const Trained*> found;
  for (const Trained& t : all)
    if (wanted(t.model)) found.push_back(&t);
  return found;
}

/// Models of depth 2 on the task itself, of a kind and a width.
inline std::vector<const Trained*> at(const std::vector<Trained>& all, Kind kind, std::size_t width) {
  return select(
      all, [&](const ToyModel& m) { return m.kind == kind && m.width == width && m.layers == 2 && m.labels == Labels::context; });
}

/// The mean squared error (n + 1) after 0 … n pairs, over the zero predictor's, of predictions and labels (B, n + 1, d).
std::vector<double> errors_by_pairs(const Tensor<float>& predicted, const Tensor<float>& labels);

/// Throws unless `device` is "cpu", or a device that this build and this machine have.
void check_device(const std::string& device);
/// Trains all models with all seeds, as many at once as there are threads, each on one; on a device each has a stream there.
/// `on_step` may be called from any.
std::vector<Trained> learn_all(const std::vector<ToyModel>& models, const Setting& s, const std::string& device,
                               const std::function<void()>& on_step);

/// The peak rates among which a model's is chosen, and the mean errors with each.
struct Tuning {
  std::vector<double> rates;
  std::size_t seeds = 3;
};
/// Sets each model's rate to the one of the lowest mean error over `tuning.seeds` seeds, which come after those of `s` and have
/// test prompts of their own. Returns the mean errors, models by rates.
std::vector<std::vector<double>> tune(std::vector<ToyModel>& models, const Tuning& tuning, Setting s, const std::string& device,
                                      const std::function<void()>& on_step);

}  // namespace skipv1::mesa
