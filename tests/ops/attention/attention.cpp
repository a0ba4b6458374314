#include "tests/ops/attention/attention.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
void check_forward(const AttentionSpec& spec) {
  AttentionProblem<T> problem(spec);
  problem.forward();
  const auto [out, lse] = AttentionProblem<T>::reference(spec);
  CHECK(error<T>(problem.out, out) < rounding<T>);
  CHECK(error<T>(problem.lse, lse) < rounding<T>);
}

AttentionSpec single_sequence(std::size_t rows) { return {"one sequence", 5, 4, {rows}, {0}, {{0, 0, 0, 0}, {1, 2, 1, 2}}}; }

/// One new row per sequence: across the borders of tiles; a sequence without one, heads without values, keys read by many.
std::vector<AttentionSpec> decoding_specs() {
  std::vector<Route> many{{0, 2, 1, none}, {1, 1, 1, none}};
  for (std::size_t h = 2; h < 33; ++h) many.push_back({h % 2, h / 3 % 4, h % 3 ? 1u : 0u, h % 5});
  std::vector<AttentionSpec> specs{{"33 heads", 9, 5, {1, 0, 1, 1}, {200, 9, 0, 62}, many}};
  for (std::size_t past : {0u, 1u, 3u, 63u, 64u, 127u, 130u})
    specs.push_back({"one sequence", 17, 12, {1}, {past}, {{0, 0, 0, 0}, {0, 0, 1, 2}, {1, 2, 1, 2}}});
  return specs;
}

}  // namespace

TEST_CASE("decoding: attention of one new row per sequence equals the reference, the same bits with any number of threads") {
  for (const AttentionSpec& spec : decoding_specs()) {
    CAPTURE(spec.name, spec.past[0]);
    check_forward<double>(spec);
    check_forward<float>(spec);
    CHECK(thread_invariant([&] {
      AttentionProblem<float> problem(spec);
      problem.forward();
      return problem.out;
    }));
  }
}

TEST_CASE("decoding: a key whose score is far larger takes all, in whichever tile it lies, under either sign of the scale") {
  for (std::size_t at : {0u, 63u, 64u, 129u}) {
    for (double sign : {1.0, -1.0}) {
      CAPTURE(at, sign);
      AttentionProblem<float> problem({"huge", 1, 1, {1}, {129}, {{0, 0, 0, 0}}});
      problem.scale = sign;
      problem.q(0, 0, 0) = 100;
      for (std::size_t s = 0; s < 130; ++s) {
        problem.keys[0](0, s, 0) = static_cast<float>(s == at ? 100 * sign : -100 * sign);
        problem.values[0](0, s, 0) = static_cast<float>(s);
      }
      problem.forward();
      CHECK(problem.out(0, 0, 0) == static_cast<float>(at));
      CHECK(problem.lse(0, 0) == 1e4f);
    }
  }
}

TEST_CASE("attention equals the reference, wherever its heads lie; nothing beyond a sequence's end is read") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    check_forward<double>(spec);
    check_forward<float>(spec);
  }
  for (std::size_t rows : {1u, 3u, 63u, 64u, 65u, 127u, 129u}) {
    CAPTURE(rows);
    check_forward<double>(single_sequence(rows));
  }
}

TEST_CASE("a row of attention does not depend on what comes after it") {
  for (std::size_t changed : {1u, 40u, 63u, 64u, 100u}) {
    CAPTURE(changed);
    AttentionProblem<float> problem(single_sequence(128)), other = problem;
    problem.forward();
    for (std::size_t i = 0; i < 2; ++i)
      other.heads[i] = {other.head(other.keys, other.keys_at(i)), other.head(other.values, other.values_at(i))};
    other.poison(0, changed, false);  // a future key may even be NaN
    for (std::size_t l = 0; l < 2; ++l) std::fill_n(&other.values[l](0, changed, 0), other.values[l].width(), 1e3f);
    other.forward();
    CHECK(same_bits<float>(other.out.slice(0, changed), problem.out.slice(0, changed)));
    CHECK(same_bits<float>(other.lse.slice(0, changed), problem.lse.slice(0, changed)));
    for (std::size_t n = changed; n < 128; ++n) CHECK(std::isnan(other.out(n, 0, 0)));
  }
}

TEST_CASE("rows that follow a past equal the last rows of the whole sequence") {
  AttentionProblem<double> whole(single_sequence(100));
  whole.forward();
  for (std::size_t past : {1u, 36u, 99u}) {
    CAPTURE(past);
    AttentionProblem<double> part = whole;
    part.past[0] = static_cast<std::int32_t>(past);
    part.row_begin[1] = static_cast<std::int32_t>(100 - past);
    part.sequences = {{part.row_begin.data(), {2}}, {part.past.data(), {1}}, 100 - past, 100};
    part.q = Tensor<double>({100 - past, 2, 5});
    copy(part.q, whole.q.slice(past, 100 - past));
    part.out = poisoned<double>({100 - past, 2, 4}), part.lse = poisoned<double>({100 - past, 2});
    part.forward();
    CHECK(error<double>(part.out, whole.out.slice(past, 100 - past)) < rounding<double>);
    CHECK(error<double>(part.lse, whole.lse.slice(past, 100 - past)) < rounding<double>);
  }
}

TEST_CASE("attention where scores are huge picks the largest; where they are equal it averages") {
  AttentionProblem<float> problem({"huge", 1, 1, {3}, {0}, {{0, 0, 0, 0}}});
  problem.scale = 1;
  std::fill_n(problem.q.data(), 3, 100.0f);
  const float key[] = {-100, 100, 100}, value[] = {3, 5, 9};
  for (std::size_t s = 0; s < 3; ++s) problem.keys[0](0, s, 0) = key[s], problem.values[0](0, s, 0) = value[s];
  problem.forward();
  CHECK(problem.out(0, 0, 0) == 3);
  CHECK(problem.out(1, 0, 0) == 5);
  CHECK(problem.out(2, 0, 0) == 7);
  CHECK(problem.lse(0, 0) == -1e4f);
  CHECK(problem.lse(2, 0) == Approx(1e4 + std::log(2)));
  problem.scale = -1;  // the largest of the scaled scores is then the smallest product's
  problem.forward();
  CHECK(problem.out(2, 0, 0) == 3);
  problem.scale = 0;
  problem.forward();
  CHECK(problem.out(2, 0, 0) == Approx((3 + 5 + 9) / 3.0));
  CHECK(problem.lse(2, 0) == Approx(std::log(3)));
}

TEST_CASE("attention has the same bits with any number of threads") {
  for (const AttentionSpec& spec : attention_specs()) {
    CAPTURE(spec.name);
    CHECK(thread_invariant([&] {
      AttentionProblem<float> problem(spec);
      problem.forward();
      return problem.out;
    }));
  }
}

TEST_CASE("attention refuses heads that do not fit, and names the shapes") {
  AttentionProblem<float> problem(single_sequence(3));
  problem.heads.pop_back();
  CHECK(message([&] { problem.forward(); }) ==
        "attention_forward: q (3, 2, 5), out (3, 2, 4), heads (1) do not fit: must be q (N, H, d_k), out (N, H, d_v), heads (H)");
  problem.heads.push_back(problem.heads[0]);
  problem.out = Tensor<float>({4, 2, 4});
  CHECK_THROWS_AS(problem.forward(), Error);
}
