// Tutorial 03: an implementation with three mistakes. Its tensors, held against the library's in the order of the forward pass,
// lead to each of them.
#include <cstdio>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/model/decoder.hpp"
#include "skipv1/conformance/draw.hpp"

using namespace skipv1;

namespace {

using Tensors = std::vector<std::pair<std::string, Tensor<double>>>;  // in the order of the forward pass

/// A llama SkipV1Former as somebody might write it. Of its three mistakes the first `repaired` are repaired.
class Mine {
 public:
  Mine(const Config& config, const Parameters<double>& weights, int repaired) : c_(config), w_(weights), repaired_(repaired) {}

  /// Every layer's keys, values, attention and output, and the logits. tokens (B, T).
  Tensors forward(View<const std::int32_t> tokens) const {
    const std::size_t B = tokens.extent(0), T = tokens.extent(1), d = c_.hidden_size, H = c_.num_attention_heads, d_h = d / H;
    Tensor<double> x({B, T, d}), source;
    for (std::size_t n = 0; n < B * T; ++n)
      std::copy_n(&w_["model.embed_tokens.weight"](tokens.data()[n], 0u), d, x.data() + n * d);
    Tensors tensors;
    for (std::size_t l = 0; l < c_.num_hidden_layers; ++l) {
      const std::string layer = "model.layers." + std::to_string(l) + ".", self = layer + "self_attn.", mlp = layer + "mlp.";
      const Tensor<double> y = norm(x, layer + "input_layernorm");
      const Tensor<double> q = rotated(linear(y, self + "q_proj")), k = rotated(linear(y, self + "k_proj")),
                           v = linear(y, self + "v_proj");
      if (l == 0) source = v;
      Tensor<double> keys({B, T, H, d_h}), values({B, T, H, d_h});
      read_heads(keys, values, k, v, source);
      const Tensor<double> o = attend(q, keys, values);
      add(x, x, linear(o.reshape({B, T, d}), self + "o_proj"));
      const Tensor<double> z = norm(x, layer + "post_attention_layernorm"), gate = linear(z, mlp + "gate_proj"),
                           up = linear(z, mlp + "up_proj");
      for (std::size_t i = 0; i < up.size(); ++i) up.data()[i] *= gate.data()[i] / (1 + std::exp(-gate.data()[i]));
      add(x, x, linear(up, mlp + "down_proj"));
      const std::string name = "layer" + std::to_string(l) + ".";
      for (const auto& [part, tensor] : Tensors{{"keys", keys}, {"values", values}, {"attention", o}, {"output", x}})
        tensors.emplace_back(name + part, tensor);
    }
    tensors.emplace_back("logits", linear(norm(x, "model.norm"), c_.tie_word_embeddings ? "model.embed_tokens" : "lm_head"));
    return tensors;
  }

 private:
  /// The key head and the value head of each query head, copied side by side. Two of the mistakes are here.
  void read_heads(const Tensor<double>& keys, const Tensor<double>& values, const Tensor<double>& k, const Tensor<double>& v,
                  const Tensor<double>& source) const {
    const std::size_t H = keys.extent(2), d_h = keys.extent(3), H_kv = c_.num_key_value_heads, own = v.width() / d_h;
    for (std::size_t n = 0; n < keys.size() / (H * d_h); ++n) {
      for (std::size_t h = 0; h < H; ++h) {
        const std::size_t g = repaired_ >= 1 ? h * H_kv / H : h % H_kv;  // mistake 1: heads repeated in turn, not group by group
        const std::size_t skipped = repaired_ >= 3 ? g : g - own;        // mistake 3: the source's first heads, not its last
        std::copy_n(k.data() + n * k.width() + g * d_h, d_h, keys.data() + (n * H + h) * d_h);
        const double* from = g < own ? v.data() + n * v.width() + g * d_h : source.data() + n * source.width() + skipped * d_h;
        std::copy_n(from, d_h, values.data() + (n * H + h) * d_h);
      }
    }
  }

  Tensor<double> attend(const Tensor<double>& q, const Tensor<double>& keys, const Tensor<double>& values) const {
    const std::size_t B = keys.extent(0), T = keys.extent(1), H = keys.extent(2), d_h = keys.extent(3);
    const double scale =
        1 / std::sqrt(static_cast<double>(repaired_ >= 2 ? d_h : H * d_h));  // mistake 2: the model's width, not the head's
    const View<double> query = q.reshape(keys.shape());
    const Tensor<double> out = zeros<double>(keys.shape());
    for (std::size_t b = 0; b < B; ++b) {
      for (std::size_t t = 0; t < T; ++t) {
        for (std::size_t h = 0; h < H; ++h) {
          std::vector<double> p(t + 1);
          double sum = 0;
          for (std::size_t s = 0; s <= t; ++s) {
            for (std::size_t i = 0; i < d_h; ++i) p[s] += scale * query(b, t, h, i) * keys(b, s, h, i);
            sum += p[s] = std::exp(p[s]);
          }
          for (std::size_t s = 0; s <= t; ++s)
            for (std::size_t i = 0; i < d_h; ++i) out(b, t, h, i) += p[s] / sum * values(b, s, h, i);
        }
      }
    }
    return out;
  }

  Tensor<double> linear(View<const double> x, const std::string& name) const {
    const View<double> w = w_[name + ".weight"];
    const Tensor<double> y = zeros<double>({x.extent(0), x.extent(1), w.extent(0)});
    for (std::size_t n = 0; n < x.rows(); ++n)
      for (std::size_t o = 0; o < w.extent(0); ++o)
        for (std::size_t i = 0; i < w.extent(1); ++i) y.data()[n * w.extent(0) + o] += w(o, i) * x.data()[n * w.extent(1) + i];
    return y;
  }
  Tensor<double> norm(const Tensor<double>& x, const std::string& name) const {
    Tensor<double> y(x.shape());
    for (std::size_t n = 0; n < x.rows(); ++n) {
      const double* row = x.data() + n * x.width();
      double square = 0;
      for (std::size_t i = 0; i < x.width(); ++i) square += row[i] * row[i];
      const double scale = 1 / std::sqrt(square / static_cast<double>(x.width()) + c_.norm_epsilon);
      for (std::size_t i = 0; i < x.width(); ++i) y.data()[n * x.width() + i] = row[i] * scale * w_[name + ".weight"](i);
    }
    return y;
  }
  Tensor<double> rotated(Tensor<double> x) const {
    const std::size_t d_h = c_.head_width(), T = x.extent(1), half = d_h / 2;
    for (std::size_t at = 0; at < x.size(); at += d_h) {
      const double t = static_cast<double>(at / x.width() % T);
      for (std::size_t i = 0; i < half; ++i) {
        const double p = t * std::pow(c_.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(d_h));
        const double a = x.data()[at + i], b = x.data()[at + i + half];
        x.data()[at + i] = a * std::cos(p) - b * std::sin(p);
        x.data()[at + i + half] = b * std::cos(p) + a * std::sin(p);
      }
    }
    return x;
  }

  const Config& c_;
  const Parameters<double>& w_;
  int repaired_;
};

/// The same tensors from the library: `skipv1-check --trace` writes them.
Tensors library(const Config& c, const Parameters<double>& weights, const Tensor<std::int32_t>& tokens) {
  const std::size_t B = tokens.extent(0), T = tokens.extent(1), H = c.num_attention_heads, d_h = c.head_width();
  const Decoder<double> decoder(c, weights);
  Cache<double> cache(decoder.routing(), B, T);
  Activations<double> a;
  const View<double> logits = decoder.forward(Batch::rectangle(tokens), cache, a, Keep::for_backward);
  Tensors tensors;
  const auto keep = [&](const std::string& name, View<double> x, Shape shape) {
    tensors.emplace_back(name, Tensor<double>(shape));
    copy<double>(tensors.back().second, x.reshape(shape));
  };
  for (std::size_t l = 0; l < c.num_hidden_layers; ++l) {
    const std::string name = "layer" + std::to_string(l) + ".";
    const Tensor<double> keys({B, T, H, d_h}), values({B, T, H, d_h});
    for (std::size_t n = 0; n < B * T * H; ++n) {
      const HeadPair<const double>& read = decoder.heads(a, l)(n % H);
      std::copy_n(read.key.at(n / H / T, n / H % T), d_h, keys.data() + n * d_h);
      std::copy_n(read.value.at(n / H / T, n / H % T), d_h, values.data() + n * d_h);
    }
    keep(name + "keys", keys, keys.shape());
    keep(name + "values", values, values.shape());
    keep(name + "attention", a.layer(l).attention, {B, T, H, d_h});
    keep(name + "output", a.block_output(l + 1), {B, T, c.hidden_size});
  }
  keep("logits", logits, {B, T, c.vocab_size});
  return tensors;
}

/// The index of element i: [b=0, t=1, h=2, d=3].
std::string place(const Shape& shape, const std::string& letters, std::size_t i) {
  std::string text = "]";
  for (std::size_t axis = shape.rank(); axis-- > 0; i /= shape[axis])
    text = (axis ? ", " : "[") + std::string(1, letters[axis]) + "=" + std::to_string(i % shape[axis]) + text;
  return text;
}

/// Prints the error of each tensor, and the first place where one is wrong.
void compare(const Tensors& actual, const Tensors& expected) {
  std::string first;
  std::printf("  %17s%11s%11s%11s\n", "keys", "values", "attention", "output");
  for (std::size_t n = 0; n < expected.size(); ++n) {
    const auto& [name, right] = expected[n];
    const Tensor<double>& mine = actual[n].second;
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
      largest = std::max(largest, std::abs(right.data()[i]));
      difference = std::max(difference, std::abs(mine.data()[i] - right.data()[i]));
    }
    const bool wrong = !(difference / largest <= 1e-10);
    char error[16];
    std::snprintf(error, sizeof error, wrong ? "%.1e" : "ok", difference / largest);
    if (name == "logits" || name.ends_with("keys")) std::printf("  %s", name.substr(0, 6).c_str());
    std::printf("%11s%s", error, name == "logits" || name.ends_with("output") ? "\n" : "");
    for (std::size_t i = 0; wrong && first.empty() && i < right.size(); ++i) {
      if (std::abs(mine.data()[i] - right.data()[i]) <= 1e-10 * largest) continue;
      char numbers[64];
      std::snprintf(numbers, sizeof numbers, ": expected %.4f, actual %.4f", right.data()[i], mine.data()[i]);
      first = name + ", first at " +
              place(right.shape(),
                    name == "logits"            ? "btv"
                    : right.shape().rank() == 4 ? "bthd"
                                                : "btd",
                    i) +
              numbers;
    }
  }
  std::printf("  first difference: %s\n\n", first.empty() ? "none" : first.c_str());
}

/// The model of data/conformance/llama_skipv1_grouped.
Config grouped() {
  Config c;
  c.vocab_size = 31, c.hidden_size = 12, c.intermediate_size = 10, c.num_hidden_layers = 3, c.num_attention_heads = 6;
  c.num_key_value_heads = 3, c.max_position_embeddings = 11, c.rope_theta = 1000, c.tie_word_embeddings = false;
  c.attention.variant = "skipv1", c.attention.skip_ratio = 0.75;
  return c;
}

void tutorial(const std::string& out) {
  constexpr std::uint64_t seed = 8;
  if (!out.empty()) require_writable_folder(out);
  const Config c = grouped();
  const Parameters<double> weights(c);
  conformance::draw_weights(weights, c, seed);
  const Tensor<std::int32_t> tokens({2, 7});
  const std::vector<std::int32_t> drawn = conformance::draw_tokens(tokens.size(), c.vocab_size, seed);
  std::copy(drawn.begin(), drawn.end(), tokens.data());
  const Tensors expected = library(c, weights, tokens);
  const char* attempts[] = {"as first written", "heads repeated group by group", "scores scaled by the head's width",
                            "skipped slots read the source's last heads"};
  for (int repaired = 0; repaired < 4; ++repaired) {
    const Tensors mine = Mine(c, weights, repaired).forward(tokens);
    std::printf("Attempt %d: %s\n", repaired + 1, attempts[repaired]);
    compare(mine, expected);
    if (out.empty()) continue;
    NewFiles attempt(std::filesystem::path(out) / ("attempt" + std::to_string(repaired + 1)));
    for (const auto& [name, tensor] : mine) write_npy<double>(attempt.path() / (name + ".npy"), tensor);
    attempt.commit();
  }
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "An implementation with three mistakes, found one after the other.\n"
      "Example: 03-validate-your-implementation --out attempts"};
  std::string out;
  app.add_option("--out", out, "write each attempt's tensors to a folder in here, for skipv1-check --actual");
  return run_program(app, argc, argv, [&] { tutorial(out); });
}
