// Decoding by one kernel beside the decoder on the CPU in double: what the tests and the benchmark share.
#pragma once

#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/model/one_kernel.cuh"
#include "tests/cuda/small_models.hpp"

namespace skipv1::test {

/// What differs: of logits the largest difference over the largest entry; of the tokens chosen, how far their logits lie below
/// the largest, over the largest entry.
struct OneKernelErrors {
  double logits = 0, chosen = 0;
  void note(double& worst, double x) { worst = x <= worst ? worst : x; }  // a NaN stays
};

/// A cache's content, rounded, on the device.
template <class T>
void load_cache(Cache<T, Device>& to, const Cache<double>& from, std::size_t layers) {
  const auto round = [](View<T, Device> there, View<double> here) {
    if (here.empty()) return;
    Tensor<T> rounded(here.shape());
    for (std::size_t i = 0; i < here.size(); ++i) rounded.data()[i] = static_cast<T>(here.data()[i]);
    copy(there, rounded);
  };
  for (std::size_t l = 0; l < layers; ++l) round(to.keys(l), from.keys(l)), round(to.values(l), from.values(l));
  to.grow(from.lengths());
}

/// Prompts of 1 to `longest` tokens on the CPU, then `count` tokens by one launch and one more by another, beside the CPU fed
/// with the same tokens.
template <class T>
OneKernelErrors one_kernel_errors(const Config& c, std::size_t batch, const OneKernelShape& shape, std::size_t count = 3,
                                  std::size_t longest = 5) {
  Parameters<double> exact(c);
  initialize(exact, c, 1);
  Random random(2);
  std::vector<double> noise(8191);  // again and again: a prime number, which is no row's length
  for (double& x : noise) x = 0.1 * random.normal();
  for (std::size_t i = 0; i < exact.flat().size(); ++i)
    exact.flat().data()[i] = static_cast<double>(static_cast<T>(exact.flat().data()[i] + noise[i % noise.size()]));
  Parameters<T, Device> parameters(c);
  load(parameters, exact);
  const Decoder<double> cpu(c, exact);
  const Decoder<T, Device> device(c, parameters);
  Batch prompts;
  for (std::size_t b = 0; b < batch; ++b) {
    prompts.counts.push_back(longest - b * 3 % longest);
    for (std::size_t i = 0; i < prompts.counts.back(); ++i)
      prompts.tokens.push_back(static_cast<std::int32_t>(random.below(c.vocab_size)));
  }
  Cache<double> cpu_cache(cpu.routing(), batch, longest + count + 1);
  Cache<T, Device> cache(cpu.routing(), batch, longest + count + 1);
  Activations<double> a;
  cpu.forward(prompts, cpu_cache, a);
  load_cache(cache, cpu_cache, c.num_hidden_layers);

  OneKernel<T> one(device, cache, shape);
  OneKernelErrors errors;
  std::vector<std::int32_t> next(batch);
  for (std::int32_t& token : next) token = static_cast<std::int32_t>(random.below(c.vocab_size));
  for (const std::size_t steps : {count, std::size_t{1}}) {
    const Tensor<std::int32_t> chosen = one(next, steps);
    Tensor<double> want({batch, c.vocab_size});
    for (std::size_t i = 0; i < steps; ++i) {
      copy(want, cpu.forward({next, std::vector<std::size_t>(batch, 1)}, cpu_cache, a, Keep::nothing, Logits::last));
      double most = 0;
      for (std::size_t k = 0; k < want.size(); ++k) most = std::max(most, std::abs(want.data()[k]));
      for (std::size_t b = 0; b < batch; ++b) {
        next[b] = chosen(i, b);
        require(next[b] >= 0 && static_cast<std::size_t>(next[b]) < c.vocab_size, "one kernel chose token ", next[b]);
        double likeliest = want(b, 0u);
        for (std::size_t v = 0; v < c.vocab_size; ++v) likeliest = std::max(likeliest, want(b, v));
        errors.note(errors.chosen, (likeliest - want(b, static_cast<std::size_t>(next[b]))) / most);
      }
    }
    errors.note(errors.logits, difference<T>(to_host<T>(one.logits()), want));
  }
  return errors;
}

/// Calls `check(config)` for every variant that the one-kernel step serves, in both architectures.
template <class Check>
void for_each_routed(const Check& check) {
  for (Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
    for (const Variant& variant : variants())
      if (!variant.latent.count) check(small_config(architecture, variant));
    check(table_config(architecture));
    for (Injection injection : {Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer}) {
      Config c = small_config(architecture, find_variant("skipv1"));
      c.attention.injection = injection;
      check(c);
    }
  }
}

}  // namespace skipv1::test
