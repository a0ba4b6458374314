#include "tutorials/05-mesa-learned/learn.hpp"

#include "skipv1/mesa/predictors.hpp"
#include "tutorials/05-mesa-learned/experiment.hpp"

namespace skipv1::mesa {

std::vector<Trained> learn_all(const std::vector<Model>& models, const Setting& s, const std::function<void()>& on_step) {
  std::vector<Trained> all;
  for (const Model& m : models) {
    validate(config_of(m, s));
    all.push_back({m, std::vector<Outcome>(s.seeds)});
  }
  parallel_for(models.size() * s.seeds, [&](std::size_t i) {
    const std::size_t seed = i % s.seeds;
    all[i / s.seeds].outcomes[seed] = learn(models[i / s.seeds], s, s.first_seed + seed, on_step);
  });
  return all;
}

Predictors::Predictors(Task task) : one_step{1}, ridge{1} {
  const std::size_t n = task.context;
  for (task.context = 1; task.context <= n; ++task.context) {
    one_step.push_back(mesa::one_step(task).loss / zero_loss(task));
    ridge.push_back(SpectralPredictors(task, 1 << 14, Random(1)).ridge().value / zero_loss(task));
  }
}

}  // namespace skipv1::mesa
