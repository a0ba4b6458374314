// The ramp between kept and divided frequencies (docs/spec/models.md, "Rotary frequencies") with one of its rules changed.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include "skipv1/conformance/altered_pass.hpp"

namespace skipv1::conformance {

/// yarn's u and v, of a rotated part of width w.
inline std::pair<double, double> altered_ends(const RopeScaling& s, Rules::Ramp ramp, double theta, std::size_t w) {
  using Ramp = Rules::Ramp;
  const double width = static_cast<double>(w), n = static_cast<double>(s.original_max_position_embeddings);
  const auto pair_of = [&](double turns) { return width * std::log(n / (turns * 2 * std::acos(-1.0))) / (2 * std::log(theta)); };
  double u = pair_of(s.beta_fast), v = pair_of(s.beta_slow);
  if (s.truncate && ramp == Ramp::nearest)
    u = std::nearbyint(u), v = std::nearbyint(v);
  else if (s.truncate)
    u = std::floor(u), v = std::ceil(v);
  if (ramp != Ramp::start_not_raised) u = std::max(u, 0.0);
  if (ramp != Ramp::end_not_lowered) v = std::min(v, ramp == Ramp::end_of_pairs ? width / 2 - 1 : width - 1);
  if (ramp == Ramp::both_clamped) u = std::min(u, width - 1), v = std::max(v, 0.0);
  return {u, u == v ? v + 0.001 : v};
}

/// The share of the frequency `plain`, that of pair i of w / 2, that is not divided by the factor; of kinds yarn and llama3.
inline double altered_share(const RopeScaling& s, Rules::Ramp ramp, double plain, double theta, std::size_t i, std::size_t w) {
  const auto clamped = [&](double share) {
    if (ramp != Rules::Ramp::not_raised_to_0) share = std::max(share, 0.0);
    return ramp != Rules::Ramp::not_lowered_to_1 ? std::min(share, 1.0) : share;
  };
  if (s.kind == RopeKind::llama3) {
    const double turns = static_cast<double>(s.original_max_position_embeddings) * plain / (2 * std::acos(-1.0));
    return clamped((turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor));
  }
  const auto [u, v] = altered_ends(s, ramp, theta, w);
  return 1 - clamped((static_cast<double>(i) - u) / (v - u));
}

}  // namespace skipv1::conformance
