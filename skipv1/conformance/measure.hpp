// What the library itself computes for a case. One source for each scalar instantiates the decoder.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "skipv1/conformance/case.hpp"

namespace skipv1::conformance {

struct Measured {
  /// Logits (B, T, V) of each way through the sequence: "forward", "decode", "prefill", "chunked", "mixed".
  std::vector<std::pair<std::string, Tensor<double>>> logits;
  double loss = 0;
  std::optional<Parameters<double>> gradients;
  std::size_t elements = 0;  ///< cache elements per token, counted in the cache
};

/// Runs `c` on the CPU in float64 or float32.
Measured measure_f64(const Case& c);
Measured measure_f32(const Case& c);
/// The gradients alone, in float64.
Parameters<double> gradients_f64(const Case& c);
/// The same with parameters rounded to bfloat16 and arithmetic in float32, without gradients.
Measured measure_bf16(const Case& c);

/// What a `Cuda` tensor of this build is worked on by: "cuda" or "emulated"; and the same measurements there, bfloat16 being the
/// scalar of all storage then. Throws if there is no device.
const char* device_of_build();
Measured measure_on_device(const Case& c, const std::string& dtype);

/// Intermediate tensors of every layer l in forward order, in float64: `layer{l}.keys` (B, T, H, d_k) and `layer{l}.values` (B,
/// T, H, d_v) as each query head reads them (zeros where it reads none), `layer{l}.attention` (B, T, H, d_v) before o_proj,
/// `layer{l}.output` (B, T, d).
std::vector<std::pair<std::string, Tensor<double>>> trace(const Case& c);
/// Writes it to files of those names and `.npy` in `folder`.
void write_trace(const Case& c, const std::filesystem::path& folder);

}  // namespace skipv1::conformance
