// The loss of a model over a text.
#pragma once

#include "skipv1/core/progress.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/training/text.hpp"

namespace skipv1 {

/// What a model scores on a text.
struct Evaluation {
  double nats_per_token = 0;
  std::size_t tokens = 0, bytes = 0;  ///< predicted

  double perplexity() const { return std::exp(nats_per_token); }
  double bits_per_byte() const { return skipv1::bits_per_byte(nats_per_token, tokens, bytes); }
};

/// Mean cross-entropy over the first `windows` windows (0: all) of `length` tokens that lie next to each other in `text`, each read from an empty
/// context. Throws as `TextData::count`.
template <class T, class Space>
Evaluation evaluate(const Decoder<T, Space>& decoder, const TextData& text, std::size_t length, std::size_t windows = 0, std::size_t batch = 8,
                    Progress* progress = nullptr) {
  const std::size_t all = windows ? std::min(windows, text.count(length)) : text.count(length);
  Activations<T, Space> activations;
  Evaluation sum;
  for (std::size_t first = 0; first < all; first += batch) {
    const std::size_t count = std::min(batch, all - first);
    const Windows w = text.sequential(first, count, length);
    Cache<T, Space> cache(decoder.routing(), count, length);
    decoder.forward({w.tokens, std::vector<std::size_t>(count, length)}, cache, activations);
    sum.nats_per_token += decoder.loss(w.targets, activations) * static_cast<double>(w.targets.size());
    sum.tokens += w.targets.size();
    if (progress) progress->advance(w.targets.size());
  }
  sum.nats_per_token /= static_cast<double>(sum.tokens);
  sum.bytes = text.bytes(1, all * length + 1);
  return sum;
}

}  // namespace skipv1
