// One gradient step in numbers: from W = 0 on pairs (x_i, y_i) of width 2, its prediction as linear attention, and what is left
// of it when a token must hold both halves. README.md.
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "skipv1/io/cli.hpp"
#include "skipv1/ops/linear_attention.hpp"

using namespace skipv1;

namespace {

using Two = std::array<double, 2>;
using Square = std::array<Two, 2>;

const std::vector<Two> xs{{1, 0}, {0, 1}, {1, 1}}, ys{{1, -1}, {2, 1}, {3, 0}};
constexpr Square true_W{{{1, 2}, {-1, 1}}};
constexpr Two query{1, -1};
constexpr double eta = 0.25;

Two times(const Square& W, const Two& x) { return {W[0][0] * x[0] + W[0][1] * x[1], W[1][0] * x[0] + W[1][1] * x[1]}; }
/// `L(W) = 1/2 sum over i of |W x_i - y_i|^2`.
double loss(const Square& W) {
  double sum = 0;
  for (std::size_t i = 0; i < xs.size(); ++i)
    for (std::size_t r = 0; r < 2; ++r) sum += std::pow(times(W, xs[i])[r] - ys[i][r], 2) / 2;
  return sum;
}
/// `dL/dW = sum over i of (W x_i - y_i) x_i^T`.
Square gradient(const Square& W) {
  Square g{};
  for (std::size_t i = 0; i < xs.size(); ++i)
    for (std::size_t r = 0; r < 2; ++r)
      for (std::size_t c = 0; c < 2; ++c) g[r][c] += (times(W, xs[i])[r] - ys[i][r]) * xs[i][c];
  return g;
}
Square step(const Square& W) {
  Square next = W;
  const Square g = gradient(W);
  for (std::size_t r = 0; r < 2; ++r)
    for (std::size_t c = 0; c < 2; ++c) next[r][c] -= eta * g[r][c];
  return next;
}
/// The largest difference between `gradient` and central differences of the loss.
double difference(const Square& W) {
  double largest = 0;
  for (std::size_t r = 0; r < 2; ++r) {
    for (std::size_t c = 0; c < 2; ++c) {
      Square above = W, below = W;
      above[r][c] += 1e-5, below[r][c] -= 1e-5;
      largest = std::max(largest, std::abs((loss(above) - loss(below)) / 2e-5 - gradient(W)[r][c]));
    }
  }
  return largest;
}
void print(const char* name, const Square& W) {
  std::printf("%s = [%5.2f %5.2f ; %5.2f %5.2f]", name, W[0][0], W[0][1], W[1][0], W[1][1]);
}

/// The library's linear attention on tokens (x_i | y_i) and a query token (q | 0), whose keys are the first halves and whose
/// values are the second.
Two by_linear_attention() {
  Tensor<double> tokens({xs.size() + 1, 4}), q({1, 1, 2}), out({1, 1, 2});
  for (std::size_t i = 0; i <= xs.size(); ++i) {
    for (std::size_t c = 0; c < 2; ++c) {
      tokens(i, c) = i < xs.size() ? xs[i][c] : query[c];
      tokens(i, 2 + c) = i < xs.size() ? ys[i][c] : 0;
    }
  }
  q(0, 0, 0) = query[0], q(0, 0, 1) = query[1];
  const HeadPair<const double> pair{{tokens.data(), 0, 4}, {tokens.data() + 2, 0, 4}};
  const std::int32_t begin[] = {0, 1}, past[] = {static_cast<std::int32_t>(xs.size())};
  reference::linear_attention_forward<double>(
      View<double>(out), View<double>(q), View<const HeadPair<const double>>(&pair, {1}),
      Sequences<Cpu>{View<const std::int32_t>(begin, {2}), View<const std::int32_t>(past, {1}), 1, xs.size() + 1}, eta,
      LinearNorm::none);
  return {out(0, 0, 0), out(0, 0, 1)};
}

/// `eta (rows of C) (columns of C) q`: what a predictor gives that sees only the entries of `C = sum of y x^T` in the first
/// `rows` rows and the first `columns` columns.
void show_seen(const char* who, std::size_t rows, std::size_t columns) {
  Two own{};
  for (std::size_t i = 0; i < xs.size(); ++i)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) own[r] += eta * ys[i][r] * xs[i][c] * query[c];
  std::printf("%-44s %zu of 4   (%5.2f, %5.2f)\n", who, rows * columns, own[0], own[1]);
}

void run() {
  const Two truth = times(true_W, query);
  print("W  ", true_W);
  std::printf("  loss %.4f,  W q = (%5.2f, %5.2f)\n", loss(true_W), truth[0], truth[1]);
  Square W{};
  for (int steps = 0; steps <= 4; ++steps, W = step(W)) {
    const Two own = times(W, query);
    print(("W_" + std::to_string(steps)).c_str(), W);
    std::printf("  loss %.4f, W_%d q = (%5.2f, %5.2f)\n", loss(W), steps, own[0], own[1]);
  }
  std::printf("the gradients at W_0 and W_1 within 1e-8 of finite differences: %s\n\n",
              difference({}) < 1e-8 && difference(step({})) < 1e-8 ? "yes" : "NO");

  std::printf("W_1 q as a sum over the pairs, q = (%.0f, %.0f):\n", query[0], query[1]);
  Two sum{};
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const double weight = eta * (xs[i][0] * query[0] + xs[i][1] * query[1]);
    for (std::size_t r = 0; r < 2; ++r) sum[r] += weight * ys[i][r];
    std::printf("  eta x_%zu . q = %5.2f   times y_%zu = (%2.0f, %2.0f)\n", i + 1, weight, i + 1, ys[i][0], ys[i][1]);
  }
  const Two attended = by_linear_attention();
  std::printf("  together (%5.2f, %5.2f); linear attention over the tokens: (%5.2f, %5.2f)\n\n", sum[0], sum[1], attended[0],
              attended[1]);

  std::printf("%-44s numbers    prediction\n", "");
  show_seen("one step", 2, 2);
  show_seen("MHA, the copy keeps one of x and one of y", 1, 1);
  show_seen("MHA, it keeps all of x", 0, 2);
  show_seen("SkipV1, one of x; y from the first layer", 2, 1);
  show_seen("SkipV1, all of x; y from the first layer", 2, 2);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "One gradient step in numbers, and its prediction as linear attention.\n"
      "Example: 03a-one-gradient-step > output.txt"};
  return run_program(app, argc, argv, run);
}
