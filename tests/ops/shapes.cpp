// Every CPU operation refuses tensors that do not fit, one at a time: none is read or written beyond its end.
#include <functional>
#include <string>
#include <vector>

#include "skipv1/ops/adamw.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/depth_average.hpp"
#include "skipv1/ops/embedding.hpp"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/linear_gelu.hpp"
#include "skipv1/ops/rms_norm.hpp"
#include "skipv1/ops/rope.hpp"
#include "skipv1/ops/scatter.hpp"
#include "skipv1/ops/swiglu.hpp"
#include "skipv1/ops/value_mix.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

using Floats = std::vector<Tensor<float>>;

/// An operation on tensors of `shapes`.
struct Operation {
  std::string name;
  std::vector<Shape> shapes;
  std::function<void(Floats&)> run;
  std::vector<std::size_t> optional = {}, wider = {};  ///< those that may be missing, or wider than they must be
};

Floats tensors_of(const std::vector<Shape>& shapes) {
  Floats tensors;
  for (const Shape& shape : shapes) tensors.push_back(zeros<float>(shape));
  return tensors;
}

/// `shape` with its last extent longer or shorter by one.
Shape changed(const Shape& shape, int by) {
  std::vector<std::size_t> extents(shape.begin(), shape.end());
  extents.back() += static_cast<std::size_t>(by);
  return {extents.begin(), extents.end()};
}

std::string shown(const Shape& shape) {
  std::ostringstream out;
  out << shape;
  return out.str();
}

constexpr std::size_t N = 4, d = 6, V = 5, J = 3;
const std::int32_t numbers[N] = {0, 3, 1, 4}, row_begin[] = {0, 1, 4}, past[] = {2, 0};
const View<const std::int32_t> ids(numbers, {N});

std::vector<Operation> norms_and_maps() {
  return {
      {"rms_norm_forward", {{N, d}, {N}, {N, d}, {d}}, [](Floats& t) { rms_norm_forward(t[0], t[1], t[2], t[3], 1e-5); }},
      {"rms_norm_backward",
       {{N, d}, {d}, {N, d}, {N, d}, {d}, {N}, {d}, {N, d}},
       [](Floats& t) { rms_norm_backward(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]); },
       {6, 7}},
      {"layer_norm_forward",
       {{N, d}, {N, 2}, {N, d}, {d}, {d}},
       [](Floats& t) { layer_norm_forward(t[0], t[1], t[2], t[3], t[4], 1e-5); }},
      {"layer_norm_backward",
       {{N, d}, {d}, {d}, {N, d}, {N, d}, {d}, {N, 2}, {d}, {N, d}, {d}},
       [](Floats& t) { layer_norm_backward(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]); },
       {7, 8}},
      {"linear_forward",
       {{N, V}, {N, d}, {V, d}, {V}, {N, V}},
       [](Floats& t) { linear_forward(t[0], t[1], t[2], t[3], t[4]); },
       {3, 4}},
      {"linear_backward_input", {{N, d}, {N, V}, {V, d}}, [](Floats& t) { linear_backward_input(t[0], t[1], t[2]); }},
      {"linear_backward_", {{V, d}, {V}, {N, V}, {N, d}}, [](Floats& t) { linear_backward_weight(t[0], t[1], t[2], t[3]); }, {1}},
      {"", {{N, V}, {N, V}, {N, d}, {V, d}, {V}}, [](Floats& t) { linear_gelu_forward(t[0], t[1], t[2], t[3], t[4]); }, {4}},
      {"", {{N, d}, {N, V}, {V, d}, {N, d}}, [](Floats& t) { gelu_linear_backward(t[0], t[1], t[2], t[3]); }},
  };
}

std::vector<Operation> others() {
  return {
      {"add", {{N, d}, {N, d}, {N, d}}, [](Floats& t) { add(t[0], t[1], t[2]); }},
      {"gelu_forward", {{N, d}, {N, d}}, [](Floats& t) { gelu_forward(t[0], t[1]); }},
      {"gelu_backward", {{N, d}, {N, d}, {N, d}}, [](Floats& t) { gelu_backward(t[0], t[1], t[2]); }},
      {"swiglu_forward", {{N, d}, {N, d}, {N, d}}, [](Floats& t) { swiglu_forward(t[0], t[1], t[2]); }},
      {"swiglu_backward",
       {{N, d}, {N, d}, {N, d}, {N, d}, {N, d}},
       [](Floats& t) { swiglu_backward(t[0], t[1], t[2], t[3], t[4]); }},
      {"embedding_forward", {{N, d}, {V, d}}, [](Floats& t) { embedding_forward(t[0], t[1], ids); }},
      {"embedding_backward", {{V, d}, {N, d}}, [](Floats& t) { embedding_backward(t[0], t[1], ids); }},
      {"cross_entropy", {{N}, {N, V}, {N, V}}, [](Floats& t) { cross_entropy(t[0], t[1], t[2], ids, 1); }, {1}},
      {"depth_average_forward", {{N, d}, {J, N, d}, {J}}, [](Floats& t) { depth_average_forward(t[0], t[1], t[2]); }},
      {"depth_average_backward",
       {{J, N, d}, {J}, {N, d}, {J, N, d}, {J}},
       [](Floats& t) { depth_average_backward(t[0], t[1], t[2], t[3], t[4]); }},
      {"adamw", {{N}, {N}, {N}, {N}}, [](Floats& t) { adamw(t[0], t[1], t[2], t[3], AdamW{}, 1, 0, 1); }},
      {"rope", {{N, 2, d}, {V, d / 2, 2}}, [](Floats& t) { rope(t[0], t[1], ids); }, {}, {0}},
      {"value_mix_forward", {{N, d}, {N, d}, {N, d}, {1}}, [](Floats& t) { value_mix_forward(t[0], t[1], t[2], t[3]); }, {}, {2}},
      {"value_mix_backward",
       {{N, d}, {N, d}, {1}, {N, d}, {N, d}, {N, d}, {1}},
       [](Floats& t) { value_mix_backward(t[0], t[1], t[2], t[3], t[4], t[5], t[6]); },
       {2}},
      {"scatter_rows",
       {{2, 3, d}, {N, d}},
       [](Floats& t) {
         scatter_rows(t[0], t[1], Sequences<Cpu>{{row_begin, {3}}, {past, {2}}, 3, 3});
       }},
  };
}

void check_refusals(const Operation& operation) {
  CAPTURE(operation.name);
  Floats right = tensors_of(operation.shapes);
  operation.run(right);
  for (std::size_t i = 0; i < operation.shapes.size(); ++i) {
    const bool optional = std::count(operation.optional.begin(), operation.optional.end(), i) > 0;
    const bool wider = std::count(operation.wider.begin(), operation.wider.end(), i) > 0;
    for (int by : {-1, 1}) {
      std::vector<Shape> shapes = operation.shapes;
      shapes[i] = changed(shapes[i], by);
      if (shapes[i].size() == 0 || (by == 1 && wider)) continue;  // (counts as missing; as many are read as before)
      Floats wrong = tensors_of(shapes);
      CAPTURE(i, shown(shapes[i]));
      const std::string line = message([&] { operation.run(wrong); });
      CHECK(line.substr(0, operation.name.size()) == operation.name);
      CHECK(line.find(' ' + shown(shapes[i])) != std::string::npos);
      CHECK(line.find("do not fit: must be ") != std::string::npos);
    }
    Floats missing = tensors_of(operation.shapes);
    missing[i] = {};
    CAPTURE(i);
    if (optional)
      CHECK_NOTHROW(operation.run(missing));
    else
      CHECK(message([&] { operation.run(missing); }).find("no ") != std::string::npos);
  }
}

}  // namespace

TEST_CASE("operations refuse every tensor that is longer or shorter than it must be, or missing") {
  for (const Operation& operation : norms_and_maps()) check_refusals(operation);
  for (const Operation& operation : others()) check_refusals(operation);
}

TEST_CASE("operations name the tensors, their shapes and the rule") {
  const Tensor<float> x = zeros<float>({2, 3}), weight = zeros<float>({2});
  Tensor<float> y = zeros<float>({2, 3}), inverse_rms;
  CHECK(
      message([&] { rms_norm_forward(y, inverse_rms, x, weight, 1e-5); }) ==
      "rms_norm_forward: y (2, 3), x (2, 3), weight (2), no inverse_rms do not fit: must be y, x (N, d), weight (d), inverse_rms "
      "(N)");
}

TEST_CASE("operations refuse numbers of rows that are not there") {
  const std::int32_t beyond[] = {0, 1, 2, 5}, below[] = {0, -1, 2, 3}, further_below[] = {0, -2, 2, 3};
  Tensor<float> x = zeros<float>({N, d}), table = zeros<float>({V, d}), heads = zeros<float>({N, 1, d}), loss({N}),
                logits = zeros<float>({N, V});
  const Tensor<float> angles = zeros<float>({V, d / 2, 2});
  for (const std::int32_t* wrong : {beyond, below, further_below}) {
    const View<const std::int32_t> rows(wrong, {N});
    CHECK(message([&] { embedding_forward(x, table, rows); }).find("embedding_forward: ids: number ") == 0);
    CHECK(message([&] { embedding_backward(table, x, rows); }).find("embedding_backward: ids: number ") == 0);
    CHECK(message([&] { rope(heads, angles, rows); }).find("rope: positions: number ") == 0);
    if (wrong != below)
      CHECK(message([&] { cross_entropy<float>(loss, {}, logits, rows, 1); }).find("cross_entropy: targets: ") == 0);
  }
  CHECK(message([&] { embedding_forward(x, table, View<const std::int32_t>(beyond, {N})); }) ==
        "embedding_forward: ids: number 3 is 5: must be 0 to 4");
}

TEST_CASE("sequences that do not lie in their rows, or have more than they say, are refused") {
  Tensor<float> cache = zeros<float>({2, 3, d});
  const Tensor<float> x = zeros<float>({N, d});
  const auto refusal = [&](std::vector<std::int32_t> begin, std::vector<std::int32_t> before, std::size_t rows,
                           std::size_t keys) {
    const Sequences<Cpu> sequences{{begin.data(), {begin.size()}}, {before.data(), {before.size()}}, rows, keys};
    return message([&] { scatter_rows(cache, x, sequences); });
  };
  CHECK(refusal({0, 1, 4}, {2, 0}, 3, 3).empty());
  CHECK(refusal({0, 1, 5}, {2, 0}, 4, 4) ==
        "scatter_rows: sequence 1 has rows 1 to 5 of 4: must be in order, and at most max_rows 4");
  CHECK(refusal({0, 1, 4}, {2, 0}, 2, 3) ==
        "scatter_rows: sequence 1 has rows 1 to 4 of 4: must be in order, and at most max_rows 2");
  CHECK(refusal({1, 0, 4}, {0, 0}, 4, 4).find("scatter_rows: sequence 0 has rows 1 to 0") == 0);
  CHECK(refusal({0, 1, 4}, {3, 0}, 3, 9) == "scatter_rows: sequence 0 has 3 earlier keys and 1 new ones: must be at most 3");
  CHECK(refusal({0, 1, 4}, {2, 0}, 3, 2) == "scatter_rows: sequence 0 has 2 earlier keys and 1 new ones: must be at most 2");
  CHECK(refusal({0, 4}, {2, 0}, 3, 3).find("scatter_rows: row_begin (2), past (2) do not fit") == 0);
}
