// Classes of characters that tokenizers' patterns name, as the package tokenizers has them: of Unicode 16.0, decimal digits and
// other numbers also of 17.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "skipv1/core/unicode_tables.hpp"
#include "skipv1/core/utf8.hpp"

namespace skipv1::unicode {

/// Every code point is of one class.
enum class Class : std::uint8_t { letter, number, space, other };

/// Whether a table of unicode_tables.hpp holds `code`.
template <std::size_t N>
bool holds(const std::uint32_t (&table)[N], std::uint32_t code) {
  return (std::upper_bound(std::begin(table), std::end(table), code) - std::begin(table)) % 2 == 1;
}

/// The property White_Space: \s.
inline bool is_space(std::uint32_t code) {
  return (code >= 0x9 && code <= 0xd) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
         code == 0x3000;
}

/// The class of a code point.
inline Class class_of(std::uint32_t code) {
  if ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z')) return Class::letter;
  if (is_space(code)) return Class::space;
  if (holds(numbers, code)) return Class::number;
  return holds(letters, code) ? Class::letter : Class::other;
}

/// Numbers of Unicode 17.0, as the pre-tokenizer Digits has them: its two blocks of digits are new there.
inline bool is_number_of_17(std::uint32_t code) {
  return holds(numbers, code) || (code >= 0x11de0 && code <= 0x11de9) || (code >= 0x16ff4 && code <= 0x16ff6);
}

/// Whether the normal form NFC may change a text because of `code`. A text without such characters is in NFC.
inline bool may_change_in_nfc(std::uint32_t code) { return code >= 0x300 && holds(changed_by_nfc, code); }

/// A character of a text that is UTF-8.
struct Character {
  std::uint32_t code = 0;
  std::size_t end = 0;  ///< the byte after it
};
inline Character character_at(std::string_view text, std::size_t at) {
  const std::size_t length = std::max<std::size_t>(utf8_length(text, at), 1);
  return {detail::code_point(text.substr(at, length)), at + length};
}

}  // namespace skipv1::unicode
