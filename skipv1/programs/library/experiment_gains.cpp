// Tables and figures of contexts, recall and vocabulary: each has an axis of its own.
#include <cmath>
#include <limits>

#include "skipv1/plot/chart.hpp"
#include "skipv1/programs/experiment_tables.hpp"

namespace skipv1 {

using namespace report;

namespace {

/// Groups in the order of the results, each with its families' labels at their best rates.
std::vector<std::pair<std::string, std::vector<const Labelled*>>> best_by_group(const std::vector<Labelled>& all) {
  std::vector<std::pair<std::string, std::vector<const Labelled*>>> groups;
  for (const auto& [family, count] : families(all)) {
    const std::string group = group_of(family);
    auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == group; });
    if (known == groups.end()) known = groups.insert(groups.end(), {group, {}});
    known->second.push_back(best_of(all, family));
  }
  return groups;
}
/// The label of a model among those of a group; null if it is not there.
const Labelled* of_model(const std::vector<const Labelled*>& group, const std::string& model) {
  for (const Labelled* l : group)
    if (family_of(model_of(l->label)) == model) return l;
  return nullptr;
}
std::string title_of_family(const Labelled& l) { return title_of(family_of(model_of(l.label))); }

double place_loss(const Json& run, std::size_t part) { return run.at("places").at(part).at("nats_per_token").get<double>(); }
/// First and last place of a part, counted from 1 on: how many tokens the model has seen when it predicts.
std::pair<std::size_t, std::size_t> seen_in(const Json& run, std::size_t part) {
  const Json& places = run.at("places");
  const auto begin = places.at(part).at("begin").get<std::size_t>();
  const auto end = part + 1 < places.size() ? places.at(part + 1).at("begin").get<std::size_t>()
                                            : run.at("settings").at("length").get<std::size_t>();
  return {begin + 1, end};
}

/// The share of right answers at the end.
double accuracy(const Json& run) { return run.at("final_accuracy").get<double>(); }
std::size_t pairs_of(const Labelled& l) { return l.first().at("settings").at("pairs").get<std::size_t>(); }
/// Steps until nine of ten answers are right; infinite if they never are.
double steps_to_recall(const Json& run) {
  const Json &points = run.at("accuracy"), &tokens = run.at("tokens"), &settings = run.at("settings");
  const double per_step = settings.at("batch").get<double>() * settings.at("length").get<double>();
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points[i].get<double>() >= 0.9) return tokens.at(i).get<double>() / per_step;
  return std::numeric_limits<double>::infinity();
}
/// "250 to 400", "never", or "300 to never".
std::string steps_text(const Numbers& steps) {
  const auto [low, high] = std::minmax_element(steps.begin(), steps.end());
  const auto text = [](double x) { return std::isfinite(x) ? text_of("%.0f", x) : std::string("never"); };
  return *low == *high ? text(*low) : text(*low) + " to " + text(*high);
}

/// Whether a recall model is trained for more steps than the first of the file.
bool is_longer(const Labelled& l, const std::vector<Labelled>& all) {
  return l.first().at("settings").at("steps") != all[0].first().at("settings").at("steps");
}
/// Right answers over the steps, of the models that are trained longer; no file where there are none.
void draw_longer(const std::vector<Labelled>& all, const std::filesystem::path& file) {
  plot::Chart chart{"Recall over the steps (mean; bands: lowest and highest seed)", "steps", "right answers, %", {}};
  for (const auto& [group, models] : best_by_group(all))
    for (const Labelled* l : models) {
      if (!is_longer(*l, all)) continue;
      const Json& settings = l->first().at("settings");
      const double per_step = settings.at("batch").get<double>() * settings.at("length").get<double>();
      plot::Series series{title_of_family(*l) + ", " + std::to_string(pairs_of(*l)) + " pairs", {}, {}};
      for (std::size_t i = 0; i < l->first().at("tokens").size(); ++i)
        add_range(series, l->first().at("tokens").at(i).get<double>() / per_step,
                  l->each([i](const Json& run) { return 100 * run.at("accuracy").at(i).get<double>(); }));
      series.points = plot::Series::Points::hidden;
      chart.series.push_back(series);
    }
  if (!chart.series.empty()) save(file, chart, all[0].is_short);
}

/// Bytes of text that a run has read.
double bytes_read(const Json& run) {
  return run.at("tokens").back().get<double>() * run.at("final_bytes").get<double>() / run.at("final_tokens").get<double>();
}
double bits(const Json& run) { return run.at("bits_per_byte").get<double>(); }

}  // namespace

void print_contexts(const Json& results, const std::string& against) {
  const std::vector<Labelled> all = by_label(results);
  std::printf("\nHeld-out loss by how many tokens of the context the model has seen, each model at its own best peak rate.\n\n");
  print_head({"run", "tokens seen", "predicted", "held out", "held out - " + against + "'s"});
  for (const auto& [group, models] : best_by_group(all))
    for (std::size_t part = 0; part < models[0]->first().at("places").size(); ++part)
      for (const Labelled* l : models) {
        const auto loss = [&](const Json& run) { return place_loss(run, part); };
        const Labelled* base = of_model(models, against);
        const auto [first, last] = seen_in(l->first(), part);
        print_row({l->label, std::to_string(first) + " to " + std::to_string(last),
                   whole(l->first().at("places").at(part), "tokens"), spread_text(l->each(loss)),
                   base && base != l ? interval_text(gaps(*l, *base, loss)) : ""});
      }
}

void draw_contexts(const Json& results, const std::filesystem::path& file) {
  const std::vector<Labelled> all = by_label(results);
  plot::Chart chart{"SkipV1's held-out loss minus MHA's (mean; bars: lowest and highest seed)",
                    "tokens of the context seen, at most",
                    "nats per token",
                    {},
                    {{0, "level"}},
                    true};
  chart.dodge = 6;
  for (const auto& [group, models] : best_by_group(all)) {
    const Labelled *skipv1 = of_model(models, "skipv1"), *mha = of_model(models, "mha");
    if (!skipv1 || !mha) continue;
    plot::Series series{"context of " + group, {}, {}};
    series.spread = plot::Series::Spread::bars;
    for (std::size_t part = 0; part < skipv1->first().at("places").size(); ++part) {
      const Numbers gap = gaps(*skipv1, *mha, [&](const Json& run) { return place_loss(run, part); });
      const std::size_t last = seen_in(skipv1->first(), part).second;
      if (!gap.empty()) add_range(series, static_cast<double>(last), gap);
    }
    chart.series.push_back(series);
  }
  require(!chart.series.empty(), "--figure: a gain over the context needs mha and skipv1 in one; there is none");
  save(file, chart, all[0].is_short);
}

void print_recall(const Json& results, const std::string& against) {
  const std::vector<Labelled> all = by_label(results);
  print_head({"run", "parameters", "cache bytes per token", "n", "loss per answer", "right answers, %", "steps to 90 %"});
  for (const Labelled& l : all)
    print_row({l.label, whole(l.first(), "parameters"), whole(l.first(), "cache_bytes_per_token"), std::to_string(l.runs.size()),
               spread_text(l.each("final_nats_per_token")),
               text_of("%.2f", 100 * mean(l.each(accuracy))) +
                   (l.runs.size() > 1 ? text_of(" ± %.2f", 100 * deviation(l.each(accuracy))) : ""),
               steps_text(l.each(steps_to_recall))});
  std::printf("\nEach model at its own best peak rate, chosen by the loss with the first seed; right answers of 100.\n\n");
  print_head({"model", "right answers, seed by seed", "mean", "- " + against + "'s", "steps to 90 %"});
  const auto hundred = [](const Json& run) { return 100 * accuracy(run); };
  for (const auto& [group, models] : best_by_group(all))
    for (const Labelled* l : models) {
      const Labelled* base = of_model(models, against);
      const Numbers each = l->each(hundred);
      std::string seeds;
      for (const double value : each) seeds += text_of(seeds.empty() ? "%.1f" : ", %.1f", value);
      print_row({l->label, seeds, text_of("%.1f", mean(each)),
                 base && base != l ? interval_text(gaps(*l, *base, hundred), 1) : "", steps_text(l->each(steps_to_recall))});
    }
  std::printf("\nA guess is right once in %zu. %s answers; device: %s\n",
              all[0].first().at("settings").at("config").at("vocab_size").get<std::size_t>() / 2,
              range_text(all, "final_tokens").c_str(), devices_text(all).c_str());
}

void draw_recall(const Json& results, const std::filesystem::path& file) {
  plot::Chart chart{"Recall: right answers after training (mean; bars: lowest and highest seed)",
                    "pairs of key and value",
                    "right answers, %",
                    {},
                    {},
                    true};
  chart.dodge = 6;
  const std::vector<Labelled> all = by_label(results);
  std::vector<std::pair<std::string, plot::Series>> lines;
  for (const auto& [group, models] : best_by_group(all))
    for (const Labelled* l : models) {
      if (l->first().at("settings").contains("lessons") || is_longer(*l, all)) continue;  // one number of pairs is no line
      const std::string name = title_of_family(*l);
      auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& known) { return known.first == name; });
      if (line == lines.end()) line = lines.insert(lines.end(), {name, plot::Series{name, {}, {}}});
      line->second.spread = plot::Series::Spread::bars;
      add_range(line->second, static_cast<double>(pairs_of(*l)), l->each([](const Json& run) { return 100 * accuracy(run); }));
    }
  for (auto& [name, series] : lines) chart.series.push_back(std::move(series));
  save(file, chart, all[0].is_short);
  draw_longer(all, file.parent_path() / (file.stem().string() + "-steps" + file.extension().string()));
}

void print_vocabulary(const Json& results, const std::string& against) {
  std::printf("\nBits per byte, which compare between vocabularies; each model at its own best peak rate.\n\n");
  print_head({"run", "megabytes read", "bytes per token", "bits per byte", "- " + against + "'s", "of " + against + "'s, %"});
  const std::vector<Labelled> all = by_label(results);
  for (const auto& [group, models] : best_by_group(all))
    for (const Labelled* l : models) {
      const Labelled* base = of_model(models, against);
      const Numbers gap = base && base != l ? gaps(*l, *base, bits) : Numbers();
      print_row({l->label, text_of("%.1f", bytes_read(l->first()) / 1e6),
                 text_of("%.3f", l->first().at("final_bytes").get<double>() / l->first().at("final_tokens").get<double>()),
                 spread_text(l->each(bits)), interval_text(gap),
                 gap.empty() ? "" : text_of("%+.2f", 100 * mean(gap) / mean(base->each(bits)))});
    }
}

void draw_vocabulary(const Json& results, const std::filesystem::path& file) {
  const std::vector<Labelled> all = by_label(results);
  plot::Series series{"SkipV1", {}, {}};
  series.spread = plot::Series::Spread::bars;
  for (const auto& [group, models] : best_by_group(all)) {
    const Labelled *skipv1 = of_model(models, "skipv1"), *mha = of_model(models, "mha");
    const Numbers gap = skipv1 && mha ? gaps(*skipv1, *mha, bits) : Numbers();
    if (!gap.empty()) add_interval(series, skipv1->first().at("settings").at("config").at("vocab_size").get<double>(), gap);
  }
  require(!series.x.empty(), "--figure: a gain over vocabularies needs mha and skipv1 in one; there is none");
  plot::Chart chart{"SkipV1's bits per byte minus MHA's, at equal bytes of text (bars: intervals of 95 %)",
                    "pieces of the vocabulary",
                    "bits per byte",
                    {series},
                    {{0, "level"}},
                    true};
  save(file, chart, all[0].is_short);
}

}  // namespace skipv1
