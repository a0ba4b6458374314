// Tutorial 05: transformers trained from scratch on regression in context: MHA, SkipV1 and ResFormer, and what they hold where.
#include <cstdio>
#include <memory>
#include <mutex>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/core/on_device.hpp"
#include "skipv1/core/progress.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/programs/mesa/by_hand.hpp"
#include "skipv1/programs/mesa/figures.hpp"
#include "skipv1/programs/mesa/kept.hpp"
#include "skipv1/programs/option_names.hpp"
#include "skipv1/programs/spread.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

struct Options {
  Plan plan;
  Tuning tuning;
  bool full = false, quick = false, by_hand = false;
  std::vector<std::string> kinds = {"linear"};
  std::string part = "grid", device = "cpu", json, figures, redraw, keep;
};

/// The width that --focus names, or else the one of --widths nearest to the default.
void choose_focus(const CommandLine& app, Plan& plan) {
  const auto away = [focus = plan.focus](std::size_t width) { return width > focus ? width - focus : focus - width; };
  if (app.count("--focus") == 0)
    plan.focus = *std::min_element(plan.widths.begin(), plan.widths.end(),
                                   [&](std::size_t a, std::size_t b) { return away(a) < away(b); });
  require(std::find(plan.widths.begin(), plan.widths.end(), plan.focus) != plan.widths.end(), "--focus ", plan.focus,
          " is none of --widths");
}

void read_lists(Options& o) {
  o.plan.kinds.clear();
  for (const std::string& kind : o.kinds) {
    require(kind == "linear" || kind == "softmax", "--attention: \"", kind, "\" is neither linear nor softmax");
    o.plan.kinds.push_back(kind == "linear" ? Kind::linear : Kind::softmax);
  }
  require(o.part == "grid" || o.part == "ablations" || o.part == "all", "--part ", o.part, ": must be grid, ablations or all");
  o.plan.grid = o.part != "ablations", o.plan.ablations = o.part != "grid";
}

std::string sign(const ToyModel& m) {
  std::string text = to_string(m.kind);
  text += ", width " + std::to_string(m.width) + ", depth " + std::to_string(m.layers);
  if (m.heads != 2) text += ", " + std::to_string(m.heads) + " heads";
  if (m.labels != Labels::context) text += std::string(", labels ") + to_string(m.labels);
  return text;
}

/// A mean and the standard deviation over seeds; of one seed the number alone.
std::string with_spread(const char* format, double mean, const std::vector<double>& each) {
  char text[64];
  int length = std::snprintf(text, sizeof text, format, mean);
  if (each.size() > 1) std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), " +- %.4f", deviation(each));
  return text;
}

void print_models(const std::vector<Trained>& all) {
  std::printf("%-44s %-18s %-16s  %-6s  %-16s\n", "error over all places of x", "", "mean, deviation", "best", "at the query");
  std::string last;
  for (const Trained& t : all) {
    double best = t.outcomes[0].at("error")[0];
    for (const Outcome& o : t.outcomes) best = std::min(best, o.at("error")[0]);
    const std::string own = sign(t.model);
    std::printf("%-44s %-18s %-16s  %.4f  %s\n", own == last ? "" : own.c_str(), t.model.name.c_str(),
                with_spread("%.4f", t.mean("error")[0], t.each("error", 0)).c_str(), best,
                with_spread("%.4f", t.mean("pairs").back(), t.each("pairs", t.outcomes[0].at("pairs").size() - 1)).c_str());
    last = own;
  }
}

void print_predictors(const Plan& plan, const Predictors& predictors) {
  const std::size_t dim = plan.setting.task.dim;
  std::printf("%-12s %.4f, at the query %.4f\n", "one step", predictors.seeing(dim * dim, dim), predictors.one_step.back());
  std::printf("%-12s %.4f, at the query %.4f\n", "ridge", mesa::detail::mean(predictors.ridge), predictors.ridge.back());
  for (const std::size_t width : plan.widths)
    std::printf("tutorial 04's MHA of width %zu: %zu of %zu numbers, %.4f\n", width, numbers_of_mha(width, dim), dim * dim,
                predictors.seeing(numbers_of_mha(width, dim), dim));
  if (plan.widths[0] == dim)
    for (std::size_t a = 0; a <= dim; ++a)
      std::printf("tutorial 04's SkipV1 with a = %zu: %.4f\n", a, predictors.seeing(a * dim, dim));
}

/// What SkipV1 gains over MHA at a width, seed by seed.
struct Gap {
  Kind kind;
  std::size_t width = 0;
  std::vector<double> gains;
};
std::vector<Gap> gaps_of(const Plan& plan, const std::vector<Trained>& all) {
  std::vector<Gap> gaps;
  for (const Kind kind : plan.kinds)
    for (const std::size_t width : plan.widths) {
      Gap& gap = gaps.emplace_back(Gap{kind, width, {}});
      for (const Outcome& o : subtract(*at(all, kind, width)[0], *at(all, kind, width)[1]).outcomes)
        gap.gains.push_back(o.at("error")[0]);
    }
  return gaps;
}

void print_gaps(const Plan& plan, const std::vector<Trained>& all) {
  if (!plan.grid) return;
  const std::vector<Gap> gaps = gaps_of(plan, all);
  std::printf("\nerror of MHA - error of SkipV1, seed by seed\n");
  for (const Gap& gap : gaps) {
    std::printf("%-8s width %2zu  %s ", to_string(gap.kind), gap.width, with_spread("%8.4f", mean(gap.gains), gap.gains).c_str());
    for (const double gain : gap.gains) std::printf(" %7.4f", gain);
    std::printf("\n");
  }
  if (gaps[0].gains.size() < 6) return;  // with five seeds no probability is below 1/16
  std::vector<double> p;
  for (const Gap& gap : gaps) p.push_back(sign_flip_probability(gap.gains));
  const std::vector<double> corrected = holm(p);
  std::printf(
      "\nthe same: mean with its interval of 95 %%, seeds with a gain, p of random signs, p corrected by Holm for %zu tests\n",
      gaps.size());
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    const std::vector<double>& gains = gaps[i].gains;
    const double centre = mean(gains), half = half_interval(gains);
    std::printf("%-8s width %2zu  %+.4f [%+.4f, %+.4f]  %zu of %zu  %.5f  %.5f\n", to_string(gaps[i].kind), gaps[i].width, centre,
                centre - half, centre + half,
                static_cast<std::size_t>(std::count_if(gains.begin(), gains.end(), [](double x) { return x > 0; })), gains.size(),
                p[i], corrected[i]);
  }
}

/// The rates' mean errors in tuning, and which is taken.
void print_tuning(const Options& o, const std::vector<ToyModel>& models, const std::vector<std::vector<double>>& errors) {
  std::printf("mean error by peak rate, seeds %llu to %llu, which are not among those below; the least is taken\n",
              static_cast<unsigned long long>(o.plan.setting.first_seed + o.plan.setting.seeds),
              static_cast<unsigned long long>(o.plan.setting.first_seed + o.plan.setting.seeds + o.tuning.seeds - 1));
  for (std::size_t i = 0; i < models.size(); ++i) {
    std::printf("%-44s %-18s", sign(models[i]).c_str(), models[i].name.c_str());
    for (std::size_t k = 0; k < errors[i].size(); ++k) std::printf(" %g: %.4f", o.tuning.rates[k], errors[i][k]);
    std::printf("; %g\n", models[i].rate);
  }
  std::printf("\n");
}

void print_layers(const Plan& plan, const std::vector<Trained>& all) {
  std::printf(
      "\nby layer, width %zu: R^2 of x and of y from what the value heads see, cosines of heads and of tokens, then the "
      "label's error from the stream\n",
      plan.focus);
  for (const Trained& t : all) {
    if (t.model.width != plan.focus || t.model.labels != Labels::context || t.model.heads != 2) continue;
    std::printf("%s, %s\n", sign(t.model).c_str(), t.model.name.c_str());
    for (const char* what : {"x", "y", "heads", "tokens", "label"}) {
      std::printf("  %-7s", what);
      const std::vector<double> mean = t.mean(what);
      for (std::size_t i = 0; i < mean.size(); ++i) std::printf(" %s", with_spread("%7.4f", mean[i], t.each(what, i)).c_str());
      std::printf("\n");
    }
  }
}

/// Of many seeds: the median of R^2 in the last layer, which a seed whose readout fails does not move as it moves the mean.
void print_medians(const Plan& plan, const std::vector<Trained>& all) {
  if (!plan.grid || plan.setting.seeds < 6) return;
  std::printf("\nlast layer: medians over seeds of R^2 of x and of y, and in how many seeds SkipV1's R^2 of x is above MHA's\n");
  const auto last = [](const Trained& t, const char* what) {
    std::vector<double> values;
    for (const Outcome& o : t.outcomes) values.push_back(o.at(what).back());
    return values;
  };
  const auto median = [](std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return (x[(x.size() - 1) / 2] + x[x.size() / 2]) / 2;
  };
  for (const Kind kind : plan.kinds)
    for (const std::size_t width : plan.widths) {
      const Trained &mha = *at(all, kind, width)[0], &skip = *at(all, kind, width)[1];
      const std::vector<double> x = last(mha, "x"), skip_x = last(skip, "x");
      std::size_t above = 0;
      for (std::size_t i = 0; i < x.size(); ++i) above += skip_x[i] > x[i];
      std::printf("%-8s width %2zu  MHA %.4f %.4f  SkipV1 %.4f %.4f  %zu of %zu\n", to_string(kind), width, median(x),
                  median(last(mha, "y")), median(skip_x), median(last(skip, "y")), above, x.size());
    }
}

Json to_json(const Plan& plan, const std::vector<Trained>& all, const Predictors& predictors) {
  const Setting& s = plan.setting;
  Json json{{"dim", s.task.dim},         {"context", s.task.context}, {"noise", s.task.noise},
            {"seeds", s.seeds},          {"seed", s.first_seed},      {"steps", s.recipe.steps},
            {"batch", s.recipe.batch},   {"rate", s.recipe.rate},     {"one_step", predictors.one_step},
            {"ridge", predictors.ridge}, {"focus", plan.focus}};
  for (const std::size_t width : plan.widths)
    json["mha_bound"].push_back({{"width", width}, {"error", predictors.seeing(numbers_of_mha(width, s.task.dim), s.task.dim)}});
  for (const Trained& t : all) {
    const ToyModel& m = t.model;
    Json model{{"name", m.name}};
    model.update(model_json(m));
    if (m.rate > 0) model["rate"] = m.rate;
    for (const Outcome& o : t.outcomes) model["errors"].push_back(o.at("error")[0]);
    for (const auto& [what, values] : t.outcomes[0]) {
      model[what] = {{"mean", t.mean(what)}};
      if (t.outcomes.size() > 1) model[what]["deviation"] = t.deviation(what);
    }
    json["models"].push_back(model);
  }
  return json;
}

void print_by_hand(const Plan& plan) {
  const std::size_t dim = plan.setting.task.dim;
  for (const std::size_t width : plan.widths) {
    const BuiltByHand built = build_by_hand(plan.setting, width);
    std::printf("SkipV1 of width %zu, built by hand: %zu of %zu numbers, %.4f; at the query %.4f; expected %.4f\n", width,
                built.rows * built.rows, dim * dim, mesa::detail::mean(built.pairs), built.pairs.back(), built.expected);
  }
}

/// Throws if a model cannot be, or fewer bytes are left than its learning takes. A device's own memory says so itself.
void require_room(const std::vector<ToyModel>& models, const Options& o) {
  if (o.device == "cuda") return;
  const Setting& s = o.plan.setting;
  for (const ToyModel& m : models) {
    double bytes = 0;
    try {
      bytes = least_bytes(m, s);
    } catch (const Error& error) {
      fail(in_words(error.what(), {{"hidden_size / num_attention_heads", "--head-size"}}));
    }
    require_memory("--widths " + std::to_string(m.width) + ", --context " + std::to_string(s.task.context) + ", --batch " +
                       std::to_string(s.recipe.batch) + ": to train " + m.name,
                   bytes);
  }
}

void tutorial(const Options& o) {
  const Plan& plan = o.plan;
  Setting s = plan.setting;
  check_device(o.device);
  std::vector<ToyModel> models = models_of(plan);
  require_room(models, o);
  require(plan.grid || o.figures.empty(), "--figures: needs --part grid or all: no figure is of ablations alone");
  require_apart({{"--json", o.json}, {"--figures", o.figures}, {"--keep", o.keep}});
  JsonOutput output(o.json, {"dim", "one_step", "ridge", "models"});
  if (!o.figures.empty()) require_writable_folder(o.figures);
  std::unique_ptr<KeptOutcomes> kept;  // makes its file: last
  if (!o.keep.empty()) kept = std::make_unique<KeptOutcomes>(o.keep, o.device);
  s.kept = kept.get();
  const Predictors predictors(s.task);
  std::vector<Trained> all;
  std::vector<std::vector<double>> tuned;
  {
    Progress progress("train", models.size() * (s.seeds + o.tuning.rates.size() * o.tuning.seeds) * s.recipe.steps, "steps");
    std::mutex mutex;
    const auto on_step = [&] {
      const std::lock_guard lock(mutex);
      progress.advance();
    };
    if (!o.tuning.rates.empty()) tuned = tune(models, o.tuning, s, o.device, on_step);
    all = learn_all(models, s, o.device, on_step);
  }
  if (!tuned.empty()) print_tuning(o, models, tuned);
  std::printf("d = %zu, n = %zu, s = %g; %zu steps of %zu prompts, seeds %llu to %llu; errors over the zero predictor's%s\n\n",
              s.task.dim, s.task.context, s.task.noise, s.recipe.steps, s.recipe.batch,
              static_cast<unsigned long long>(s.first_seed), static_cast<unsigned long long>(s.first_seed + s.seeds - 1),
              o.device == "cpu" ? "" : "; on the device");
  print_predictors(plan, predictors);
  std::printf("\n");
  print_models(all);
  print_gaps(plan, all);
  print_layers(plan, all);
  print_medians(plan, all);
  const Json numbers = to_json(plan, all, predictors);
  if (!o.figures.empty()) draw_figures(numbers, o.figures);
  if (output) output.write(numbers, 1);
}

void add_options(CommandLine& app, Options& o) {
  Plan& plan = o.plan;
  Setting& s = plan.setting;
  app.add_flag("--quick", o.quick, "the default: few widths, linear attention, three seeds, a short training");
  app.add_flag("--full", o.full, "both kinds of attention, five seeds, more widths, longer, with the ablations")
      ->excludes("--quick");
  const auto count = [&](const char* name, std::size_t& value, std::size_t least, std::size_t most, const char* text) {
    app.add_option(name, value, text)->check(in_range(least, most))->capture_default_str();
  };
  count("--dim", s.task.dim, 1, 16, "width d of x and y");
  count("--context", s.task.context, 1, 256, "pairs n in context");
  app.add_option("--noise", s.task.noise, "deviation s of the labels' noise")->check(in_range(0., 10.))->capture_default_str();
  app.add_option("--widths", plan.widths, "widths D of the models")
      ->delimiter(',')
      ->check(in_range(1, 9999))
      ->capture_default_str();
  count("--focus", plan.focus, 1, 256, "the width of the curves and ablations, one of --widths; if not given the nearest to 6");
  app.add_option("--attention", o.kinds, "linear (behind a first layer of softmax), softmax, or both")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--part", o.part,
                 "grid: every width and attention; ablations: depth 4, source layers, skip ratios, SkipV0, controls, no softmax "
                 "at all; all: both")
      ->capture_default_str();
  app.add_flag("--norms", plan.norms, "models with RMSNorm");
  app.add_flag("--feed-forward", plan.feed_forward, "models with feed-forward blocks of width 4 D");
  count("--head-size", s.head_size, 2, 256, "width of the heads, even");
  app.add_option("--rope-theta", s.rope_theta, "RoPE's base, in the first layer")
      ->check(in_range(1., 1e6))
      ->capture_default_str();
  count("--seeds", s.seeds, 1, 1000,
        "how many times each model is trained; of 1 there is no standard deviation, neither printed nor in --json");
  app.add_option("--seed", s.first_seed, "the first seed")->check(in_range(0, 2147483647))->capture_default_str();
  count("--steps", s.recipe.steps, 20, 10000000, "training steps");
  count("--batch", s.recipe.batch, 1, 100000, "prompts in a step");
  app.add_option("--rate", s.recipe.rate, "peak learning rate")->check(in_range(1e-6, 1.))->capture_default_str();
  app.add_option("--tune", o.tuning.rates, "first finds each model's best peak rate among these, with other seeds")
      ->delimiter(',')
      ->check(in_range(1e-6, 1.));
  count("--tune-seeds", o.tuning.seeds, 1, 1000, "how many seeds those are");
  app.add_flag("--pair", plan.pair, "MHA and SkipV1, without ResFormer");
  app.add_option("--gain", s.recipe.gain, "matrices start with the variance gain^2 / columns")
      ->check(in_range(0.01, 10.))
      ->capture_default_str();
  app.add_option("--device", o.device, device_help)->capture_default_str();
  app.add_option("--json", o.json, "write every number of the figures to this file; -: to standard output");
  app.add_option("--keep", o.keep,
                 "append each finished training to this file, and take those from it that it has: a call that was ended goes on")
      ->option_text("FILE");
  app.add_option("--figures", o.figures, "draw into this folder");
  app.add_option("--redraw", o.redraw, "train nothing: draw the figures of numbers that --json wrote")
      ->excludes("--json")
      ->excludes("--keep");
  app.add_flag("--by-hand", o.by_hand, "train nothing: SkipV1 of each of --widths with weights built by hand")
      ->excludes("--json")
      ->excludes("--figures")
      ->excludes("--keep")
      ->excludes("--device");
}

/// `--full`'s settings, where no option says otherwise.
void make_full(const CommandLine& app, Options& o) {
  const auto set = [&](const char* name, auto& value, const auto& full) {
    if (app.count(name) == 0) value = full;
  };
  set("--widths", o.plan.widths, std::vector<std::size_t>{4, 5, 6, 7, 8, 12});
  set("--part", o.part, "all");
  set("--attention", o.kinds, std::vector<std::string>{"linear", "softmax"});
  set("--seeds", o.plan.setting.seeds, 5u);
  set("--steps", o.plan.setting.recipe.steps, 3000u);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Transformers trained from scratch on regression in context: MHA, SkipV1 and ResFormer.\n"
      "Example: 05-mesa-learned --widths 4,6 --focus 6 --seeds 2 --json numbers.json --figures figures"};
  Options o;
  o.plan.setting.seeds = 3;
  o.plan.setting.recipe.steps = 1500;
  add_options(app, o);
  return run_program(app, argc, argv, [&] {
    if (!o.redraw.empty()) {
      require(!o.figures.empty(), "--redraw needs --figures, the folder to draw into");
      require_writable_folder(o.figures);
      with_written_json(o.redraw, [&](const Json& numbers) { check_numbers(numbers), draw_figures(numbers, o.figures); });
      std::printf("figures in %s\n", o.figures.c_str());
      return;
    }
    if (o.full) make_full(app, o);
    read_lists(o);
    choose_focus(app, o.plan);
    o.by_hand ? print_by_hand(o.plan) : tutorial(o);
  });
}
