// What the lists of runs are made of: models, recipe, rates; and the lists that have a file of their own in library/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "skipv1/programs/experiment.hpp"

namespace skipv1::plans {

using Runs = std::vector<PlannedRun>;

/// LLaMA with an output head of its own and feed-forward layers of about 8/3 of the width.
inline Config llama(std::size_t vocab, std::size_t width, std::size_t layers, std::size_t feed_forward) {
  Config c;
  c.vocab_size = vocab, c.hidden_size = width, c.num_hidden_layers = layers, c.intermediate_size = feed_forward;
  c.num_attention_heads = c.num_key_value_heads = 8;
  c.max_position_embeddings = 512;
  c.tie_word_embeddings = false;
  return c;
}

inline Config with(Config c, const std::string& variant) {
  c.attention.variant = variant;
  return c;
}
/// Half as many key/value heads.
inline Config grouped(Config c, const std::string& variant) {
  c.num_key_value_heads /= 2;
  return with(c, variant);
}
/// A latent of a quarter of the width, a rotary key of half a head's: the proportions of the paper's (docs/spec/models.md).
inline Config latent(Config c, const std::string& variant) {
  c.attention.kv_latent_size = c.hidden_size / 4, c.attention.rotary_size = c.head_width() / 2;
  return with(c, variant);
}

/// The paper's recipe for LLaMA (docs/spec/paper.md, "Training recipes"): AdamW 0.9 and 0.95 without decay, 10 % warm-up, a
/// cosine to 10 %, clipped at 1.
inline TrainingOptions recipe(std::size_t steps, std::size_t batch = 64) {
  TrainingOptions t;
  t.schedule = {steps, 2e-3};
  t.adamw.beta1 = 0.9, t.adamw.beta2 = 0.95, t.adamw.weight_decay = 0;
  t.batch = batch, t.length = 512;
  return t;
}

/// The peak rates of a sweep.
inline constexpr std::pair<const char*, double> peaks[] = {{"5e-4", 5e-4},     {"1e-3", 1e-3}, {"1.4e-3", 1.4e-3}, {"2e-3", 2e-3},
                                                           {"2.8e-3", 2.8e-3}, {"4e-3", 4e-3}, {"8e-3", 8e-3}};

/// `config` at each of the peak rates, on text read in epochs (over `unique` tokens, or all there are).
inline void add_peaks(Runs& runs, const std::string& label, const Config& config, TrainingOptions training,
                      std::size_t unique = 0) {
  for (const auto& [name, peak] : peaks) {
    training.schedule.peak = peak;
    PlannedRun run{label + "@" + name, config, training};
    run.reading = {Reading::Order::epochs, unique};
    runs.push_back(run);
  }
}

/// MHA and SkipV1 at three lengths of the context, at equal tokens per step; the held-out loss by the place in the context.
Runs contexts();
/// Variants that learn a recall task, over numbers of pairs.
Runs recall();
/// MHA converted by each strategy and trained further on text that it has not read, at two rates and for two lengths.
Runs uptraining_once();
/// MHA and SkipV1 over vocabularies, at equal bytes of text per step.
Runs vocabulary();

}  // namespace skipv1::plans
