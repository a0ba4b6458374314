// Whether numbers are those that tutorial 05 writes by `--json`.
#include <set>

#include "skipv1/io/json_value.hpp"
#include "skipv1/programs/mesa/figures.hpp"
#include "skipv1/programs/mesa/measures.hpp"

namespace skipv1::mesa {

namespace {

bool alike(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)); }

void check_model(const JsonValue& model, std::size_t pairs, std::size_t steps, std::size_t seeds) {
  model.at("name").text(), model.at("variant").text();
  model.at("skip_ratio").number(0, 1), model.at("source_layer").count(0);
  model.at("attention").text({"softmax", "linear", "all-linear"});
  model.at("labels").text({"context", "fixed", "fresh"});
  model.at("width").count(1), model.at("query_heads").count(1);
  const std::size_t layers = model.at("layers").count(1, 1000);
  for (const Measure& m : measures(pairs, layers, steps, Setting().points)) {
    const JsonValue lists = model.at(m.name);
    lists.at("mean").numbers(m.size, m.least, m.most);
    lists.expect(seeds == 1 || lists.has("deviation"), "the standard deviation of several seeds");
    if (lists.has("deviation")) lists.at("deviation").numbers(m.size, 0, most_error);
  }
  const double error = detail::mean(model.at("errors").numbers(seeds, 0, most_error)),
               pairs_error = detail::mean(model.at("pairs").at("mean").numbers(pairs + 1, 0, most_error));
  const JsonValue mean = model.at("error").at("mean").items()[0];
  mean.expect(alike(mean.number(0, most_error), error), "the mean of \"errors\"");
  mean.expect(alike(mean.number(0, most_error), pairs_error), "the mean of \"pairs\"");
}

/// What `draw_figures` asks of the models of one kind of attention: at each width MHA, then SkipV1.
void check_pairs(const std::vector<JsonValue>& models, const std::string& kind, const std::set<std::size_t>& widths) {
  for (const std::size_t width : widths) {
    std::vector<std::string> names;
    for (const JsonValue& m : models)
      if (m.at("attention").text() == kind && m.at("width").count(1) == width && m.at("layers").count(1) == 2 &&
          m.at("query_heads").count(1) == 2 && m.at("labels").text() == "context")
        names.push_back(m.at("name").text());
    require((names.size() == 2 || names.size() == 3) && names[0] == "MHA" && names[1] == "SkipV1" &&
                (names.size() == 2 || names[2] == "ResFormer"),
            "\"models\": expected MHA, SkipV1 and perhaps ResFormer of ", kind, " attention and width ", width,
            ", each once, in this order");
  }
}

}  // namespace

void check_numbers(const Json& all) {
  const JsonValue numbers(all);
  numbers.at("dim").count(1, 16);
  const std::size_t pairs = numbers.at("context").count(1, 256), seeds = numbers.at("seeds").count(1, 1000),
                    steps = numbers.at("steps").count(20, 10000000);
  numbers.at("rate").number(1e-6, 1), numbers.at("noise").number(0, 10);
  numbers.at("one_step").numbers(pairs + 1, 0, most_error), numbers.at("ridge").numbers(pairs + 1, 0, most_error);
  std::set<std::size_t> widths;
  for (const JsonValue& bound : numbers.at("mha_bound").items(1)) {
    const JsonValue width = bound.at("width");
    width.expect(widths.insert(width.count(1, 9999)).second, "each width once");
    bound.at("error").number(0, most_error);
  }
  const std::size_t focus = numbers.has("focus") ? numbers.at("focus").count(1) : Plan().focus;
  require(widths.contains(focus), "\"focus\": expected a width of \"mha_bound\", found ", focus);
  const std::vector<JsonValue> models = numbers.at("models").items(1);
  std::set<std::string> kinds;
  for (const JsonValue& model : models) {
    check_model(model, pairs, steps, seeds);
    const std::string kind = model.at("attention").text();
    if (kind != "all-linear" && model.at("layers").count(1) == 2 && model.at("labels").text() == "context") kinds.insert(kind);
  }
  require(!kinds.empty(), "no figures: \"models\" has none of two layers on the task itself (--part grid or all trains them)");
  for (const std::string& kind : kinds) check_pairs(models, kind, widths);
}

}  // namespace skipv1::mesa
