#include "skipv1/core/check.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;

TEST_CASE("fail throws its parts as one line") {
  CHECK(test::message([] { fail("head ", 3u, " of ", std::string("layer"), ' ', 0.5); }) == "head 3 of layer 0.5");
  CHECK_THROWS_AS(fail("x"), std::runtime_error);
}

TEST_CASE("require throws when its rule is broken, and only then") {
  CHECK_NOTHROW(require(true, "never"));
  CHECK_THROWS_AS(require(false, "always"), Error);
  CHECK(test::message([] { require(1 > 2, 1, " > ", 2); }) == "1 > 2");
}
