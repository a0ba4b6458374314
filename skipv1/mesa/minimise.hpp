// L-BFGS: minimises a smooth function of a few hundred parameters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <vector>

#include "skipv1/core/check.hpp"

namespace skipv1::mesa {

/// Where a minimisation ended.
struct Minimum {
  std::vector<double> at;
  double value = 0;
  double gradient = 0;  ///< the gradient's norm
  std::size_t evaluations = 0;
};

namespace detail {

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// A step `s` and the change `y` of the gradient along it.
struct Secant {
  std::vector<double> s, y;
  double curvature;  ///< s . y > 0
};

/// `-H g`, H the inverse Hessian that `secants` tell of, oldest first (Nocedal and Wright 2006, algorithm 7.4).
inline std::vector<double> quasi_newton_direction(const std::vector<double>& gradient, const std::deque<Secant>& secants) {
  std::vector<double> r(gradient.size()), alpha(secants.size());
  for (std::size_t i = 0; i < r.size(); ++i) r[i] = -gradient[i];
  for (std::size_t k = secants.size(); k-- > 0;) {
    alpha[k] = dot(secants[k].s, r) / secants[k].curvature;
    for (std::size_t i = 0; i < r.size(); ++i) r[i] -= alpha[k] * secants[k].y[i];
  }
  if (!secants.empty()) {
    const double scale = secants.back().curvature / dot(secants.back().y, secants.back().y);
    for (double& x : r) x *= scale;
  }
  for (std::size_t k = 0; k < secants.size(); ++k) {
    const double beta = alpha[k] - dot(secants[k].y, r) / secants[k].curvature;
    for (std::size_t i = 0; i < r.size(); ++i) r[i] += beta * secants[k].s[i];
  }
  return r;
}

}  // namespace detail

/// Minimises `f` from `start`; `f(x, g)` returns the value at `x` and writes the gradient to `g`. Ends when the gradient's norm
/// is at most `tolerance`, when no step lowers the value any more, or after `limit` evaluations. Step lengths meet the weak
/// Wolfe conditions, found by bisection (Lewis and Overton 2013).
template <class Function>
Minimum minimise(const Function& f, std::vector<double> start, double tolerance, std::size_t limit) {
  constexpr std::size_t memory = 20, halvings = 40;
  std::vector<double> x = std::move(start), g(x.size()), trial(x.size()), trial_g(x.size());
  double value = f(x, g);
  std::size_t evaluations = 1;
  std::deque<detail::Secant> secants;
  while (detail::dot(g, g) > tolerance * tolerance && evaluations < limit) {
    std::vector<double> p = detail::quasi_newton_direction(g, secants);
    const double slope = detail::dot(g, p);
    double low = 0, high = INFINITY, trial_value = value;
    double step = secants.empty() ? std::min(1.0, 0.1 / std::sqrt(detail::dot(g, g))) : 1;
    bool found = false;
    for (std::size_t i = 0; i < halvings && !found && slope < 0; ++i) {
      for (std::size_t j = 0; j < x.size(); ++j) trial[j] = x[j] + step * p[j];
      trial_value = f(trial, trial_g);
      ++evaluations;
      if (!(trial_value <= value + 1e-4 * step * slope)) {
        high = step;
      } else if (detail::dot(trial_g, p) < 0.9 * slope) {
        low = step;
      } else {
        found = true;
      }
      if (!found) step = std::isinf(high) ? 2 * low : (low + high) / 2;
    }
    if (!found) {
      if (secants.empty()) break;
      secants.clear();  // once more along the gradient itself
      continue;
    }
    detail::Secant secant{x, g, 0};
    for (std::size_t j = 0; j < x.size(); ++j) {
      secant.s[j] = trial[j] - x[j];
      secant.y[j] = trial_g[j] - g[j];
    }
    secant.curvature = detail::dot(secant.s, secant.y);
    if (secant.curvature > 0) secants.push_back(std::move(secant));
    if (secants.size() > memory) secants.pop_front();
    x.swap(trial);
    g.swap(trial_g);
    value = trial_value;
  }
  return {std::move(x), value, std::sqrt(detail::dot(g, g)), evaluations};
}

}  // namespace skipv1::mesa
