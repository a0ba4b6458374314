// Training by several GPUs: what a step takes by one and by all, what its reductions take, and the memory of a GPU. For nvcc
// alone.
#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/benchmark/gpu_step.hpp"
#include "tests/benchmark/gpu_worlds.hpp"

#if defined(SKIPV1_WITH_NCCL)
namespace skipv1::benchmark {

struct ScalingCase {
  std::string label, what;
  Config config;
  std::size_t batch, length;  ///< of one GPU
};

/// GPT-2 124M, and the 42M model of docs/results/README.md, both in bfloat16.
inline std::vector<ScalingCase> scaling_cases() {
  Config llama = llama_bytes("skipv1", 512, 8, 1376);
  llama.vocab_size = 16384;
  std::vector<ScalingCase> cases;
  for (const std::size_t batch : {64u, 16u, 4u})
    cases.push_back({"gpt2-" + std::to_string(batch), "GPT-2 124M", gpt2_124m("skipv1"), batch, 1024});
  for (const std::size_t batch : {64u, 16u, 4u})
    cases.push_back({"llama-" + std::to_string(batch), "LLaMA 42M", llama, batch, 512});
  return cases;
}

/// Every process's `seconds`.
inline std::vector<double> of_all(Communicator& world, double seconds) {
  std::vector<double> all(world.size());
  all[world.rank()] = seconds;
  world.all_reduce(all.data(), all.size());
  return all;
}
inline double slowest(Communicator& world, double seconds) {
  const std::vector<double> all = of_all(world, seconds);
  return *std::max_element(all.begin(), all.end());
}
inline double median(std::vector<double> values) { return time_of(std::move(values)).median; }

/// A trainer on the same drawn windows over and over.
class ScalingTrainer {
 public:
  ScalingTrainer(const ScalingCase& s, const Parameters<float>& initial, Communicator& world)
      : tokens_(drawn_tokens(s.config, s.batch, s.length)),
        inputs_(tokens_.begin(), tokens_.end() - 1),
        targets_(tokens_.begin() + 1, tokens_.end()),
        trainer_(s.config, options(s), initial, world) {}
  void step() { trainer_.step(inputs_, targets_); }
  /// The mean of `count` steps, each of which waits for its loss.
  double seconds_of(std::size_t count) {
    return seconds([&] {
             for (std::size_t i = 0; i < count; ++i) step();
           }) /
           static_cast<double>(count);
  }

 private:
  /// The weights hardly move, so that all trainers compute with the same numbers: a GPU's clock depends on them.
  static TrainingOptions options(const ScalingCase& s) {
    TrainingOptions o = options_of(s.batch, s.length);
    o.schedule.peak = 1e-7;
    return o;
  }
  std::vector<std::int32_t> tokens_, inputs_, targets_;
  Trainer<bfloat16, Device> trainer_;
};

/// Bytes of the GPU that a trainer takes once it has made a step, scratch included.
inline std::size_t trainer_bytes(const ScalingCase& s, const Parameters<float>& initial, Communicator& world) {
  synchronize();
  detail::Scratch<float>::here().release();
  const std::size_t before = free_memory();
  ScalingTrainer trainer(s, initial, world);
  trainer.step();
  return before - free_memory();
}

/// A step's communication with nothing beside it: medians of 20, in seconds.
struct CommunicationAlone {
  double layers, rest, norm, parameters, all;
};
inline CommunicationAlone communication_alone(NcclCommunicator& world, const Config& config) {
  const Parameters<bfloat16, Device> gradients(config);
  FarWorld far(world);  // the sums of layers by themselves, too
  DataParallel<bfloat16, Device> parallel(gradients.layout(), far), usual(gradients.layout(), world);
  const Tensor<double, Device> square = zeros<double, Device>({1}), loss = zeros<double, Device>({1});
  const auto layers = [&](auto& with) {
    for (std::size_t l = config.num_hidden_layers + 1; l-- > 0;) with.begin_sum(gradients.flat(), l);
  };
  const auto time_one = [&](const std::function<void()>& work) {
    world.barrier();
    return slowest(world, timed(20, 1, [&](std::size_t) { work(); }).median);
  };
  CommunicationAlone t{};
  t.layers = time_one([&] { layers(parallel), world.wait(); });
  t.rest = time_one([&] { parallel.finish_sum(gradients.flat()); });
  t.norm = time_one([&] { parallel.sum(View<double, Device>(square), View<double, Device>(loss)); });
  const auto share = [&] { parallel.share(gradients.flat()); };
  t.parameters = time_one(share);
  t.all = time_one([&] {
    layers(usual), usual.finish_sum(gradients.flat());
    parallel.sum(View<double, Device>(square), View<double, Device>(loss));
    share();
  });
  return t;
}

/// Seconds of a step, a number for each round; the slowest process's but for `one`, the first's. Rounds follow each other, as the
/// clock falls while a GPU warms up.
struct ScalingTimes {
  std::vector<double> one, own, silent, sums, together;
  std::map<std::string, std::vector<double>> ways;
  std::vector<double> own_of_all;  ///< medians, of each process
  double exposed(const std::vector<double>& times) const {
    std::vector<double> d;
    for (std::size_t i = 0; i < times.size(); ++i) d.push_back(times[i] - silent[i]);
    return median(std::move(d));
  }
};

/// Another way to exchange the same: as it is, or the sums layer by layer. Or nothing, but multiprocessors held for 50 or 500
/// microseconds, at 1.6 GHz, where a layer's sum would be.
inline std::unique_ptr<Communicator> way(const std::string& name, NcclCommunicator& world) {
  if (name == "usual") return std::make_unique<PassingWorld>(world);
  if (name == "layers") return std::make_unique<FarWorld>(world);
  if (name == "hold-1") return std::make_unique<HoldingWorld>(world, 1, 80000);
  if (name == "hold-24") return std::make_unique<HoldingWorld>(world, 24, 80000);
  require(name == "hold-24-long", "--ways ", name, ": must be usual, layers, hold-1, hold-24 or hold-24-long");
  return std::make_unique<HoldingWorld>(world, 24, 800000);
}

inline ScalingTimes scaling_times(NcclCommunicator& world, const ScalingCase& s, const Parameters<float>& initial,
                                  std::size_t rounds, const std::vector<std::string>& ways) {
  const std::size_t steps = std::max<std::size_t>(5, 160 * 1024 / (s.batch * s.length));
  ScalingTimes t;
  std::vector<std::unique_ptr<Communicator>> worlds;
  std::vector<std::unique_ptr<ScalingTrainer>> trainers;
  std::vector<std::vector<double>*> times;
  const auto add = [&](std::vector<double>& to, std::unique_ptr<Communicator> other, Communicator& with) {
    trainers.push_back(std::make_unique<ScalingTrainer>(s, initial, with));
    if (other) worlds.push_back(std::move(other));
    times.push_back(&to);
  };
  add(t.one, nullptr, one_process());
  const auto with_world = [&](std::vector<double>& to, std::unique_ptr<Communicator> other) {
    Communicator& with = *other;
    add(to, std::move(other), with);
  };
  with_world(t.silent, std::make_unique<PartialWorld>(world, PartialWorld::Does::nothing));
  if (ways.empty()) with_world(t.sums, std::make_unique<PartialWorld>(world, PartialWorld::Does::sums));
  if (ways.empty()) with_world(t.together, std::make_unique<PassingWorld>(world));
  for (const std::string& name : ways) with_world(t.ways[name], way(name, world));
  for (const auto& trainer : trainers)
    for (int i = 0; i < 3; ++i) trainer->step();  // allocates, is recorded, is replayed
  const auto at_once = [&](ScalingTrainer& trainer) {
    world.barrier();
    return trainer.seconds_of(steps);
  };
  std::vector<double> own;
  for (std::size_t round = 0; round < rounds; ++round) {
    world.barrier();
    t.one.push_back(slowest(world, world.first() ? trainers[0]->seconds_of(steps) : 0));  // the others wait
    own.push_back(at_once(*trainers[0]));
    t.own.push_back(slowest(world, own.back()));
    for (std::size_t i = 1; i < trainers.size(); ++i) times[i]->push_back(slowest(world, at_once(*trainers[i])));
  }
  t.own_of_all = of_all(world, median(own));
  return t;
}

/// Means over `steps` steps, of the process in which it is most.
inline TimedWorld::Seconds seconds_in_step(NcclCommunicator& world, const ScalingCase& s, const Parameters<float>& initial,
                                           std::size_t steps) {
  TimedWorld timed_world(world);
  ScalingTrainer trainer(s, initial, timed_world);
  for (int i = 0; i < 3; ++i) trainer.step();
  TimedWorld::Seconds all;
  for (std::size_t i = 0; i < steps; ++i) {
    trainer.step();
    const TimedWorld::Seconds now = timed_world.last();
    all.sums += now.sums, all.norm += now.norm, all.parameters += now.parameters;
  }
  for (double* part : {&all.sums, &all.norm, &all.parameters}) *part = slowest(world, *part / static_cast<double>(steps));
  return all;
}

/// What a case has given. The first process prints it.
struct ScalingResult {
  std::size_t size = 1, parameters = 0, bytes_one = 0, bytes_together = 0, bytes_nccl = 0;
  CommunicationAlone alone{};
  ScalingTimes times;
  TimedWorld::Seconds inside;

  void print(const ScalingCase& s) const;
  void print_ways(const ScalingCase& s) const;
};

inline void ScalingResult::print(const ScalingCase& s) const {
  const double n = static_cast<double>(size), count = static_cast<double>(parameters), mb = 2e-6 * count;
  const double tokens = static_cast<double>(s.batch * s.length), one = median(times.one), all = median(times.together);
  const double inside_all = inside.sums + inside.norm + inside.parameters;
  std::printf("== %s: %s, %.2fM parameters, bf16, %zu x %zu tokens each, GPUs: %zu\n", s.label.c_str(), s.what.c_str(),
              1e-6 * count, s.batch, s.length, size);
  std::printf("one, the others idle: %.3f ms per step, %.0f tokens/s\n", 1e3 * one, tokens / one);
  std::printf("each by itself, all at once:");
  for (const double own : times.own_of_all) std::printf(" %.3f", 1e3 * own);
  std::printf(" ms\ntogether: %.3f ms per step, %.0f tokens/s, %.3f times one, efficiency %.2f %%\n", 1e3 * all, n * tokens / all,
              n * one / all, 100 * one / all);
  std::printf("together but for what is left out: everything %.3f ms, new parameters %.3f ms\n", 1e3 * median(times.silent),
              1e3 * median(times.sums));
  std::printf("exposed: %.3f ms, %.2f %% of the step; of the sums %.3f ms\n", 1e3 * times.exposed(times.together),
              100 * times.exposed(times.together) / all, 1e3 * times.exposed(times.sums));
  std::printf(
      "on NCCL's stream within the step: sums %.3f ms, norm and loss %.3f, new parameters %.3f; all %.2f %% of the step\n",
      1e3 * inside.sums, 1e3 * inside.norm, 1e3 * inside.parameters, 100 * inside_all / all);
  std::printf(
      "with nothing beside it: sums of layers and head %.3f ms, embeddings and vectors %.3f, norm and loss %.3f, new parameters "
      "%.3f; all %.3f ms, %.2f %% of the step\n",
      1e3 * alone.layers, 1e3 * alone.rest, 1e3 * alone.norm, 1e3 * alone.parameters, 1e3 * alone.all, 100 * alone.all / all);
  std::printf("gradients %.1f MB; sent and received by a process in a step %.1f MB each way\n", mb, 2 * mb * (n - 1) / n);
  std::printf(
      "memory: a trainer with all states %.1f MB, with its part %.1f MB, less by %.1f MB (states: %.1f of %.1f MB); NCCL %.1f "
      "MB\n\n",
      1e-6 * static_cast<double>(bytes_one), 1e-6 * static_cast<double>(bytes_together),
      1e-6 * (static_cast<double>(bytes_one) - static_cast<double>(bytes_together)), 12e-6 * count / n, 12e-6 * count,
      1e-6 * static_cast<double>(bytes_nccl));
  std::fflush(stdout);
}

inline void ScalingResult::print_ways(const ScalingCase& s) const {
  const double n = static_cast<double>(size), one = median(times.one);
  std::printf("== %s, GPUs: %zu; one, the others idle: %.3f ms; together, nothing exchanged: %.3f ms\n", s.label.c_str(), size,
              1e3 * one, 1e3 * median(times.silent));
  for (const auto& [name, seconds] : times.ways)
    std::printf("%s: %.3f ms per step, %.3f times one; exposed %.3f ms\n", name.c_str(), 1e3 * median(seconds),
                n * one / median(seconds), 1e3 * times.exposed(seconds));
  std::fflush(stdout);
}

inline ScalingResult measure_ways(NcclCommunicator& world, const ScalingCase& s, std::size_t rounds,
                                  const std::vector<std::string>& ways) {
  ScalingResult r;
  r.size = world.size();
  r.times = scaling_times(world, s, initial_parameters<float>(s.config, 1), rounds, ways);
  return r;
}

inline ScalingResult measure_scaling(NcclCommunicator& world, const ScalingCase& s, std::size_t rounds) {
  const Parameters<float> initial = initial_parameters<float>(s.config, 1);
  ScalingResult r;
  r.size = world.size(), r.parameters = initial.layout().size();
  const std::size_t before = free_memory();
  r.alone = communication_alone(world, s.config);
  detail::Scratch<float>::here().release();
  synchronize();
  r.bytes_nccl = before - std::min(before, free_memory());
  r.bytes_one = trainer_bytes(s, initial, one_process());
  r.bytes_together = trainer_bytes(s, initial, world);
  r.inside = seconds_in_step(world, s, initial, 10);
  r.times = scaling_times(world, s, initial, rounds, {});
  return r;
}

}  // namespace skipv1::benchmark
#endif
