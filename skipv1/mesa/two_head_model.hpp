// The two models of Theorem 2 and their expected loss, exact and with its gradient.
#pragma once

#include <array>
#include <vector>

#include "skipv1/core/linear_algebra.hpp"
#include "skipv1/core/blas.hpp"
#include "skipv1/mesa/moments.hpp"

namespace skipv1::mesa {

enum class Model { mha, skipv1 };

/// The paper's matrices of one model: `z_i = [A x_i ; B y_i]`, `y_hat = sum_h W^h G^h M^h x_{n+1}`, sums over the context in
/// `G^h`.
struct TwoHeadLayer {
  Tensor<double> a, b;                 ///< (a, d), (d - a, d)
  std::array<Tensor<double>, 2> w, m;  ///< (d, d) each
};

/// Linear attention over copied pairs (Assumption 1): `y_hat = sum over heads h = 1, 2 of W^h G^h M^h x_{n+1}`, `M^h = N^h A`
/// of rank at most a. With `z_i = [A x_i ; B y_i]`, `A (a, d)`, `B (d - a, d)`, and up to the units of `Moments`, the
/// statistics are
///
///     MHA     G^1 = G^2 = eps^2 X X^T + Z Z^T
///     SkipV1  G^1 = eps^2 X X^T + Z Z^T,  G^2 = eps X X^T + Y Z^T
///
/// The paper's models are `eps = 1`; `(A, B, eps)` means the same as `(A / eps, B / eps, 1)`, with W^h rescaled. So `eps` adds
/// nothing but the limit of large A and B, `eps = 0`, which belongs to the models' closure and where MHA's best loss lies.
///
/// The loss `E||y_{n+1} - y_hat||^2 = d s^2 + E||W - sum_h W^h G^h M^h||_F^2` needs second moments of the statistics only. For
/// given A, B, N^h and eps it is a linear least-squares problem in `[W^1 W^2]`, which is solved; what is left is a function of
/// the other parameters ("variable projection", Golub and Pereyra 1973).
class TwoHeadModel {
 public:
  /// `moments` must outlive the model. Throws if `a > d`.
  TwoHeadModel(const Moments& moments, Model model, std::size_t a) : moments_(moments), model_(model), d_(moments.dim()), a_(a) {
    require(a <= d_, "two-head model: ", a, " rows of A are more than the width ", d_);
  }

  /// How many parameters there are: eps, A (a, d), B (d - a, d), N^1 and N^2 (d, a), in this order.
  std::size_t parameters() const { return 1 + d_ * d_ + 2 * d_ * a_; }

  /// The loss, in units of `Moments`, at the best W^h; writes its gradient.
  double operator()(const std::vector<double>& parameters, std::vector<double>& gradient) const {
    State state = forward(parameters);
    solve(state);
    backward(parameters, state, gradient);
    return state.loss;
  }
  double loss(const std::vector<double>& parameters) const {
    State state = forward(parameters);
    solve(state);
    return state.loss;
  }
  /// The paper's matrices; throws where `eps` is 0, at which there are none.
  TwoHeadLayer layer(const std::vector<double>& parameters) const;

 private:
  using Matrix = Tensor<double>;
  using ConstMatrix = View<const double>;

  struct State {
    std::array<Matrix, 2> left, right;                ///< (d, 2d): a statistic is its share of `X X^T`, and `left T right^T`
    std::array<Matrix, 2> map;                        ///< (d d, m): its entries as linear functions of T's
    std::array<Matrix, 2> map_moments;                ///< (d d, m): map E[T T]
    std::array<Matrix, 2> with_target;                ///< (d d, d d): E[G^h W]
    std::array<std::array<Matrix, 2>, 2> covariance;  ///< (d d, d d): E[G^h G^g]
    std::array<Matrix, 2> m;                          ///< M^h (d, d)
    Matrix gram;                                      ///< (2d, 2d): E[R R^T], R = [G^1 M^1 ; G^2 M^2]
    Matrix answer;                                    ///< (d, 2d): E[W R^T]
    Matrix readout;                                   ///< (d, 2d): [W^1 W^2]
    double loss = 0;
  };

  /// Heads that are copies of each other make the read-out's system singular. So each row of `G^h M^h` gets an independent error
  /// of this share of its greatest possible square, which is more than rounding makes, and can only raise the loss.
  static constexpr double ridge = 1e-10;

  /// MHA's heads share their statistic.
  std::size_t statistic(std::size_t head) const { return model_ == Model::mha ? 0 : head; }
  std::size_t statistics() const { return model_ == Model::mha ? 1 : 2; }
  ConstMatrix a_of(const std::vector<double>& p) const { return {p.data() + 1, {a_, d_}}; }
  ConstMatrix n_of(const std::vector<double>& p, std::size_t head) const {
    return {p.data() + 1 + d_ * d_ + head * d_ * a_, {d_, a_}};
  }
  /// The factor of `X X^T` in statistic g. `Y Z^T` in the second one has a label as it is, which `Moments` divides by sigma.
  double own_share(double eps, std::size_t g) const { return g == 0 ? eps * eps : eps / moments_.sigma(); }

  /// `c += factor op(A) op(B)`
  static void add_product(View<double> c, double factor, Transpose a_t, ConstMatrix a, Transpose b_t, ConstMatrix b) {
    const auto stride = [](const auto& x) { return std::max<std::size_t>(x.extent(1), 1); };
    gemm(a_t, b_t, c.extent(0), c.extent(1), a.extent(a_t == Transpose::yes ? 0 : 1), factor, a.data(), stride(a), b.data(),
         stride(b), 1., c.data(), stride(c));
  }
  static Matrix product(Transpose a_t, ConstMatrix a, Transpose b_t, ConstMatrix b) {
    Matrix c = zeros<double>({a.extent(a_t == Transpose::yes ? 1 : 0), b.extent(b_t == Transpose::yes ? 0 : 1)});
    add_product(c, 1, a_t, a, b_t, b);
    return c;
  }

  static double trace(const Matrix& x) {
    double sum = 0;
    for (std::size_t i = 0; i < x.extent(0); ++i) sum += x(i, i);
    return sum;
  }

  State forward(const std::vector<double>& p) const;
  void build_map(State& s, double eps, std::size_t g) const;
  void solve(State& s) const;
  void fill_normal_equations(State& s) const;
  void backward(const std::vector<double>& p, const State& s, std::vector<double>& gradient) const;
  void pair_gradient(const State& s, const Matrix& v, std::size_t h, std::size_t k, Matrix& weight, Matrix& dm) const;
  void target_gradient(const State& s, std::size_t h, Matrix& weight, Matrix& dm) const;
  void map_gradient(const std::vector<double>& p, const State& s, std::size_t g, const Matrix& dmap,
                    std::vector<double>& gradient) const;

  const Moments& moments_;
  Model model_;
  std::size_t d_, a_;
};

inline void TwoHeadModel::build_map(State& s, double eps, std::size_t g) const {
  Matrix& map = s.map[g];
  map = zeros<double>({d_ * d_, moments_.size()});
  for (std::size_t p = 0; p < d_; ++p) {
    for (std::size_t q = 0; q < d_; ++q) {
      double* row = map.data() + (p * d_ + q) * moments_.size();
      for (std::size_t a = 0; a < 2 * d_; ++a)
        for (std::size_t b = 0; b < 2 * d_; ++b) row[moments_.index(a, b)] += s.left[g](p, a) * s.right[g](q, b);
      row[moments_.index(p, q)] += own_share(eps, g);
    }
  }
}

inline TwoHeadModel::State TwoHeadModel::forward(const std::vector<double>& p) const {
  constexpr Transpose no = Transpose::no, yes = Transpose::yes;
  State s;
  for (std::size_t g = 0; g < statistics(); ++g) {
    s.left[g] = zeros<double>({d_, 2 * d_});
    s.right[g] = zeros<double>({d_, 2 * d_});
    for (std::size_t r = 0; r < d_; ++r) {
      const std::size_t side = r < a_ ? 0 : d_;  // A acts on x, B on y
      for (std::size_t c = 0; c < d_; ++c) s.right[g](r, side + c) = p[1 + r * d_ + c];
      if (g == 1) s.left[1](r, d_ + r) = 1;  // the raw label
    }
    if (g == 0) s.left[0] = s.right[0];
    build_map(s, p[0], g);
    s.map_moments[g] = product(no, s.map[g], no, moments_.second());
    s.with_target[g] = product(no, s.map[g], no, moments_.target());
  }
  for (std::size_t g = 0; g < statistics(); ++g)
    for (std::size_t f = g; f < statistics(); ++f) s.covariance[g][f] = product(no, s.map_moments[g], yes, s.map[f]);
  for (std::size_t h = 0; h < 2; ++h) s.m[h] = product(no, n_of(p, h), no, a_of(p));
  return s;
}

inline void TwoHeadModel::fill_normal_equations(State& s) const {
  const std::size_t d = d_, d2 = d * d;
  s.gram = zeros<double>({2 * d, 2 * d});
  s.answer = zeros<double>({d, 2 * d});
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t k = h; k < 2; ++k) {
      const double* covariance = s.covariance[statistic(h)][statistic(k)].data();
      const Matrix outer = product(Transpose::no, s.m[h], Transpose::yes, s.m[k]);
      for (std::size_t p = 0; p < d; ++p) {
        for (std::size_t r = 0; r < d; ++r) {
          double sum = 0;
          for (std::size_t q = 0; q < d; ++q) {
            const double* row = covariance + (p * d + q) * d2 + r * d;
            for (std::size_t t = 0; t < d; ++t) sum += row[t] * outer.data()[q * d + t];
            if (h == k && p == r) sum += ridge * row[q] * trace(outer);
          }
          s.gram(h * d + p, k * d + r) = s.gram(k * d + r, h * d + p) = sum;
        }
      }
    }
    const double* with_target = s.with_target[statistic(h)].data();
    for (std::size_t p = 0; p < d; ++p)
      for (std::size_t q = 0; q < d; ++q)
        for (std::size_t i = 0; i < d; ++i)
          for (std::size_t j = 0; j < d; ++j)
            s.answer(i, h * d + p) += with_target[(p * d + q) * d2 + i * d + j] * s.m[h].data()[q * d + j];
  }
}

/// Finds the read-out: `[W^1 W^2] E[R R^T] = E[W R^T]`.
inline void TwoHeadModel::solve(State& s) const {
  fill_normal_equations(s);
  Tensor<double> answer({2 * d_, d_});
  for (std::size_t i = 0; i < d_; ++i)
    for (std::size_t p = 0; p < 2 * d_; ++p) answer(p, i) = s.answer(i, p);
  const Tensor<double> solution = skipv1::solve(s.gram, answer);
  s.readout = Matrix({d_, 2 * d_});
  s.loss = static_cast<double>(d_);
  for (std::size_t i = 0; i < d_; ++i) {
    for (std::size_t p = 0; p < 2 * d_; ++p) {
      s.readout(i, p) = solution(p, i);
      s.loss -= s.readout(i, p) * s.answer(i, p);
    }
  }
}

inline TwoHeadLayer TwoHeadModel::layer(const std::vector<double>& parameters) const {
  const double eps = parameters[0], sigma = moments_.sigma(), n = moments_.context();
  require(eps != 0, "two-head model: eps = 0 is the limit of ever larger A and B, not a layer");
  State s = forward(parameters);
  solve(s);
  TwoHeadLayer layer{Matrix({a_, d_}), Matrix({d_ - a_, d_}), {}, {}};
  for (std::size_t i = 0; i < d_ * d_; ++i) {
    if (i < a_ * d_) layer.a.data()[i] = parameters[1 + i] / eps;
    if (i >= a_ * d_) layer.b.data()[i - a_ * d_] = parameters[1 + i] / (eps * sigma);
  }
  for (std::size_t h = 0; h < 2; ++h) {
    layer.m[h] = s.m[h];
    layer.w[h] = Matrix({d_, d_});
    for (std::size_t i = 0; i < d_; ++i)
      for (std::size_t p = 0; p < d_; ++p) layer.w[h](i, p) = sigma * own_share(eps, statistic(h)) / n * s.readout(i, h * d_ + p);
  }
  return layer;
}

/// The envelope theorem: at the best read-out the gradient is the partial one.
inline void TwoHeadModel::backward(const std::vector<double>& p, const State& s, std::vector<double>& gradient) const {
  constexpr Transpose no = Transpose::no, yes = Transpose::yes;
  const std::size_t d = d_, d2 = d * d;
  std::fill(gradient.begin(), gradient.end(), 0.);
  const Matrix v = product(yes, s.readout, no, s.readout);  // the loss is linear in E[R R^T], with these coefficients
  std::array<Matrix, 2> dm{zeros<double>({d, d}), zeros<double>({d, d})};
  for (std::size_t g = 0; g < statistics(); ++g) {
    Matrix dmap = zeros<double>({d2, moments_.size()});
    for (std::size_t f = 0; f < statistics(); ++f) {
      Matrix weight = zeros<double>({d2, d2});
      for (std::size_t h = 0; h < 2; ++h)
        for (std::size_t k = 0; k < 2; ++k)
          if (statistic(h) == g && statistic(k) == f) pair_gradient(s, v, h, k, weight, dm[h]);
      add_product(dmap, 2, no, weight, no, s.map_moments[f]);
    }
    Matrix weight = zeros<double>({d2, d2});
    for (std::size_t h = 0; h < 2; ++h)
      if (statistic(h) == g) target_gradient(s, h, weight, dm[h]);
    add_product(dmap, -2, no, weight, yes, moments_.target());
    map_gradient(p, s, g, dmap, gradient);
  }
  for (std::size_t h = 0; h < 2; ++h) {  // M^h = N^h A
    add_product({gradient.data() + 1, {a_, d}}, 1, yes, n_of(p, h), no, dm[h]);
    add_product({gradient.data() + 1 + d2 + h * d * a_, {d, a_}}, 1, no, dm[h], yes, a_of(p));
  }
}

/// The part of `E||y_hat||^2` in which heads h and k meet: adds `V_hk x (M^h M^k^T)` to `weight`, and its gradient to `dm`,
/// M^h's.
inline void TwoHeadModel::pair_gradient(const State& s, const Matrix& v, std::size_t h, std::size_t k, Matrix& weight,
                                        Matrix& dm) const {
  const std::size_t d = d_, d2 = d * d;
  const bool swapped = statistic(h) > statistic(k);
  const double* covariance = s.covariance[statistic(swapped ? k : h)][statistic(swapped ? h : k)].data();
  const std::size_t row = swapped ? 1 : d2, column = swapped ? d2 : 1;
  const Matrix outer = product(Transpose::no, s.m[h], Transpose::yes, s.m[k]);
  Matrix douter = zeros<double>({d, d});
  double dtrace = 0;
  for (std::size_t p = 0; p < d; ++p) {
    for (std::size_t q = 0; q < d; ++q) {
      for (std::size_t r = 0; r < d; ++r) {
        const double vpr = v(h * d + p, k * d + r);
        const double* c = covariance + (p * d + q) * row + r * d * column;
        double* w = weight.data() + (p * d + q) * d2 + r * d;
        for (std::size_t t = 0; t < d; ++t) {
          w[t] += vpr * outer.data()[q * d + t];
          douter.data()[q * d + t] += vpr * c[t * column];
        }
        if (h != k || p != r) continue;
        w[q] += ridge * vpr * trace(outer);
        dtrace += ridge * vpr * c[q];
      }
    }
  }
  for (std::size_t q = 0; q < d; ++q) douter(q, q) += dtrace;
  add_product(dm, 2, Transpose::no, douter, Transpose::no, s.m[k]);
}

/// The part of `E tr(W^T y_hat)` of head h: adds `W^h x M^h` to `weight`, and -2 times its gradient to `dm`, M^h's.
inline void TwoHeadModel::target_gradient(const State& s, std::size_t h, Matrix& weight, Matrix& dm) const {
  const std::size_t d = d_, d2 = d * d;
  for (std::size_t p = 0; p < d; ++p) {
    for (std::size_t q = 0; q < d; ++q) {
      for (std::size_t i = 0; i < d; ++i) {
        const double wip = s.readout(i, h * d + p);
        const std::size_t at = (p * d + q) * d2 + i * d;
        for (std::size_t j = 0; j < d; ++j) {
          weight.data()[at + j] += wip * s.m[h].data()[q * d + j];
          dm.data()[q * d + j] -= 2 * wip * s.with_target[statistic(h)].data()[at + j];
        }
      }
    }
  }
}

/// From a statistic's map to eps, A and B.
inline void TwoHeadModel::map_gradient(const std::vector<double>& p, const State& s, std::size_t g, const Matrix& dmap,
                                       std::vector<double>& gradient) const {
  const std::size_t d = d_;
  Matrix dz = zeros<double>({d, 2 * d});
  double dshare = 0;
  for (std::size_t i = 0; i < d; ++i) {
    for (std::size_t q = 0; q < d; ++q) {
      const double* row = dmap.data() + (i * d + q) * moments_.size();
      dshare += row[moments_.index(i, q)];
      for (std::size_t a = 0; a < 2 * d; ++a) {
        for (std::size_t b = 0; b < 2 * d; ++b) {
          const double dab = row[moments_.index(a, b)];
          dz(q, b) += dab * s.left[g](i, a);
          if (g == 0) dz(i, a) += dab * s.right[g](q, b);
        }
      }
    }
  }
  gradient[0] += dshare * (g == 0 ? 2 * p[0] : 1 / moments_.sigma());
  for (std::size_t r = 0; r < d; ++r)
    for (std::size_t c = 0; c < d; ++c) gradient[1 + r * d + c] += dz(r, (r < a_ ? 0 : d) + c);
}

}  // namespace skipv1::mesa
