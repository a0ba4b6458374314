#include "skipv1/io/cli.hpp"

#include <sstream>

#include "skipv1/core/check.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// A stream's text while this lives.
class Captured {
 public:
  explicit Captured(std::ostream& stream) : stream_(stream), kept_(stream.rdbuf(text_.rdbuf())) {}
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() { stream_.rdbuf(kept_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostream& stream_;
  std::ostringstream text_;
  std::streambuf* kept_;
};

struct Outcome {
  int status;
  std::string out, error;
};

template <class Body>
Outcome run(std::vector<std::string> arguments, const Body& body) {
  arguments.insert(arguments.begin(), "/somewhere/program");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  CLI::App app("Counts.");
  int count = 0;
  app.add_option("--count", count, "how many");
  const Captured out(std::cout), error(std::cerr);
  const int status = run_program(app, static_cast<int>(argv.size()), argv.data(), [&] { return body(count); });
  return {status, out.text(), error.text()};
}

}  // namespace

TEST_CASE("a program that works gives the status of its body") {
  CHECK(run({"--count", "3"}, [](int count) { return count; }).status == 3);
  const Outcome silent = run({}, [](int) {});
  CHECK((silent.status == 0 && silent.out.empty() && silent.error.empty()));
}

TEST_CASE("help is no error") {
  const Outcome help = run({"--help"}, [](int) { fail("not reached"); });
  CHECK((help.status == 0 && help.error.empty()));
  CHECK(help.out.find("--count") != std::string::npos);
}

TEST_CASE("every error is one line and status 2") {
  const auto says = [](const Outcome& outcome, const std::string& line) {
    UNSCOPED_INFO(outcome.error);
    return outcome.status == 2 && outcome.out.empty() && outcome.error == "program: " + line + "\n";
  };
  CHECK(says(run({}, [](int) { fail("x.npy: not ", 2, "\nlines"); }), "x.npy: not 2 lines"));
  CHECK(says(run({}, [](int) { throw std::bad_alloc(); }), "out of memory"));
  CHECK(says(run({}, [](int) { throw std::out_of_range("far"); }), "far"));
  const Outcome unknown = run({"--many"}, [](int) {});
  CHECK((unknown.status == 2 && unknown.error.starts_with("program: ") && unknown.error.find("--many") != std::string::npos));
  CHECK(run({"--count", "many"}, [](int) {}).status == 2);
}

TEST_CASE("a negative count is refused, in subcommands and lists too; a negative number is not") {
  const auto status = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    CLI::App app;
    CLI::App* sub = app.add_subcommand("sub");
    std::size_t count = 0;
    std::vector<std::uint64_t> list;
    double number = 0;
    app.add_option("--count", count);
    app.add_option("--list", list);
    app.add_option("--number", number);
    sub->add_option("--count", count);
    const Captured error(std::cerr);
    const int result = run_program(app, static_cast<int>(argv.size()), argv.data(), [] {});
    CHECK((result == 0 || error.text().find("-1: must not be negative") != std::string::npos));
    return result;
  };
  CHECK(status({"--count", "1", "--list", "1", "2", "--number", "-1"}) == 0);
  CHECK(status({"--count", "-1"}) == 2);
  CHECK(status({"--list", "1", "-1"}) == 2);
  CHECK(status({"sub", "--count", "1"}) == 0);
  CHECK(status({"sub", "--count", "-1"}) == 2);
}

TEST_CASE("output that is lost is an error") {
  const Outcome lost = run({}, [](int) { std::cout.setstate(std::ios::badbit); });
  std::cout.clear();
  CHECK((lost.status == 2 && lost.error == "program: standard output cannot be written\n"));
}
