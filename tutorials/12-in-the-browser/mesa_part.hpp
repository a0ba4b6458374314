// The page's third part: models learn tutorial 05's task side by side, step by step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "skipv1/io/json.hpp"
#include "skipv1/mesa/predictors.hpp"
#include "skipv1/mesa/probes.hpp"

namespace playground {

using namespace skipv1;

/// MHA and SkipV1 as tutorial 05 trains them (two layers, two heads of width 8, the second layer's attention linear), on the same
/// prompts, in double: so its numbers do not depend on who multiplies the matrices.
class Race {
 public:
  /// "width" of the residual stream, "seed", and the "steps" that the learning rate's schedule has.
  explicit Race(const Json& request) {
    JsonFields fields(request);
    recipe_.steps = 1500;
    fields.read("width", width_), fields.read("seed", seed_), fields.read("steps", recipe_.steps);
    fields.finish();
    require(width_ >= 2 && width_ <= 16, "width ", width_, ": must be 2 to 16");
    require(recipe_.steps >= 20 && recipe_.steps <= 10000, recipe_.steps, " steps: must be 20 to 10000");
    for (const char* variant : names) {
      mesa::StackConfig c{.width = width_, .layers = 2, .heads = 2, .head_size = 8};
      c.positions = 2 * task_.context + 1, c.softmax_layers = 1, c.rotary_layers = 1, c.norms = false, c.rope_theta = 10;
      c.attention.variant = variant;
      learners_.push_back(std::make_unique<Learner>(c, task_.dim, recipe_, seed_));
    }
  }

  /// What the theory says of the mean error over all places: a layer that takes the whole gradient step, or that sees the `a (D -
  /// a)` numbers of `Y X^T` of tutorial 04's MHA.
  Json about() const {
    double one_step = 1;
    mesa::Task task = task_;
    for (task.context = 1; task.context <= task_.context; ++task.context)
      one_step += mesa::one_step(task).loss / mesa::zero_loss(task);
    one_step /= static_cast<double>(task_.context + 1);
    std::size_t most = 0;
    for (std::size_t a = 0; a <= std::min(width_, task_.dim); ++a) most = std::max(most, a * std::min(task_.dim, width_ - a));
    const double share = static_cast<double>(most) / static_cast<double>(task_.dim * task_.dim);
    return {{"names", names},
            {"steps", recipe_.steps},
            {"batch", recipe_.batch},
            {"one_step", one_step},
            {"mha_bound", 1 - share * (1 - one_step)}};
  }

  /// Trains `count` steps; the losses of each model.
  Json steps(std::size_t count) {
    Json losses = Json::array({Json::array(), Json::array()});
    for (std::size_t i = 0; i < count && step_ < recipe_.steps; ++i, ++step_) {
      const auto prompts =
          mesa::draw_prompts<double>(task_, mesa::Labels::context, recipe_.batch, Random(seed_).split(2).split(step_));
      for (std::size_t m = 0; m < learners_.size(); ++m) losses[m].push_back(learners_[m]->step(prompts));
    }
    return {{"step", step_}, {"losses", losses}};
  }

  /// On `count` prompts that neither has seen: the error after 0 … n pairs and its mean; how well x and y of a pair can be read
  /// (R^2) from what each layer's value heads see.
  Json measure(std::size_t count) {
    const auto test = mesa::draw_prompts<double>(task_, mesa::Labels::context, count, Random(1).split(3));
    Json all = Json::array();
    for (const auto& learner : learners_) {
      const std::vector<double> pairs = errors(learner->predict(test, Keep::for_backward), test.labels);
      double mean = 0;
      for (const double error : pairs) mean += error / static_cast<double>(pairs.size());
      const mesa::Probes probes = mesa::probe(*learner, test);
      all.push_back({{"error", mean}, {"pairs", pairs}, {"x", probes.x}, {"y", probes.y}});
    }
    return {{"step", step_}, {"models", all}};
  }

 private:
  using Learner = mesa::Learner<double>;
  static constexpr const char* names[] = {"mha", "skipv1"};

  static std::vector<double> errors(const Tensor<double>& predicted, const Tensor<double>& labels) {
    std::vector<double> sums(labels.extent(1), 0);
    for (std::size_t b = 0; b < labels.extent(0); ++b)
      for (std::size_t i = 0; i < sums.size(); ++i)
        for (std::size_t j = 0; j < labels.extent(2); ++j) {
          const double miss = predicted(b, i, j) - labels(b, i, j);
          sums[i] += miss * miss / static_cast<double>(labels.extent(0) * labels.extent(2));
        }
    return sums;
  }

  std::size_t width_ = 6, seed_ = 1, step_ = 0;
  mesa::Task task_{4, 12, 0.1};
  mesa::Recipe recipe_;
  std::vector<std::unique_ptr<Learner>> learners_;
};

}  // namespace playground
