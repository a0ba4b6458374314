// The checker's findings as JSON.
#pragma once

#include <filesystem>
#include <utility>

#include "skipv1/conformance/compare.hpp"
#include "skipv1/io/json.hpp"

namespace skipv1::conformance {

class Report {
 public:
  void add(const std::string& case_name, const std::vector<Comparison>& comparisons) {
    cases_.emplace_back(case_name, comparisons);
  }
  /// Gives `[{"case": …, "check": …, "tensor": …, "error": …, "bound": …, "pass": …, "index": […], "expected": …, "actual": …,
  /// "note": …}, …]`: index, expected and actual number are those of `Comparison`. What is no finite number is null.
  Json json() const;

 private:
  std::vector<std::pair<std::string, std::vector<Comparison>>> cases_;
};

}  // namespace skipv1::conformance
