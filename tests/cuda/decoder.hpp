// The decoder on the device against the decoder on the CPU in double, for every variant and both architectures (float:
// decoder.cpp).
#pragma once

#include <string>
#include <vector>

#include "skipv1/model/decoder.cuh"
#include "tests/catch.hpp"
#include "tests/cuda/small_models.hpp"

namespace skipv1::test {

/// The second sequence's prompt, computed in the cache by parts of which only the last has logits.
template <class T>
void check_prompt_in_parts(const Decoder<T, Device>& device, const Batch& batch, const Tensor<double>& logits, double bound) {
  const std::size_t L = batch.counts[1];
  Cache<T, Device> alone(device.routing(), 1, L + 1);
  Activations<T, Device> a;
  std::size_t t = 0;
  for (std::size_t n : {5u, 3u, 1u}) {
    const auto first = batch.tokens.begin() + static_cast<std::ptrdiff_t>(L + t);
    t += n;
    const auto last = device.forward({{first, first + static_cast<std::ptrdiff_t>(n)}, {n}}, alone, a, Keep::nothing,
                                     t < L ? Logits::none : Logits::last);
    if (t == L) CHECK(difference<T>(to_host(last), logits.slice(2 * L - 1, 1)) <= 2 * bound);
  }
}

/// One configuration: logits of a whole pass, of decoding in steps of some tokens, and (with `gradients`) the loss and its
/// gradients.
template <class T>
void check_decoder(const Config& c, double bound, bool gradients) {
  INFO(to_string(c.architecture) << ' ' << c.attention.variant << ' ' << to_string(c.attention.injection));
  constexpr std::size_t B = 2, L = 9;
  Parameters<double> reference(c), dreference(c);
  initialize(reference, c, 1);
  Random random(2);
  for (std::size_t i = 0; i < reference.flat().size(); ++i) reference.flat().data()[i] += 0.1 * random.normal();
  Parameters<T, Device> parameters(c), dparameters(c);
  load(parameters, reference);
  Batch batch{{}, {L, L}};
  std::vector<std::int32_t> targets;
  for (std::size_t n = 0; n < B * L; ++n) {
    batch.tokens.push_back(static_cast<std::int32_t>(random.below(c.vocab_size)));
    targets.push_back(n % 5 == 1 ? ignored_target : static_cast<std::int32_t>(random.below(c.vocab_size)));
  }
  const Decoder<double> cpu(c, reference);
  const Decoder<T, Device> device(c, parameters);
  Cache<double> cache(cpu.routing(), B, L), dcache(cpu.routing(), B, L);
  Cache<T, Device> device_cache(cpu.routing(), B, L), device_dcache(cpu.routing(), B, L);
  Activations<double> a;
  Activations<T, Device> device_a, in_steps;
  const Tensor<double> logits = [&] {
    Tensor<double> kept({B * L, c.vocab_size});
    copy(kept, cpu.forward(batch, cache, a, Keep::for_backward));
    return kept;
  }();
  CHECK(difference<T>(to_host(device.forward(batch, device_cache, device_a, Keep::for_backward)), logits) <= bound);

  device_dcache.reset();
  std::size_t t = 0;
  for (std::size_t n : {1u, 4u, 1u, 2u, 1u}) {  // tokens, and chunks of a prompt
    Batch next{{}, {n, n}};
    for (std::size_t b = 0; b < B; ++b)
      for (std::size_t i = 0; i < n; ++i) next.tokens.push_back(batch.tokens[b * L + t + i]);
    const auto rows = to_host(device.forward(next, device_dcache, in_steps));
    for (std::size_t b = 0; b < B; ++b) CHECK(difference<T>(rows.slice(b * n, n), logits.slice(b * L + t, n)) <= 2 * bound);
    t += n;
  }
  check_prompt_in_parts<T>(device, batch, logits, bound);
  if (!gradients) return;
  CHECK(device.loss(targets, device_a) == Approx(cpu.loss(targets, a)).epsilon(bound));
  cpu.backward(dreference, dcache, a);
  device.backward(dparameters, device_dcache, device_a);
  CHECK(difference<T>(to_host(dparameters.flat()), dreference.flat()) <= bound);

  device_cache.reset();
  device_a.most_logits = 5 * c.vocab_size;  // 4 parts: 5, 5, 5 and 3 rows
  device.forward(batch, device_cache, device_a, Keep::for_backward, Logits::in_parts);
  zero(dparameters.flat());
  const double scale = device.place_targets(targets, device_a);
  Cache<T, Device> in_turns(cpu.routing(), B, L, Holds::gradients);
  device.run_loss_backward(scale, dparameters, in_turns, device_a);
  CHECK(device.mean_loss(scale, device_a) == Approx(cpu.mean_loss(scale, a)).epsilon(bound));
  CHECK(difference<T>(to_host(dparameters.flat()), dreference.flat()) <= bound);
}

/// llama with heads of another width, biases, norms of queries and keys, and scaled frequencies, as far as the variant has them.
inline Config featured_config(const Variant& variant, RopeKind kind) {
  Config c = small_config(Architecture::llama, variant);
  c.head_dim = 6, c.o_bias = c.mlp_bias = true, c.qkv_bias = c.qk_norm = !c.latent();
  c.rope_frequencies = {.kind = kind, .factor = 3, .original_max_position_embeddings = 8};
  c.rope_frequencies.low_freq_factor = 0.1, c.rope_frequencies.attention_factor = kind == RopeKind::yarn ? 1.2 : 1;
  return c;
}

template <class T>
void check_all_decoders(double bound, bool gradients) {
  for (Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
    for (const Variant& variant : variants()) {
      Config c = small_config(architecture, variant);
      if (variant.latent.count && c.gpt2()) continue;
      check_decoder<T>(c, bound, gradients);
    }
    check_decoder<T>(table_config(architecture), bound, gradients);
    Config joined = small_config(architecture, find_variant("skipv1"));  // biases, too, lie one behind another
    joined.hidden_size = 128;
    check_decoder<T>(joined, bound, gradients);
    for (Injection injection : {Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer}) {
      Config c = small_config(architecture, find_variant("skipv1"));
      c.attention.injection = injection;
      check_decoder<T>(c, bound, gradients);
    }
  }
  for (const auto& [variant, kind] : {std::pair("gqa", RopeKind::llama3), std::pair("skipv1", RopeKind::yarn),
                                      std::pair("yoco", RopeKind::linear), std::pair("skipv1_mla", RopeKind::yarn)})
    check_decoder<T>(featured_config(find_variant(variant), kind), bound, gradients);
}

}  // namespace skipv1::test
