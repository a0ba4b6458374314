// A run from its first step to its last: windows of a text, evaluations, a log, and checkpoints from which it goes on to the same
// numbers.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <optional>

#include "skipv1/io/checkpoint.hpp"
#include "skipv1/training/evaluate.hpp"
#include "skipv1/training/log.hpp"
#include "skipv1/training/run_folder.hpp"
#include "skipv1/training/trainer.hpp"

namespace skipv1 {

/// What a run is made of besides model and texts. Steps are counted from 1; "every 0 steps" is never.
struct RunOptions {
  TrainingOptions training;
  std::size_t seed = 1;                ///< of the initial weights and of the windows
  std::size_t log_every = 1;           ///< steps
  std::size_t evaluate_every = 0;      ///< steps, and before the first; after the last in any case
  std::size_t evaluate_windows = 64;   ///< of the held-out text for each row of the log, 0: all
  std::size_t checkpoint_every = 100;  ///< steps; at the start and at the end in any case
};

/// How a run ended.
struct RunResult {
  Evaluation valid;                   ///< of the whole held-out text
  std::size_t steps = 0, tokens = 0;  ///< in all
  std::size_t parameters = 0, cache_bytes_per_token = 0;
  double seconds = 0;            ///< of training in all
  double tokens_per_second = 0;  ///< of training, since this process began; 0 if nothing was left to do
};

/// The folder's last checkpoint as the first process sees it: others may look when it is no longer there.
inline std::optional<std::size_t> last_step(const RunFolder& folder, Communicator& world) {
  std::int64_t step = -1;
  if (world.first()) step = static_cast<std::int64_t>(folder.last().value_or(static_cast<std::size_t>(-1)));
  world.broadcast(&step, sizeof step, 0);
  return step < 0 ? std::nullopt : std::optional<std::size_t>(static_cast<std::size_t>(step));
}

/// Whether a run makes a checkpoint at `step`.
inline bool saves_at(std::size_t step, const RunOptions& o) {
  const std::size_t steps = o.training.schedule.steps;
  return step == 0 || step == steps || (step < steps && o.checkpoint_every > 0 && step % o.checkpoint_every == 0);
}
/// Throws if something in the folder has the name of a checkpoint that a run will make after its last one.
inline void require_free_names(const RunFolder& folder, std::optional<std::size_t> last, const RunOptions& o) {
  for (const std::size_t step : folder.named())
    if ((!last || step > *last) && saves_at(step, o)) folder.require_free(step);
}

/// What one of `processes` reads of a step. Throws unless it is as many windows for each.
inline TrainingOptions part_of(TrainingOptions options, std::size_t processes) {
  require(options.batch % processes == 0, "batch ", options.batch, ": ", processes,
          " processes divide the windows of a step, so it must be a multiple of ", processes);
  options.batch /= processes;
  return options;
}

/// A run in its folder: a model, its texts, and how far it is. For bfloat16 its checkpoints are in float.
///
/// The processes of a `world` train together: each reads its part of every step's windows, and the first writes what one process
/// alone would write, so that a run can go on with any number of them. They see the same folder.
template <class T, class Space = Cpu>
class TrainingRun {
 public:
  /// What a checkpoint holds besides the model (config.json, model.safetensors) and this run's state is written by
  /// `beside(folder)`.
  using Beside = std::function<void(const std::filesystem::path& folder)>;

  /// Starts from `initial()`, or goes on from the folder's last checkpoint. Throws, before anything is written, if the model
  /// cannot be trained so, a text is shorter than a window, or the checkpoint is not of `config`.
  TrainingRun(const Config& config, const RunOptions& options, const TextData& text, const TextData& held_out, RunFolder folder,
              const std::function<Parameters<Sum<T>>()>& initial, Beside beside = {}, Communicator& world = one_process())
      : config_((validate(config), config)),
        options_((validate(options.training, config), options)),
        text_(text),
        held_out_(held_out),
        folder_(std::move(folder)),
        beside_(std::move(beside)),
        world_(world),
        last_(last_step(folder_, world)),
        trainer_(config, part_of(options.training, world.size()), last_ ? Parameters<Sum<T>>(config) : initial(), world) {
    text.count(options.training.length);
    require(held_out.size() >= 2, "the held-out text has ", held_out.size(), " tokens: at least 2 are needed");
    if (writes()) require_free_names(folder_, last_, options_);
    if (last_) restore(*last_);
  }

  /// Trains until the last step and evaluates. Throws if a checkpoint or the log cannot be written, or if the loss is no longer
  /// finite; the last checkpoint stays. A run that ends before its first step, for want of memory, say, leaves nothing.
  RunResult run() try { return run_to_end(); } catch (const Diverged&) {
    throw;
  } catch (...) {
    if (!last_ && writes() && trainer_.steps() == 0) {
      if (log_) log_->remove();
      if (begun_) folder_.remove_first();
    }
    throw;
  }

  const Trainer<T, Space>& trainer() const { return trainer_; }

 private:
  RunResult run_to_end() {
    if (!last_) save(), begun_ = true;
    if (writes()) folder_.hold(), folder_.require_held();  // else the log below is another run's
    if (writes()) log_.emplace(folder_.path(), trainer_.steps(), log_rows_);
    if (writes()) folder_.clean(trainer_.steps());
    if (trainer_.steps() == 0 && options_.evaluate_every > 0) {
      LogRow row;
      note(row, evaluated(options_.evaluate_windows));
      add(row);
    }
    const std::size_t steps = options_.training.schedule.steps, first = trainer_.steps();
    const double seconds_before = seconds_;
    LogRow row;
    if (first < steps) row = train();
    const std::size_t all = evaluated_tokens(held_out_, options_.training.length, 0);
    Progress progress("evaluate", all, "tokens", shown(), draws());
    RunResult result{evaluated(0, &progress),
                     steps,
                     steps * tokens_per_step(),
                     trainer_.parameters().layout().count(),
                     cache_elements_per_token(trainer_.decoder().routing()) * sizeof(T),
                     seconds_};
    if (first == steps) return result;
    // As the other rows: a curve is of one sample.
    note(row, sample_tokens() == all ? result.valid : evaluated(options_.evaluate_windows));
    add(row);
    save();
    if (log_) log_->require_own();
    result.tokens_per_second = static_cast<double>((steps - first) * tokens_per_step()) / (seconds_ - seconds_before);
    return result;
  }

  std::size_t tokens_per_step() const { return options_.training.batch * options_.training.length; }
  /// Whether this process writes and shows what there is: the only one, or the first.
  bool writes() const { return world_.first(); }
  std::ostream& shown() { return writes() ? std::cerr : nowhere_; }
  bool draws() const { return writes() && stderr_is_terminal(); }
  void add(const LogRow& row) {
    if (log_) log_->add(row);
  }
  static bool due(std::size_t step, std::size_t every) { return every > 0 && step % every == 0; }

  /// All steps that are left, everything but the last row's evaluation, which it returns the row for.
  LogRow train() {
    const std::size_t steps = options_.training.schedule.steps, first = trainer_.steps();
    Progress progress("train", (steps - first) * tokens_per_step(), "tokens", shown(), draws());
    LogRow row;
    std::string valid;
    while (trainer_.steps() < steps) {
      row = step();
      if (row.step == steps) break;
      if (due(row.step, options_.evaluate_every)) {
        note(row, evaluated(options_.evaluate_windows));
        char text[40];
        std::snprintf(text, sizeof text, ", valid %.4f", *row.valid_nats_per_token);
        valid = text;
      }
      if (due(row.step, options_.log_every) || row.valid_nats_per_token) add(row);
      if (due(row.step, options_.checkpoint_every)) save();
      char text[40];
      std::snprintf(text, sizeof text, "step %zu, loss %.4f", row.step, *row.loss);
      progress.at((row.step - first) * tokens_per_step(), text + valid);
    }
    progress.at((steps - first) * tokens_per_step());
    return row;
  }

  /// The windows `first … first + count - 1` of `w`.
  Windows rows_of(const Windows& w, std::size_t first, std::size_t count) const {
    const std::size_t length = options_.training.length;
    const auto rows = [&](const std::vector<std::int32_t>& all) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first * length);
      return std::vector<std::int32_t>(begin, begin + static_cast<std::ptrdiff_t>(count * length));
    };
    return {rows(w.tokens), rows(w.targets)};
  }

  LogRow step() {
    const auto start = std::chrono::steady_clock::now();
    const TrainingOptions& o = options_.training;
    Windows w = text_.random(o.batch, o.length, options_.seed, trainer_.steps());
    if (world_.size() > 1) w = rows_of(w, world_.rank() * (o.batch / world_.size()), o.batch / world_.size());
    const StepReport report = trainer_.step(w.tokens, w.targets);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    with_last_checkpoint([&] { require_finite(report, trainer_.steps()); });
    LogRow row{trainer_.steps(), trainer_.steps() * tokens_per_step(), report.loss, report.gradient_norm, report.learning_rate};
    row.seconds = seconds_;
    return row;
  }

  /// Calls `check()`; says where the run can go on from, if it has diverged.
  template <class Check>
  void with_last_checkpoint(const Check& check) const {
    try {
      check();
    } catch (const Diverged& diverged) {
      throw Diverged(std::string(diverged.what()) + "; the last checkpoint is of step " +
                     std::to_string(folder_.last().value_or(0)));
    }
  }

  /// Evaluates `windows` windows of the held-out text, 0: all of it.
  Evaluation evaluated(std::size_t windows, Progress* progress = nullptr) const {
    const Evaluation e = evaluate(trainer_.decoder(), held_out_, options_.training.length, in_text(windows),
                                  std::min<std::size_t>(8, options_.training.batch), progress, world_);
    with_last_checkpoint([&] { require_finite(e.nats_per_token, trainer_.steps()); });
    return e;
  }

  /// A held-out text shorter than a window is read whole.
  std::size_t in_text(std::size_t windows) const { return held_out_.size() <= options_.training.length ? 0 : windows; }
  std::size_t sample_tokens() const {
    return evaluated_tokens(held_out_, options_.training.length, in_text(options_.evaluate_windows));
  }

  void note(LogRow& row, const Evaluation& e) const {
    row.valid_nats_per_token = e.nats_per_token;
    if (e.bytes) row.valid_bits_per_byte = e.bits_per_byte();
    row.seconds = seconds_;
  }

  /// Each tensor is gathered, then written: the first process never holds more than one of them besides its own.
  void save() const {
    if (!writes()) {
      trainer_.master(), trainer_.first_moment(), trainer_.second_moment();
      return;
    }
    folder_.save(trainer_.steps(), [&](const std::filesystem::path& folder) {
      write_checkpoint<Sum<T>>(folder, config_, *trainer_.master());
      write_parameters<Sum<T>>(folder / "first_moment.safetensors", *trainer_.first_moment());
      write_parameters<Sum<T>>(folder / "second_moment.safetensors", *trainer_.second_moment());
      if (beside_) beside_(folder);
      write_whole(folder / "state.json", [&](std::ostream& out) {
        out << json_text({{"step", trainer_.steps()}, {"seconds", seconds_}, {"log_rows", log_ ? log_->rows() : 0}}, 2) << '\n';
      });
    });
  }

  void restore(std::size_t step) {
    const std::filesystem::path folder = folder_.checkpoint(step);
    const Checkpoint<Sum<T>> checkpoint = read_checkpoint<Sum<T>>(folder);
    require(checkpoint.config == config_, folder.string(), ": its config.json is of another model than this run's");
    const Parameters<Sum<T>> m(config_), v(config_);
    read_parameters(folder / "first_moment.safetensors", m);
    read_parameters(folder / "second_moment.safetensors", v);
    const View<Sum<T>> squares = v.flat();
    require(std::all_of(squares.data(), squares.data() + squares.size(), [](Sum<T> x) { return x >= 0; }),
            (folder / "second_moment.safetensors").string(), ": an element is negative, which a mean of squares never is");
    trainer_.restore(step, checkpoint.parameters, m, v);
    const std::filesystem::path state = folder / "state.json";
    Source file(state);
    at_place(state.string(), [&] {
      const Json object = parse_json(file.text(0, file.size()));
      JsonFields fields(object);
      std::size_t stored = 0;
      fields.read("step", stored);
      fields.read("seconds", seconds_);
      std::size_t rows = 0;
      if (fields.find("log_rows", Presence::optional))
        fields.read("log_rows", rows, Presence::required, "a whole number"), log_rows_ = rows;
      fields.finish();
      require(stored == step, "\"step\" is ", stored, " in the checkpoint of step ", step);
      require(step <= options_.training.schedule.steps, "step ", step, " of a run of ", options_.training.schedule.steps);
    });
  }

  Config config_;
  RunOptions options_;
  const TextData &text_, &held_out_;
  RunFolder folder_;
  Beside beside_;
  Communicator& world_;
  std::ostream nowhere_{nullptr};
  std::optional<Log> log_;
  std::optional<std::size_t> log_rows_;  ///< that the checkpoint knows of; none in runs of earlier versions
  std::optional<std::size_t> last_;
  Trainer<T, Space> trainer_;
  double seconds_ = 0;
  bool begun_ = false;  ///< the checkpoint of step 0 is this run's
};

}  // namespace skipv1
