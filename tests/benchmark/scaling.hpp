// What a step of several processes costs beside one of a process alone, at equal windows per process: the efficiency of scaling.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <optional>
#include <vector>

#include "skipv1/distributed/world.hpp"
#include "skipv1/training/trainer.hpp"

namespace skipv1::benchmark {

/// A trainer, and the least seconds that a step of it has taken.
template <class T, class Space>
class TimedSteps {
 public:
  TimedSteps(const Config& c, const TrainingOptions& o, const Parameters<Sum<T>>& initial, Communicator& world)
      : trainer_(c, o, initial, world), tokens_(o.batch * o.length), targets_(tokens_.size()) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = static_cast<std::int32_t>(i * 7919 % c.vocab_size);
      targets_[i] = static_cast<std::int32_t>((i + 1) * 7919 % c.vocab_size);
    }
    for (int i = 0; i < 3; ++i) trainer_.step(tokens_, targets_);  // allocates, then records
  }
  /// The mean of `steps` steps, of which the least is kept; `wait()` waits for the device.
  template <class Wait>
  void time(std::size_t steps, const Wait& wait) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < steps; ++i) trainer_.step(tokens_, targets_);
    wait();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    least_ = std::min(least_, taken.count() / static_cast<double>(steps));
  }
  double least() const { return least_; }

 private:
  Trainer<T, Space> trainer_;
  std::vector<std::int32_t> tokens_, targets_;
  double least_ = std::numeric_limits<double>::infinity();
};

/// The first process alone, the others waiting, and all together over `world`, in turn: the clock falls as a GPU warms up, for
/// both alike. The first prints a line.
template <class T, class Space, class Wait>
void print_efficiency(Communicator& world, const Config& c, const TrainingOptions& o, std::size_t steps, const char* what,
                      const Wait& wait) {
  const Parameters<Sum<T>> initial = initial_parameters<Sum<T>>(c, 1);
  std::optional<TimedSteps<T, Space>> alone;
  if (world.first()) alone.emplace(c, o, initial, one_process());
  TimedSteps<T, Space> together(c, o, initial, world);
  for (int times = 0; times < 5; ++times) {
    if (alone) alone->time(steps, wait);
    world.barrier();
    together.time(steps, wait);
    world.barrier();
  }
  if (!alone) return;
  const double n = static_cast<double>(world.size()), bytes = static_cast<double>(ParameterLayout(c).size() * sizeof(T));
  std::printf(
      "%s, %zu processes: %.3f ms per step alone, %.3f ms together: efficiency %.1f %%; %.1f MB of gradients, %.1f MB sent per "
      "process and step\n",
      what, world.size(), 1e3 * alone->least(), 1e3 * together.least(), 100 * alone->least() / together.least(), bytes / 1e6,
      2 * (n - 1) / n * bytes / 1e6);
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
