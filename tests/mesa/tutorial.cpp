// Every number of tutorial 04's text is in the output saved beside it.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/catch.hpp"

namespace {

/// The numbers with four decimals in a file of the tutorial.
std::set<std::string> numbers(const std::string& name) {
  std::ifstream file("tutorials/04-mesa-theorem/" + name);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::regex number("-?[0-9]+\\.[0-9]{4}");
  return {std::sregex_token_iterator(text.begin(), text.end(), number), std::sregex_token_iterator()};
}

}  // namespace

TEST_CASE("the numbers of tutorial 04 are those of its saved output") {
  const std::set<std::string> text = numbers("README.md");
  std::set<std::string> output = numbers("output.txt");
  output.merge(numbers("output-w0.txt"));
  CHECK(text.size() > 50);
  for (const std::string& number : text) {
    CAPTURE(number);
    CHECK(output.count(number) == 1);
  }
}
