// Errors: one clear line that names the thing, the place and the rule it breaks.
#pragma once

#if (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
#error "skipv1: compiled with -ffast-math, -Ofast, -ffinite-math-only or /fp:fast, under which NaN and infinity pass every check"
#endif

#include <sstream>
#include <stdexcept>
#include <string>

namespace skipv1 {

/// What every function of this library throws when its caller's input breaks a rule.
/// Programs print `what()` as one line on standard error and exit with status 2.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws `Error` with `parts` written one after the other.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  throw Error(line.str());
}

/// Throws `Error` with `parts` unless `holds`. The parts are only put together on failure.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) fail(parts...);
}

}  // namespace skipv1
