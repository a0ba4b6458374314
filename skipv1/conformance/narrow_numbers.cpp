#include "skipv1/conformance/narrow_numbers.hpp"

#include <algorithm>
#include <cmath>

#include "skipv1/conformance/actual_files.hpp"
#include "skipv1/core/bfloat16.hpp"

namespace skipv1::conformance {

namespace {

bool is_bfloat16(double x) { return static_cast<double>(bfloat16(x)) == x; }

/// 11 bits from 2^-14 on, below it multiples of 2^-24; the largest is 65504.
bool is_float16(double x) {
  if (!(std::abs(x) <= 65504)) return false;
  int exponent = 0;
  std::frexp(x, &exponent);
  const double units = std::ldexp(x, std::min(11 - exponent, 24));
  return units == std::nearbyint(units);
}

}  // namespace

std::string narrow_type(View<const double> x) {
  const auto all = [&](bool (*is)(double)) { return x.size() > 0 && std::all_of(x.data(), x.data() + x.size(), is); };
  return all(is_bfloat16) ? "bfloat16" : all(is_float16) ? "float16" : "";
}

std::optional<NarrowNumbers> narrow_numbers(const Case& c, const std::filesystem::path& folder,
                                            const std::vector<Comparison>& comparisons) {
  double worst = 0;  // in bfloat16's bounds
  NarrowNumbers found;
  const ActualFiles files = list_actual(c, folder);
  for (const Comparison& x : comparisons) {
    if (x.pass) continue;
    if (x.check == "cache" || !x.mistakes.empty()) return std::nullopt;
    const bool decoding = x.check == "decoding";
    const double error = x.error / c.bounds.find("bf16", decoding ? "logits" : x.check, decoding ? "decoding" : x.tensor);
    if (!(error <= 1)) return std::nullopt;
    worst = std::max(worst, error);
    const auto& tensors = x.check == "gradients" ? files.gradients : files.tensors;
    const auto tensor = tensors.find(x.tensor);
    if (x.check == "loss" || tensor == tensors.end() || found.type == "float16") continue;
    const std::string type = narrow_type(tensor->second.read());
    if (found.type.empty() || type == "float16") found = {type, x.tensor};
  }
  if (found.type.empty() || (found.type == "float16" && worst > 0.125)) return std::nullopt;
  return found;
}

}  // namespace skipv1::conformance
