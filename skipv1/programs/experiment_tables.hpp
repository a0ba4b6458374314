// The results of an experiment by label, and the rows of its tables.
#pragma once

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "skipv1/core/number.hpp"
#include "skipv1/plot/chart.hpp"
#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/spread.hpp"

namespace skipv1::report {

using Numbers = std::vector<double>;

/// Draws a chart of any kind into `file`, and says so; its title says if it is of --short.
template <class Chart>
void save(const std::filesystem::path& file, Chart chart, bool is_short) {
  if (is_short) chart.title += " (--short)";
  const plot::Drawing drawing = describe(chart);
  plot::save_figure(file, drawing);
  std::printf("%s\n", plot::figure_text(file, drawing).c_str());
}

/// The runs of one label.
struct Labelled {
  std::string label;
  std::vector<Json> runs;  ///< by seed
  bool is_short = false;   ///< of --short

  const Json& first() const { return runs.front(); }
  /// A number of each seed's run.
  template <class F>
  Numbers each(const F& f) const {
    Numbers values;
    for (const Json& run : runs) values.push_back(f(run));
    return values;
  }
  Numbers each(const char* key) const {
    return each([key](const Json& run) { return run.at(key).get<double>(); });
  }
  const Json* of_seed(const Json& seed) const {
    for (const Json& run : runs)
      if (run.at("seed") == seed) return &run;
    return nullptr;
  }
};

/// The runs by label, in the order in which labels first came.
inline std::vector<Labelled> by_label(const Json& results) {
  std::vector<Labelled> all;
  const bool of_short = results.value("short", false);  // `chosen_results` says so
  for (const Json& run : results.at("runs")) {
    const auto label = run.at("label").get<std::string>();
    auto found = std::find_if(all.begin(), all.end(), [&](const Labelled& l) { return l.label == label; });
    if (found == all.end()) found = all.insert(all.end(), {label, {}, of_short});
    found->runs.push_back(run);
  }
  for (Labelled& l : all)
    std::stable_sort(l.runs.begin(), l.runs.end(), [](const Json& a, const Json& b) { return a.at("seed") < b.at("seed"); });
  return all;
}
inline const Labelled* find(const std::vector<Labelled>& all, const std::string& label) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Labelled& l) { return l.label == label; });
  return found == all.end() ? nullptr : &*found;
}
/// The run of `model` in a label's group, of the same peak rate if labels name it; null if it is that itself, or if there is
/// none.
inline const Labelled* base_of(const std::vector<Labelled>& all, const std::string& label, const std::string& model = "mha") {
  const std::string group = group_of(label),
                    base = (group.empty() ? "" : group + "/") + model + label.substr(family_of(label).size());
  return base == label ? nullptr : find(all, base);
}

/// The differences of `number(run)`, seed by seed, where both have the seed.
template <class F>
Numbers gaps(const Labelled& of, const Labelled& base, const F& number) {
  Numbers values;
  for (const Json& run : of.runs)
    if (const Json* other = base.of_seed(run.at("seed"))) values.push_back(number(run) - number(*other));
  return values;
}
inline Numbers gaps(const Labelled& of, const Labelled& base, const char* key) {
  return gaps(of, base, [key](const Json& run) { return run.at(key).get<double>(); });
}

/// The mean training loss of a run's last twentieth of steps.
inline double train_loss(const Json& run) { return run.at("train_nats_per_token").back().get<double>(); }

inline Numbers train_gaps(const Labelled& of, const Labelled& base) { return gaps(of, base, train_loss); }

/// How often a run has read its text, in the mean; where the result does not say so by the held-out text's bytes per token.
inline double epochs(const Json& run, const Json& text) {
  if (run.contains("epochs")) return run.at("epochs").get<double>();
  const double tokens_per_byte = run.at("final_tokens").get<double>() / run.at("final_bytes").get<double>();
  return run.at("tokens").back().get<double>() / (text.at("bytes").get<double>() * tokens_per_byte);
}

/// Of the labels of a family the one of the lowest held-out loss with the first seed; null if the family is not there.
inline const Labelled* best_of(const std::vector<Labelled>& all, const std::string& family) {
  const Labelled* best = nullptr;
  const auto loss = [](const Labelled& l) { return l.first().at("final_nats_per_token").get<double>(); };
  for (const Labelled& l : all)
    if (family_of(l.label) == family && (!best || loss(l) < loss(*best))) best = &l;
  return best;
}

/// Families and their labels, in the order of the results.
inline std::vector<std::pair<std::string, std::size_t>> families(const std::vector<Labelled>& all) {
  std::vector<std::pair<std::string, std::size_t>> found;
  for (const Labelled& l : all) {
    const std::string family = family_of(l.label);
    const auto known = std::find_if(found.begin(), found.end(), [&](const auto& f) { return f.first == family; });
    if (known == found.end()) {
      found.emplace_back(family, 1);
    } else {
      ++known->second;
    }
  }
  return found;
}

/// A mean with the smallest and the largest.
inline void add_range(plot::Series& series, double x, const Numbers& values) {
  series.x.push_back(x), series.y.push_back(mean(values));
  series.low.push_back(*std::min_element(values.begin(), values.end()));
  series.high.push_back(*std::max_element(values.begin(), values.end()));
}
/// A mean with its 95 % interval; of one or two numbers the mean and the numbers, since Student's interval of two is too wide.
inline void add_interval(plot::Series& series, double x, const Numbers& values) {
  if (values.size() <= 2) return add_range(series, x, values);
  const double half = half_interval(values);
  series.x.push_back(x), series.y.push_back(mean(values));
  series.low.push_back(mean(values) - half), series.high.push_back(mean(values) + half);
}

/// "rates-42M.png" of "rates.png" and "42M".
inline std::filesystem::path with_suffix(const std::filesystem::path& file, const std::string& suffix) {
  const std::string stem = file.stem().string() + (suffix.empty() ? "" : "-" + suffix);
  return file.parent_path() / (stem + file.extension().string());
}

inline std::string text_of(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}
/// "34.5M", "97.4k", "512".
inline std::string count_text(double count) {
  return count >= 1e6 ? text_of("%.3gM", count / 1e6) : count >= 1e4 ? text_of("%.3gk", count / 1e3) : text_of("%.0f", count);
}
/// `named`, a size as groups' names have it ("34M"), where it is about what the runs have; else what they have, as in --short.
inline std::string size_text(const std::string& named, const Numbers& counts) {
  double millions = 0;
  read_number(named.data(), named.data() + named.size(), millions);
  const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
  if (*low >= 0.7e6 * millions && *high <= 1.3e6 * millions) return named;
  return count_text(*low) + (count_text(*low) == count_text(*high) ? "" : " to " + count_text(*high));
}
/// What a group's runs are: "34M parameters" of "34M", "42M parameters, 26M tokens" of "42M-26M", "4 layers, 26M tokens" of
/// "l4-26M"; the sizes are the runs' own.
inline std::string words_of(const std::string& group, const std::vector<const Labelled*>& runs) {
  const std::size_t dash = std::min(group.find('-'), group.size());
  const std::string size = group.substr(0, dash), tokens = group.substr(std::min(dash + 1, group.size()));
  Numbers parameters, read;
  for (const Labelled* l : runs) {
    parameters.push_back(l->first().at("parameters").get<double>());
    if (l->first().contains("tokens")) read.push_back(l->first().at("tokens").back().get<double>());
  }
  std::string words = size;
  if (size.starts_with('l'))
    words = size.substr(1) + " layers";
  else if (size.ends_with('M') || dash < group.size())
    words = size_text(size, parameters) + " parameters";
  return words + (tokens.empty() ? "" : ", " + (tokens.ends_with('M') ? size_text(tokens, read) : tokens) + " tokens");
}

inline std::string spread_text(const Numbers& values) {
  return text_of("%.4f", mean(values)) + (values.size() > 1 ? text_of(" ± %.4f", deviation(values)) : "");
}
inline std::string gap_text(const Numbers& values) {
  if (values.empty()) return "";
  std::string text = text_of("%+.4f", mean(values));
  if (values.size() == 1) return text + " (one seed)";
  for (std::size_t i = 0; i < values.size(); ++i) text += text_of(i ? ", %+.4f" : " (%+.4f", values[i]);
  return text + "): " + sign_verdict(values);
}
/// "-0.1099 [-0.1166, -0.1032], n = 5": the mean and its interval of 95 %. "-0.0854, -0.0722, n = 2": of two seeds both, as
/// Student's interval, 12.7 standard errors to either side, would hide that they agree.
inline std::string interval_text(const Numbers& values, int digits = 4) {
  if (values.empty()) return "";
  const auto number = [digits](double x) {
    char text[48];
    std::snprintf(text, sizeof text, "%+.*f", digits, x);
    return std::string(text);
  };
  const std::string count = ", n = " + std::to_string(values.size());
  if (values.size() == 1) return number(values[0]) + count;
  if (values.size() == 2) return number(values[0]) + ", " + number(values[1]) + count;
  const double centre = mean(values), half = half_interval(values);
  return number(centre) + " [" + number(centre - half) + ", " + number(centre + half) + "]" + count;
}
inline void print_row(const std::vector<std::string>& cells) {
  for (const std::string& cell : cells) std::printf("| %s ", cell.c_str());
  std::printf("|\n");
}
inline void print_head(const std::vector<std::string>& cells) {
  print_row(cells);
  for (std::size_t i = 0; i < cells.size(); ++i) std::printf("|---");
  std::printf("|\n");
}
inline std::string whole(const Json& run, const char* key) { return std::to_string(run.at(key).get<std::size_t>()); }

/// "6400", or "1600 to 6400" where labels differ.
inline std::string range_text(const std::vector<Labelled>& all, const char* key) {
  std::size_t low = all[0].first().at(key).get<std::size_t>(), high = low;
  for (const Labelled& l : all)
    low = std::min(low, l.first().at(key).get<std::size_t>()), high = std::max(high, l.first().at(key).get<std::size_t>());
  return std::to_string(low) + (low == high ? "" : " to " + std::to_string(high));
}
/// The devices that runs were made on, each once, in the order of the results: "NVIDIA H200, cpu".
inline std::string devices_text(const std::vector<Labelled>& all) {
  std::vector<std::string> devices;
  for (const Labelled& l : all)
    for (const Json& run : l.runs)
      if (const auto device = run.at("device").get<std::string>();
          std::find(devices.begin(), devices.end(), device) == devices.end())
        devices.push_back(device);
  std::string text;
  for (const std::string& device : devices) text += (text.empty() ? "" : ", ") + device;
  return text;
}

}  // namespace skipv1::report
