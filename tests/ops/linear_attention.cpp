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

/// What `reference::linear_attention_forward` gives for the same numbers in double.
Tensor<double> expected(const AttentionSpec& spec, LinearNorm norm) {
  const AttentionProblem<double> p(spec);
  Tensor<double> out = poisoned<double>(p.out.shape());
  reference::linear_attention_forward<double>(out, p.q, p.table(), p.sequences, p.scale, norm);
  return out;
}

template <class T>
struct Gradients {
  template <class Backward>
  Gradients(const AttentionProblem<T>& p, const Tensor<T>& dout, LinearNorm norm, const Backward& backward)
      : dheads(p.heads.size()) {
    dq = poisoned<T>(p.q.shape());
    for (std::size_t l = 0; l < 2; ++l) {
      keys[l] = draw<T>(p.keys[l].shape(), 6 + l), values[l] = draw<T>(p.values[l].shape(), 8 + l);
      keys_before[l] = keys[l], values_before[l] = values[l];
    }
    for (std::size_t h = 0; h < dheads.size(); ++h) dheads[h] = {p.head(keys, p.keys_at(h)), p.head(values, p.values_at(h))};
    const View<const HeadPair<T>> table(dheads.data(), {dheads.size()});
    backward(dq, table, dout, p.q, p.table(), p.sequences, p.scale, norm);
  }
  Gradients(const AttentionProblem<T>& p, const Tensor<T>& dout, LinearNorm norm)
      : Gradients(p, dout, norm, [](const auto&... of) { linear_attention_backward<T>(of...); }) {}
  Tensor<T> dq, keys[2], values[2], keys_before[2], values_before[2];
  std::vector<HeadPair<T>> dheads;
};

const LinearNorm norms[] = {LinearNorm::none, LinearNorm::keys};

}  // namespace

TEST_CASE("linear attention equals its reference, wherever its heads lie; nothing beyond a sequence's end is read") {
  for (const AttentionSpec& spec : attention_specs()) {
    for (LinearNorm norm : norms) {
      CAPTURE(spec.name, norm == LinearNorm::keys);
      CHECK(error(forward(AttentionProblem<double>(spec), norm), expected(spec, norm)) < rounding<double>);
      CHECK(error(forward(AttentionProblem<float>(spec), norm), expected(spec, norm)) < rounding<float>);
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

TEMPLATE_TEST_CASE("linear attention's gradients equal their reference", "", float, double) {
  using T = TestType;
  for (const AttentionSpec& spec : attention_specs()) {
    for (LinearNorm norm : norms) {
      CAPTURE(spec.name, norm == LinearNorm::keys);
      const AttentionProblem<T> problem(spec);
      const AttentionProblem<double> exact(spec);
      const Gradients<T> fast(problem, draw<T>(problem.out.shape(), 10), norm);
      const Gradients<double> truth(exact, draw<double>(problem.out.shape(), 10), norm,
                                    [](const auto&... of) { reference::linear_attention_backward<double>(of...); });
      CHECK(error<T>(fast.dq, truth.dq) < 4 * rounding<T>);
      for (std::size_t l = 0; l < 2; ++l) {
        CHECK(error<T>(fast.keys[l], truth.keys[l]) < 4 * rounding<T>);
        CHECK(error<T>(fast.values[l], truth.values[l]) < 4 * rounding<T>);
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
