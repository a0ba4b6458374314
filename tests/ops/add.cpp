#include "skipv1/ops/add.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("add adds, into a third tensor or either input, over several blocks too") {
  for (std::size_t n : {1u, 3u, 63u, 65u, 32769u}) {
    CAPTURE(n);
    const Tensor<float> a = draw<float>({n}, 1), b = draw<float>({n}, 2);
    Tensor<float> y = poisoned<float>({n}), into_a = a, into_b = b;
    add(y, a, b);
    add(into_a, into_a, b);
    add(into_b, a, into_b);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i) wrong += y(i) != a(i) + b(i);
    CHECK(wrong == 0);
    CHECK(same_bits<float>(into_a, y));
    CHECK(same_bits<float>(into_b, y));
  }
}
