// A small decoder for tests of what it promises.
#pragma once

#include "skipv1/model/decoder.hpp"

#include "tests/check.hpp"

namespace skipv1::test::small {

inline constexpr std::size_t vocab = 13;

/// Four layers of width 16 of any variant.
inline Config base(const std::string& variant = "skipv1", Architecture architecture = Architecture::llama) {
  Config c;
  c.architecture = architecture;
  c.vocab_size = vocab, c.hidden_size = 16, c.intermediate_size = 12, c.num_hidden_layers = 4, c.max_position_embeddings = 80;
  c.attention.variant = variant;
  if (c.latent()) c.attention.kv_latent_size = 6, c.attention.rotary_size = 2;
  c.attention.learn_value_mix = variant == "resformer";
  return c;
}

/// Parameters drawn, and their decoder.
struct Model {
  explicit Model(const Config& config) : parameters(config), decoder(config, parameters) {
    copy<double>(parameters.flat(), draw<double>({parameters.layout().size()}, 1, 0.4));
  }
  Parameters<double> parameters;
  Decoder<double> decoder;
};

inline std::vector<std::int32_t> draw_tokens(std::size_t n) {
  std::vector<std::int32_t> tokens(n);
  Random random(n);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.below(vocab));
  return tokens;
}

/// The tokens that follow, but for two that do not count.
inline std::vector<std::int32_t> targets_of(const std::vector<std::int32_t>& tokens) {
  std::vector<std::int32_t> targets(tokens.begin() + 1, tokens.end());
  targets[7] = targets[65] = ignored_target;
  return targets;
}

/// Loss and gradients of one training step on sequences of 66 tokens, which is more than one block of attention; in parts of so
/// many logits if that is not 0.
inline Tensor<double> training_step(const Model& model, std::size_t most_logits = 0) {
  constexpr std::size_t batch = 2, length = 66;
  const std::vector<std::int32_t> tokens = draw_tokens(batch * length + 1);
  const std::vector<std::int32_t> targets = targets_of(tokens);
  Cache<double> cache(model.decoder.routing(), batch, length), scratch = cache;
  Activations<double> a;
  const Parameters<double> gradients(model.decoder.config());
  a.most_logits = most_logits;
  model.decoder.forward({{tokens.begin(), tokens.end() - 1}, {length, length}}, cache, a, Keep::for_backward,
                        most_logits ? Logits::in_parts : Logits::all);
  double loss = 0;
  if (most_logits) {
    const double scale = model.decoder.place_targets(targets, a);
    model.decoder.run_loss_backward(scale, gradients, scratch, a);
    loss = model.decoder.mean_loss(scale, a);
    CHECK(a.logits.size() <= most_logits);
  } else {
    loss = model.decoder.loss(targets, a);
    model.decoder.backward(gradients, scratch, a);
  }
  Tensor<double> all({gradients.flat().size() + 1});
  std::copy_n(gradients.flat().data(), gradients.flat().size(), all.data());
  all(all.size() - 1) = loss;
  return all;
}

/// Logits of six tokens in one pass, and one by one.
inline std::pair<Tensor<double>, Tensor<double>> both_ways(const Decoder<double>& decoder) {
  const std::vector<std::int32_t> tokens = draw_tokens(6);
  Cache<double> cache(decoder.routing(), 1, 6);
  Activations<double> a;
  Tensor<double> whole({6, vocab}), steps({6, vocab});
  copy<double>(whole, decoder.forward({tokens, {6}}, cache, a));
  cache = Cache<double>(decoder.routing(), 1, 6);
  for (std::size_t t = 0; t < 6; ++t) copy<double>(steps.slice(t, 1), decoder.forward({{tokens[t]}, {1}}, cache, a));
  return {std::move(whole), std::move(steps)};
}

}  // namespace skipv1::test::small
