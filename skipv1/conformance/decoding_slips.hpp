// What a decoder's author gets wrong in its cache, mask and positions: a case's steps as rows of one pass.
#pragma once

#include <string>
#include <vector>

#include "skipv1/conformance/altered_pass.hpp"

namespace skipv1::conformance {

/// What is wrong; `decoding_slips` gives the words of each.
enum class SlipKind {
  none,
  mask_top_left,
  chunk_unmasked,
  unmasked,
  window,
  positions_restart,
  positions_late,
  positions_of_longest,
  positions_not_cut,
  padding_seen,
  queries_restart,
  queries_late,
  keys_late,
  keys_rotated_again,
  keys_rotated_when_read,
  keys_unrotated,
  newest_key_unrotated,
  new_keys_read_unrotated,
  forgets,
  grows_twice,
  cut_ignored,
  cut_at_front,
  source_of_chunk,
  source_of_first_chunk,
  source_late,
  source_not_yet,
  source_not_cut,
  source_without_newest,
  source_slot_early,
  source_slot_late,
  source_of_other,
  cache_of_other,
  slots
};

/// One mistake with its details.
struct Slip {
  SlipKind kind = SlipKind::none;
  std::string words = {};
  std::size_t window = 0;                ///< window: how many keys a query sees
  std::vector<std::size_t> others = {};  ///< …_of_other: of each sequence whose cache it reads
  /// What is there of the other's rows when a sequence reads them: sequences go one by one, the later ones' caches cut already
  /// or not; all go together; or a copy from before the step is read, the new rows being one's own. memory_…: slots are never
  /// cleared, so that behind a sequence's end there is what was written last.
  enum class View {
    one_by_one,
    one_by_one_cut,
    together,
    before_step,
    memory_one_by_one,
    memory_together,
    memory_before_step
  } view = View::one_by_one;
  bool own_beyond = false;     ///< …_of_other: where the other has no row, one's own is read instead of zeros
  bool behind_cache = false;   ///< …_of_other, grows_twice: a sequence's first chunk is right
  bool first_alone = false;    ///< source_without_newest: behind a cache all is right
  bool each_own = false;       ///< source_without_newest: each query's own row is missing, not the chunk's last
  bool counted_twice = false;  ///< grows_twice: positions count the copies, too
  bool seen_twice = false;     ///< grows_twice: the chunk sees its own copies
  /// positions_of_longest: as the loop over sequences finds it, or, of all or of those with new tokens, before the step.
  enum class Longest { so_far, kept, kept_of_active } longest = Longest::so_far;
  // slots, which are never cleared:
  enum class Place { own, early, late, of_longest, uncut } place = Place::own;  ///< where new rows are written
  /// Which slots are seen: up to one's own position or slot; besides, what stands behind one's rows up to the longest sequence's
  /// end, or up to one's own end before cuts; or all up to a position of the longest.
  enum class Seen { by_position, by_slot, to_longest, to_old_end, as_longest } seen = Seen::by_position;
  bool emptied = false;  ///< a sequence that begins anew forgets where its old end was
};
/// All that are tried on decoding steps of so many sequences; those of `windows`, too.
std::vector<Slip> decoding_slips(std::size_t sequences, const std::vector<std::size_t>& windows);

/// A way to take other sequences' rows for one's own, and its words.
struct MixUp {
  std::vector<std::size_t> others;  ///< of each sequence the one whose rows it takes
  std::string whose, exchanged;     ///< "the next sequence's"; "of sequences 0 and 1", empty where none are exchanged
};
std::vector<MixUp> mix_ups(std::size_t sequences);

/// The steps of a case with one thing wrong, row after row.
class SlippedSteps {
 public:
  SlippedSteps(const Case& c, const Slip& slip);

  GivenRows rows;
  std::vector<std::int32_t> tokens;
  /// Of each row: its sequence had a cache; its chunk is one token; so are all chunks of its step.
  std::vector<bool> behind_cache, alone, all_alone;

 private:
  using Ids = std::vector<std::size_t>;
  /// A sequence's cache as the rows that it holds.
  struct Held {
    Ids rows, shared;                            ///< keys and own values; values that other layers read
    std::vector<GivenRows::Rotation> rotations;  ///< of each key
    std::size_t length = 0, before = 0;          ///< positions; how many were cut so far
    std::size_t first = 0;                       ///< of the first chunk
    Ids uncut, kept;                             ///< rows before this step, and of these what it keeps
    std::size_t longest = 0;                     ///< of all sequences when this one's turn comes
    Ids slots, slots_before;                     ///< rows by their slots, which are never cleared; before this step
    std::size_t slot = 0, end = 0;               ///< of the chunk's first row; behind the last that was written
  };

  void cut(Held& x, std::size_t keep) const;
  std::size_t longest() const;
  std::size_t first_position(const Held& x, std::size_t count) const;
  std::size_t first_slot(const Held& x) const;
  void write_slots(Held& x, std::size_t first, std::size_t count) const;
  Ids seen_slots(const Held& x, std::size_t count, std::size_t i) const;
  void append(std::size_t b, const std::vector<std::int32_t>& fresh);
  void append_again(Held& x, std::size_t count) const;
  void rotate_fresh(Held& x, std::size_t start, std::size_t count) const;
  void read(std::size_t b, std::size_t count, std::size_t i);
  std::size_t seen(const Held& x, std::size_t count, std::size_t i) const;
  std::size_t shared_row(std::size_t b, std::size_t count, std::size_t i, std::size_t j) const;
  const Ids& rows_of_other(std::size_t b) const;
  std::vector<GivenRows::Rotation> rotations(const Held& x, std::size_t count, std::size_t seen) const;
  bool is(SlipKind kind) const { return slip_.kind == kind; }

  std::size_t most_, kept_ = 0, kept_of_active_ = 0;  ///< positions; of the longest sequence before a step
  Slip slip_;
  std::vector<Held> held_;
};

}  // namespace skipv1::conformance
