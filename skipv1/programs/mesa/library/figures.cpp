#include "skipv1/programs/mesa/figures.hpp"

#include "skipv1/plot/chart.hpp"

namespace skipv1::mesa {

namespace {

// Mean and spread of `what` over `x`; the x's of a spread's end are those of the mean.
plot::Series series(const std::string& name, const std::vector<double>& x, const Trained& t, const std::string& what) {
  plot::Series s{name, x, t.mean(what)};
  const std::vector<double> spread = t.deviation(what);
  for (std::size_t i = 0; i < x.size(); ++i) s.low.push_back(s.y[i] - spread[i]), s.high.push_back(s.y[i] + spread[i]);
  return s;
}

std::vector<double> counting(std::size_t count, double first = 0, double step = 1) {
  std::vector<double> x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(first + step * static_cast<double>(i));
  return x;
}

class Figures {
 public:
  Figures(const Plan& plan, const std::vector<Trained>& all, const Predictors& predictors, const std::filesystem::path& folder)
      : plan_(plan), all_(all), predictors_(predictors), folder_(folder) {
    std::filesystem::create_directories(folder);
  }

  void draw() const {
    for (const Kind kind : plan_.kinds) {
      if (plan_.grid) pairs(kind), training(kind), width(kind), gap(kind);
      layers(kind, {"x", "y"}, {"x", "y"}, "restoration", "What the value heads can see of a raw pair",
             "R^2 of the best read-out");
      layers(kind, {"label"}, {""}, "probes", "The label, read from the stream at the query", "error, over the zero predictor's");
      layers(kind, {"heads", "tokens"}, {"heads", "tokens"}, "similarity", "Similarity of heads' outputs and of tokens",
             "mean cosine");
    }
  }

 private:
  std::string of(Kind kind, std::size_t width) const {
    return ": " + std::string(to_string(kind)) + " attention, width " + std::to_string(width) + ", d = " +
           std::to_string(plan_.setting.task.dim);
  }
  void save(const plot::Chart& chart, const std::string& name, Kind kind) const {
    plot::save_png(folder_ / (name + "-" + to_string(kind) + ".png"), chart);
  }

  void pairs(Kind kind) const {
    plot::Chart chart{"Error in context" + of(kind, plan_.focus), "pairs seen", "error, over the zero predictor's", {}};
    const std::vector<double> x = counting(predictors_.ridge.size());
    for (const Trained* t : at(all_, kind, plan_.focus)) chart.series.push_back(series(t->model.name, x, *t, "pairs"));
    chart.series.push_back({"one step", x, predictors_.one_step});
    chart.series.push_back({"ridge", x, predictors_.ridge});
    chart.references = {{1, "zero"}};
    save(chart, "pairs", kind);
  }

  void training(Kind kind) const {
    plot::Chart chart{"Training" + of(kind, plan_.focus), "steps", "error, over the zero predictor's", {}};
    const double stretch = static_cast<double>(plan_.setting.recipe.steps) / static_cast<double>(plan_.setting.points);
    for (const Trained* t : at(all_, kind, plan_.focus))
      chart.series.push_back(series(t->model.name, counting(plan_.setting.points, stretch, stretch), *t, "curve"));
    const std::size_t dim = plan_.setting.task.dim;
    chart.references = {{predictors_.seeing(dim * dim, dim), "one step"}};
    chart.y_range = {0.4, 1.1};
    save(chart, "training", kind);
  }

  void width(Kind kind) const {
    const std::size_t dim = plan_.setting.task.dim;
    plot::Chart chart{"Error against the model's width" + std::string(": ") + to_string(kind) + " attention, d = " +
                          std::to_string(dim),
                      "width D", "mean error, over the zero predictor's", {}};
    plot::Series bound{"tutorial 04's MHA", {}, {}};
    for (const std::size_t width : plan_.widths) {
      const std::vector<const Trained*> trained = at(all_, kind, width);
      chart.series.resize(std::max(chart.series.size(), trained.size()));
      for (std::size_t i = 0; i < trained.size(); ++i) {
        const plot::Series one = series(trained[i]->model.name, {static_cast<double>(width)}, *trained[i], "error");
        plot::Series& s = chart.series[i];
        s.name = one.name, s.spread = plot::Series::Spread::bars;
        s.x.push_back(one.x[0]), s.y.push_back(one.y[0]), s.low.push_back(one.low[0]), s.high.push_back(one.high[0]);
      }
      bound.x.push_back(static_cast<double>(width));
      bound.y.push_back(predictors_.seeing(numbers_of_mha(width, dim), dim));
    }
    chart.series.push_back(bound);
    chart.references = {{predictors_.seeing(dim * dim, dim), "one step"}};
    save(chart, "width", kind);
  }

  void gap(Kind kind) const {
    plot::Chart chart{"What SkipV1 gains over MHA, seed by seed: " + std::string(to_string(kind)) + " attention", "width D",
                      "error of MHA - error of SkipV1", {}};
    plot::Series s{"", {}, {}};
    s.spread = plot::Series::Spread::bars;
    for (const std::size_t width : plan_.widths) {
      const Trained difference = subtract(*at(all_, kind, width)[0], *at(all_, kind, width)[1]);
      const double mean = difference.mean("error")[0], spread = difference.deviation("error")[0];
      s.x.push_back(static_cast<double>(width)), s.y.push_back(mean);
      s.low.push_back(mean - spread), s.high.push_back(mean + spread);
    }
    chart.series.push_back(s);
    chart.references = {{0, "no gain"}};
    save(chart, "gap", kind);
  }

  void layers(Kind kind, const std::vector<std::string>& what, const std::vector<std::string>& names, const std::string& file,
              const std::string& title, const std::string& y_label) const {
    plot::Chart chart{title + of(kind, plan_.focus), what[0] == "label" ? "blocks passed" : "layer", y_label, {}};
    for (const bool deep : {false, true}) {
      for (const Trained* t : select(all_, [&](const Model& m) {
             return m.kind == kind && m.width == plan_.focus && m.heads == 2 && m.labels == Labels::context &&
                    m.layers == (deep ? 4 : 2) && m.name != "ResFormer";
           }))
        for (std::size_t i = 0; i < what.size(); ++i) {
          std::string name = t->model.name + (names[i].empty() ? "" : ", " + names[i]) + (deep ? ", depth 4" : "");
          chart.series.push_back(series(name, counting(t->mean(what[i]).size()), *t, what[i]));
        }
    }
    if (!chart.series.empty()) save(chart, file, kind);
  }

  const Plan& plan_;
  const std::vector<Trained>& all_;
  const Predictors& predictors_;
  std::filesystem::path folder_;
};

}  // namespace

void draw_figures(const Plan& plan, const std::vector<Trained>& all, const Predictors& predictors,
                  const std::filesystem::path& folder) {
  Figures(plan, all, predictors, folder).draw();
}

}  // namespace skipv1::mesa
