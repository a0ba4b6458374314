// What learning a toy model takes at least.
#include "skipv1/programs/mesa/experiment.hpp"

#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

TEST_CASE("the least bytes of a toy model are those of its numbers, its moments and its largest pass") {
  Setting s;
  ToyModel m;
  m.attention = variant("skipv1");
  s.recipe.batch = 1, s.test = 1;
  const double one = least_bytes(m, s);
  const double learned = static_cast<double>(stack_layout(config_of(m, s)).count() + m.width * (3 * s.task.dim + 2));
  CHECK(one > 4 * 4 * learned);
  s.recipe.batch = 2;
  const double row = least_bytes(m, s) - one;
  CHECK(row > 0);
  s.test = 5;  // the test prompts are more than a batch
  CHECK(least_bytes(m, s) == one + 4 * row);
  m.width = 400;
  CHECK(least_bytes(m, s) > 50 * one);
}
