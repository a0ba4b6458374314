#include "skipv1/core/bfloat16.hpp"
#include "skipv1/conformance/run_case.hpp"

namespace skipv1::conformance {

Measured measure_f64(const Case& c) {
  return run_case<double, Cpu>(c, Keep::for_backward, [](double x) { return x; });
}
Measured measure_f32(const Case& c) {
  return run_case<float, Cpu>(c, Keep::for_backward, [](double x) { return static_cast<float>(x); });
}
Measured forward_f64(const Case& c) {
  Measured m;
  run_whole(c, Decoder<double>(c.config, c.weights), Keep::nothing, m);
  return m;
}
Measured forward_backward_f64(const Case& c) {
  Measured m;
  run_whole(c, Decoder<double>(c.config, c.weights), Keep::for_backward, m);
  return m;
}
Parameters<double> gradients_f64(const Case& c) { return std::move(*forward_backward_f64(c).gradients); }
Measured measure_bf16(const Case& c) {
  return run_case<float, Cpu>(c, Keep::nothing, [](double x) { return static_cast<float>(bfloat16(x)); });
}

namespace {

/// (B, T, H, width) of what the query heads read, zeros where there is no head.
template <class Read>
Tensor<double> gather(const Case& c, std::size_t width, const Read& read) {
  Tensor<double> x = zeros<double>({c.batch(), c.length(), c.config.num_attention_heads, width});
  double* to = x.data();
  for (std::size_t b = 0; b < c.batch(); ++b) {
    for (std::size_t t = 0; t < c.length(); ++t) {
      for (std::size_t h = 0; h < c.config.num_attention_heads; ++h, to += width) {
        const Head<const double> head = read(h);
        if (head.data) std::copy_n(head.at(b, t), width, to);
      }
    }
  }
  return x;
}

/// Layer l's queries (B, T, H, d_k) before rotation, after their norm: the pass rotates them where they lie, so that they are
/// computed again.
Tensor<double> unrotated_queries(const Case& c, Activations<double>& a, std::size_t l) {
  const std::string attention = "model.layers." + std::to_string(l) + ".self_attn.", name = attention + "q_proj";
  const std::size_t heads = c.config.num_attention_heads, width = c.config.query_width();
  Tensor<double> x({c.batch() * c.length(), heads * width});
  const std::size_t rows = c.batch() * c.length(), d = c.config.hidden_size;
  Tensor<double> input({rows, d}), statistics({rows, 2});
  const std::string before = "model.layers." + std::to_string(l) + ".input_layernorm";
  const Norm<double> norm1{c.weights[before + ".weight"], c.weights[before + ".bias"], c.config.norm_epsilon};
  norm1.forward(input, norm1.bias.empty() ? View<double>(statistics.data(), {rows}) : View<double>(statistics), a.block_input(l));
  linear_forward(View<double>(x), View<double>(input), c.weights[name + ".weight"], c.weights[name + ".bias"]);
  if (const View<double> norm = c.weights[attention + "q_norm.weight"]; !norm.empty()) {
    const View<double> by_heads = View<double>(x).reshape({x.size() / width, width});
    Tensor<double> rms({x.size() / width}), normed(by_heads.shape());
    rms_norm_forward<double>(normed, rms, by_heads, norm, c.config.norm_epsilon);
    copy<double>(by_heads, normed);
  }
  return download(View<double>(x), {c.batch(), c.length(), heads, width});
}

/// The stages of one layer, in the order of the forward pass.
const char* const layer_stages[] = {"input",  "queries_unrotated", "queries_rotated", "keys",
                                    "values", "attention",         "residual",        "output"};

Tensor<double> layer_stage(const Case& c, const Decoder<double>& decoder, Activations<double>& a, std::size_t l,
                           const std::string& stage) {
  const std::size_t batch = c.batch(), length = c.length(), heads = c.config.num_attention_heads;
  const Shape rows{batch, length, c.config.hidden_size};
  const View<const HeadPair<const double>> read = decoder.heads(a, l);
  if (stage == "input") return download(a.block_input(l), rows);
  if (stage == "queries_unrotated") return unrotated_queries(c, a, l);
  if (stage == "queries_rotated") return download(View<double>(a.layer(l).query), {batch, length, heads, c.config.query_width()});
  if (stage == "keys") return gather(c, c.config.query_width(), [&](std::size_t h) { return read(h).key; });
  if (stage == "values") return gather(c, c.config.head_width(), [&](std::size_t h) { return read(h).value; });
  if (stage == "attention") return download(View<double>(a.layer(l).attention), {batch, length, heads, c.config.head_width()});
  if (stage == "residual") return download(View<double>(a.layer(l).middle), rows);
  return download(a.block_output(l + 1), rows);
}

}  // namespace

std::vector<std::string> trace_names(const Config& config) {
  std::vector<std::string> names = {"embedding"};
  for (std::size_t l = 0; l < config.num_hidden_layers; ++l)
    for (const char* stage : layer_stages) names.push_back("layer" + std::to_string(l) + "." + stage);
  names.push_back("final_norm");
  return names;
}

std::vector<std::pair<std::string, Tensor<double>>> trace(const Case& c) {
  const Decoder<double> decoder(c.config, c.weights);
  Cache<double> cache(decoder.routing(), c.batch(), c.length());
  Activations<double> a;
  decoder.forward(Batch::rectangle(c.tokens), cache, a, Keep::for_backward);
  const Shape rows{c.batch(), c.length(), c.config.hidden_size};
  std::vector<std::pair<std::string, Tensor<double>>> tensors;
  tensors.emplace_back("embedding", download(a.block_output(0), rows));
  for (std::size_t l = 0; l < c.config.num_hidden_layers; ++l)
    for (const char* stage : layer_stages)
      tensors.emplace_back("layer" + std::to_string(l) + "." + stage, layer_stage(c, decoder, a, l, stage));
  tensors.emplace_back("final_norm", download(View<double>(a.normed), rows));
  return tensors;
}

}  // namespace skipv1::conformance
