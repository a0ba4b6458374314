// The checker's own rules: the error of a tensor, what never passes, where it first differs, whose bound holds.
#include "skipv1/conformance/compare.hpp"

#include <cmath>
#include <limits>
#include <sstream>

#include "tests/catch.hpp"
#include "skipv1/conformance/case.hpp"

using namespace skipv1;
using namespace skipv1::conformance;

namespace {

View<const double> view(const std::vector<double>& x, Shape shape) { return {x.data(), shape}; }

}  // namespace

TEST_CASE("the error of a tensor is relative to its largest entry") {
  const std::vector<double> expected = {1, -4, 0, 2}, actual = {1, -4, 0.5, 2};
  const Comparison c = compare("trace", "layer1.output", view(actual, {1, 2, 2}), view(expected, {1, 2, 2}), 0.1);
  CHECK(c.error == 0.125);
  CHECK_FALSE(c.pass);
  CHECK(c.note == "first at [b=0, t=1, d=0]: expected 0, actual 0.5");
  CHECK(compare("trace", "layer1.output", view(actual, {1, 2, 2}), view(expected, {1, 2, 2}), 0.125).pass);
  CHECK(compare("gradients", "x", view(actual, {4}), view(expected, {4}), 0.01, 50).error == 0.01);
}

TEST_CASE("a difference is shown with as many digits as tell the two numbers apart") {
  const double expected = 6.02150386, actual = std::nextafter(expected, 7);
  Comparison c = compare("loss", "loss", {&actual, {}}, {&expected, {}}, 0);
  CHECK(c.note == "expected 6.02150386, actual 6.021503860000001");
  const double near = 6.0215038612;
  CHECK(compare("loss", "loss", {&near, {}}, {&expected, {}}, 0).note == "expected 6.02150386, actual 6.021503861");
  std::ostringstream out;
  c.error = 1.0004e-10, c.bound = 1e-10;
  print(out, {c});
  CHECK(out.str().find("error 1.0004e-10  bound 1.0000e-10  DIFFERS") != std::string::npos);
}

TEST_CASE("a tensor that must be zero is measured against the least divisor") {
  const std::vector<double> zero = {0, 0}, noise = {0, 1e-17};
  CHECK(compare("gradients", "x", view(noise, {2}), view(zero, {2}), 1e-10, 0.01).pass);
  CHECK_FALSE(compare("gradients", "x", view(noise, {2}), view(zero, {2}), 1e-10).pass);
}

TEST_CASE("what is not finite never passes") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (double bad : {nan, infinity, -infinity}) {
    const std::vector<double> expected = {1, 2, 3}, actual = {1, 2, bad};
    const Comparison c = compare("logits", "logits", view(actual, {1, 1, 3}), view(expected, {1, 1, 3}), infinity);
    CHECK_FALSE(std::isfinite(c.error));
    CHECK(compare("logits", "logits", view(expected, {1, 1, 3}), view(expected, {1, 1, 3}), 0).pass);
    CHECK_FALSE(compare("logits", "logits", view(actual, {1, 1, 3}), view(expected, {1, 1, 3}), 1e9).pass);
    CHECK_FALSE(compare("logits", "logits", view(actual, {1, 1, 3}), view(actual, {1, 1, 3}), 1e9).pass);
    CHECK(c.note.starts_with("1 of 3 are not finite, first at [b=0, t=0, v=2]: expected 3, actual "));
    const std::vector<double> more = {9, bad, nan};
    const Comparison m = compare("logits", "logits", view(more, {1, 1, 3}), view(expected, {1, 1, 3}), 0);
    CHECK(m.note.starts_with("2 of 3 are not finite, first at [b=0, t=0, v=1]: expected 2, actual "));
    CHECK(m.index == std::vector<std::size_t>{0, 0, 0});  // the first beyond the bound, whatever it is
    CHECK(compare("loss", "loss", {&bad, {}}, {expected.data(), {}}, 0).note.starts_with("expected 1, actual "));
  }
}

TEST_CASE("tensors of different shape fail with both shapes") {
  const std::vector<double> x(6);
  const Comparison c = compare("logits", "logits", view(x, {1, 2, 3}), view(x, {1, 3, 2}), 1);
  CHECK_FALSE(c.pass);
  CHECK(c.note == "shape (1, 2, 3), expected (1, 3, 2)");
}

TEST_CASE("counts must be equal") {
  CHECK(compare_counts("cache", "parameters", 7, 7).pass);
  CHECK_FALSE(compare_counts("cache", "parameters", 7, 8).pass);
}

TEST_CASE("a bound is the manifest's for the tensor, else for its class, else the default") {
  Bounds bounds;
  bounds.set("f32", "gradients", 1e-3);
  bounds.set("f32", "lm_head.weight", 1e-2);
  CHECK(bounds.find("f32", "gradients", "lm_head.weight") == 1e-2);
  CHECK(bounds.find("f32", "gradients", "model.norm.weight") == 1e-3);
  CHECK(bounds.find("f32", "logits", "logits") == 2e-4);
  CHECK(bounds.find("f64", "gradients", "lm_head.weight") == 1e-10);
  CHECK(bounds.find("bf16", "logits", "logits") == 5e-2);
}

TEST_CASE("printing keeps every failing gradient and the worst of those that pass") {
  std::ostringstream out;
  print(out,
        {{"gradients", "a", 1e-16, 1e-10, true, ""}, {"gradients", "b", 1e-15, 1e-10, true, ""}, {"cache", "c", 0, 0, true, ""}});
  CHECK(out.str().find(" a ") == std::string::npos);
  CHECK(out.str().find(" b ") != std::string::npos);
  CHECK(out.str().find(" c ") != std::string::npos);
  std::ostringstream failing;
  print(failing, {{"gradients", "a", 1, 1e-10, false, "first"}, {"gradients", "b", 2, 1e-10, false, "first"}});
  CHECK(failing.str().find(" a ") != std::string::npos);
  CHECK(failing.str().find(" b ") != std::string::npos);
}
