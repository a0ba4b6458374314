// How far each pair of rotary positions turns from one position to the next (docs/spec/models.md, "Rotary frequencies").
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "skipv1/core/check.hpp"

namespace skipv1 {

enum class RopeKind { plain, linear, llama3, yarn };
inline constexpr const char* rope_kind_names[] = {"plain", "linear", "llama3", "yarn"};
inline const char* to_string(RopeKind kind) { return rope_kind_names[static_cast<std::size_t>(kind)]; }
/// The kind called `name`; throws if there is none.
inline RopeKind parse_rope_kind(const std::string& name) {
  for (std::size_t i = 0; i < std::size(rope_kind_names); ++i)
    if (name == rope_kind_names[i]) return static_cast<RopeKind>(i);
  fail("rope kind \"", name, "\" is unknown; known are plain, linear, llama3, yarn");
}

/// `config.json`'s "rope_frequencies": how the plain frequencies `theta^(-2i/w)` are changed for longer contexts. Fields that a
/// kind does not use keep their defaults.
struct RopeScaling {
  RopeKind kind = RopeKind::plain;
  double factor = 1;                                 ///< all but plain: what slow pairs are divided by
  std::size_t original_max_position_embeddings = 0;  ///< llama3, yarn: the context before it was lengthened
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3: turns within that context
  double beta_fast = 32, beta_slow = 1;              ///< yarn: likewise
  double attention_factor = 1;                       ///< yarn: what cosines and sines are multiplied by
  bool truncate = true;                              ///< yarn: whether the ramp's ends are whole numbers of pairs
  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

/// Throws unless the fields that the kind uses obey the specification, beside this base. `object` is what errors call their
/// place.
inline void validate(const RopeScaling& s, double theta, const std::string& object = "rope_frequencies") {
  if (s.kind == RopeKind::plain) return;
  const auto positive = [&](const char* key, double value) {
    require(std::isfinite(value) && value > 0, object, ".", key, " is ", value, ": must be positive");
  };
  positive("factor", s.factor);
  if (s.kind == RopeKind::linear) return;
  require(s.original_max_position_embeddings >= 1 && s.original_max_position_embeddings < 1u << 31, object,
          ".original_max_position_embeddings is ", s.original_max_position_embeddings, ": must be 1 to ", (1u << 31) - 1);
  if (s.kind == RopeKind::llama3) {
    positive("low_freq_factor", s.low_freq_factor);
    require(std::isfinite(s.high_freq_factor) && s.high_freq_factor > s.low_freq_factor, object, ".high_freq_factor is ",
            s.high_freq_factor, ": must be above low_freq_factor, ", s.low_freq_factor);
    return;
  }
  positive("beta_slow", s.beta_slow);
  require(std::isfinite(s.beta_fast) && s.beta_fast >= s.beta_slow, object, ".beta_fast is ", s.beta_fast,
          ": must be beta_slow, ", s.beta_slow, ", or more");
  positive("attention_factor", s.attention_factor);
  require(theta > 1, "rope_theta is ", theta, ": kind yarn needs one above 1");
}

/// YaRN's default for `attention_factor`: `0.1 m ln(factor) + 1`, or 1 where `factor` is at most 1: nothing is lengthened.
inline double yarn_attention_factor(double factor, double m = 1) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; }

namespace detail {
/// YaRN: the share, 0 to 1, in which pair i of w / 2 is divided by the factor.
inline double yarn_ramp(const RopeScaling& s, double theta, std::size_t i, std::size_t w) {
  const double two_pi = 2 * std::acos(-1.0), width = static_cast<double>(w);
  const auto pair_of = [&](double turns) {  // that turns so often within the original context
    return width * std::log(static_cast<double>(s.original_max_position_embeddings) / (turns * two_pi)) / (2 * std::log(theta));
  };
  double low = pair_of(s.beta_fast), high = pair_of(s.beta_slow);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, width - 1);
  if (low == high) high += 0.001;
  return std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
}
}  // namespace detail

/// What becomes of `frequency` as that of pair i of w / 2.
inline double scaled_frequency(const RopeScaling& s, double frequency, double theta, std::size_t i, std::size_t w) {
  double kept = 1;  // the share that is not divided
  switch (s.kind) {
    case RopeKind::plain:
      return frequency;
    case RopeKind::linear:
      kept = 0;
      break;
    case RopeKind::llama3: {
      const double turns = static_cast<double>(s.original_max_position_embeddings) * frequency / (2 * std::acos(-1.0));
      kept = std::clamp((turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0, 1.0);
      break;
    }
    case RopeKind::yarn:
      kept = 1 - detail::yarn_ramp(s, theta, i, w);
  }
  return (1 - kept) * frequency / s.factor + kept * frequency;
}

/// Angle per position of each pair of a head's w rotated entries: `theta^(-2i/w)`, scaled.
SKIPV1_COLD inline std::vector<double> rope_frequencies(const RopeScaling& s, double theta, std::size_t w) {
  std::vector<double> frequencies(w / 2);
  for (std::size_t i = 0; i < w / 2; ++i) {
    const double plain = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(w));
    frequencies[i] = scaled_frequency(s, plain, theta, i, w);
  }
  return frequencies;
}

}  // namespace skipv1
