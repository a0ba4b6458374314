#include "skipv1/core/bfloat16.hpp"
#include "skipv1/conformance/run_case.hpp"

namespace skipv1::conformance {

Measured measure_f64(const Case& c) {
  return run_case<double, Cpu>(c, true, [](double x) { return x; });
}
Measured measure_f32(const Case& c) {
  return run_case<float, Cpu>(c, true, [](double x) { return static_cast<float>(x); });
}
Parameters<double> gradients_f64(const Case& c) {
  Measured m;
  run_whole(c, Decoder<double>(c.config, c.weights), true, m);
  return std::move(*m.gradients);
}
Measured measure_bf16(const Case& c) {
  return run_case<float, Cpu>(c, false, [](double x) { return static_cast<float>(bfloat16(x)); });
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

}  // namespace

std::vector<std::pair<std::string, Tensor<double>>> trace(const Case& c) {
  const Decoder<double> decoder(c.config, c.weights);
  Cache<double> cache(decoder.routing(), c.batch(), c.length());
  Activations<double> a;
  decoder.forward(Batch::rectangle(c.tokens), cache, a, Keep::for_backward);
  const std::size_t batch = c.batch(), length = c.length(), heads = c.config.num_attention_heads;
  std::vector<std::pair<std::string, Tensor<double>>> tensors;
  for (std::size_t l = 0; l < c.config.num_hidden_layers; ++l) {
    const std::string layer = "layer" + std::to_string(l) + ".";
    const View<const HeadPair<const double>> read = decoder.heads(a, l);
    tensors.emplace_back(layer + "keys", gather(c, c.config.query_width(), [&](std::size_t h) { return read(h).key; }));
    tensors.emplace_back(layer + "values", gather(c, c.config.head_width(), [&](std::size_t h) { return read(h).value; }));
    tensors.emplace_back(layer + "attention",
                         download(View<double>(a.layer(l).attention), {batch, length, heads, c.config.head_width()}));
    tensors.emplace_back(layer + "output", download(a.block_output(l + 1), {batch, length, c.config.hidden_size}));
  }
  return tensors;
}

}  // namespace skipv1::conformance
