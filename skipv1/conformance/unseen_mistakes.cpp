#include "skipv1/conformance/unseen_mistakes.hpp"

#include "skipv1/conformance/mistakes.hpp"

namespace skipv1::conformance {

void UnseenMistakes::add(const Case& c) {
  ++cases_;
  ByWords& shows = shows_[c.config.gpt2() ? "gpt2" : "llama"];
  const auto bound = [&](const char* dtype) { return c.bounds.find(dtype, "logits", "logits"); };
  const auto unseen = [&](const std::string& words) {  // another case has shown it; or bfloat16 does the same to what is right
    const auto found = shows.find(words);
    return words.find("bfloat16") == words.npos && (found == shows.end() || found->second != Shows::in_16_bits);
  };
  for (const auto& [words, error] : effects_of_mistakes(c, unseen)) {
    const Shows here = error > bound("bf16") ? Shows::in_16_bits : error > bound("f32") ? Shows::in_float32 : Shows::nowhere;
    Shows& best = shows.try_emplace(words, here).first->second;
    best = std::max(best, here);
  }
}

void UnseenMistakes::print(std::ostream& out) const {
  std::string lines;
  for (const auto& [architecture, all] : shows_)
    for (const auto& [words, shows] : all)
      if (shows == Shows::in_float32) lines += "  " + (shows_.size() == 1 ? words : architecture + ": " + words) + '\n';
  if (lines.empty()) return;
  out << "with logits of 16 bits " << (cases_ == 1 ? "this case does" : "these " + std::to_string(cases_) + " cases do")
      << " not show the mistakes below, with float32 logits " << (cases_ == 1 ? "it does" : "they do") << ":\n"
      << lines;
}

}  // namespace skipv1::conformance
