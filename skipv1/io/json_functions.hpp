// What json.hpp declares: included there, or compiled once by instances/json_functions.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1 {

namespace detail {

SKIPV1_JSON_INLINE std::string brief(const std::string& text, std::size_t most) {
  constexpr char digits[] = "0123456789abcdef";
  std::string line;
  for (const char c : std::string_view(text).substr(0, most)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line += c;
    } else if (c == '\t' || c == '\n' || c == '\r') {
      line += {'\\', c == '\t' ? 't' : c == '\n' ? 'n' : 'r'};
    } else {
      line += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return text.size() > most ? line + "..." : line;
}
SKIPV1_JSON_INLINE std::string brief(const Json& value) {
  return brief(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

/// How many letters are to be put in, left out or exchanged to make `b` of `a` (Levenshtein).
SKIPV1_JSON_INLINE std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t before = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t exchanged = before + (a[i - 1] != b[j - 1]);
      before = row[j];
      row[j] = std::min(exchanged, std::min(row[j], row[j - 1]) + 1);
    }
  }
  return row[b.size()];
}

SKIPV1_JSON_INLINE bool JsonGuard::operator()(int, Json::parse_event_t event, const Json& value) {
  using Event = Json::parse_event_t;
  if (event == Event::object_start || event == Event::array_start) {
    require(keys_.size() < 8, "more than 8 levels of JSON");
    keys_.emplace_back();
  } else if (event == Event::object_end || event == Event::array_end) {
    keys_.pop_back();
  } else if (event == Event::key) {
    const auto& key = value.get_ref<const std::string&>();
    require(keys_.back().insert(key).second, brief(value), " is there twice");
  }
  return true;
}

SKIPV1_JSON_INLINE Json parse_json_with(std::string_view text, Json::parser_callback_t guard) {
  const std::size_t nul = text.find('\0');  // the parser takes it for the end, and reads nothing behind it
  require(nul == text.npos, "not JSON: byte ", nul, " is NUL");
  try {
    return Json::parse(text.data(), text.data() + text.size(), std::move(guard));
  } catch (const Json::exception& error) {
    const std::string_view line = error.what();  // "[json.exception.name.id] parse error at line 1, column 2: …"
    constexpr std::size_t most = 180;            // the reason comes after the place, the text read last after both
    fail("not JSON: ", brief(std::string(line.substr(std::min(line.find("] ") + 2, line.size()))), most));
  }
}

}  // namespace detail

SKIPV1_JSON_INLINE std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

SKIPV1_JSON_INLINE Json parse_json(std::string_view text) { return detail::parse_json_with(text, detail::JsonGuard()); }

SKIPV1_JSON_INLINE JsonFields::JsonFields(const Json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {
  require(object.is_object(), "expected an object, found ", object.is_object() ? "" : detail::brief(object));
}

SKIPV1_JSON_INLINE const Json* JsonFields::find(const std::string& key, Presence presence) {
  known_.insert(key);
  const auto found = object_.find(key);
  if (found == object_.end() && presence == Presence::required) fail('"', prefix_, key, "\" is missing", misspelt(key));
  return found == object_.end() ? nullptr : &*found;
}

SKIPV1_JSON_INLINE void JsonFields::read(const std::string& key, std::size_t& to, Presence presence, const char* what) {
  const Json* value = find(key, presence);
  if (!value) return;
  expect(value->is_number_unsigned(), key, what, *value);
  to = value->get<std::size_t>();
}

SKIPV1_JSON_INLINE void JsonFields::read(const std::string& key, double& to, Presence presence) {
  const Json* value = find(key, presence);
  if (!value) return;
  expect(value->is_number(), key, "a number", *value);
  to = value->get<double>();
}

SKIPV1_JSON_INLINE void JsonFields::read(const std::string& key, bool& to, Presence presence) {
  const Json* value = find(key, presence);
  if (!value) return;
  expect(value->is_boolean(), key, "true or false", *value);
  to = value->get<bool>();
}

SKIPV1_JSON_INLINE void JsonFields::read(const std::string& key, std::string& to, Presence presence) {
  const Json* value = find(key, presence);
  if (!value) return;
  expect(value->is_string(), key, "a string", *value);
  to = value->get<std::string>();
}

SKIPV1_JSON_INLINE void JsonFields::expect(bool holds, const std::string& key, const char* what, const Json& found) const {
  require(holds, '"', prefix_, key, "\": expected ", what, ", found ", holds ? "" : detail::brief(found));
}

SKIPV1_JSON_INLINE void JsonFields::finish() const {
  for (const auto& item : object_.items())
    require(known_.count(item.key()) != 0, '"', prefix_, detail::brief(item.key()), "\" is not a key that is known here");
}

/// A key of the object that differs from `key` by at most two letters, if there is one.
SKIPV1_JSON_INLINE std::string JsonFields::misspelt(const std::string& key) const {
  for (const auto& item : object_.items())
    if (item.key() != key && item.key().size() <= key.size() + 2 &&
        detail::edits(item.key(), key) <= std::min<std::size_t>(2, key.size() / 3))
      return "; there is \"" + prefix_ + detail::brief(item.key()) + '"';
  return "";
}

}  // namespace skipv1
