// The backward pass in numbers: attention's, step by step, against finite differences; then a stack of layers by a routing table,
// in which the gradient of a value head is the sum of what each layer that reads it sends back. README.md.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "backward.hpp"
#include "gathering.hpp"
#include "skipv1/core/random.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/ops/attention/reference.hpp"
#include "skipv1/routing/variants.hpp"

using namespace skipv1;

namespace {

/// A matrix, row by row.
struct Matrix {
  std::size_t rows = 0, columns = 0;
  std::vector<double> at = std::vector<double>(rows * columns);

  double& operator()(std::size_t r, std::size_t c) { return at[r * columns + c]; }
  double operator()(std::size_t r, std::size_t c) const { return at[r * columns + c]; }
};
Matrix transposed(const Matrix& a) {
  Matrix b{a.columns, a.rows};
  for (std::size_t r = 0; r < a.rows; ++r)
    for (std::size_t c = 0; c < a.columns; ++c) b(c, r) = a(r, c);
  return b;
}
Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix c{a.rows, b.columns};
  for (std::size_t i = 0; i < a.rows; ++i)
    for (std::size_t j = 0; j < b.columns; ++j)
      for (std::size_t k = 0; k < a.columns; ++k) c(i, j) += a(i, k) * b(k, j);
  return c;
}
Matrix& operator+=(Matrix& a, const Matrix& b) {
  for (std::size_t i = 0; i < a.at.size(); ++i) a.at[i] += b.at[i];
  return a;
}
double dot(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.at.size(); ++i) sum += a.at[i] * b.at[i];
  return sum;
}
Matrix drawn(std::size_t rows, std::size_t columns, double deviation, Random& random) {
  Matrix a{rows, columns};
  for (double& x : a.at) x = deviation * random.normal();
  return a;
}
void print(const char* name, const Matrix& a) {
  for (std::size_t r = 0; r < a.rows; ++r) {
    std::printf("%-6s", r == 0 ? name : "");
    for (std::size_t c = 0; c < a.columns; ++c) std::printf("%9.4f", a(r, c) == 0 ? 0 : a(r, c));  // no -0
    std::printf("\n");
  }
}
/// The largest difference between `gradient` and central differences of `loss` by the numbers of `x`.
template <class Loss>
double difference(Matrix& x, const Matrix& gradient, const Loss& loss) {
  double largest = 0;
  for (std::size_t i = 0; i < x.at.size(); ++i) {
    const double before = x.at[i], step = 1e-5;
    x.at[i] = before + step;
    const double above = loss();
    x.at[i] = before - step;
    largest = std::max(largest, std::abs((above - loss()) / (2 * step) - gradient.at[i]));
    x.at[i] = before;
  }
  return largest;
}
const char* within(double error, double bound) { return error < bound ? "yes" : "NO"; }

/// Attention of one causal head, forwards.
Matrix probabilities(const Matrix& q, const Matrix& k) {
  Matrix p{q.rows, k.rows};
  for (std::size_t t = 0; t < p.rows; ++t) {
    double sum = 0;
    for (std::size_t s = 0; s <= t; ++s) {
      double score = 0;
      for (std::size_t d = 0; d < q.columns; ++d) score += q(t, d) * k(s, d);
      sum += p(t, s) = std::exp(score / std::sqrt(static_cast<double>(q.columns)));
    }
    for (std::size_t s = 0; s <= t; ++s) p(t, s) /= sum;
  }
  return p;
}

/// Three positions of width 2; the loss is the sum of dO times O, whose gradient by O is dO.
void show_attention() {
  Matrix q{3, 2, {1, 0, 0, 1, 1, 1}}, k{3, 2, {1, 0, 0, 1, 1, -1}}, v{3, 2, {1, 0, 0, 2, -1, 1}};
  const Matrix dout{3, 2, {1, 1, 1, -1, 2, 0}};
  const double scale = 1 / std::sqrt(2.0);
  const auto loss = [&] { return dot(dout, probabilities(q, k) * v); };
  const Matrix p = probabilities(q, k), out = p * v, dv = transposed(p) * dout, dp = dout * transposed(v);
  Matrix delta{3, 1}, ds{3, 3};
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t d = 0; d < 2; ++d) delta(t, 0) += dout(t, d) * out(t, d);
    for (std::size_t s = 0; s < 3; ++s) ds(t, s) = p(t, s) * (dp(t, s) - delta(t, 0));
  }
  Matrix dq = ds * k, dk = transposed(ds) * q;
  for (double& x : dq.at) x *= scale;
  for (double& x : dk.at) x *= scale;
  print("P", p), print("O", out), print("dV", dv), print("dP", dp), print("delta", delta), print("dS", ds), print("dQ", dq),
      print("dK", dk);
  std::printf("within 1e-8 of finite differences: dQ %s, dK %s, dV %s\n", within(difference(q, dq, loss), 1e-8),
              within(difference(k, dk, loss), 1e-8), within(difference(v, dv, loss), 1e-8));
}

/// Layers of attention alone: `x' = x + W_O (O_0 | O_1 | …)`, T positions, H heads of width w.
class Stack {
 public:
  static constexpr std::size_t L = 4, H = 4, w = 2, d = H * w, T = 6;

  explicit Stack(Routing table) : table_(std::move(table)), offset({T, d}) {
    Random random(3);
    x_ = drawn(T, d, 1, random), dout_ = drawn(T, d, 1, random);
    for (std::size_t l = 0; l < L; ++l)
      for (std::vector<Matrix>* weights : {&wq_, &wk_, &wv_, &wo_}) weights->push_back(drawn(d, d, 0.25, random));
  }
  /// The loss: the sum of dO times the last layer's output.
  double loss() { return forward(), dot(dout_, x_of_[L]); }

  /// Gradients of the loss by V_0 (T, H w); `sent[l]` is the part that layer l sends back.
  Matrix backward(std::vector<Matrix>& sent) {
    forward();
    std::vector<Matrix> dk(L, Matrix{T, d}), dv(L, Matrix{T, d});
    sent.assign(L, Matrix{T, d});
    Matrix dx = dout_;
    for (std::size_t l = L; l-- > 0;) {
      const Matrix before = dv[0], dattention = dx * transposed(wo_[l]);
      Matrix dq{T, d};
      std::vector<HeadPair<double>> dheads;
      for (std::size_t h = 0; h < H; ++h)
        dheads.push_back({head(dk[l], h), head(dv[table_.value(l, h).layer], table_.value(l, h).head)});
      reference::attention_backward<double>(rows(dq), View<const HeadPair<double>>(dheads.data(), {H}), rows(dattention),
                                            rows(o_[l]), lse(l), rows(q_[l]), heads(l), sequence(), scale());
      for (std::size_t i = 0; i < T * d; ++i) sent[l].at[i] = dv[0].at[i] - before.at[i];
      // Layer l's own gradients are complete: no earlier layer reads its heads.
      dx += dq * transposed(wq_[l]), dx += dk[l] * transposed(wk_[l]), dx += dv[l] * transposed(wv_[l]);
    }
    return dv[0];
  }
  Matrix& first_values_offset() { return offset; }

 private:
  static double scale() { return 1 / std::sqrt(static_cast<double>(w)); }
  static View<double> rows(const Matrix& a) { return {const_cast<double*>(a.at.data()), {T, H, w}}; }
  static Head<double> head(Matrix& a, std::size_t h) { return {a.at.data() + h * w, 0, d}; }
  View<double> lse(std::size_t l) { return {lse_[l].at.data(), {T, H}}; }
  Sequences<Cpu> sequence() const { return {View<const std::int32_t>(begin_, {2}), View<const std::int32_t>(begin_, {1}), T, T}; }
  View<const HeadPair<const double>> heads(std::size_t l) {
    pairs_.clear();
    for (std::size_t h = 0; h < H; ++h)
      pairs_.push_back({head(k_[l], h), head(v_[table_.value(l, h).layer], table_.value(l, h).head)});
    return {pairs_.data(), {H}};
  }
  void forward() {
    x_of_.assign(1, x_), q_.clear(), k_.clear(), v_.clear(), o_.clear(), lse_.clear();
    for (std::size_t l = 0; l < L; ++l) {
      const Matrix& x = x_of_[l];
      q_.push_back(x * wq_[l]), k_.push_back(x * wk_[l]), v_.push_back(x * wv_[l]);
      o_.push_back({T, d}), lse_.push_back({T, H});
      if (l == 0) v_[0] += offset;
      reference::attention_forward<double>(rows(o_[l]), lse(l), rows(q_[l]), heads(l), sequence(), scale());
      Matrix next = x;
      next += o_[l] * wo_[l];
      x_of_.push_back(next);
    }
  }

  Routing table_;
  Matrix offset;  ///< added to V_0, for finite differences
  Matrix x_, dout_;
  std::vector<Matrix> wq_, wk_, wv_, wo_, x_of_, q_, k_, v_, o_, lse_;
  std::vector<HeadPair<const double>> pairs_;
  std::int32_t begin_[2] = {0, static_cast<std::int32_t>(T)};
};

/// The norm of head h's columns.
double norm_of_head(const Matrix& a, std::size_t h) {
  double square = 0;
  for (std::size_t t = 0; t < a.rows; ++t)
    for (std::size_t i = 0; i < Stack::w; ++i) square += a(t, h * Stack::w + i) * a(t, h * Stack::w + i);
  return std::sqrt(square);
}
/// What each layer sends back to layer 0's value heads. Returns the norms, [layer][head].
std::vector<std::vector<double>> show_stack(const char* name, const Routing& table) {
  Stack stack(table);
  std::vector<Matrix> sent;
  const Matrix dv = stack.backward(sent);
  std::vector<std::vector<double>> norms;
  std::printf("\n%s: norms of what each layer sends back to the value heads of layer 0\n", name);
  const auto line = [&](const std::string& label, const Matrix& a) {
    std::printf("  %-8s", label.c_str());
    norms.emplace_back();
    for (std::size_t h = 0; h < Stack::H; ++h) norms.back().push_back(norm_of_head(a, h)), std::printf("%9.4f", norms.back()[h]);
    std::printf("\n");
  };
  for (std::size_t l = Stack::L; l-- > 0;) line("layer " + std::to_string(l), sent[l]);
  line("dV_0", dv);
  const double error = difference(stack.first_values_offset(), dv, [&] { return stack.loss(); });
  std::printf("  dV_0 within 1e-7 of finite differences: %s\n", within(error, 1e-7));
  return norms;
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "The backward pass in numbers: attention's, and that of a stack whose layers read the first one's values.\n"
      "Example: 02a-backward-pass > output.txt"};
  std::string figures;
  app.add_option("--figures", figures, "draw the figures into this folder")->option_text("FOLDER");
  return run_program(app, argc, argv, [&] {
    if (!figures.empty()) require_writable_folder(figures);
    show_attention();
    const RoutingShape shape{.layers = Stack::L, .heads = Stack::H, .kv_heads = Stack::H};
    show_stack("mha", routing::own_layer(shape));
    const auto norms = show_stack("skipv1", routing::skipv1(shape));
    if (figures.empty()) return;
    draw_gathering(std::filesystem::path(figures) / "gathering.svg", norms);
    plot::save_figure(std::filesystem::path(figures) / "backward.png", backward_picture());
  });
}
