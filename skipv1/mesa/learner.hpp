// A stack of blocks that learns the task from sequences of continuous tokens. One linear map takes tokens to the residual stream,
// another reads y_hat out of it at the places of x. AdamW minimises the mean squared error.
#pragma once

#include <optional>

#include "skipv1/core/repeat.hpp"
#include "skipv1/mesa/prompts.hpp"
#include "skipv1/mesa/recipe.hpp"
#include "skipv1/mesa/stack.hpp"
#include "skipv1/training/optimizer.hpp"
#include "skipv1/training/schedule.hpp"

namespace skipv1::mesa {

/// A model, its maps and what training needs. On the device its passes are graphs from their second time on.
template <class T, class Space = Cpu>
class Learner {
  static_assert(std::is_same_v<Sum<T>, T>, "a learner learns in float or double");

 public:
  Learner(const StackConfig& config, std::size_t dim, const Recipe& recipe, std::uint64_t seed)
      : recipe_(recipe),
        dim_(dim),
        parameters_(stack_layout(config)),
        gradients_(parameters_.layout()),
        m_(parameters_.layout()),
        v_(parameters_.layout()),
        maps_({map_size(config)}),
        map_gradients_(maps_.shape()),
        map_m_(zeros<T, Space>(maps_.shape())),
        map_v_(zeros<T, Space>(maps_.shape())),
        stack_(config, parameters_) {
    start(config, seed);
  }
  Learner(const Learner&) = delete;  // the stack points at the parameters
  Learner& operator=(const Learner&) = delete;

  /// One step of AdamW on `prompts`; returns their loss before it, the mean of the squared errors of all labels' coordinates
  /// (the zero predictor's is 1).
  double step(const Prompts<T>& prompts) {
    place(prompts);
    forward_pass_([this] { forward(Keep::for_backward, {}); });
    copy(View<T>(host_outputs_), ConstView<T, Space>(outputs_));
    const double loss = differentiate(prompts);
    const Schedule schedule{recipe_.steps, recipe_.rate, recipe_.warm_up, recipe_.floor};
    optimizer_.place({schedule.rate(steps_), 0.9, recipe_.beta2, 1e-8, recipe_.weight_decay}, steps_ + 1);
    ++steps_;
    backward_pass_([this] { backward(); });
    return loss;
  }

  /// Predictions at the places of x (B, n + 1, d). `activations` then tells what went on inside; with `Keep::for_backward` of
  /// every layer.
  Tensor<T> predict(const Prompts<T>& prompts, Keep keep = Keep::nothing, const typename Stack<T, Space>::Observer& see = {}) {
    place(prompts);
    forget();  // with another `keep` the activations move
    forward(keep, see);
    copy(View<T>(host_outputs_), ConstView<T, Space>(outputs_));
    Tensor<T> y(prompts.labels.shape());
    const View<T> rows = host_outputs_;
    for (std::size_t b = 0; b < prompts.batch(); ++b)
      for (std::size_t i = 0; i < prompts.pairs(); ++i)
        for (std::size_t j = 0; j < dim_; ++j) y(b, i, j) = rows(prompts.row_of_x(b, i), j);
    return y;
  }

  const Stack<T, Space>& stack() const { return stack_; }
  Activations<T, Space>& activations() { return a_; }
  /// What learns, to be read or set: the stack's parameters, the map in (D, 2 d + 2) from `Prompts::features`, the map out (d,
  /// D).
  const Parameters<T, Space>& parameters() const { return parameters_; }
  View<T, Space> in() const { return in_of(maps_); }
  View<T, Space> out() const { return out_of(maps_); }
  const Cache<T, Space>& cache() const { return *cache_; }
  /// Numbers that learn: the stack's and the maps'.
  std::size_t count() const { return parameters_.layout().count() + maps_.size(); }

 private:
  using X = View<T, Space>;

  std::size_t in_width() const { return 2 * dim_ + 2; }
  std::size_t map_size(const StackConfig& c) const { return c.width * (in_width() + dim_); }
  X in_of(X maps) const { return {maps.data(), {stack_.config().width, in_width()}}; }
  X out_of(X maps) const {
    const std::size_t d = stack_.config().width;
    return {maps.data() + d * in_width(), {dim_, d}};
  }
  X in_gradient() const { return in_of(map_gradients_); }
  X out_gradient() const { return out_of(map_gradients_); }

  void start(const StackConfig& config, std::uint64_t seed) {
    const Parameters<T> initial(parameters_.layout());
    initialize(initial, config.layers, config.attention.value_mix, seed);
    for (const ParameterLayout::Entry& entry : initial.layout().entries()) {
      if (entry.shape.rank() != 2) continue;
      const View<T> x = initial[entry.name];
      const double factor = recipe_.gain / (0.02 * std::sqrt(static_cast<double>(entry.shape[1])));
      for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] *= static_cast<T>(factor);
    }
    copy(parameters_.flat(), View<const T>(initial.flat()));
    Tensor<T> maps(maps_.shape());
    Random random = Random(seed).split(1);
    const std::size_t d = config.width, reads_in = d * in_width();
    for (std::size_t i = 0; i < maps.size(); ++i)
      maps.data()[i] = static_cast<T>(random.normal() / std::sqrt(static_cast<double>(i < reads_in ? dim_ : d)));
    copy(X(maps_), View<const T>(maps));
  }

  void forget() { forward_pass_.forget(), backward_pass_.forget(); }

  /// Brings prompts to where the passes read them.
  void place(const Prompts<T>& s) {
    const std::size_t n = s.features.extent(0), d = stack_.config().width;
    if (!cache_ || cache_->batch() != s.batch() || cache_->capacity() != s.length()) {
      cache_.emplace(stack_.routing(), s.batch(), s.length());
      dcache_.emplace(stack_.routing(), s.batch(), s.length());
      features_ = Tensor<T, Space>(s.features.shape()), inputs_ = Tensor<T, Space>({n, d}), drows_ = Tensor<T, Space>({n, d});
      outputs_ = Tensor<T, Space>({n, dim_}), doutputs_ = Tensor<T, Space>({n, dim_});
      host_outputs_ = Tensor<T>({n, dim_});
      forget();
    }
    copy(X(features_), View<const T>(s.features));
    cache_->reset();
  }

  void forward(Keep keep, const typename Stack<T, Space>::Observer& see) {
    linear_forward(X(inputs_), features_, in(), X());
    stack_.forward(inputs_, std::vector<std::size_t>(cache_->batch(), cache_->capacity()), *cache_, a_, keep, see);
    linear_forward(X(outputs_), a_.normed, out(), X());
  }

  /// The loss, and its gradient in `doutputs_`.
  double differentiate(const Prompts<T>& s) {
    const View<T> rows = host_outputs_;
    const double scale = 1 / static_cast<double>(s.labels.size());
    double sum = 0;
    for (std::size_t b = 0; b < s.batch(); ++b) {
      for (std::size_t i = 0; i < s.pairs(); ++i) {
        T* x = &rows(s.row_of_x(b, i), 0u);
        for (std::size_t j = 0; j < dim_; ++j) {
          const T miss = x[j] - s.labels(b, i, j);
          sum += static_cast<double>(miss) * static_cast<double>(miss);
          x[j] = static_cast<T>(2 * scale) * miss;
        }
        if (i + 1 < s.pairs()) std::fill_n(x + dim_, dim_, T(0));
      }
    }
    copy(X(doutputs_), View<const T>(rows));
    return sum * scale;
  }

  /// From `doutputs_` to the parameters.
  void backward() {
    zero(gradients_.flat());
    zero(X(map_gradients_));
    linear_backward_weight(out_gradient(), X(), doutputs_, a_.normed);
    linear_backward_input(drows_, doutputs_, out());
    const X dinputs = stack_.backward(drows_, gradients_, *dcache_, a_);
    linear_backward_weight(in_gradient(), X(), dinputs, features_);
    optimizer_.run(
        {{parameters_.flat(), parameters_.flat(), m_.flat(), v_.flat(), gradients_.flat(), parameters_.layout().decayed()},
         {maps_, maps_, map_m_, map_v_, map_gradients_, maps_.size()}},
        recipe_.clip);
  }

  Recipe recipe_;
  std::size_t dim_, steps_ = 0;
  Parameters<T, Space> parameters_, gradients_, m_, v_;
  Tensor<T, Space> maps_, map_gradients_, map_m_, map_v_;  // the map in (D, 2 d + 2), then the map out (d, D)
  Stack<T, Space> stack_;
  std::optional<Cache<T, Space>> cache_, dcache_;
  Activations<T, Space> a_;
  Tensor<T, Space> features_, inputs_, drows_, outputs_, doutputs_;
  Tensor<T> host_outputs_;
  Optimizer<T, Space> optimizer_;
  Repeat<Space> forward_pass_, backward_pass_;
};

}  // namespace skipv1::mesa
