// Theorem 2 as curves: the least loss of each model for every split a of the copied token.
#pragma once

#include "skipv1/mesa/minimise.hpp"
#include "skipv1/mesa/predictors.hpp"
#include "skipv1/mesa/two_head_model.hpp"

namespace skipv1::mesa {

/// The least loss `E||y_hat - y||^2` found for one model and one a.
struct LeastLoss {
  double loss = 0;
  double gradient = 0;             ///< the norm of its gradient where it was found, the zero predictor's loss being d
  bool converged = true;           ///< whether it is small beside what there is to gain; else the loss is an upper bound
  std::size_t starts = 0;          ///< how many random starts there were
  std::size_t reached = 0;         ///< those among them that gain as much over the zero predictor, to 0.1 %
  std::vector<double> parameters;  ///< of `TwoHeadModel`; none for a = 0
};

/// `L(a)` in closed form where `W_0 = 0`: `d (d + s^2) - r n lambda`, with `r = a (d - a)` for MHA, `r = a d` for SkipV1 and
/// `lambda = 1 / (n + d + 1 + s^2)` (derived in the tutorial 04-mesa-theorem).
inline double closed_form(const Task& task, Model model, std::size_t a) {
  require(task.mean_square() == 0, "two-head model: the closed form holds for W_0 = 0 only");
  const auto d = static_cast<double>(task.dim), n = static_cast<double>(task.context), width = static_cast<double>(a);
  return zero_loss(task) - width * (model == Model::mha ? d - width : d) * n / (n + d + 1 + task.noise * task.noise);
}

/// The least loss of any predictor `y_hat = P x_{n+1}` whose P is linear in `X X^T`, `Y X^T` and `Y Y^T`: a bound for all layers
/// of linear attention. Where `W_0 = 0` only `Y X^T` tells of W and the bound is one gradient step's loss.
inline double linear_bound(const Moments& moments) {
  const Tensor<double> weights = solve(moments.second(), moments.target());
  double loss = static_cast<double>(moments.dim());
  for (std::size_t i = 0; i < moments.target().size(); ++i) loss -= weights.data()[i] * moments.target().data()[i];
  return loss * moments.zero_loss() / static_cast<double>(moments.dim());
}

namespace detail {

/// Where a minimisation begins. Start 0 is the construction of the theorem's proof (A, B rows of the identity, `M^h` the
/// projector on A's rows), shaken a little, so that it is no stationary point; the others are random.
inline std::vector<double> start_of(const TwoHeadModel& model, std::size_t d, std::size_t a, std::size_t number, Random random) {
  std::vector<double> start(model.parameters());
  const double size = 1 / std::sqrt(static_cast<double>(d));
  for (double& x : start) x = size * random.normal();
  start[0] = 1;
  if (number > 0) return start;
  for (double& x : start) x *= 0.1;
  start[0] = 0.5;
  for (std::size_t i = 0; i < d; ++i) start[1 + i * d + i] += 1;
  for (std::size_t h = 0; h < 2; ++h)
    for (std::size_t i = 0; i < a; ++i) start[1 + d * d + (h * d + i) * a + i] += 1;
  return start;
}

/// The best of a model's minima, the first of which is not from a random start. `gain`: by how much one can fall below the zero
/// predictor's loss, in units of `Moments`.
inline LeastLoss least_of(const std::vector<Minimum>& minima, const Moments& moments, double gain) {
  const auto width = static_cast<double>(moments.dim());
  double least = width;
  for (const Minimum& m : minima) least = std::min(least, m.value);
  const auto within = [&](const Minimum& m, double share) {
    return m.value <= least + share * (width - least) + 1e-9 * gain + 1e-15 * width;
  };
  // Of minima that differ by rounding only, the one where the gradient is smallest.
  const Minimum& best = *std::min_element(minima.begin(), minima.end(), [&](const Minimum& l, const Minimum& r) {
    return within(l, 0) != within(r, 0) ? within(l, 0) : l.gradient < r.gradient;
  });
  const auto reached = std::count_if(minima.begin() + 1, minima.end(), [&](const Minimum& m) { return within(m, 1e-3); });
  // The loss does not change with the parameters' scale, so the gradient counts times that.
  const bool converged = best.at.empty() || best.gradient * std::sqrt(dot(best.at, best.at)) <= 1e-3 * gain;
  return {moments.zero_loss() / width * best.value, best.gradient, converged, minima.size() - 1,
          static_cast<std::size_t>(reached),        best.at};
}

}  // namespace detail

/// Minimises both models' expected loss for `a = 0 … d`, from the proof's construction and from `restarts` random points:
/// element `[model][a]`. Each minimisation ends after `limit` evaluations at the latest. `done()` is called after each
/// minimisation, from any thread.
template <class Done>
std::vector<std::vector<LeastLoss>> least_losses(const Task& task, std::size_t restarts, Random random, const Done& done,
                                                 std::size_t limit = 4000) {
  const Moments moments(task);
  const std::size_t d = task.dim, starts = restarts + 1;
  const double gain = static_cast<double>(d) * (1 - one_step(task).loss / zero_loss(task)), tolerance = 1e-7 * gain;
  std::vector<Minimum> minima(2 * (d + 1) * starts);
  parallel_for(minima.size(), [&](std::size_t i) {
    const std::size_t a = i / starts % (d + 1);
    const TwoHeadModel model(moments, i / starts > d ? Model::skipv1 : Model::mha, a);
    minima[i].value = static_cast<double>(d);
    if (a > 0) {  // without A there is no M^h, and the prediction is zero
      const auto f = [&](const std::vector<double>& x, std::vector<double>& g) { return model(x, g); };
      minima[i] = minimise(f, detail::start_of(model, d, a, i % starts, random.split(i)), tolerance, limit);
    }
    done();
  });

  std::vector<std::vector<LeastLoss>> curves(2);
  for (auto first = minima.begin(); first != minima.end(); first += static_cast<std::ptrdiff_t>(starts)) {
    const auto last = first + static_cast<std::ptrdiff_t>(starts);
    curves[curves[0].size() > d ? 1 : 0].push_back(detail::least_of({first, last}, moments, gain));
  }
  return curves;
}

}  // namespace skipv1::mesa
