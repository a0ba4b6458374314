// What every program's main shares: options by CLI11, and errors as one line. Empty where CLI11 is not installed.
#pragma once

#if __has_include(<CLI/CLI.hpp>)

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <type_traits>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/standard_streams.hpp"

namespace skipv1 {

namespace detail {

/// "-1" is no unsigned number, though it can be read as a huge one.
inline void refuse_negative_counts(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (option->get_type_name().starts_with("UINT"))
      option->check([](const std::string& text) { return text.starts_with('-') ? text + ": must not be negative" : ""; });
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) refuse_negative_counts(*command);
}

/// Whether `app`, or a subcommand in use, has an option --threads, and so looks after them itself.
inline bool says_threads(const CLI::App& app) {
  if (app.get_option_no_throw("--threads")) return true;
  const auto commands = app.get_subcommands();
  return std::any_of(commands.begin(), commands.end(), [](const CLI::App* command) { return says_threads(*command); });
}

}  // namespace detail

/// Parses the arguments into `app`, runs `body()` and returns the exit status: what `body` returns (0 if nothing), 0 after
/// `--help`, and 2 after any error, which becomes the line `program: message` on standard error.
template <class Body>
int run_program(CLI::App& app, int argc, char** argv, const Body& body) {
  const auto error = [&](std::string message) {
    for (char& c : message)
      if (static_cast<unsigned char>(c) < ' ') c = ' ';  // a name may hold anything
    const std::string program = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : app.get_name();
    std::cerr << program << ": " << message << std::endl;
    return 2;
  };
  const auto end = [&](int status) {
    const bool written = std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return written ? status : error("standard output cannot be written");
  };
  try {
    occupy_standard_streams();
    require(stdout_is_open(), "standard output cannot be written: it is closed");
    detail::refuse_negative_counts(app);
    app.parse(argc, argv);
    if (!detail::says_threads(app)) require_default_threads();
    int status = 0;
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
    } else {
      status = body();
    }
    return end(status);
  } catch (const CLI::ParseError& e) {
    return e.get_exit_code() == 0 ? end(app.exit(e)) : error(e.what());
  } catch (const std::bad_alloc&) {
    return error("out of memory");
  } catch (const std::exception& e) {
    return error(e.what());
  }
}

}  // namespace skipv1

#endif
