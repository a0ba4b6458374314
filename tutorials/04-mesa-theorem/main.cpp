// Tutorial 04: Theorem 2 in numbers: the least loss of MHA and of SkipV1 over copied pairs, beside one gradient step and ridge.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/programs/mesa/results.hpp"
#include "skipv1/programs/option_names.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

struct Options : Question {
  std::string json, figures;
};

double least(const std::vector<LeastLoss>& curve) {
  const std::vector<double> all = losses(curve);
  return *std::min_element(all.begin(), all.end());
}

void print_predictors(const Results& r) {
  std::printf("zero predictor           %10.4f\n", r.zero);
  std::printf("one preconditioned step  %10.4f", r.one_step);
  if (r.has_closed_form()) std::printf("  closed form %.4f", closed_form(r.task, Model::skipv1, r.task.dim));
  std::printf("\nbest linear in statistics%10.4f\nridge regression         %10.4f +- %.4f\n", r.linear, r.ridge.value,
              r.ridge.error);
  for (std::size_t i = 0; i < r.steps.size(); ++i)
    std::printf("gradient steps: %-2zu       %10.4f +- %.4f\n", r.steps[i], r.after_steps[i].value, r.after_steps[i].error);
  std::printf("\n");
}

void print_curves(const Results& r) {
  const bool closed = r.has_closed_form();
  std::printf(" a");
  for (const char* name : {"MHA", "SkipV1"}) std::printf("  %10s%s  starts", name, closed ? "  closed form" : "");
  std::printf("\n");
  const auto print = [&](const LeastLoss& point, Model model, std::size_t a) {
    std::printf("  %10.4f", point.loss);
    if (closed) std::printf("  %11.4f", closed_form(r.task, model, a));
    std::printf("  %6s", (std::to_string(point.reached) + "/" + std::to_string(point.starts)).c_str());
  };
  for (std::size_t a = 0; a <= r.task.dim; ++a) {
    std::printf("%2zu", a);
    print(r.mha[a], Model::mha, a);
    print(r.skip[a], Model::skipv1, a);
    std::printf("\n");
  }
  double gradient = 0;
  std::string open;
  for (const auto& [name, curve] : {std::pair{"MHA", &r.mha}, {"SkipV1", &r.skip}})
    for (std::size_t a = 0; a < curve->size(); ++a) {
      const LeastLoss& point = (*curve)[a];
      if (point.converged) gradient = std::max(gradient, point.gradient);
      char text[60];
      std::snprintf(text, sizeof text, "%s a = %zu (gradient %.0e)", name, a, point.gradient);
      if (!point.converged) open += (open.empty() ? "" : ", ") + std::string(text);
    }
  std::printf("\nlargest gradient where a minimisation converged: %.0e, the zero predictor's loss being d\n", gradient);
  if (!open.empty()) std::printf("not converged, so that their losses are upper bounds: %s\n", open.c_str());
}

void print_theorem(const Results& r) {
  const double c = least(r.mha) - least(r.skip);
  std::printf("1. least SkipV1 / one step:  %.4f\n", least(r.skip) / r.one_step);
  std::printf("2. c = least MHA - least SkipV1 = %.4f", c);
  if (r.has_closed_form()) {
    const std::size_t half = r.task.dim / 2;
    std::printf("   closed form %.4f", closed_form(r.task, Model::mha, half) - closed_form(r.task, Model::skipv1, r.task.dim));
  }
  std::printf("\n   least MHA - one step = %.4f\n", least(r.mha) - r.one_step);
  std::printf("3. one step - ridge = %.4f\n", r.one_step - r.ridge.value);
  if (!r.has_closed_form()) return;
  double worst = 0;
  for (std::size_t a = 0; a <= r.task.dim; ++a) {
    worst = std::max(worst, std::abs(r.mha[a].loss - closed_form(r.task, Model::mha, a)));
    worst = std::max(worst, std::abs(r.skip[a].loss - closed_form(r.task, Model::skipv1, a)));
  }
  worst /= r.zero - r.one_step;
  std::printf("every minimum against its closed form: %s 0.01 %% of what one step gains\n",
              worst < 1e-4 ? "within" : "NOT WITHIN");
}

Json to_json(const Results& r, const Options& o) {
  Json json{{"dim", o.dim},
            {"context", o.context},
            {"noise", o.noise},
            {"zero", r.zero},
            {"one_step", r.one_step},
            {"ridge", r.ridge.value},
            {"mha", losses(r.mha)},
            {"skip", losses(r.skip)},
            {"linear", r.linear},
            {"ridge_error", r.ridge.error},
            {"w0", o.mean_scale},
            {"seed", o.seed},
            {"restarts", o.restarts},
            {"evaluations", o.evaluations},
            {"c", least(r.mha) - least(r.skip)}};
  for (const auto* curve : {&r.mha, &r.skip}) {
    Json& gradients = json[curve == &r.mha ? "mha_gradients" : "skip_gradients"];
    for (const LeastLoss& point : *curve) gradients.push_back(point.gradient);
    Json& converged = json[curve == &r.mha ? "mha_converged" : "skip_converged"];
    for (const LeastLoss& point : *curve) converged.push_back(point.converged);
  }
  return json;
}

void tutorial(const Options& o) {
  require_apart({{"--json", o.json}, {"--figures", o.figures}});
  JsonOutput output(o.json, {"dim", "one_step", "ridge_error", "mha_gradients"});
  if (!o.figures.empty()) require_writable_folder(o.figures);
  const Results r = compute(o);
  std::printf("d = %zu, n = %zu, s = %g, ", o.dim, o.context, o.noise);
  if (o.mean_scale > 0) {
    std::printf("W_0 of normal entries, deviation %g, ", o.mean_scale);
  } else {
    std::printf("W_0 = 0, ");
  }
  std::printf("seed %llu\n\n", static_cast<unsigned long long>(o.seed));
  print_predictors(r);
  print_curves(r);
  print_theorem(r);
  if (!o.figures.empty()) draw_curves(r, o.figures);
  output.write(to_json(r, o));
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Theorem 2 in numbers: the least expected loss E||y_hat - y||^2 of MHA and of SkipV1.\n"
      "Example: 04-mesa-theorem --dim 4 --context 16 --noise 0.1 --json curves.json"};
  Options o;
  app.add_option("--dim", o.dim, "width d of x and y")->check(in_range(1, 12))->capture_default_str();
  app.add_option("--context", o.context, "pairs n in context")->check(in_range(1, 1000000))->capture_default_str();
  app.add_option("--noise", o.noise, "deviation s of the labels' noise")->check(in_range(0., 100.))->capture_default_str();
  app.add_option("--seed", o.seed, "of the random starts, of ridge's contexts and of W_0")
      ->check(in_range(0, 2147483647))
      ->capture_default_str();
  app.add_option("--evaluations", o.evaluations, "of the loss, at most, in one minimisation")
      ->check(in_range(1, 100000000))
      ->capture_default_str();
  app.add_option("--restarts", o.restarts, "random starts of each minimisation, beside the proof's construction")
      ->check(in_range(1, 10000))
      ->capture_default_str();
  app.add_option("--w0", o.mean_scale, "deviation of the entries of W_0, the mean of W; 0: W_0 = 0")
      ->check(in_range(0., 1000.))
      ->capture_default_str();
  app.add_option("--json", o.json, "write the numbers to this file; -: to standard output");
  app.add_option("--figures", o.figures, "draw curves.png into this folder");
  return run_program(app, argc, argv, [&] { tutorial(o); });
}
