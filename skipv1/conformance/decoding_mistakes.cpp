// What a decoder computes whose author got its cache, mask or positions wrong, or its table in decoding alone: its steps as one
// pass over given rows.
#include <cmath>
#include <map>

#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/compare.hpp"
#include "skipv1/conformance/decoding_slips.hpp"
#include "skipv1/conformance/mistake_lists.hpp"
#include "skipv1/conformance/mistakes.hpp"

namespace skipv1::conformance {

namespace {

using StepLogits = std::map<std::size_t, Tensor<double>>;

/// Compares `made`, the rows of the first `steps` steps, with what was given of each and with the case's.
struct Outcome {
  double worst = 0;
  bool same = true, differs = false;
  Outcome(const Case& c, const StepLogits& logits, const double* made, double bound, std::size_t steps) {
    for (std::size_t n = 0; n < steps; ++n) {
      const View<const double> of_step(made, c.decoding[n].logits.shape());
      made += of_step.size();
      const auto given = logits.find(n);
      if (given == logits.end()) continue;
      const Comparison x = compare("decoding", "logits", given->second, of_step, bound);
      worst = std::max(worst, x.error);
      same = same && x.pass;
      differs = differs || !compare("decoding", "logits", of_step, c.decoding[n].logits, bound).pass;
    }
  }
};

/// The first `count` rows.
GivenRows first_rows(GivenRows rows, std::size_t count) {
  rows.positions.resize(count), rows.keys.resize(count), rows.shared.resize(count);
  if (!rows.rotated.empty()) rows.rotated.resize(count);
  if (!rows.by_other.empty()) rows.by_other.resize(count);
  return rows;
}

/// Whether row `i` is computed otherwise than in `right`.
bool changes(const GivenRows& rows, const GivenRows& right, std::size_t i) {
  const auto rotated = [](const GivenRows::Rotation& x) { return x != GivenRows::Rotation{}; };
  if (!rows.by_other.empty() && rows.by_other[i]) return true;
  if (!rows.rotated.empty() && std::any_of(rows.rotated[i].begin(), rows.rotated[i].end(), rotated)) return true;
  return rows.positions[i] != right.positions[i] || rows.keys[i] != right.keys[i] || rows.shared[i] != right.shared[i] ||
         rows.shared_of != right.shared_of;
}

/// The first position whose logits differ, in any step and sequence; 0 where none does.
std::size_t first_position(const Case& c, const StepLogits& logits, double bound) {
  const std::vector<std::size_t> positions = SlippedSteps(c, Slip{}).rows.positions;
  std::size_t row = 0, first = positions.size();
  for (std::size_t n = 0; n < c.decoding.size(); ++n) {
    const Tensor<double>& right = c.decoding[n].logits;
    const auto given = logits.find(n);
    const bool comparable = given != logits.end() && given->second.shape() == right.shape();
    double largest = 0;
    for (std::size_t i = 0; i < right.size(); ++i) largest = std::max(largest, std::abs(right.data()[i]));
    for (std::size_t i = 0; i < right.size() && comparable; ++i)
      if (!(std::abs(given->second.data()[i] - right.data()[i]) <= bound * largest))
        first = std::min(first, positions[row + i / right.width()]);
    row += c.decoding[n].rows();
  }
  return first < positions.size() ? first : 0;
}

bool shares_values(const Routing& routing) {
  for (std::size_t i = 0; i < routing.values.size(); ++i)
    if (!routing.values[i].none() && routing.values[i].layer != i / routing.heads) return true;
  return false;
}

/// The words of a slip where values are parts of a latent.
std::string of_latents(std::string words) {
  const std::size_t at = words.find("values");
  if (at != words.npos && words.find("keys and") == words.npos) words.replace(at, 6, "latents");
  return words;
}

/// Tries mistakes one by one.
class Recognition {
 public:
  Recognition(const Case& c, const StepLogits& logits, double bound) : case_(c), logits_(logits), bound_(bound) {
    if (!c.config.gpt2()) rules_.inner = Rules::Inner::silu;
    for (const auto& [n, given] : logits)
      if (!compare("decoding", "logits", given, c.decoding[n].logits, bound).pass) first_wrong_ = std::min(first_wrong_, n);
  }

  /// Each once: of many details no step shows a difference.
  void try_slips() {
    std::vector<std::pair<GivenRows, std::string>> tried;
    const std::size_t sequences = case_.decoding[0].tokens.size();
    for (const Slip& slip : decoding_slips(sequences, windows_up_to(first_position(case_, logits_, bound_)))) {
      if (slip.kind == SlipKind::source_of_other && !shares_) continue;
      const SlippedSteps steps(case_, slip);
      const std::string words = case_.config.latent() ? of_latents(slip.words) : slip.words;
      const std::pair<GivenRows, std::string> key(steps.rows, words);
      if (std::find(tried.begin(), tried.end(), key) != tried.end()) continue;
      tried.push_back(key);
      attempt(words, steps);
    }
  }
  /// The tables that a whole pass may have wrong, in all steps, or in those alone that a decoder may have other code for.
  void try_tables() {
    for (const TableMistake& mistake : table_mistakes(case_.config)) try_table(mistake, right_);
  }
  /// Scores that are scaled otherwise, and the wrong half of a latent.
  void try_scales_and_latents() {
    const Config& config = case_.config;
    const double head = static_cast<double>(config.head_width()), own = static_cast<double>(config.query_width()),
                 d = static_cast<double>(config.hidden_size);
    SlippedSteps steps = right_;
    for (const auto& [words, factor] :
         {std::pair("scores are not scaled", std::sqrt(own)),
          {"scores are scaled by 1 / sqrt(d), the model's width instead of a head's", std::sqrt(own / d)},
          {"scores are scaled by 1 / sqrt(d_h) instead of 1 / sqrt(d_h + d_r)", std::sqrt(own / head)}}) {
      steps.rows.other_scale = factor;
      if (factor != 1) try_scopes(words, steps);
    }
    steps.rows.other_scale = 1;
    if (!config.latent()) return;
    steps.rows.other_latent_half = true;
    try_scopes("the first half of layer 0's latent is reused instead of the second", steps);
  }
  /// The rules that a whole pass may have wrong, in all steps; those of masks and softmax are of a whole pass's own.
  void try_rules() {
    for (const RuleMistake& mistake : rule_mistakes(case_.config, {})) {
      const Rules& rules = mistake.rules;
      if (rules.mask != Rules::Mask::causal || rules.softmax != Rules::Softmax::over_keys || rules.untransposed_heads ||
          rules.shared == Rules::Shared::one_late)
        continue;
      const std::size_t first = case_.decoding[0].rows();
      if (Outcome(case_, logits_, pass(right_, first, rules).data(), bound_, 1).same)
        judge(mistake.words + ", in every step of decoding", pass(right_, right_.tokens.size(), rules).data());
    }
  }
  /// Right logits, given to other sequences.
  void try_logits() {
    for (const MixUp& x : mix_ups(case_.decoding[0].tokens.size())) {
      std::vector<double> made;
      for (const DecodingStep& step : case_.decoding) append_mixed(step, x.others, made);
      judge(x.exchanged.empty() ? "each sequence's logits are " + x.whose : "the logits " + x.exchanged + " are exchanged",
            made.data());
    }
    for (const bool total : {false, true})
      for (const bool longest_first : {false, true}) {
        std::vector<double> made;
        for (const DecodingStep& step : case_.decoding) append_sorted(step, total, longest_first, made);
        judge("sequences are sorted by length, and their logits are not put back", made.data());
      }
  }

  /// The words of the nearest.
  std::vector<std::string> nearest() {
    std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> all;
    for (const auto& [error, words] : found_)
      if (error <= 2 * found_.front().first + 1e-14 && std::find(all.begin(), all.end(), words) == all.end())
        all.push_back(words);
    return all;
  }

 private:
  void try_table(const TableMistake& mistake, SlippedSteps steps) {
    Routing wrong = routing_;
    try {
      mistake.change(wrong);
    } catch (const Error&) {  // a head that is not there
      return;
    }
    steps.rows.other = &wrong;
    try_scopes(mistake.words, steps);
  }
  /// What `steps.rows` says of rows `by_other`, in all steps, or in those alone that a decoder may have other code for: it may
  /// look at each sequence, or at the whole batch.
  void try_scopes(const std::string& words, SlippedSteps& steps) {
    steps.rows.by_other.assign(steps.tokens.size(), true);
    attempt(words + ", in every step of decoding", steps);
    const std::pair<const std::vector<bool>&, const char*> scopes[] = {
        {steps.behind_cache, ", behind a cache alone"},
        {steps.alone, ", where a sequence has one new token alone"},
        {steps.all_alone, ", in steps of one token each alone"}};
    std::vector<std::vector<bool>> tried = {steps.rows.by_other};
    for (const auto& [rows, where] : scopes) {
      if (std::find(tried.begin(), tried.end(), rows) != tried.end()) continue;
      tried.push_back(rows);
      steps.rows.by_other = rows;
      attempt(words + where, steps);
    }
  }
  /// Each sequence's logits of a step as those of the one that `others` has, where both have equally many.
  void append_mixed(const DecodingStep& step, const std::vector<std::size_t>& others, std::vector<double>& made) const {
    for (std::size_t b = 0; b < step.tokens.size(); ++b) {
      const std::size_t from = step.tokens[others[b]].size() == step.tokens[b].size() ? others[b] : b;
      std::size_t row = 0;
      for (std::size_t before = 0; before < from; ++before) row += step.tokens[before].size();
      const double* begin = step.logits.data() + row * step.logits.width();
      made.insert(made.end(), begin, begin + step.tokens[b].size() * step.logits.width());
    }
  }
  /// A step's logits in the order of the sequences' new tokens, or of their `total` lengths.
  static void append_sorted(const DecodingStep& step, bool total, bool longest_first, std::vector<double>& made) {
    std::vector<std::size_t> sequences;
    std::vector<const double*> rows;
    const double* next = step.logits.data();
    for (std::size_t b = 0; b < step.tokens.size(); ++b) {
      sequences.push_back(b), rows.push_back(next);
      next += step.tokens[b].size() * step.logits.width();
    }
    const auto length = [&](std::size_t b) { return step.tokens[b].size() + (total ? step.keep[b] : 0); };
    std::stable_sort(sequences.begin(), sequences.end(),
                     [&](std::size_t a, std::size_t b) { return longest_first ? length(a) > length(b) : length(a) < length(b); });
    for (const std::size_t b : sequences) made.insert(made.end(), rows[b], rows[b] + step.tokens[b].size() * step.logits.width());
  }
  /// First up to the first step that is computed otherwise; most mistakes end there.
  void attempt(const std::string& words, const SlippedSteps& steps) {
    std::size_t end = 0, row = 0;
    for (bool changed = false; !changed; ++end) {
      if (end == case_.decoding.size()) return;
      for (const std::size_t last = row + case_.decoding[end].rows(); row < last; ++row)
        changed = changed || changes(steps.rows, right_.rows, row);
    }
    if (end > first_wrong_ + 1) return;  // right where the given logits are not
    if (Outcome(case_, logits_, pass(steps, row, rules_).data(), bound_, end).same)
      judge(words, pass(steps, steps.tokens.size(), rules_).data());
  }
  /// The first `count` rows.
  Tensor<double> pass(const SlippedSteps& steps, std::size_t count, const Rules& rules) const {
    const GivenRows rows = first_rows(steps.rows, count);
    return altered_pass(case_.config, case_.weights, routing_, {steps.tokens.data(), {1, count}}, rules, &rows);
  }
  /// `made`: the rows of all steps.
  void judge(const std::string& words, const double* made) {
    const Outcome x(case_, logits_, made, bound_, case_.decoding.size());
    if (x.same && x.differs) found_.emplace_back(x.worst, words);
  }

  const Case& case_;
  const StepLogits& logits_;
  double bound_;
  Routing routing_ = make_routing(case_.config);
  bool shares_ = shares_values(routing_) || case_.config.variant().latent.count > 1;
  SlippedSteps right_{case_, Slip{}};
  std::size_t first_wrong_ = case_.decoding.size();  ///< the first step that differs
  Rules rules_;
  std::vector<std::pair<double, std::string>> found_;
};

}  // namespace

std::vector<std::string> recognise_decoding(const Case& c, const std::map<std::size_t, Tensor<double>>& logits, double bound) {
  Recognition recognition(c, logits, bound);
  recognition.try_slips();
  recognition.try_tables();
  recognition.try_scales_and_latents();
  recognition.try_rules();
  recognition.try_logits();
  return recognition.nearest();
}

}  // namespace skipv1::conformance
