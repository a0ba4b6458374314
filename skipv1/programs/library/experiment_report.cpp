// Tables and figures of an experiment's results.
#include <cstdio>
#include <map>

#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/rows.hpp"
#include "skipv1/programs/experiment_tables.hpp"
#include "skipv1/programs/search.hpp"

namespace skipv1 {

namespace {

using namespace report;

void print_trainings(const Json& results, const std::vector<Labelled>& all, const std::string& against) {
  print_head({"run", "parameters", "cache bytes per token", "epochs", "n", "training", "held out", "bits per byte",
              "held out - " + against + "'s", "training - " + against + "'s"});
  for (const Labelled& l : all) {
    const Labelled* base = base_of(all, l.label, against);
    print_row({l.label, whole(l.first(), "parameters"), whole(l.first(), "cache_bytes_per_token"),
               text_of("%.2f", epochs(l.first(), results.at("text"))), std::to_string(l.runs.size()),
               spread_text(l.each(train_loss)), spread_text(l.each("final_nats_per_token")),
               text_of("%.4f", mean(l.each("bits_per_byte"))), base ? gap_text(gaps(l, *base, "final_nats_per_token")) : "",
               base ? gap_text(train_gaps(l, *base)) : ""});
  }
  std::printf("\nNats per token. Training: mean of the last twentieth of the steps. Held out: %s tokens, %s bytes; device: %s\n",
              range_text(all, "final_tokens").c_str(), range_text(all, "final_bytes").c_str(), devices_text(all).c_str());
}

/// The loss after the last step on the windows of the curve.
double curve_end(const Json& run) { return run.at("valid_nats_per_token").back().get<double>(); }
bool goes_on(const Labelled& l) { return l.first().at("settings").contains("start"); }
/// How many tokens the model had been trained on before; 0 if it was imported.
double tokens_before(const std::vector<Labelled>& all, const Labelled& l) {
  const Labelled* start = find(all, l.first().at("settings").at("start").get<std::string>());
  return start ? start->first().at("tokens").back().get<double>() : 0;
}
/// After how many tokens a run's loss is at most `target`, "no" if it never is; as a share of `unit` if that is not 0.
std::string reaches(const Json& run, double target, double unit) {
  for (std::size_t i = 0; i < run.at("tokens").size(); ++i) {
    const auto tokens = run.at("tokens")[i].get<double>();
    if (run.at("valid_nats_per_token")[i].get<double>() <= target)
      return unit > 0 ? text_of("%.0f %%", 100 * tokens / unit) : text_of("%.0f tokens", tokens);
  }
  return "no";
}

/// Of each run that went on from another: its loss after quarters of its steps, and when it comes down to what others ended with.
void print_further(const std::vector<Labelled>& all) {
  std::printf("\nFirst seed, on the windows of the curve; tokens as a share of the first training's.\n\n");
  const std::vector<std::string> targets = {"mha", "skipv1", "unconverted"};
  std::vector<std::string> head = {"run", "initial", "1/4", "1/2", "3/4", "end"};
  for (const std::string& target : targets)
    if (find(all, target)) head.push_back("reaches " + target + "'s");
  print_head(head);
  for (const Labelled& l : all) {
    if (!goes_on(l)) continue;
    const Json& losses = l.first().at("valid_nats_per_token");
    std::vector<std::string> row = {l.label};
    for (std::size_t quarter = 0; quarter <= 4; ++quarter)
      row.push_back(text_of("%.4f", losses[(losses.size() - 1) * quarter / 4].get<double>()));
    for (const std::string& target : targets)
      if (const Labelled* other = find(all, target))
        row.push_back(other->label == l.label ? "" : reaches(l.first(), curve_end(other->first()), tokens_before(all, l)));
    print_row(row);
  }
}

void print_memory(const std::vector<Labelled>& all) {
  std::vector<std::string> head = {"run", "parameters", "cache bytes/token", "of mha's"};
  for (const Json& point : all[0].first().at("memory")) {
    head.push_back("cache MiB at " + whole(point, "context"));
    if (point.contains("peak_bytes")) head.push_back("peak MiB");
  }
  print_head(head);
  const auto mib = [](const Json& point, const char* key) { return text_of("%.4g", point.at(key).get<double>() / (1 << 20)); };
  for (const Labelled& l : all) {
    const Labelled* mha = find(all, "mha");
    const double bytes = l.each("cache_bytes_per_token")[0];
    std::vector<std::string> row = {l.label, whole(l.first(), "parameters"), whole(l.first(), "cache_bytes_per_token"),
                                    mha ? text_of("%.2f %%", 100 * bytes / mha->each("cache_bytes_per_token")[0]) : ""};
    for (const Json& point : l.first().at("memory")) {
      row.push_back(mib(point, "cache_bytes"));
      if (point.contains("peak_bytes")) row.push_back(mib(point, "peak_bytes"));
    }
    print_row(row);
  }
  std::printf("\n%s sequences at a time; device: %s\n", whole(all[0].first().at("settings"), "batch").c_str(),
              devices_text(all).c_str());
}

/// The last held-out loss of each run of a group, the lowest first; more than six curves would hide each other.
void draw_last(const std::vector<const Labelled*>& group, const std::string& title, const std::filesystem::path& file) {
  std::vector<const Labelled*> sorted = group;
  const auto loss = [](const Labelled* l) { return mean(l->each("final_nats_per_token")); };
  std::stable_sort(sorted.begin(), sorted.end(), [&](auto* a, auto* b) { return loss(a) < loss(b); });
  plot::RowChart chart{title, "held-out loss, nats per token (mean; small dots: single seeds)", {}, {{"", {}}}};
  chart.kind = plot::RowChart::Kind::dots;
  for (const Labelled* l : sorted) {
    plot::RowValues& values = chart.values[0];
    const Numbers each = l->each("final_nats_per_token");
    chart.rows.push_back(title_of(model_of(l->label)));
    values.values.push_back(mean(each)), values.points.push_back(each.size() > 1 ? each : Numbers{});
    values.texts.push_back(text_of("%.3f", mean(each)));
  }
  save(file, chart, group[0]->is_short);
}

/// Validation loss, a file for each group; the first fifth of the steps is left out.
void draw_curves(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  std::map<std::string, std::vector<const Labelled*>> groups;
  for (const Labelled& l : all) groups[group_of(l.label)].push_back(&l);
  for (const auto& [group, runs] : groups) {
    const std::string after = group.empty() ? "" : ", " + words_of(group, runs);
    if (runs.size() > 6) {
      draw_last(runs, "Held-out loss after training" + after, with_suffix(file, group));
      continue;
    }
    plot::Chart chart{"Validation loss" + after, "tokens of training", "nats per token", {}};
    for (const Labelled* l : runs) {
      plot::Series series{title_of(model_of(l->label)), {}, {}};
      const Json& tokens = l->first().at("tokens");
      for (std::size_t i = tokens.size() / 5; i < tokens.size(); ++i)
        add_range(series, tokens[i].get<double>(),
                  l->each([i](const Json& run) { return run.at("valid_nats_per_token").at(i).get<double>(); }));
      chart.series.push_back(series);
    }
    save(with_suffix(file, group), chart, all[0].is_short);
  }
}

/// Loss over the share of the first training, or over tokens where that is not known.
void draw_further(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  plot::Chart chart{"Uptraining: held-out loss", "tokens of further training", "nats per token", {}};
  for (const Labelled& l : all) {
    if (!goes_on(l)) {
      chart.references.push_back({curve_end(l.first()), title_of(l.label) + " from scratch"});
      continue;
    }
    const double before = tokens_before(all, l);
    if (before > 0) chart.x_label = "further training, % of the first training's tokens";
    plot::Series series{l.label, {}, {}};
    for (std::size_t i = 0; i < l.first().at("tokens").size(); ++i)
      add_range(series, l.first()["tokens"][i].get<double>() * (before > 0 ? 100 / before : 1),
                l.each([i](const Json& run) { return run.at("valid_nats_per_token").at(i).get<double>(); }));
    chart.series.push_back(series);
  }
  save(file, chart, all[0].is_short);
}

/// Bars at the longest context: lines over the context would lie on each other.
void draw_memory(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  const Json& last = all[0].first().at("memory").back();
  const bool peak = last.contains("peak_bytes");
  const std::size_t sequences = all[0].first().at("settings").at("batch").get<std::size_t>();
  constexpr double gib = 1 << 30;
  plot::RowChart chart{(peak ? "Memory: " : "Key/value cache: ") + std::to_string(sequences) + " sequences of " +
                           plot::with_commas(last.at("context").get<double>()) + " tokens",
                       "GiB",
                       {},
                       {}};
  plot::RowValues whole{"peak", {}}, cache{"of it key/value cache", {}};
  for (const Labelled& l : all) {
    const Json& point = l.first().at("memory").back();
    chart.rows.push_back(title_of(l.label));
    cache.values.push_back(point.at("cache_bytes").get<double>() / gib);
    cache.texts.push_back(text_of("%.2f", cache.values.back()));
    if (!peak) continue;
    whole.values.push_back(point.at("peak_bytes").get<double>() / gib);
    whole.texts.push_back(text_of("%.2f", whole.values.back()));
  }
  if (peak) chart.values.push_back(whole);
  chart.values.push_back(cache);
  save(file, chart, all[0].is_short);
}

/// The gain over one of vocabulary, layers and tokens, a line for all groups that share the other two.
void draw_map(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  constexpr const char* names[] = {"vocabulary", "layers", "tokens"};
  constexpr const char* nouns[] = {"pieces", "layers", "tokens"};
  constexpr const char* labels[] = {"pieces of the vocabulary", "layers", "tokens of training"};
  bool any = false;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::map<std::string, std::map<double, Numbers>> lines;
    for (const Labelled& l : all) {
      const Labelled* mha = base_of(all, l.label);
      if (!mha) continue;
      const Json& config = l.first().at("settings").at("config");
      const double place[] = {config.at("vocab_size").get<double>(), config.at("num_hidden_layers").get<double>(),
                              l.first().at("tokens").back().get<double>()};
      std::string line;
      for (std::size_t other = 0; other < 3; ++other)
        if (other != axis) line += (line.empty() ? "" : ", ") + plot::value_labels({place[other]})[0] + " " + nouns[other];
      const Numbers gap = gaps(l, *mha, "final_nats_per_token");
      if (!gap.empty()) lines[line][place[axis]] = gap;
    }
    plot::Chart chart{"SkipV1's held-out loss minus MHA's: mean, lowest and highest seed",
                      labels[axis],
                      "nats per token",
                      {},
                      {{0, "level"}},
                      true};
    chart.dodge = 10;
    for (const auto& [name, points] : lines) {
      if (points.size() < 2) continue;
      plot::Series series{name, {}, {}};
      series.spread = plot::Series::Spread::bars;
      for (const auto& [x, values] : points) add_range(series, x, values);
      chart.series.push_back(series);
    }
    if (chart.series.empty()) continue;
    save(with_suffix(file, names[axis]), chart, all[0].is_short);
    any = true;
  }
  require(any, "--figure: a gain over vocabulary, layers or tokens needs both models at two of them; there are none");
}

}  // namespace

void print_results(const Json& results, const std::string& against) {
  const std::vector<Labelled> all = by_label(results);
  if (all[0].is_short) std::printf("Runs of --short: small models, few steps.\n\n");
  if (all[0].first().contains("memory")) return print_memory(all);
  if (results.at("experiment") == "search") return print_search(results);
  if (results.at("experiment") == "recall") return print_recall(results, against);
  if (read_in_epochs(results)) return print_epochs(results, against);
  print_trainings(results, all, against);
  if (std::any_of(all.begin(), all.end(), goes_on)) print_further(all);
}

void draw_results(const Json& results, const std::filesystem::path& file) {
  const std::vector<Labelled> all = by_label(results);
  if (all[0].first().contains("memory")) return draw_memory(all, file);
  if (results.at("experiment") == "search") return draw_search(results, file);
  if (results.at("experiment") == "recall") return draw_recall(results, file);
  if (read_in_epochs(results)) return draw_epochs(results, file);
  if (results.at("experiment") == "map") return draw_map(all, file);
  if (std::any_of(all.begin(), all.end(), goes_on)) return draw_further(all, file);
  draw_curves(all, file);
}

}  // namespace skipv1
