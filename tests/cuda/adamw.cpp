#include "skipv1/ops/adamw.cuh"

#include "skipv1/ops/adamw.hpp"
#include "tests/cuda/pair.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEMPLATE_LIST_TEST_CASE("adamw and norm on the device equal their references", "[cuda]", Scalars) {
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
    reference::adamw<double>(p.host, m.host, v.host, g.host, settings, 3, n / 2, 0.7);
    check_close("adamw parameters", p);
    check_close("adamw m", m, bound<Sum<T>>);
    check_close("adamw v", v, bound<Sum<T>>);
    const double want = reference::norm<double>(g.host);
    const double got = norm<T>(g.device);
    CHECK(got == Approx(want).epsilon(1e-12));
    Errors::all().add("norm", dtype_name<T>, std::abs(got - want) / want);

    auto rounded = normal<T>({n}, random);
    auto master = normal<Sum<T>>({n}, random);
    if constexpr (!std::is_same_v<T, Sum<T>>) {
      adamw<T>(rounded, master, m, v, g, settings, 4, n / 2, 0.7, version);
      reference::adamw<double>(master.host, m.host, v.host, g.host, settings, 4, n / 2, 0.7);
      copy(rounded.host, View<const double>(master.host));
      check_close("adamw master", master, bound<Sum<T>>);
      check_close("adamw parameters, master rounded", rounded);
    }
  }
}

TEST_CASE("the norm of nothing is zero", "[cuda]") {
  const Tensor<float, Device> none({0, 8});
  CHECK(norm<float>(View<float, Device>(none)) == 0);
}
