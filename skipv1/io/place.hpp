// Places of files as text for JSON, which is UTF-8; the names of files may be any bytes.
#pragma once

#include <cctype>
#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "skipv1/core/utf8.hpp"

namespace skipv1 {

/// `path` from the root, without dots and a last slash; of links that exist, where they lead.
inline std::filesystem::path whole_place(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path normal = std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  return normal.has_filename() ? normal : normal.parent_path();
}

/// `path` as it is where that is UTF-8, else as an absolute URI, "file:///tmp/caf%E9.txt" (RFC 8089).
inline std::string place_text(const std::filesystem::path& path) {
  const std::string name = path.string();
  if (is_utf8(name)) return name;
  std::error_code ignored;
  constexpr char digits[] = "0123456789ABCDEF";
  std::string text = "file://";
  for (const char c : std::filesystem::absolute(path, ignored).generic_string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) || std::string_view("/-._~").find(c) != std::string_view::npos);
    text += plain ? std::string(1, c) : std::string{'%', digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

/// The last name of `path`, whichever way it is written: "run" of "./run/" and, in there, of ".".
inline std::string file_name_text(const std::filesystem::path& path) {
  const std::filesystem::path whole = whole_place(path), name = whole.filename();
  const std::string text = place_text(name);
  return name.string() == text ? text : text.substr(text.rfind('/') + 1);
}

/// The path of a `place_text`.
inline std::filesystem::path place_of(const std::string& text) {
  constexpr std::string_view scheme = "file://";
  if (!text.starts_with(scheme)) return text;
  std::string name;
  for (std::size_t i = scheme.size(); i < text.size(); ++i) {
    unsigned char byte = 0;
    const char* const hex = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(hex, hex + 2, byte, 16).ptr == hex + 2) {
      name += static_cast<char>(byte);
      i += 2;
    } else {
      name += text[i];
    }
  }
  return name;
}

/// Whether two names lead to one place: the same file or folder or, where neither exists, the same path.
inline bool same_place(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code error;
  if (a.empty() || b.empty()) return a.empty() && b.empty();
  if (std::filesystem::equivalent(a, b, error) && !error) return true;
  return whole_place(a) == whole_place(b);
}

}  // namespace skipv1
