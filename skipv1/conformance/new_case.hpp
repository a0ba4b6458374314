// Writing conformance cases.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "skipv1/core/tensor.hpp"

namespace skipv1::conformance {

/// What a case is drawn from, besides its configuration.
struct NewCase {
  std::uint64_t seed = 0;
  std::size_t batch = 2, length = 11;
  std::string dtype = "F64";  ///< scalar of model.safetensors: F64, F32 or BF16
  bool drawn = false;  ///< leave model and gradients out of the folder: whoever reads the case draws the one, computes the other
  bool as_given = false;  ///< config.json is the given one, with the keys that it leaves out left out; else all are spelled out
};

/// Writes the case of configuration file `config` to the new folder `out`, whole or not at all: weights, tokens and targets
/// drawn, results computed by the library in float64. Throws if the configuration is none, or `out` exists.
void make_case(const std::filesystem::path& config, const NewCase& options, const std::filesystem::path& out);

/// Writes a negative case to the new folder `out`: `tensors` to files of their names, and what is wrong with them (`words`; the
/// tensor and place where it shows first) to manifest.json.
void write_negative(const std::filesystem::path& out, const std::map<std::string, Tensor<float>>& tensors,
                    const std::string& words, const std::string& first, const std::string& place);

}  // namespace skipv1::conformance
