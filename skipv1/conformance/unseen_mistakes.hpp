// What logits that hold do not say: the known mistakes that are smaller than their bounds.
#pragma once

#include <map>
#include <ostream>
#include <string>

#include "skipv1/conformance/case.hpp"

namespace skipv1::conformance {

/// The known mistakes that no case with logits of 16 bits tells from right, and float32 logits of one of these cases would.
class UnseenMistakes {
 public:
  /// Adds a case whose logits hold within the bounds of 16 bits.
  void add(const Case& c);
  /// Writes them, one a line; nothing where there is none.
  void print(std::ostream& out) const;

 private:
  enum class Shows { nowhere, in_float32, in_16_bits };
  std::size_t cases_ = 0;
  using ByWords = std::map<std::string, Shows>;
  std::map<std::string, ByWords> shows_;  ///< of an architecture each mistake: where it shows best
};

}  // namespace skipv1::conformance
