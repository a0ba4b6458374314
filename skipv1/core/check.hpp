// Errors: one clear line that names the thing, the place and the rule it breaks.
#pragma once

#if (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
#error "skipv1: compiled with -ffast-math, -Ofast, -ffinite-math-only or /fp:fast, under which NaN and infinity pass every check"
#endif

#if defined(_MSC_VER) && (defined(min) || defined(max))
#error "skipv1: min and max are macros, which windows.h makes of them: define NOMINMAX before it is included"
#endif

#include <cstddef>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>

#ifdef __GNUC__  // run once or never: errors, settings, tables, memory. Not worth inlining, and small code compiles sooner
#define SKIPV1_COLD __attribute__((cold, noinline))
#define SKIPV1_NOINLINE __attribute__((noinline))  // short, and called from hundreds of places, none of them a loop over elements
#else
#define SKIPV1_COLD
#define SKIPV1_NOINLINE
#endif

namespace skipv1 {

/// What every function of this library throws when its caller's input breaks a rule.
/// Programs print `what()` as one line on standard error and exit with status 2.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A number as a line has it: of six digits, or of as many as it takes where six would show another, round number: 1.0000000001
/// is not "1".
template <class T>
SKIPV1_COLD void write_number(std::ostream& out, T value) {
  const auto text = [value](int digits) {
    std::ostringstream part;
    part.precision(digits);
    part << value;
    return part.str();
  };
  const auto is_value = [value](const std::string& digits) {
    T read{};
    std::istringstream part(digits);
    if (static_cast<T>(static_cast<float>(value)) != value) return (part >> read) && read == value;
    float narrow = 0;  // 3.4e38 in float, not 3.3999999521443642e+38
    return (part >> narrow) && static_cast<T>(narrow) == value;
  };
  const std::string brief = text(6);
  const bool round = [&brief] {
    std::size_t digits = 0;
    for (const char c : brief.substr(0, brief.find('e'))) digits += c >= '0' && c <= '9' && (digits || c != '0');
    return digits < 6;
  }();
  int digits = 6;
  if (round && value - value == 0)
    while (digits < 17 && !is_value(text(digits))) ++digits;
  out << text(digits);
}

/// One part of a line: anything that a stream writes. Its type is forgotten, so that a line costs its callers next to nothing to
/// compile.
class Part {
 public:
  template <class T>
  Part(const T& part) : part_(&part), write_(write<T>) {}  // NOLINT: implicit
  template <std::size_t n>
  Part(const char (&text)[n]) : part_(text), write_(write_text) {}  // NOLINT: implicit
  friend std::ostream& operator<<(std::ostream& out, const Part& part) {
    part.write_(out, part.part_);
    return out;
  }

 private:
  template <class T>
  static void write(std::ostream& out, const void* part) {
    if constexpr (std::is_floating_point_v<T>)
      write_number(out, *static_cast<const T*>(part));
    else
      out << *static_cast<const T*>(part);
  }
  static void write_text(std::ostream& out, const void* text) { out << static_cast<const char*>(text); }

  const void* part_;
  void (*write_)(std::ostream&, const void*);
};

[[noreturn]] SKIPV1_COLD inline void fail_with(std::initializer_list<Part> parts) {
  std::ostringstream line;
  for (const Part& part : parts) line << part;
  throw Error(line.str());
}

}  // namespace detail

/// Throws `Error` with `parts` written one after the other.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  detail::fail_with({parts...});
}

/// Throws `Error` with `parts` unless `holds`. The parts are only put together on failure.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) fail(parts...);
}

}  // namespace skipv1
