// A value inside a JSON file together with its place, so that whatever is wrong with it is said with both.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1 {

/// A value and its place, such as `runs[1].seed`. Each function throws where the value is of another type or out of range:
/// `"runs[1].seed": expected a whole number from 1 to 9, found null`.
class JsonValue {
 public:
  static constexpr std::size_t any = std::numeric_limits<std::size_t>::max();

  explicit JsonValue(const Json& value, std::string place = "") : value_(&value), place_(std::move(place)) {}
  explicit JsonValue(Json&&, std::string = "") = delete;  ///< it would not outlive the statement

  const Json& json() const { return *value_; }
  bool has(const std::string& key) const { return value_->is_object() && value_->contains(key); }
  bool is_null() const { return value_->is_null(); }

  /// The value of an object's `key`.
  JsonValue at(const std::string& key) const {
    if (!value_->is_object()) refuse("an object");
    const auto found = value_->find(key);
    const std::string place = place_.empty() ? key : place_ + '.' + key;
    require(found != value_->end(), '"', place, "\" is missing");
    return JsonValue(*found, place);
  }
  /// A list's values, of which there must be `least` to `most`.
  std::vector<JsonValue> items(std::size_t least = 0, std::size_t most = any) const {
    if (!value_->is_array() || value_->size() < least || value_->size() > most)
      refuse("a list" + (least == most               ? " of " + std::to_string(least)
                         : most == any && least == 0 ? ""
                         : most == any               ? " of " + std::to_string(least) + " or more"
                                                     : " of " + std::to_string(least) + " to " + std::to_string(most)));
    std::vector<JsonValue> all;
    for (std::size_t i = 0; i < value_->size(); ++i) all.emplace_back((*value_)[i], place_ + '[' + std::to_string(i) + ']');
    return all;
  }
  double number(double least, double most) const {
    const double x = value_->is_number() ? value_->get<double>() : std::nan("");
    if (!(x >= least && x <= most)) refuse(range("a number", least, most));
    return x;
  }
  std::uint64_t count(std::uint64_t least, std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const {
    const std::uint64_t x = value_->is_number_unsigned() ? value_->get<std::uint64_t>() : 0;
    if (!value_->is_number_unsigned() || x < least || x > most) refuse(range("a whole number", least, most));
    return x;
  }
  std::string text() const {
    if (!value_->is_string()) refuse("a string");
    return value_->get<std::string>();
  }
  /// A string that is one of `known`.
  std::string text(std::initializer_list<const char*> known) const {
    std::string all;
    for (const char* one : known) {
      if (value_->is_string() && value_->get_ref<const std::string&>() == one) return one;
      all += (all.empty() ? "\"" : ", \"") + std::string(one) + '"';
    }
    refuse("one of " + all);
  }
  /// `size` numbers, each from `least` to `most`.
  std::vector<double> numbers(std::size_t size, double least, double most) const { return numbers(size, size, least, most); }
  std::vector<double> numbers(std::size_t least_size, std::size_t most_size, double least, double most) const {
    std::vector<double> all;
    for (const JsonValue& item : items(least_size, most_size)) all.push_back(item.number(least, most));
    return all;
  }
  /// Throws unless `holds`.
  void expect(bool holds, const std::string& what) const {
    if (!holds) refuse(what);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(place_.empty() ? std::string() : '"' + place_ + "\": ", "expected ", what, ", found ",
         value_->is_array() ? "a list of " + std::to_string(value_->size()) : detail::brief(*value_));
  }
  template <class T>
  static std::string range(const char* what, T least, T most) {
    std::ostringstream line;
    line << what;
    if (most == std::numeric_limits<T>::max())
      line << " of " << least << " or more";
    else
      line << " from " << least << " to " << most;
    return line.str();
  }

  const Json* value_;
  std::string place_;
};

}  // namespace skipv1
