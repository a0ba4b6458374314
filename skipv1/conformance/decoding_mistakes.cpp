// What a decoder computes whose author got its cache, mask or positions wrong: its steps as one pass over given rows.
#include <cmath>
#include <map>

#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/compare.hpp"
#include "skipv1/conformance/mistake_lists.hpp"
#include "skipv1/conformance/mistakes.hpp"

namespace skipv1::conformance {

namespace {

enum class Slip {
  none,
  mask_top_left,
  chunk_unmasked,
  positions_restart,
  positions_late,
  positions_of_longest,
  positions_not_cut,
  padding_seen,
  window,
  keys_rotated_again,
  keys_rotated_when_read,
  queries_restart,
  forgets,
  cut_ignored,
  cut_at_front,
  source_of_chunk,
  source_not_cut,
  source_of_other
};
constexpr std::pair<Slip, const char*> slips[] = {
    {Slip::mask_top_left, "with more keys than queries the causal mask is aligned top-left instead of bottom-right"},
    {Slip::chunk_unmasked, "a chunk behind a cache has no causal mask"},
    {Slip::positions_restart, "each chunk's positions start at 0"},
    {Slip::positions_late, "behind a cache positions are one too late"},
    {Slip::positions_of_longest, "all sequences go on from the position of the longest"},
    {Slip::positions_not_cut, "after a cut positions go on from where they were before it"},
    {Slip::padding_seen, "lengths are ignored: shorter sequences see the zeros behind them"},
    {Slip::keys_rotated_again, "cached keys are rotated again with each chunk"},
    {Slip::keys_rotated_when_read, "keys are cached rotated, and rotated again when they are read from the cache"},
    {Slip::queries_restart, "queries are rotated by their place in the chunk, keys by their position"},
    {Slip::forgets, "a chunk replaces the cache instead of being appended"},
    {Slip::cut_ignored, "the cache is not cut: a stale tail stays in it"},
    {Slip::cut_at_front, "a cut drops the oldest positions instead of the newest"},
    {Slip::source_of_chunk, "layers read another layer's values of the new chunk alone; before it, zeros"},
    {Slip::source_not_cut, "the source layer's values keep what a cut should drop: later ones are appended behind it"},
    {Slip::source_of_other, "another layer's values are read from the next sequence's cache"}};

using Ids = std::vector<std::size_t>;

/// A sequence's cache as the rows that it holds.
struct Held {
  Ids rows, shared;                            ///< keys and own values; values that other layers read
  std::vector<GivenRows::Rotation> rotations;  ///< of each key
  std::size_t length = 0, before = 0;
};

/// The steps of a case with one thing wrong, row after row; `window` is how many keys a query sees where that is it.
class Steps {
 public:
  Steps(const Case& c, Slip slip, std::size_t window = 0)
      : most_(c.config.max_position_embeddings), slip_(slip), window_(window), held_(c.decoding[0].tokens.size()) {
    if (slip == Slip::source_not_cut) rows.shared_of = c.config.attention.source_layer;
    for (const DecodingStep& step : c.decoding)
      for (std::size_t b = 0; b < held_.size(); ++b) {
        cut(held_[b], step.keep[b]);
        if (!step.tokens[b].empty()) append(b, step.tokens[b]);
      }
  }

  GivenRows rows;
  std::vector<std::int32_t> tokens;

 private:
  void cut(Held& x, std::size_t keep) {
    if (slip_ == Slip::cut_ignored) return;
    x.before += x.length - keep;
    x.length = keep;
    if (x.rows.size() > keep) {
      const auto excess = static_cast<std::ptrdiff_t>(x.rows.size() - keep);
      if (slip_ == Slip::cut_at_front)
        x.rows.erase(x.rows.begin(), x.rows.begin() + excess);
      else
        x.rows.resize(keep);
    }
    x.rotations.resize(x.rows.size());
    if (slip_ != Slip::source_not_cut) x.shared = x.rows;
  }
  std::size_t longest() const {
    std::size_t most = 0;
    for (const Held& x : held_) most = std::max(most, x.length);
    return most;
  }
  std::size_t first_position(const Held& x, std::size_t count) const {
    std::size_t start = x.length;
    if (slip_ == Slip::positions_restart) return 0;
    if (slip_ == Slip::cut_ignored) return start;
    if (slip_ == Slip::positions_late && start > 0) ++start;
    if (slip_ == Slip::positions_of_longest) start = longest();
    if (slip_ == Slip::positions_not_cut) start += x.before;
    return std::min(start, most_ - count);
  }
  void append(std::size_t b, const std::vector<std::int32_t>& fresh) {
    Held& x = held_[b];
    const std::size_t start = first_position(x, fresh.size()), first = tokens.size();
    if (slip_ == Slip::forgets) x.rows.clear(), x.shared.clear();
    for (GivenRows::Rotation& rotation : x.rotations) rotation.by += fresh.size(), ++rotation.times;
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      x.rows.push_back(first + i), x.shared.push_back(first + i);
      tokens.push_back(fresh[i]);
      rows.positions.push_back(start + i);
    }
    x.rotations.resize(x.rows.size());
    x.length += fresh.size();
    for (std::size_t i = 0; i < fresh.size(); ++i) read(b, fresh.size(), i);
  }
  /// What new row i of `count` reads.
  void read(std::size_t b, std::size_t count, std::size_t i) {
    const Held& x = held_[b];
    std::size_t seen = x.rows.size() - count + i + 1;
    if (slip_ == Slip::mask_top_left) seen = i + 1;
    if (slip_ == Slip::chunk_unmasked && x.rows.size() > count) seen = x.rows.size();
    Ids keys(x.rows.begin(), x.rows.begin() + static_cast<std::ptrdiff_t>(seen)), shared = keys;
    const Ids& other = held_[(b + 1) % held_.size()].rows;
    for (std::size_t j = 0; j < seen; ++j) {
      if (slip_ == Slip::source_not_cut) shared[j] = x.shared[j];
      if (slip_ == Slip::source_of_chunk && j < x.rows.size() - count) shared[j] = GivenRows::none;
      if (slip_ == Slip::source_of_other && !other.empty()) shared[j] = j < other.size() ? other[j] : GivenRows::none;
    }
    if (slip_ == Slip::padding_seen) {
      keys.insert(keys.end(), longest() - x.rows.size(), GivenRows::none);
      shared.resize(keys.size(), GivenRows::none);
    }
    if (slip_ == Slip::window && seen > window_) {
      keys.erase(keys.begin(), keys.end() - static_cast<std::ptrdiff_t>(window_));
      shared = keys;
    }
    rows.keys.push_back(keys), rows.shared.push_back(shared);
    if (slip_ == Slip::keys_rotated_again)
      rows.rotated.emplace_back(x.rotations.begin(), x.rotations.begin() + static_cast<std::ptrdiff_t>(seen));
    if (slip_ == Slip::keys_rotated_when_read || slip_ == Slip::queries_restart)
      rows.rotated.push_back(rotations(x, count, seen));
  }

  /// By which the first `seen` keys score as if they were rotated further: those from before the chunk of `count` rows by their
  /// own positions; or, which is the same as queries rotated less, all by the chunk's first position.
  std::vector<GivenRows::Rotation> rotations(const Held& x, std::size_t count, std::size_t seen) const {
    const std::size_t old = x.rows.size() - count;
    std::vector<GivenRows::Rotation> all(seen);
    for (std::size_t j = 0; j < seen; ++j) {
      if (slip_ == Slip::queries_restart) all[j].by = rows.positions[x.rows[old]];
      if (slip_ == Slip::keys_rotated_when_read && j < old) all[j] = {rows.positions[x.rows[j]], 1};
    }
    return all;
  }

  std::size_t most_;
  Slip slip_;
  std::size_t window_;
  std::vector<Held> held_;
};

/// Compares `made` (N, V), the rows of all steps, with what was given of each and with the case's.
struct Outcome {
  double worst = 0;
  bool same = true, differs = false;
  Outcome(const Case& c, const std::map<std::size_t, Tensor<double>>& logits, View<const double> made, double bound) {
    std::size_t row = 0;
    for (std::size_t n = 0; n < c.decoding.size(); ++n) {
      const View<const double> of_step(made.data() + row * c.config.vocab_size, c.decoding[n].logits.shape());
      row += c.decoding[n].rows();
      const auto given = logits.find(n);
      if (given == logits.end()) continue;
      const Comparison x = compare("decoding", "logits", given->second, of_step, bound);
      worst = std::max(worst, x.error);
      same = same && x.pass;
      differs = differs || !compare("decoding", "logits", of_step, c.decoding[n].logits, bound).pass;
    }
  }
};

/// The first position whose logits differ, in any step and sequence; 0 where none does.
std::size_t first_position(const Case& c, const std::map<std::size_t, Tensor<double>>& logits, double bound) {
  const std::vector<std::size_t> positions = Steps(c, Slip::none).rows.positions;
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

}  // namespace

std::vector<std::string> recognise_decoding(const Case& c, const std::map<std::size_t, Tensor<double>>& logits, double bound) {
  std::vector<std::pair<double, std::string>> found;
  Rules rules;
  if (!c.config.gpt2()) rules.inner = Rules::Inner::silu;
  const auto attempt = [&](const std::string& words, const Steps& steps) {
    const View<const std::int32_t> tokens(steps.tokens.data(), {1, steps.tokens.size()});
    const Tensor<double> made = altered_pass(c.config, c.weights, make_routing(c.config), tokens, rules, &steps.rows);
    const Outcome x(c, logits, View<const double>(made.data(), {steps.tokens.size(), c.config.vocab_size}), bound);
    if (x.same && x.differs) found.emplace_back(x.worst, words);
  };
  for (const auto& [slip, words] : slips) attempt(words, Steps(c, slip));
  for (const std::size_t window : windows_up_to(first_position(c, logits, bound)))
    attempt(words_of_window(window), Steps(c, Slip::window, window));
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (const auto& [error, words] : found)
    if (error <= 2 * found.front().first + 1e-14) nearest.push_back(words);
  return nearest;
}

}  // namespace skipv1::conformance
