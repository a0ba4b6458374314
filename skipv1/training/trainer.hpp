// One training step after another: forward, loss, backward, clipping, AdamW.
#pragma once

#include "skipv1/model/decoder.hpp"
#include "skipv1/ops/adamw.hpp"
#include "skipv1/training/schedule.hpp"

namespace skipv1 {

/// What a run is made of besides its model and text.
struct TrainingOptions {
  Schedule schedule;
  AdamW adamw;              ///< its learning rate is the schedule's
  double clip = 1.0;        ///< gradients of a larger norm are shortened to this; 0: never
  std::size_t batch = 8, length = 256;
};

/// What a step tells.
struct StepReport {
  double loss = 0, gradient_norm = 0, learning_rate = 0;
};

/// A model in training: parameters, gradients, moments, and the memory of one step. All of it is allocated by the constructor and the first step.
template <class T, class Space = Cpu>
class Trainer {
 public:
  /// Starts from `initialize(…, seed)`.
  Trainer(const Config& config, const TrainingOptions& options, std::uint64_t seed)
      : options_(options),
        parameters_(config),
        gradients_(config),
        m_(config),
        v_(config),
        decoder_(config, parameters_),
        cache_(decoder_.routing(), options.batch, options.length),
        cache_gradients_(decoder_.routing(), options.batch, options.length) {
    Parameters<T> initial(config);
    initialize(initial, config, seed);
    copy(parameters_.flat(), initial.flat());
  }
  Trainer(const Trainer&) = delete;  // the decoder points at the parameters
  Trainer& operator=(const Trainer&) = delete;

  /// Trains on tokens (B T), predicting targets (B T), both row by row. Throws as `Decoder::forward` and `loss` do.
  StepReport step(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& targets) {
    StepReport report;
    zero(gradients_.flat());
    cache_.reset();
    decoder_.forward(Batch{tokens, std::vector<std::size_t>(options_.batch, options_.length)}, cache_, activations_, Keep::for_backward);
    report.loss = decoder_.loss(targets, activations_);
    decoder_.backward(gradients_, cache_gradients_, activations_);
    report.gradient_norm = norm(gradients_.flat());
    AdamW settings = options_.adamw;
    settings.learning_rate = report.learning_rate = options_.schedule.rate(steps_);
    adamw(parameters_.flat(), m_.flat(), v_.flat(), gradients_.flat(), settings, ++steps_, parameters_.layout().decayed(),
          clip_scale(report.gradient_norm, options_.clip));
    return report;
  }

  std::size_t steps() const { return steps_; }  ///< steps done
  const Decoder<T, Space>& decoder() const { return decoder_; }
  const Parameters<T, Space>& parameters() const { return parameters_; }
  /// The optimizer's moments, for a checkpoint; `resume` sets the step they belong to.
  const Parameters<T, Space>& first_moment() const { return m_; }
  const Parameters<T, Space>& second_moment() const { return v_; }
  void resume(std::size_t steps) { steps_ = steps; }

 private:
  TrainingOptions options_;
  Parameters<T, Space> parameters_, gradients_, m_, v_;
  Decoder<T, Space> decoder_;
  Cache<T, Space> cache_, cache_gradients_;
  Activations<T, Space> activations_;
  std::size_t steps_ = 0;
};

/// Floating-point operations of one training step on (B, T) tokens, counting a multiplication and an addition as two: every matrix three times
/// (forward, both gradients), causal attention's two products forward and five backward over the half that the mask leaves.
inline double training_flops(const Config& c, std::size_t batch, std::size_t length) {
  const ParameterLayout layout(c);
  double weights = 0;
  for (const ParameterLayout::Entry& entry : layout.entries())
    if (entry.shape.rank() == 2) weights += static_cast<double>(entry.shape.size());
  for (const char* looked_up : {"model.embed_positions.weight", "model.embed_tokens.weight"})
    if (const auto* entry = layout.find(looked_up)) weights -= static_cast<double>(entry->shape.size());
  weights += static_cast<double>(c.vocab_size * c.hidden_size);  // the output head, tied or not
  const double tokens = static_cast<double>(batch * length), widths = static_cast<double>(c.query_width() + c.head_width());
  const double pairs = tokens * static_cast<double>(length + 1) / 2 * static_cast<double>(c.num_attention_heads * c.num_hidden_layers);
  return 6 * weights * tokens + 3.5 * 2 * pairs * widths;
}

}  // namespace skipv1
