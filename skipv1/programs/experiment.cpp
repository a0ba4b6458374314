// skipv1-experiment: the experiments of docs/results, by one command each.
#include <cstdio>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/plot/drawing.hpp"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/experiment_list.hpp"
#include "skipv1/programs/experiment_runner.hpp"
#include "skipv1/programs/option_names.hpp"
#include "skipv1/programs/search.hpp"

using namespace skipv1;

namespace {

/// What the command line says beside the job.
struct Asked : ExperimentJob {
  std::string shard_text;
  std::vector<std::string> merged;
  int threads = 0;
};

/// The sizes at which a search's tables can be trained again: "10M-13M, 42M-26M".
std::string retrain_sizes() {
  std::string sizes;
  for (const PlannedRun& run : plan_experiment("search", false, {}).runs)
    if (const std::string group = group_of(run.label); group != search_size && sizes.find(group) == sizes.npos)
      sizes += (sizes.empty() ? "" : ", ") + group;
  return sizes;
}

void add_options(CommandLine& app, Asked& asked) {
  app.add_option("name", asked.name, "which experiment")->required();
  app.add_option("--text", asked.text, "UTF-8 text to learn");
  app.add_option("--valid", asked.valid, "held-out text; else the last tenth of --text");
  app.add_option("--out", asked.out, "results, in JSON; always needed");
  auto* folder =
      app.add_option("--tokenizer-folder", asked.tokenizer_folder, "where trained vocabularies and the texts' tokens are kept");
  app.add_flag("--prepare", asked.prepare, "only make what goes into --tokenizer-folder")->needs(folder);
  app.add_option("--from", asked.from, "uptraining: the trained model to convert, instead of one of the experiment's own");
  app.add_option("--device", asked.device, device_help)->capture_default_str();
  app.add_option("--dtype", asked.dtype, "f32 or, on the device, bf16")->transform(lower_case())->capture_default_str();
  add_threads_option(app, asked.threads);
  auto* seeds =
      app.add_option(
             "--seeds", asked.seeds,
             "seeds 1 to this for every run (search: of what tables are compared with); else as many as the run has in the list")
          ->check(in_range(1, 1000000));
  app.add_option("--seed-list", asked.seed_list, "these seeds for every run")->delimiter(',')->excludes(seeds);
  app.add_option("--only", asked.only, "these labels, groups (before the slash) or models (after it); of tables and figures, too")
      ->delimiter(',');
  app.add_option("--peaks", asked.peaks, "only runs with these peak rates")->delimiter(',');
  app.add_option("--best", asked.best,
                 "then, of each model, this many seeds at the peak rate of the lowest loss with the first seed")
      ->check(at_least(1));
  app.add_option("--tables", asked.tables, "search: how many tables of each group")->check(in_range(1, 100000));
  auto* again = app.add_option("--retrain", asked.retrain,
                               "search: trains the best tables in --out again, at this size, beside others: " + retrain_sizes());
  app.add_option("--found", asked.found, "--retrain, --save-tables: how many of the best of each search")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--random", asked.random, "--retrain: how many of those that were only drawn")
      ->needs(again)
      ->capture_default_str();
  app.add_option("--save-tables", asked.save_tables,
                 "search: writes the best tables in --out into this folder, as files for --variant");
  app.add_option("--keep", asked.keep, "keep the models of these labels, each seed's, in folders beside --out")->delimiter(',');
  app.add_option("--at-once", asked.at_once, "runs at a time, on the device")->check(at_least(1))->capture_default_str();
  app.add_option("--budget", asked.budget,
                 "seconds: no run begins that would end later, by the rate of those before; the first begins in any case")
      ->check(above(0));
  auto* part = app.add_option(
      "--shard", asked.shard_text,
      "I/N: only the I-th of N parts of the runs, with results in NAME-I-of-N.json for --out NAME.json; in a Slurm "
      "array its tasks are the parts, unless this says otherwise (1/1: all)");
  app.add_option("--merge", asked.merged, "join these files of results into --out, and say what is missing")->excludes(part);
  app.add_flag("--short", asked.small, "the same runs with models and steps of a few moments");
  app.add_option("--against", asked.against, "the model that a group's others are compared with")->capture_default_str();
  app.add_flag(
      "--table", asked.table,
      "print the results as a table; without --text of what is in --out, and nothing is run (rates: with what more layers "
      "change, of models at three depths or more, --against's one of them)");
  app.add_option("--figure", asked.figure,
                 "draw them into this file, .png (an SVG is written beside it) or .svg, likewise; several pictures into files of "
                 "its name and theirs (rates: NAME-GROUP.png where a model of the group is there at three peak rates or more, "
                 "NAME-layers.png where one is there at three depths or more)");
}

/// Whether what is in --out is only to be printed, drawn or saved: without a text; and where none is read, if the file is there.
bool only_shown(const Asked& asked) {
  if (!asked.text.empty() || !(asked.table || !asked.figure.empty() || !asked.save_tables.empty())) return false;
  return std::filesystem::exists(asked.out) || plan_experiment(asked.name, asked.small, {}).runs.front().reads_text();
}

/// What --against must be one of: the results' labels where they are only shown, else the experiment's.
std::vector<std::string> labels_of(const Asked& asked, bool shown) {
  std::vector<std::string> labels;
  if (shown && asked.name != "search") {
    const Json results = read_results(asked.out, asked.name);
    for (const Json& run : results.at("runs")) labels.push_back(run.at("label").get<std::string>());
  }
  if (!labels.empty()) return labels;
  for (const PlannedRun& run : plan_experiment(asked.name, asked.small, {}).runs) labels.push_back(run.label);
  return labels;
}

/// The results that are asked for: joined, read (`shown`), or of runs.
Json results_of(Asked& asked, bool shown) {
  if (asked.against != "mha") require_model(asked.against, labels_of(asked, shown));
  if (!asked.merged.empty()) {
    require(asked.text.empty(), "--merge: joins what is there, so without --text");
    require(asked.name != "search", "--merge: the experiment search has no list of runs to join");
    return merge_results(asked, asked.merged);
  }
  if (shown) return read_results(asked.out, asked.name);
  check_device(asked.device, asked.dtype, Scalars::no_f64);
  require(asked.at_once == 1 || asked.device == "cuda", "--at-once ", asked.at_once, ": on the device only");
  asked.shard = parse_shard(asked.shard_text);
  return run_experiment(asked);
}

/// Says what has been written where no table is printed.
void print_written(const Asked& asked, const Json& results) {
  const std::string out = asked.shard.count > 1 ? shard_file(asked.out, asked.shard).string() : asked.out;
  const std::size_t runs = results.at("runs").size();
  if (asked.prepare)
    std::printf("%s: vocabularies and the texts' tokens\n", asked.tokenizer_folder.c_str());
  else
    std::printf("%s: %zu run%s\n", out.c_str(), runs, runs == 1 ? "" : "s");
}

}  // namespace

int main(int argc, char** argv) {
  std::string names;
  for (const auto& [name, summary] : experiments()) names += "\n  " + name + ": " + summary;
  CommandLine app{
      "Runs an experiment and keeps its results; the same command again goes on where it stopped. Experiments:" + names +
      "\nExample: skipv1-experiment point-bytes --text train.txt --valid valid.txt --out point-bytes.json --device cuda "
      "--dtype bf16 --table"};
  Asked asked;
  add_options(app, asked);
  return run_program(app, argc, argv, [&] {
    use_threads(asked.threads);
    require_experiment(asked.name);
    require(!asked.out.empty(), "--out is required");
    require_own_options(asked);
    require_apart({{"--out", asked.out}, {"--figure", asked.figure}, {"--save-tables", asked.save_tables}});
    require_apart({{"--out", asked.out}, {"--figure", asked.figure}, {"--tokenizer-folder", asked.tokenizer_folder}});
    require(app.count("--found") == 0 || !asked.retrain.empty() || !asked.save_tables.empty(),
            "--found: so many tables for --retrain or --save-tables, neither of which is there");
    if (!asked.figure.empty()) plot::require_figure_name(asked.figure), require_writable(asked.figure);
    if (!asked.save_tables.empty()) require_writable_folder(asked.save_tables);
    const bool shown = asked.merged.empty() && only_shown(asked);
    const Json results = results_of(asked, shown);
    if (!shown && !asked.table) print_written(asked, results);
    if (!asked.save_tables.empty()) save_tables(results, asked.found, asked.save_tables);
    const Json chosen = asked.table || !asked.figure.empty() ? chosen_results(results, asked) : Json();
    if (asked.table) print_results(chosen, asked.against);
    if (!asked.figure.empty()) draw_results(chosen, asked.figure);
  });
}
