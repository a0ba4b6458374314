#include "skipv1/mesa/predictors.hpp"

#include "skipv1/core/xtensor.hpp"
#include "skipv1/mesa/moments.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

using Matrix = xt::xarray<double>;

/// `E||W_hat x - y||^2` by drawing whole sequences and predicting the query's label.
template <class Predictor>
Estimate simulate(const Task& task, std::size_t draws, const Predictor& weights_of) {
  Random random(21);
  double sum = 0, squares = 0;
  for (std::size_t k = 0; k < draws; ++k) {
    const Sample s = sample(task, random);
    const Matrix w = weights_of(s);
    double loss = 0;
    for (std::size_t i = 0; i < task.dim; ++i) {
      double miss = s.y(task.context, i);
      for (std::size_t j = 0; j < task.dim; ++j) miss -= w(i, j) * s.x(task.context, j);
      loss += miss * miss;
    }
    sum += loss, squares += loss * loss;
  }
  const auto n = static_cast<double>(draws);
  return {sum / n, std::sqrt((squares / n - sum * sum / (n * n)) / n)};
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c = xt::zeros<double>({a.shape(0), b.shape(1)});
  for (std::size_t i = 0; i < a.shape(0); ++i)
    for (std::size_t j = 0; j < b.shape(1); ++j)
      for (std::size_t k = 0; k < b.shape(0); ++k) c(i, j) += a(i, k) * b(k, j);
  return c;
}

struct Context {
  Matrix xx, yx;  // X X^T, Y X^T
};
Context context(const Task& task, const Sample& s) {
  const std::size_t d = task.dim;
  Context c{xt::zeros<double>({d, d}), xt::zeros<double>({d, d})};
  for (std::size_t t = 0; t < task.context; ++t) {
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < d; ++j) {
        c.xx(i, j) += s.x(t, i) * s.x(t, j);
        c.yx(i, j) += s.y(t, i) * s.x(t, j);
      }
    }
  }
  return c;
}

void check_close(const Estimate& a, const Estimate& b) {
  CAPTURE(a.value, a.error, b.value, b.error);
  CHECK(std::abs(a.value - b.value) < 4 * std::hypot(a.error, b.error));
}

const std::vector<Task>& tasks() {
  static const std::vector<Task> all{{2, 6, 0.5, {}}, {3, 2, 1.0, {}}, {2, 5, 0.7, random_mean(2, 1.5, Random(3))}};
  return all;
}

}  // namespace

TEST_CASE("predictors lose what they lose on drawn sequences") {
  for (const Task& task : tasks()) {
    CAPTURE(task.dim, task.context);
    const SpectralPredictors spectral(task, 4096, Random(2));
    const double strength = task.noise * task.noise;
    check_close(spectral.ridge(), simulate(task, 20000, [&](const Sample& s) {
                  const Context c = context(task, s);
                  Matrix regularised = c.xx, unit = xt::zeros<double>({task.dim, task.dim});
                  for (std::size_t i = 0; i < task.dim; ++i) regularised(i, i) += strength, unit(i, i) = 1;
                  const Shape shape{task.dim, task.dim};
                  const Tensor<double> inverse =
                      solve(View<const double>(regularised.data(), shape), View<const double>(unit.data(), shape));
                  return product(c.yx, as_xtensor<double>(inverse));
                }));
    const double rate = 0.05;
    check_close(spectral.gradient_steps(3, rate), simulate(task, 20000, [&](const Sample& s) {
                  const Context c = context(task, s);
                  Matrix w = xt::zeros<double>({task.dim, task.dim});
                  for (int step = 0; step < 3; ++step) w = Matrix(w + rate * (c.yx - product(w, c.xx)));
                  return w;
                }));
    const OneStep step = one_step(task);
    check_close({step.loss, 0}, simulate(task, 20000, [&](const Sample& s) {
                  return product(as_xtensor<double>(step.preconditioner), context(task, s).yx);
                }));
    check_close({zero_loss(task), 0}, simulate(task, 20000, [&](const Sample&) {
                  return Matrix(xt::zeros<double>({task.dim, task.dim}));
                }));
  }
}

TEST_CASE("the best step is the closed form's, and no other preconditioner is better") {
  for (const Task& task : tasks()) {
    const OneStep step = one_step(task);
    const std::size_t d = task.dim;
    const Moments moments(task);
    // The loss of a preconditioner L from the moments alone: E||W - L C||^2.
    const auto loss = [&](const Tensor<double>& l) {
      const double n = moments.context(), unit = moments.sigma() * moments.sigma();
      double sum = moments.zero_loss();
      for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t j = 0; j < d; ++j) {
          for (std::size_t k = 0; k < d; ++k) {
            const std::size_t at = moments.index(d + k, j);
            sum -= 2 * l(i, k) * n * unit * moments.target()(at, i * d + j);
            for (std::size_t r = 0; r < d; ++r)
              sum += l(i, k) * l(i, r) * n * n * unit * moments.second()(at, moments.index(d + r, j));
          }
        }
      }
      return sum;
    };
    CHECK(loss(step.preconditioner) == Approx(step.loss));
    for (std::size_t i = 0; i < d * d; ++i) {
      for (double change : {-1e-3, 1e-3}) {
        Tensor<double> other = step.preconditioner;
        other.data()[i] += change;
        CHECK(loss(other) > step.loss);
      }
    }
  }
  const Task task{4, 16, 0.1, {}};
  CHECK(one_step(task).preconditioner(2, 2) == Approx(1 / (16 + 4 + 1 + 0.01)));
  CHECK(one_step(task).loss == Approx(4 * 4.01 - 16 * 16 / 21.01));
}

TEST_CASE("spectra have the moments of Wishart matrices; limits of ridge are known") {
  for (const std::size_t n : {1u, 2u, 3u, 9u}) {
    const Task task{3, n, 0.5, {}};
    const SpectralPredictors spectral(task, 20000, Random(4));
    // p = 1 loses d s^2 + d E tr (S - 1)^2 + d s^2 E tr S, where E tr S = n d and E tr S^2 = n d (n + d + 1).
    const double d = 3, nd = 3 * static_cast<double>(n);
    const double exact = d * 0.25 + d * (nd * (static_cast<double>(n) + d + 1) - 2 * nd + d) + d * 0.25 * nd;
    check_close(spectral.loss([](double) { return 1.; }), {exact, 0});
    CHECK(spectral.loss([](double) { return 0.; }).value == Approx(zero_loss(task)));
    // Without noise, what the context does not span is lost and nothing else.
    const SpectralPredictors noiseless({3, n, 0, {}}, 100, Random(4));
    CHECK(noiseless.ridge().value == Approx(3 * static_cast<double>(3 - std::min<std::size_t>(n, 3))).margin(1e-9));
  }
}

TEST_CASE("more steps lose less, one step is the closed form, and none beats ridge") {
  const Task task{4, 12, 0.4, {}};
  const SpectralPredictors spectral(task, 8192, Random(8));
  double before = zero_loss(task);
  for (const std::size_t steps : {1u, 2u, 4u, 8u}) {
    const Estimate now = spectral.gradient_steps(steps, spectral.best_rate(steps));
    CHECK(now.value < before);
    CHECK(now.value > spectral.ridge().value);
    before = now.value;
  }
  check_close(spectral.gradient_steps(1, spectral.best_rate(1)), {one_step(task).loss, 0});
}

TEST_CASE("ridge's draws have the same bits with any number of threads") {
  CHECK(test::thread_invariant([] {
    const Estimate e = SpectralPredictors({3, 5, 0.3, {}}, 1000, Random(1)).ridge();
    Tensor<double> both({2});
    both(0) = e.value, both(1) = e.error;
    return both;
  }));
}
