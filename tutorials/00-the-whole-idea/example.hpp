// The example that tutorial 00 works by hand: two pairs and a query of two numbers each.
#pragma once

#include <array>
#include <cmath>
#include <vector>

namespace skipv1::whole_idea {

using Vector = std::array<double, 2>;

inline double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1]; }

/// Three tokens' vectors; each is its own query, key and value here.
inline constexpr std::array<Vector, 3> tokens{{{1, 0}, {0, 2}, {1, 1}}};

/// Attention of the last token: its scores, their softmax, and the mean of the values.
struct Attended {
  std::array<double, 3> score{}, share{};
  Vector out{};
};
inline Attended attend() {
  Attended a;
  double sum = 0;
  for (std::size_t s = 0; s < 3; ++s) {
    a.score[s] = dot(tokens[2], tokens[s]) / std::sqrt(2.0);
    sum += a.share[s] = std::exp(a.score[s]);
  }
  for (std::size_t s = 0; s < 3; ++s) {
    a.share[s] /= sum;
    for (std::size_t i = 0; i < 2; ++i) a.out[i] += a.share[s] * tokens[s][i];
  }
  return a;
}

/// Two pairs `y = W x` in context, and a query; `W` = [2 1; 1 3] is known to nobody.
inline constexpr std::array<Vector, 2> x{{{1, 0}, {0, 1}}}, y{{{2, 1}, {1, 3}}};
inline constexpr Vector query{1, 1};

/// The prediction `sum of y_i (x_i . query)` where of each x the first `a` numbers are seen, and of each y the first `b`.
inline Vector predict(std::size_t a, std::size_t b) {
  Vector out{};
  for (std::size_t i = 0; i < 2; ++i) {
    double fit = 0;
    for (std::size_t k = 0; k < a; ++k) fit += x[i][k] * query[k];
    for (std::size_t k = 0; k < b; ++k) out[k] += y[i][k] * fit;
  }
  return out;
}
/// Its squared error.
inline double error(const Vector& predicted) {
  const Vector truth = predict(2, 2);
  return (truth[0] - predicted[0]) * (truth[0] - predicted[0]) + (truth[1] - predicted[1]) * (truth[1] - predicted[1]);
}

}  // namespace skipv1::whole_idea
