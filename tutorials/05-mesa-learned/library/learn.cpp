#include "tutorials/05-mesa-learned/learn.hpp"

#include "skipv1/mesa/predictors.hpp"
#include "tutorials/05-mesa-learned/device.hpp"
#include "tutorials/05-mesa-learned/experiment.hpp"

namespace skipv1::mesa {

void check_device(const std::string& device) {
  require(device == "cpu" || device == "cuda", "device ", device, ": must be cpu or cuda");
  const std::string missing = device == "cpu" ? "" : why_no_device();
  require(missing.empty(), "device cuda: ", missing);
}

std::vector<Trained> learn_all(const std::vector<Model>& models, const Setting& s, const std::string& device,
                               const std::function<void()>& on_step) {
  check_device(device);
  std::vector<Trained> all;
  for (const Model& m : models) {
    validate(config_of(m, s));
    all.push_back({m, std::vector<Outcome>(s.seeds)});
  }
  if (device == "cpu")
    learn_each(all, s, [&](const Model& m, std::uint64_t seed) { return learn<Cpu>(m, s, seed, on_step); });
  else
    learn_on_device(all, s, on_step);
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
