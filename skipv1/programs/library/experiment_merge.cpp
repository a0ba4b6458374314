// Results of an experiment's parts, joined.
#include <algorithm>
#include <cstdio>
#include <map>

#include "skipv1/io/file.hpp"
#include "skipv1/io/lock.hpp"
#include "skipv1/programs/experiment_list.hpp"

namespace skipv1 {

namespace {

/// What an imported model adds to a run's settings, which its plan does not know.
Json without_import(Json settings, const PlannedRun& run) {
  if (run.start == imported) settings.erase("start"), settings.erase("start_fingerprint");
  return settings;
}

/// The first key by which two results of a run differ, but for the machine's times; empty if there is none.
std::string difference(const Json& one, const Json& other) {
  for (const Json* of : {&one, &other})
    for (const auto& item : of->items()) {
      const std::string& key = item.key();
      if (key.ends_with("seconds") || key == "tokens_per_second") continue;
      if (!one.contains(key) || !other.contains(key) || one.at(key) != other.at(key)) return key;
    }
  return {};
}

/// Files of results as they are joined: all of one text, one scalar, one device and one size, each run as the experiment has it.
class Merge {
 public:
  explicit Merge(const ExperimentJob& asked) : asked_(asked) {}

  void add(const std::string& file) {
    const Json results = read_results(file, asked_.name);
    if (results.at("runs").empty()) return;
    if (text_.is_null() && runs_.empty()) text_ = results.at("text"), first_ = file;
    require(results.at("text") == text_, file, ": results of another text than those in ", first_);
    for (const Json& run : results.at("runs")) at_place(file, [&] { add(run, file); });
  }
  /// In the order of the list; runs that nobody asks for come last.
  Json joined() {
    Json results = {{"experiment", asked_.name}, {"text", text_}, {"runs", Json::array()}};
    std::vector<std::string> missing;
    const ListedRuns list = experiment_.runs.empty() ? ListedRuns() : listed_runs(experiment_, asked_);
    for (const auto& [run, seed] : list) {
      const auto found = runs_.find({run->label, seed});
      if (found == runs_.end()) {
        missing.push_back(run->label + " (seed " + std::to_string(seed) + ")");
        continue;
      }
      results["runs"].push_back(std::move(found->second.run));
      runs_.erase(found);
    }
    for (auto& [name, rest] : runs_) results["runs"].push_back(std::move(rest.run));
    std::fprintf(stderr, "%zu runs", results["runs"].size());
    if (!missing.empty())
      std::fprintf(stderr, "; missing of %zu asked for, %zu: %s", list.size(), missing.size(), few_of(missing).c_str());
    std::fprintf(stderr, "\n");
    return results;
  }

 private:
  struct Found {
    Json run;
    std::string file;
  };

  void add(const Json& run, const std::string& file) {
    const auto label = run.at("label").get<std::string>();
    const auto seed = run.at("seed").get<std::uint64_t>();
    const std::string name = label + ", seed " + std::to_string(seed);
    const Json& settings = run.at("settings");
    const std::string dtype = settings.value("dtype", std::string());
    const std::string device = device_option(run);
    if (experiment_.runs.empty())
      experiment_ = plan_experiment(asked_.name, asked_.small, std::nullopt), dtype_ = dtype, device_ = device;
    require(dtype == dtype_, name, ": dtype ", dtype, " beside ", dtype_, " in ", first_);
    require(device == device_, name, ": of --device ", device, " beside ", device_, " in ", first_);
    const PlannedRun* planned = find(experiment_, label);
    require(planned, name, ": the experiment has no run of that name");
    if (!fits(experiment_, *planned, settings)) refuse_settings(name, label, settings);
    const auto [known, fresh] = runs_.try_emplace({label, seed}, Found{run, file});
    const std::string differs = fresh ? std::string() : difference(run, known->second.run);
    require(differs.empty(), name, ": \"", detail::brief(differs), "\" is another than in ", known->second.file);
    if (planned->start != imported) return;
    const Json start = {settings.at("start"), settings.at("start_fingerprint")};
    if (start_.is_null()) start_ = start;
    require(start == start_, name, ": starts from another model than the others");
  }
  [[noreturn]] void refuse_settings(const std::string& name, const std::string& label, const Json& settings) const {
    const Experiment other = plan_experiment(asked_.name, !asked_.small, std::nullopt);
    const PlannedRun* planned = find(other, label);
    require(!planned || !fits(other, *planned, settings), name,
            asked_.small ? ": a run of the whole experiment: without --short it is joined"
                         : ": a run of the short experiment: with --short it is joined");
    fail(name, ": other settings than the experiment's", asked_.small ? " with --short" : "");
  }
  static const PlannedRun* find(const Experiment& experiment, const std::string& label) {
    for (const PlannedRun& run : experiment.runs)
      if (run.label == label) return &run;
    return nullptr;
  }
  static bool fits(const Experiment& experiment, const PlannedRun& run, const Json& settings) {
    const Imported from{settings.value("dtype", std::string()), "", ""};
    return without_import(settings, run) == without_import(settings_of(run, curve_of(experiment, run), from), run);
  }

  const ExperimentJob& asked_;
  Experiment experiment_;
  std::string first_, dtype_, device_;
  Json text_, start_;
  std::map<std::pair<std::string, std::uint64_t>, Found> runs_;
};

}  // namespace

Json merge_results(const ExperimentJob& asked, const std::vector<std::string>& files) {
  require_experiment(asked.name);
  require_writable(asked.out);
  const Lock lock(end_of_links(asked.out) += ".lock", asked.out);
  Merge merge(asked);
  if (std::filesystem::exists(asked.out)) merge.add(asked.out);
  for (const std::string& file : files) merge.add(file);
  const Json results = merge.joined();
  write_whole(asked.out, [&](std::ostream& out) { out << json_text(results, 1) << '\n'; });
  return results;
}

}  // namespace skipv1
