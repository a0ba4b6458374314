#include "skipv1/ops/linear_attention.hpp"

#include "tests/ops/attention/attention.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
Tensor<T> forward(const AttentionProblem<T>& p, LinearNorm norm) {
  Tensor<T> out = poisoned<T>(p.out.shape());
  linear_attention_forward(out, p.q, p.table(), p.sequences, p.scale, norm);
  return out;
}

/// `c_n sum over s of v_s (k_s . q_n)`, one key after the other.
template <class T>
Tensor<double> naive(const AttentionProblem<T>& p, LinearNorm norm) {
  Tensor<double> out = zeros<double>(p.out.shape());
  for (std::size_t b = 0; b < p.past.size(); ++b) {
    for (std::size_t i = 0; i < p.spec.rows[b]; ++i) {
      const std::size_t n = static_cast<std::size_t>(p.row_begin[b]) + i, seen = p.spec.past[b] + i + 1;
      const double factor = norm == LinearNorm::keys ? p.scale / static_cast<double>(seen) : p.scale;
      for (std::size_t h = 0; h < p.heads.size(); ++h) {
        const auto key = p.keys_at(h), value = p.values_at(h);
        for (std::size_t s = 0; s < seen && value.layer != none; ++s) {
          double weight = 0;
          for (std::size_t c = 0; c < p.spec.key_width; ++c)
            weight += factor * static_cast<double>(p.q(n, h, c)) * static_cast<double>(p.keys[key.layer](b, s, key.column + c));
          for (std::size_t c = 0; c < p.spec.value_width; ++c)
            out(n, h, c) += weight * static_cast<double>(p.values[value.layer](b, s, value.column + c));
        }
      }
    }
  }
  return out;
}

template <class T>
struct Gradients {
  Gradients(const AttentionProblem<T>& p, const Tensor<T>& dout, LinearNorm norm) : dheads(p.heads.size()) {
    dq = poisoned<T>(p.q.shape());
    for (std::size_t l = 0; l < 2; ++l) {
      keys[l] = draw<T>(p.keys[l].shape(), 6 + l), values[l] = draw<T>(p.values[l].shape(), 8 + l);
      keys_before[l] = keys[l], values_before[l] = values[l];
    }
    for (std::size_t h = 0; h < dheads.size(); ++h) dheads[h] = {p.head(keys, p.keys_at(h)), p.head(values, p.values_at(h))};
    const View<const HeadPair<T>> table(dheads.data(), {dheads.size()});
    linear_attention_backward(dq, table, dout, p.q, p.table(), p.sequences, p.scale, norm);
  }
  Tensor<T> dq, keys[2], values[2], keys_before[2], values_before[2];
  std::vector<HeadPair<T>> dheads;
};

const LinearNorm norms[] = {LinearNorm::none, LinearNorm::keys};

}  // namespace

TEST_CASE("linear attention equals plain loops, wherever its heads lie; nothing beyond a sequence's end is read") {
  for (const AttentionSpec& spec : attention_specs()) {
    for (LinearNorm norm : norms) {
      CAPTURE(spec.name, norm == LinearNorm::keys);
      const AttentionProblem<double> exact(spec);
      const AttentionProblem<float> problem(spec);
      CHECK(error(forward(exact, norm), naive(exact, norm)) < rounding<double>);
      CHECK(error(forward(problem, norm), naive(problem, norm)) < rounding<float>);
    }
  }
}

TEST_CASE("linear attention's gradients equal finite differences: the query's written, keys' and values' added") {
  for (const AttentionSpec& spec : attention_specs()) {
    for (LinearNorm norm : norms) {
      CAPTURE(spec.name, norm == LinearNorm::keys);
      AttentionProblem<double> problem(spec);
      const Tensor<double> dout = draw<double>(problem.out.shape(), 10);
      const auto loss = [&] { return dot(forward(problem, norm), dout); };
      const Gradients<double> gradients(problem, dout, norm);
      CHECK(gradient_error(problem.q, gradients.dq, loss) < gradient_bound);
      for (std::size_t l = 0; l < 2; ++l) {
        CAPTURE(l);
        CHECK(gradient_error(problem.keys[l], added(gradients.keys[l], gradients.keys_before[l]), loss) < gradient_bound);
        CHECK(gradient_error(problem.values[l], added(gradients.values[l], gradients.values_before[l]), loss) < gradient_bound);
      }
    }
  }
}

TEST_CASE("linear attention has the same bits with any number of threads") {
  const AttentionProblem<float> problem(attention_specs()[2]);
  const Tensor<float> dout = draw<float>(problem.out.shape(), 10);
  CHECK(thread_invariant([&] { return forward(problem, LinearNorm::keys); }));
  CHECK(thread_invariant([&] { return Gradients<float>(problem, dout, LinearNorm::keys).keys[1]; }));
  CHECK(thread_invariant([&] { return Gradients<float>(problem, dout, LinearNorm::keys).values[0]; }));
}

TEST_CASE("linear attention refuses heads that do not fit the query") {
  AttentionProblem<double> problem(attention_specs()[1]);
  problem.heads.pop_back();
  CHECK_THROWS_AS(forward(problem, LinearNorm::none), Error);
}
