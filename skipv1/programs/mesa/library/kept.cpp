#include "skipv1/programs/mesa/kept.hpp"

#include <cerrno>
#include <cmath>
#include <limits>
#include <string_view>

#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/io/json_value.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/programs/mesa/measures.hpp"
#include "skipv1/routing/variants.hpp"

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

/// Throws unless `found` has the keys of `expected`, in their order, with values of their types: a training that is written
/// another way would not be found again.
void require_alike(const JsonValue& found, const Json& expected) {
  if (expected.is_array()) {
    const std::vector<JsonValue> items = found.items(expected.size(), expected.size());
    for (std::size_t i = 0; i < items.size(); ++i) require_alike(items[i], expected[i]);
  } else if (expected.is_object()) {
    for (const auto& item : expected.items()) require_alike(found.at(item.key()), item.value());
    auto key = expected.begin();
    for (const auto& item : found.json().items()) {
      found.expect(key != expected.end() && item.key() == key.key(),
                   key == expected.end() ? "no key more" : '"' + key.key() + "\" here, not \"" + item.key() + '"');
      ++key;
    }
  } else {
    found.expect(found.json().type() == expected.type(), std::string("a value like ") + json_text(expected));
  }
}

/// Throws unless a training is one of `training_json`'s, of names that are known.
void check_training(const JsonValue& training) {
  require_alike(training, parse_json(json_text(training_json("cpu", ToyModel(), Setting(), 1))));
  training.at("device").text({"cpu", "cuda", "emulated"});
  at_place("\"training.variant\"", [&] { find_variant(training.at("variant").text()); });
  training.at("attention").text({"softmax", "linear", "all-linear"});
  training.at("labels").text({"context", "fixed", "fresh"});
}

/// What came of a training that `check_training` has seen. Throws unless all is there, as long as that training makes it.
Outcome parse_outcome(const JsonValue& json, const JsonValue& training) {
  if (json.is_null()) return {{"error", {std::numeric_limits<double>::infinity()}}};
  const std::uint64_t pairs = training.at("task").items()[1].count(1), layers = training.at("layers").count(1),
                      steps = training.at("recipe").items()[0].count(1), points = training.at("test").items()[2].count(1);
  Outcome outcome;
  for (const Measure& m : measures(pairs, layers, steps, points))
    outcome[m.name] = json.at(m.name).numbers(m.size, m.least, m.most);
  for (const auto& item : json.json().items()) json.at(item.key()).expect(outcome.contains(item.key()), "no such list");
  const double error = outcome["error"][0], mean = detail::mean(outcome["pairs"]);
  json.at("error").items()[0].expect(std::abs(error - mean) <= 1e-9 * mean, "the mean of \"pairs\"");
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
      const Json json = parse_json(std::string_view(text).substr(begin, end - begin));
      const JsonValue line(json), training = line.at("training");
      check_training(training);
      const Outcome outcome = parse_outcome(line.at("outcome"), training);
      const auto [there, added] = outcomes_.emplace(json_text(training.json()), outcome);
      require(added || there->second == outcome, "a line before it says something else of the same training");
    } catch (const Error& error) {
      fail(path_, ": line ", number, " is none that --keep writes: ", error.what());
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
  if (found == outcomes_.end()) return std::nullopt;
  const bool diverged = std::isinf(found->second.at("error")[0]);  // in tuning, where that is no error
  require(!diverged || s.may_diverge, path_, ": ", m.name, ", ", to_string(m.kind), ", width ", m.width, ", depth ", m.layers,
          ", seed ", seed, ": the training has diverged");
  return found->second;
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
