// UTF-8: which bytes are a character, and text as a line of a terminal shows it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace skipv1 {

/// The length in bytes of the UTF-8 character at `text[at]`, 0 if there is no valid one (RFC 3629: no overlong forms,
/// no surrogates, nothing above U+10FFFF).
inline std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return at < text.size() ? 1 : 0;
  const std::size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                             : lead >= 0xe0 && lead < 0xf0 ? 3
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                                                           : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool beyond = (lead == 0xed && byte(1) >= 0xa0) || (lead == 0xf4 && byte(1) >= 0x90);
  return overlong || beyond ? 0 : length;
}

/// The byte at which `text` ceases to be UTF-8; its size if all of it is. ASCII, most of most texts, goes eight bytes at a time.
inline std::size_t utf8_end(std::string_view text) {
  std::size_t at = 0;
  for (std::size_t length = 1; at < text.size() && length > 0; at += length) {
    for (std::uint64_t eight = 0; text.size() - at >= sizeof eight; at += sizeof eight) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if (eight & 0x8080808080808080u) break;
    }
    length = at < text.size() ? utf8_length(text, at) : 0;
  }
  return at;
}

/// Whether all of `text` is UTF-8.
inline bool is_utf8(std::string_view text) { return utf8_end(text) == text.size(); }

/// The byte order mark, which some editors put before a text.
inline constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

namespace detail {
/// The code point of the valid character `text`.
inline unsigned code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (text.size() == 1) return lead;
  unsigned code = lead & (0xffu >> (text.size() + 1));
  for (std::size_t i = 1; i < text.size(); ++i) code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  return code;
}
/// Whether a terminal shows nothing, or acts on it: control characters, marks of width 0, of order and of direction.
inline bool invisible(unsigned code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa1) || code == 0xad || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202f) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}
}  // namespace detail

/// `text` as one line in which everything can be seen: a space for a tab or the end of a line, <U+FEFF> for a character that
/// a terminal does not show, \xff for a byte that is not UTF-8.
inline std::string visible(std::string_view text) {
  std::string line;
  for (std::size_t at = 0, length = 0; at < text.size(); at += std::max<std::size_t>(length, 1)) {
    length = utf8_length(text, at);
    char shown[16];
    if (length == 0) {
      std::snprintf(shown, sizeof shown, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
      line += shown;
      continue;
    }
    const std::string_view character = text.substr(at, length);
    const unsigned code = detail::code_point(character);
    if (code == '\n' || code == '\t' || code == '\r') {
      line += ' ';
    } else if (detail::invisible(code)) {
      std::snprintf(shown, sizeof shown, "<U+%04X>", code);
      line += shown;
    } else {
      line += character;
    }
  }
  return line;
}

}  // namespace skipv1
