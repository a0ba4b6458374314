// Scores of one's own by `run_with` and `backward_with`: ALiBi (Press et al. 2022) within a window, in plain loops.
#include "skipv1/ops/attention/reference.hpp"
#include "tests/catch.hpp"
#include "tests/model/small_decoder.hpp"

using namespace skipv1;
using namespace skipv1::test;
using namespace skipv1::test::small;

namespace {

/// Softmax over the last `window` keys of `scale q . k - slope distance`.
struct WindowedAlibi {
  double scale, slope;
  std::size_t window;

  /// Calls `f(b, n, h, s, p_s)` for every key s that a row sees, and returns through it the softmax's weights.
  template <class F>
  void each_weight(ConstView<double> q, const RoutedHeads<double>& heads, const Sequences<Cpu>& sequences, const F& f) const {
    reference::for_each_query(sequences, q.extent(1), [&](std::size_t b, std::size_t n, std::size_t h, std::size_t seen) {
      const std::size_t first = seen - std::min(seen, window);
      std::vector<double> p;
      double sum = 0;
      for (std::size_t s = first; s < seen; ++s) {
        const double score = scale * reference::dot(&q(n, h, 0u), heads(h).key.at(b, s), q.extent(2));
        p.push_back(std::exp(score - slope * static_cast<double>(seen - 1 - s)));
        sum += p.back();
      }
      for (double& weight : p) weight /= sum;
      f(b, n, h, first, p);
    });
  }
  void forward(LayerActivations<double>& s, const RoutedHeads<double>& heads, const Sequences<Cpu>& sequences) const {
    zero(s.attention);
    each_weight(s.query, heads, sequences, [&](std::size_t b, std::size_t n, std::size_t h, std::size_t first, const auto& p) {
      for (std::size_t i = 0; i < p.size(); ++i)
        for (std::size_t d = 0; d < s.attention.extent(2); ++d) s.attention(n, h, d) += p[i] * heads(h).value.at(b, first + i)[d];
    });
  }
  void backward(GradientScratch<double>& g, View<const HeadPair<double>> dheads, const LayerActivations<double>& a,
                const RoutedHeads<double>& heads, const Sequences<Cpu>& sequences) const {
    detail::clear_overwritten<double>(all(heads.size()), dheads, heads, sequences, 0, a.query.extent(2), a.attention.extent(2));
    zero(g.query);
    each_weight(a.query, heads, sequences, [&](std::size_t b, std::size_t n, std::size_t h, std::size_t first, const auto& p) {
      const std::size_t d_k = a.query.extent(2), d_v = a.attention.extent(2);
      const double delta = reference::dot(&g.attention(n, h, 0u), &a.attention(n, h, 0u), d_v);
      for (std::size_t i = 0; i < p.size(); ++i) {
        const std::size_t s = first + i;
        const double ds = scale * p[i] * (reference::dot(&g.attention(n, h, 0u), heads(h).value.at(b, s), d_v) - delta);
        for (std::size_t d = 0; d < d_v; ++d) dheads(h).value.at(b, s)[d] += p[i] * g.attention(n, h, d);
        for (std::size_t d = 0; d < d_k; ++d) {
          g.query(n, h, d) += ds * heads(h).key.at(b, s)[d];
          dheads(h).key.at(b, s)[d] += ds * a.query(n, h, d);
        }
      }
    });
  }
  static std::vector<std::size_t> all(std::size_t count) {
    std::vector<std::size_t> heads(count);
    for (std::size_t h = 0; h < count; ++h) heads[h] = h;
    return heads;
  }
};

constexpr std::size_t text_length = 9;

View<double> pass(const Decoder<double>& decoder, const WindowedAlibi& kernel, const Batch& batch, Cache<double>& cache,
                  Activations<double>& a, Keep keep = Keep::nothing) {
  decoder.place(batch, cache, a, keep);
  const View<double> logits = decoder.run_with([&](std::size_t) { return kernel; }, cache, a);
  cache.grow(batch.counts);
  return logits;
}

}  // namespace

TEST_CASE("scores of one's own: without slope and window softmax attention, cached as in one pass, and differentiable") {
  for (const char* variant : {"mha", "skipv1", "yoco"}) {
    CAPTURE(variant);
    const Model model(base(variant));
    const std::vector<std::int32_t> tokens = draw_tokens(text_length + 1), inputs(tokens.begin(), tokens.end() - 1),
                                    targets(tokens.begin() + 1, tokens.end());
    Cache<double> cache(model.decoder.routing(), 1, text_length), plain = cache, steps = cache, scratch = cache;
    Activations<double> a, b;
    const WindowedAlibi softmax{model.decoder.scale(), 0, text_length}, kernel{model.decoder.scale(), 0.3, 4};
    CHECK(error(pass(model.decoder, softmax, {inputs, {text_length}}, cache, a),
                model.decoder.forward({inputs, {text_length}}, plain, b)) < 1e-12);

    cache.reset();
    const View<double> whole = pass(model.decoder, kernel, {inputs, {text_length}}, cache, a, Keep::for_backward);
    for (std::size_t t = 0; t < text_length; ++t)
      CHECK(error(pass(model.decoder, kernel, {{inputs[t]}, {1}}, steps, b), whole.slice(t, 1)) < 1e-12);

    const Parameters<double> gradients(model.decoder.config());
    model.decoder.loss(targets, a);
    model.decoder.backward_with([&](std::size_t) { return kernel; }, gradients, scratch, a);
    const auto loss = [&] {
      cache.reset();
      pass(model.decoder, kernel, {inputs, {text_length}}, cache, b);
      return model.decoder.loss(targets, b);
    };
    CHECK(gradient_error(model.parameters.flat(), gradients.flat(), loss) < 1e-6);
  }
}
