// skipv1-initial-losses: where each strategy starts, beside what is lost by simpler changes and by another order of the heads.
#include <cstdio>
#include <numeric>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/training/evaluate.hpp"
#include "skipv1/training/run_folder.hpp"
#include "skipv1/training/vocabulary.hpp"
#include "skipv1/uptraining/convert.hpp"
#include "skipv1/programs/open_model.hpp"

using namespace skipv1;

namespace {

using Model = Checkpoint<float>;

struct Options {
  std::string model, text;
  std::size_t length = 0, windows = 128, orders = 3;
};

/// The attention of one layer after the first: G groups of value heads, blocks of W_O of `width` columns.
struct Layer {
  View<float> value, bias, output, output_bias;
  std::vector<View<float>> rows;  ///< all that has rows of heads: queries, keys, values
  std::size_t groups, width;

  Layer(const Config& config, const Parameters<float>& p, std::size_t l) : groups(config.num_key_value_heads) {
    const std::string name = "model.layers." + std::to_string(l) + ".self_attn.";
    value = p[name + "v_proj.weight"], bias = p[name + "v_proj.bias"];
    output = p[name + "o_proj.weight"], output_bias = p[name + "o_proj.bias"];
    for (const char* of : {"q_proj", "k_proj", "v_proj"})
      for (const char* part : {".weight", ".bias"}) rows.push_back(p[name + of + part]);
    width = output.extent(1) / groups;
  }
};

/// The model with `change` made to each layer after the first.
template <class Change>
Model changed(const Model& model, const Change& change) {
  Model other = {model.config, Parameters<float>(model.config)};
  copy(other.parameters.flat(), model.parameters.flat());
  for (std::size_t l = 1; l < model.config.num_hidden_layers; ++l) change(l, Layer(model.config, other.parameters, l));
  return other;
}

/// Each block of W_O times a factor of its group.
template <class Factor>
Model scaled(const Model& model, const Factor& factor) {
  return changed(model, [&](std::size_t, const Layer& layer) {
    for (std::size_t row = 0; row < layer.output.extent(0); ++row)
      for (std::size_t i = 0; i < layer.output.extent(1); ++i) layer.output(row, i) *= factor(i / layer.width);
  });
}

/// W_O W_V of a layer factorized again at full rank: each head attends as before, to its part of the singular vectors. As a row
/// of attention sums to one, a bias of the values is moved behind W_O.
Model mixed(const Model& model) {
  return changed(model, [&](std::size_t, const Layer& layer) {
    const std::size_t d = layer.value.extent(1), head = layer.value.extent(0) / layer.groups, copies = layer.width / head;
    const Tensor<double> product = zeros<double>({d, d});
    for (std::size_t row = 0; row < d; ++row)
      for (std::size_t i = 0; i < layer.output.extent(1); ++i) {
        const std::size_t from = i / layer.width * head + i % head;
        if (!layer.bias.empty()) layer.output_bias(row) += layer.output(row, i) * layer.bias(from);
        for (std::size_t k = 0; k < d; ++k)
          product(row, k) += static_cast<double>(layer.output(row, i)) * static_cast<double>(layer.value(from, k));
      }
    const auto [u_t, s, v_t] = singular_values(product);
    zero(layer.bias), zero(layer.value);
    for (std::size_t k = 0; k < std::min(d, layer.groups * head); ++k) {
      const double root = std::sqrt(s[k]);
      for (std::size_t i = 0; i < d; ++i) layer.value(k, i) = static_cast<float>(root * v_t(k, i));
      for (std::size_t row = 0; row < d; ++row)
        for (std::size_t q = 0; q < copies; ++q)
          layer.output(row, k / head * layer.width + q * head + k % head) =
              static_cast<float>(root * u_t(k, row) / static_cast<double>(copies));
    }
  });
}

/// The same function with the heads of each layer after the first, group by group, in an order drawn from `seed`; 0: as they are.
Model reordered(const Model& model, std::uint64_t seed) {
  return changed(model, [&](std::size_t l, const Layer& layer) {
    if (seed == 0) return;
    std::vector<std::size_t> order(layer.groups);
    std::iota(order.begin(), order.end(), std::size_t{0});
    Random random = Random(seed).split(l);
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);

    const Layer from(model.config, model.parameters, l);
    for (std::size_t k = 0; k < from.rows.size(); ++k)
      for (std::size_t g = 0; g < layer.groups && !from.rows[k].empty(); ++g) {
        const std::size_t count = from.rows[k].size() / layer.groups;
        std::copy_n(from.rows[k].data() + order[g] * count, count, layer.rows[k].data() + g * count);
      }
    for (std::size_t row = 0; row < layer.output.extent(0); ++row)
      for (std::size_t i = 0; i < layer.output.extent(1); ++i)
        layer.output(row, i) = from.output(row, order[i / layer.width] * layer.width + i % layer.width);
  });
}

void print_losses(const Options& o) {
  const Model model = open_model<float>(o.model);
  const Config converted =
      at_place(o.model, [&] { return converted_config(model.config); });  // what cannot be converted is said before the work
  const Vocabulary vocabulary =
      read_model(o.model, [&](const std::filesystem::path& path) { return vocabulary_of(path, model.config.vocab_size); });
  const std::string bytes = load_text(o.text);
  const TextData text = at_place(o.text, [&] { return TextData(bytes, *vocabulary.tokenizer); });
  const std::size_t length = o.length ? o.length : model.config.max_position_embeddings;
  require(length <= model.config.max_position_embeddings, "--length ", length, ": the model reads at most ",
          model.config.max_position_embeddings);
  const std::size_t all = at_place(o.text, [&] { return evaluated_tokens(text, length, o.windows); });
  const auto rows = static_cast<double>(std::min(8 * length, all));  // `evaluate` passes 8 windows at a time
  require_memory(
      "--length " + std::to_string(length) + ": two more models like " + o.model + " and a pass",
      parameter_bytes(model.config, 2, sizeof(float)) + pass_bytes(model.config, rows, sizeof(float), Keep::nothing, rows));
  const std::size_t half = model.config.num_key_value_heads / 2;
  const auto loss = [&](const Model& m) {
    return evaluate(Decoder<float>(m.config, m.parameters), text, length, o.windows).nats_per_token;
  };
  const auto print = [](const std::string& name, double nats) {
    std::printf("%-36s %8.4f\n", name.c_str(), nats);
    std::fflush(stdout);
  };
  std::printf("nats per token of %zu, in windows of %zu\n\n", all, length);
  print("the model", loss(model));
  print("later half of the heads silenced", loss(scaled(model, [=](std::size_t g) { return g < half ? 1.f : 0.f; })));
  print("earlier half of the heads silenced", loss(scaled(model, [=](std::size_t g) { return g < half ? 0.f : 1.f; })));
  print("all heads, a quarter of each", loss(scaled(model, [](std::size_t) { return 0.25f; })));
  print("no heads", loss(scaled(model, [](std::size_t) { return 0.f; })));
  print("heads mixed, full rank", loss(mixed(model)));
  std::printf("\n%-10s", "order");
  for (const Strategy strategy : strategies) std::printf("%9s", to_string(strategy));
  for (std::uint64_t seed = 0; seed <= o.orders; ++seed) {
    const Model other = reordered(model, seed);
    std::printf("\n%-10s", seed ? std::to_string(seed).c_str() : "its own");
    for (const Strategy strategy : strategies) {
      std::printf("%9.4f", loss({converted, convert(other.config, other.parameters, strategy)}));
      std::fflush(stdout);
    }
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "The loss of a model converted by each strategy and not trained on, its heads in several orders that are all the same\n"
      "function, and of the model with simpler changes in all layers but the first.\n"
      "Example: skipv1-initial-losses run --text other.txt --windows 64"};
  Options o;
  app.add_option("model", o.model, "a checkpoint, a run, a transformers folder, or a llama2.c file")->required();
  app.add_option("--text", o.text, "UTF-8 text")->required();
  app.add_option("--length", o.length, "tokens of a window; 0: the model's context")->capture_default_str();
  app.add_option("--windows", o.windows, "how many windows, from the first; 0: the whole text")->capture_default_str();
  app.add_option("--orders", o.orders, "orders of the heads besides the model's own")->capture_default_str();
  return run_program(app, argc, argv, [&] { print_losses(o); });
}
