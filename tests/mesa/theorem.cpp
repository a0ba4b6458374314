#include "skipv1/mesa/theorem.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

const auto ignore = [] {};

double least(const std::vector<LeastLoss>& curve) {
  double most = curve[0].loss;
  for (const LeastLoss& point : curve) most = std::min(most, point.loss);
  return most;
}

}  // namespace

TEST_CASE("L-BFGS finds a curved valley's floor and stops at it") {
  const auto rosenbrock = [](const std::vector<double>& x, std::vector<double>& g) {
    double sum = 0;
    std::fill(g.begin(), g.end(), 0.);
    for (std::size_t i = 0; i + 1 < x.size(); ++i) {
      const double bend = x[i + 1] - x[i] * x[i], miss = 1 - x[i];
      sum += 100 * bend * bend + miss * miss;
      g[i] += -400 * x[i] * bend - 2 * miss;
      g[i + 1] += 200 * bend;
    }
    return sum;
  };
  const Minimum found = minimise(rosenbrock, {-1.2, 1, -0.5, 2}, 1e-9, 1000);
  CHECK(found.gradient <= 1e-9);
  for (double x : found.at) CHECK(x == Approx(1));
  CHECK(minimise(rosenbrock, {-1.2, 1, -0.5, 2}, 1e-9, 10).evaluations < 60);  // a limit is a limit, up to one line search
}

TEST_CASE("both models' least losses are the closed forms, at small n, large noise and odd d too") {
  const Task tasks[] = {{1, 1, 0.5, {}}, {2, 1, 0, {}}, {3, 10, 0.3, {}}, {3, 2, 4, {}}, {4, 16, 0.1, {}}};
  for (const Task& task : tasks) {
    CAPTURE(task.dim, task.context, task.noise);
    const auto curves = least_losses(task, 2, Random(1), ignore);
    for (std::size_t a = 0; a <= task.dim; ++a) {
      CAPTURE(a);
      CHECK(curves[0][a].loss == Approx(closed_form(task, Model::mha, a)).epsilon(1e-6));
      CHECK(curves[1][a].loss == Approx(closed_form(task, Model::skipv1, a)).epsilon(1e-6));
      CHECK(curves[0][a].gradient < 1e-4);
      CHECK(curves[1][a].gradient < 1e-4);
      CHECK(curves[0][a].starts == 2);
      CHECK(curves[0][a].reached <= 2);
    }
    CHECK(least(curves[1]) == Approx(one_step(task).loss).epsilon(1e-6));
  }
}

TEST_CASE("random starts alone find the closed forms") {
  // The proof's construction is start 0: here it counts for nothing.
  const auto curves = least_losses({3, 10, 0.3, {}}, 12, Random(4), ignore);
  for (const auto& curve : curves)
    for (const LeastLoss& point : curve) CHECK(point.reached >= 1);
}

TEST_CASE("where W_0 is not zero SkipV1 beats the gradient step, and a large W_0 lets MHA do so too") {
  const Task small{2, 10, 0.3, random_mean(2, 0.3, Random(5))}, large{2, 10, 0.3, random_mean(2, 10, Random(5))};
  const auto at_small = least_losses(small, 6, Random(1), ignore), at_large = least_losses(large, 6, Random(1), ignore);
  CHECK(least(at_small[1]) < one_step(small).loss);
  CHECK(least(at_small[0]) > one_step(small).loss);
  CHECK(least(at_large[0]) < one_step(large).loss);
  CHECK(least(at_small[0]) > least(at_small[1]));
  CHECK(test::message([&] { closed_form(small, Model::mha, 1); }) == "two-head model: the closed form holds for W_0 = 0 only");
}

TEST_CASE("no model is better than the best linear function of the statistics, which is the gradient step where W_0 = 0") {
  for (const Task& task : {Task{3, 4, 0.5, {}}, Task{2, 1, 0, {}}})
    CHECK(linear_bound(Moments(task)) == Approx(one_step(task).loss));
  for (double scale : {0.3, 3., 30.}) {  // far from zero the read-outs' systems are close to singular
    const Task task{2, 10, 0.3, random_mean(2, scale, Random(2))};
    CAPTURE(scale);
    for (const auto& curve : least_losses(task, 4, Random(3), ignore)) CHECK(least(curve) > linear_bound(Moments(task)));
  }
}

TEST_CASE("least losses have the same bits with any number of threads") {
  CHECK(test::thread_invariant([] {
    Tensor<double> all = zeros<double>({2, 3});
    const auto curves = least_losses({2, 4, 0.2, {}}, 3, Random(6), ignore);
    for (std::size_t model = 0; model < 2; ++model)
      for (std::size_t a = 0; a < 3; ++a) all(model, a) = curves[model][a].loss;
    return all;
  }));
}

TEST_CASE("a minimisation that is stopped early is not called converged, one that ends is") {
  const Task task{2, 6, 0.2, {}};
  for (const auto& curve : least_losses(task, 2, Random(2), ignore))
    for (const LeastLoss& point : curve) CHECK(point.converged);
  const auto stopped = least_losses(task, 2, Random(2), ignore, 3);
  CHECK(stopped[0][0].converged);  // nothing is minimised at a = 0
  CHECK(!stopped[1][1].converged);
  CHECK(!stopped[1][2].converged);
}
