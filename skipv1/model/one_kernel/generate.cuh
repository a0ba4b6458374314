// Greedy generation by one kernel.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/model/generate.hpp"
#include "skipv1/model/one_kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As greedy `generate`, by one kernel: one prefill, then `at_once` tokens of each sequence per launch. `on_token` hears of a
/// launch's tokens after its end. Throws as `generate`, and what `OneKernel` throws.
template <class T>
std::vector<std::vector<std::int32_t>> generate_by_one_kernel(const Decoder<T, Device>& decoder,
                                                              const std::vector<std::vector<std::int32_t>>& prompts,
                                                              std::size_t count, const OnToken& on_token = {},
                                                              std::size_t at_once = 16) {
  const std::size_t batch = prompts.size();
  std::size_t longest = 0;
  for (std::size_t b = 0; b < batch; ++b) {
    require(!prompts[b].empty(), "generate: prompt ", b, " is empty");
    longest = std::max(longest, prompts[b].size());
  }
  std::vector<std::vector<std::int32_t>> said(batch);
  if (batch == 0 || count == 0) return said;
  Cache<T, Device> cache(decoder.routing(), batch, longest + count);
  OneKernel<T> one(decoder, cache);
  const Tensor<T> logits = detail::prefill(decoder, prompts, cache);
  std::vector<bool> ended(batch, false);
  std::vector<std::int32_t> next(batch);
  Random unused(0);
  for (std::size_t b = 0; b < batch; ++b)
    next[b] = sample<T>(logits.slice(b, 1).reshape({logits.width()}), {.temperature = 0}, unused);
  const auto hear = [&] {  // what follows a sequence's end is computed, and unheard
    for (std::size_t b = 0; b < batch; ++b) {
      if (ended[b]) continue;
      said[b].push_back(next[b]);
      ended[b] = (on_token && !on_token(b, next[b])) || said[b].size() == count;
    }
  };
  hear();
  for (std::size_t done = 1; std::find(ended.begin(), ended.end(), false) != ended.end();) {
    const std::size_t steps = std::min(at_once, count - done);
    const Tensor<std::int32_t> chosen = one(next, steps);
    for (std::size_t i = 0; i < steps; ++i, ++done) {
      for (std::size_t b = 0; b < batch; ++b) next[b] = chosen(i, b);
      hear();
    }
  }
  return said;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
