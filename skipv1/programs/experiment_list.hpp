// The list of an experiment's runs, each with its seeds: what is asked of it, cut into parts for several machines, and the
// settings by which results are held to it. Compiled once, in library/experiment_list.cpp.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/experiment_runner.hpp"

namespace skipv1 {

using ListedRuns = std::vector<std::pair<const PlannedRun*, std::uint64_t>>;

/// What settings depend on besides the plan: the scalar, and the name and fingerprint of an imported model.
struct Imported {
  std::string dtype, name;
  std::optional<std::string> fingerprint = {};
};

/// When and how much of the held-out text a run reads.
CurveOptions curve_of(const Experiment& experiment, const PlannedRun& run);
/// All that a run's numbers depend on besides texts and seed.
Json settings_of(const PlannedRun& run, const CurveOptions& curve, const Imported& from);
/// Which `--device` a result's device is: "cpu", "cuda" or "emulated".
std::string device_option(const Json& result);
/// The first few of `names`, those with `like` in them before others, and how many more there are: "a, b and 7 more".
std::string few_of(std::vector<std::string> names, const std::string& like = {});
/// Whether a run is among those asked for, by `--only` and `--peaks`.
bool wanted(const ExperimentJob& asked, const PlannedRun& run);
/// Those of the results' runs that `--only`, `--peaks`, `--seeds` and `--seed-list` ask for. Throws if a name or a rate is no
/// run's, or if none is left. "short" says whether they are of --short.
Json chosen_results(Json results, const ExperimentJob& asked);
/// Throws if a name of `--only` or, among the runs that it names, a rate of `--peaks` is no run's.
void require_choice(const Experiment& experiment, const ExperimentJob& asked);
/// Throws if `--against` is no model of these runs' labels, and names those that are.
void require_model(const std::string& against, const std::vector<std::string>& labels);
/// Throws if an option of one experiment alone is given to another.
void require_own_options(const ExperimentJob& asked);
/// The runs asked for, seed by seed. Throws as `require_choice` does.
ListedRuns listed_runs(const Experiment& experiment, const ExperimentJob& asked);
/// Every `shard.count`-th of the list, from `shard.index` on; runs that start from another's model are where that one is.
ListedRuns part_of_list(const ListedRuns& all, const Shard& shard);

/// "2/3" as a part; empty: what SLURM_ARRAY_TASK_ID and its kin say, else the whole. Throws if it is neither.
Shard parse_shard(const std::string& text);
/// Where a part's results go: results-2-of-3.json for results.json.
std::filesystem::path shard_file(const std::filesystem::path& out, const Shard& shard);

/// Joins files of results into `asked.out`, with what is there already, in the order of the list, and returns all; says on
/// standard error which of the runs asked for are missing. Throws, with nothing written, if they are of different experiments or
/// texts or devices, if a run has other settings than the experiment's, or if a run is there twice and differs in
/// more than the machine's times; the first is kept.
Json merge_results(const ExperimentJob& asked, const std::vector<std::string>& files);

}  // namespace skipv1
