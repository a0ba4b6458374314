// The known mistakes that are another routing table, or other rules of the pass.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "skipv1/conformance/altered_pass.hpp"

namespace skipv1::conformance {

/// A mistake that reads other heads.
struct TableMistake {
  std::string words;
  std::function<void(Routing&)> change;  ///< of the right table; throws where it would read a head that is not owned
};
std::vector<TableMistake> table_mistakes(const Config& config);

/// A mistake in the pass itself.
struct RuleMistake {
  std::string words;
  Rules rules;
};
/// `windows`: how many keys a query sees where a sliding window is tried.
std::vector<RuleMistake> rule_mistakes(const Config& config, const std::vector<std::size_t>& windows);

/// A mistake that reads other numbers of the configuration than it says.
struct ConfigMistake {
  std::string words;
  Config config;
};
std::vector<ConfigMistake> rope_mistakes(const Config& config);

}  // namespace skipv1::conformance
