// What a search over tables has found, as tables and figures.
#include <cmath>
#include <cstdio>
#include <map>

#include "skipv1/io/head_table.hpp"
#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/rows.hpp"
#include "skipv1/programs/experiment_tables.hpp"
#include "skipv1/programs/search.hpp"

namespace skipv1 {

using namespace report;

namespace {

/// What a table is like, as numbers that its loss may go with.
struct Features {
  double from_first = 0;  ///< share of the routed heads that read layer 0
  double source = 0;      ///< mean layer that they read
  double distance = 0;    ///< mean number of layers between
  double early = 0;       ///< share of the owned heads after layer 0 that layers of the first half own
  double spread = 0;      ///< standard deviation of the heads that later layers own
  double distinct = 0;    ///< share of the routed heads that are a layer's first reader of their head
  double different = 0;   ///< mean number of layers that a layer with routed heads reads
};
struct Feature {
  const char* name;
  double Features::*value;
};
constexpr Feature features[] = {{"routed heads that read layer 0, share", &Features::from_first},
                                {"layer that a routed head reads, mean", &Features::source},
                                {"layers between reader and source, mean", &Features::distance},
                                {"layers that a layer's routed heads read, mean number", &Features::different},
                                {"routed heads that read another head than their layer's others, share", &Features::distinct},
                                {"heads owned after layer 0 that are in the first half, share", &Features::early},
                                {"heads owned by a layer after layer 0, standard deviation", &Features::spread}};

HeadTable table_of(const Json& run) { return parse_table(run.at("settings").at("config").at("attention").at("table")); }

Features features_of(const HeadTable& table) {
  Features f;
  double routed = 0, owned = 0, reading = 0;
  Numbers own;
  for (std::size_t l = 1; l < table.values.size(); ++l) {
    std::map<HeadName, int> heads;
    std::map<std::size_t, int> layers;
    for (const HeadName& name : table.values[l]) {
      if (name.layer == l) continue;
      ++heads[name], ++layers[name.layer], ++routed;
      f.from_first += name.layer == 0, f.source += static_cast<double>(name.layer);
      f.distance += static_cast<double>(l - name.layer);
    }
    f.distinct += static_cast<double>(heads.size()), f.different += static_cast<double>(layers.size());
    reading += !layers.empty();
    own.push_back(static_cast<double>(table.values[l].size()));
    for (const auto& [name, count] : heads) own.back() -= count;
    owned += own.back();
    if (l < table.values.size() / 2) f.early += own.back();
  }
  for (double* sum : {&f.from_first, &f.source, &f.distance, &f.distinct}) *sum /= routed;
  f.different /= reading, f.early /= owned, f.spread = deviation(own);
  return f;
}

/// The searched tables of a group.
struct Group {
  std::string name;
  std::vector<const Json*> runs = {};
  std::vector<Features> features = {};
  Numbers losses = {};

  bool drawn(std::size_t i) const { return runs[i]->at("made") == "drawn"; }
  std::vector<std::size_t> by_loss() const {
    std::vector<std::size_t> order(runs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return losses[a] < losses[b]; });
    return order;
  }
  std::string owned() const { return whole(*runs[0], "owned_values"); }
};
/// A table's number in its search, with which its label ends: "half/17" has 17.
int number_of(const Json& run) {
  const auto label = run.at("label").get<std::string>();
  const std::string digits = label.substr(label.rfind('/') + 1);
  require(!digits.empty() && digits.size() < 9 && digits.find_first_not_of("0123456789") == digits.npos,
          "a searched table's label must end with \"/\" and its number, not be \"", label, '"');
  return std::stoi(digits);
}
/// The searches in the order of the file, each with its tables by number: runs end, and stand in the file, in another order.
std::vector<Group> groups_of(const Json& results) {
  std::vector<Group> groups;
  for (const Json& run : results.at("runs")) {
    if (!run.contains("made")) continue;
    const std::string name = group_of(run.at("label").get<std::string>());
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.name == name; });
    if (group == groups.end()) group = groups.insert(groups.end(), {name});
    group->runs.push_back(&run);
  }
  for (Group& g : groups) {
    std::stable_sort(g.runs.begin(), g.runs.end(), [](const Json* a, const Json* b) { return number_of(*a) < number_of(*b); });
    for (const Json* run : g.runs) {
      g.losses.push_back(run->at("final_nats_per_token").get<double>());
      g.features.push_back(features_of(table_of(*run)));
    }
  }
  return groups;
}

/// Ranks, of equal values their mean.
Numbers ranks(const Numbers& x) {
  Numbers r(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    for (const double y : x) r[i] += y < x[i] ? 1 : y == x[i] ? 0.5 : 0;
  return r;
}
/// Spearman's rank correlation; not a number where one of them is constant.
double rank_correlation(const Numbers& x, const Numbers& y) {
  const Numbers a = ranks(x), b = ranks(y);
  double ab = 0;
  for (std::size_t i = 0; i < a.size(); ++i) ab += (a[i] - mean(a)) * (b[i] - mean(b));
  return ab / (deviation(a) * deviation(b) * static_cast<double>(a.size() - 1));
}
/// "-0.62 [-0.72, -0.49], n = 100": with the interval of 95 % by Fisher's transform.
std::string correlation_text(const Numbers& x, const Numbers& y) {
  if (x.size() < 5) return "";
  const double r = rank_correlation(x, y), z = std::atanh(r), half = 1.96 * 1.03 / std::sqrt(static_cast<double>(x.size()) - 3);
  if (!std::isfinite(r)) return "constant";
  return text_of("%+.2f", r) + text_of(" [%+.2f", std::tanh(z - half)) + text_of(", %+.2f]", std::tanh(z + half)) +
         ", n = " + std::to_string(x.size());
}

Json runs_of(const Json& results, const std::string& group) {
  Json part = {{"experiment", results.at("experiment")},
               {"text", results.at("text")},
               {"short", results.value("short", false)},
               {"runs", Json::array()}};
  for (const Json& run : results.at("runs"))
    if (group_of(run.at("label").get<std::string>()) == group) part["runs"].push_back(run);
  return part;
}
/// The sizes at which tables were trained again.
std::vector<std::string> sizes_of(const Json& results, const std::vector<Group>& groups) {
  std::vector<std::string> sizes;
  for (const Json& run : results.at("runs")) {
    const std::string group = group_of(run.at("label").get<std::string>());
    const bool search =
        group == search_size || std::any_of(groups.begin(), groups.end(), [&](const Group& g) { return g.name == group; });
    if (!search && std::find(sizes.begin(), sizes.end(), group) == sizes.end()) sizes.push_back(group);
  }
  return sizes;
}

void print_groups(const Json& results, const std::vector<Group>& groups) {
  const Labelled *skipv1 = nullptr, *mha = nullptr;
  const std::vector<Labelled> references = by_label(runs_of(results, search_size));
  for (const Labelled& l : references)
    if (model_of(l.label) == "skipv1")
      skipv1 = &l;
    else if (model_of(l.label) == "mha")
      mha = &l;
  print_head({"search", "owned value heads", "tables", "drawn: mean loss", "drawn: below mha's", "all: mean loss", "all: lowest",
              "tables below skipv1's"});
  for (const Group& g : groups) {
    Numbers drawn;
    std::size_t below = 0, below_mha = 0;
    for (std::size_t i = 0; i < g.runs.size(); ++i) {
      if (g.drawn(i)) drawn.push_back(g.losses[i]);
      below_mha += mha && g.drawn(i) && g.losses[i] < mha->first().at("final_nats_per_token").get<double>();
      below += skipv1 && g.losses[i] < skipv1->first().at("final_nats_per_token").get<double>();
    }
    print_row({g.name, g.owned(), std::to_string(g.runs.size()), drawn.empty() ? "" : spread_text(drawn),
               drawn.empty() ? "" : std::to_string(below_mha), spread_text(g.losses),
               text_of("%.4f", *std::min_element(g.losses.begin(), g.losses.end())), std::to_string(below)});
  }
  std::printf("\nBeside them, at the same size:\n\n");
  print_epochs(runs_of(results, search_size), "skipv1");
}

void print_best(const std::vector<Group>& groups) {
  std::printf(
      "\nThe best five of each search, and its worst. A row of the table is a layer; what it owns itself is left out.\n\n");
  print_head({"table", "loss", "made", "heads owned by layer", "read from layer 0", "what layers 1 to the last read of others"});
  for (const Group& g : groups) {
    std::vector<std::size_t> order = g.by_loss();
    if (order.size() > 6) order.erase(order.begin() + 5, order.end() - 1);
    for (const std::size_t i : order) {
      const HeadTable table = table_of(*g.runs[i]);
      std::string own, reads;
      for (std::size_t l = 0; l < table.values.size(); ++l) {
        HeadTable::Row routed;
        for (const HeadName& name : table.values[l])
          if (name.layer != l) routed.push_back(name);
        own += (l ? " " : "") + std::to_string(table.values[l].size() - routed.size());
        if (l) reads += (l > 1 ? "; " : "") + (routed.empty() ? std::string("-") : row_text(routed));
      }
      print_row({g.runs[i]->at("label").get<std::string>(), text_of("%.4f", g.losses[i]),
                 g.runs[i]->at("made").get<std::string>(), own, text_of("%.0f %%", 100 * g.features[i].from_first), reads});
    }
  }
}

void print_regularities(const std::vector<Group>& groups) {
  std::printf(
      "\nWhat the loss goes with: Spearman's rank correlation, negative where more of it goes with a lower loss; interval of 95 "
      "%%. "
      "In brackets the mean of the best tenth and of the worst half.\n\n");
  std::vector<std::string> head = {""};
  for (const Group& g : groups) head.insert(head.end(), {g.name + ", drawn", g.name + ", all"});
  print_head(head);
  for (const Feature& feature : features) {
    std::vector<std::string> row = {feature.name};
    for (const Group& g : groups) {
      Numbers drawn, drawn_losses, all;
      for (std::size_t i = 0; i < g.runs.size(); ++i) {
        all.push_back(g.features[i].*feature.value);
        if (g.drawn(i)) drawn.push_back(all.back()), drawn_losses.push_back(g.losses[i]);
      }
      Numbers best, worst;
      const std::vector<std::size_t> order = g.by_loss();
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (i < std::max<std::size_t>(1, order.size() / 10)) best.push_back(all[order[i]]);
        if (i >= order.size() / 2) worst.push_back(all[order[i]]);
      }
      row.push_back(correlation_text(drawn, drawn_losses));
      row.push_back(correlation_text(all, g.losses) + text_of(" (%.2f", mean(best)) + text_of(", %.2f)", mean(worst)));
    }
    print_row(row);
  }
}

/// `size` where the runs have it; else what they have.
std::string words_of_size(const std::vector<Labelled>& all, const std::string& size) {
  std::vector<const Labelled*> runs;
  for (const Labelled& l : all) runs.push_back(&l);
  return all[0].is_short ? words_of(size, runs) : size;
}

/// The tables trained again, and whether their order is that of the search.
void print_again(const Json& results, const std::vector<Group>& groups) {
  for (const std::string& size : sizes_of(results, groups)) {
    const Json part = runs_of(results, size);
    std::printf("\nTrained again, %s:\n\n", words_of_size(by_label(part), size).c_str());
    print_epochs(part, "skipv1");
    Numbers before, after;
    for (const Labelled& l : by_label(part))
      for (const Group& g : groups)
        for (std::size_t i = 0; i < g.runs.size(); ++i) {
          std::string label = g.runs[i]->at("label").get<std::string>();
          std::replace(label.begin(), label.end(), '/', '-');
          if (label == model_of(l.label)) before.push_back(g.losses[i]), after.push_back(mean(l.each("final_nats_per_token")));
        }
    if (before.size() >= 5)
      std::printf("\nRank correlation of a table's loss in the search with its mean loss here: %s\n",
                  correlation_text(before, after).c_str());
  }
}

std::filesystem::path beside(const std::filesystem::path& file, const std::string& suffix) {
  return file.parent_path() / (file.stem().string() + suffix + file.extension().string());
}

/// What the line of a known variant is: its loss with the tables' seed, and the range of all its seeds.
std::string reference_label(const Labelled& l) {
  std::string label = title_of(model_of(l.label)) + ", seed " + whole(l.first(), "seed");
  if (l.runs.size() == 1) return label;
  const Numbers all = l.each("final_nats_per_token");
  const auto [low, high] = std::minmax_element(all.begin(), all.end());
  return label + text_of(" (all seeds: %.2f", *low) + text_of(" to %.2f)", *high);
}

/// What the figures of single tables have in x: the table's number, or what its routed heads read.
enum class Scatter { order, source };

void draw_scatter(const Json& results, const std::vector<Group>& groups, Scatter x, const std::filesystem::path& file) {
  const bool by_order = x == Scatter::order;
  plot::Chart chart{by_order ? "Loss of the tables in the order of the search, seed 1 each"
                             : "Loss over what the routed heads read, seed 1 each",
                    by_order ? "number of the table in its search" : "share of the routed heads that read layer 0",
                    "held-out loss, nats per token",
                    {}};
  for (const Group& g : groups) {
    plot::Series series{g.name + ", " + g.owned() + " value heads", {}, {}};
    series.joined = false, series.points = plot::Series::Points::shown;
    for (std::size_t i = 0; i < g.runs.size(); ++i) {
      series.x.push_back(by_order ? number_of(*g.runs[i]) : g.features[i].from_first);
      series.y.push_back(g.losses[i]);
    }
    chart.series.push_back(series);
  }
  for (const Labelled& l : by_label(runs_of(results, search_size)))
    if (model_of(l.label) == "skipv1" || model_of(l.label) == "mha")
      chart.references.push_back({l.first().at("final_nats_per_token").get<double>(), reference_label(l)});
  save(file, chart, results.value("short", false));
}

/// What figures call a run: known variants by their titles.
std::string name_of(const Labelled& l) {
  const bool table = l.first().at("settings").at("config").at("attention").at("variant") == table_variant().name;
  return table ? model_of(l.label) : title_of(model_of(l.label));
}

/// Each model's difference from SkipV1, seed by seed, in the order of the means.
void draw_again(const Json& results, const std::string& size, const std::filesystem::path& file) {
  const std::vector<Labelled> all = by_label(runs_of(results, size));
  std::vector<std::pair<Numbers, std::string>> rows;
  for (const Labelled& l : all)
    if (const Labelled* base = base_of(all, l.label, "skipv1"))
      if (Numbers values = gaps(l, *base, "final_nats_per_token"); !values.empty()) rows.emplace_back(values, name_of(l));
  if (rows.empty()) return;
  std::sort(rows.begin(), rows.end(), [](const auto& x, const auto& y) { return mean(x.first) < mean(y.first); });
  plot::RowChart chart{"Trained again, " + words_of_size(all, size),
                       "held-out loss - SkipV1's, nats per token (mean; small dots: seeds)",
                       {},
                       {{"", {}}}};
  chart.kind = plot::RowChart::Kind::dots, chart.references = {0};
  for (const auto& [values, name] : rows) {
    chart.rows.push_back(name);
    chart.values[0].values.push_back(mean(values));
    chart.values[0].points.push_back(values.size() > 1 ? values : Numbers{});
    chart.values[0].texts.push_back(text_of("%+.3f", mean(values)));
  }
  save(file, chart, all[0].is_short);
}

}  // namespace

void print_search(const Json& results) {
  const std::vector<Group> groups = groups_of(results);
  require(!groups.empty(), "there are no tables yet");
  print_groups(results, groups);
  print_best(groups);
  print_regularities(groups);
  print_again(results, groups);
}

void draw_search(const Json& results, const std::filesystem::path& file) {
  const std::vector<Group> groups = groups_of(results);
  require(!groups.empty(), "there are no tables yet");
  draw_scatter(results, groups, Scatter::order, beside(file, "-order"));
  draw_scatter(results, groups, Scatter::source, beside(file, "-source"));
  for (const std::string& size : sizes_of(results, groups)) draw_again(results, size, beside(file, "-" + size));
}

}  // namespace skipv1
