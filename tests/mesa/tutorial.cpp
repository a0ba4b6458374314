// Every number of the texts of tutorials 04 and 05 is in the output saved beside them.
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/catch.hpp"

namespace {

/// The numbers with four decimals in a file of a tutorial.
std::set<std::string> numbers(const std::string& name) {
  std::ifstream file("tutorials/" + name);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::regex number("-?[0-9]+\\.[0-9]{4}");
  return {std::sregex_token_iterator(text.begin(), text.end(), number), std::sregex_token_iterator()};
}

void check_text(const std::string& tutorial, const std::set<std::string>& output) {
  const std::set<std::string> text = numbers(tutorial + "/README.md");
  CHECK(text.size() > 50);
  for (const std::string& number : text) {
    CAPTURE(number);
    CHECK(output.count(number) == 1);
  }
}

}  // namespace

TEST_CASE("the numbers of tutorial 04 are those of its saved output") {
  std::set<std::string> output = numbers("04-mesa-theorem/output.txt");
  output.merge(numbers("04-mesa-theorem/output-w0.txt"));
  check_text("04-mesa-theorem", output);
}

TEST_CASE("the numbers of tutorial 05 are those of its saved output") {
  std::set<std::string> output = numbers("05-mesa-learned/output.txt");
  output.merge(numbers("05-mesa-learned/output-thirty.txt"));
  check_text("05-mesa-learned", output);
}
