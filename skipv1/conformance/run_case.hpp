// A case through the decoder, for any scalar and memory space.
#pragma once

#include <algorithm>
#include <functional>

#include "skipv1/model/decoder.hpp"
#include "skipv1/conformance/measure.hpp"

namespace skipv1::conformance {

/// `x` in host memory and float64.
template <class T, class Space>
Tensor<double> download(View<T, Space> x, Shape shape) {
  Tensor<T> host(x.shape());
  copy(host, x);
  Tensor<double> wide(shape);
  for (std::size_t i = 0; i < host.size(); ++i) wide.data()[i] = static_cast<double>(host.data()[i]);
  return wide;
}

/// How many new tokens sequence b gets in a step.
using Counts = std::function<std::size_t(std::size_t step, std::size_t b)>;

/// Logits (B, T, V) of the case where each sequence grows by `counts` until it is whole, starting from an empty cache.
template <class T, class Space>
Tensor<double> decode(const Case& c, const Decoder<T, Space>& decoder, const Counts& counts) {
  const std::size_t batch = c.batch(), length = c.length(), vocab = c.config.vocab_size;
  Tensor<double> logits({batch, length, vocab});
  Cache<T, Space> cache(decoder.routing(), batch, length);
  Activations<T, Space> a;
  for (std::size_t step = 0; cache.lengths() != std::vector<std::size_t>(batch, length); ++step) {
    Batch next;
    std::vector<std::size_t> places;
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t done = cache.lengths()[b];
      next.counts.push_back(std::min(counts(step, b), length - done));
      for (std::size_t i = 0; i < next.counts[b]; ++i) places.push_back(b * length + done + i);
    }
    for (std::size_t place : places) next.tokens.push_back(c.tokens.data()[place]);
    const Tensor<double> rows = download(decoder.forward(next, cache, a), {places.size(), vocab});
    for (std::size_t n = 0; n < places.size(); ++n) std::copy_n(&rows(n, 0u), vocab, logits.data() + places[n] * vocab);
  }
  return logits;
}

/// The steps of the case's decoding, through one cache.
template <class T, class Space>
std::vector<Measured::Step> decode_steps(const Case& c, const Decoder<T, Space>& decoder) {
  std::vector<Measured::Step> results;
  if (c.decoding.empty()) return results;
  const std::size_t batch = c.decoding.front().tokens.size();
  Cache<T, Space> cache(decoder.routing(), batch, c.config.max_position_embeddings);
  Activations<T, Space> a;
  for (const DecodingStep& step : c.decoding) {
    Batch next;
    for (std::size_t b = 0; b < batch; ++b) {
      cache.truncate(b, step.keep[b]);
      next.counts.push_back(step.tokens[b].size());
      next.tokens.insert(next.tokens.end(), step.tokens[b].begin(), step.tokens[b].end());
    }
    Measured::Step result{download(decoder.forward(next, cache, a), {step.rows(), c.config.vocab_size})};
    for (const std::size_t length : cache.lengths()) result.positions += length;
    results.push_back(std::move(result));
  }
  return results;
}

/// One forward pass over everything, with its loss, where any target is not ignored, and, with `Keep::for_backward`, its
/// gradients.
template <class T, class Space>
void run_whole(const Case& c, const Decoder<T, Space>& decoder, Keep keep, Measured& m) {
  Cache<T, Space> cache(decoder.routing(), c.batch(), c.length());
  Activations<T, Space> a;
  const View<T, Space> logits = decoder.forward(Batch::rectangle(c.tokens), cache, a, keep);
  m.logits.emplace_back("forward", download(logits, {c.batch(), c.length(), c.config.vocab_size}));
  const std::vector<std::int32_t> targets(c.targets.data(), c.targets.data() + c.targets.size());
  if (std::any_of(targets.begin(), targets.end(), [](std::int32_t x) { return x != ignored_target; }))
    m.loss = decoder.loss(targets, a);
  m.elements = cache.elements_per_token();
  if (keep == Keep::nothing) return;
  Cache<T, Space> scratch(decoder.routing(), c.batch(), c.length());
  const Parameters<T, Space> gradients(c.config);
  decoder.backward(gradients, scratch, a);
  m.gradients.emplace(c.config);
  copy(m.gradients->flat(), download(gradients.flat(), gradients.flat().shape()));
}

/// All of the checker's passes in scalar `T`, whose parameters are `convert(weight)`.
template <class T, class Space>
Measured run_case(const Case& c, Keep keep, const std::function<T(double)>& convert) {
  const Parameters<T> host(c.config);
  std::transform(c.weights.flat().data(), c.weights.flat().data() + c.weights.flat().size(), host.flat().data(), convert);
  const Parameters<T, Space> weights(c.config);
  copy(weights.flat(), host.flat());
  const Decoder<T, Space> decoder(c.config, weights);
  const std::size_t half = std::max<std::size_t>(c.length() / 2, 1);
  Measured m;
  run_whole(c, decoder, keep, m);
  m.logits.emplace_back("decode", decode<T, Space>(c, decoder, [](auto, auto) { return 1u; }));
  m.logits.emplace_back("prefill", decode<T, Space>(c, decoder, [=](auto step, auto) { return step == 0 ? half : 1; }));
  m.logits.emplace_back("chunked", decode<T, Space>(c, decoder, [](auto step, auto) { return 1 + (2 * step + 2) % 4; }));
  m.decoding = decode_steps(c, decoder);
  // Sequence b enters at step b and goes at a pace of its own, so no two are equally long.
  m.logits.emplace_back("mixed",
                        decode<T, Space>(c, decoder, [](auto step, auto b) { return step < b ? 0 : 1 + (step + b) % 3; }));
  return m;
}

}  // namespace skipv1::conformance
