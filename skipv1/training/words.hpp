// How byte-level vocabularies cut a text into the words within which they merge: the patterns of GPT-2, LLaMA 3 and Qwen2, each
// recognised by its text in tokenizer.json. A pattern's alternatives are tried in their order, as its regular expression says.
#pragma once

#include <cctype>
#include <cstddef>
#include <string_view>
#include <utility>

#include "skipv1/core/unicode.hpp"

namespace skipv1 {

/// The end of the word that begins at byte `at` of `text`, which is UTF-8 and has that byte. Words lie side by side.
using WordEnd = std::size_t (*)(std::string_view text, std::size_t at);

namespace detail {

/// The end of the longest run from `at` of characters for which `holds(class)`, at most `most` of them; `at` if there is none.
template <class Holds>
std::size_t run_end(std::string_view text, std::size_t at, const Holds& holds, std::size_t most = std::string_view::npos) {
  for (; at < text.size() && most > 0; --most) {
    const unicode::Character c = unicode::character_at(text, at);
    if (!holds(unicode::class_of(c.code))) break;
    at = c.end;
  }
  return at;
}
inline std::size_t run_end(std::string_view text, std::size_t at, unicode::Class of, std::size_t most = std::string_view::npos) {
  return run_end(
      text, at, [of](unicode::Class c) { return c == of; }, most);
}

/// Whether letters match those of the other case, as in (?i:...).
enum class Letters { exact, any_case };

/// The end of `'s|'t|'re|'ve|'m|'ll|'d` at `at`; `at` if none stands there. In any case U+017F is an s, too.
inline std::size_t contraction_end(std::string_view text, std::size_t at, Letters letters) {
  const bool folded = letters == Letters::any_case;
  const std::string_view rest = text.substr(at);
  const auto letter = [&](std::size_t i) {
    const char c = i < rest.size() ? rest[i] : '\0';
    return folded && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  if (letter(0) != '\'') return at;
  for (const char* ending : {"s", "t", "re", "ve", "m", "ll", "d"})
    if (letter(1) == ending[0] && (!ending[1] || letter(2) == ending[1])) return at + (ending[1] ? 3 : 2);
  return folded && rest.substr(1).starts_with("\xc5\xbf") ? at + 3 : at;
}

/// `\s+(?!\S)|\s+` at `at`: a run of spaces to the end of the text, else without its last character where it has others.
inline std::size_t spaces_end(std::string_view text, std::size_t at) {
  std::size_t last = at, end = at;
  while (end < text.size()) {
    const unicode::Character c = unicode::character_at(text, end);
    if (!unicode::is_space(c.code)) break;
    last = end, end = c.end;
  }
  return end < text.size() && last > at ? last : end;
}

/// Characters of `[^\s\p{L}\p{N}]`, or letters or numbers, from `at` on, behind an optional space: ` ?[...]+`; `at` if none.
inline std::size_t behind_space(std::string_view text, std::size_t at, unicode::Class of) {
  const std::size_t begin = at + (text[at] == ' ' ? 1 : 0), end = run_end(text, begin, of);
  return end > begin ? end : at;
}

inline std::size_t gpt2_word_end(std::string_view text, std::size_t at) {
  using unicode::Class;
  if (const std::size_t end = contraction_end(text, at, Letters::exact); end > at) return end;
  for (const Class of : {Class::letter, Class::number, Class::other})
    if (const std::size_t end = behind_space(text, at, of); end > at) return end;
  return spaces_end(text, at);
}

/// The pattern of LLaMA 3 with numbers of at most `digits` characters.
template <std::size_t digits>
std::size_t llama3_word_end(std::string_view text, std::size_t at) {
  using unicode::Class;
  const auto newline = [&](std::size_t i) { return i < text.size() && (text[i] == '\r' || text[i] == '\n'); };
  if (const std::size_t end = contraction_end(text, at, Letters::any_case); end > at) return end;
  const unicode::Character first = unicode::character_at(text, at);
  const Class of = unicode::class_of(first.code);
  if (of == Class::letter) return run_end(text, at, Class::letter);
  if (of != Class::number && !newline(at))  // [^\r\n\p{L}\p{N}]?\p{L}+
    if (const std::size_t end = run_end(text, first.end, Class::letter); end > first.end) return end;
  if (of == Class::number) return run_end(text, at, Class::number, digits);
  if (std::size_t end = behind_space(text, at, Class::other); end > at) {  // ` ?[^\s\p{L}\p{N}]+[\r\n]*`
    while (newline(end)) ++end;
    return end;
  }
  std::size_t end = run_end(text, at, Class::space);  // `\s*[\r\n]+`: to the last newline among the spaces
  while (end > at && !newline(end - 1)) --end;
  return end > at ? end : spaces_end(text, at);
}

/// The pre-tokenizer Digits, each number by itself: numbers, and what lies between them.
inline std::size_t each_digit_end(std::string_view text, std::size_t at) {
  unicode::Character c = unicode::character_at(text, at);
  if (unicode::is_number_of_17(c.code)) return c.end;
  while (c.end < text.size()) {
    const unicode::Character next = unicode::character_at(text, c.end);
    if (unicode::is_number_of_17(next.code)) break;
    c = next;
  }
  return c.end;
}

/// The same with runs of numbers together.
inline std::size_t digits_end(std::string_view text, std::size_t at) {
  unicode::Character c = unicode::character_at(text, at);
  if (!unicode::is_number_of_17(c.code)) return each_digit_end(text, at);
  while (c.end < text.size()) {
    const unicode::Character next = unicode::character_at(text, c.end);
    if (!unicode::is_number_of_17(next.code)) break;
    c = next;
  }
  return c.end;
}

}  // namespace detail

/// The pattern of GPT-2, which the pre-tokenizer ByteLevel has, too.
inline constexpr std::string_view gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
/// The pattern of LLaMA 3, that of GPT-4's cl100k_base, too.
inline constexpr std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// The pattern of Qwen2.
inline constexpr std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// What cuts a text as `pattern` does; null for patterns that are not known here.
inline WordEnd word_end_of(std::string_view pattern) {
  if (pattern == gpt2_pattern) return detail::gpt2_word_end;
  if (pattern == llama3_pattern) return detail::llama3_word_end<3>;
  return pattern == qwen2_pattern ? detail::llama3_word_end<1> : nullptr;
}

}  // namespace skipv1
