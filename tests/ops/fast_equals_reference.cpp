// The fast CPU operations against their references, in float and double, forward and backward, at awkward shapes.
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/ops/depth_average.hpp"
#include "skipv1/ops/embedding.hpp"
#include "skipv1/ops/gelu.hpp"
#include "skipv1/ops/layer_norm.hpp"
#include "skipv1/ops/linear.hpp"
#include "skipv1/ops/rms_norm.hpp"
#include "skipv1/ops/rope.hpp"
#include "skipv1/ops/swiglu.hpp"
#include "skipv1/ops/value_mix.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

using Double = Tensor<double>;

/// An input, the same numbers in T and in double; or an output that accumulates onto the same numbers.
template <class T>
struct Twin {
  Tensor<T> fast;
  Double exact;
  Twin(Shape shape, std::uint64_t seed) : fast(draw<T>(shape, seed)), exact(draw<double>(shape, seed)) {}
};
template <class T>
bool agree(const Twin<T>& x, double factor = 1) {
  return error<T>(x.fast, x.exact) < factor * rounding<T>;
}

}  // namespace

TEMPLATE_TEST_CASE("norms equal their references", "", float, double) {
  using T = TestType;
  for (const Size s : sizes) {
    CAPTURE(s.rows, s.width);
    const Twin<T> x({s.rows, s.width}, 1), weight({s.width}, 2), bias({s.width}, 3), dy({s.rows, s.width}, 4);
    Twin<T> y({s.rows, s.width}, 5), r({s.rows}, 6), dx({s.rows, s.width}, 7), dweight({s.width}, 8), dbias({s.width}, 9);
    rms_norm_forward<T>(y.fast, r.fast, x.fast, weight.fast, 1e-5);
    reference::rms_norm_forward<double>(y.exact, r.exact, x.exact, weight.exact, 1e-5);
    CHECK((agree(y) && agree(r)));
    rms_norm_backward<T>(dx.fast, dweight.fast, dy.fast, x.fast, weight.fast, r.fast);
    reference::rms_norm_backward<double>(dx.exact, dweight.exact, dy.exact, x.exact, weight.exact, r.exact);
    CHECK((agree(dx, 4) && agree(dweight, 4)));
    if (s.width == 1) continue;  // a row of one element has no variance: 1 / sqrt(epsilon) magnifies rounding
    Twin<T> statistics({s.rows, 2}, 10);
    layer_norm_forward<T>(y.fast, statistics.fast, x.fast, weight.fast, bias.fast, 1e-5);
    reference::layer_norm_forward<double>(y.exact, statistics.exact, x.exact, weight.exact, bias.exact, 1e-5);
    CHECK((agree(y, 4) && agree(statistics, 4)));
    layer_norm_backward<T>(dx.fast, dweight.fast, dbias.fast, dy.fast, x.fast, weight.fast, statistics.fast);
    reference::layer_norm_backward<double>(dx.exact, dweight.exact, dbias.exact, dy.exact, x.exact, weight.exact,
                                           statistics.exact);
    CHECK((agree(dx, 16) && agree(dweight, 16) && agree(dbias, 4)));
  }
}

TEMPLATE_TEST_CASE("activations equal their references", "", float, double) {
  using T = TestType;
  for (const Size s : sizes) {
    CAPTURE(s.rows, s.width);
    const Twin<T> gate({s.rows, s.width}, 1), up({s.rows, s.width}, 2), dy({s.rows, s.width}, 3);
    Twin<T> y({s.rows, s.width}, 4), dgate({s.rows, s.width}, 5), dup({s.rows, s.width}, 6);
    swiglu_forward<T>(y.fast, gate.fast, up.fast);
    reference::swiglu_forward<double>(y.exact, gate.exact, up.exact);
    swiglu_backward<T>(dgate.fast, dup.fast, dy.fast, gate.fast, up.fast);
    reference::swiglu_backward<double>(dgate.exact, dup.exact, dy.exact, gate.exact, up.exact);
    CHECK((agree(y) && agree(dgate) && agree(dup)));
    gelu_forward<T>(y.fast, up.fast);
    reference::gelu_forward<double>(y.exact, up.exact);
    gelu_backward<T>(dup.fast, dy.fast, up.fast);
    reference::gelu_backward<double>(dup.exact, dy.exact, up.exact);
    CHECK((agree(y) && agree(dup)));
  }
}

TEMPLATE_TEST_CASE("linear and embedding equal their references", "", float, double) {
  using T = TestType;
  for (const Size s : sizes) {
    for (const std::size_t out : {1u, 33u, 64u}) {
      CAPTURE(s.rows, s.width, out);
      const Twin<T> x({s.rows, s.width}, 1), weight({out, s.width}, 2), bias({out}, 3), dy({s.rows, out}, 4);
      Twin<T> y({s.rows, out}, 5), dx({s.rows, s.width}, 6), dweight({out, s.width}, 7), dbias({out}, 8);
      linear_forward<T>(y.fast, x.fast, weight.fast, bias.fast);
      reference::linear_forward<double>(y.exact, x.exact, weight.exact, bias.exact);
      linear_backward_input<T>(dx.fast, dy.fast, weight.fast);
      linear_backward_weight<T>(dweight.fast, dbias.fast, dy.fast, x.fast);
      reference::linear_backward_input<double>(dx.exact, dy.exact, weight.exact);
      reference::linear_backward_weight<double>(dweight.exact, dbias.exact, dy.exact, x.exact);
      CHECK((agree(y, 4) && agree(dx, 4) && agree(dweight, 4) && agree(dbias)));
    }
    Tensor<std::int32_t> ids({s.rows});
    for (std::size_t n = 0; n < s.rows; ++n) ids(n) = static_cast<std::int32_t>(n * n % 5);
    const Twin<T> table({5, s.width}, 1), dx({s.rows, s.width}, 2);
    Twin<T> x({s.rows, s.width}, 3), dtable({5, s.width}, 4);
    embedding_forward<T>(x.fast, table.fast, ids);
    reference::embedding_forward<double>(x.exact, table.exact, ids);
    embedding_backward<T>(dtable.fast, dx.fast, ids);
    reference::embedding_backward<double>(dtable.exact, dx.exact, ids);
    CHECK((agree(x) && agree(dtable)));
  }
}

TEMPLATE_TEST_CASE("cross entropy equals its reference, ignored targets too", "", float, double) {
  using T = TestType;
  for (const Size s : sizes) {
    CAPTURE(s.rows, s.width);
    Tensor<std::int32_t> targets({s.rows});
    for (std::size_t n = 0; n < s.rows; ++n)
      targets(n) = n % 3 == 2 ? ignored_target : static_cast<std::int32_t>(n * 7 % s.width);
    const Twin<T> logits({s.rows, s.width}, 1);
    Twin<T> loss({s.rows}, 2), dlogits({s.rows, s.width}, 3);
    cross_entropy<T>(loss.fast, dlogits.fast, logits.fast, targets, 0.25);
    reference::cross_entropy<double>(loss.exact, dlogits.exact, logits.exact, targets, 0.25);
    if (s.width > 1) CHECK((agree(loss) && agree(dlogits, 4)));
    if (s.width == 1) CHECK((largest(loss.fast) == 0 && largest(dlogits.fast) == 0));
  }
}

TEMPLATE_TEST_CASE("rotary positions equal their reference", "", float, double) {
  using T = TestType;
  for (const std::size_t width : {2u, 8u, 10u, 64u}) {
    CAPTURE(width);
    Tensor<std::int32_t> positions({5});
    for (std::size_t n = 0; n < 5; ++n) positions(n) = static_cast<std::int32_t>(n * 13);
    Twin<T> x({5, 3, width}, 1);
    const std::size_t w = width == 10 ? 6 : width;  // MLA rotates the last part of a head alone
    rope<T>(x.fast, rope_table<T>(60, w, 100.0), positions);
    reference::rope<double>(x.exact, w, 100.0, positions);
    CHECK(agree(x));
  }
}

TEMPLATE_TEST_CASE("mixing of values and depth averages equal their references", "", float, double) {
  using T = TestType;
  for (const Size s : sizes) {
    CAPTURE(s.rows, s.width);
    const Twin<T> own({s.rows, s.width}, 1), first({s.rows, s.width + 2}, 2), lambda({1}, 3), dy({s.rows, s.width}, 4);
    Twin<T> y({s.rows, s.width}, 5), down({s.rows, s.width}, 6), dfirst({s.rows, s.width + 2}, 7), dlambda({1}, 8);
    value_mix_forward<T>(y.fast, own.fast, first.fast, lambda.fast);
    reference::value_mix_forward<double>(y.exact, own.exact, first.exact, lambda.exact);
    value_mix_backward<T>(down.fast, dfirst.fast, dlambda.fast, dy.fast, own.fast, first.fast, lambda.fast);
    reference::value_mix_backward<double>(down.exact, dfirst.exact, dlambda.exact, dy.exact, own.exact, first.exact,
                                          lambda.exact);
    CHECK((agree(y) && agree(down) && agree(dfirst) && agree(dlambda, 16)));
    const Twin<T> x({3, s.rows, s.width}, 9), weights({3}, 10);
    Twin<T> dx({3, s.rows, s.width}, 11), dweights({3}, 12);
    depth_average_forward<T>(y.fast, x.fast, weights.fast);
    reference::depth_average_forward<double>(y.exact, x.exact, weights.exact);
    depth_average_backward<T>(dx.fast, dweights.fast, dy.fast, x.fast, weights.fast);
    reference::depth_average_backward<double>(dx.exact, dweights.exact, dy.exact, x.exact, weights.exact);
    CHECK((agree(y) && agree(dx) && agree(dweights, 16)));
  }
}
