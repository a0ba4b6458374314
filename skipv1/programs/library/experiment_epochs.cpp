// Tables and figures of trainings that read their text in epochs: rates, repetition, frontier.
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "skipv1/plot/chart.hpp"
#include "skipv1/programs/experiment_tables.hpp"

namespace skipv1 {

using namespace report;

namespace {

/// Where a parabola through the lowest of a family's losses with the first seed and its two neighbours, over the logarithm of the
/// peak rate, is least; nothing if the lowest lies at an end.
std::optional<std::pair<double, double>> interpolated(const std::vector<Labelled>& all, const std::string& family) {
  std::map<double, double> losses;  // over the logarithm of the rate
  for (const Labelled& l : all)
    if (family_of(l.label) == family)
      losses[std::log(l.first().at("settings").at("peak").get<double>())] = l.first().at("final_nats_per_token").get<double>();
  const auto least =
      std::min_element(losses.begin(), losses.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (losses.size() < 3 || least == losses.begin() || std::next(least) == losses.end()) return {};
  const auto [x, y] = *least;
  const auto [x0, y0] = *std::prev(least);
  const auto [x1, y1] = *std::next(least);
  const double left = (y0 - y) / (x0 - x), right = (y1 - y) / (x1 - x), a = (right - left) / (x1 - x0), b = left - a * (x0 - x);
  return std::pair{std::exp(x - b / (2 * a)), y - b * b / (4 * a)};
}

void print_best(const std::vector<Labelled>& all, const std::string& against) {
  const auto names = families(all);
  if (std::none_of(names.begin(), names.end(), [](const auto& f) { return f.second > 1; })) return;
  std::printf(
      "\nEach model at its own best peak rate, chosen by the held-out loss with the first seed; mean and interval of 95 %% of "
      "the "
      "paired differences.\n\n");
  print_head({"model", "held out", "- " + against + "'s", "- " + against + "'s without the first seed",
              "training - " + against + "'s", "least of a parabola"});
  for (const auto& [family, count] : names) {
    const std::string group = group_of(family);
    const Labelled *best = best_of(all, family), *base = best_of(all, group.empty() ? against : group + "/" + against);
    std::vector<std::string> row = {best->label, spread_text(best->each("final_nats_per_token")), "", "", "", ""};
    if (const auto least = interpolated(all, family)) row[5] = text_of("%.4f", least->second) + text_of(" at %.1e", least->first);
    if (base && base != best) {
      Numbers others = gaps(*best, *base, "final_nats_per_token");
      row[2] = interval_text(others), row[4] = interval_text(train_gaps(*best, *base));
      others.erase(others.begin());
      row[3] = interval_text(others);
    }
    print_row(row);
  }
}

/// Tokens, as a share of the first training's, until the loss on the curve's windows is at most another's at its end, over seeds:
/// "12 %", "10 to 15 %", "15 % to never".
std::string return_text(const Labelled& l, const Labelled& start, const Labelled& target) {
  Numbers shares;
  for (const Json& run : l.runs) {
    const Json *before = start.of_seed(run.at("seed")), *other = target.of_seed(run.at("seed"));
    if (!before || !other) continue;
    const double goal = other->at("valid_nats_per_token").back().get<double>(), all = before->at("tokens").back().get<double>();
    double share = std::numeric_limits<double>::infinity();
    for (std::size_t i = run.at("tokens").size(); i-- > 0;)
      if (run.at("valid_nats_per_token")[i].get<double>() <= goal) share = run.at("tokens")[i].get<double>() / all;
    shares.push_back(share);
  }
  if (shares.empty()) return "";
  const auto text = [](double share) { return std::isfinite(share) ? text_of("%.0f %%", 100 * share) : std::string("never"); };
  const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
  return text(*low) + (*low == *high ? "" : " to " + text(*high));
}
/// When models that go on from another come down to its loss, and to that of SkipV1 from scratch.
void print_returns(const std::vector<Labelled>& all) {
  std::printf(
      "\nOn the windows of the curve: initial loss, and tokens, as a share of the first training's, until a loss is "
      "reached.\n\n");
  print_head({"run", "n", "initial", "reaches the first mha's", "reaches the first skipv1's"});
  for (const Labelled& l : all) {
    if (!l.first().at("settings").contains("start")) continue;
    const auto first = l.first().at("settings").at("start").get<std::string>();
    const Labelled *start = find(all, first), *skipv1 = best_of(all, group_of(first) + "/skipv1");
    const auto initial = [](const Json& run) { return run.at("valid_nats_per_token").front().get<double>(); };
    print_row({l.label, std::to_string(l.runs.size()), spread_text(l.each(initial)), start ? return_text(l, *start, *start) : "",
               start && skipv1 ? return_text(l, *start, *skipv1) : ""});
  }
}

/// The part of the steps over which the training loss is a mean: since the curve's last point but one.
std::string last_part(const Json& run) {
  const std::size_t points = run.at("tokens").size();
  return points == 20 ? "twentieth" : "1/" + std::to_string(points);
}

/// The models of the frontier, in lines along which one thing changes.
const std::vector<std::pair<std::string, std::vector<std::string>>>& frontier_lines() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> lines = {
      {"DenseFormer", {"denseformer"}},
      {"MHA, GQA 2 and 4, MQA", {"mha", "gqa-2", "gqa-4", "mqa"}},
      {"SkipV1, 25, 50, 75 %", {"skipv1-25", "skipv1", "skipv1-75"}},
      {"SkipV1-GQA 2, 4", {"skipv1_gqa-2", "skipv1_gqa-4"}},
      {"SkipV1-YOCO", {"skipv1_yoco"}},
      {"SkipKV1", {"skipkv1"}},
      {"YOCO-V, YOCO", {"yoco_v", "yoco"}},
      {"CLA-V, CLA", {"cla_v", "cla"}},
      {"SVFormer", {"svformer"}},
      {"SkipV0", {"skipv0"}},
      {"MLA, SkipV1-MLA", {"mla", "skipv1_mla"}},
      {"ResFormer", {"resformer"}},  // right of DenseFormer, which hides no name
      {"ResFormer learned", {"resformer-learned"}},
  };
  return lines;
}

constexpr std::size_t frontier_style = 34;  // no model's: pale and dotted

/// The lowest loss that a model of at most that cache has, from the smallest cache to `end`: steps through the frontier's points.
plot::Series frontier_steps(const std::vector<plot::Series>& models, double end) {
  std::vector<std::pair<double, double>> points;
  for (const plot::Series& s : models)
    for (std::size_t i = 0; i < s.x.size(); ++i) points.emplace_back(s.x[i], s.y[i]);
  std::sort(points.begin(), points.end());
  plot::Series steps{"", {}, {}};
  steps.points = plot::Series::Points::hidden, steps.style = frontier_style;
  const auto add = [&](double x, double y) { steps.x.push_back(x), steps.y.push_back(y); };
  for (const auto& [bytes, loss] : points) {
    if (!steps.y.empty() && loss >= steps.y.back()) continue;
    if (!steps.y.empty()) add(bytes, steps.y.back());
    add(bytes, loss);
  }
  add(end, steps.y.back());
  return steps;
}

/// "9.61M to 10.5M parameters, 13.1M tokens" of the first run's batches.
std::string frontier_size(const std::vector<Labelled>& all) {
  Numbers sizes;
  for (const Labelled& l : all) sizes.push_back(l.first().at("parameters").get<double>());
  const auto [low, high] = std::minmax_element(sizes.begin(), sizes.end());
  return count_text(*low) + " to " + count_text(*high) + " parameters, " +
         count_text(all[0].first().at("tokens").back().get<double>()) + " tokens";
}

void draw_frontier(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  plot::Chart chart{"Loss against cache: " + frontier_size(all) + " (bars: intervals of 95 % of the means; steps: the frontier)",
                    "cache, bytes per token (equal ones side by side)",
                    "held-out loss, nats per token",
                    {}};
  chart.legend = false;  // a name stands at each point
  for (const auto& [name, models] : frontier_lines()) {
    plot::Series series{name, {}, {}};
    series.spread = plot::Series::Spread::bars;
    for (const std::string& model : models)
      if (const Labelled* l = best_of(all, model)) {
        add_interval(series, l->each("cache_bytes_per_token")[0], l->each("final_nats_per_token"));
        series.labels.push_back(title_of(model) + (model.starts_with("skipv1-") ? " %" : ""));
      }
    if (!series.x.empty()) chart.series.push_back(series);
  }
  double most = 0;
  for (const Labelled& l : all) most = std::max(most, l.each("cache_bytes_per_token")[0]);
  chart.x_range = {0, 1.2 * most};  // room for names on the right
  chart.width = 1080, chart.height = 700, chart.dodge = 11;
  if (!chart.series.empty()) chart.series.push_back(frontier_steps(chart.series, most));
  save(file, chart, all[0].is_short);
}

/// Models at their best peak rates over the number of layers, where three or more depths differ in nothing else that their labels
/// name: by their other settings, by model, by layers.
using ByLayers = std::map<std::string, std::map<std::string, std::map<double, const Labelled*>>>;
ByLayers by_layers(const std::vector<Labelled>& all) {
  ByLayers alike;
  for (const auto& [family, count] : families(all)) {
    const Labelled* best = best_of(all, family);
    Json settings = best->first().at("settings");
    Json& config = settings.at("config");
    const auto layers = config.at("num_hidden_layers").get<double>();
    std::string name = config.at("architecture").dump();
    for (const char* key : {"vocab_size", "hidden_size", "intermediate_size"}) name += " " + config.at(key).dump();
    for (const char* key : {"batch", "length", "steps"}) name += " " + settings.at(key).dump();
    alike[name][model_of(family)][layers] = best;
  }
  for (auto& [name, models] : alike) std::erase_if(models, [](const auto& m) { return m.second.size() < 3; });
  return alike;
}
/// What more layers change in each model's held-out loss, and in its difference from `against`'s, seed by seed.
void print_layers(const std::vector<Labelled>& all, const std::string& against) {
  for (const auto& [name, models] : by_layers(all)) {
    if (models.empty()) continue;
    if (!models.contains(against)) {
      std::printf("\nNo table of what more layers change: %s is not there at three depths, as %s is.\n", against.c_str(),
                  models.begin()->first.c_str());
      continue;
    }
    std::printf(
        "\nWhat more layers change in the held-out loss, each model at its best peak rate; mean and interval of 95 %% of paired "
        "differences.\n\n");
    print_head({"model", "layers", "held out", "held out - " + against + "'s"});
    const auto& bases = models.at(against);
    for (const auto& [model, depths] : models)
      for (auto more = std::next(depths.begin()); more != depths.end(); ++more) {
        const auto& [layers, fewer] = *std::prev(more);
        const Numbers change = gaps(*more->second, *fewer, "final_nats_per_token");
        Numbers others;
        if (model != against && bases.contains(layers) && bases.contains(more->first))
          for (const Json& run : more->second->runs) {
            const auto loss = [&](const Labelled& l) {
              const Json* of_seed = l.of_seed(run.at("seed"));
              return of_seed ? of_seed->at("final_nats_per_token").get<double>() : std::nan("");
            };
            const double other = loss(*more->second) - loss(*fewer) - (loss(*bases.at(more->first)) - loss(*bases.at(layers)));
            if (!std::isnan(other)) others.push_back(other);
          }
        print_row({model, text_of("%.0f to ", layers) + text_of("%.0f", more->first), interval_text(change),
                   others.empty() ? "" : interval_text(others)});
      }
  }
}
/// Held-out loss over the number of layers. Whether there was anything to draw.
bool draw_layers(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  plot::Chart chart{
      "Held-out loss over layers, each at its best rate (bars: lowest and highest seed)", "layers", "nats per token", {}};
  chart.log_x = true, chart.dodge = 6;
  for (const auto& [name, models] : by_layers(all))
    for (const auto& [model, points] : models) {
      plot::Series series{title_of(model), {}, {}};
      series.spread = plot::Series::Spread::bars;
      for (const auto& [layers, l] : points) add_range(series, layers, l->each("final_nats_per_token"));
      chart.series.push_back(series);
    }
  if (!chart.series.empty()) save(file, chart, all[0].is_short);
  return !chart.series.empty();
}

void draw_peaks(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  std::map<std::string, plot::Chart> charts;
  for (const auto& [family, count] : families(all)) {
    if (count < 3) continue;
    plot::Chart& chart = charts[group_of(family)];
    std::vector<const Labelled*> runs;
    for (const Labelled& l : all)
      if (group_of(l.label) == group_of(family)) runs.push_back(&l);
    const std::string& group = group_of(family);
    chart.title = "Loss over the peak rate: " + (group.find('-') == group.npos ? group : words_of(group, runs));
    chart.x_label = "peak learning rate";
    chart.y_label = "nats per token, first seed", chart.log_x = true;
    plot::Series held{title_of(model_of(family)) + ", held out", {}, {}},
        training{title_of(model_of(family)) + ", training", {}, {}};
    std::map<double, const Labelled*> by_peak;  // a line goes through them in the order of their rates, not of the file
    for (const Labelled& l : all)
      if (family_of(l.label) == family) by_peak[l.first().at("settings").at("peak").get<double>()] = &l;
    for (const auto& [peak, l] : by_peak) {
      held.x.push_back(peak), held.y.push_back(l->first().at("final_nats_per_token").get<double>());
      training.x.push_back(peak), training.y.push_back(train_loss(l->first()));
    }
    chart.series.push_back(held), chart.series.push_back(training);
  }
  const bool layers = draw_layers(all, with_suffix(file, "layers"));
  require(layers || !charts.empty(),
          "--figure: needs results of one model at three peak rates (loss over the rate) or at three depths (loss over layers); "
          "there are none");
  for (auto& [group, chart] : charts) save(with_suffix(file, group), chart, all[0].is_short);
}

/// Held-out loss of models that go on from another, each at its best rate, over the share of the first training's tokens; a file
/// for each group. The first tenth of the steps, where converted models fall by more than a nat, is left out.
void draw_returns(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  std::map<std::string, plot::Chart> charts;
  const auto at = [](std::size_t i) {
    return [i](const Json& run) { return run.at("valid_nats_per_token").at(i).get<double>(); };
  };
  const auto end = [&](const Labelled& l) { return mean(l.each(at(l.first().at("tokens").size() - 1))); };
  for (const auto& [family, count] : families(all)) {
    const Labelled& l = *best_of(all, family);
    const Json& settings = l.first().at("settings");
    const Labelled* start = settings.contains("start") ? find(all, settings.at("start").get<std::string>()) : nullptr;
    if (!start) continue;
    plot::Chart& chart = charts[group_of(family)];
    if (chart.series.empty()) {
      chart.title = "Uptraining, each at its best rate (mean; bands: lowest and highest seed)";
      chart.x_label = "further training, % of the first training's tokens", chart.y_label = "held-out loss, nats per token";
      chart.references.push_back({end(*start), "MHA before"});
      if (const Labelled* skipv1 = best_of(all, group_of(start->label) + "/skipv1"))
        chart.references.push_back({end(*skipv1), "SkipV1 from scratch"});
    }
    plot::Series series{model_of(l.label), {}, {}};
    const Json& tokens = l.first().at("tokens");
    const double before = start->first().at("tokens").back().get<double>();
    for (std::size_t i = tokens.size() / 10; i < tokens.size(); ++i)
      add_range(series, 100 * tokens[i].get<double>() / before, l.each(at(i)));
    chart.series.push_back(series);
  }
  require(!charts.empty(), "--figure: nothing has gone on from another model yet");
  for (const auto& [group, chart] : charts) save(with_suffix(file, group), chart, all[0].is_short);
}

/// Loss over how often the text was read, of each model at its best peak rate.
void draw_repetition(const std::vector<Labelled>& all, const Json& text, const std::filesystem::path& file) {
  plot::Chart chart{
      "Loss over epochs, at equal steps (bars: intervals of 95 %, of two seeds both)", "epochs", "nats per token", {}};
  chart.log_x = true, chart.dodge = 6;
  std::map<std::string, std::map<double, const Labelled*>> models;
  for (const auto& [family, count] : families(all)) {
    const Labelled* best = best_of(all, family);
    models[model_of(family)][epochs(best->first(), text)] = best;
  }
  for (const auto& [model, points] : models) {
    plot::Series held{title_of(model) + ", held out", {}, {}}, training{title_of(model) + ", training", {}, {}};
    held.spread = training.spread = plot::Series::Spread::bars;
    for (const auto& [x, l] : points)
      add_interval(held, x, l->each("final_nats_per_token")), add_interval(training, x, l->each(train_loss));
    chart.series.push_back(held), chart.series.push_back(training);
  }
  save(file, chart, all[0].is_short);
}

}  // namespace

bool read_in_epochs(const Json& results) {
  const Json& runs = results.at("runs");
  return !runs.empty() && runs[0].at("settings").contains("windows");
}

void print_epochs(const Json& results, const std::string& against) {
  const std::vector<Labelled> all = by_label(results);
  print_head({"run", "parameters", "cache bytes per token", "epochs", "n", "training", "held out", "held out - " + against + "'s",
              "training - " + against + "'s"});
  for (const Labelled& l : all) {
    const Labelled* base = base_of(all, l.label, against);
    print_row({l.label, whole(l.first(), "parameters"), whole(l.first(), "cache_bytes_per_token"),
               text_of("%.2f", epochs(l.first(), results.at("text"))), std::to_string(l.runs.size()),
               spread_text(l.each(train_loss)), spread_text(l.each("final_nats_per_token")),
               base ? interval_text(gaps(l, *base, "final_nats_per_token")) : "",
               base ? interval_text(train_gaps(l, *base)) : ""});
  }
  print_best(all, against);
  print_layers(all, against);
  if (results.at("experiment") == "uptraining-once") print_returns(all);
  const Json& text = results.at("text");
  std::printf(
      "\nNats per token. Training: mean of the last %s of the steps. Text: %s bytes, %s; held out: %s bytes, %s, of which the "
      "loss is over %s tokens, %s bytes; device: %s\n",
      last_part(all[0].first()).c_str(), whole(text, "bytes").c_str(), text.at("fingerprint").get<std::string>().c_str(),
      whole(text, "valid_bytes").c_str(), text.at("valid_fingerprint").get<std::string>().c_str(),
      range_text(all, "final_tokens").c_str(), range_text(all, "final_bytes").c_str(), devices_text(all).c_str());
  if (results.at("experiment") == "contexts") print_contexts(results, against);
  if (results.at("experiment") == "vocabulary") print_vocabulary(results, against);
}

void draw_epochs(const Json& results, const std::filesystem::path& file) {
  const std::vector<Labelled> all = by_label(results);
  if (results.at("experiment") == "contexts") return draw_contexts(results, file);
  if (results.at("experiment") == "vocabulary") return draw_vocabulary(results, file);
  if (results.at("experiment") == "frontier") return draw_frontier(all, file);
  if (results.at("experiment") == "uptraining-once") return draw_returns(all, file);
  if (results.at("experiment") == "repetition") return draw_repetition(all, results.at("text"), file);
  draw_peaks(all, file);
}

}  // namespace skipv1
