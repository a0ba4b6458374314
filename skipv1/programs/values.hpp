// What the values that layers read carry: the loss when they are replaced, and what a linear map reads out of them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "skipv1/mesa/probes.hpp"
#include "skipv1/training/evaluate.hpp"

namespace skipv1 {

/// What takes the place of a head's values: zeros, their mean over the batch, or those at the same position of another sequence.
enum class Replacement { zeros, mean, exchanged };

/// The loss of each window (nats per token) and of each token in it.
struct WindowLosses {
  std::vector<double> windows;
  std::vector<float> tokens;
};

/// Windows `first … first + batch - 1` of `count` windows of `length` tokens that are spread evenly over the text.
inline Windows spread_windows(const TextData& text, std::size_t length, std::size_t count, std::size_t first, std::size_t batch) {
  Windows all;
  for (std::size_t i = first; i < first + batch; ++i) {
    const Windows one = text.sequential(i * text.count(length) / count, 1, length);
    all.tokens.insert(all.tokens.end(), one.tokens.begin(), one.tokens.end());
    all.targets.insert(all.targets.end(), one.targets.begin(), one.targets.end());
  }
  return all;
}

/// The losses of `count` spread windows of `length` tokens. `observer(layer, cache)` runs after each layer's attention and may
/// change what later layers read.
using CacheObserver = std::function<void(std::size_t layer, const Cache<float>& cache)>;
inline WindowLosses window_losses(const Decoder<float>& decoder, const TextData& text, std::size_t length, std::size_t count,
                                  const CacheObserver& observer = {}) {
  constexpr std::size_t batch = 4;
  const std::size_t vocab = decoder.config().vocab_size;
  WindowLosses losses;
  Activations<float> a;
  for (std::size_t first = 0; first < count; first += batch) {
    const std::size_t rows = std::min(batch, count - first);
    const Windows w = spread_windows(text, length, count, first, rows);
    Cache<float> cache(decoder.routing(), rows, length);
    const auto observed = [&](std::size_t l) {
      if (observer) observer(l, cache);
    };
    const View<float> logits =
        decoder.forward({w.tokens, std::vector<std::size_t>(rows, length)}, cache, a, Keep::nothing, Logits::all, observed);
    for (std::size_t b = 0; b < rows; ++b) {
      double sum = 0;
      for (std::size_t t = 0; t < length; ++t) {
        const float* row = logits.data() + (b * length + t) * vocab;
        const float most = *std::max_element(row, row + vocab);
        double total = 0;
        for (std::size_t i = 0; i < vocab; ++i) total += std::exp(row[i] - most);
        const double loss = std::log(total) + most - row[w.targets[b * length + t]];
        losses.tokens.push_back(static_cast<float>(loss)), sum += loss;
      }
      losses.windows.push_back(sum / static_cast<double>(length));
    }
  }
  return losses;
}

/// Replaces `heads` of layer `layer`'s cached values (B, C, owned heads * width). `exchanged` needs at least two sequences.
inline void replace_values(const Cache<float>& cache, std::size_t layer, const std::vector<std::size_t>& heads, std::size_t width,
                           Replacement by) {
  const View<float> values = cache.values(layer);
  const std::size_t sequences = values.extent(0), positions = values.extent(1), row = values.extent(2), size = positions * row;
  require(by != Replacement::exchanged || sequences > 1, "values of another sequence: there is only one");
  for (const std::size_t head : heads)
    for (std::size_t i = head * width; i < (head + 1) * width; ++i) {
      double sum = 0;
      for (std::size_t r = 0; r < sequences * positions; ++r) sum += values.data()[r * row + i];
      const double mean = sum / static_cast<double>(sequences * positions);
      for (std::size_t b = 0; b < sequences; ++b)
        for (std::size_t t = 0; t < positions; ++t) {
          float& x = values.data()[b * size + t * row + i];
          if (by == Replacement::exchanged && b + 1 < sequences)
            std::swap(x, values.data()[(b + 1) * size + t * row + i]);  // in the end the last one has the first one's
          else if (by != Replacement::exchanged)
            x = by == Replacement::zeros ? 0.0f : static_cast<float>(mean);
        }
    }
}

/// The heads of layer 0's values that layer `l` reads.
inline std::vector<std::size_t> routed_heads(const Routing& routing, std::size_t l) {
  std::vector<std::size_t> heads;
  for (std::size_t h = 0; h < routing.heads; ++h)
    if (const HeadName& name = routing.value(l, h); l > 0 && !name.none() && !name.pooled() && name.layer == 0)
      heads.push_back(name.head);
  return heads;
}

/// An observer that replaces what layers `from … to` read of layer 0's values, and puts it back after them.
inline CacheObserver replacing(const Routing& routing, std::size_t from, std::size_t to, Replacement by) {
  return [=, kept = std::vector<float>()](std::size_t l, const Cache<float>& cache) mutable {
    const View<float> values = cache.values(0);
    if (l + 1 == from) {
      kept.assign(values.data(), values.data() + values.size());
      replace_values(cache, 0, routed_heads(routing, from), routing.value_width, by);
    }
    if (l == to) std::copy(kept.begin(), kept.end(), values.data());
  };
}

/// `R^2` of affine maps (ridge regression) from the values that a layer reads, at one position, to the embedding of its token, of
/// the token before it, and to the position itself.
struct ReadOut {
  double token = 0, before = 0, position = 0;
};

/// For each layer, of the values of all its heads (by the routing table), over `count` spread windows.
inline std::vector<ReadOut> read_outs(const Decoder<float>& decoder, const Parameters<float>& parameters, const TextData& text,
                                      std::size_t length, std::size_t count) {
  const Config& config = decoder.config();
  const Routing& routing = decoder.routing();
  const View<float> embedding = parameters["model.embed_tokens.weight"];
  const std::size_t d = config.hidden_size, width = routing.value_width, n = count * (length - 1);
  const Windows w = spread_windows(text, length, count, 0, count);
  Cache<float> cache(routing, count, length);
  Activations<float> a;
  decoder.forward({w.tokens, std::vector<std::size_t>(count, length)}, cache, a);
  const Tensor<double> token({n, d}), before({n, d}), position({n, 1});
  std::vector<std::size_t> rows;  // of the batch, all but each window's first
  for (std::size_t r = 0; r < count * length; ++r)
    if (r % length) rows.push_back(r);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) {
      token(i, j) = embedding(static_cast<std::size_t>(w.tokens[rows[i]]), j);
      before(i, j) = embedding(static_cast<std::size_t>(w.tokens[rows[i] - 1]), j);
    }
    position(i, 0) = static_cast<double>(rows[i] % length);
  }
  std::vector<ReadOut> found;
  for (std::size_t l = 0; l < routing.layers; ++l) {
    const Tensor<double> features = zeros<double>({n, routing.heads * width});
    for (std::size_t h = 0; h < routing.heads; ++h) {
      const HeadName& name = routing.value(l, h);
      if (name.none()) continue;
      const View<float> values = cache.values(name.layer);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < width; ++j)
          features(i, h * width + j) = values.data()[rows[i] * values.extent(2) + name.head * width + j];
    }
    constexpr double ridge = 1e-4;
    found.push_back({mesa::read_out(features, token, ridge), mesa::read_out(features, before, ridge),
                     mesa::read_out(features, position, ridge)});
  }
  return found;
}

/// Mean cosines, as in the paper's appendix C: between the outputs of two heads at one place, and between a layer's outputs at
/// two places of a window.
struct Similarity {
  std::optional<double> heads;  ///< none where there is one head
  double tokens = 0;
};

/// For each layer, over `count` spread windows. Needs windows of two tokens.
inline std::vector<Similarity> similarities(const Decoder<float>& decoder, const TextData& text, std::size_t length,
                                            std::size_t count) {
  const Windows w = spread_windows(text, length, count, 0, count);
  Cache<float> cache(decoder.routing(), count, length);
  Activations<float> a;
  decoder.forward({w.tokens, std::vector<std::size_t>(count, length)}, cache, a, Keep::for_backward, Logits::in_parts);
  std::vector<Similarity> found;
  for (std::size_t l = 0; l < decoder.routing().layers; ++l) {
    Similarity& layer = found.emplace_back();
    if (decoder.routing().heads > 1) layer.heads = mesa::head_similarity(View<const float>(a.layer(l).attention));
    layer.tokens = mesa::token_similarity(View<const float>(a.block_output(l + 1)), length);
  }
  return found;
}

/// Whether each predicted token's bigram (the token it follows, and itself) occurred before in its window: what an induction head
/// can copy.
inline std::vector<bool> repeats_bigram(const Windows& w, std::size_t length) {
  std::vector<bool> repeats(w.tokens.size());
  for (std::size_t r = 0; r < w.tokens.size(); ++r)
    for (std::size_t s = r - r % length; s < r && !repeats[r]; ++s)
      repeats[r] = w.tokens[s] == w.tokens[r] && w.targets[s] == w.targets[r];
  return repeats;
}

}  // namespace skipv1
