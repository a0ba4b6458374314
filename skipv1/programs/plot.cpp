// skipv1-plot: logs of runs in one figure, results as points, a routing table as a map.
#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "skipv1/core/number.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/plot/later_range.hpp"
#include "skipv1/plot/rows.hpp"
#include "skipv1/programs/plot_routing.hpp"
#include "skipv1/training/log.hpp"

using namespace skipv1;

namespace {

struct Options {
  std::vector<std::string> logs, labels, references, y{"loss"};
  std::string out, x = "tokens", title, rows;
  std::size_t smooth = 1;
  bool log_x = false, log_y = false;
  std::vector<double> x_range, y_range, from;  ///< from: a share of the x axis, or nothing
  bool routing = false;
  RoutingMap map;
};

/// Whether a file is one run's numbers, result.json: a point.
bool is_result(const std::string& log) { return std::filesystem::path(log).extension() == ".json"; }

/// A run's result.json.
Json read_result(const std::string& path) {
  const std::string text = detail::log_text(path);
  return at_place(path, [&] {
    const Json result = parse_json(text);
    require(result.is_object(), "expected a run's result, an object, found ", detail::brief(result));
    return result;
  });
}
/// Its numbers as columns of one row.
LogColumns numbers_of(const std::string& path) {
  return at_place(path, [result = read_result(path)] {
    LogColumns columns;
    for (const auto& item : result.items())
      if (item.value().is_number()) columns[item.key()] = {item.value().get<double>()};
    require(!columns.empty(), "expected a run's result, found no number");
    return columns;
  });
}

/// What an axis says of a column.
std::string words_of(const std::string& column) {
  static const std::map<std::string, std::string> words = {{"tokens", "tokens of training"},
                                                           {"step", "steps of training"},
                                                           {"seconds", "seconds"},
                                                           {"loss", "training loss, nats per token"},
                                                           {"valid_nats_per_token", "held-out loss, nats per token"},
                                                           {"valid_bits_per_byte", "held-out loss, bits per byte"},
                                                           {"gradient_norm", "norm of the gradient"},
                                                           {"learning_rate", "learning rate"},
                                                           {"tokens_per_second", "tokens per second"},
                                                           {"cache_bytes_per_token", "cache, bytes per token"},
                                                           {"final_nats_per_token", "loss of the held-out text, nats per token"},
                                                           {"final_bits_per_byte", "loss of the held-out text, bits per byte"}};
  const auto found = words.find(column);
  return found == words.end() ? column : found->second;
}

/// A folder gives its name, a file its own and, where that is "log", "result" or "config", its folder's.
std::string label_of(const Options& o, std::size_t i) {
  if (i < o.labels.size()) return o.labels[i];
  const std::filesystem::path path = std::filesystem::path(o.logs[i]).lexically_normal();
  const std::filesystem::path named = path.has_filename() ? path : path.parent_path();
  const bool in_run = (named.stem() == "log" || named.stem() == "result" || named.stem() == "config") && named.has_parent_path();
  return in_run ? named.parent_path().filename().string() : named.stem().string();
}

/// What tells results of one variant apart, behind their names: ", skip_ratio 0.25"; of a routing table nothing.
std::vector<std::string> differences_of(const Options& o) {
  std::vector<Json> attention;
  for (const std::string& log : o.logs) {
    const Json result = is_result(log) ? read_result(log) : Json();
    const auto found = result.find("attention");
    attention.push_back(found != result.end() && found->is_object() ? *found : Json::object());
  }
  std::vector<std::string> texts;
  for (const Json& own : attention) {
    std::string& text = texts.emplace_back();
    for (const auto& item : own.items()) {
      const auto differs = [&](const Json& other) {
        return other.contains("variant") && other["variant"] == own.value("variant", Json()) &&
               other.value(item.key(), Json()) != item.value();
      };
      if (!item.value().is_primitive() || std::none_of(attention.begin(), attention.end(), differs)) continue;
      text += ", " + item.key() + ' ' + (item.value().is_string() ? item.value().get<std::string>() : json_text(item.value()));
    }
  }
  return texts;
}

/// The mean of each value and up to `window` - 1 before it. Sums up to and from each multiple of `window`: time does not grow
/// with it, and nothing is subtracted, which would leave the rounding of a large value behind.
std::vector<double> running_mean(const std::vector<double>& values, std::size_t window) {
  std::vector<double> before = values, after = values, mean;  // sums since the last multiple of `window`, and until the next
  for (std::size_t i = 1; i < values.size(); ++i)
    if (i % window != 0) before[i] += before[i - 1];
  for (std::size_t i = values.size(); i-- > 1;)
    if (i % window != 0) after[i - 1] += after[i];
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t count = std::min(window, i + 1), first = i + 1 - count;
    const double sum = first % window == 0 ? before[i] : after[first] + before[i];
    mean.push_back(sum / static_cast<double>(count));
  }
  return mean;
}

/// Where the column `y` has numbers; each becomes the mean of the `smooth` last ones.
plot::Series series_of(const Options& o, std::size_t i, const LogColumns& columns, const std::string& y) {
  const auto column = [&](const std::string& name) -> const std::vector<double>& {
    const auto found = columns.find(name);
    std::string known;
    for (const auto& [other, values] : columns) known += (known.empty() ? "" : ", ") + other;
    require(found != columns.end(), o.logs[i], ": no column of numbers \"", name, "\"; there are ", known);
    return found->second;
  };
  plot::Series series{o.y.size() > 1 ? label_of(o, i) + ", " + words_of(y) : label_of(o, i), {}, {}};
  const std::vector<double>&xs = column(o.x), &ys = column(y);
  for (std::size_t row = 0; row < ys.size(); ++row) {
    if (!std::isfinite(xs[row]) || !std::isfinite(ys[row])) continue;
    series.x.push_back(xs[row]);
    series.y.push_back(ys[row]);
  }
  series.y = running_mean(series.y, o.smooth);
  if (is_result(o.logs[i])) series.labels = {series.name}, series.joined = false;
  require(!series.x.empty(), o.logs[i], ": column \"", y, "\" has no numbers");
  for (const auto& [name, values, log, option] :
       {std::tuple(o.x, &series.x, o.log_x, "--log-x"), {y, &series.y, o.log_y, "--log-y"}})
    require(!log || std::any_of(values->begin(), values->end(), [](double x) { return x > 0; }), o.logs[i], ": column \"", name,
            "\" has no number above 0, and ", option, " shows no others");
  return series;
}

/// A horizontal line from "3.5" or "3.5=label".
plot::Reference reference_of(const std::string& text) {
  plot::Reference reference;
  const auto [end, error] = read_number(text.data(), text.data() + text.size(), reference.y);
  const std::size_t length = static_cast<std::size_t>(end - text.data());
  require(error == std::errc() && std::isfinite(reference.y) && (length == text.size() || *end == '='), "reference \"", text,
          "\": must be NUMBER or NUMBER=LABEL");
  if (length < text.size()) reference.label = text.substr(length + 1);
  return reference;
}

plot::Range range_of(const std::vector<double>& asked, const char* option, bool log) {
  plot::Range range;
  if (asked.empty()) return range;
  require(std::isfinite(asked[0]) && std::isfinite(asked[1]) && asked[0] < asked[1], option, " is ", asked[0], " to ", asked[1],
          ": must rise");
  require(!log || asked[0] > 0, option, " is ", asked[0], " to ", asked[1], ": a logarithmic axis has positive values only");
  range.add(asked[0]), range.add(asked[1]);
  return range;
}

/// Throws unless some of the lines may pass where they are asked for.
void require_points(const plot::Chart& chart) {
  const auto meets = [](const plot::Range& range, double a, double b) {
    return range.empty() || (std::max(a, b) >= range.low && std::min(a, b) <= range.high);
  };
  plot::Range x, y;
  for (const plot::Series& s : chart.series)
    for (std::size_t i = 0, before = 0; i < s.x.size(); before = i++) {
      if (meets(chart.x_range, s.x[before], s.x[i]) && meets(chart.y_range, s.y[before], s.y[i])) return;
      x.add(s.x[i]), y.add(s.y[i]);
    }
  const auto text = [](const plot::Range& range) {
    std::ostringstream s;
    s << range.low << " to " << range.high;
    return s.str();
  };
  fail("nothing lies in ", chart.x_range.empty() ? "" : "--x-range " + text(chart.x_range),
       chart.x_range.empty() || chart.y_range.empty() ? "" : " and ",
       chart.y_range.empty() ? "" : "--y-range " + text(chart.y_range), ": x goes from ", text(x), ", y from ", text(y));
}

/// A bar for each line of a table of which the column `rows` has names, and for each column `y`; where there is nothing, none.
plot::RowChart rows_of(const Options& o) {
  require(o.logs.size() == 1, "--rows: ", o.logs.size(), " files: must be one");
  plot::RowChart chart{o.title, o.labels.empty() ? "" : o.labels[0], {}, {}};
  const std::string text = detail::log_text(o.logs[0]);
  at_place(o.logs[0], [&] {
    const std::vector<std::vector<std::string_view>> lines = detail::csv_lines(text);
    const std::vector<std::string_view>& header = lines[0];
    require(lines.size() > 1, "has no line after the names of its columns");
    const auto index = [&](const std::string& name) {
      const auto found = std::find(header.begin(), header.end(), name);
      std::string known;
      for (const std::string_view other : header) (known += known.empty() ? "" : ", ") += other;
      require(found != header.end(), "no column \"", name, "\"; there are ", known);
      return static_cast<std::size_t>(found - header.begin());
    };
    const std::size_t names = index(o.rows);
    for (std::size_t n = 1; n < lines.size(); ++n) chart.rows.emplace_back(lines[n][names]);
    for (const std::string& y : o.y) {
      const std::size_t column = index(y);
      std::vector<double>& values = chart.values.emplace_back(plot::RowValues{y, {}}).values;
      for (std::size_t n = 1; n < lines.size(); ++n)
        at_place("line " + std::to_string(n + 1) + ", " + y, [&] {
          values.push_back(detail::csv_number(lines[n][column]));
          require(!std::isinf(values.back()), "\"", lines[n][column], "\" is not finite");
        });
    }
  });
  for (const std::string& line : o.references) chart.references.push_back(reference_of(line).y);
  return chart;
}

/// Leaves the y axis to what comes after the beginning, and says so in its label.
void set_later_range(const Options& o, plot::Chart& chart) {
  const double from = !o.from.empty() ? o.from[0] : o.log_x || o.log_y ? 0 : 0.1;
  require(o.from.empty() || plot::has_curve(chart), "--from: of curves; the results of runs are points, which have no beginning");
  if (from == 0 || !chart.y_range.empty()) return;
  const plot::Range range = plot::later_range(chart, from, o.from.empty() ? plot::ShortFall::keep : plot::ShortFall::leave_out);
  if (range.empty()) return;
  chart.y_range = range;
  std::ostringstream percent;
  percent << 100 * from;
  chart.y_label += " (axis: after the first " + percent.str() + " %)";
}

/// Writes the figure, then says so.
void save(const Options& o, const plot::Drawing& drawing, std::size_t count, const char* what) {
  plot::save_figure(o.out, drawing);
  std::printf("%s: %zu %s%s\n", plot::figure_text(o.out, drawing).c_str(), count, what, count == 1 ? "" : "s");
}

/// A routing table as a map, and as text.
void draw_routing(const Options& o) {
  require(o.logs.size() == 1, "--routing: ", o.logs.size(), " tables: must be one");
  RoutingMap map = o.map;
  map.variant = o.logs[0];
  const Config c = config_of(map);
  const Routing table = make_routing(c);
  std::string title = o.title;
  if (title.empty() && map.variant != c.attention.variant) title = label_of(o, 0);
  if (o.title.empty() && c.attention.table.empty()) title += (title.empty() ? "" : ": ") + title_of(c.attention.variant);
  save(o, plot::routing_picture(table, title, c.mixing()), table.layers, "layer");
  std::printf("%s", plot::to_text(table).c_str());
}

void run(Options o) {
  plot::require_figure_name(o.out);
  require(o.title.size() <= 300, "--title: has ", o.title.size(), " bytes: must be at most 300");
  require_writable(o.out);
  if (o.routing) return draw_routing(o);
  if (!o.rows.empty()) {
    const plot::RowChart chart = rows_of(o);
    return save(o, plot::describe(chart), chart.rows.size(), "row");
  }
  require(o.labels.empty() || o.labels.size() == o.logs.size(), "--labels: ", o.labels.size(), " for ", o.logs.size(),
          o.logs.size() == 1 ? " log" : " logs", ": must be as many");
  if (o.labels.empty()) {
    std::vector<std::string> labels = differences_of(o);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = label_of(o, i) + labels[i];
    o.labels = labels;
  }
  plot::Chart chart{o.title, words_of(o.x), words_of(o.y[0]), {}};
  chart.log_x = o.log_x, chart.log_y = o.log_y;
  chart.x_range = range_of(o.x_range, "--x-range", o.log_x);
  chart.y_range = range_of(o.y_range, "--y-range", o.log_y);
  for (std::size_t k = 1; k < o.y.size(); ++k) chart.y_label += "; " + words_of(o.y[k]);
  for (std::size_t i = 0; i < o.logs.size(); ++i) {
    const LogColumns log = is_result(o.logs[i]) ? numbers_of(o.logs[i]) : read_log(o.logs[i]);
    for (const std::string& y : o.y) chart.series.push_back(series_of(o, i, log, y));
  }
  for (const std::string& text : o.references) chart.references.push_back(reference_of(text));
  require_points(chart);
  set_later_range(o, chart);
  chart.legend = !std::all_of(o.logs.begin(), o.logs.end(), is_result);  // points have their names beside them
  std::string logs;
  for (const std::string& log : o.logs) logs += (logs.empty() ? "" : ", ") + log;
  save(o, at_place(logs, [&] { return plot::describe(chart); }), chart.series.size(), chart.legend ? "line" : "point");
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Draws columns of logs into one figure, numbers of results as points, or which head reads what.\n"
      "Example: skipv1-plot run-mha run-skipv1 --y valid_nats_per_token --out valid.png\n"
      "Example: skipv1-plot run-*/result.json --x cache_bytes_per_token --y final_nats_per_token --out cache.png\n"
      "Example: skipv1-plot --routing table.json --out table.png"};
  Options o;
  app.add_option("logs", o.logs,
                 "folders of runs, .csv or .jsonl files; result.json: a point; with --routing a table's .json, a variant, or a "
                 "model (a run, a folder or a config.json)")
      ->required();
  app.add_option("--out", o.out, "PNG file; an SVG is written beside it. A name that ends in .svg: that alone")->required();
  app.add_option("--x", o.x, "column: tokens, step, seconds, …")->capture_default_str();
  app.add_option("--y", o.y, "columns: loss, valid_nats_per_token, valid_bits_per_byte, gradient_norm, learning_rate, …")
      ->capture_default_str();
  app.add_option("--rows", o.rows, "column of names in one .csv file: bars, a row for each line; --labels: the axis's");
  app.add_option("--labels", o.labels, "a name for each log")->may_be_empty();
  app.add_option("--references", o.references, "horizontal lines: NUMBER or NUMBER=LABEL each");
  app.add_option("--title", o.title, "stands above the figure")->may_be_empty();
  app.add_option("--smooth", o.smooth, "mean of this many last values")->check(at_least(1))->capture_default_str();
  app.add_flag("--log-x", o.log_x, "logarithmic");
  app.add_flag("--log-y", o.log_y, "logarithmic");
  app.add_option("--x-range", o.x_range, "from, to")->expected(2);
  Option* y_range = app.add_option("--y-range", o.y_range, "from, to")->expected(2);
  app.add_option(
         "--from", o.from,
         "share of the x axis after which the y axis' range is taken; 0: from all; if not given 0.1, where a line's beginning "
         "would be more than half of it")
      ->expected(1)
      ->check(in_range(0.0, 1.0))
      ->excludes(y_range);
  Option* routing = app.add_flag("--routing", o.routing, "which layer's which head each query head reads: a map, and as text");
  for (const auto& [name, value, help] :
       {std::tuple("--layers", &o.map.layers, "of a variant; if not given 4, or the table's"),
        {"--heads", &o.map.heads, "query heads; if not given 4, or the table's"},
        {"--kv-heads", &o.map.kv_heads, "key and value heads; if not given as many as query heads, or the table's"}})
    app.add_option(name, *value, help)->check(at_least(1))->needs(routing);
  return run_program(app, argc, argv, [&] { run(o); });
}
