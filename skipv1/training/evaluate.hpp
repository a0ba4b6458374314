// The loss of a model over a text.
#pragma once

#include <algorithm>
#include <optional>

#include "skipv1/core/progress.hpp"
#include "skipv1/distributed/communicator.hpp"
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

/// Losses by the place in the window of the token that is read: part i is of places `begin[i] … begin[i + 1] - 1`, the last one
/// of all further ones.
struct PlaceLosses {
  std::vector<std::size_t> begin;           ///< rising, from 0
  std::vector<double> nats_per_token = {};  ///< 0 where no token is
  std::vector<std::size_t> tokens = {};

  /// Adds the losses (N) of whole windows of `width` tokens.
  template <class S>
  void add(View<const S> losses, std::size_t width) {
    for (std::size_t n = 0; n < losses.size(); ++n) {
      const auto after = std::upper_bound(begin.begin(), begin.end(), n % width);
      const auto part = static_cast<std::size_t>(after - begin.begin()) - 1;
      nats_per_token[part] += static_cast<double>(losses(n)), ++tokens[part];
    }
  }
};

/// How many tokens `evaluate` predicts. Throws if there are none.
inline std::size_t evaluated_tokens(const TextData& text, std::size_t length, std::size_t windows) {
  require(windows != 0 || text.size() >= 2, "a text of ", text.size(), " tokens is too short to predict any");
  return windows ? std::min(windows, text.count(length)) * length : text.size() - 1;
}

/// Mean cross-entropy over `text`, cut into windows of `length` tokens that lie next to each other, each read from an empty
/// context: the first `windows` of them or, with 0, the whole text, whose last window may be shorter. Every token is predicted
/// once, but the first, which nothing precedes. `progress` advances by predicted tokens. Throws as `TextData::count`, for a whole
/// text if it has fewer than two tokens, and as `Decoder::forward`. NaN where a row overflows in the final norm. The processes of
/// a `world` share the work; all call, and all get the result.
template <class T, class Space>
Evaluation evaluate(const Decoder<T, Space>& decoder, const TextData& text, std::size_t length, std::size_t windows = 0,
                    std::size_t batch = 8, Progress* progress = nullptr, Communicator& world = one_process(),
                    PlaceLosses* places = nullptr) {
  require(length >= 1 && batch >= 1, "evaluation in windows of ", length, " tokens, ", batch, " at a time: must be at least 1");
  require(!places || (world.size() == 1 && !places->begin.empty() && places->begin[0] == 0),
          "losses by place: of one process, in parts from place 0 on");
  if (places) places->nats_per_token.assign(places->begin.size(), 0), places->tokens.assign(places->begin.size(), 0);
  const std::size_t all = evaluated_tokens(text, length, windows);
  std::optional<Cache<T, Space>> cache;
  Activations<T, Space> activations;
  Evaluation sum;
  for (std::size_t i = 0; sum.tokens < all; ++i) {
    const std::size_t width = std::min(length, all - sum.tokens), rows = std::min(batch, (all - sum.tokens) / width);
    const auto first = text.tokens().begin() + static_cast<std::ptrdiff_t>(sum.tokens);
    const auto last = first + static_cast<std::ptrdiff_t>(rows * width);
    sum.tokens += rows * width;
    if (progress) progress->advance(rows * width);
    if (i % world.size() != world.rank()) continue;
    if (!cache || cache->batch() != rows || cache->capacity() != width) cache.emplace(decoder.routing(), rows, width);
    cache->reset();
    decoder.forward({{first, last}, std::vector<std::size_t>(rows, width)}, *cache, activations);
    sum.nats_per_token += decoder.loss({first + 1, last + 1}, activations) * static_cast<double>(rows * width);
    if (!places) continue;
    const Tensor<Sum<T>> losses({rows * width});
    copy(View<Sum<T>>(losses), ConstView<Sum<T>, Space>(activations.loss));
    places->add(View<const Sum<T>>(losses), width);
  }
  for (std::size_t i = 0; places && i < places->begin.size(); ++i)
    if (places->tokens[i]) places->nats_per_token[i] /= static_cast<double>(places->tokens[i]);
  world.all_reduce(&sum.nats_per_token, 1);
  sum.nats_per_token /= static_cast<double>(all);
  sum.bytes = text.bytes(1, all + 1);
  return sum;
}

}  // namespace skipv1
