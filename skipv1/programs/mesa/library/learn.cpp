#include "skipv1/programs/mesa/learn.hpp"

#include "skipv1/core/on_device.hpp"
#include "skipv1/mesa/predictors.hpp"
#include "skipv1/programs/mesa/device.hpp"
#include "skipv1/programs/mesa/experiment.hpp"

namespace skipv1::mesa {

template class Learner<float>;

std::vector<double> errors_by_pairs(const Tensor<float>& predicted, const Tensor<float>& labels) {
  std::vector<double> errors(labels.extent(1), 0);
  const std::size_t batch = labels.extent(0), dim = labels.extent(2);
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t i = 0; i < errors.size(); ++i)
      for (std::size_t j = 0; j < dim; ++j) {
        const double miss = static_cast<double>(predicted(b, i, j)) - static_cast<double>(labels(b, i, j));
        errors[i] += miss * miss / static_cast<double>(batch * dim);
      }
  return errors;
}

void check_device(const std::string& device) {
  const std::string why = device == "cpu" ? "" : with_device(device, [](auto space) { return why_not<decltype(space)>(); });
  require(why.empty(), "--device ", device, ": ", why);
}

std::vector<Trained> learn_all(const std::vector<ToyModel>& models, const Setting& s, const std::string& device,
                               const std::function<void()>& on_step) {
  check_device(device);
  std::vector<Trained> all;
  for (const ToyModel& m : models) {
    validate(config_of(m, s));
    all.push_back({m, std::vector<Outcome>(s.seeds)});
  }
  if (device == "cpu")
    learn_each(all, s, on_step, [&](const ToyModel& m, std::uint64_t seed) { return learn<Cpu>(m, s, seed, on_step); });
  else
    with_device(device, [&](auto space) { learn_on<decltype(space)>(all, s, on_step); });
  return all;
}

std::vector<std::vector<double>> tune(std::vector<ToyModel>& models, const Tuning& tuning, Setting s, const std::string& device,
                                      const std::function<void()>& on_step) {
  s.first_seed += s.seeds, s.seeds = tuning.seeds, s.may_diverge = true;
  std::vector<ToyModel> tried;
  for (ToyModel model : models)
    for (const double rate : tuning.rates) model.rate = rate, tried.push_back(model);
  const std::vector<Trained> all = learn_all(tried, s, device, on_step);
  std::vector<std::vector<double>> errors;
  for (std::size_t i = 0; i < models.size(); ++i) {
    std::vector<double>& of_rates = errors.emplace_back();
    for (std::size_t k = 0; k < tuning.rates.size(); ++k) of_rates.push_back(all[i * tuning.rates.size() + k].mean("error")[0]);
    models[i].rate =
        tuning.rates[static_cast<std::size_t>(std::min_element(of_rates.begin(), of_rates.end()) - of_rates.begin())];
  }
  return errors;
}

Predictors::Predictors(Task task) : one_step{1}, ridge{1} {
  const std::size_t n = task.context;
  for (task.context = 1; task.context <= n; ++task.context) {
    one_step.push_back(mesa::one_step(task).loss / zero_loss(task));
    ridge.push_back(SpectralPredictors(task, 1 << 14, Random(1)).ridge().value / zero_loss(task));
  }
}

}  // namespace skipv1::mesa
