#include "skipv1/io/cli.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <sstream>

#include "skipv1/core/check.hpp"
#include "skipv1/core/version.hpp"
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
  CommandLine app("Counts.");
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

TEST_CASE(
    "an option that breaks a rule of its own is named with the rule; one that is empty is said to be empty, whatever its rule") {
  const auto line_of = [](const OptionRule& rule, std::string value) {
    std::string program = "/somewhere/program", option = "--option", text;
    char* argv[] = {program.data(), option.data(), value.data(), nullptr};
    CommandLine app("Has an option.");
    app.add_option("--option", text, "what")->check(rule);
    const Captured error(std::cerr);
    CHECK(run_program(app, 3, argv, [] {}) == 2);
    return error.text();
  };
  const std::vector<std::string> scalars = {"f64", "f32", "bf16"};
  CHECK(line_of(one_of(scalars), "f16") == "program: --option: f16: must be f64, f32 or bf16\n");
  CHECK(line_of(existing_folder(), "/no/folder") == "program: --option: /no/folder: there is no such folder\n");
#ifdef __unix__
  const std::string long_name(300, 'x');
  CHECK(line_of(existing_folder(), long_name) == "program: --option: " + long_name + ": cannot be read: File name too long\n");
#endif
  CHECK(line_of(existing_folder(), "/dev/null") == "program: --option: /dev/null: must be a folder\n");
  for (const OptionRule& rule : {one_of(scalars), existing_folder(), at_least(1), in_range(1, 2), above(0)})
    CHECK(line_of(rule, "") == "program: --option is empty\n");
}

TEST_CASE("an empty text after = is one, and takes no other argument's place") {
  const auto given = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/somewhere/program");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    CommandLine app("Has options.");
    std::string text = "default", title = "default", file, count;
    bool flag = false;
    app.add_option("file", file);
    app.add_option("--text", text);
    app.add_option("--title", title)->may_be_empty();
    app.add_flag("--flag", flag);
    app.add_subcommand("sub")->add_option("--count", count);
    const Captured error(std::cerr);
    const int status = run_program(app, static_cast<int>(argv.size()), argv.data(), [] {});
    return status ? error.text() : file + "," + text + "," + title + (flag ? ",flag" : "");
  };
  CHECK(given({"--text=", "a"}) == "program: --text is empty\n");
  CHECK(given({"--text=", "--title", "b"}) == "program: --text is empty\n");
  CHECK(given({"--title=", "a"}) == "a,default,");
  CHECK(given({"a", "--title="}) == "a,default,");
  CHECK(given({"--title", "b=", "--text=c=", "a"}) == "a,c=,b=");
  CHECK(given({"--flag=", "--", "--text="}) == "--text=,default,default,flag");
  CHECK(given({"sub", "--count="}) == "program: --count is empty\n");
}

TEST_CASE("where a list has taken the argument that is missing, it is named") {
  const auto line_of = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/somewhere/program");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    CommandLine app("Has options.");
    std::vector<std::string> files, names;
    app.add_option("files", files)->required();
    app.add_option("--names", names);
    bool flag = false;
    app.add_flag("--flag", flag);
    const Captured error(std::cerr);
    CHECK(run_program(app, static_cast<int>(argv.size()), argv.data(), [] {}) == 2);
    return error.text();
  };
  CHECK(line_of({"--names", "a", "b", "--flag"}) == "program: files is required; --names has all up to the next option: a b\n");
  CHECK(line_of({"--names", "a"}) == "program: files is required\n");
  CHECK(line_of({}) == "program: files is required\n");
}

TEST_CASE("options with too few values, and flags with one, are refused in words of ours") {
  const auto line_of = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/somewhere/program");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    CommandLine app("Has options.");
    std::vector<double> range;
    std::string text;
    bool flag = false;
    app.add_option("--range", range)->expected(2);
    app.add_option("--text", text);
    app.add_flag("--flag", flag);
    const Captured error(std::cerr);
    CHECK(run_program(app, static_cast<int>(argv.size()), argv.data(), [] {}) == 2);
    return error.text();
  };
  CHECK(line_of({"--text"}) == "program: --text: a value is missing\n");
  CHECK(line_of({"--range"}) == "program: --range: a value is missing\n");
  CHECK(line_of({"--range", "1"}) == "program: --range: 2 values are needed, 1 is there\n");
  CHECK(line_of({"--flag=maybe"}) == "program: --flag: takes no value\n");
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
  const std::string memory = "out of memory: what is asked for needs more than there is";
  CHECK(says(run({}, [](int) { throw std::bad_alloc(); }), memory));
  CHECK(says(run({}, [](int) { const std::vector<int> huge(std::numeric_limits<std::size_t>::max()); }), memory));
  CHECK(says(run({}, [](int) { throw std::out_of_range("far"); }),
             "a fault of this program, please report it with the command: far"));
  CHECK(says(run({}, [](int) { std::filesystem::create_directory("no/such"); }), "no/such: No such file or directory"));
  CHECK(says(run({}, [](int) { fail("column \"\xef\xbb\xbfstep\", \xff, \x1b[31m"); }),
             "column \"<U+FEFF>step\", \\xff, <U+001B>[31m"));
  const Outcome unknown = run({"--many"}, [](int) {});
  CHECK((unknown.status == 2 && unknown.error.starts_with("program: ") && unknown.error.find("--many") != std::string::npos));
  CHECK(run({"--count", "many"}, [](int) {}).status == 2);
  CHECK(says(run({"--some", "words", "more"}, [](int) {}), "The following arguments were not expected: --some words more"));
}

namespace {

/// What a program with options of all kinds says to `arguments`; "" if it takes them.
std::string refusal(std::vector<std::string> arguments, std::uint64_t* seed = nullptr) {
  arguments.insert(arguments.begin(), "program");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  CommandLine app;
  CommandLine* sub = app.add_subcommand("sub");
  std::size_t count = 0;
  int threads = 0;
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> names;
  std::vector<double> range;
  std::vector<double> peaks;
  double number = 0;
  app.add_option("--peaks", peaks);
  app.add_option("--count", count)->check(in_range(0, 16));
  app.add_option("--seeds", seeds)->delimiter(',');
  app.add_option("--names", names);
  app.add_option("--number", number);
  app.add_option("--range", range)->expected(2);
  app.add_option("--threads", threads)->check(at_least(0));
  sub->add_option("--count", count);
  const Captured out(std::cout), error(std::cerr);
  const int status = run_program(app, static_cast<int>(argv.size()), argv.data(), [] {});
  const std::string line = error.text();
  CHECK((status == 0 ? line.empty() : status == 2 && std::count(line.begin(), line.end(), '\n') == 1 && line.size() < 120));
  if (seed && !seeds.empty()) *seed = seeds[0];
  return line.empty() ? out.text() : line.substr(9, line.size() - 10);
}

}  // namespace

TEST_CASE("counts are decimal, whole and in range") {
  std::uint64_t seed = 0;
  CHECK((refusal({"--seeds", "010"}, &seed) == "" && seed == 10));
  CHECK((refusal({"--seeds", "08"}, &seed) == "" && seed == 8));
  CHECK((refusal({"--seeds", "18446744073709551615"}, &seed) == "" && seed + 1 == 0));
  const std::string most = ": must be at most 18446744073709551615", whole = ": must be a whole number in decimal";
  CHECK(refusal({"--seeds", "18446744073709551616"}) == "--seeds: 18446744073709551616" + most);
  for (const char* text : {"0x10", "1e3", "1.0", "+1", " 1", "1 ", "1k", "one", "1_000"})
    CHECK(refusal({std::string("--seeds=") + text}).ends_with(whole));
  CHECK(refusal({"--count", ""}) == "--count: \"\"" + whole);
  CHECK(refusal({"--count", "17"}) == "--count: 17: must be 0 to 16");
  CHECK(refusal({"--threads", "-1"}) == "--threads: -1: must be at least 0");
  CHECK(refusal({"--threads", "2147483648"}) == "--threads: 2147483648: must be at most 2147483647");
}

TEST_CASE("a negative count is refused, in subcommands and lists too; a negative number is not") {
  CHECK(refusal({"--count", "1", "--seeds", "1", "2", "--number", "-1"}) == "");
  CHECK(refusal({"--count", "-1"}) == "--count: -1: must not be negative");
  CHECK(refusal({"--seeds", "1", "-1"}) == "--seeds: -1: must not be negative");
  CHECK(refusal({"sub", "--count", "1"}) == "");
  CHECK(refusal({"sub", "--count", "-1"}) == "--count: -1: must not be negative");
}

TEST_CASE("numbers are finite and decimal") {
  CHECK(refusal({"--number", "-1.5e-3", "--range", "1", "1"}) == "");
  for (const char* text : {"nan", "inf", "-inf", "0x1p3", "1,5", "1 "})
    CHECK(refusal({std::string("--number=") + text}).ends_with(": must be a finite number in decimal"));
  CHECK(refusal({"--number", "1e999"}) == "--number: \"1e999\": has no room in float64");
}

TEST_CASE("a list is a set") {
  CHECK(refusal({"--names", "mha", "skipv1", "--seeds", "1,2"}) == "");
  CHECK(refusal({"--names", "mha", "skipv1", "skipv1"}) == "--names: skipv1 is there twice");
  CHECK(refusal({"--names", "runs/a", "runs/./a/"}) == "--names: runs/./a/ is there twice");
  CHECK(refusal({"--seeds", "1,1"}) == "--seeds: 1 is there twice");
  CHECK(refusal({"--seeds", "0", "00"}) == "--seeds: 0 is there twice");
  CHECK(refusal({"--peaks", "1e-3", "0.0010"}) == "--peaks: 0.001 is there twice");
  CHECK(refusal({"--seeds", "1", "--seeds", "01"}) == "--seeds: 1 is there twice");
}

TEST_CASE("an option is given once") { CHECK(refusal({"--count", "1", "--count", "2"}) == "--count: is there more than once"); }

TEST_CASE("every program has its version") { CHECK(refusal({"--version"}) == "skipv1 " SKIPV1_VERSION "\n"); }

TEST_CASE("output that is lost is an error") {
  const Outcome lost = run({}, [](int) { std::cout.setstate(std::ios::badbit); });
  std::cout.clear();
  CHECK((lost.status == 2 && lost.error == "program: standard output cannot be written\n"));
}
