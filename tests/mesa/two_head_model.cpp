#include "skipv1/mesa/two_head_model.hpp"

#include "skipv1/mesa/predictors.hpp"
#include "skipv1/ops/linear_attention.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

const Model models[] = {Model::mha, Model::skipv1};

std::vector<double> random_parameters(const TwoHeadModel& model, std::uint64_t seed) {
  std::vector<double> p(model.parameters());
  Random random(seed);
  for (double& x : p) x = random.normal();
  return p;
}

/// `y += matrix x`
void add_times(double* y, const Tensor<double>& matrix, const double* x) {
  for (std::size_t i = 0; i < matrix.extent(0); ++i)
    for (std::size_t j = 0; j < matrix.extent(1); ++j) y[i] += matrix(i, j) * x[j];
}

/// `E||y_hat - y||^2` where the second layer is linear attention over the tokens `x_1, z_1, …, x_n, z_n` of drawn sequences.
Estimate simulate(const TwoHeadLayer& layer, Model model, const Task& task, std::size_t draws) {
  const std::size_t d = task.dim, n = task.context, tokens = 2 * n + 1;  // the query's own token, as a key, is zero here
  Tensor<double> stream = zeros<double>({draws, tokens, d}), raw = stream, q = zeros<double>({draws, 2, d}), out({draws, 2, d});
  std::vector<Sample> samples;
  std::vector<std::int32_t> row_begin{0}, past;
  Random random(5);
  for (std::size_t b = 0; b < draws; ++b) {
    const Sample& s = samples.emplace_back(sample(task, random));
    for (std::size_t i = 0; i < n; ++i) {
      std::copy_n(&s.x(i, 0), d, &stream(b, 2 * i, 0));
      std::copy_n(&s.x(i, 0), d, &raw(b, 2 * i, 0));
      std::copy_n(&s.y(i, 0), d, &raw(b, 2 * i + 1, 0));
      add_times(&stream(b, 2 * i + 1, 0), layer.a, &s.x(i, 0));
      add_times(&stream(b, 2 * i + 1, 0) + layer.a.extent(0), layer.b, &s.y(i, 0));
    }
    for (std::size_t h = 0; h < 2; ++h) add_times(&q(b, h, 0), layer.m[h], &s.x(n, 0));
    row_begin.push_back(static_cast<std::int32_t>(b + 1));
    past.push_back(static_cast<std::int32_t>(2 * n));
  }
  const auto head = [&](const Tensor<double>& x) { return Head<const double>{x.data(), tokens * d, d}; };
  const std::vector<HeadPair<const double>> heads{{head(stream), head(stream)},
                                                  {head(stream), head(model == Model::mha ? stream : raw)}};
  const Sequences<> sequences{{row_begin.data(), {draws + 1}}, {past.data(), {draws}}, 1, tokens};
  const View<const HeadPair<const double>> table(heads.data(), {2});
  linear_attention_forward<double>(out, q, table, sequences, 1, LinearNorm::none);

  double sum = 0, squares = 0;
  for (std::size_t b = 0; b < draws; ++b) {
    std::vector<double> y(d, 0.);
    for (std::size_t h = 0; h < 2; ++h) add_times(y.data(), layer.w[h], &out(b, h, 0));
    double loss = 0;
    for (std::size_t j = 0; j < d; ++j) loss += std::pow(y[j] - samples[b].y(n, j), 2);
    sum += loss, squares += loss * loss;
  }
  const double count = static_cast<double>(draws), mean = sum / count;
  return {mean, std::sqrt((squares / count - mean * mean) / count)};
}

}  // namespace

TEST_CASE("the two-head models' gradient equals finite differences") {
  const Task tasks[] = {{1, 3, 0.3, {}}, {3, 5, 0.7, {}}, {3, 4, 0.5, random_mean(3, 1.2, Random(3))}};
  for (const Task& task : tasks) {
    const Moments moments(task);
    for (Model kind : models) {
      for (std::size_t a = 1; a <= task.dim; ++a) {
        CAPTURE(task.dim, a, kind == Model::mha);
        const TwoHeadModel model(moments, kind, a);
        std::vector<double> p = random_parameters(model, a), gradient(p.size());
        model(p, gradient);
        const View<double> x(p.data(), {p.size()}), g(gradient.data(), {p.size()});
        CHECK(test::gradient_error(x, g, [&] { return model.loss(p); }, 3e-4) < 1e-6);
      }
    }
  }
}

TEST_CASE("the exact loss is what linear attention over drawn sequences loses") {
  const Task tasks[] = {{2, 4, 0.5, {}}, {3, 6, 0.3, random_mean(3, 0.8, Random(9))}};
  for (const Task& task : tasks) {
    const Moments moments(task);
    for (Model kind : models) {
      const TwoHeadModel model(moments, kind, task.dim - 1);
      const std::vector<double> p = random_parameters(model, 17);
      const Estimate drawn = simulate(model.layer(p), kind, task, 10000);
      const double exact = model.loss(p) * moments.zero_loss() / static_cast<double>(task.dim);
      CAPTURE(task.dim, kind == Model::mha, drawn.value, drawn.error, exact);
      CHECK(std::abs(drawn.value - exact) < 4 * drawn.error);
      CHECK(drawn.error < 0.05 * exact);
    }
  }
}

TEST_CASE("larger A and B, smaller eps and the same read-out are the same model") {
  const Moments moments({3, 5, 0.4, {}});
  for (Model kind : models) {
    const TwoHeadModel model(moments, kind, 2);
    std::vector<double> p = random_parameters(model, 23);
    const double loss = model.loss(p);
    for (std::size_t i = 0; i < 1 + 9; ++i) p[i] *= 3;  // eps, A and B
    CHECK(model.loss(p) == Approx(loss).epsilon(1e-8));
  }
}

TEST_CASE("the proof's construction, A = [I 0], B = 0, reaches SkipV1's closed form for every a") {
  const Moments moments({3, 8, 0.5, {}});
  const double lambda = 1 / (8 + 3 + 1 + 0.25);
  for (std::size_t a = 1; a <= 3; ++a) {
    const TwoHeadModel model(moments, Model::skipv1, a);
    std::vector<double> p(model.parameters(), 0.);
    p[0] = 1;
    for (std::size_t i = 0; i < a; ++i)
      for (const std::size_t at : {1 + 3 * i, 10 + a * i, 10 + a * (3 + i)}) p[at + i] = 1;  // A, N^1, N^2
    CHECK(model.loss(p) * moments.zero_loss() / 3 == Approx(3 * 3.25 - 3 * static_cast<double>(a) * 8 * lambda));
    const TwoHeadLayer layer = model.layer(p);
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {  // head 1 takes away what head 2 has beside Y X^T
        CHECK(layer.w[0](i, j) == Approx(i == j ? -lambda / (j < a ? 2 : 1) : 0).margin(1e-7));
        CHECK(layer.w[1](i, j) == Approx(i == j ? lambda : 0).margin(1e-7));
      }
    }
  }
}

TEST_CASE("a two-head model refuses more rows than it has, and eps = 0 as a layer") {
  const Moments moments({2, 3, 0.1, {}});
  CHECK(test::message([&] { TwoHeadModel(moments, Model::mha, 3); }) == "two-head model: 3 rows of A are more than the width 2");
  const TwoHeadModel model(moments, Model::mha, 1);
  std::vector<double> p = random_parameters(model, 1);
  p[0] = 0;
  CHECK_THROWS_AS(model.layer(p), Error);
}
