// A conformance case (docs/spec/formats.md, "Conformance case") in memory.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "skipv1/model/parameters.hpp"

namespace skipv1::conformance {

/// The largest error allowed of each tensor: the checker's defaults, or what the case's `manifest.json` puts in their place.
class Bounds {
 public:
  /// The bound for `tensor` of class `kind` ("logits", "loss", "gradients", "trace") in `dtype` ("f64", "f32", "bf16"): the
  /// manifest's for that name, for that class, or 1e-10, 2e-4, 5e-2.
  double find(const std::string& dtype, const std::string& kind, const std::string& tensor) const;
  void set(const std::string& dtype, const std::string& tensor_or_kind, double bound) { given_[dtype][tensor_or_kind] = bound; }
  /// The manifest's, by scalar and name.
  const std::map<std::string, std::map<std::string, double>>& given() const { return given_; }

 private:
  std::map<std::string, std::map<std::string, double>> given_;
};

/// Sequences that continue by some tokens each, after what a cache holds of them.
struct DecodingStep {
  std::string what;                               ///< in words
  std::vector<std::size_t> keep;                  ///< (B): how many of the cached positions stay; later ones are cut
  std::vector<std::vector<std::int32_t>> tokens;  ///< (B): the new tokens of each, or none
  Tensor<double> logits;                          ///< (N, V): of the new tokens, sequence by sequence

  std::size_t rows() const {
    std::size_t n = 0;
    for (const std::vector<std::int32_t>& x : tokens) n += x.size();
    return n;
  }
};

struct Case {
  explicit Case(const Config& c) : config(c), weights(c), gradients(c) {}

  std::string name;
  std::filesystem::path folder;  ///< where it was read; empty if nowhere
  Config config;
  Parameters<double> weights, gradients;
  Tensor<std::int32_t> tokens, targets;  ///< (B, T)
  Tensor<double> logits;                 ///< (B, T, V)
  double loss = 0;
  std::size_t elements = 0, parameters = 0;  ///< cache elements per token; stored elements as expected.json says
  std::size_t stored = 0;                    ///< stored elements counted in model.safetensors
  Bounds bounds;
  std::vector<DecodingStep> decoding;  ///< one after the other, from an empty cache; none where the case has no decoding.json

  std::size_t batch() const { return tokens.extent(0); }
  std::size_t length() const { return tokens.extent(1); }
};

/// Reads the case in `folder`. Throws, naming the file, where it is unusable: missing or malformed files, shapes that do not fit
/// each other, tokens out of range, values that are not finite.
Case read_case(const std::filesystem::path& folder);

}  // namespace skipv1::conformance
