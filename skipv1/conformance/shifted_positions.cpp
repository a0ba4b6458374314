#include "skipv1/conformance/shifted_positions.hpp"

#include <algorithm>
#include <cmath>

#include "skipv1/conformance/actual_files.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/model/rope_scaling.hpp"

namespace skipv1::conformance {

namespace {

/// Heads (B, T, H, width) whose rotated part comes last, `by` positions later.
Tensor<double> rotated_further(const Config& config, const Tensor<double>& heads, std::size_t by) {
  const std::size_t width = heads.shape()[3], part = config.latent() ? config.attention.rotary_size : width, half = part / 2;
  const std::vector<double> frequencies = rope_frequencies(config.rope_frequencies, config.rope_theta, part);
  Tensor<double> y(heads.shape());
  std::copy_n(heads.data(), heads.size(), y.data());
  for (std::size_t at = width - part; at < y.size(); at += width)
    for (std::size_t i = 0; i < half; ++i) {
      double &first = y.data()[at + i], &second = y.data()[at + half + i];
      const double p = static_cast<double>(by) * frequencies[i], a = first, b = second;
      first = a * std::cos(p) - b * std::sin(p), second = b * std::cos(p) + a * std::sin(p);
    }
  return y;
}

}  // namespace

std::size_t counted_from(const Case& c, const std::filesystem::path& folder, const std::vector<Comparison>& comparisons) {
  std::vector<const Comparison*> differing;
  bool logits = false;
  for (const Comparison& x : comparisons) {
    logits = logits || (x.check == "logits" && x.pass);
    if (x.pass) continue;
    const bool rotated = x.tensor.ends_with(".queries_rotated") || x.tensor.ends_with(".keys");
    if (x.check != "trace" || !rotated || !std::isfinite(x.error)) return 0;
    differing.push_back(&x);
  }
  if (!logits || differing.empty() || c.config.gpt2()) return 0;
  const auto expected = trace(c);
  const ActualFiles files = list_actual(c, folder);
  const auto is_at = [&](const Comparison& x, std::size_t from) {
    const auto tensor = std::find_if(expected.begin(), expected.end(), [&](const auto& item) { return item.first == x.tensor; });
    return compare("trace", x.tensor, files.tensors.at(x.tensor).read(), rotated_further(c.config, tensor->second, from), x.bound)
        .pass;
  };
  for (std::size_t from = 1; from <= c.length(); ++from)
    if (std::all_of(differing.begin(), differing.end(), [&](const Comparison* x) { return is_at(*x, from); })) return from;
  return 0;
}

}  // namespace skipv1::conformance
