#include "skipv1/programs/mesa/kept.hpp"

#include <cerrno>
#include <cmath>
#include <limits>
#include <string_view>

#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/io/place.hpp"

namespace skipv1::mesa {

namespace {

/// Everything that decides a training's numbers: trainings alike in it are the same.
Json training_json(const std::string& device, const ToyModel& m, const Setting& s, std::uint64_t seed) {
  const Recipe& r = s.recipe;
  Json json{{"device", device}};
  json.update(model_json(m));
  json.update(
      {{"head_size", s.head_size},
       {"feed_forward", m.feed_forward},
       {"norms", m.norms},
       {"rope_theta", s.rope_theta},
       {"task", {s.task.dim, s.task.context, s.task.noise}},
       {"recipe", {r.steps, r.batch, m.rate > 0 ? m.rate : r.rate, r.warm_up, r.floor, r.gain, r.clip, r.weight_decay, r.beta2}},
       {"test", {s.test, s.first_seed, s.points}},
       {"seed", seed}});
  return json;
}

/// A training that diverged has an infinite error, which JSON has not: null.
Json outcome_json(const Outcome& outcome) { return std::isfinite(outcome.at("error")[0]) ? Json(outcome) : Json(nullptr); }
Outcome parse_outcome(const Json& json) {
  if (json.is_null()) return {{"error", {std::numeric_limits<double>::infinity()}}};
  Outcome outcome = json.get<Outcome>();
  require(outcome.contains("error") && !outcome["error"].empty(), "an outcome without an error");
  return outcome;
}

/// Whether the last line of a file may be one of `add`'s that was cut: begins as they begin, as far as it reaches.
bool is_cut_line(std::string_view line) {
  constexpr std::string_view begin = R"({"training":{"device":")";
  return line.substr(0, begin.size()) == begin.substr(0, line.size());
}

std::string reason() { return errno ? std::generic_category().message(errno) : "unknown reason"; }

}  // namespace

Json model_json(const ToyModel& m) {
  return {{"variant", m.attention.variant},
          {"skip_ratio", m.attention.skip_ratio},
          {"source_layer", m.attention.source_layer},
          {"attention", to_string(m.kind)},
          {"width", m.width},
          {"layers", m.layers},
          {"query_heads", m.heads},
          {"labels", to_string(m.labels)}};
}

KeptOutcomes::KeptOutcomes(std::string path, std::string device) : path_(std::move(path)), device_(std::move(device)) {
  require_writable(path_);
  if (std::filesystem::exists(path_)) read();
  errno = 0;
  out_.open(path_, std::ios::binary | std::ios::app);
  require(out_.is_open(), path_, ": cannot be written: ", reason());
  own_ = target_id(path_);
}

void KeptOutcomes::read() {
  std::string text;
  {
    Source source{std::filesystem::path(path_)};
    text = source.text(0, source.size());
  }
  std::size_t begin = 0, number = 1;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1, ++number) {
    try {
      const Json line = parse_json(std::string_view(text).substr(begin, end - begin));
      outcomes_[json_text(line.at("training"))] = parse_outcome(line.at("outcome"));
    } catch (const std::exception&) {
      fail(path_, ": line ", number, " is none that --keep writes");
    }
  }
  if (begin == text.size()) return;
  require(is_cut_line(std::string_view(text).substr(begin)), path_, ": line ", number, " is none that --keep writes");
  std::error_code error;
  std::filesystem::resize_file(path_, begin, error);
  require(!error, path_, ": cannot be written: ", error.message());
}

std::optional<Outcome> KeptOutcomes::find(const ToyModel& m, const Setting& s, std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  const auto found = outcomes_.find(json_text(training_json(device_, m, s, seed)));
  return found == outcomes_.end() ? std::nullopt : std::optional(found->second);
}

void KeptOutcomes::add(const ToyModel& m, const Setting& s, std::uint64_t seed, const Outcome& outcome) {
  const Json training = training_json(device_, m, s, seed);
  const std::lock_guard lock(mutex_);
  outcomes_[json_text(training)] = outcome;
  require_own_file(path_, own_);
  errno = 0;
  out_ << json_text({{"training", training}, {"outcome", outcome_json(outcome)}}) << '\n' << std::flush;
  require(out_.good(), path_, ": cannot be written: ", reason());
}

}  // namespace skipv1::mesa
