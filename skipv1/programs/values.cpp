// skipv1-values: what do layer 0's values carry? The loss of trained models when the values that layers read are replaced, by
// kinds of tokens, and what can be read out of them.
#include <cstdio>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/open_text.hpp"
#include "skipv1/programs/option_names.hpp"
#include "skipv1/programs/spread.hpp"
#include "skipv1/programs/values.hpp"

using namespace skipv1;

namespace {

struct Options {
  std::vector<std::string> models;
  TextChoice text;
  std::string json;
  std::size_t windows = 16, length = 0, probed = 16;
  int threads = 0;
};

/// A mean and half its interval of 95 %, over windows.
Json mean_of(const std::vector<double>& values) {
  return {{"mean", mean(values)}, {"half_interval", half_interval(values)}, {"n", values.size()}};
}
std::vector<double> differences(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d;
  for (std::size_t i = 0; i < a.size(); ++i) d.push_back(a[i] - b[i]);
  return d;
}

/// Layer l's value heads `from … to - 1` zeroed, for layer l and all who read them.
Parameters<float> without_heads(const Config& config, const Parameters<float>& parameters, std::size_t l, std::size_t from,
                                std::size_t to) {
  Parameters<float> changed(config);
  copy(changed.flat(), parameters.flat());
  const View<float> weight = changed["model.layers." + std::to_string(l) + ".self_attn.v_proj.weight"];
  require(!weight.empty(), "layer ", l, " has no v_proj");
  const auto clear = [&](View<float> x) {  // rows of heads
    const std::size_t head = config.head_width() * (x.size() / weight.extent(0));
    require(to * head <= x.size(), "heads ", from, " to ", to - 1, " of layer ", l, ": there are ", x.size() / head);
    std::fill(x.data() + from * head, x.data() + to * head, 0.0f);
  };
  clear(weight);
  const View<float> bias = changed["model.layers." + std::to_string(l) + ".self_attn.v_proj.bias"];
  if (!bias.empty()) clear(bias);
  return changed;
}

/// The kinds that predicted tokens are sorted into, with their names, in order; a token is of one kind of each division. Kinds
/// that no token is of are left out.
using Kinds = std::vector<std::pair<std::string, std::vector<bool>>>;
Kinds kinds_of(const TextData& text, const Windows& w, std::size_t length, std::size_t vocab) {
  std::vector<std::size_t> counts(vocab), rank(vocab), order(vocab);
  for (const std::int32_t id : text.tokens()) ++counts[static_cast<std::size_t>(id)];
  for (std::size_t i = 0; i < vocab; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  for (std::size_t i = 0; i < vocab; ++i) rank[order[i]] = i;
  Kinds kinds;
  const std::vector<bool> repeats = repeats_bigram(w, length);
  const auto add = [&](const std::string& name, const auto& is) {
    std::vector<bool> kind;
    for (std::size_t r = 0; r < w.tokens.size(); ++r) kind.push_back(is(r));
    if (std::find(kind.begin(), kind.end(), true) != kind.end()) kinds.emplace_back(name, std::move(kind));
  };
  add("bigram repeated", [&](std::size_t r) { return repeats[r]; });
  add("bigram new", [&](std::size_t r) { return !repeats[r]; });
  const auto between = [&](const std::string& name, std::size_t low, std::size_t high, const auto& value) {
    add(name + " " + std::to_string(low) + " to " + std::to_string(high - 1),
        [&, low, high](std::size_t r) { return value(r) >= low && value(r) < high; });
  };
  const auto token_rank = [&](std::size_t r) { return rank[static_cast<std::size_t>(w.targets[r])]; };
  std::size_t low = 0;
  for (const std::size_t high : {std::size_t{32}, std::size_t{256}, std::size_t{2048}, vocab}) {
    if (high <= low) continue;
    between("frequency rank", low, high, token_rank);
    low = high;
  }
  low = 0;
  for (const std::size_t high : {length / 16, length / 4, length / 2, length}) {
    between("position", low, high, [&](std::size_t r) { return r % length; });
    low = high;
  }
  return kinds;
}

/// Each window's mean over its tokens of one kind; windows without any are left out of both.
std::vector<double> kind_differences(const WindowLosses& a, const WindowLosses& b, const std::vector<bool>& kind,
                                     std::size_t length) {
  std::vector<double> means;
  for (std::size_t begin = 0; begin < a.tokens.size(); begin += length) {
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t r = begin; r < begin + length; ++r)
      if (kind[r]) sum += static_cast<double>(a.tokens[r]) - (b.tokens.empty() ? 0.0 : static_cast<double>(b.tokens[r])), ++count;
    if (count) means.push_back(sum / static_cast<double>(count));
  }
  return means;
}

/// What a row of a table holds; only differences have a sign.
enum class Number { loss, difference };
void print_line(const std::string& name, const Json& value, Number number) {
  const double half = value.at("half_interval");
  std::printf(number == Number::loss ? "| %s | %.4f | " : "| %s | %+.4f | ", name.c_str(), value.at("mean").get<double>());
  if (std::isfinite(half))
    std::printf("%.4f |\n", half);
  else
    std::printf("one window |\n");
  std::fflush(stdout);
}

/// One model: its losses, and a table of what each replacement adds to them.
Json look_at(const std::string& path, const Options& o, const TextData& text, const Checkpoint<float>& model, std::size_t length,
             WindowLosses& base) {
  const Config& config = model.config;
  const Decoder<float> decoder(config, model.parameters);
  const Routing& routing = decoder.routing();
  const std::size_t layers = routing.layers;
  const auto losses = [&](const Decoder<float>& of, const CacheObserver& observer) {
    return window_losses(of, text, length, o.windows, observer);
  };
  base = losses(decoder, {});
  Json result = {{"model", path}, {"variant", config.attention.variant}, {"loss", mean_of(base.windows)}};
  std::printf("\n%s: %s, %.4f nats per token\n\n| replaced | loss added | +- (95 %%) |\n|---|---|---|\n", path.c_str(),
              config.attention.variant.c_str(), mean(base.windows));
  const auto add = [&](const std::string& name, const WindowLosses& changed) {
    result["replaced"][name] = mean_of(differences(changed.windows, base.windows));
    print_line(name, result["replaced"][name], Number::difference);
  };
  if (layers > 1 && !routed_heads(routing, 1).empty()) {
    for (const auto& [name, by] :
         {std::pair{"zeros", Replacement::zeros}, {"mean", Replacement::mean}, {"exchanged", Replacement::exchanged}})
      add(std::string("layer 0's values, for all later layers: ") + name, losses(decoder, replacing(routing, 1, layers - 1, by)));
    for (std::size_t l = 1; l < layers; ++l)
      add("layer 0's values, for layer " + std::to_string(l) + ": zeros",
          losses(decoder, replacing(routing, l, l, Replacement::zeros)));
  }
  for (std::size_t l = 0; l < layers; ++l) {
    const std::size_t owned = routing.owned_values[l];
    const bool halves = l && owned == routing.heads;  // as SkipV1 divides them: of an odd number the first has one more
    for (std::size_t from = 0, to = 0; from < owned; from = to) {
      to = halves && from == 0 ? owned - owned / 2 : owned;
      const Parameters<float> changed = without_heads(config, model.parameters, l, from, to);
      add("layer " + std::to_string(l) + "'s own heads " + std::to_string(from) + " to " + std::to_string(to - 1) + ": zeros",
          losses(Decoder<float>(config, changed), {}));
    }
  }
  std::printf(
      "\nR^2 of linear maps from the values that a layer reads to the embedding of their token, of the token before it, and to "
      "their position;\nmean cosines, of two heads' outputs at one place and of a layer's outputs at two places\n\n");
  std::printf("| layer | token | token before | position | heads alike | places alike |\n|---|---|---|---|---|---|\n");
  const std::vector<ReadOut> read = read_outs(decoder, model.parameters, text, length, o.probed);
  const std::vector<Similarity> alike = similarities(decoder, text, length, std::min<std::size_t>(o.probed, 8));
  for (std::size_t l = 0; l < read.size(); ++l) {
    const ReadOut& r = read[l];
    result["read_out"].push_back({{"token", r.token}, {"before", r.before}, {"position", r.position}});
    Json& similarity = result["similarity"].emplace_back(Json{{"tokens", alike[l].tokens}});
    char heads[32] = "one head";
    if (alike[l].heads) similarity["heads"] = *alike[l].heads, std::snprintf(heads, sizeof heads, "%.3f", *alike[l].heads);
    std::printf("| %zu | %.3f | %.3f | %.3f | %s | %.3f |\n", l, r.token, r.before, r.position, heads, alike[l].tokens);
  }
  return result;
}

/// Throws unless the linear maps have more rows to be fitted to than values to be fitted by (`mesa::read_out`).
void require_rows(const Options& o, std::size_t m, const Config& config, std::size_t length) {
  require(length >= 2, "--length ", length, ": must be at least 2, since a map reads the token before");
  const Routing routing = make_routing(config);
  const std::size_t values = routing.heads * routing.value_width, least = 2 * values + 4, rows = o.probed * (length - 1);
  require(rows >= least, "--probed ", o.probed, ", windows of ", length, " tokens: ", rows, " rows for maps from the ", values,
          " values that a layer of ", o.models[m], " reads: must be at least ", least, ", as with --probed ",
          (least + length - 2) / (length - 1));
}

void run(const Options& o) {
  require_no_input("--json", o.json, {{"--text", o.text.text}, {"--tokens", o.text.tokens}});
  JsonOutput output(o.json, {"length", "windows", "models"});
  std::vector<Checkpoint<float>> models;
  for (const std::string& path : o.models) models.push_back(open_model<float>(path));
  const Config& first = models[0].config;
  for (std::size_t m = 0; m < models.size(); ++m) {
    const Config& c = models[m].config;
    require(c.vocab_size == first.vocab_size, o.models[m], ": a vocabulary of ", c.vocab_size, ": must be that of ", o.models[0],
            ", ", first.vocab_size);
    require(!c.latent(), o.models[m], ": variant ", c.attention.variant, " has latents: must have heads of values");
    require(!c.mixing().values, o.models[m], ": variant ", c.attention.variant,
            " mixes values: layers must read them as they are");
  }
  const OpenText opened = open_text(o.models[0], first.vocab_size, o.text);
  const TextData& text = opened.text;
  const std::size_t length = o.length ? o.length : first.max_position_embeddings;
  for (std::size_t m = 0; m < models.size(); ++m)
    require(length <= models[m].config.max_position_embeddings, "--length ", length, ": ", o.models[m], " reads at most ",
            models[m].config.max_position_embeddings);
  for (std::size_t m = 0; m < models.size(); ++m) require_rows(o, m, models[m].config, length);
  const std::size_t most = at_place(o.text.place(), [&] { return text.count(length); });
  require(std::max(o.windows, o.probed) <= most, "--windows ", o.windows, ", --probed ", o.probed, ": the text has ", most,
          " of ", length, " tokens");
  const double rows = static_cast<double>(o.probed) * static_cast<double>(length);
  for (const Checkpoint<float>& model : models)
    require_memory("--probed " + std::to_string(o.probed) + ", windows of " + std::to_string(length) + " tokens: a pass",
                   pass_bytes(model.config, rows, sizeof(float), Keep::nothing, rows) +
                       rows * sizeof(double) * static_cast<double>(3 * model.config.hidden_size));  // what the maps are fitted to
  Json results = {{"length", length}, {"windows", o.windows}, {"models", Json::array()}};
  std::vector<WindowLosses> base(models.size());
  std::printf(
      "losses: means over %zu windows of %zu tokens, +- half of their intervals of 95 %%; exchanged: by "
      "the next window's,\nof every four the last one's by the first one's, position by position\n",
      o.windows, length);
  for (std::size_t m = 0; m < models.size(); ++m)
    results["models"].push_back(look_at(o.models[m], o, text, models[m], length, base[m]));
  const auto kinds = kinds_of(text, spread_windows(text, length, o.windows, 0, o.windows), length, first.vocab_size);
  for (std::size_t m = 0; m < models.size(); ++m) {
    std::printf("\n%s%s\n\n| tokens | nats per token%s | +- (95 %%) |\n|---|---|---|\n", o.models[m].c_str(),
                m ? (" minus " + o.models[0]).c_str() : "", m ? ", difference" : "");
    for (const auto& [name, kind] : kinds) {
      Json& value = results["models"][m][m ? "minus_first" : "by_kind"][name];
      value = mean_of(kind_differences(base[m], m ? base[0] : WindowLosses{}, kind, length));
      value["tokens"] = std::count(kind.begin(), kind.end(), true);
      print_line(name + " (" + std::to_string(value["tokens"].get<std::size_t>()) + ")", value,
                 m ? Number::difference : Number::loss);
    }
  }
  output.write(results);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "What the values of layer 0 carry: replaces the values that trained models read, by zeros, their mean or another "
      "window's at "
      "the same positions (\"exchanged\"), and says how\nmuch loss that adds; sorts the loss by kinds of tokens; reads token, "
      "token before and position out of the "
      "values by linear maps; says how alike heads and places are.\nExample: skipv1-values mha skipv1 --text valid.txt --windows "
      "32 --json values.json"};
  Options o;
  app.add_option("models", o.models,
                 "trained models of one vocabulary, which lies beside the first; the others are compared with it")
      ->required();
  auto* text = app.add_option("--text", o.text.text, "UTF-8 text");
  app.add_option("--tokens", o.text.tokens, "token ids instead: a .npy of integers, one axis")->excludes(text);
  app.add_option("--windows", o.windows, "how many windows, spread evenly over it; at least 2")
      ->check(in_range(2, 1000000))
      ->capture_default_str();
  app.add_option("--length", o.length, "tokens of a window; 0: the model's context")->capture_default_str();
  app.add_option("--probed", o.probed, "windows for the linear maps, half of which they are fitted to")
      ->check(in_range(2, 1000000))
      ->capture_default_str();
  add_threads_option(app, o.threads);
  app.add_option("--json", o.json, "write the numbers (docs/spec/formats.md) into this file too; -: to standard output");
  return run_program(app, argc, argv, [&] {
    use_threads(o.threads);
    run(o);
  });
}
