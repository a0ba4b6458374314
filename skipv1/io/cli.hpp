// The command line of every program: options, read strictly, and errors as one line. CLI11 reads it, which takes seconds to
// compile: once, in instances/cli.cpp. Whoever uses this header outside this tree compiles that file too.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace skipv1 {

/// A rule about an option's text: `test` says why the text breaks it, "" if it does not; in `transform` it may change the text.
/// `words` stand in --help.
struct OptionRule {
  std::function<std::string(std::string& text)> test;
  std::string words;
};

/// An option of a `CommandLine`, which owns it. Each function is CLI11's of that name, and returns this option.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option* required();
  Option* capture_default_str();  ///< the variable's value, as it is now, stands in --help
  Option* check(const OptionRule& rule);
  Option* transform(const OptionRule& rule);  ///< before all checks
  Option* expected(int values);
  Option* delimiter(char between_values);
  Option* option_text(const std::string& words);  ///< what stands for a value in --help
  Option* needs(const Option* other);
  Option* excludes(const Option* other);
  Option* excludes(const std::string& other);  ///< an option that was added before
  Option* may_be_empty();     ///< else an empty text, such as that of a shell's variable that is not set, is refused
  std::size_t count() const;  ///< how often it was given

 private:
  friend class CommandLine;
  CLI::Option* option_;
  bool may_be_empty_ = false;
};

class CommandLine;
namespace detail {
using Body = std::function<int()>;
using OnError = std::function<int(const std::string& message)>;
int run_program(CommandLine& line, int argc, char** argv, const Body& body, OnError error);
}  // namespace detail

/// The options of a program, or of a subcommand. Each function is CLI11's of that name.
class CommandLine {
 public:
  explicit CommandLine(const std::string& description = {});

  /// `T`: std::string, int, std::size_t, std::uint64_t, double, or a vector of one of them but int.
  template <class T>
  Option* add_option(const std::string& name, T& value, const std::string& help = {});
  Option* add_flag(const std::string& name, bool& value, const std::string& help = {});
  CommandLine* add_subcommand(const std::string& name, const std::string& help = {});
  void require_subcommand(int count);

  /// Null where there is none of that name.
  const Option* get_option_no_throw(const std::string& name) const;
  /// How often an option was given.
  std::size_t count(const std::string& name) const;
  /// Whether this subcommand was given.
  explicit operator bool() const;

  CLI::App& cli11() { return *app_; }

 private:
  friend int detail::run_program(CommandLine&, int, char**, const detail::Body&, detail::OnError);
  explicit CommandLine(CLI::App* subcommand);
  void refuse_empty_texts() const;
  Option* own(CLI::Option* option) { return &options_.emplace_back(option); }
  std::shared_ptr<CLI::App> app_;
  std::list<Option> options_;
  std::list<CommandLine> subcommands_;
};

/// The option --threads of every program that computes. `use_threads(threads)` (core/thread_limit.hpp) checks and sets them.
Option* add_threads_option(CommandLine& app, int& threads);

namespace detail {

OptionRule in_range_of_counts(std::int64_t least, std::int64_t most);
OptionRule in_range_of_numbers(double least, double most);

/// `body` as a function that returns a status.
template <class F>
Body with_status(const F& body) {
  if constexpr (std::is_void_v<decltype(body())>)
    return [&body] { return body(), 0; };
  else
    return [&body]() -> int { return body(); };
}

}  // namespace detail

/// Accepts counts or numbers from `least` to `most`: `->check(in_range(1, 16))`.
template <class T>
OptionRule in_range(T least, T most) {
  if constexpr (std::is_floating_point_v<T>)
    return detail::in_range_of_numbers(least, most);
  else
    return detail::in_range_of_counts(static_cast<std::int64_t>(least), static_cast<std::int64_t>(most));
}
/// Accepts counts and numbers from `least` on.
OptionRule at_least(std::int64_t least);
/// Accepts numbers above `bound`.
OptionRule above(double bound);
/// Accepts these texts.
OptionRule one_of(const std::vector<std::string>& texts);
/// Accepts the path of a folder that is there.
OptionRule existing_folder();
/// For `->transform(…)`: an argument in lower case, or in upper case, before other checks see it: F64 and f64 are one scalar.
OptionRule lower_case();
OptionRule upper_case();

/// Parses the arguments into `line`, runs `body()` and returns the exit status: what `body` returns (0 if nothing), 0 after
/// `--help` and `--version`, and 2 after any error, which becomes the line `program: message` on standard error. Numbers are
/// decimal and in their type's range, or refused; so are values that a list has twice. `error(message)` takes the line of an
/// error elsewhere and returns the status.
template <class Body>
int run_program(CommandLine& line, int argc, char** argv, const Body& body, const detail::OnError& error = {}) {
  return detail::run_program(line, argc, argv, detail::with_status(body), error);
}

}  // namespace skipv1
