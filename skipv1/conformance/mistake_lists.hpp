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

/// What a sliding window of that many keys is called.
std::string words_of_window(std::size_t keys);
/// The windows that may have given logits of which those at position `first` are the first to differ: a query sees less than it
/// should from the position on that is the window's width; what the first keys left out weigh may be too little to be seen.
std::vector<std::size_t> windows_up_to(std::size_t first);

/// A mistake that reads other numbers of the configuration than it says.
struct ConfigMistake {
  std::string words;
  Config config;
};
std::vector<ConfigMistake> rope_mistakes(const Config& config);

}  // namespace skipv1::conformance
