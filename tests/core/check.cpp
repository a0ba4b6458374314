#include "skipv1/core/check.hpp"

#include <cmath>
#include <limits>

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

TEST_CASE("a number that breaks a rule by little does not look as if it kept it") {
  const auto line = [](auto x) { return test::message([x] { fail(x); }); };
  CHECK(line(1.0) == "1");
  CHECK(line(1.0000000001) == "1.0000000001");
  CHECK(line(-0.99999999999) == "-0.99999999999");
  CHECK(line(1 + 0x1p-52) == "1.0000000000000002");
  CHECK(line(1e-5) == "1e-05");
  CHECK(line(2.0 / 3) == "0.666667");  // looks like none of its neighbours
  CHECK(line(0.0) == "0");
  CHECK(line(0.5f) == "0.5");
  CHECK(line(0.1f) == "0.1");
  CHECK(line(1 + 0x1p-23f) == "1.0000001");
  CHECK(line(static_cast<double>(3.4e38f)) == "3.4e+38");
  CHECK(line(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(line(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(line(std::numeric_limits<double>::quiet_NaN()) == "nan");
  for (int exponent = -300; exponent <= 300; exponent += 7)  // what reads back as another number has six digits or more
    for (const double x : {1.0000001, 1.5, 2.000000000001, 9.9999999}) {
      const double value = x * std::pow(10, exponent);
      const std::string text = line(value);
      CHECK((std::stod(text) == value || text.find_first_of("e") >= 7));
    }
}
