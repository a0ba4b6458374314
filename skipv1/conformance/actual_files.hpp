// The tensors and numbers that another implementation wrote into a folder.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "skipv1/conformance/decoding.hpp"

namespace skipv1::conformance {

/// A tensor in a file, read when it is asked for.
struct StoredTensor {
  std::string file;   ///< its name, for errors
  std::string dtype;  ///< whose bounds hold: "f64", "f32", or "bf16" for either half precision
  std::function<Tensor<double>()> read;
};

/// What a folder has, by name.
struct ActualFiles {
  std::map<std::string, StoredTensor> tensors;    ///< logits, loss, trace, decoding
  std::map<std::string, StoredTensor> gradients;  ///< by their parameters' names, which the configuration may not have
  std::optional<double> loss;                     ///< of expected.json, NaN and infinity included
  std::optional<std::size_t> elements, parameters;
  CacheBytes cache_bytes;  ///< of decoding.json
};

/// Lists what `folder` has for a case. A copy of a case's own files and `negative/` may lie there too. Throws, naming it, on
/// whatever else is there, on a tensor that is there twice, and on the case's own results, which would be held against
/// themselves.
ActualFiles list_actual(const Case& c, const std::filesystem::path& folder);

}  // namespace skipv1::conformance
