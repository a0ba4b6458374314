#include "tests/ops/attention/attention.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

/// Gradients of a problem; those of keys and values are added to what stood there before.
template <class T>
struct Gradients {
  explicit Gradients(const AttentionProblem<T>& problem) : dheads(problem.heads.size()) {
    dq = poisoned<T>(problem.q.shape());
    for (std::size_t l = 0; l < 2; ++l) {
      keys[l] = draw<T>(problem.keys[l].shape(), 6 + l), values[l] = draw<T>(problem.values[l].shape(), 8 + l);
      keys_before[l] = keys[l], values_before[l] = values[l];
    }
    for (std::size_t h = 0; h < dheads.size(); ++h)
      dheads[h] = {problem.head(keys, problem.keys_at(h)), problem.head(values, problem.values_at(h))};
  }
  void backward(const AttentionProblem<T>& p, View<const T> dout) {
    attention_backward(dq, View<const HeadPair<T>>(dheads.data(), {dheads.size()}), dout, p.out, p.lse, p.q, p.table(),
                       p.sequences, p.scale);
  }
  Tensor<T> dq, keys[2], values[2], keys_before[2], values_before[2];
  std::vector<HeadPair<T>> dheads;
};

}  // namespace

TEST_CASE("attention's gradients equal finite differences: the query's written, keys' and values' added") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    AttentionProblem<double> problem(spec);
    const Tensor<double> dout = draw<double>(problem.out.shape(), 10);
    const auto loss = [&] {
      problem.forward();
      return dot(problem.out, dout);
    };
    loss();
    Gradients<double> gradients(problem);
    gradients.backward(problem, dout);
    CHECK(gradient_error(problem.q, gradients.dq, loss) < gradient_bound);
    for (std::size_t l = 0; l < 2; ++l) {
      CAPTURE(l);
      CHECK(gradient_error(problem.keys[l], added(gradients.keys[l], gradients.keys_before[l]), loss) < gradient_bound);
      CHECK(gradient_error(problem.values[l], added(gradients.values[l], gradients.values_before[l]), loss) < gradient_bound);
    }
  }
}

TEST_CASE("attention's gradients equal the reference's") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    AttentionProblem<double> problem(spec);
    problem.forward();
    const Tensor<double> dout = draw<double>(problem.out.shape(), 10);
    Gradients<double> expected(problem), gradients(problem);
    reference::attention_backward<double>(expected.dq, {expected.dheads.data(), {expected.dheads.size()}}, dout, problem.out,
                                          problem.lse, problem.q, problem.table(), problem.sequences, problem.scale);
    gradients.backward(problem, dout);
    CHECK(error<double>(gradients.dq, expected.dq) < rounding<double>);
    for (std::size_t l = 0; l < 2; ++l) {
      CHECK(error<double>(gradients.keys[l], expected.keys[l]) < rounding<double>);
      CHECK(error<double>(gradients.values[l], expected.values[l]) < rounding<double>);
    }
  }
}

TEST_CASE("attention overwrites dk and dv of heads where the table says so, whatever stood there") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    AttentionProblem<double> problem(spec);
    problem.forward();
    const Tensor<double> dout = draw<double>(problem.out.shape(), 10);
    Gradients<double> zeroed(problem), set(problem);
    for (std::size_t l = 0; l < 2; ++l) {
      for (Tensor<double>* x : {&zeroed.keys[l], &zeroed.values[l]}) zero(View<double>(*x));
      for (Tensor<double>* x : {&set.keys[l], &set.values[l]}) std::fill_n(x->data(), x->size(), std::nan(""));
    }
    zeroed.backward(problem, dout);
    for (HeadReader& reader : problem.readers) reader.key = reader.value = WriteMode::overwrite;
    set.backward(problem, dout);
    CHECK(same_bits<double>(set.dq, zeroed.dq));
    for (std::size_t l = 0; l < 2; ++l) {
      for (auto [x, y] : {std::pair{&set.keys[l], &zeroed.keys[l]}, std::pair{&set.values[l], &zeroed.values[l]}}) {
        for (std::size_t i = 0; i < x->size(); ++i)  // what no query head reads is left alone
          if (std::isnan(x->data()[i])) x->data()[i] = y->data()[i] == 0 ? 0 : x->data()[i];
        CHECK(same_bits<double>(*x, *y));
      }
    }
  }
}

TEST_CASE("attention's gradients in float equal those in double") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    AttentionProblem<double> exact(spec);
    AttentionProblem<float> problem(spec);
    exact.forward(), problem.forward();
    Gradients<double> expected(exact);
    Gradients<float> gradients(problem);
    expected.backward(exact, draw<double>(exact.out.shape(), 10));
    gradients.backward(problem, draw<float>(exact.out.shape(), 10));
    CHECK(error(gradients.dq, expected.dq) < rounding<float>);
    for (std::size_t l = 0; l < 2; ++l) {
      CHECK(error(gradients.keys[l], expected.keys[l]) < rounding<float>);
      CHECK(error(gradients.values[l], expected.values[l]) < rounding<float>);
    }
  }
}

TEST_CASE("the gradient of a head that several read is the sum over its readers") {
  AttentionProblem<double> problem({"shared", 3, 4, {70}, {0}, {{0, 1, 1, 2}, {0, 1, 0, 0}, {1, 5, 1, 2}, {0, 1, 1, 2}}});
  problem.forward();
  const Tensor<double> dout = draw<double>(problem.out.shape(), 10);
  Gradients<double> together(problem), apart(problem);
  together.backward(problem, dout);
  Tensor<double> keys = zeros<double>({4, problem.capacity(), 3}), values = zeros<double>({4, problem.capacity(), 4});
  for (std::size_t h = 0; h < 4; ++h)  // to each reader a gradient of its own
    apart.dheads[h] = {{&keys(h, 0, 0), 0, 3}, {&values(h, 0, 0), 0, 4}};
  const std::vector<HeadName> each{{0, 0}, {0, 1}, {0, 2}, {0, 3}};
  problem.readers = layer_readers(each, each);
  apart.backward(problem, dout);
  CHECK(same_bits<double>(apart.dq, together.dq));
  const Tensor<double> key = added(together.keys[0], together.keys_before[0]),
                       value = added(together.values[1], together.values_before[1]);
  double worst = 0;
  for (std::size_t t = 0; t < 70; ++t) {
    for (std::size_t i = 0; i < 3; ++i)
      worst = std::max(worst, std::abs(key(0, t, 3 + i) - keys(0, t, i) - keys(1, t, i) - keys(3, t, i)));
    for (std::size_t i = 0; i < 4; ++i)
      worst = std::max(worst, std::abs(value(0, t, 8 + i) - values(0, t, i) - values(2, t, i) - values(3, t, i)));
  }
  CHECK(worst < 1e-13);
}

TEST_CASE("query heads that share a key or a value, in a chain too, are one task; others are not") {
  const std::vector<HeadName> keys{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 2}, {0, 3}},
      values{{0, 5}, {0, 6}, {0, 5}, {0, 7}, {0, 6}, {}};
  const std::vector<HeadReader> readers = layer_readers(keys, values);
  CHECK(detail::independent_heads({readers.data(), {readers.size()}}) ==
        std::vector<std::vector<std::size_t>>{{0, 1, 2, 4}, {3}, {5}});  // without a value a query head reads nothing
}

TEST_CASE("attention's gradients are refused without readers, its output is not") {
  AttentionProblem<double> problem(attention_specs()[2]);
  problem.forward();
  const Tensor<double> out = problem.out, dout = draw<double>(problem.out.shape(), 10);
  problem.readers.clear();
  problem.forward();
  CHECK(same_bits<double>(problem.out, out));
  Gradients<double> gradients(problem);
  CHECK(message([&] { gradients.backward(problem, dout); }) == "attention_backward: 0 readers of 6 routed heads");
}

TEST_CASE("attention's gradients have the same bits with any number of threads") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    AttentionProblem<float> problem(spec);
    problem.forward();
    const Tensor<float> dout = draw<float>(problem.out.shape(), 10);
    const auto gradient = [&](const auto& of) {
      return thread_invariant([&] {
        Gradients<float> gradients(problem);
        gradients.backward(problem, dout);
        return of(gradients);
      });
    };
    CHECK(gradient([](const auto& g) { return g.dq; }));
    CHECK(gradient([](const auto& g) { return g.keys[1]; }));
    CHECK(gradient([](const auto& g) { return g.values[0]; }));
  }
}

TEST_CASE("attention's gradients stay finite where scores are huge") {
  AttentionProblem<double> problem({"huge", 1, 1, {3}, {0}, {{0, 0, 0, 0}}});
  for (std::size_t s = 0; s < 3; ++s) problem.q(s, 0, 0) = 100, problem.keys[0](0, s, 0) = s == 1 ? 200 : -200;
  problem.forward();
  Gradients<double> gradients(problem);
  gradients.backward(problem, filled<double>(problem.out.shape(), 1));
  CHECK(largest(gradients.dq) == 0);  // one key has all the weight: nothing to gain
  const Tensor<double> dvalue = added(gradients.values[0], gradients.values_before[0]);
  CHECK(dvalue(0, 0, 0) == Approx(1));
  CHECK(dvalue(0, 1, 0) == Approx(2));
  CHECK(dvalue(0, 2, 0) == 0);
}
