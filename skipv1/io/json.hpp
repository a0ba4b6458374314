// JSON (nlohmann::json), read strictly: no key twice, every key known, every error names the key.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifdef SKIPV1_JSON_INSTANCE  // compiled elsewhere in the program, once: a compiler goes through each inline function that it sees
#define SKIPV1_JSON_INLINE
#ifndef __CUDACC__
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
extern template nlohmann::ordered_json nlohmann::ordered_json::parse<const char*>(const char*, const char*, parser_callback_t,
                                                                                  bool, bool);
#endif
#else
#define SKIPV1_JSON_INLINE inline
#endif

namespace skipv1 {

using Json = nlohmann::ordered_json;  ///< keys stay in the order they came in

namespace detail {

/// `text` as part of an error line: at most `most` bytes of it, control characters as \\t, \\n, \\r and \\x01.
SKIPV1_JSON_INLINE std::string brief(const std::string& text, std::size_t most = 80);
SKIPV1_JSON_INLINE std::string brief(const Json& value);

/// Sees the parser's events, throws on a key that its object already has and on more than eight levels.
class JsonGuard {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& value);

 private:
  std::vector<std::set<std::string>> keys_;
};

}  // namespace detail

/// `value` as text, each level `indent` spaces further in, -1: on one line. Bytes that are no UTF-8 become U+FFFD.
SKIPV1_JSON_INLINE std::string json_text(const Json& value, int indent = -1);

namespace detail {
/// The value that `text` stands for. `guard(depth, event, value)` sees the parser's events, may throw, and drops what it returns
/// false for.
SKIPV1_JSON_INLINE Json parse_json_with(std::string_view text, Json::parser_callback_t guard);
}  // namespace detail

/// The value that `text` stands for. Throws if it is not JSON, has a key twice in an object, or is more than eight levels deep.
SKIPV1_JSON_INLINE Json parse_json(std::string_view text);

/// Whether an object must have a key.
enum class Presence { required, optional };

/// Takes an object's fields by key, with their types checked. Errors read `"key": expected …, found …`.
class JsonFields {
 public:
  /// Throws if `object` is none. `prefix` stands before each key, such as "attention.".
  explicit JsonFields(const Json& object, std::string prefix = "");

  /// The value of `key`; null if it is absent and optional.
  const Json* find(const std::string& key, Presence presence = Presence::required);
  void read(const std::string& key, std::size_t& to, Presence presence = Presence::required,
            const char* what = "a positive integer");
  void read(const std::string& key, double& to, Presence presence = Presence::required);
  void read(const std::string& key, bool& to, Presence presence = Presence::required);
  void read(const std::string& key, std::string& to, Presence presence = Presence::required);
  /// The same of a key that may be absent, or null, which says the same.
  template <class T>
  void read_unless_null(const std::string& key, T& to) {
    const Json* value = find(key, Presence::optional);
    if (value && !value->is_null()) read(key, to);
  }
  /// Throws unless `holds`.
  void expect(bool holds, const std::string& key, const char* what, const Json& found) const;
  /// Throws if the object has keys that nobody asked for.
  void finish() const;

 private:
  std::string misspelt(const std::string& key) const;

  const Json& object_;
  std::string prefix_;
  std::set<std::string> known_;
};

}  // namespace skipv1

#ifndef SKIPV1_JSON_INSTANCE
#include "skipv1/io/json_functions.hpp"
#endif
