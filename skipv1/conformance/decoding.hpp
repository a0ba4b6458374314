// A case's decoding: steps through one cache, with the logits and the cache's size after each (docs/spec/formats.md, "Decoding").
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/compare.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1::conformance {

/// "step3.logits", "step3.cache_bytes.bf16".
inline std::string step_tensor(std::size_t step, const std::string& what) { return "step" + std::to_string(step) + '.' + what; }

/// Bytes of the cache after each step, by scalar.
using CacheBytes = std::map<std::string, std::vector<std::size_t>>;
/// Bytes per element of scalar `dtype` ("f64", "f32", "bf16").
std::size_t element_width(const std::string& dtype);
/// What `c.decoding` leaves in a cache of that scalar.
std::vector<std::size_t> cache_bytes(const Case& c, const std::string& dtype);
/// The object `cache_bytes` of a decoding.json.
CacheBytes read_cache_bytes(const Json& json, std::size_t steps);

/// Steps for models of `config`, their tokens drawn from `seed`: a prompt in two chunks, sequences that enter, wait and advance
/// at their own pace, one token and several after the cache, a cache that is cut and continued with other tokens, and one
/// emptied for a new sequence. None if `max_position_embeddings` is below 10. From 132 on lengths lie on both sides of 64 and
/// 128.
std::vector<DecodingStep> draw_steps(const Config& config, std::uint64_t seed);

/// Reads decoding.json and decoding.safetensors of `folder` into `c`; nothing where neither is there. Throws, naming the file,
/// where steps are impossible, counts are not `c`'s, or logits do not fit.
void read_decoding(const std::filesystem::path& folder, Case& c);
/// Writes both.
void write_decoding(const std::filesystem::path& folder, const Case& c);

/// Logits of step `n` (N, V), rows sequence by sequence. The note of one that fails says which step it is, and whose row.
Comparison compare_step(const Case& c, std::size_t n, View<const double> logits, const std::string& dtype);

}  // namespace skipv1::conformance
