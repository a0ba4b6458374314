// How one model of tutorial 05 learns, and everything that is measured on it.
#pragma once

#include <exception>
#include <functional>
#include <limits>
#include <mutex>

#include "skipv1/mesa/probes.hpp"
#include "skipv1/programs/mesa/kept.hpp"
#include "skipv1/programs/mesa/trained.hpp"

namespace skipv1::mesa {

/// Trains a model from scratch in `Space`, on fresh prompts, and measures it on `s.test` others, the same for all models.
template <class Space>
Outcome learn(const ToyModel& m, const Setting& s, std::uint64_t seed, const std::function<void()>& on_step) {
  Recipe recipe = s.recipe;
  if (m.rate > 0) recipe.rate = m.rate;
  Learner<float, Space> learner(config_of(m, s), s.task.dim, recipe, seed);
  const Random prompts = Random(seed).split(2);
  Outcome found;
  std::vector<double>& curve = found["curve"];
  double sum = 0;
  for (std::size_t step = 0, begin = 0; step < s.recipe.steps; ++step) {
    const double loss = learner.step(draw_prompts<float>(s.task, m.labels, s.recipe.batch, prompts.split(step)));
    if (s.may_diverge && !std::isfinite(loss)) return {{"error", {std::numeric_limits<double>::infinity()}}};
    require(std::isfinite(loss), m.name, ", ", to_string(m.kind), ", width ", m.width, ", depth ", m.layers, ", seed ", seed,
            ": step ", step + 1, ": the loss is ", loss, ": the training has diverged");
    sum += loss;
    on_step();
    if ((step + 1) * s.points / s.recipe.steps == curve.size()) continue;
    curve.push_back(sum / static_cast<double>(step + 1 - begin));
    sum = 0, begin = step + 1;
  }
  const Prompts<float> test = draw_prompts<float>(s.task, m.labels, s.test, Random(s.first_seed).split(3));
  found["pairs"] = errors_by_pairs(learner.predict(test, Keep::for_backward), test.labels);
  found["error"] = {detail::mean(found["pairs"])};
  const Probes probes = probe(learner, test);
  found["x"] = probes.x, found["y"] = probes.y, found["label"] = probes.label;
  found["heads"] = probes.heads, found["tokens"] = probes.tokens;
  return found;
}

/// Sets the outcomes of all models and seeds to those that are kept, or to `learn(model, seed)`, as many at once as there are
/// threads. Throws the first error of those that threw; after it none is begun.
template <class Learn>
void learn_each(std::vector<Trained>& all, const Setting& s, const std::function<void()>& on_step, const Learn& learn) {
  const auto outcome_of = [&](const ToyModel& m, std::uint64_t seed) {
    std::optional<Outcome> outcome = s.kept ? s.kept->find(m, s, seed) : std::nullopt;
    for (std::size_t step = 0; outcome && step < s.recipe.steps; ++step) on_step();
    if (outcome) return *outcome;
    outcome = learn(m, seed);
    if (s.kept) s.kept->add(m, s, seed, *outcome);
    return *outcome;
  };
  std::mutex mutex;
  std::exception_ptr error;
  parallel_for(all.size() * s.seeds, [&](std::size_t i) {
    Trained& t = all[i / s.seeds];
    {
      const std::lock_guard lock(mutex);
      if (error) return;
    }
    try {
      t.outcomes[i % s.seeds] = outcome_of(t.model, s.first_seed + i % s.seeds);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace skipv1::mesa
