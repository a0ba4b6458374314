#include "skipv1/io/json.hpp"

#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

TEST_CASE("a NUL byte ends no JSON: wherever it stands, the text is refused") {
  const std::string text = R"({"a": [1, "b"], "c": {"d": null}} )";
  CHECK_NOTHROW(parse_json(text));
  for (std::size_t at = 0; at <= text.size(); ++at) {
    const std::string with = text.substr(0, at) + '\0' + text.substr(at);
    CHECK(error_of([&] { parse_json(with); }) == "not JSON: byte " + std::to_string(at) + " is NUL");
  }
  CHECK(error_of([&] { parse_json(text + '\0' + "{\"garbage\": ["); }) ==
        "not JSON: byte " + std::to_string(text.size()) + " is NUL");
}
