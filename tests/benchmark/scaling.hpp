// What a step of several processes costs beside one of a process alone, at equal windows per process: the efficiency of scaling.
#pragma once

#include <chrono>
#include <cstdio>

#include "skipv1/distributed/world.hpp"
#include "skipv1/training/trainer.hpp"

namespace skipv1::benchmark {

/// Seconds per step, the least of three times `steps`; `wait()` waits for the device.
template <class T, class Space, class Wait>
double step_seconds(Trainer<T, Space>& trainer, const TrainingOptions& o, const Config& c, std::size_t steps, const Wait& wait) {
  std::vector<std::int32_t> tokens(o.batch * o.length), targets(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(i * 7919 % c.vocab_size);
    targets[i] = static_cast<std::int32_t>((i + 1) * 7919 % c.vocab_size);
  }
  for (int i = 0; i < 3; ++i) trainer.step(tokens, targets);  // allocates, then records
  double least = 0;
  for (int times = 0; times < 3; ++times) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < steps; ++i) trainer.step(tokens, targets);
    wait();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / static_cast<double>(steps);
    least = times ? std::min(least, seconds) : seconds;
  }
  return least;
}

/// The first process alone, the others waiting; then all together over `world`. The first prints a line.
template <class T, class Space, class Wait>
void print_efficiency(Communicator& world, const Config& c, const TrainingOptions& o, std::size_t steps, const char* what,
                      const Wait& wait) {
  const Parameters<Sum<T>> initial = initial_parameters<Sum<T>>(c, 1);
  double alone = 0;
  if (world.first()) {
    Trainer<T, Space> trainer(c, o, initial);
    alone = step_seconds(trainer, o, c, steps, wait);
  }
  world.barrier();
  Trainer<T, Space> trainer(c, o, initial, &world);
  const double together = step_seconds(trainer, o, c, steps, wait);
  if (!world.first()) return;
  const double n = static_cast<double>(world.size()), bytes = static_cast<double>(ParameterLayout(c).size() * sizeof(T));
  std::printf(
      "%s, %zu processes: %.3f ms per step alone, %.3f ms together: efficiency %.1f %%; %.1f MB of gradients, %.1f MB sent per "
      "process and step\n",
      what, world.size(), 1e3 * alone, 1e3 * together, 100 * alone / together, bytes / 1e6, 2 * (n - 1) / n * bytes / 1e6);
  std::fflush(stdout);
}

/// GPT-2's architecture.
inline Config gpt2_like(std::size_t vocab, std::size_t width, std::size_t layers, std::size_t heads, std::size_t length) {
  Config c;
  c.architecture = Architecture::gpt2;
  c.vocab_size = vocab, c.hidden_size = width, c.intermediate_size = 4 * width, c.num_hidden_layers = layers;
  c.num_attention_heads = c.num_key_value_heads = heads, c.max_position_embeddings = length;
  c.attention.variant = "skipv1";
  return c;
}

}  // namespace skipv1::benchmark
