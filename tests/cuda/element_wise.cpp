// Operations of one number in, one out.
#include "skipv1/ops/adamw.cuh"
#include "skipv1/ops/add.cuh"
#include "skipv1/ops/add.hpp"
#include "skipv1/ops/gelu.cuh"
#include "skipv1/ops/gelu.hpp"
#include "skipv1/ops/swiglu.cuh"
#include "skipv1/ops/swiglu.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_TEST_CASE("add, gelu and swiglu on the device are those on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(21);
  for (std::size_t n : {1u, 3u, 7u, 31u, 33u, 63u, 64u, 65u, 127u, 129u, 1000u, 1024u}) {
    const auto a = normal<T>({n}, random, 3), b = normal<T>({n}, random), d = normal<T>({n}, random);
    auto y = unwritten<T>({n}), y2 = unwritten<T>({n});
    add<T>(y, a, b, version);
    add<double>(y.host, a.host, b.host);
    check_close("add y", y);

    gelu_forward<T>(y, a, version);
    gelu_forward<double>(y.host, a.host);
    check_close("gelu_forward y", y);
    gelu_backward<T>(y, d, a, version);
    gelu_backward<double>(y.host, d.host, a.host);
    check_close("gelu_backward dx", y);

    swiglu_forward<T>(y, a, b, version);
    swiglu_forward<double>(y.host, a.host, b.host);
    check_close("swiglu_forward y", y);
    swiglu_backward<T>(y, y2, d, a, b, version);
    swiglu_backward<double>(y.host, y2.host, d.host, a.host, b.host);
    check_close("swiglu_backward dgate", y);
    check_close("swiglu_backward dup", y2);
    y2.device = d.device;
    swiglu_backward<T>(y, y2, y2, a, b, version);
    check_close("swiglu_backward dup in place", y2);
  }
}

TEMPLATE_TEST_CASE("what is not finite stays so on the device as on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(23);
  auto a = normal<T>({64}, random), b = normal<T>({64}, random);
  a.host(3) = std::nan(""), a.host(17) = HUGE_VAL, b.host(30) = -HUGE_VAL, b.host(17) = -HUGE_VAL;
  a = both<T>(a.host), b = both<T>(b.host);
  auto y = unwritten<T>({64});
  add<T>(y, a, b, version);
  add<double>(y.host, a.host, b.host);
  CHECK((std::isnan(y.host(3)) && std::isnan(y.host(17)) && y.host(30) == -HUGE_VAL));
  check_close("add y", y);
  const auto gate = normal<T>({64}, random);  // xsimd's exp converts to integers, which NaN has none of
  swiglu_forward<T>(y, gate, a, version);
  swiglu_forward<double>(y.host, gate.host, a.host);
  check_close("swiglu_forward y", y);
}

TEST_CASE("operations on nothing do nothing", "[cuda]") {
  const Tensor<float, Device> none({0, 8});
  add<float>(none, none, none);
  gelu_forward<float>(none, none);
  swiglu_forward<float>(none, none, none);
  CHECK(norm<float>(View<float, Device>(none)) == 0);
}

TEMPLATE_TEST_CASE("adamw and norm on the device are those on the CPU", "[cuda]", float, double, bfloat16) {
  using T = TestType;
  const Version version = GENERATE(Version::first, Version::fast);
  Random random(22);
  for (std::size_t n : {1u, 3u, 7u, 31u, 33u, 63u, 64u, 65u, 127u, 129u, 3000u}) {
    auto p = normal<T>({n}, random);
    auto m = normal<Sum<T>>({n}, random, 0.1), v = normal<Sum<T>>({n}, random, 0.1);
    const auto g = normal<T>({n}, random);
    for (std::size_t i = 0; i < n; ++i) v.host.data()[i] *= v.host.data()[i];
    v = both<Sum<T>>(v.host);
    AdamW settings;
    settings.learning_rate = 0.1;
    adamw<T>(p, m, v, g, settings, 3, n / 2, 0.7, version);
    adamw<double>(p.host, m.host, v.host, g.host, settings, 3, n / 2, 0.7);
    check_close("adamw parameters", p);
    check_close("adamw m", m, bound<Sum<T>>);
    check_close("adamw v", v, bound<Sum<T>>);
    const double want = norm<double>(g.host);
    const double got = norm<T>(g.device);
    CHECK(got == Approx(want).epsilon(1e-12));
    Errors::all().add("norm", dtype_name<T>, std::abs(got - want) / want);

    auto rounded = normal<T>({n}, random);
    auto master = normal<Sum<T>>({n}, random);
    if constexpr (!std::is_same_v<T, Sum<T>>) {
      adamw<T>(rounded, master, m, v, g, settings, 4, n / 2, 0.7, version);
      adamw<double>(master.host, m.host, v.host, g.host, settings, 4, n / 2, 0.7);
      copy(rounded.host, View<const double>(master.host));
      check_close("adamw copy in float", master, bound<Sum<T>>);
      check_close("adamw parameters rounded from it", rounded);
    }
  }
}
