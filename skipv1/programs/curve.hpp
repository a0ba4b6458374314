// A training with its curve: evaluated on the way, always on the same windows, and at its end.
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>

#include "skipv1/core/progress.hpp"
#include "skipv1/training/evaluate.hpp"
#include "skipv1/training/trainer.hpp"

namespace skipv1 {

/// How often and how much of the held-out text is read.
struct CurveOptions {
  std::size_t points = 6;        ///< evaluations, evenly over the steps, the last one after them
  std::size_t windows = 64;      ///< of each evaluation
  std::size_t last_windows = 0;  ///< of the evaluation that counts, after the last step; 0: the whole text
  std::size_t batch = 8;         ///< windows at a time
  bool before = false;           ///< one more point, before the first step
};

/// Which windows of the text a training reads.
struct Reading {
  enum class Order { random, epochs } order = Order::random;  ///< `TextData::random` or `TextData::epochs`
  std::size_t tokens = 0;                                     ///< epochs over this many first tokens; 0: the whole text
  std::size_t after = 0;                                      ///< epochs: continues after this many steps of the same seed
};

/// What a training shows.
struct Curve {
  std::vector<double> tokens, train_nats,
      valid_nats;  ///< losses after `tokens[i]` tokens; the training loss is the mean since the point before
  Evaluation last;
  double seconds = 0, tokens_per_second = 0;  ///< of the steps alone, evaluations excepted
  double evaluation_seconds = 0;
};

/// Trains until the schedule's end on the windows that `next(step)` gives. `held_out(windows)` evaluates, over so many windows
/// or, with 0, over all. `options` are the trainer's. Throws `Diverged`, which names `what` and the step, once a loss is not
/// finite, and as `step` and `held_out` do.
template <class T, class Space, class Next, class HeldOut>
Curve train_with_curve(Trainer<T, Space>& trainer, const TrainingOptions& options, const CurveOptions& o, const std::string& what,
                       const Next& next, const HeldOut& held_out) {
  Curve curve;
  const std::size_t steps = options.schedule.steps, per_step = options.batch * options.length;
  double loss = 0;  // since the last point
  std::size_t counted = 0;
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const auto evaluated = [&](std::size_t windows) {
    const auto start = Clock::now();
    const Evaluation e = held_out(windows);
    curve.evaluation_seconds += since(start);
    return e;
  };
  const auto point = [&](std::size_t done) {
    curve.tokens.push_back(static_cast<double>(done * per_step));
    curve.train_nats.push_back(counted ? loss / static_cast<double>(counted) : 0);
    curve.valid_nats.push_back(evaluated(o.windows).nats_per_token);
    require_finite(curve.valid_nats.back(), done, what);
    loss = 0, counted = 0;
  };
  if (o.before) point(0);
  std::optional<Progress> progress(std::in_place, what, steps * per_step, "tokens");
  for (std::size_t i = 0; i < steps; ++i) {
    const auto start = Clock::now();
    const Windows w = next(i);
    const StepReport report = trainer.step(w.tokens, w.targets);
    curve.seconds += since(start);
    require_finite(report, i + 1, what);
    loss += report.loss, ++counted;
    char note[32];
    std::snprintf(note, sizeof note, "loss %.3f", report.loss);
    progress->at((i + 1) * per_step, note);
    if ((i + 1) * o.points / steps != i * o.points / steps) point(i + 1);
  }
  progress.reset();
  curve.last = evaluated(o.last_windows);
  require_finite(curve.last.nats_per_token, steps, what);
  curve.tokens_per_second = static_cast<double>(steps * per_step) / curve.seconds;
  return curve;
}

/// The same on windows of a text drawn by `seed` as `reading` says, and on a text held out; `places` gets the last losses by
/// place.
template <class T, class Space>
Curve train_with_curve(Trainer<T, Space>& trainer, const TrainingOptions& options, std::uint64_t seed, const TextData& text,
                       const TextData& held_out, const CurveOptions& o, const std::string& what, const Reading& reading = {},
                       PlaceLosses* places = nullptr) {
  return train_with_curve(
      trainer, options, o, what,
      [&](std::size_t step) {
        return reading.order == Reading::Order::random
                   ? text.random(options.batch, options.length, seed, step)
                   : text.epochs(options.batch, options.length, seed, reading.after + step, reading.tokens);
      },
      [&](std::size_t windows) {
        return evaluate(trainer.decoder(), held_out, options.length, windows, o.batch, nullptr, one_process(), places);
      });
}

}  // namespace skipv1
