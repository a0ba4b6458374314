#include "skipv1/training/schedule.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("the rate rises linearly to its peak, then falls along half a cosine to its floor") {
  const Schedule s{100, 2.0, 0.1, 0.25};
  for (std::size_t i = 0; i < 10; ++i) CHECK(s.rate(i) == Approx(2.0 * static_cast<double>(i + 1) / 10));
  CHECK(s.rate(10) == Approx(2.0));
  CHECK(s.rate(55) == Approx(2.0 * (0.25 + 0.75 / 2)));                                           // half way down
  CHECK(s.rate(40) == Approx(2.0 * (0.25 + 0.75 * 0.5 * (1 + std::cos(std::numbers::pi / 3)))));  // a third
  CHECK(s.rate(100) == Approx(0.5));
  for (std::size_t i = 10; i < 100; ++i) CHECK(s.rate(i + 1) < s.rate(i));
}

TEST_CASE("a schedule without warm-up starts at its peak; one of a single step is its peak") {
  CHECK(Schedule{50, 3.0, 0, 0}.rate(0) == Approx(3.0));
  CHECK(Schedule{50, 3.0, 0, 0}.rate(50) == Approx(0).margin(1e-12));
  CHECK(Schedule{1, 3.0, 0.1, 0.1}.rate(0) == Approx(3.0));
  CHECK(Schedule{4, 3.0, 1, 0.1}.rate(3) == Approx(3.0));  // nothing but warm-up
}
