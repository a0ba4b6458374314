// One training step after another: forward, loss, backward, clipping, AdamW.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "skipv1/core/repeat.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/training/data_parallel.hpp"
#include "skipv1/training/optimizer.hpp"
#include "skipv1/training/schedule.hpp"

namespace skipv1 {

/// What a run is made of besides its model and text.
struct TrainingOptions {
  Schedule schedule = {};
  AdamW adamw = {};   ///< its learning rate is the schedule's
  double clip = 1.0;  ///< gradients of a larger norm are shortened to this; 0: never
  std::size_t batch = 8, length = 256;
};

/// Throws unless a model of `config` can be trained so; the line names the setting and its rule.
SKIPV1_COLD inline void validate(const TrainingOptions& o, const Config& config) {
  const auto share = [](const char* name, double value) {
    require(value >= 0 && value <= 1, name, " is ", value, ": must be 0 to 1");
  };
  const auto positive = [](const char* name, double value) {
    require(std::isfinite(value) && value > 0, name, " is ", value, ": must be positive");
  };
  positive("steps", static_cast<double>(o.schedule.steps));
  positive("batch", static_cast<double>(o.batch));
  positive("length", static_cast<double>(o.length));
  require(static_cast<double>(o.schedule.steps) * static_cast<double>(o.batch) * static_cast<double>(o.length) <= 0x1p53,
          "steps ", o.schedule.steps, " of ", o.batch, " x ", o.length, " tokens: must be at most 2^53 tokens in all");
  require(o.length <= config.max_position_embeddings, "length ", o.length, ": the model reads at most ",
          config.max_position_embeddings, " (max_position_embeddings)");
  constexpr std::size_t most = std::numeric_limits<std::int32_t>::max();
  require(o.batch <= most / o.length, "batch ", o.batch, " of length ", o.length, ": a step has at most ", most, " tokens");
  positive("peak", o.schedule.peak);
  share("warm_up", o.schedule.warm_up);
  share("floor", o.schedule.floor);
  require(o.adamw.beta1 >= 0 && o.adamw.beta1 < 1, "beta1 is ", o.adamw.beta1, ": must be 0 or more, below 1");
  require(o.adamw.beta2 >= 0 && o.adamw.beta2 < 1, "beta2 is ", o.adamw.beta2, ": must be 0 or more, below 1");
  positive("epsilon", o.adamw.epsilon);
  require(std::isfinite(o.adamw.weight_decay) && o.adamw.weight_decay >= 0, "weight_decay is ", o.adamw.weight_decay,
          ": must be 0 or more");
  require(std::isfinite(o.clip) && o.clip >= 0, "clip is ", o.clip, ": must be 0 or more");
}

/// What a step tells.
struct StepReport {
  double loss = 0, gradient_norm = 0, learning_rate = 0;
};

/// What a training throws whose numbers are no longer finite.
class Diverged : public Error {
 public:
  using Error::Error;
};

/// Throws `Diverged` unless what `step` told is finite; `where` names the training, "" if there is only one.
SKIPV1_COLD inline void require_finite(const StepReport& report, std::size_t step, const std::string& where = {}) {
  if (std::isfinite(report.loss) && std::isfinite(report.gradient_norm)) return;
  std::ostringstream line;  // without the sign that a NaN may have
  line << where << (where.empty() ? "" : ": ") << "step " << step << ": the loss is " << std::abs(report.loss)
       << ", its gradient's norm " << std::abs(report.gradient_norm) << ": the run has diverged";
  throw Diverged(line.str());
}
/// The same for the loss over the held-out text after `step`.
SKIPV1_COLD inline void require_finite(double held_out_loss, std::size_t step, const std::string& where = {}) {
  if (std::isfinite(held_out_loss)) return;
  std::ostringstream line;
  line << where << (where.empty() ? "" : ": ") << "after step " << step << ": the loss over the held-out text is "
       << held_out_loss << ": the run has diverged";
  throw Diverged(line.str());
}

/// A model's initial parameters, in host memory: see `initialize`.
template <class T>
Parameters<T> initial_parameters(const Config& config, std::uint64_t seed) {
  Parameters<T> parameters(config);
  initialize(parameters, config, seed);
  return parameters;
}

/// A model in training: parameters, gradients, moments, and the memory of one step. The constructor and the first step allocate
/// all of it. For bfloat16 parameters it keeps float master weights and float moments: `Sum<T>` is float for bfloat16, else `T`.
///
/// Each process of `world` has a trainer with the same options and its own windows, `batch` of them per step. A step averages
/// over the windows of all processes, and its results are the same on each. Moments and master weights are divided among the
/// processes (ZeRO-1). All processes make the same calls in the same order.
template <class T, class Space = Cpu>
class Trainer {
 public:
  using S = Sum<T>;

  /// Starts from `initialize(…, seed)`. Throws if configuration or options are not valid.
  Trainer(const Config& config, const TrainingOptions& options, std::uint64_t seed)
      : Trainer((validate(config), config), options, initial_parameters<S>(config, seed)) {}
  /// Starts from a copy of `initial`, which is of `config`. `world` outlives it.
  SKIPV1_COLD Trainer(const Config& config, const TrainingOptions& options, const Parameters<S>& initial,
                      Communicator& world = one_process())
      : options_((validate(options, config), options)),
        parameters_(config),
        gradients_(config),
        world_(world),
        parallel_(parameters_.layout(), world),
        own_(parallel_.own()),
        decoder_(config, parameters_),
        cache_(decoder_.routing(), options.batch, options.length),
        cache_gradients_(decoder_.routing(), options.batch, options.length, Holds::gradients) {
    m_ = zeros<S, Space>({own_.size()}), v_ = zeros<S, Space>({own_.size()});
    if constexpr (rounds) master_ = zeros<S, Space>({own_.size()});
    set(initial);
  }
  Trainer(const Trainer&) = delete;  // the decoder points at the parameters
  Trainer& operator=(const Trainer&) = delete;

  /// Trains on tokens (B T), predicting targets (B T), both row by row. Throws as `Decoder::forward` and `loss` do, and if there
  /// are several processes and a target is ignored: the mean is over as many on each.
  StepReport step(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& targets) {
    StepReport report;
    decoder_.place(Batch{tokens, std::vector<std::size_t>(options_.batch, options_.length)}, cache_, activations_,
                   Keep::for_backward, Logits::in_parts);
    const double scale = decoder_.place_targets(targets, activations_) / static_cast<double>(world_.size());
    require(world_.size() == 1 || std::find(targets.begin(), targets.end(), ignored_target) == targets.end(),
            "an ignored target: several processes train on as many targets each");
    AdamW settings = options_.adamw;
    settings.learning_rate = report.learning_rate = options_.schedule.rate(steps_);
    optimizer_.place(settings, steps_ + 1);
    if (std::exchange(scale_, scale) != scale) repeat_.forget();
    repeat_([this] {
      zero(gradients_.flat());
      decoder_.run(cache_, activations_);
      run_backward_and_update();
    });
    ++steps_;
    report.loss = decoder_.mean_loss(scale_, activations_);
    report.gradient_norm = optimizer_.norm();
    return report;
  }

  std::size_t steps() const { return steps_; }  ///< steps done
  const Decoder<T, Space>& decoder() const { return decoder_; }
  const Parameters<T, Space>& parameters() const { return parameters_; }
  /// The parameters before rounding and AdamW's moments, in host memory: with `steps()`, all that later steps depend on. Of
  /// several processes all call, and the first gets them.
  SKIPV1_COLD std::optional<Parameters<S>> master() const {
    if constexpr (rounds) return gathered(master_);
    std::optional<Parameters<S>> all;
    if constexpr (!rounds)
      if (world_.first()) copy(all.emplace(parameters_.layout()).flat(), parameters_.flat());
    return all;
  }
  std::optional<Parameters<S>> first_moment() const { return gathered(m_); }
  std::optional<Parameters<S>> second_moment() const { return gathered(v_); }
  /// Goes on as a trainer that had these parameters and moments after `steps` steps.
  /// Throws, with nothing changed, on those of another model.
  SKIPV1_COLD void restore(std::size_t steps, const Parameters<S>& parameters, const Parameters<S>& m, const Parameters<S>& v) {
    require_layout("restore: first moment", m.layout(), parameters_.layout());
    require_layout("restore: second moment", v.layout(), parameters_.layout());
    set(parameters);
    copy(X(m_), part(m.flat(), own_));
    copy(X(v_), part(v.flat(), own_));
    steps_ = steps;
  }

 private:
  static constexpr bool rounds = !std::is_same_v<S, T>;
  using X = View<S, Space>;

  template <class E, class Where>
  static View<E, Where> part(View<E, Where> flat, const Elements& range) {
    return {flat.data() + range.begin, {range.size()}};
  }

  /// Sums and broadcasts of one process do nothing.
  void run_backward_and_update() {
    const View<T, Space> gradients = gradients_.flat();
    decoder_.run_loss_backward(scale_, gradients_, cache_gradients_, activations_,
                               [&](std::size_t l) { parallel_.begin_sum(gradients, l); });
    parallel_.finish_sum(gradients);
    const auto combine = [this](View<double, Space> square) { parallel_.sum(square, activations_.total_loss); };
    own_.size() ? optimizer_.run({own_group()}, options_.clip, combine) : optimizer_.run({}, options_.clip, combine);
    parallel_.share(parameters_.flat());
  }
  /// What this process updates.
  ParameterGroup<T, Space> own_group() {
    const std::size_t decayed = parameters_.layout().decayed();
    X master;
    if constexpr (rounds)
      master = master_;
    else
      master = part(parameters_.flat(), own_);
    return {part(parameters_.flat(), own_),
            master,
            m_,
            v_,
            part(gradients_.flat(), own_),
            std::clamp(decayed, own_.begin, own_.end) - own_.begin};
  }
  /// All processes' parts, on the first.
  SKIPV1_COLD std::optional<Parameters<S>> gathered(const Tensor<S, Space>& own) const {
    std::optional<Parameters<S>> all;
    if (world_.first()) all.emplace(parameters_.layout());
    each_owner({0, parameters_.layout().size()}, parameters_.layout().size(), world_.size(),
               [&](const Elements& range, std::size_t owner) {
                 const Tensor<S, Space> theirs = owner == world_.rank() ? Tensor<S, Space>() : Tensor<S, Space>({range.size()});
                 const X part_of_owner = owner == world_.rank() ? X(own) : X(theirs);
                 world_.begin_broadcast(part_of_owner, owner);
                 world_.wait();
                 if (all) copy(part(all->flat(), range), View<const S, Space>(part_of_owner));
               });
    return all;
  }

  void set(const Parameters<S>& parameters) {
    require_layout("parameters", parameters.layout(), parameters_.layout());
    if constexpr (rounds)
      copy(X(master_), part(parameters.flat(), own_));
    else
      copy(parameters_.flat(), parameters.flat());
    if constexpr (rounds) {
      const Tensor<T> rounded(parameters.flat().shape());
      for (std::size_t i = 0; i < rounded.size(); ++i) rounded.data()[i] = static_cast<T>(parameters.flat().data()[i]);
      copy(parameters_.flat(), View<const T>(rounded));
    }
  }

  TrainingOptions options_;
  Parameters<T, Space> parameters_, gradients_;
  Communicator& world_;
  DataParallel<T, Space> parallel_;
  Elements own_;  ///< the elements of which this process has master and moments
  Tensor<S, Space> master_, m_, v_;
  Decoder<T, Space> decoder_;
  Cache<T, Space> cache_, cache_gradients_;
  Activations<T, Space> activations_;
  Optimizer<T, Space> optimizer_;
  Repeat<Space> repeat_;  ///< on the device a step is a graph from its second time on
  double scale_ = 0;      ///< of the losses in it
  std::size_t steps_ = 0;
};

/// Floating-point operations of one training step on (B, T) tokens, counting a multiplication and an addition as two: every
/// matrix three times (forward, both gradients), causal attention's two products forward and five backward over the half that the
/// mask leaves.
inline double training_flops(const Config& c, std::size_t batch, std::size_t length) {
  const ParameterLayout layout(c);
  double weights = 0;
  for (const ParameterLayout::Entry& entry : layout.entries())
    if (entry.shape.rank() == 2) weights += static_cast<double>(entry.shape.size());
  for (const char* looked_up : {"model.embed_positions.weight", "model.embed_tokens.weight"})
    if (const auto* entry = layout.find(looked_up)) weights -= static_cast<double>(entry->shape.size());
  const std::size_t head = c.vocab_size * c.hidden_size;  // counted once, tied or not
  if (c.tie_word_embeddings) weights += static_cast<double>(head);
  const double tokens = static_cast<double>(batch * length), widths = static_cast<double>(c.query_width() + c.head_width());
  const double pairs =
      tokens * static_cast<double>(length + 1) / 2 * static_cast<double>(c.num_attention_heads * c.num_hidden_layers);
  return 6 * weights * tokens + 3.5 * 2 * pairs * widths;
}

}  // namespace skipv1

#ifdef SKIPV1_INSTANCES  // compiled elsewhere in the program, once
namespace skipv1 {
extern template class Trainer<float>;
extern template class Trainer<double>;
}  // namespace skipv1
#endif
