// Run after run into a file, which it goes on with.
#include "skipv1/programs/experiment_runner.hpp"

#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>

#include "skipv1/core/on_device.hpp"
#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/lock.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/experiment_corpus.hpp"
#include "skipv1/programs/experiment_list.hpp"
#include "skipv1/programs/experiment_memory.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/search.hpp"

namespace skipv1 {

namespace {

/// How often a run reads its text, in the mean.
double epochs_of(const PlannedRun& run, const TextData& text) {
  const TrainingOptions& t = run.training;
  const auto read = static_cast<double>(t.schedule.steps * t.batch * t.length);
  return read / static_cast<double>(run.reading.tokens ? run.reading.tokens : text.size());
}

Json result_of(const PlannedRun& run, std::uint64_t seed, const Json& settings, const Measured& m, double seconds) {
  Json result = {{"label", run.label},         {"seed", seed},
                 {"settings", settings},       {"device", m.device},
                 {"parameters", m.parameters}, {"cache_bytes_per_token", m.cache_bytes},
                 {"wall_seconds", seconds}};
  for (const MemoryPoint& point : m.memory) {
    Json row = {{"context", point.context}, {"cache_bytes", point.cache_bytes}};
    if (point.peak_bytes) row["peak_bytes"] = point.peak_bytes;
    result["memory"].push_back(row);
  }
  if (!m.memory.empty()) return result;
  result.update({{"tokens", m.curve.tokens},
                 {"train_nats_per_token", m.curve.train_nats},
                 {"valid_nats_per_token", m.curve.valid_nats},
                 {"final_nats_per_token", m.curve.last.nats_per_token},
                 {"final_tokens", m.curve.last.tokens}});
  if (run.pairs)
    result.update(
        {{"accuracy", std::vector<double>(m.accuracy.begin(), m.accuracy.end() - 1)}, {"final_accuracy", m.accuracy.back()}});
  else
    result.update({{"final_bytes", m.curve.last.bytes}, {"bits_per_byte", m.curve.last.bits_per_byte()}});
  result.update({{"seconds", m.curve.seconds},
                 {"tokens_per_second", m.curve.tokens_per_second},
                 {"initial_seconds", m.initial_seconds},
                 {"evaluation_seconds", m.curve.evaluation_seconds}});
  for (std::size_t i = 0; i < m.places.begin.size(); ++i)
    result["places"].push_back(
        {{"begin", m.places.begin[i]}, {"tokens", m.places.tokens[i]}, {"nats_per_token", m.places.nats_per_token[i]}});
  return result;
}

/// An experiment under way: its file, and what is still to do.
class Runner {
 public:
  explicit Runner(const ExperimentJob& asked) : asked_(asked) {
    require_experiment(asked.name);
    if (asked.name == "search") require_listless(asked);
    if (asked_.shard.count > 1) asked_.out = shard_file(asked.out, asked.shard);
    require(asked.shard.count == 1 || !asked.best, "--best: of all results, so after --merge, not with --shard");
    require_writable(asked_.out);
    if (!std::filesystem::is_other(asked_.out)) lock_.emplace(end_of_links(asked_.out) += ".lock", asked_.out);
    if (!asked.tokenizer_folder.empty()) require_writable_folder(asked.tokenizer_folder);
    if (!asked.from.empty()) {
      from_.emplace(at_place("--from", [&] { return open_model<float>(asked.from); }));
      from_fingerprint_ = weights_fingerprint(from_->parameters);
    }
    const auto plan = [&](const std::optional<Config>& trained) { return plan_experiment(asked.name, asked.small, trained); };
    experiment_ = from_ ? at_place("--from " + asked.from, [&] { return plan(from_->config); }) : plan({});
    require_choice(experiment_, asked);
    const bool reads = experiment_.runs.front().reads_text();
    require(reads || (asked.text.empty() && asked.valid.empty()), "experiment ", asked.name, " reads no text: without ",
            asked.text.empty() ? "--valid" : "--text");
    if (!asked.text.empty()) corpus_.emplace(asked.text, asked.valid, asked.tokenizer_folder);
    require(corpus_ || !reads, "--text is required; without it only --table and --figure, of the results in --out");
    results_ = {{"experiment", asked.name}, {"text", reads ? corpus_->identity() : Json()}, {"runs", Json::array()}};
    require(asked.retrain.empty() || std::filesystem::exists(asked_.out), asked_.out, ": --retrain: no tables are trained yet");
    if (std::filesystem::exists(asked_.out)) take_over();
  }

  /// Does what is not in the file yet, as far as the budget reaches. A file without a run, since the first one failed, goes
  /// again.
  void run() {
    const bool made = !std::filesystem::exists(asked_.out);
    try {
      run_missing();
    } catch (...) {
      held_.close();
      if (made && results_["runs"].empty()) remove_own(asked_.out, own_);
      throw;
    }
  }
  const Json& results() const { return results_; }

 private:
  void run_missing() {
    const Runs left = missing();
    if (asked_.device != "cuda" && !asked_.prepare)  // a device's own memory says so itself
      for (const auto& [run, seed] : left) require_memory_for(*run, asked_.dtype);
    for (const auto& [run, seed] : left)
      if (run->reads_text() && asked_.from.empty()) corpus_->require_bytes(*run, curve_of(*run));
    for (const auto& [run, seed] : left)
      if (run->reads_text()) corpus_->require_windows(encoded(*run), *run, curve_of(*run));
    if (asked_.prepare) return;
    if (asked_.name == "search") return write(), search();
    if (!left.empty()) write();  // what cannot be written is said before the work
    carry_out(left);
    if (!asked_.best) return;
    const Runs more = seeds_at_best();
    if (!more.empty()) carry_out(more);
  }

  /// A search's tables are no list known beforehand.
  static void require_listless(const ExperimentJob& asked) {
    const std::pair<const char*, bool> given[] = {{"--only", !asked.only.empty()},
                                                  {"--peaks", !asked.peaks.empty()},
                                                  {"--best", asked.best != 0},
                                                  {"--shard", asked.shard.count > 1},
                                                  {"--keep", !asked.keep.empty()}};
    for (const auto& [option, is] : given) require(!is, option, ": the experiment search has no list of runs to choose from");
  }
  using Clock = std::chrono::steady_clock;
  using Runs = ListedRuns;
  double passed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  /// Results of an interrupted or shorter call; of the same texts and settings, or nobody could compare them.
  void take_over() {
    const Json before = read_results(asked_.out, asked_.name);
    if (before.at("runs").empty()) return;  // of a call that failed before its first run was done
    require(before.at("text") == results_["text"], asked_.out, ": holds results of another text");
    results_["runs"] = before.at("runs");
    if (!asked_.retrain.empty())
      for (const PlannedRun& run : retrained(asked_, before, first_of(asked_.retrain))) experiment_.runs.push_back(run);
    for (const PlannedRun& run : experiment_.runs) take_over(run);
  }
  void take_over(const PlannedRun& run) {
    for (const Json& result : results_["runs"]) {
      if (result.at("label") != run.label) continue;
      require(result.at("settings") == settings_of(run, curve_of(run), from_model()), asked_.out, ": holds ", run.label,
              " with other settings");
      require(device_option(result) == asked_.device, asked_.out, ": holds ", run.label, " of --device ", device_option(result),
              ", so none of --device ", asked_.device, " goes beside it");
      taken_.emplace_back(work(run), result.at("wall_seconds").get<double>());
    }
  }
  /// The first run of a group; throws if there is none.
  PlannedRun first_of(const std::string& group) const {
    std::string known;
    for (const PlannedRun& run : experiment_.runs) {
      const std::string name = group_of(run.label);
      if (name == group && name != search_size) return run;
      if (name != search_size && known.find(name) == known.npos) known += (known.empty() ? "" : ", ") + name;
    }
    fail("--retrain ", group, ": there is no such size; there are ", known);
  }
  const Json* find(const std::string& label, std::uint64_t seed) const {
    for (const Json& result : results_["runs"])
      if (result.at("label") == label && result.at("seed") == seed) return &result;
    return nullptr;
  }
  bool done(const std::string& label, std::uint64_t seed) const { return find(label, seed); }
  /// Of the runs asked for, in this process's part of the list, those that are not done.
  Runs missing() const {
    std::vector<std::string> labels;
    for (const PlannedRun& run : experiment_.runs) labels.push_back(run.label);
    for (const std::string& label : asked_.keep)
      require(std::find(labels.begin(), labels.end(), label) != labels.end(), "--keep ", label,
              ": the experiment has no run of that name; there are ", few_of(labels, label));
    Runs left;
    const std::string size = asked_.retrain.empty() ? search_size : asked_.retrain;
    for (const auto& [run, seed] : part_of_list(listed_runs(experiment_, asked_), asked_.shard))
      if (!done(run->label, seed) && (asked_.name != "search" || group_of(run->label) == size)) left.emplace_back(run, seed);
    return left;
  }
  /// The final loss of a run with seed 1; infinite if it is not done.
  double first_loss(const PlannedRun& run) const {
    for (const Json& result : results_["runs"])
      if (result.at("label") == run.label && result.at("seed") == 1) return result.at("final_nats_per_token").get<double>();
    return std::numeric_limits<double>::infinity();
  }
  /// What `--best` adds: of each family asked for, the run of the lowest loss, with seeds 1 to so many.
  Runs seeds_at_best() const {
    Runs more;
    for (std::uint64_t seed = 1; seed <= asked_.best; ++seed)
      for (const PlannedRun& run : experiment_.runs) {
        const bool best = std::none_of(experiment_.runs.begin(), experiment_.runs.end(), [&](const PlannedRun& other) {
          return family_of(other.label) == family_of(run.label) && first_loss(other) < first_loss(run);
        });
        if (best && wanted(asked_, run) && std::isfinite(first_loss(run)) && !done(run.label, seed))
          more.emplace_back(&run, seed);
      }
    return more;
  }

  /// A run's operations; of memory's measurements each counts as one.
  static double work(const PlannedRun& run) {
    const TrainingOptions& t = run.training;
    return run.contexts.empty() ? training_flops(run.config, t.batch, t.length) * static_cast<double>(t.schedule.steps) : 1;
  }
  /// Seconds that a run will take, at the rate of the one done whose work is nearest to its; 0 if none is.
  double expected(const PlannedRun& run) const {
    double nearest = std::numeric_limits<double>::infinity(), seconds = 0;
    for (const auto& [done, took] : taken_) {
      const double ratio = work(run) / done;
      if (std::abs(std::log(ratio)) < nearest) nearest = std::abs(std::log(ratio)), seconds = took * ratio;
    }
    return seconds;
  }
  CurveOptions curve_of(const PlannedRun& run) const { return skipv1::curve_of(experiment_, run); }
  Imported from_model() const { return {asked_.dtype, file_name_text(asked_.from), from_fingerprint_}; }
  /// Where a model that others start from is kept: beside the results.
  std::filesystem::path kept(const std::string& label, std::uint64_t seed) const {
    const std::filesystem::path out = asked_.out;
    std::string name = out.stem().string() + "-" + label + "-" + std::to_string(seed);
    std::replace(name.begin() + static_cast<std::ptrdiff_t>(out.stem().string().size()), name.end(), '/', '-');
    return out.parent_path() / name;
  }

  const EncodedTexts& encoded(const PlannedRun& run) {
    return corpus_->in_pieces(run.config.vocab_size, asked_.from.empty() ? "" : model_path(asked_.from));
  }

  void write() {
    require_own_file(asked_.out, own_);
    held_.close();  // Windows replaces no open file
    write_whole(asked_.out, [&](std::ostream& out) { out << json_text(results_, 1) << '\n'; });
    own_ = target_id(asked_.out);
    if (own_ && own_->type == std::filesystem::file_type::regular) held_.open(asked_.out);
  }

  /// Runs in their order: which is next, if there is one or if it waits for one that has begun; that it begins; and what is left,
  /// for a line.
  struct Queue {
    std::size_t total = 0;
    std::function<TableSearch::Next()> next = {};
    std::function<void()> begin = {};
    std::function<std::string()> left = {};
    std::function<std::uint64_t()> seed = [] { return search_seed; };
    std::size_t begun = 0;
  };
  void carry_out(const Runs& runs) {
    std::size_t next = 0;
    Queue queue{runs.size()};
    queue.next = [&] {
      if (next == runs.size()) return TableSearch::Next{};
      const PlannedRun* const run = runs[next].first;
      const std::uint64_t seed = runs[next].second;
      const bool begun = std::any_of(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(next),
                                     [&](const auto& other) { return other.first->label == run->start && other.second == seed; });
      return TableSearch::Next{run, begun && !done(run->start, seed)};
    };
    queue.seed = [&] { return runs[next].second; };
    queue.begin = [&] { ++next; };
    queue.left = [&] {
      std::vector<std::string> labels;
      for (; next < runs.size(); ++next)
        labels.push_back(runs[next].first->label + " (seed " + std::to_string(runs[next].second) + ")");
      return std::to_string(labels.size()) + (labels.size() == 1 ? " run: " : " runs: ") + few_of(labels);
    };
    carry_out(queue);
  }

  /// Run after run, `at_once` at a time. After an error no run begins; the error is thrown once those begun have ended.
  void carry_out(Queue& queue) {
    std::exception_ptr error;
    bool stopped = false;
    const auto take = [&]() -> std::optional<Runs::value_type> {
      std::unique_lock lock(mutex_);
      TableSearch::Next next;
      while (!error && !stopped && (next = queue.next()).waits) ended_.wait(lock);
      if (error || stopped || !next.run) return {};
      if (asked_.budget > 0 && passed() + expected(*next.run) > asked_.budget) {
        std::fprintf(stderr, "after %.0f s, not done yet: %s\n", passed(), queue.left().c_str());
        stopped = true;
        return {};
      }
      const Runs::value_type taken{next.run, queue.seed()};
      std::fprintf(stderr, "run %zu of %zu: %s, seed %zu\n", ++queue.begun, queue.total, next.run->label.c_str(),
                   static_cast<std::size_t>(taken.second));
      queue.begin();
      return taken;
    };
    const auto work = [&] {
      try {
        while (const auto taken = take()) {
          carry_out(*taken->first, taken->second);
          ended_.notify_all();
        }
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error) error = std::current_exception();
      }
      ended_.notify_all();
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min(asked_.at_once, queue.total); ++i) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    if (error) std::rethrow_exception(error);
  }

  /// What the tables of a search are compared with, then the tables; or those that are trained again.
  void search() {
    carry_out(missing());
    if (!asked_.retrain.empty()) return;
    TableSearch tables(search_groups(asked_.small), asked_.tables, experiment_.runs.front());
    const auto loss = [&](const std::string& label) -> std::optional<double> {
      const Json* result = find(label, search_seed);
      return result ? std::optional(result->at("final_nats_per_token").get<double>()) : std::nullopt;
    };
    Queue queue{tables.left()};
    queue.next = [&] {
      TableSearch::Next next;
      while ((next = tables.next(loss)).run && done(next.run->label, search_seed)) take_over(*next.run), tables.begin();
      return next;
    };
    queue.begin = [&] { tables.begin(); };
    queue.left = [&] { return std::to_string(tables.left()) + " tables"; };
    carry_out(queue);
  }

  bool keeps(const PlannedRun& run) const {
    return std::find(asked_.keep.begin(), asked_.keep.end(), run.label) != asked_.keep.end() ||
           std::any_of(experiment_.runs.begin(), experiment_.runs.end(),
                       [&](const PlannedRun& other) { return other.start == run.label; });
  }

  void carry_out(const PlannedRun& run, std::uint64_t seed) {
    RunInput in;
    in.seed = seed;
    in.curve = curve_of(run);
    in.keep = keeps(run);
    const EncodedTexts* texts = nullptr;
    if (run.reads_text()) {
      const std::lock_guard lock(mutex_);
      texts = &encoded(run);
      in.text = &texts->text, in.held_out = &texts->held_out;
    }
    const auto start = Clock::now();
    std::optional<Checkpoint<float>> initial;
    if (!run.start.empty())
      initial.emplace(
          open_model<float>(run.start == imported ? std::filesystem::path(asked_.from) : kept(run.start, seed), run.strategy));
    if (initial) in.initial = &initial->parameters;
    const Measured m = asked_.device == "cpu" ? measure_on_cpu(run, in) : with_device(asked_.device, [&](auto space) {
      return measure_on<decltype(space)>(run, in, asked_.dtype);
    });
    if (in.keep) write_checkpoint<float>(kept(run.label, seed), run.config, *m.model);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const std::lock_guard lock(mutex_);
    taken_.emplace_back(work(run), seconds);
    Json result = result_of(run, seed, settings_of(run, in.curve, from_model()), m, seconds);
    if (texts) result.update({{"epochs", epochs_of(run, texts->text)}, {"vocabulary", texts->vocabulary}});
    if (asked_.at_once > 1) result["runs_at_once"] = asked_.at_once;
    if (!run.beside.is_null()) result.update(run.beside);
    results_["runs"].push_back(std::move(result));
    write();
    if (m.memory.empty())
      std::fprintf(stderr, "%s, seed %zu: %.4f nats per token, %.0f tokens/s, %.0f s in all\n", run.label.c_str(),
                   static_cast<std::size_t>(seed), m.curve.last.nats_per_token, m.curve.tokens_per_second, seconds);
  }

  ExperimentJob asked_;
  std::optional<Lock> lock_;  ///< on the file of results
  Clock::time_point start_ = Clock::now();
  std::optional<Checkpoint<float>> from_;
  std::optional<std::string> from_fingerprint_;
  Experiment experiment_;
  std::optional<Corpus> corpus_;
  Json results_;
  std::optional<FileId> own_;                     ///< the file of results, as last written …
  std::ifstream held_;                            ///< … and held open: the system may give a closed one's number to another
  std::condition_variable ended_;                 ///< a run
  std::mutex mutex_;                              ///< of what several runs at a time share: `results_`, `taken_`, `corpus_`
  std::vector<std::pair<double, double>> taken_;  ///< work and seconds of the runs done
};

}  // namespace

Json run_experiment(const ExperimentJob& job) {
  Runner runner(job);
  runner.run();
  return runner.results();
}

}  // namespace skipv1
