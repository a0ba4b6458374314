#include "skipv1/core/version.hpp"

#include "tests/catch.hpp"

TEST_CASE("the version's numbers are those of its text") {
  CHECK(SKIPV1_VERSION == std::to_string(SKIPV1_VERSION_MAJOR) + '.' + std::to_string(SKIPV1_VERSION_MINOR) + '.' +
                              std::to_string(SKIPV1_VERSION_PATCH));
}
