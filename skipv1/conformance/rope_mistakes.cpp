// What implementers get wrong in "rope_frequencies" and that is another configuration.
#include <cmath>

#include "skipv1/conformance/mistake_lists.hpp"

namespace skipv1::conformance {

std::vector<ConfigMistake> rope_mistakes(const Config& config) {
  std::vector<ConfigMistake> all;
  const auto add = [&](const std::string& words, const auto& change) {
    all.push_back({words, config});
    change(all.back().config.rope_frequencies);
  };
  const RopeKind kind = config.rope_frequencies.kind;
  if (kind == RopeKind::plain) return all;
  add("rope_frequencies is left unread: the frequencies are plain", [](RopeScaling& s) { s = {}; });
  add("frequencies are multiplied by rope_frequencies.factor instead of divided",
      [](RopeScaling& s) { s.factor = 1 / s.factor; });
  if (kind == RopeKind::linear) return all;
  add("max_position_embeddings is taken for rope_frequencies.original_max_position_embeddings",
      [&](RopeScaling& s) { s.original_max_position_embeddings = config.max_position_embeddings; });
  if (kind == RopeKind::llama3)
    add("low_freq_factor and high_freq_factor are 1 and 4, whatever the configuration says",
        [](RopeScaling& s) { s.low_freq_factor = 1, s.high_freq_factor = 4; });
  if (kind != RopeKind::yarn) return all;
  add("beta_fast and beta_slow are 32 and 1, whatever the configuration says",
      [](RopeScaling& s) { s.beta_fast = 32, s.beta_slow = 1; });
  for (const int turns : {16, 32})
    add("yarn's beta_fast is " + std::to_string(turns), [=](RopeScaling& s) { s.beta_fast = turns; });
  for (const int turns : {1, 2})
    add("yarn's beta_slow is " + std::to_string(turns), [=](RopeScaling& s) { s.beta_slow = turns; });
  add(config.rope_frequencies.truncate ? "the ends of yarn's ramp are not rounded, though truncate is true"
                                       : "the ends of yarn's ramp are rounded, though truncate is false",
      [](RopeScaling& s) { s.truncate = !s.truncate; });
  add("cosines and sines are not multiplied by yarn's attention_factor", [](RopeScaling& s) { s.attention_factor = 1; });
  add("attention_factor is 0.1 ln(factor) + 1, whatever the configuration says",
      [](RopeScaling& s) { s.attention_factor = yarn_attention_factor(s.factor); });
  if (config.rope_frequencies.factor < 1)
    add("attention_factor is 0.1 ln(factor) + 1 for a factor below 1, too",
        [](RopeScaling& s) { s.attention_factor = 0.1 * std::log(s.factor) + 1; });
  return all;
}

}  // namespace skipv1::conformance
