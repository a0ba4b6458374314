// One run of an experiment, in any scalar and memory space.
#pragma once

#include "skipv1/training/recall.hpp"
#include "skipv1/training/run.hpp"
#include "skipv1/programs/experiment.hpp"

namespace skipv1 {

/// Where a run is done.
struct Place {
  std::string name;
  std::size_t (*memory_in_use)();  ///< bytes, of the device as a whole; 0: not known
};

/// Windows of a model that has been trained are not those it has seen first: others, or those that follow in its order.
inline std::uint64_t windows_seed(const PlannedRun& run, std::uint64_t seed) {
  return run.start.empty() || run.reading.after ? seed : seed + 1'000'000;
}

/// Trains on sequences of the recall task, each seen once; `accuracy` gets that of each evaluation.
template <class T, class Space>
Curve train_recall(Trainer<T, Space>& trainer, const PlannedRun& run, const RunInput& in, const std::string& what,
                   std::vector<double>& accuracy) {
  const RecallTask task{run.pairs, run.config.vocab_size};
  const std::size_t batch = run.training.batch;
  return train_with_curve(
      trainer, run.training, in.curve, what,
      [&](std::size_t step) {
        return run.lessons.empty() ? task.sequences(step * batch, batch, in.seed)
                                   : task.lessons(run.lessons, step * batch, batch, in.seed);
      },
      [&](std::size_t sequences) {
        const RecallScore score = evaluate_recall(trainer.decoder(), task, sequences, in.curve.batch);
        accuracy.push_back(score.accuracy);
        return Evaluation{score.nats_per_answer, score.answers, 0};
      });
}

template <class T, class Space>
void train_planned(Measured& m, const PlannedRun& run, const RunInput& in) {
  const auto start = std::chrono::steady_clock::now();
  Trainer<T, Space> trainer(run.config, run.training, in.initial ? *in.initial : initial_parameters<float>(run.config, in.seed));
  m.initial_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  m.parameters = trainer.parameters().layout().count();
  m.cache_bytes = Cache<T, Space>(trainer.decoder().routing(), 1, 1).bytes_per_token();
  const std::string what = run.label + ", seed " + std::to_string(in.seed);
  if (run.pairs) {
    m.curve = train_recall(trainer, run, in, what, m.accuracy);
  } else {
    m.places.begin = run.places;
    m.curve = train_with_curve(trainer, run.training, windows_seed(run, in.seed), *in.text, *in.held_out, in.curve, what,
                               run.reading, run.places.empty() ? nullptr : &m.places);
  }
  if (in.keep) {
    m.model.emplace(run.config);
    copy(m.model->flat(), trainer.master()->flat());
  }
}

/// Reads sequences of `context - 1` tokens into a cache, a thousand at a time, then one token more: the largest memory on the
/// way. Weights are zeros, which no size depends on.
template <class T, class Space>
MemoryPoint generate_in(const PlannedRun& run, std::size_t context, const Place& place, Measured& m) {
  const std::size_t before = place.memory_in_use(), rows = run.training.batch;
  const Parameters<T, Space> parameters(run.config);
  const Decoder<T, Space> decoder(run.config, parameters);
  Cache<T, Space> cache(decoder.routing(), rows, context);
  Activations<T, Space> activations;
  std::size_t peak = before;
  for (std::size_t done = 0; done < context;) {
    const std::size_t count = done + 1 < context ? std::min(generated_chunk, context - 1 - done) : 1;
    decoder.forward({std::vector<std::int32_t>(rows * count), std::vector<std::size_t>(rows, count)}, cache, activations,
                    Keep::nothing, Logits::last);
    peak = std::max(peak, place.memory_in_use());
    done += count;
  }
  m.parameters = parameters.layout().count(), m.cache_bytes = cache.bytes_per_token();
  return {context, rows * context * m.cache_bytes, peak - before};
}

template <class T, class Space>
Measured measure(const PlannedRun& run, const RunInput& in, const Place& place) {
  Measured m;
  m.device = place.name;
  if (run.contexts.empty()) {
    train_planned<T, Space>(m, run, in);
    return m;
  }
  generate_in<T, Space>(run, run.contexts.front(), place, m);  // what the libraries keep for themselves is there from now on
  Progress progress(run.label, run.contexts.size(), "contexts");
  for (const std::size_t context : run.contexts) {
    m.memory.push_back(generate_in<T, Space>(run, context, place, m));
    progress.advance();
  }
  return m;
}

}  // namespace skipv1
