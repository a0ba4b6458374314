// The search over tables: which run is next, and which are trained again.
#include "skipv1/programs/search.hpp"

#include <cstdio>
#include <map>

#include "skipv1/io/config.hpp"

namespace skipv1 {

namespace {

/// A table that was searched, of a file of results.
struct Searched {
  const Json* run = nullptr;
  std::string group;
  double loss = 0;
};

/// All of them, by group, in the order of their numbers.
std::vector<Searched> searched(const Json& results) {
  std::vector<Searched> all;
  for (const Json& run : results.at("runs")) {
    if (!run.contains("made")) continue;
    const auto label = run.at("label").get<std::string>();
    all.push_back({&run, group_of(label), run.at("final_nats_per_token").get<double>()});
  }
  return all;
}

/// The best of each search, then the first drawn ones.
std::vector<Searched> chosen(const Json& results, std::size_t found, std::size_t random) {
  std::vector<Searched> all = searched(results), drawn = all, chosen;
  require(!all.empty(), "search: no tables are trained yet");
  std::stable_sort(all.begin(), all.end(), [](const Searched& a, const Searched& b) { return a.loss < b.loss; });
  const auto is_new = [&](const Searched& table) {
    return std::none_of(chosen.begin(), chosen.end(), [&](const Searched& other) { return other.run == table.run; });
  };
  const auto take = [&](const std::vector<Searched>& from, std::size_t most, const auto& wanted) {
    std::map<std::string, std::size_t> taken;
    for (const Searched& table : from)
      if (wanted(table.run->at("made")) && taken[table.group] < most && is_new(table))
        ++taken[table.group], chosen.push_back(table);
  };
  take(all, found, [](const Json& made) { return made != "given"; });
  take(drawn, random, [](const Json& made) { return made == "drawn"; });
  return chosen;
}

/// "skipv1-cache/17" as part of a name.
std::string plain(std::string label) {
  std::replace(label.begin(), label.end(), '/', '-');
  return label;
}

}  // namespace

std::vector<SearchGroup> search_groups(bool small) {
  SearchPlan cache, half, around;
  half.space.owned = 32, half.seed = 2;
  around.given = {first_layer_table(around.space)}, around.seed = 3, around.population = 8;
  std::vector<SearchGroup> groups = {{"skipv1-cache", "as many value heads as SkipV1 owns", cache, 100},
                                     {"half", "half of MHA's value heads", half, 100},
                                     {"around-skipv1", "as many as SkipV1 owns, descendants of SkipV1's own table", around, 60}};
  for (SearchGroup& group : groups)
    if (small) group.plan.drawn = 3, group.plan.population = 2, group.plan.lag = 1, group.tables = 6;
  return groups;
}

TableSearch::TableSearch(std::vector<SearchGroup> groups, std::size_t tables, const PlannedRun& like) : like_(like) {
  for (SearchGroup& group : groups) {
    if (tables) group.tables = tables;
    groups_.push_back({std::move(group)});
  }
}

PlannedRun TableSearch::planned(const Group& group) const {
  PlannedRun run = like_;
  const Candidate& candidate = group.candidates.back();
  run.label = group.of.name + "/" + std::to_string(group.candidates.size() - 1);
  run.config.attention.variant = table_variant().name, run.config.attention.table = head_table(candidate.table);
  run.seeds = 1;
  run.beside = {{"made", candidate.made}, {"parents", candidate.parents}, {"owned_values", candidate.table.owned()}};
  validate(run.config);
  return run;
}

TableSearch::Next TableSearch::next(const LossOf& loss) {
  if (next_) return {&runs_.back()};
  Group* group = nullptr;
  for (Group& g : groups_)
    if (g.begun < g.of.tables && (!group || g.begun < group->begun)) group = &g;
  if (!group) return {};
  const std::size_t lag = group->of.plan.lag;
  for (std::size_t k = group->losses.size(); k + lag < group->begun; ++k) {
    const std::optional<double> known = loss(group->of.name + "/" + std::to_string(k));
    if (!known) return {.run = nullptr, .waits = true};
    group->losses.push_back(*known);
  }
  group->candidates.push_back(next_candidate(group->of.plan, group->candidates, group->losses));
  runs_.push_back(planned(*group));
  next_ = group;
  return {&runs_.back()};
}

void TableSearch::begin() { ++next_->begun, next_ = nullptr; }

std::size_t TableSearch::left() const {
  std::size_t left = 0;
  for (const Group& group : groups_) left += group.of.tables - group.begun;
  return left;
}

std::vector<PlannedRun> retrained(const ExperimentJob& asked, const Json& results, const PlannedRun& like) {
  std::vector<PlannedRun> runs;
  for (const Searched& table : chosen(results, asked.found, asked.random)) {
    PlannedRun run = like;
    run.label = asked.retrain + "/" + plain(table.run->at("label").get<std::string>());
    const Json& attention = table.run->at("settings").at("config").at("attention");
    run.config.attention.variant = table_variant().name;
    run.config.attention.table = parse_table(attention.at("table"), "attention.table.");
    validate(run.config);
    runs.push_back(run);
  }
  return runs;
}

void save_tables(const Json& results, std::size_t found, const std::filesystem::path& folder) {
  const std::vector<Searched> tables = chosen(results, found, 0);
  std::filesystem::create_directories(folder);
  for (const Searched& table : tables)
    write_table(folder / (plain(table.run->at("label").get<std::string>()) + ".json"),
                parse_table(table.run->at("settings").at("config").at("attention").at("table")));
  std::printf("%s: %zu tables\n", folder.string().c_str(), tables.size());
}

}  // namespace skipv1
