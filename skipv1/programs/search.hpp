// The experiment "search": its tables in the order of their training, and those of them that are trained again at another size.
// Compiled once, in library/experiment_search.cpp.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/experiment_runner.hpp"
#include "skipv1/programs/table_search.hpp"

namespace skipv1 {

/// A search with a name: table number k is the run "name/k".
struct SearchGroup {
  std::string name, summary;
  SearchPlan plan;
  std::size_t tables = 0;  ///< how many are made, unless another number is asked for
};
/// The searches; `small`: of few tables.
std::vector<SearchGroup> search_groups(bool small);

inline constexpr const char* search_size = "search";  ///< the group of the runs that tables are compared with in the search
inline constexpr std::uint64_t search_seed = 1;       ///< of every table's training in the search

/// The tables of all groups, in turns: as each one depends on the losses of those before it but the last few, several can be in
/// training.
class TableSearch {
 public:
  /// `like`: the run that every table's is, but for its table and label. `tables` of each group, 0: as many as it has.
  TableSearch(std::vector<SearchGroup> groups, std::size_t tables, const PlannedRun& like);

  /// The loss of a run that is done, by label.
  using LossOf = std::function<std::optional<double>(const std::string& label)>;
  struct Next {
    const PlannedRun* run = nullptr;  ///< null: there is none
    bool waits = false;               ///< none before a run that has begun ends
  };
  /// The next run that has not begun; the same until `begin` says that it has.
  Next next(const LossOf& loss);
  void begin();
  std::size_t left() const;

 private:
  struct Group {
    SearchGroup of;
    std::vector<Candidate> candidates = {};
    std::vector<double> losses = {};
    std::size_t begun = 0;
  };
  PlannedRun planned(const Group& group) const;
  PlannedRun like_;
  std::vector<Group> groups_;
  std::deque<PlannedRun> runs_;  ///< in the order in which they were made
  Group* next_ = nullptr;        ///< whose last candidate is next
};

/// The runs that are trained again at the size `asked.retrain`, by what `results` holds: of each search the
/// `asked.found` tables of the lowest loss, and the `asked.random` first drawn ones. `like` is the size's first run. Throws if
/// there are no tables yet.
std::vector<PlannedRun> retrained(const ExperimentJob& asked, const Json& results, const PlannedRun& like);
/// The configurations' tables of a file of results, the best of each search, as files in `folder`.
void save_tables(const Json& results, std::size_t found, const std::filesystem::path& folder);

/// Prints the searches, their best tables, what the losses go with, and the tables trained again.
void print_search(const Json& results);
/// Draws loss over the table's number, and over the share of routed heads that read layer 0; and the tables trained again: three
/// files, whose names end so.
void draw_search(const Json& results, const std::filesystem::path& file);

}  // namespace skipv1
