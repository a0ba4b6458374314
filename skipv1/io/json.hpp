// JSON (nlohmann::json), read strictly: no key twice, every key known, every error names the key.
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

#if defined(SKIPV1_JSON_INSTANCE) && !defined(__CUDACC__)  // compiled elsewhere in the program, once
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
extern template nlohmann::ordered_json nlohmann::ordered_json::parse<const char*>(const char*, const char*, parser_callback_t,
                                                                                  bool, bool);
#endif

namespace skipv1 {

using Json = nlohmann::ordered_json;  ///< keys stay in the order they came in

namespace detail {

/// `text` as part of an error line: at most `most` bytes of it, control characters as \\t, \\n, \\r and \\x01.
inline std::string brief(const std::string& text, std::size_t most = 80) {
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
inline std::string brief(const Json& value) { return brief(value.dump(-1, ' ', true, Json::error_handler_t::replace)); }

/// How many letters are to be put in, left out or exchanged to make `b` of `a` (Levenshtein).
inline std::size_t edits(std::string_view a, std::string_view b) {
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

/// Sees the parser's events, throws on a key that its object already has and on more than eight levels.
class JsonGuard {
 public:
  bool operator()(int, Json::parse_event_t event, const Json& value) {
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

 private:
  std::vector<std::set<std::string>> keys_;
};

}  // namespace detail

/// `value` as text, each level `indent` spaces further in, -1: on one line. Bytes that are no UTF-8 become U+FFFD.
inline std::string json_text(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

namespace detail {
/// The value that `text` stands for. `guard(depth, event, value)` sees the parser's events, may throw, and drops what it returns
/// false for.
template <class Guard>
Json parse_json_with(std::string_view text, Guard guard) {
  try {
    return Json::parse(text.data(), text.data() + text.size(), std::move(guard));
  } catch (const Json::exception& error) {
    const std::string_view line = error.what();  // "[json.exception.name.id] parse error at line 1, column 2: …"
    constexpr std::size_t most = 180;            // the reason comes after the place, the text read last after both
    fail("not JSON: ", brief(std::string(line.substr(std::min(line.find("] ") + 2, line.size()))), most));
  }
}
}  // namespace detail

/// The value that `text` stands for. Throws if it is not JSON, has a key twice in an object, or is more than eight levels deep.
inline Json parse_json(std::string_view text) { return detail::parse_json_with(text, detail::JsonGuard()); }

/// Whether an object must have a key.
enum class Presence { required, optional };

/// Takes an object's fields by key, with their types checked. Errors read `"key": expected …, found …`.
class JsonFields {
 public:
  /// Throws if `object` is none. `prefix` stands before each key, such as "attention.".
  explicit JsonFields(const Json& object, std::string prefix = "") : object_(object), prefix_(std::move(prefix)) {
    require(object.is_object(), "expected an object, found ", object.is_object() ? "" : detail::brief(object));
  }

  /// The value of `key`; null if it is absent and optional.
  const Json* find(const std::string& key, Presence presence = Presence::required) {
    known_.insert(key);
    const auto found = object_.find(key);
    if (found == object_.end() && presence == Presence::required) fail('"', prefix_, key, "\" is missing", misspelt(key));
    return found == object_.end() ? nullptr : &*found;
  }
  void read(const std::string& key, std::size_t& to, Presence presence = Presence::required,
            const char* what = "a positive integer") {
    const Json* value = find(key, presence);
    if (!value) return;
    expect(value->is_number_unsigned(), key, what, *value);
    to = value->get<std::size_t>();
  }
  void read(const std::string& key, double& to, Presence presence = Presence::required) {
    const Json* value = find(key, presence);
    if (!value) return;
    expect(value->is_number(), key, "a number", *value);
    to = value->get<double>();
  }
  void read(const std::string& key, bool& to, Presence presence = Presence::required) {
    const Json* value = find(key, presence);
    if (!value) return;
    expect(value->is_boolean(), key, "true or false", *value);
    to = value->get<bool>();
  }
  void read(const std::string& key, std::string& to, Presence presence = Presence::required) {
    const Json* value = find(key, presence);
    if (!value) return;
    expect(value->is_string(), key, "a string", *value);
    to = value->get<std::string>();
  }
  /// The same of a key that may be absent, or null, which says the same.
  template <class T>
  void read_unless_null(const std::string& key, T& to) {
    const Json* value = find(key, Presence::optional);
    if (value && !value->is_null()) read(key, to);
  }
  /// Throws unless `holds`.
  void expect(bool holds, const std::string& key, const char* what, const Json& found) const {
    require(holds, '"', prefix_, key, "\": expected ", what, ", found ", holds ? "" : detail::brief(found));
  }
  /// Throws if the object has keys that nobody asked for.
  void finish() const {
    for (const auto& item : object_.items())
      require(known_.count(item.key()) != 0, '"', prefix_, detail::brief(item.key()), "\" is not a key that is known here");
  }

 private:
  /// A key of the object that differs from `key` by at most two letters, if there is one.
  std::string misspelt(const std::string& key) const {
    for (const auto& item : object_.items())
      if (item.key() != key && item.key().size() <= key.size() + 2 &&
          detail::edits(item.key(), key) <= std::min<std::size_t>(2, key.size() / 3))
        return "; there is \"" + prefix_ + detail::brief(item.key()) + '"';
    return "";
  }

  const Json& object_;
  std::string prefix_;
  std::set<std::string> known_;
};

}  // namespace skipv1
