// Prompts, the model that learns from them, and what is read out of it.
#include "skipv1/mesa/probes.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

StackConfig small(const char* variant, std::size_t width, std::size_t context) {
  StackConfig c{
      .width = width, .head_size = 4, .positions = 2 * context + 1, .softmax_layers = 1, .rotary_layers = 1, .norms = false};
  c.attention.variant = variant;
  return c;
}

/// The labels' map, in the labels' unit, by least squares over a prompt's pairs.
Tensor<double> fitted_map(const Prompts<double>& p, std::size_t b) {
  const std::size_t d = p.dim();
  const Tensor<double> s = zeros<double>({d, d}), c = zeros<double>({d, d});
  for (std::size_t i = 0; i < p.pairs(); ++i)
    for (std::size_t j = 0; j < d; ++j)
      for (std::size_t k = 0; k < d; ++k) {
        const double x = p.features(p.row_of_x(b, i), k);
        s(j, k) += p.features(p.row_of_x(b, i), j) * x;
        c(k, j) += x * p.labels(b, i, j);
      }
  return solve(s, c);
}

std::vector<double> losses(std::size_t steps, Labels labels, int with_threads) {
  const int before = threads();
  set_threads(with_threads);
  const Task task{2, 3, 0.1};
  Recipe recipe;
  recipe.steps = steps, recipe.batch = 16;
  Learner<float> learner(small("skipv1", 4, 3), 2, recipe, 1);
  std::vector<double> all;
  for (std::size_t i = 0; i < steps; ++i) all.push_back(learner.step(draw_prompts<float>(task, labels, 16, Random(5).split(i))));
  set_threads(before);
  return all;
}

}  // namespace

TEST_CASE("prompts hold x and y in turn, each in its own columns, and labels of variance one") {
  const Task task{3, 5, 0.2};
  const Prompts<double> p = draw_prompts<double>(task, Labels::context, 4000, Random(1));
  REQUIRE(p.features.shape() == Shape{4000 * 11, 8});
  REQUIRE(p.labels.shape() == Shape{4000, 6, 3});
  for (std::size_t i = 0; i < 6; ++i) {
    const std::size_t x = p.row_of_x(7, i);
    CHECK(p.features(x, 3u) == 1);
    for (std::size_t j = 4; j < 8; ++j) CHECK(p.features(x, j) == 0);
    if (i == 5) break;
    CHECK(p.row_of_y(7, i) == x + 1);
    for (std::size_t j = 0; j < 3; ++j) CHECK(p.features(x + 1, 4 + j) == p.labels(7u, i, j));
    for (std::size_t j = 0; j < 4; ++j) CHECK(p.features(x + 1, j) == 0);
    CHECK(p.features(x + 1, 7u) == 1);
  }
  double square = 0;
  for (std::size_t i = 0; i < p.labels.size(); ++i) square += p.labels.data()[i] * p.labels.data()[i];
  CHECK(square / static_cast<double>(p.labels.size()) == Approx(1).epsilon(0.03));
  const Prompts<double> fewer = draw_prompts<double>(task, Labels::context, 3, Random(1));
  CHECK(std::equal(fewer.labels.data(), fewer.labels.data() + fewer.labels.size(), p.labels.data()));
  Task with_mean = task;
  with_mean.mean = random_mean(3, 1, Random(1));
  CHECK_THROWS_WITH(draw_prompts<double>(with_mean, Labels::context, 1, Random(1)), Catch::Contains("mean W_0"));
}

TEST_CASE("labels come of a map of the prompt's own, of one for all prompts, or of one for each pair") {
  const Task task{2, 9, 0};
  const auto maps_differ = [&](Labels labels) {
    const Prompts<double> p = draw_prompts<double>(task, labels, 2, Random(3));
    return test::error<double>(fitted_map(p, 0), fitted_map(p, 1)) > 1e-9;
  };
  const auto misfit = [&](Labels labels) {
    const Prompts<double> p = draw_prompts<double>(task, labels, 1, Random(3));
    const Tensor<double> map = fitted_map(p, 0);
    double worst = 0;
    for (std::size_t i = 0; i < p.pairs(); ++i)
      for (std::size_t j = 0; j < 2; ++j) {
        const double* x = &p.features(p.row_of_x(0, i), 0u);
        worst = std::max(worst, std::abs(map(0, j) * x[0] + map(1, j) * x[1] - p.labels(0u, i, j)));
      }
    return worst;
  };
  CHECK(maps_differ(Labels::context));
  CHECK_FALSE(maps_differ(Labels::fixed));
  CHECK(misfit(Labels::context) < 1e-9);
  CHECK(misfit(Labels::fixed) < 1e-9);
  CHECK(misfit(Labels::fresh) > 0.1);
}

TEST_CASE("a learner learns a map that is always the same, down to the noise") {
  const std::vector<double> all = losses(300, Labels::fixed, 1);
  CHECK(all[0] > 0.5);
  CHECK(all.back() < 0.02);  // the noise is 0.01 / 2.01
}

TEST_CASE("learning is the same to the bit with any number of threads") {
  CHECK(losses(20, Labels::context, 1) == losses(20, Labels::context, 2));
}

TEST_CASE("predictions are the learner's outputs at the places of x") {
  Recipe recipe;
  Learner<float> learner(small("mha", 6, 3), 2, recipe, 2);
  const Prompts<float> p = draw_prompts<float>(Task{2, 3, 0.1}, Labels::context, 5, Random(1));
  const Tensor<float> y = learner.predict(p);
  REQUIRE(y.shape() == Shape{5, 4, 2});
  double loss = 0;
  for (std::size_t i = 0; i < y.size(); ++i) loss += std::pow(static_cast<double>(y.data()[i] - p.labels.data()[i]), 2);
  CHECK(learner.step(p) == Approx(loss / static_cast<double>(y.size())).epsilon(1e-6));
  CHECK(learner.predict(p).data()[0] != y.data()[0]);
  // Causal: a prompt's last pair does not change what was predicted before it.
  const Tensor<float> before = learner.predict(p);
  for (std::size_t j = 0; j < p.features.width(); ++j) p.features(p.row_of_y(0, 2), j) += 1;
  const Tensor<float> after = learner.predict(p);
  CHECK(std::equal(after.data(), after.data() + 6, before.data()));
  CHECK(after.data()[6] != before.data()[6]);
}

TEST_CASE("a read-out finds what a linear map can, and nothing in noise") {
  Random random(1);
  const std::size_t n = 400;
  const Tensor<double> x({n, 3}), y({n, 2}), z({n, 2}), twice({n, 6});  // twice: dependent features
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < 3; ++j) x(i, j) = random.normal();
    y(i, 0) = 2 * x(i, 0) - x(i, 2) + 5, y(i, 1) = x(i, 1);
    z(i, 0) = random.normal(), z(i, 1) = x(i, 1);
  }
  CHECK(read_out(x, y) == Approx(1).epsilon(1e-9));
  CHECK(read_out(x, z) == Approx(0.5).margin(0.06));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < 6; ++j) twice(i, j) = x(i, j % 3);
  CHECK(read_out(twice, y) == Approx(1).epsilon(1e-6));
  const View<double> few = x.slice(0, 6);
  CHECK_THROWS_WITH(read_out(few, few), Catch::Contains("6 rows of 3 features"));
}

TEST_CASE("similarities are mean cosines over pairs of heads and of places") {
  std::vector<float> rows = {1, 0, /**/ 1, 1, /**/ 0, 2, /**/ 0, -3};
  const double slanted = std::sqrt(0.5);
  CHECK(head_similarity(View<const float>(rows.data(), {2, 2, 2})) == Approx((slanted - 1) / 2));
  CHECK(token_similarity(View<const float>(rows.data(), {4, 2}), 2) == Approx((slanted - 1) / 2));
  CHECK(token_similarity(View<const float>(rows.data(), {4, 2}), 4) == Approx((slanted + 0 + 0 + slanted - slanted - 1) / 6));
}

TEST_CASE("SkipV1's second layer sees raw labels, MHA's what the first has made of them") {
  Recipe recipe;
  recipe.gain = 2;
  const Prompts<float> p = draw_prompts<float>(Task{4, 3, 0.1}, Labels::context, 400, Random(1));
  const auto seen = [&](const char* variant) {
    Learner<float> learner(small(variant, 4, 3), 4, recipe, 1);
    learner.predict(p, Keep::for_backward);
    return probe(learner, p);
  };
  const Probes mha = seen("mha"), skip = seen("skipv1"), mixed = seen("resformer");
  CHECK(mha.y[0] == Approx(1).epsilon(1e-4));
  CHECK(mha.y[1] < 0.99);
  CHECK(skip.y[1] == Approx(1).epsilon(1e-4));
  CHECK(mixed.y[1] == Approx(1).epsilon(1e-4));
  CHECK(mha.label.size() == 3);
  CHECK(mha.label[0] > 0.9);  // x alone does not tell
}
