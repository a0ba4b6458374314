// Whole training steps on a card. For nvcc alone.
#pragma once

#include <cuda_profiler_api.h>

#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/training/trainer.cuh"
#include "tests/benchmark/gpu_common.hpp"

namespace skipv1::benchmark {

/// Byte-level models, and the shape of GPT-2 small (its vocabulary filled up to a multiple of 64).
inline Config llama_bytes(const char* variant, std::size_t width, std::size_t layers, std::size_t feed_forward) {
  Config c;
  c.vocab_size = 256, c.hidden_size = width, c.intermediate_size = feed_forward, c.num_hidden_layers = layers;
  c.num_attention_heads = c.num_key_value_heads = 8, c.max_position_embeddings = 512, c.tie_word_embeddings = false;
  c.attention.variant = variant;
  return c;
}
inline Config gpt2_124m(const char* variant) {
  Config c;
  c.architecture = Architecture::gpt2;
  c.vocab_size = 50304, c.hidden_size = 768, c.intermediate_size = 3072, c.num_hidden_layers = 12;
  c.num_attention_heads = c.num_key_value_heads = 12, c.max_position_embeddings = 1024, c.tie_word_embeddings = true;
  c.attention.variant = variant;
  return c;
}

inline TrainingOptions options_of(std::size_t batch, std::size_t length) {
  TrainingOptions o;
  o.schedule = {1000, 1e-3};
  o.batch = batch, o.length = length;
  return o;
}
/// One more than batch x length tokens, drawn.
inline std::vector<std::int32_t> drawn_tokens(const Config& config, std::size_t batch, std::size_t length) {
  Random random(1);
  std::vector<std::int32_t> tokens(batch * length + 1);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.below(config.vocab_size));
  return tokens;
}

/// A model in bfloat16 that trains on one batch, over and over.
class Training {
 public:
  /// `initial`: the weights to begin with.
  Training(const Config& config, std::size_t batch, std::size_t length, const Parameters<float>& initial)
      : before_(free_memory_without_scratch()),
        batch_(batch),
        tokens_(drawn_tokens(config, batch, length)),
        inputs_(tokens_.begin(), tokens_.end() - 1),
        targets_(tokens_.begin() + 1, tokens_.end()),
        trainer_(config, options_of(batch, length), initial) {
    step();
    bytes_ = before_ - free_memory() - bytes_of_parameters * trainer_.parameters().layout().size();
    step();  // is recorded
  }
  StepReport step() const { return trainer_.step(inputs_, targets_); }
  /// Of steps as a program makes them, by the host's clock: each waits for its loss.
  Time timed(std::size_t repeats) const {
    return timed_by_host(repeats, [&] { step(); });
  }
  /// All device memory but what each parameter has: activations, keys and values and their gradients, logits, scratch.
  double bytes_per_sequence() const { return static_cast<double>(bytes_) / static_cast<double>(batch_); }

 private:
  /// Scratch that earlier measurements have left would not be counted.
  static std::size_t free_memory_without_scratch() {
    detail::Scratch<float>::here().release();
    return free_memory();
  }
  /// The parameter and its gradient in bfloat16; in float the parameter before rounding and AdamW's moments.
  static constexpr std::size_t bytes_of_parameters = 2 * 2 + 3 * 4;
  std::size_t before_, batch_, bytes_ = 0;
  std::vector<std::int32_t> tokens_, inputs_, targets_;
  mutable Trainer<bfloat16, Device> trainer_;
};

/// A first step, of kernels one by one, between the profiler's start and stop.
inline void profile_step(const Config& config, std::size_t batch, std::size_t length) {
  const std::vector<std::int32_t> tokens = drawn_tokens(config, batch, length);
  Trainer<bfloat16, Device> trainer(config, options_of(batch, length), 1);
  check_cuda(cudaProfilerStart(), "cudaProfilerStart");
  trainer.step({tokens.begin(), tokens.end() - 1}, {tokens.begin() + 1, tokens.end()});
  check_cuda(cudaProfilerStop(), "cudaProfilerStop");
}

/// How far loss and gradient norm of a first step on two sequences are from a trainer's in double, relatively.
inline double step_error(const Config& config, std::size_t length, const Parameters<float>& initial) {
  const std::vector<std::int32_t> tokens = drawn_tokens(config, 2, length);
  const std::vector<std::int32_t> inputs(tokens.begin(), tokens.end() - 1), targets(tokens.begin() + 1, tokens.end());
  Parameters<double> in_double(config);
  std::copy_n(initial.flat().data(), initial.flat().size(), in_double.flat().data());
  Trainer<double, Device> exact(config, options_of(2, length), in_double);
  Trainer<bfloat16, Device> rounded(config, options_of(2, length), initial);
  const StepReport want = exact.step(inputs, targets), got = rounded.step(inputs, targets);
  return std::max(std::abs(got.loss / want.loss - 1), std::abs(got.gradient_norm / want.gradient_norm - 1));
}

}  // namespace skipv1::benchmark
