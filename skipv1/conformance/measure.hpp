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
  std::optional<double> loss;  ///< none where every target is ignored
  std::optional<Parameters<double>> gradients;
  std::size_t elements = 0;  ///< cache elements per token, counted in the cache
  /// Of each step of the case's decoding.
  struct Step {
    Tensor<double> logits;      ///< (N, V)
    std::size_t positions = 0;  ///< that the cache holds after it, over all sequences
  };
  std::vector<Step> decoding;
};

/// Runs `c` on the CPU in float64 or float32.
Measured measure_f64(const Case& c);
Measured measure_f32(const Case& c);
/// One pass over everything in float64; the same with its gradients; and these alone.
Measured forward_f64(const Case& c);
Measured forward_backward_f64(const Case& c);
Parameters<double> gradients_f64(const Case& c);
/// The same with parameters rounded to bfloat16 and arithmetic in float32, without gradients.
Measured measure_bf16(const Case& c);

/// The same in `Space`, `Cuda` or `Emulated`; with `dtype` bf16 all storage is in bfloat16. Throws if this machine has no such
/// device.
template <class Space>
Measured measure_on(const Case& c, const std::string& dtype);

/// The tensors of a trace, in the order of the forward pass: `embedding` (B, T, d); of every layer l `layer{l}.input` (B, T, d),
/// `.queries_unrotated` (after q_norm where there is one) and `.queries_rotated` (B, T, H, d_k), `.keys` (B, T, H, d_k) and
/// `.values` (B, T, H, d_v) as each query head reads them (zeros where it reads none), `.attention` (B, T, H, d_v) before o_proj,
/// `.residual` (B, T, d) after it, `.output` (B, T, d); `final_norm` (B, T, d).
std::vector<std::string> trace_names(const Config& config);
/// What the library computes for them, in float64.
std::vector<std::pair<std::string, Tensor<double>>> trace(const Case& c);
/// Writes it to files of those names and `.npy` in `folder`: all of them or none.
void write_trace(const Case& c, const std::filesystem::path& folder);

}  // namespace skipv1::conformance
