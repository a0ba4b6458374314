#include "skipv1/programs/mesa/by_hand.hpp"

#include "skipv1/mesa/learner.hpp"
#include "skipv1/programs/mesa/experiment.hpp"

namespace skipv1::mesa {

extern template class Learner<float>;  // compiled in learn.cpp

namespace {

// A place's last coordinate says what it holds.
constexpr float mark_of_x = 1, mark_of_y = 0.35f;
// Limits: x small beside y, so that the values at places of x vanish; attention's output large beside the residual stream; scores
// far apart.
constexpr float small = 0.01f, large = 100, sharp = 3000;

// Both heads of layer 0 score the place `D` before by `mark mark' f(D)`, with `f(D) = sum_j a_j cos(w_j D) + b_j sin(w_j D)` and
// RoPE's frequencies `w_j = 10^(-j / 4)`; found by search over D = 0 … 24.
struct Pattern {
  float a[4], b[4];
};
// About 1 at D = 0 and 1, at most 0.55 elsewhere: x reads itself, y the x before it.
constexpr Pattern copying = {{0.6493f, 0.0721f, 0.1420f, 0.1866f}, {0.2512f, 0.1286f, 0.1508f, -0.1243f}};
// 1 at D = 0, at most 0.1 where D is odd, 0.45 where it is even: both read themselves.
constexpr Pattern keeping = {{0.4608f, 0.0564f, -0.2211f, 0.7188f}, {-0.5460f, -0.2416f, -0.4264f, -0.6917f}};

/// The factor of `sum over i of y_i (x_i . x) / (places seen)` with the least error over all places, and the gain of each of
/// the `d^2` elements of `Y X^T` with it: tutorial 04's step 1 with `lambda = factor / (2 i + 1)` after i pairs.
std::pair<double, double> best_factor(const Task& task) {
  double linear = 0, square = 0;
  const auto d = static_cast<double>(task.dim), pairs = static_cast<double>(task.context + 1), noise = task.noise * task.noise;
  for (double i = 0; i < pairs; ++i) {
    linear += i / (2 * i + 1);
    square += i * (i + d + 1 + noise) / ((2 * i + 1) * (2 * i + 1));
  }
  return {linear / square, linear * linear / square / pairs / (d * (d + noise))};
}

void set_weights(const Learner<float>& learner, std::size_t dim, std::size_t rows, float factor) {
  const Parameters<float>& p = learner.parameters();
  const std::size_t mark = learner.stack().config().width - 1, w = learner.stack().config().head_size;
  const View<float> in = learner.in(), out = learner.out();
  for (const View<float> x : {p.flat(), in, out}) zero(x);
  const auto matrix = [&](std::size_t layer, const char* name) {
    return p["model.layers." + std::to_string(layer) + ".self_attn." + name + "_proj.weight"];
  };
  in(mark, dim) = mark_of_x, in(mark, 2 * dim + 1) = mark_of_y;
  for (std::size_t i = 0; i < rows; ++i) in(i, i) = small, in(i, dim + 1 + i) = 1, out(i, i) = 1 / large;

  const View<float> query = matrix(0, "q"), key = matrix(0, "k"), value = matrix(0, "v"), output = matrix(0, "o");
  for (std::size_t h = 0; h < 2; ++h) {
    const Pattern& f = h == 0 ? copying : keeping;
    for (std::size_t j = 0; j < 4; ++j) {
      query(h * w + j, mark) = sharp * f.a[j], query(h * w + 4 + j, mark) = -sharp * f.b[j];
      key(h * w + j, mark) = 1;
    }
    // The copy comes, what was there goes: every place now holds an x.
    for (std::size_t i = 0; i <= mark; ++i) value(h * w + i, i) = 1, output(i, h * w + i) = h == 0 ? 1.f : -1.f;
  }
  // Keys and queries are x. Head 1 reads layer 0's values, y and small x; head 0's own take the latter away, from both places of
  // a pair.
  const View<float> query1 = matrix(1, "q"), key1 = matrix(1, "k"), value1 = matrix(1, "v"), output1 = matrix(1, "o");
  const float scale = factor / static_cast<float>(learner.stack().scale());
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t h = 0; h < 2; ++h) {
      query1(h * w + i, i) = scale / small, key1(h * w + i, i) = 1 / small;
      output1(i, h * w + i) = large;
    }
    value1(i, i) = -0.5f;
  }
}

}  // namespace

BuiltByHand build_by_hand(const Setting& s, std::size_t width) {
  require(s.head_size == 8 && s.rope_theta == 10 && s.task.context <= 12 && width >= 2 && width <= 8, "built by hand: heads of ",
          s.head_size, ", base ", s.rope_theta, ", ", s.task.context, " pairs, width ", width,
          ": must be 8, 10, at most 12 and 2 to 8");
  ToyModel m;
  m.attention = variant("skipv1"), m.width = width;
  Learner<float> learner(config_of(m, s), s.task.dim, s.recipe, s.first_seed);
  BuiltByHand built;
  built.rows = std::min(s.task.dim, width - 1);
  const auto [factor, gain] = best_factor(s.task);
  set_weights(learner, s.task.dim, built.rows, static_cast<float>(factor));
  built.expected = 1 - static_cast<double>(built.rows * built.rows) * gain;
  const Prompts<float> test = draw_prompts<float>(s.task, m.labels, s.test, Random(s.first_seed).split(3));
  built.pairs = errors_by_pairs(learner.predict(test), test.labels);
  return built;
}

}  // namespace skipv1::mesa
