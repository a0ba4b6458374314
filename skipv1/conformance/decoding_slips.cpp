#include "skipv1/conformance/decoding_slips.hpp"

#include <algorithm>
#include <numeric>

#include "skipv1/conformance/mistake_lists.hpp"

namespace skipv1::conformance {

using Kind = SlipKind;

namespace {

constexpr std::pair<Kind, const char*> plain_slips[] = {
    {Kind::mask_top_left, "with more keys than queries the causal mask is aligned top-left instead of bottom-right"},
    {Kind::chunk_unmasked, "a chunk behind a cache has no causal mask"},
    {Kind::unmasked, "there is no causal mask: a query sees its whole chunk"},
    {Kind::positions_restart, "each chunk's positions start at 0"},
    {Kind::positions_late, "behind a cache positions are one too late"},
    {Kind::positions_of_longest, "all sequences go on from the position of the longest"},
    {Kind::positions_not_cut, "after a cut positions go on from where they were before it"},
    {Kind::padding_seen, "lengths are ignored: shorter sequences see the zeros behind them"},
    {Kind::queries_restart, "queries are rotated by their place in the chunk, keys by their position"},
    {Kind::queries_late, "behind a cache queries are rotated as one position later, keys are not"},
    {Kind::keys_late, "behind a cache keys are rotated as one position later, queries are not"},
    {Kind::keys_rotated_again, "cached keys are rotated again with each chunk"},
    {Kind::keys_rotated_when_read, "keys are cached rotated, and rotated again when they are read from the cache"},
    {Kind::keys_unrotated, "behind a cache new keys are cached without rotation"},
    {Kind::newest_key_unrotated, "behind a cache each chunk's newest key is cached without rotation"},
    {Kind::new_keys_read_unrotated, "behind a cache new keys are read before they are rotated; they are cached rotated"},
    {Kind::forgets, "a chunk replaces the cache instead of being appended"},
    {Kind::cut_ignored, "the cache is not cut: a stale tail stays in it"},
    {Kind::cut_at_front, "a cut drops the oldest positions instead of the newest"},
    {Kind::source_of_chunk, "layers read another layer's values of the new chunk alone; before it, zeros"},
    {Kind::source_of_first_chunk, "layers read another layer's values of the first chunk alone; behind it, zeros"},
    {Kind::source_late,
     "behind a cache layers read another layer's values of the chunk before, as many positions back, in the place of the new "
     "ones"},
    {Kind::source_not_yet, "behind a cache layers read zeros in the place of another layer's new values"},
    {Kind::source_not_cut, "the source layer's values keep what a cut should drop: later ones are appended behind it"},
    {Kind::source_slot_early, "another layer's values are read one slot too early"},
    {Kind::source_slot_late, "another layer's values are read one slot too late"}};

/// Those of one batch over slots that are never cleared.
void add_slots(std::vector<Slip>& all) {
  using Place = Slip::Place;
  using Seen = Slip::Seen;
  const auto add = [&](const char* words, Place place, Seen seen, bool emptied = false) {
    all.push_back({.kind = Kind::slots, .words = words, .place = place, .seen = seen, .emptied = emptied});
  };
  const char* tail = "lengths are ignored: shorter sequences see what stands behind them in the cache, stale rows or zeros";
  add(tail, Place::own, Seen::to_longest), add(tail, Place::own, Seen::as_longest);
  add("all sequences go on from the position and the slot of the longest, and see what stands before it", Place::of_longest,
      Seen::by_slot);
  for (const Seen seen : {Seen::by_position, Seen::by_slot}) {
    add("behind a cache new rows are written one slot too late", Place::late, seen);
    add("behind a cache new rows are written one slot too early", Place::early, seen);
  }
  for (const bool emptied : {false, true}) {
    add("a cut sequence's stale rows are seen behind its new ones", Place::own, Seen::to_old_end, emptied);
    for (const Seen seen : {Seen::by_position, Seen::by_slot})
      add("a cut sets positions back, but not slots: new rows are written behind the stale ones", Place::uncut, seen, emptied);
  }
}

void add_other_lengths(std::vector<Slip>& all) {
  for (const auto longest : {Slip::Longest::kept, Slip::Longest::kept_of_active})
    all.push_back({.kind = Kind::positions_of_longest,
                   .words = "all sequences go on from the position of the longest before the step",
                   .longest = longest});
  for (const bool first : {false, true})
    for (const bool own : {false, true})
      all.push_back({.kind = Kind::source_without_newest,
                     .words = std::string("layers read zeros in the place of another layer's newest values") +
                              (first ? ", in a sequence's first chunk alone" : ""),
                     .first_alone = first,
                     .each_own = own});
}

}  // namespace

std::vector<MixUp> mix_ups(std::size_t n) {
  std::vector<std::size_t> own(n);
  std::iota(own.begin(), own.end(), std::size_t{0});
  std::vector<MixUp> all;
  if (n < 2) return all;
  std::vector<std::size_t> next = own, previous = own;
  std::rotate(next.begin(), next.begin() + 1, next.end());
  std::rotate(previous.begin(), previous.end() - 1, previous.end());
  if (n > 2) all.push_back({next, "the next sequence's", ""}), all.push_back({previous, "the previous sequence's", ""});
  for (std::size_t i = 0; i < n && n <= 4; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      std::vector<std::size_t> pair = own;
      std::swap(pair[i], pair[j]);
      all.push_back({pair, "the other's of these two", "of sequences " + std::to_string(i) + " and " + std::to_string(j)});
    }
  return all;
}

std::vector<Slip> decoding_slips(std::size_t sequences, const std::vector<std::size_t>& windows) {
  std::vector<Slip> all;
  for (const auto& [kind, words] : plain_slips) all.push_back({kind, words});
  add_other_lengths(all);
  add_slots(all);
  for (const std::size_t window : windows) all.push_back({Kind::window, words_of_window(window), window});
  for (const bool behind : {false, true})
    for (const int how : {0, 1, 2, 3})
      all.push_back({.kind = Kind::grows_twice,
                     .words = std::string("each chunk's keys and values are appended to the cache twice") +
                              (behind ? ", but for a sequence's first chunk" : "") + (how & 1 ? "; positions count both" : ""),
                     .behind_cache = behind,
                     .counted_twice = (how & 1) != 0,
                     .seen_twice = (how & 2) != 0});
  std::vector<MixUp> mixed = mix_ups(sequences);
  for (const MixUp& x : mixed)
    all.push_back({.kind = Kind::cache_of_other,
                   .words = x.exchanged.empty() ? "behind a cache a sequence reads " + x.whose + " cache"
                                                : "the caches " + x.exchanged + " are exchanged",
                   .others = x.others,
                   .view = Slip::View::before_step,
                   .behind_cache = true});
  if (sequences > 1) mixed.push_back({std::vector<std::size_t>(sequences, 0), "sequence 0's", ""});
  using View = Slip::View;
  const std::pair<View, bool> views[] = {{View::one_by_one, false},      {View::one_by_one_cut, true},
                                         {View::together, false},        {View::together, true},
                                         {View::before_step, true},      {View::memory_one_by_one, false},
                                         {View::memory_together, false}, {View::memory_before_step, false}};
  for (const MixUp& x : mixed)
    for (const auto& [view, own_beyond] : views)
      for (const bool behind : {false, true})
        all.push_back({.kind = Kind::source_of_other,
                       .words = x.exchanged.empty()
                                    ? "another layer's values are read from " + x.whose + " cache"
                                    : "the cached values " + x.exchanged + " that other layers read are exchanged",
                       .others = x.others,
                       .view = view,
                       .own_beyond = own_beyond,
                       .behind_cache = behind});
  return all;
}

SlippedSteps::SlippedSteps(const Case& c, const Slip& slip)
    : most_(c.config.max_position_embeddings), slip_(slip), held_(c.decoding[0].tokens.size()) {
  if (is(Kind::source_not_cut)) rows.shared_of = c.config.attention.source_layer;
  for (const DecodingStep& step : c.decoding) {
    bool each_alone = true;
    kept_ = kept_of_active_ = 0;
    for (std::size_t b = 0; b < held_.size(); ++b) {
      held_[b].uncut = held_[b].rows, held_[b].slots_before = held_[b].slots;
      kept_ = std::max(kept_, step.keep[b]);
      if (!step.tokens[b].empty()) kept_of_active_ = std::max(kept_of_active_, step.keep[b]);
      each_alone = each_alone && step.tokens[b].size() <= 1;
    }
    for (std::size_t b = 0; b < held_.size(); ++b) {
      cut(held_[b], step.keep[b]);
      held_[b].kept = held_[b].rows;
      if (!step.tokens[b].empty()) append(b, step.tokens[b]);
      held_[b].longest = longest();
    }
    all_alone.resize(tokens.size(), each_alone);
    for (std::size_t b = 0; b < held_.size(); ++b) {
      const std::size_t count = step.tokens[b].size();
      for (std::size_t i = 0; i < count; ++i) read(b, count, i);
      if (is(Kind::grows_twice) && !slip_.seen_twice) append_again(held_[b], count);
    }
  }
}

void SlippedSteps::cut(Held& x, std::size_t keep) const {
  if (is(Kind::cut_ignored) || (is(Kind::grows_twice) && keep == x.length)) return;
  x.before += x.length - keep;
  x.length = keep;
  if (x.rows.size() > keep) {
    const auto excess = static_cast<std::ptrdiff_t>(x.rows.size() - keep);
    if (is(Kind::cut_at_front))
      x.rows.erase(x.rows.begin(), x.rows.begin() + excess);
    else
      x.rows.resize(keep);
  }
  x.rotations.resize(x.rows.size());
  if (!is(Kind::source_not_cut)) x.shared = x.rows;
}

std::size_t SlippedSteps::longest() const {
  std::size_t most = 0;
  for (const Held& x : held_) most = std::max(most, x.length);
  return most;
}

std::size_t SlippedSteps::first_position(const Held& x, std::size_t count) const {
  std::size_t start = x.length;
  if (is(Kind::positions_restart)) return 0;
  if (is(Kind::cut_ignored)) return start;
  if (is(Kind::grows_twice)) return slip_.counted_twice ? x.rows.size() : start;
  if (is(Kind::positions_late) && start > 0) ++start;
  if (is(Kind::positions_of_longest))
    start = slip_.longest == Slip::Longest::so_far ? longest() : slip_.longest == Slip::Longest::kept ? kept_ : kept_of_active_;
  if (is(Kind::slots) && slip_.place == Slip::Place::of_longest) start = kept_;
  if (is(Kind::positions_not_cut)) start += x.before;
  return std::min(start, most_ - count);
}

/// Where a chunk's first row is written, behind `x.length` positions.
std::size_t SlippedSteps::first_slot(const Held& x) const {
  const std::size_t own = x.length;
  if (!is(Kind::slots) || (own == 0 && slip_.emptied)) return own;
  switch (slip_.place) {
    case Slip::Place::early:
      return own - (own > 0);
    case Slip::Place::late:
      return own + (own > 0);
    case Slip::Place::of_longest:
      return kept_;
    case Slip::Place::uncut:
      return std::max(own, x.end);
    case Slip::Place::own:
      break;
  }
  return own;
}

void SlippedSteps::write_slots(Held& x, std::size_t first, std::size_t count) const {
  if (x.length == 0 && slip_.emptied) x.end = 0;
  x.slot = first_slot(x);
  x.slots.resize(std::max(x.slots.size(), x.slot + count), GivenRows::none);
  for (std::size_t i = 0; i < count; ++i) x.slots[x.slot + i] = first + i;
  x.end = std::max(x.end, x.slot + count);
}

/// The rows that new row i of `count` finds in the slots that it sees.
SlippedSteps::Ids SlippedSteps::seen_slots(const Held& x, std::size_t count, std::size_t i) const {
  using Seen = Slip::Seen;
  const std::size_t first = slip_.seen == Seen::by_position ? x.length - count : slip_.seen == Seen::as_longest ? kept_ : x.slot;
  const std::size_t behind = x.slot + count;
  const std::size_t end = slip_.seen == Seen::to_longest ? longest() : slip_.seen == Seen::to_old_end ? x.end : 0;
  Ids seen;
  const auto see = [&](std::size_t slot) { seen.push_back(slot < x.slots.size() ? x.slots[slot] : GivenRows::none); };
  for (std::size_t slot = 0; slot < first + i + 1; ++slot) see(slot);
  for (std::size_t slot = behind; slot < end; ++slot) see(slot);
  return seen;
}

void SlippedSteps::append(std::size_t b, const std::vector<std::int32_t>& fresh) {
  Held& x = held_[b];
  const std::size_t start = first_position(x, fresh.size()), first = tokens.size(), old = x.rows.size();
  if (old == 0) x.first = fresh.size();
  if (is(Kind::forgets)) x.rows.clear(), x.shared.clear();
  if (is(Kind::keys_rotated_again))
    for (GivenRows::Rotation& rotation : x.rotations) rotation.by += static_cast<std::ptrdiff_t>(fresh.size()), ++rotation.times;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    x.rows.push_back(first + i), x.shared.push_back(first + i);
    tokens.push_back(fresh[i]);
    rows.positions.push_back(start + i);
    behind_cache.push_back(old > 0), alone.push_back(fresh.size() == 1);
  }
  write_slots(x, first, fresh.size());
  x.rotations.resize(x.rows.size());
  if (old > 0) rotate_fresh(x, start, fresh.size());
  x.length += fresh.size();
  if (is(Kind::grows_twice) && slip_.seen_twice) append_again(x, fresh.size());
}

/// Appends the newest `count` rows once more, unless they are a first chunk that is to be right.
void SlippedSteps::append_again(Held& x, std::size_t count) const {
  if (count == 0 || (slip_.behind_cache && x.kept.empty())) return;
  for (std::size_t i = 0; i < count; ++i) x.rows.push_back(x.rows[x.rows.size() - count]);
  x.shared = x.rows;
  x.rotations.resize(x.rows.size());
}

/// How the newest `count` keys, behind a cache, are cached rotated otherwise than by their positions, from `start` on.
void SlippedSteps::rotate_fresh(Held& x, std::size_t start, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    GivenRows::Rotation& rotation = x.rotations[x.rows.size() - count + i];
    if (is(Kind::keys_late)) rotation.by = 1;
    if (is(Kind::keys_unrotated) || (is(Kind::newest_key_unrotated) && i + 1 == count))
      rotation = {-static_cast<std::ptrdiff_t>(start + i), -1};
  }
}

/// How many of its sequence's rows new row i of `count` sees.
std::size_t SlippedSteps::seen(const Held& x, std::size_t count, std::size_t i) const {
  if (is(Kind::mask_top_left)) return i + 1;
  if (is(Kind::unmasked)) return x.rows.size();
  if (is(Kind::chunk_unmasked) && x.rows.size() > count) return x.rows.size();
  return x.rows.size() - count + i + 1;
}

const std::vector<std::size_t>& SlippedSteps::rows_of_other(std::size_t b) const {
  const std::size_t other = slip_.others[b];
  const Held& x = held_[other];
  if (slip_.view == Slip::View::before_step) return x.kept;
  if (slip_.view == Slip::View::memory_together || (slip_.view == Slip::View::memory_one_by_one && other <= b)) return x.slots;
  if (slip_.view == Slip::View::memory_before_step || slip_.view == Slip::View::memory_one_by_one) return x.slots_before;
  if (slip_.view == Slip::View::together || other <= b) return x.rows;
  return slip_.view == Slip::View::one_by_one ? x.uncut : x.kept;
}

/// The row whose values another layer reads for key j of new row i.
std::size_t SlippedSteps::shared_row(std::size_t b, std::size_t count, std::size_t i, std::size_t j) const {
  const Held& x = held_[b];
  const std::size_t old = x.rows.size() - count, own = x.rows[j];
  const bool fresh = j >= old;
  if (is(Kind::source_not_cut)) return x.shared[j];
  if (is(Kind::source_slot_early)) return j > 0 ? x.rows[j - 1] : GivenRows::none;
  if (is(Kind::source_slot_late)) return j + 1 < x.rows.size() ? x.rows[j + 1] : GivenRows::none;
  if (is(Kind::source_without_newest)) {
    const bool right = (slip_.first_alone && old > 0) || j != (slip_.each_own ? old + i : x.rows.size() - 1);
    return right ? own : GivenRows::none;
  }
  if (is(Kind::source_of_chunk) && !fresh) return GivenRows::none;
  if (is(Kind::source_of_first_chunk) && j >= x.first) return GivenRows::none;
  if (is(Kind::source_not_yet) && fresh && old > 0) return GivenRows::none;
  if (is(Kind::source_late) && fresh && old > 0) return x.rows[j - std::min(j, count)];
  if (!is(Kind::source_of_other) || (slip_.behind_cache && old == 0)) return own;
  const Ids& other = rows_of_other(b);
  if (fresh && (slip_.view == Slip::View::before_step || slip_.view == Slip::View::memory_before_step)) return own;
  if (j < other.size()) return other[j];
  return slip_.own_beyond || (other.empty() && slip_.view == Slip::View::one_by_one) ? own : GivenRows::none;
}

/// What new row i of `count` reads.
void SlippedSteps::read(std::size_t b, std::size_t count, std::size_t i) {
  const Held& x = held_[b];
  const std::size_t visible = seen(x, count, i);
  Ids keys(x.rows.begin(), x.rows.begin() + static_cast<std::ptrdiff_t>(visible)), shared = keys;
  for (std::size_t j = 0; j < visible; ++j) shared[j] = shared_row(b, count, i, j);
  if (is(Kind::slots)) keys = seen_slots(x, count, i), shared = keys;
  if (is(Kind::padding_seen)) {
    keys.insert(keys.end(), x.longest - x.rows.size(), GivenRows::none);
    shared.resize(keys.size(), GivenRows::none);
  }
  if (is(Kind::window) && visible > slip_.window) {
    keys.erase(keys.begin(), keys.end() - static_cast<std::ptrdiff_t>(slip_.window));
    shared = keys;
  }
  if (is(Kind::cache_of_other) && !x.kept.empty() && !rows_of_other(b).empty()) {
    const Ids fresh(x.rows.end() - static_cast<std::ptrdiff_t>(count), x.rows.end() - static_cast<std::ptrdiff_t>(count - i - 1));
    keys = rows_of_other(b);
    keys.insert(keys.end(), fresh.begin(), fresh.end());
    shared = keys;
  }
  rows.keys.push_back(keys), rows.shared.push_back(shared);
  for (const Kind cached : {Kind::keys_rotated_again, Kind::keys_late, Kind::keys_unrotated, Kind::newest_key_unrotated})
    if (is(cached)) rows.rotated.emplace_back(x.rotations.begin(), x.rotations.begin() + static_cast<std::ptrdiff_t>(visible));
  for (const Kind read : {Kind::keys_rotated_when_read, Kind::queries_restart, Kind::queries_late, Kind::new_keys_read_unrotated})
    if (is(read)) rows.rotated.push_back(rotations(x, count, visible));
}

/// By which the first `seen` keys score as if they were rotated further: those from before the chunk of `count` rows, or these,
/// by their own positions; or, which is the same as queries rotated less or more, all alike.
std::vector<GivenRows::Rotation> SlippedSteps::rotations(const Held& x, std::size_t count, std::size_t seen) const {
  const std::size_t old = x.rows.size() - count;
  std::vector<GivenRows::Rotation> all(seen);
  for (std::size_t j = 0; j < seen; ++j) {
    const auto position = static_cast<std::ptrdiff_t>(rows.positions[x.rows[j]]);
    if (is(Kind::queries_restart)) all[j].by = static_cast<std::ptrdiff_t>(rows.positions[x.rows[old]]);
    if (is(Kind::queries_late) && old > 0) all[j].by = -1;
    if (is(Kind::keys_rotated_when_read) && j < old) all[j] = {position, 1};
    if (is(Kind::new_keys_read_unrotated) && j >= old && old > 0) all[j] = {-position, -1};
  }
  return all;
}

}  // namespace skipv1::conformance
