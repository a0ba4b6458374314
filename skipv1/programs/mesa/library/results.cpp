#include "skipv1/programs/mesa/results.hpp"

#include <cstdio>
#include <mutex>

#include "skipv1/core/progress.hpp"
#include "skipv1/plot/chart.hpp"

namespace skipv1::mesa {

namespace {

Task task_of(const Question& o) {
  Task task{o.dim, o.context, o.noise};
  if (o.mean_scale > 0) task.mean = random_mean(o.dim, o.mean_scale, Random(o.seed).split(0));
  return task;
}

}  // namespace

Results compute(const Question& o) {
  Results r;
  r.task = task_of(o);
  check(r.task);
  r.zero = zero_loss(r.task);
  r.one_step = one_step(r.task).loss;
  r.linear = linear_bound(Moments(r.task));
  const SpectralPredictors predictors(r.task, 1 << 15, Random(o.seed).split(1));
  r.ridge = predictors.ridge();
  for (const std::size_t k : r.steps) r.after_steps.push_back(predictors.gradient_steps(k, predictors.best_rate(k)));
  Progress progress("minimise", 2 * (o.dim + 1) * (o.restarts + 1), "starts");
  std::mutex mutex;
  auto curves = least_losses(
      r.task, o.restarts, Random(o.seed).split(2),
      [&] {
        const std::lock_guard lock(mutex);
        progress.advance();
      },
      o.evaluations);
  r.mha = std::move(curves[0]);
  r.skip = std::move(curves[1]);
  return r;
}

std::vector<double> losses(const std::vector<LeastLoss>& curve) {
  std::vector<double> all;
  for (const LeastLoss& point : curve) all.push_back(point.loss);
  return all;
}

void draw_curves(const Results& r, const std::filesystem::path& folder) {
  std::vector<double> a;
  for (std::size_t i = 0; i <= r.task.dim; ++i) a.push_back(static_cast<double>(i));
  char title[120];
  std::snprintf(title, sizeof title, "Least loss over copied pairs: d = %zu, n = %zu, s = %g", r.task.dim, r.task.context,
                r.task.noise);
  plot::Chart chart{title, "a: rows of the copied token that hold x", "expected squared error", {}};
  chart.series = {{"MHA", a, losses(r.mha)}, {"SkipV1", a, losses(r.skip)}};
  chart.references = {{r.zero, "zero"}, {r.one_step, "one step"}, {r.ridge.value, "ridge"}};
  std::filesystem::create_directories(folder);
  plot::save_figure(folder / "curves.png", chart);
}

}  // namespace skipv1::mesa
