#include "skipv1/programs/spread.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("intervals of 95 % are Student's: of one number infinite, of many about 1.96 standard errors") {
  CHECK(std::isinf(half_interval({1.0})));
  CHECK(half_interval({1, 3}) == Approx(12.706));                           // deviation sqrt(2), over sqrt(2)
  CHECK(half_interval({1, 2, 3, 4, 5}) == Approx(2.776 * std::sqrt(0.5)));  // deviation sqrt(5/2), over sqrt(5)
  CHECK(half_interval({2, 2, 2}) == 0);
  std::vector<double> many;
  for (int i = 0; i < 200; ++i) many.push_back(i % 2);
  CHECK(half_interval(many) == Approx(1.972 * deviation(many) / std::sqrt(200)).epsilon(1e-3));
}
