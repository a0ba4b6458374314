// Choosing the next token, and continuing sequences from their cache.
#pragma once

#include <numeric>

#include "skipv1/core/random.hpp"
#include "skipv1/core/repeat.hpp"
#include "skipv1/model/decoder.hpp"

namespace skipv1 {

/// How a token is drawn. Filters apply in this order: temperature, the `top_k` likeliest (0: all), then the smallest set of
/// likeliest tokens whose probabilities sum to `top_p` or more.
struct Sampling {
  double temperature = 1.0;  ///< 0: greedy, the likeliest token; of equals the first
  std::size_t top_k = 0;
  double top_p = 1.0;
};

/// Throws unless the temperature is not negative and `top_p` is in (0, 1].
inline void validate(const Sampling& s) {
  require(std::isfinite(s.temperature) && s.temperature >= 0, "temperature is ", s.temperature, ": must be 0 or more");
  require(s.top_p > 0 && s.top_p <= 1, "top_p is ", s.top_p, ": must be above 0, at most 1");
}

/// Draws a token from one row of logits (V). Throws if none of them is finite or one is NaN.
template <class T>
std::int32_t sample(View<const T> row, const Sampling& s, Random& random) {
  validate(s);
  const std::size_t vocab = row.size();
  std::vector<double> logits(vocab);
  for (std::size_t v = 0; v < vocab; ++v) {
    logits[v] = static_cast<double>(row(v));
    require(!std::isnan(logits[v]), "sample: the logit of token ", v, " is NaN");
  }
  const auto best = std::max_element(logits.begin(), logits.end());
  require(vocab > 0 && std::isfinite(*best), "sample: no finite logit among ", vocab);
  if (s.temperature == 0) return static_cast<std::int32_t>(best - logits.begin());

  const auto logit = [&](std::int32_t v) { return logits[static_cast<std::size_t>(v)]; };
  const auto weight = [&](std::int32_t v) { return std::exp((logit(v) - *best) / s.temperature); };
  const auto likelier = [&](std::int32_t a, std::int32_t b) { return logit(a) > logit(b) || (logit(a) == logit(b) && a < b); };
  std::vector<std::int32_t> order(vocab);
  std::iota(order.begin(), order.end(), 0);
  const std::size_t most = s.top_k > 0 ? std::min(s.top_k, vocab) : vocab;
  std::size_t ranked = 0;
  const auto rank = [&](std::size_t count) {  // only as far as the draw goes: sorting all tokens takes as long as a small model
    const auto at = [&](std::size_t i) { return order.begin() + static_cast<std::ptrdiff_t>(i); };
    if (count < vocab) std::nth_element(at(ranked), at(count), order.end(), likelier);
    std::sort(at(ranked), at(count), likelier);
    ranked = count;
  };
  const auto token = [&](std::size_t i) {
    if (i >= ranked) rank(std::min(most, 4 * ranked + 64));
    return order[i];
  };
  if (most < vocab) rank(most);
  double all = 0;
  for (std::size_t i = 0; i < most; ++i) all += weight(order[i]);
  double kept = s.top_p < 1 ? 0 : all;
  std::size_t count = s.top_p < 1 ? 0 : most;
  while (count < most && kept < s.top_p * all) kept += weight(token(count++));
  double at = random.uniform() * kept;
  for (std::size_t i = 0; i < count; ++i)
    if ((at -= weight(token(i))) < 0) return token(i);
  return token(count - 1);
}
#ifdef SKIPV1_INSTANCES
extern template std::int32_t sample<float>(View<const float>, const Sampling&, Random&);
extern template std::int32_t sample<double>(View<const double>, const Sampling&, Random&);
#endif

/// What `generate` calls with each new token of sequence b; returning false ends that sequence.
using OnToken = Function<bool(std::size_t b, std::int32_t token)>;

/// Decodes one token per sequence and step, after what `cache` holds. On the device the step is recorded as a CUDA graph, which
/// is replayed from the second step on.
template <class T, class Space>
class DecodingStep {
 public:
  /// Both outlive it.
  DecodingStep(const Decoder<T, Space>& decoder, Cache<T, Space>& cache) : decoder_(decoder), cache_(cache) {}
  DecodingStep(const Decoder<T, Space>&&, Cache<T, Space>&) = delete;

  /// Logits (B, V) after `tokens` (B); they lie here until the next step. Throws as `Decoder::forward`.
  View<T, Space> operator()(const std::vector<std::int32_t>& tokens) {
    const std::vector<std::size_t> one(cache_.batch(), 1);
    decoder_.place(Batch{tokens, one}, cache_, activations_);
    repeat_([this] { decoder_.run(cache_, activations_); });
    cache_.grow(one);
    return activations_.logits;
  }

 private:
  const Decoder<T, Space>& decoder_;
  Cache<T, Space>& cache_;
  Activations<T, Space> activations_;
  Repeat<Space> repeat_;
};

namespace detail {
/// The state in which generation begins.
struct Beginning {
  std::size_t longest = 0;     ///< tokens of the longest prompt
  std::vector<Random> random;  ///< each sequence's
};
/// Throws on an empty prompt, and on a sampling that cannot be.
inline Beginning begin_generation(const std::vector<std::vector<std::int32_t>>& prompts, const Sampling& sampling,
                                  std::uint64_t seed) {
  validate(sampling);
  Beginning begin;
  for (std::size_t b = 0; b < prompts.size(); ++b) {
    require(!prompts[b].empty(), "generate: prompt ", b, " is empty");
    begin.longest = std::max(begin.longest, prompts[b].size());
    begin.random.push_back(Random(seed).split(b));
  }
  return begin;
}

/// The prompts' logits: one row for each, in host memory. What the pass leaves in `activations` is no longer needed.
template <class T, class Space>
Tensor<T> prefill(const Decoder<T, Space>& decoder, const std::vector<std::vector<std::int32_t>>& prompts, Cache<T, Space>& cache,
                  Activations<T, Space>& activations) {
  Batch all;
  for (const auto& prompt : prompts) {
    all.tokens.insert(all.tokens.end(), prompt.begin(), prompt.end());
    all.counts.push_back(prompt.size());
  }
  const View<T, Space> logits = decoder.forward(all, cache, activations, Keep::nothing, Logits::last);
  Tensor<T> host(logits.shape());
  copy(host, logits);
  return host;
}
}  // namespace detail

/// Continues prompts of any lengths by up to `count` tokens each, all in one batch: one prefill, then one token per sequence and
/// step. Returns the new tokens of each. Sequence b draws from `Random(seed).split(b)`, whatever its neighbours draw. Its logits
/// equal those of the sequence alone up to rounding, not bit by bit: the rounding of a matrix product depends on its number of
/// rows. Throws on an empty prompt, and as `Decoder::forward` where prompt and continuation exceed `max_position_embeddings`.
template <class T, class Space>
std::vector<std::vector<std::int32_t>> generate(const Decoder<T, Space>& decoder,
                                                const std::vector<std::vector<std::int32_t>>& prompts, std::size_t count,
                                                const Sampling& sampling, std::uint64_t seed, const OnToken& on_token = {}) {
  detail::Beginning begin = detail::begin_generation(prompts, sampling, seed);
  const std::size_t batch = prompts.size();
  std::vector<std::vector<std::int32_t>> said(batch);
  if (batch == 0 || count == 0) return said;
  const std::size_t most = decoder.config().max_position_embeddings;
  Cache<T, Space> cache(decoder.routing(), batch, begin.longest + std::min(count, most - std::min(most, begin.longest)));
  Activations<T, Space> prefilled;
  const Tensor<T> logits = detail::prefill(decoder, prompts, cache, prefilled);
  DecodingStep<T, Space> step(decoder, cache);
  std::vector<bool> ended(batch, false);
  std::vector<std::int32_t> next(batch, 0);
  for (std::size_t i = 0;; ++i) {
    for (std::size_t b = 0; b < batch; ++b) {
      if (ended[b]) {  // goes on at its beginning, unheard, so that all steps are alike
        cache.truncate(b, 0);
        continue;
      }
      next[b] = sample<T>(logits.slice(b, 1).reshape({logits.width()}), sampling, begin.random[b]);
      said[b].push_back(next[b]);
      ended[b] = (on_token && !on_token(b, next[b])) || i + 1 == count;
    }
    if (std::find(ended.begin(), ended.end(), false) == ended.end()) return said;
    // Behind the first tokens: giving memory back to a device takes as long as a small model's prompt.
    if (i == 0) prefilled = {};
    copy(logits, step(next));
  }
}

}  // namespace skipv1
