// The file of an experiment's results, read and checked.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "skipv1/core/number.hpp"
#include "skipv1/io/config.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/programs/experiment.hpp"

namespace skipv1 {

namespace {

void require_number(const Json& value, const std::string& key) {
  require(value.is_number(), '"', key, "\": expected a number, found ", detail::brief(value));
}
const Json& list_of(JsonFields& fields, const char* key) {
  const Json& list = *fields.find(key);
  fields.expect(list.is_array() && !list.empty(), key, "a list that is not empty", list);
  return list;
}

void check_memory(JsonFields& fields) {
  for (const Json& point : list_of(fields, "memory")) {
    JsonFields of(point, "memory.");
    std::size_t count = 0;
    of.read("context", count), of.read("cache_bytes", count), of.read("peak_bytes", count, Presence::optional);
  }
}

void check_places(const Json& places) {
  std::size_t last = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    JsonFields of(places[i], "places.");
    std::size_t begin = 0, count = 0;
    double number = 0;
    of.read("begin", begin), of.read("tokens", count), of.read("nats_per_token", number);
    of.expect(i ? begin > last : begin == 0, "begin", i ? "a later place than the part before" : "0", places[i]["begin"]);
    of.expect(number >= 0 && number <= 1e6, "nats_per_token", "0 to 1e6", places[i]["nats_per_token"]);
    last = begin;
  }
}

/// Throws unless a table of a search was made in one of its ways and owns as many value heads as the run says.
void check_table(const Json& run) {
  JsonFields fields(run);
  std::string made;
  std::size_t owned = 0, sum = 0;
  fields.read("made", made), fields.read("owned_values", owned);
  const auto ways = {"given", "drawn", "mutated", "recombined"};
  fields.expect(std::find(ways.begin(), ways.end(), made) != ways.end(), "made", "given, drawn, mutated or recombined",
                run["made"]);
  const Config config = parse_config(run.at("settings").at("config").dump());
  for (const std::size_t heads : make_routing(config).owned_values) sum += heads;
  require(owned == sum, "\"owned_values\" is ", owned, ", its table owns ", sum);
}

/// Throws if what the run says twice differs: its peak rate in label and settings, its tokens in the curve and in the settings,
/// its loss per token and per byte.
void check_agreement(const Json& run) {
  const Json& settings = run.at("settings");
  const auto number = [](const Json& object, const char* key) {
    return require_number(object.at(key), key), object.at(key).get<double>();
  };
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6 * std::abs(b); };
  const auto label = run.at("label").get<std::string>();
  const std::size_t at = label.find('@');
  if (at != label.npos && settings.contains("peak")) {
    double peak = 0;
    const auto [end, error] = read_number(label.data() + at + 1, label.data() + label.size(), peak);
    require(error != std::errc() || end != label.data() + label.size() || near(number(settings, "peak"), peak),
            "\"settings.peak\" is ", detail::brief(settings["peak"]), ", the label has ", label.substr(at + 1));
  }
  const Json& tokens = run.at("tokens");
  for (std::size_t i = 1; i < tokens.size(); ++i)
    require(tokens[i - 1] < tokens[i], "\"tokens\": number ", i, " is ", detail::brief(tokens[i]), ", after ",
            detail::brief(tokens[i - 1]), ": they must rise");
  if (settings.contains("steps") && settings.contains("length")) {
    const double all = number(settings, "steps") * number(settings, "batch") * number(settings, "length");
    require(tokens.back().get<double>() == all, "\"tokens\" ends with ", detail::brief(tokens.back()),
            ", the settings' steps have ", all);
  }
  if (run.contains("bits_per_byte") && number(run, "final_bytes") > 0) {
    const double bits =
        number(run, "final_nats_per_token") * number(run, "final_tokens") / number(run, "final_bytes") / std::log(2.0);
    require(near(number(run, "bits_per_byte"), bits), "\"bits_per_byte\" is ", detail::brief(run["bits_per_byte"]),
            ", of \"final_nats_per_token\", \"final_tokens\" and \"final_bytes\" it is ", bits);
  }
}

/// Returns how many points the run's curve has.
std::size_t check_training(JsonFields& fields, const Json& run) {
  double number = 0;
  std::size_t count = 0;
  const std::size_t points = list_of(fields, "tokens").size();
  const bool recall = run.contains("final_accuracy");
  std::vector<const char*> lists = {"tokens", "train_nats_per_token", "valid_nats_per_token"};
  if (recall) lists.push_back("accuracy");
  for (const char* key : lists) {
    const Json& list = list_of(fields, key);
    require(list.size() == points, '"', key, "\" has ", list.size(), " numbers, \"tokens\" ", points);
    for (const Json& value : list) require_number(value, key);
  }
  for (const char* key : {"seconds", "tokens_per_second"}) fields.read(key, number);
  fields.read("final_tokens", count);
  const auto within = [&](const char* key, double most, const char* what) {
    fields.read(key, number);
    fields.expect(number >= 0 && number <= most, key, what, run.at(key));
  };
  within("final_nats_per_token", 1e6, "0 to 1e6");
  if (recall) {
    within("final_accuracy", 1, "0 to 1");
  } else {
    fields.read("bits_per_byte", number);
    fields.read("final_bytes", count);
  }
  if (run.contains("places")) check_places(list_of(fields, "places"));
  check_agreement(run);
  return points;
}

/// Throws unless `run` has what tables, figures and a call that goes on read; returns its points, 0 of memory's.
std::size_t check_run(const Json& run, bool memory) {
  JsonFields fields(run);
  std::string text;
  std::size_t count = 0;
  double number = 0;
  fields.read("label", text);
  fields.expect(!text.empty() && text.find_first_of(" \t\r\n") == text.npos, "label", "a name without spaces", run.at("label"));
  fields.read("device", text);
  for (const char* key : {"seed", "parameters", "cache_bytes_per_token"})
    fields.read(key, count, Presence::required, "a whole number");
  fields.read("wall_seconds", number);
  const Json& settings = *fields.find("settings");
  JsonFields set(settings, "settings.");
  set.read("batch", count), set.read("start", text, Presence::optional);
  const Json& config = *set.find("config");
  JsonFields of(config, "settings.config.");
  of.read("vocab_size", count), of.read("num_hidden_layers", count);
  require(run.contains("memory") == memory, memory ? "\"memory\" is missing" : "\"memory\" beside runs of training");
  if (!memory) return check_training(fields, run);
  check_memory(fields);
  return 0;
}

/// Throws unless the tables and figures of the experiment called `name` find what they print of `run`.
void check_kind(const Json& run, const std::string& name) {
  if (name == "recall") require(run.contains("final_accuracy") && run["settings"].contains("pairs"), "is no run of recall");
  if (name == "contexts") require(run.contains("places"), "\"places\" is missing");
  if (name == "search" && (run.contains("made") || run.contains("owned_values"))) check_table(run);
}

void check_results(const Json& results, const std::string& name) {
  JsonFields fields(results);
  std::string experiment;
  fields.read("experiment", experiment);
  fields.find("text");
  require(experiment == name, "holds results of another experiment: ", detail::brief(experiment));
  const Json& runs = *fields.find("runs");
  fields.expect(runs.is_array(), "runs", "a list", runs);
  std::set<std::string> done;
  std::map<std::string, std::size_t> points;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Json& run = runs[i];
    const bool named = run.is_object() && run.contains("label") && run.contains("seed");
    const std::string place = named ? " (" + detail::brief(run["label"]) + ", seed " + detail::brief(run["seed"]) + ")" : "";
    at_place("run " + std::to_string(i + 1) + " of " + std::to_string(runs.size()) + place, [&] {
      const std::size_t count = check_run(run, runs[0].is_object() && runs[0].contains("memory"));
      check_kind(run, name);
      require(done.insert(place).second, "is there twice");
      const std::size_t first = points.try_emplace(run["label"].get<std::string>(), count).first->second;
      require(first == count, "its curve has ", count, " points, that of the label's first run ", first);
    });
  }
}

}  // namespace

Json read_results(const std::filesystem::path& file, const std::string& name) {
  require_experiment(name);
  Source source(file);
  return at_place(file.string(), [&] {
    Json results = parse_json(source.text(0, source.size()));
    check_results(results, name);
    return results;
  });
}

}  // namespace skipv1
