// Numbers from text, the same in every locale.
#pragma once

#include <algorithm>
#include <charconv>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

namespace skipv1 {

namespace detail {

/// The length of the decimal number that `text` begins with: digits with at most one point, perhaps an exponent; 0 if none.
inline std::size_t decimal_length(std::string_view text) {
  const auto digits = [&](std::size_t at) {
    return std::min(text.find_first_not_of("0123456789", at), text.size()) - std::min(at, text.size());
  };
  const std::size_t begin = text.starts_with('-') ? 1 : 0, whole = digits(begin);
  std::size_t end = begin + whole, all = whole;
  if (end < text.size() && text[end] == '.') {
    const std::size_t behind = digits(end + 1);
    all += behind, end += all > 0 ? 1 + behind : 0;
  }
  if (all == 0) return 0;
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    const std::size_t sign = end + 1 < text.size() && (text[end + 1] == '-' || text[end + 1] == '+') ? 1 : 0;
    const std::size_t exponent = digits(end + 1 + sign);
    if (exponent > 0) end += 1 + sign + exponent;
  }
  return end;
}

/// What std::from_chars does for decimal numbers, by a stream: for libc++ before version 20, which lacks it. No "nan", no "inf".
template <class T>
std::from_chars_result number_by_stream(const char* begin, const char* end, T& value) {
  const std::string text(begin, begin + decimal_length({begin, static_cast<std::size_t>(end - begin)}));
  if (text.empty()) return {begin, std::errc::invalid_argument};
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  T read{};
  if (!(stream >> read)) return {begin + text.size(), std::errc::result_out_of_range};
  value = read;
  return {begin + text.size(), std::errc()};
}

}  // namespace detail

/// std::from_chars, where the standard library has it for `T`.
template <class T>
std::from_chars_result read_number(const char* begin, const char* end, T& value) {
  if constexpr (requires { std::from_chars(begin, end, value); })
    return std::from_chars(begin, end, value);
  else
    return detail::number_by_stream(begin, end, value);
}

}  // namespace skipv1
