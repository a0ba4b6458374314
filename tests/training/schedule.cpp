#include "skipv1/training/schedule.hpp"

#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("the rate rises linearly to its peak, then falls along half a cosine to its floor") {
  const Schedule s{101, 2.0, 0.1, 0.25};
  CHECK(s.warm_up_steps() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(s.rate(i) == Approx(2.0 * static_cast<double>(i + 1) / 10));
  const Schedule even{100, 2.0, 0.1, 0.25};                                                          // 90 steps down
  CHECK(even.rate(54) == Approx(2.0 * (0.25 + 0.75 / 2)));                                           // half way
  CHECK(even.rate(39) == Approx(2.0 * (0.25 + 0.75 * 0.5 * (1 + std::cos(std::numbers::pi / 3)))));  // a third
  for (std::size_t i = 9; i < 99; ++i) CHECK(even.rate(i + 1) < even.rate(i));
}

TEST_CASE("no step is above the peak, one has it, and the last step is at the floor, whatever share of the steps is warm-up") {
  for (const double warm_up : {0.0, 0.05, 0.07, 0.1, 0.3, 0.5, 0.9})
    for (std::size_t steps = 2; steps <= 130; ++steps) {
      const Schedule s{steps, 3.0, warm_up, 0.1};
      if (s.warm_up_steps() == steps) continue;  // nothing but warm-up
      INFO(warm_up << " of " << steps << " steps");
      std::size_t at_peak = 0;
      for (std::size_t i = 0; i < steps; ++i) {
        REQUIRE((s.rate(i) > 0 && s.rate(i) <= 3.0));
        at_peak += s.rate(i) == 3.0;
      }
      REQUIRE(at_peak == 1);
      REQUIRE(s.rate(steps - 1) == 3.0 * 0.1);
      REQUIRE(s.rate(0) == Approx(3.0 / static_cast<double>(s.warm_up_steps())));
    }
}

TEST_CASE("the shares that once gave fractions of a step") {
  CHECK(Schedule{11, 1.0, 0.1, 0.1}.rate(1) < 1);  // was 1.82
  CHECK(Schedule{15, 1.0, 0.1, 0.1}.rate(1) == Approx(1));
  CHECK(Schedule{100, 1.0, 0.07, 0.1}.warm_up_steps() == 7);  // 0.07 times 100 is above 7 in doubles
  CHECK(Schedule{100, 1.0, 0.07, 0.1}.rate(7) < 1);
}

TEST_CASE("a schedule without warm-up starts at its peak; one of a single step is its peak") {
  CHECK(Schedule{50, 3.0, 0, 0}.rate(0) == 3.0);
  CHECK(Schedule{50, 3.0, 0, 0}.rate(49) == 0);
  CHECK(Schedule{1, 3.0, 0.1, 0.1}.rate(0) == 3.0);
  CHECK(Schedule{4, 3.0, 1, 0.1}.rate(3) == 3.0);  // nothing but warm-up
}
