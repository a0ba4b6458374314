// Generation by one kernel.
#pragma once

#include "skipv1/model/decoder.cuh"
#include "skipv1/model/generate.hpp"
#include "skipv1/model/one_kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// As `generate`, by one kernel: one prefill, then launches. Greedy decoding takes `at_once` tokens of each sequence per launch,
/// and `on_token` hears of them after its end. Where tokens are drawn a launch is one token, drawn on the host from its logits
/// by the random numbers that `generate` takes. Throws as `generate`, and what `OneKernel` throws.
template <class T>
std::vector<std::vector<std::int32_t>> generate_by_one_kernel(const Decoder<T, Device>& decoder,
                                                              const std::vector<std::vector<std::int32_t>>& prompts,
                                                              std::size_t count, const Sampling& sampling, std::uint64_t seed,
                                                              const OnToken& on_token = {}, std::size_t at_once = 16) {
  detail::Beginning begin = detail::begin_generation(prompts, sampling, seed);
  const std::size_t batch = prompts.size();
  std::vector<std::vector<std::int32_t>> said(batch);
  if (batch == 0 || count == 0) return said;
  Cache<T, Device> cache(decoder.routing(), batch, begin.longest + count);
  OneKernel<T> one(decoder, cache);
  Activations<T, Device> prefilled;
  const Tensor<T> logits = detail::prefill(decoder, prompts, cache, prefilled);
  std::vector<bool> ended(batch, false);
  std::vector<std::int32_t> next(batch);
  const auto draw = [&] {
    for (std::size_t b = 0; b < batch; ++b)
      if (!ended[b]) next[b] = sample<T>(logits.slice(b, 1).reshape({logits.width()}), sampling, begin.random[b]);
  };
  draw();
  const auto hear = [&] {  // what follows a sequence's end is computed, and unheard
    for (std::size_t b = 0; b < batch; ++b) {
      if (ended[b]) continue;
      said[b].push_back(next[b]);
      ended[b] = (on_token && !on_token(b, next[b])) || said[b].size() == count;
    }
  };
  hear();
  prefilled = {};
  for (std::size_t done = 1; std::find(ended.begin(), ended.end(), false) != ended.end();) {
    const std::size_t steps = sampling.temperature == 0 ? std::min(at_once, count - done) : 1;
    const Tensor<std::int32_t> chosen = one(next, steps);
    if (sampling.temperature != 0) {
      copy(logits, one.logits());
      draw();
      hear();
      ++done;
      continue;
    }
    for (std::size_t i = 0; i < steps; ++i, ++done) {
      for (std::size_t b = 0; b < batch; ++b) next[b] = chosen(i, b);
      hear();
    }
  }
  return said;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
