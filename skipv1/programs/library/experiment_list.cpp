// The list of runs, its parts, and results joined again.
#include "skipv1/programs/experiment_list.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

#include "skipv1/io/config.hpp"
#include "skipv1/io/file.hpp"

namespace skipv1 {

namespace {
bool names(const std::string& name, const std::string& label) {
  return name == label || name == group_of(label) || name == model_of(label) || name == family_of(label) ||
         name == family_of(model_of(label));
}
bool names(const std::string& name, const PlannedRun& run) { return names(name, run.label); }

/// Throws if one of `asked`, names of --only, names none of `labels`, which are those of `whose`.
void require_named(const std::vector<std::string>& asked, const std::vector<std::string>& labels, const char* whose) {
  for (const std::string& name : asked) {
    if (std::any_of(labels.begin(), labels.end(), [&](const std::string& label) { return names(name, label); })) continue;
    std::vector<std::string> groups, models;
    const auto add = [](std::vector<std::string>& to, const std::string& text) {
      if (!text.empty() && std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
    };
    for (const std::string& label : labels) add(groups, group_of(label)), add(models, family_of(model_of(label)));
    fail("--only ", name, ": ", whose, " no run, group or model of that name; ",
         groups.empty() ? "" : "groups: " + few_of(groups, name) + "; ", "models: ", few_of(models, name));
  }
}

/// Whether two rates are one, but for rounding: a rate may be a product.
bool near(double rate, double other) { return std::abs(rate - other) <= 1e-15 * std::abs(other); }
bool has_peak(const PlannedRun& run, double peak) { return run.contexts.empty() && near(run.training.schedule.peak, peak); }
/// A rate as the labels have it, "1.4e-3", with as many digits as it has.
std::string rate_text(double rate) {
  char text[40];
  for (int digits = 6; digits <= 16; ++digits) {
    std::snprintf(text, sizeof text, "%.*e", digits, rate);
    if (near(std::strtod(text, nullptr), rate)) break;
  }
  const std::string_view whole = text;
  const std::size_t e = whole.find('e');
  const std::string_view mantissa = whole.substr(0, whole.find_last_not_of("0.", e - 1) + 1);
  const int exponent = std::atoi(text + e + 1);
  return (mantissa.empty() ? "0" : std::string(mantissa)) + (exponent ? "e" + std::to_string(exponent) : "");
}
std::string list_of(const std::set<double>& rates) {
  std::string known;
  for (const double rate : rates) known += (known.empty() ? "" : ", ") + rate_text(rate);
  return known.empty() ? "none" : known;
}

std::optional<std::size_t> whole_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}
std::optional<std::size_t> slurm(const char* name) {
  const char* text = std::getenv(name);
  if (!text || !*text) return {};
  const auto value = whole_number(text);
  require(value.has_value(), name, " is \"", text, "\": must be a whole number");
  return value;
}
Shard slurm_shard() {
  const auto id = slurm("SLURM_ARRAY_TASK_ID"), count = slurm("SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return {};
  const std::size_t least = slurm("SLURM_ARRAY_TASK_MIN").value_or(1), step = slurm("SLURM_ARRAY_TASK_STEP").value_or(1);
  require(step > 0 && *id >= least && (*id - least) % step == 0 && (*id - least) / step < *count, "SLURM_ARRAY_TASK_ID is ", *id,
          " of ", *count, " from ", least, " in steps of ", step, ": the array must have no gaps; --shard I/N says the part");
  return {(*id - least) / step, *count};
}
}  // namespace

std::string device_option(const Json& result) {
  const std::string device = result.at("device").get<std::string>();
  return device.starts_with("cpu") ? "cpu" : device == "emulated" ? device : "cuda";
}

std::string few_of(std::vector<std::string> names, const std::string& like) {
  constexpr std::size_t most = 6;
  std::stable_partition(names.begin(), names.end(), [&](const std::string& name) { return name.find(like) != name.npos; });
  std::string text;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i) text += (i ? ", " : "") + names[i];
  return text + (names.size() > most ? " and " + std::to_string(names.size() - most) + " more" : "");
}

CurveOptions curve_of(const Experiment& experiment, const PlannedRun& run) {
  CurveOptions curve = run.curve.value_or(experiment.curve);
  curve.before = !run.start.empty();
  return curve;
}

Json settings_of(const PlannedRun& run, const CurveOptions& curve, const Imported& from) {
  const TrainingOptions& t = run.training;
  Json settings = {{"config", parse_json(config_text(run.config))}, {"dtype", from.dtype}, {"batch", t.batch}};
  if (!run.contexts.empty()) {
    settings["contexts"] = run.contexts;
    return settings;
  }
  if (!run.start.empty()) settings["start"] = run.start == imported ? from.name : run.start;
  if (run.start == imported) settings["start_fingerprint"] = from.fingerprint.value();
  if (!run.strategy.empty()) settings["strategy"] = run.strategy;
  settings.update({{"length", t.length},
                   {"steps", t.schedule.steps},
                   {"peak", t.schedule.peak},
                   {"warm_up", t.schedule.warm_up},
                   {"floor", t.schedule.floor},
                   {"weight_decay", t.adamw.weight_decay},
                   {"beta1", t.adamw.beta1},
                   {"beta2", t.adamw.beta2},
                   {"epsilon", t.adamw.epsilon},
                   {"clip", t.clip},
                   {"curve_windows", curve.windows},
                   {"final_windows", curve.last_windows}});
  if (!run.places.empty()) settings["places"] = run.places;
  if (run.pairs) settings["pairs"] = run.pairs;
  if (!run.lessons.empty()) settings["lessons"] = run.lessons;
  if (run.reading.order == Reading::Order::epochs) {
    settings["windows"] = "epochs";
    if (run.reading.tokens) settings["unique_tokens"] = run.reading.tokens;
    if (run.reading.after) settings["after_steps"] = run.reading.after;
  }
  return settings;
}

bool wanted(const ExperimentJob& asked, const PlannedRun& run) {
  const auto among = [](const auto& list, const auto& matches) {
    return list.empty() || std::any_of(list.begin(), list.end(), matches);
  };
  return among(asked.only, [&](const std::string& name) { return names(name, run); }) &&
         among(asked.peaks, [&](double peak) { return has_peak(run, peak); });
}

void require_choice(const Experiment& experiment, const ExperimentJob& asked) {
  std::vector<std::string> labels;
  for (const PlannedRun& run : experiment.runs) labels.push_back(run.label);
  require_named(asked.only, labels, "the experiment has");
  ExperimentJob at_any_peak = asked;
  at_any_peak.peaks.clear();
  std::set<double> rates;
  for (const PlannedRun& run : experiment.runs)
    if (wanted(at_any_peak, run) && run.contexts.empty()) rates.insert(run.training.schedule.peak);
  for (const double peak : asked.peaks)
    require(std::any_of(experiment.runs.begin(), experiment.runs.end(),
                        [&](const PlannedRun& run) { return wanted(at_any_peak, run) && has_peak(run, peak); }),
            "--peaks ", rate_text(peak), ": no run has it; there are ", list_of(rates));
}

Json chosen_results(Json results, const ExperimentJob& asked) {
  const std::string out = asked.shard.count > 1 ? shard_file(asked.out, asked.shard).string() : asked.out;
  require(!results.at("runs").empty(), out, ": there are no results yet");
  results["short"] = is_short(results);
  if (asked.name == "search") {  // its --seeds are of what tables are compared with
    require(asked.only.empty() && asked.peaks.empty(), asked.only.empty() ? "--peaks" : "--only",
            ": the experiment search has no list of runs to choose from");
    return results;
  }
  if (asked.only.empty() && asked.peaks.empty() && asked.seed_list.empty() && asked.seeds == 0) return results;
  const auto among = [](const auto& list, const auto& matches) {
    return list.empty() || std::any_of(list.begin(), list.end(), matches);
  };
  const Json all = std::exchange(results["runs"], Json::array());
  const auto label_of = [](const Json& run) { return run.at("label").get<std::string>(); };
  const auto has_rate = [](const Json& run, double peak) {
    const Json rate = run.at("settings").value("peak", Json());
    return rate.is_number() && near(rate.get<double>(), peak);
  };
  std::vector<std::string> labels;
  for (const Json& run : all) labels.push_back(label_of(run));
  require_named(asked.only, labels, "the results have");
  std::set<double> rates;
  for (const Json& run : all)
    if (const Json rate = run.at("settings").value("peak", Json()); rate.is_number()) rates.insert(rate.get<double>());
  for (const double peak : asked.peaks)
    require(std::any_of(all.begin(), all.end(), [&](const Json& run) { return has_rate(run, peak); }), "--peaks ",
            rate_text(peak), ": none of the results has it; there are ", list_of(rates));
  for (const Json& run : all) {
    const auto seed = run.at("seed").get<std::uint64_t>();
    if (among(asked.only, [&](const std::string& name) { return names(name, label_of(run)); }) &&
        among(asked.peaks, [&](double peak) { return has_rate(run, peak); }) &&
        (seed <= asked.best ||
         (among(asked.seed_list, [&](std::uint64_t s) { return s == seed; }) && (asked.seeds == 0 || seed <= asked.seeds))))
      results["runs"].push_back(run);
  }
  require(!results["runs"].empty(), out, ": none of its results is of the runs asked for");
  return results;
}

void require_model(const std::string& against, const std::vector<std::string>& labels) {
  std::string known;
  std::set<std::string> models;
  for (const std::string& label : labels) {
    const std::string model = family_of(model_of(label));
    if (model == against) return;
    if (models.insert(model).second) known += (known.empty() ? "" : ", ") + model;
  }
  fail("--against ", against, ": there is no such model; there are ", known);
}

void require_own_options(const ExperimentJob& asked) {
  struct Own {
    const char *experiment, *option;
    bool given;
  };
  const Own all[] = {{"search", "--tables", asked.tables != 0},
                     {"search", "--retrain", !asked.retrain.empty()},
                     {"search", "--save-tables", !asked.save_tables.empty()},
                     {"uptraining", "--from", !asked.from.empty()}};
  for (const Own& own : all)
    require(!own.given || asked.name == own.experiment, "experiment ", asked.name, ": only the experiment ", own.experiment,
            " has ", own.option);
}

ListedRuns listed_runs(const Experiment& experiment, const ExperimentJob& asked) {
  require_choice(experiment, asked);
  std::vector<std::uint64_t> seeds = asked.seed_list;
  std::size_t most = asked.seeds;
  for (const PlannedRun& run : experiment.runs) most = asked.seeds ? most : std::max(most, run.seeds);
  for (std::uint64_t seed = 1; seed <= most && asked.seed_list.empty(); ++seed) seeds.push_back(seed);
  ListedRuns all;
  for (const std::uint64_t seed : seeds)
    for (const PlannedRun& run : experiment.runs)
      if (wanted(asked, run) && (asked.seeds || !asked.seed_list.empty() || seed <= run.seeds)) all.emplace_back(&run, seed);
  return all;
}

ListedRuns part_of_list(const ListedRuns& all, const Shard& shard) {
  ListedRuns part;
  std::vector<std::size_t> owner(all.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [run, seed] = all[i];
    std::size_t start = i;
    for (std::size_t j = 0; j < i; ++j)
      if (all[j].second == seed && all[j].first->label == run->start) start = j;
    owner[i] = start == i ? next++ % shard.count : owner[start];
    if (owner[i] == shard.index) part.push_back(all[i]);
  }
  return part;
}

Shard parse_shard(const std::string& text) {
  if (text.empty()) return slurm_shard();
  const std::size_t slash = text.find('/');
  const auto index = whole_number(std::string_view(text).substr(0, slash));
  const auto count = slash == text.npos ? std::nullopt : whole_number(std::string_view(text).substr(slash + 1));
  require(index && count && *index >= 1 && *index <= *count, "--shard is \"", text, "\": must be I/N, part I = 1 to N of N");
  return {*index - 1, *count};
}

std::filesystem::path shard_file(const std::filesystem::path& out, const Shard& shard) {
  std::filesystem::path file = out.parent_path() / out.stem();
  file += "-" + std::to_string(shard.index + 1) + "-of-" + std::to_string(shard.count);
  return file += out.extension();
}

}  // namespace skipv1
