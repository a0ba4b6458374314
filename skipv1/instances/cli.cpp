// The command line of every program (io/cli.hpp), by CLI11.
#include "skipv1/io/cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <new>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "skipv1/core/check.hpp"
#include "skipv1/core/number.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/core/unfinished.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/core/version.hpp"
#include "skipv1/core/wait_policy.hpp"
#include "skipv1/io/standard_streams.hpp"

namespace skipv1 {

namespace {

/// Why `text` as a whole is no number of type `T` in decimal; empty if it is one. CLI11 by itself reads numbers as C does: 010
/// is 8 there, 08 none, 0x10 is 16, and what has no room in `T` saturates.
template <class T>
std::string why_no_number(std::string_view text, T& value) {
  const std::string quoted = '"' + std::string(text) + '"';
  const auto [end, error] = read_number(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && !text.empty();
  if constexpr (std::is_floating_point_v<T>) {
    if (error == std::errc::result_out_of_range) return quoted + ": has no room in float64";
    return whole && error == std::errc() && std::isfinite(value) ? "" : quoted + ": must be a finite number in decimal";
  } else {
    const bool digits = text.substr(text.starts_with('-')).find_first_not_of("0123456789") == text.npos;
    if (digits && text.size() > 1 && text.starts_with('-') && std::is_unsigned_v<T>)
      return std::string(text) + ": must not be negative";
    if (digits && error == std::errc::result_out_of_range)
      return std::string(text) + (text.starts_with('-') ? ": must be at least " : ": must be at most ") +
             std::to_string(text.starts_with('-') ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max());
    return whole && error == std::errc() ? "" : quoted + ": must be a whole number in decimal";
  }
}

template <class T>
CLI::Validator number_validator() {
  return {[](std::string& text) {
            T value{};
            std::string why = why_no_number<T>(text, value);
            char digits[32];  // one form for one value; 010, which CLI11 would read as 8, is 10
            if (why.empty()) text.assign(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
            return why;
          },
          ""};
}

/// Puts the check of numbers before all others that an option has, in subcommands, too.
void read_numbers_strictly(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (type.starts_with("UINT")) option->transform(number_validator<std::uint64_t>());
    if (type.starts_with("INT")) option->transform(number_validator<int>());
    if (type.starts_with("FLOAT")) option->transform(number_validator<double>());
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) read_numbers_strictly(*command);
}

/// `text` with the parts of a path, if it is one, written in one way.
std::string list_key(const std::string& text) {
  if (text.find_first_of("/\\") == text.npos) return text;
  const std::filesystem::path path = std::filesystem::path(text).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

/// A list is a set: throws if a value is in one twice.
void refuse_repeated_values(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_expected_max() < CLI::detail::expected_max_vector_size) continue;
    std::set<std::string> seen;
    for (const std::string& text : option->results())
      require(seen.insert(list_key(text)).second, option->get_name(), ": ", text, " is there twice");
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) refuse_repeated_values(*command);
}

/// Calls `task` with every option of `app` and of its subcommands.
template <class Task>
void each_option(const CLI::App& app, const Task& task) {
  for (const CLI::Option* option : app.get_options()) task(*option);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) each_option(*command, task);
}

/// Parses the arguments. "--name=", as of a shell's variable that is not set, is "--name" and an empty text: CLI11 would take the
/// next argument, another option's or a file's, for its value.
void parse(CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv, argv + argc);
  bool names = true;
  for (std::size_t i = 1; i < arguments.size() && (names = names && arguments[i] != "--"); ++i) {
    if (!arguments[i].starts_with("--") || arguments[i].find('=') != arguments[i].size() - 1) continue;
    const std::string name = arguments[i].substr(0, arguments[i].size() - 1);
    bool takes_value = false;
    each_option(app,
                [&](const CLI::Option& o) { takes_value = takes_value || (o.check_name(name) && o.get_expected_max() > 0); });
    if (!takes_value) continue;
    arguments[i] = name;
    arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(++i), "");
  }
  std::vector<char*> all;
  for (std::string& argument : arguments) all.push_back(argument.data());
  app.parse(static_cast<int>(all.size()), all.data());
}

/// What may have taken an argument without a name that is missing: a list, which takes all up to the next option.
std::string taken_by_lists(const CLI::App& app) {
  std::string line;
  each_option(app, [&](const CLI::Option& option) {
    const bool list = option.get_expected_max() >= CLI::detail::expected_max_vector_size && !option.get_positional();
    if (!list || option.results().size() < 2) return;
    line += "; " + option.get_name() + " has all up to the next option:";
    for (const std::string& text : option.results()) line += ' ' + text;
  });
  return line;
}

/// CLI11's line about arguments, in our words where it has none of its own. Arguments that nobody expects stand in their order,
/// and before what is missing; a missing subcommand is one of those that there are.
std::string line_of(const CLI::ParseError& e, const CLI::App& app) {
  std::string line = e.what();
  const std::vector<std::string> unknown = app.remaining(true);
  const bool no_subcommand = app.get_require_subcommand_min() > 0 && app.get_subcommands().empty();
  if (!unknown.empty() && !no_subcommand &&
      (dynamic_cast<const CLI::ExtrasError*>(&e) || dynamic_cast<const CLI::RequiredError*>(&e))) {
    line = unknown.size() == 1 ? "The following argument was not expected:" : "The following arguments were not expected:";
    for (const std::string& argument : unknown) line += ' ' + argument;
    return line;
  }
  if (no_subcommand) {
    line = "A subcommand is required";
    const char* before = ": ";
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
      line += before + sub->get_name(), before = " or ";
    for (std::size_t i = 0; i < unknown.size(); ++i) line += (i ? " " : "; not expected without one: ") + unknown[i];
    return line;
  }
  if (line.ends_with(" is required") && !line.starts_with("--")) return line + taken_by_lists(app);
  const std::string name = line.substr(0, line.find(": ") + 2);
  int needed = 0, there = 0;
  if (line.starts_with(name + "At Most 1 required but received")) return name + "is there more than once";
  if (std::sscanf(line.c_str() + name.size(), "At least %d required but received %d", &needed, &there) == 2)
    return name + std::to_string(needed) + " values are needed, " + std::to_string(there) +
           (there == 1 ? " is there" : " are there");
  if (line.ends_with(" missing") && line.find(" required ") != line.npos) return name + "a value is missing";
  if (line.starts_with("Could not convert: --")) return line.substr(19, line.find(" = ") - 19) + ": takes no value";
  return line;
}

/// The line about an exception that is not ours.
std::string line_of(const std::exception& e) {
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&e))
    return file->path1().string() + ": " + file->code().message();
  if (dynamic_cast<const std::bad_alloc*>(&e) || dynamic_cast<const std::length_error*>(&e))
    return "out of memory: what is asked for needs more than there is";
  return std::string("a fault of this program, please report it with the command: ") + e.what();
}

/// Whether `app`, or a subcommand in use, has an option --threads, and so looks after them itself.
bool says_threads(const CLI::App& app) {
  if (app.get_option_no_throw("--threads")) return true;
  const auto commands = app.get_subcommands();
  return std::any_of(commands.begin(), commands.end(), [](const CLI::App* command) { return says_threads(*command); });
}

template <class T>
OptionRule in_range_of(T least, T most) {
  std::ostringstream words;
  words << least << " to " << most;
  const auto check = [=, rule = words.str()](std::string& text) {
    T value{};
    const bool number = why_no_number(text, value).empty();
    return number && value >= least && value <= most ? std::string() : text + ": must be " + rule;
  };
  return {check, words.str()};
}

/// Letters of the alphabet that begins with `from` become those of the one that begins with `to`.
template <char from, char to>
OptionRule in_case() {
  return {[](std::string& text) {
            for (char& c : text) c = c >= from && c < from + 26 ? static_cast<char>(c - from + to) : c;
            return std::string();
          },
          ""};
}

/// A file that outgrows the user's limit (`ulimit -f`) cannot be written, as on a full disk; by default a signal would end the
/// program, without a line and with its unfinished files left behind.
void ignore_file_size_signal() {
#ifdef SIGXFSZ
  std::signal(SIGXFSZ, SIG_IGN);
#endif
}

/// An empty text breaks no rule of its own: that it is empty is said of every option alike (`refuse_empty_texts`).
CLI::Validator validator(const OptionRule& rule) {
  return {[test = rule.test](std::string& text) { return text.empty() ? std::string() : test(text); }, rule.words};
}

/// The end of a program: lost output is an error.
int end_of(int status, const detail::OnError& error) {
  const bool written = std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return written ? status : error("standard output cannot be written");
}

}  // namespace

Option* Option::required() { return option_->required(), this; }
Option* Option::capture_default_str() { return option_->capture_default_str(), this; }
Option* Option::check(const OptionRule& rule) { return option_->check(validator(rule)), this; }
Option* Option::transform(const OptionRule& rule) { return option_->transform(validator(rule)), this; }
Option* Option::expected(int values) { return option_->expected(values), this; }
Option* Option::delimiter(char between_values) { return option_->delimiter(between_values), this; }
Option* Option::option_text(const std::string& words) { return option_->option_text(words), this; }
Option* Option::needs(const Option* other) { return option_->needs(other->option_), this; }
Option* Option::excludes(const Option* other) { return option_->excludes(other->option_), this; }
Option* Option::excludes(const std::string& other) { return option_->excludes(other), this; }
Option* Option::may_be_empty() { return may_be_empty_ = true, this; }
std::size_t Option::count() const { return option_->count(); }

CommandLine::CommandLine(const std::string& description) : app_(std::make_shared<CLI::App>(description)) {}
CommandLine::CommandLine(CLI::App* subcommand) : app_(std::shared_ptr<CLI::App>(), subcommand) {}

template <class T>
Option* CommandLine::add_option(const std::string& name, T& value, const std::string& help) {
  return own(app_->add_option(name, value, help));
}
template Option* CommandLine::add_option(const std::string&, std::string&, const std::string&);
template Option* CommandLine::add_option(const std::string&, int&, const std::string&);
template Option* CommandLine::add_option(const std::string&, unsigned long&, const std::string&);
template Option* CommandLine::add_option(const std::string&, unsigned long long&, const std::string&);
template Option* CommandLine::add_option(const std::string&, double&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<std::string>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<unsigned long>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<unsigned long long>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<double>&, const std::string&);

Option* CommandLine::add_flag(const std::string& name, bool& value, const std::string& help) {
  return own(app_->add_flag(name, value, help));
}
CommandLine* CommandLine::add_subcommand(const std::string& name, const std::string& help) {
  subcommands_.push_back(CommandLine(app_->add_subcommand(name, help)));
  return &subcommands_.back();
}
void CommandLine::require_subcommand(int count) { app_->require_subcommand(count); }

const Option* CommandLine::get_option_no_throw(const std::string& name) const {
  const CLI::Option* found = app_->get_option_no_throw(name);
  const auto is_it = [&](const Option& option) { return option.option_ == found; };
  const auto it = std::find_if(options_.begin(), options_.end(), is_it);
  return it == options_.end() ? nullptr : &*it;
}
std::size_t CommandLine::count(const std::string& name) const { return app_->count(name); }
void CommandLine::refuse_empty_texts() const {
  for (const Option& option : options_)
    for (const std::string& text : option.option_->results())
      require(option.may_be_empty_ || !text.empty(), option.option_->get_name(), " is empty");
  for (const CommandLine& command : subcommands_) command.refuse_empty_texts();
}
CommandLine::operator bool() const { return static_cast<bool>(*app_); }

Option* add_threads_option(CommandLine& app, int& threads) {
  return app
      .add_option(
          "--threads", threads,
          "threads, at most " + std::to_string(most_threads()) + "; 0: as many as OMP_NUM_THREADS says, else one for each core")
      ->check(at_least(0))
      ->capture_default_str();
}

OptionRule detail::in_range_of_counts(std::int64_t least, std::int64_t most) { return in_range_of(least, most); }
OptionRule detail::in_range_of_numbers(double least, double most) { return in_range_of(least, most); }

OptionRule at_least(std::int64_t least) {
  const auto check = [=](std::string& text) {
    double value = 0;
    const std::string why = why_no_number(text, value);
    return why.empty() && value >= static_cast<double>(least) ? std::string()
                                                              : text + ": must be at least " + std::to_string(least);
  };
  return {check, least == 1 ? "POSITIVE" : least == 0 ? "NONNEGATIVE" : "from " + std::to_string(least)};
}

OptionRule above(double bound) {
  const auto check = [=](std::string& text) {
    double value = 0;
    std::ostringstream line;
    line << text << ": must be above " << bound;
    return why_no_number(text, value).empty() && value > bound ? std::string() : line.str();
  };
  return {check, "POSITIVE"};
}

OptionRule one_of(const std::vector<std::string>& texts) {
  std::string list;
  for (std::size_t i = 0; i < texts.size(); ++i) list += (i == 0 ? "" : i + 1 < texts.size() ? ", " : " or ") + texts[i];
  const auto check = [texts, list](std::string& text) {
    return std::find(texts.begin(), texts.end(), text) != texts.end() ? std::string() : text + ": must be " + list;
  };
  return {check, CLI::IsMember(texts).get_description()};
}
OptionRule existing_folder() {
  const auto check = [](std::string& text) {
    std::error_code error;
    const std::filesystem::file_status found = std::filesystem::status(text, error);
    if (std::filesystem::is_directory(found)) return std::string();
    if (!std::filesystem::status_known(found)) return text + ": cannot be read: " + error.message();
    return text + (std::filesystem::exists(found) ? ": must be a folder" : ": there is no such folder");
  };
  return {check, CLI::ExistingDirectory.get_description()};
}

OptionRule lower_case() { return in_case<'A', 'a'>(); }
OptionRule upper_case() { return in_case<'a', 'A'>(); }

int detail::run_program(CommandLine& line, int argc, char** argv, const Body& body, OnError error) {
  CLI::App& app = line.cli11();
  if (!error) {
    error = [&](const std::string& message) {
      const std::string program = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : app.get_name();
      std::cerr << visible(program + ": " + message) << std::endl;
      return 2;
    };
  }
  wait_briefly(argc, argv);
  ignore_file_size_signal();
  try {
    occupy_standard_streams();
    require(stdout_is_open(), "standard output cannot be written: it is closed");
    [[maybe_unused]] static const bool once = remove_unfinished_when_interrupted();
    app.set_version_flag("--version", "skipv1 " SKIPV1_VERSION, "print the version");
    read_numbers_strictly(app);
    parse(app, argc, argv);
    line.refuse_empty_texts();
    refuse_repeated_values(app);
    if (!says_threads(app)) require_default_threads();
    return end_of(body(), error);
  } catch (const CLI::ParseError& e) {
    return e.get_exit_code() == 0 ? end_of(app.exit(e), error) : error(line_of(e, app));
  } catch (const Error& e) {
    return error(e.what());
  } catch (const std::exception& e) {
    return error(line_of(e));
  }
}

}  // namespace skipv1
