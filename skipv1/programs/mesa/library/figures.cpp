// The figures of tutorial 05, from its numbers.
#include "skipv1/programs/mesa/figures.hpp"

#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/rows.hpp"
#include "skipv1/programs/spread.hpp"

namespace skipv1::mesa {

namespace {

using Numbers = std::vector<double>;

Numbers numbers(const Json& model, const std::string& what, const char* which) { return model.at(what).at(which).get<Numbers>(); }

/// Mean and standard deviation of `what` over `x`; the x of a spread's ends are those of the mean. One seed has none.
plot::Series series(const std::string& name, const Numbers& x, const Json& model, const std::string& what) {
  plot::Series s{name, x, numbers(model, what, "mean")};
  if (!model.at(what).contains("deviation")) return s;
  const Numbers spread = numbers(model, what, "deviation");
  for (std::size_t i = 0; i < x.size(); ++i) s.low.push_back(s.y[i] - spread[i]), s.high.push_back(s.y[i] + spread[i]);
  return s;
}

Numbers counting(std::size_t count, double first = 0, double step = 1) {
  Numbers x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(first + step * static_cast<double>(i));
  return x;
}

class Figures {
 public:
  Figures(const Json& all, const std::filesystem::path& folder)
      : all_(all), folder_(folder), one_step_(all.at("one_step").get<Numbers>()), focus_(all.value("focus", std::size_t{6})) {
    std::filesystem::create_directories(folder);
  }

  void draw() const {
    for (const std::string kind : {"linear", "softmax"}) {
      if (models(kind, focus_, 2).size() < 2) continue;
      pairs(kind), training(kind), width(kind), gap(kind);
      layers(kind, {"x", "y"}, "restoration", "How much of a raw pair the value heads see", "R² of the best readout");
      layers(kind, {"label"}, "probes", "The label, read from the residual stream at the query", over_zero);
      layers(kind, {"heads", "tokens"}, "similarity", "Similarity of heads' outputs and of tokens", "mean cosine");
    }
  }

 private:
  static constexpr const char* over_zero = "error, over the zero predictor's";

  /// Models of two heads on the task itself, of a kind, a width and a depth.
  std::vector<const Json*> models(const std::string& kind, std::size_t width, std::size_t depth) const {
    std::vector<const Json*> found;
    for (const Json& m : all_.at("models"))
      if (m.at("attention") == kind && m.at("width") == width && m.at("layers") == depth && m.at("query_heads") == 2 &&
          m.at("labels") == "context")
        found.push_back(&m);
    return found;
  }
  std::string dim() const { return ", d = " + std::to_string(all_.at("dim").get<int>()); }
  std::string of(const std::string& kind) const { return ": " + kind + " attention, width " + std::to_string(focus_) + dim(); }
  /// How many seeds there are, and which rate: that of all models, or each one's own.
  std::string runs() const {
    const std::size_t seeds = all_.at("seeds");
    const std::string text = ", " + std::to_string(seeds) + (seeds == 1 ? " seed, " : " seeds, ");
    if (all_.at("models")[0].contains("rate")) return text + "tuned rates";
    char rate[32];
    std::snprintf(rate, sizeof rate, "rate %g", all_.at("rate").get<double>());
    return text + rate;
  }
  std::filesystem::path file(const std::string& name, const std::string& kind) const {
    return folder_ / (name + "-" + kind + ".png");
  }
  std::vector<std::size_t> widths() const {
    std::vector<std::size_t> all;
    for (const Json& bound : all_.at("mha_bound")) all.push_back(bound.at("width"));
    return all;
  }

  void pairs(const std::string& kind) const {
    plot::Chart chart{"Error in context" + of(kind) + runs(), "pairs seen", over_zero, {}};
    const Numbers x = counting(one_step_.size());
    for (const Json* m : models(kind, focus_, 2)) chart.series.push_back(series(m->at("name"), x, *m, "pairs"));
    chart.series.push_back({"one step", x, one_step_});
    chart.series.push_back({"ridge", x, all_.at("ridge").get<Numbers>()});
    chart.references = {{1, "zero"}};
    plot::save_figure(file("pairs", kind), chart);
  }

  void training(const std::string& kind) const {
    plot::Chart chart{"Training" + of(kind) + runs(), "steps", over_zero, {}};
    for (const Json* m : models(kind, focus_, 2)) {
      const std::size_t points = numbers(*m, "curve", "mean").size();
      const double stretch = all_.at("steps").get<double>() / static_cast<double>(points);
      chart.series.push_back(series(m->at("name"), counting(points, stretch, stretch), *m, "curve"));
    }
    chart.references = {{detail::mean(one_step_), "one step"}};
    chart.y_range = {0.4, 1.1};
    plot::save_figure(file("training", kind), chart);
  }

  void width(const std::string& kind) const {
    plot::Chart chart{"Error against the model's width: " + kind + " attention" + dim() + runs(),
                      "width D",
                      std::string("mean ") + over_zero,
                      {}};
    for (const std::size_t width : widths()) {
      const std::vector<const Json*> trained = models(kind, width, 2);
      chart.series.resize(std::max(chart.series.size(), trained.size()));
      for (std::size_t i = 0; i < trained.size(); ++i) {
        const plot::Series one = series(trained[i]->at("name"), {static_cast<double>(width)}, *trained[i], "error");
        plot::Series& s = chart.series[i];
        s.name = one.name, s.spread = plot::Series::Spread::bars, s.joined = false;
        s.x.push_back(one.x[0]), s.y.push_back(one.y[0]);
        s.low.insert(s.low.end(), one.low.begin(), one.low.end()), s.high.insert(s.high.end(), one.high.begin(), one.high.end());
      }
    }
    plot::Series bound{"MHA, by tutorial 04", {}, {}};
    for (const Json& one : all_.at("mha_bound")) bound.x.push_back(one.at("width")), bound.y.push_back(one.at("error"));
    chart.series.push_back(bound);
    chart.dodge = 11;
    chart.references = {{detail::mean(one_step_), "one step"}};
    plot::save_figure(file("width", kind), chart);
  }

  /// Every seed's gain, and their mean; of six seeds or more with its interval.
  void gap(const std::string& kind) const {
    plot::RowChart chart{"What SkipV1 gains over MHA: " + kind + " attention" + dim() + runs(),
                         "error of MHA - error of SkipV1 (mean; small dots: seeds)",
                         {},
                         {{"", {}}}};
    chart.kind = plot::RowChart::Kind::dots;
    chart.references = {0};
    for (const std::size_t width : widths()) {
      const std::vector<const Json*> trained = models(kind, width, 2);
      const Numbers mha = trained[0]->at("errors").get<Numbers>(), skip = trained[1]->at("errors").get<Numbers>();
      Numbers gains;
      for (std::size_t seed = 0; seed < mha.size(); ++seed) gains.push_back(mha[seed] - skip[seed]);
      chart.rows.push_back("width " + std::to_string(width));
      plot::RowValues& values = chart.values[0];
      values.values.push_back(detail::mean(gains)), values.points.push_back(gains);
      if (gains.size() >= 6) {
        const double half = half_interval(gains);
        values.low.push_back(values.values.back() - half), values.high.push_back(values.values.back() + half);
        chart.label = "error of MHA - error of SkipV1 (mean with its interval of 95 %; small dots: seeds)";
      }
      char text[32];
      std::snprintf(text, sizeof text, "%+.3f", values.values.back());
      values.texts.push_back(text);
    }
    plot::save_figure(file("gap", kind), chart);
  }

  /// MHA and SkipV1 by layer, a panel for each depth; points stand beside each other.
  void layers(const std::string& kind, const std::vector<std::string>& what, const std::string& name, const std::string& title,
              const std::string& y_label) const {
    std::vector<plot::Drawing> panels;
    plot::Range range;
    for (const bool draw : {false, true}) {
      for (const std::size_t depth : {2u, 4u}) {
        plot::Chart chart{"depth " + std::to_string(depth) + runs(), what[0] == "label" ? "blocks passed" : "layer", y_label, {}};
        for (const std::string& one : what)
          for (const Json* m : models(kind, focus_, depth)) {
            if (m->at("name") == "ResFormer") continue;
            const std::string suffix = what.size() > 1 ? ", " + one : "";
            plot::Series s =
                series(m->at("name").get<std::string>() + suffix, counting(numbers(*m, one, "mean").size()), *m, one);
            s.spread = plot::Series::Spread::bars;
            for (const Numbers& ends : {s.y, s.low, s.high})
              for (const double end : ends) range.add(end);
            chart.series.push_back(s);
          }
        if (chart.series.empty() || !draw) continue;
        chart.y_range = plot::widen(range, 0.06);
        chart.dodge = 10, chart.width = 620, chart.height = 520;
        panels.push_back(plot::describe(chart));
      }
    }
    plot::save_figure(file(name, kind), plot::side_by_side(panels, title + of(kind)));
  }

  const Json& all_;
  std::filesystem::path folder_;
  Numbers one_step_;
  std::size_t focus_;
};

}  // namespace

void draw_figures(const Json& numbers, const std::filesystem::path& folder) { Figures(numbers, folder).draw(); }

}  // namespace skipv1::mesa
