// What a trained model holds where: least-squares read-outs and cosine similarities of its activations.
#pragma once

#include <vector>

#include "skipv1/core/linear_algebra.hpp"
#include "skipv1/mesa/learner.hpp"

namespace skipv1::mesa {

/// `R^2` of the best affine map from features (N, p) to targets (N, q): fitted to the first half of the rows, measured on the
/// other, over all q together. 1: everything can be read out; 0 or less: nothing. `ridge` times the trace of the features'
/// second moments keeps the map small. Throws unless a half has more than p + 1 rows.
inline double read_out(View<const double> features, View<const double> targets, double ridge = 0) {
  const std::size_t n = features.extent(0), p = features.extent(1) + 1, q = targets.extent(1), half = n / 2;
  require(targets.extent(0) == n && half > p, "read-out: ", n, " rows of ", p - 1, " features and ", targets.extent(0),
          " targets: as many, and at least ", 2 * p + 2, " are needed");
  const Tensor<double> x({n, p});
  for (std::size_t i = 0; i < n; ++i) {
    std::copy_n(&features(i, 0), p - 1, &x(i, 0));
    x(i, p - 1) = 1;
  }
  const Tensor<double> gram = zeros<double>({p, p}), cross = zeros<double>({p, q}), fit = zeros<double>({n - half, q});
  gemm(Transpose::yes, Transpose::no, p, p, half, 1., x.data(), p, x.data(), p, 0., gram.data(), p);
  gemm(Transpose::yes, Transpose::no, p, q, half, 1., x.data(), p, targets.data(), q, 0., cross.data(), q);
  double trace = 0;
  for (std::size_t i = 0; i < p; ++i) trace += gram(i, i);
  for (std::size_t i = 0; i < p; ++i) gram(i, i) += (1e-10 + ridge) * trace;  // features may depend on each other
  const Tensor<double> map = solve(gram, cross);
  gemm(Transpose::no, Transpose::no, n - half, q, p, 1., &x(half, 0), p, map.data(), q, 0., fit.data(), q);
  double missed = 0, total = 0;
  for (std::size_t j = 0; j < q; ++j) {
    double mean = 0;
    for (std::size_t i = half; i < n; ++i) mean += targets(i, j) / static_cast<double>(n - half);
    for (std::size_t i = half; i < n; ++i) {
      missed += (targets(i, j) - fit(i - half, j)) * (targets(i, j) - fit(i - half, j));
      total += (targets(i, j) - mean) * (targets(i, j) - mean);
    }
  }
  return 1 - missed / total;
}

/// The cosine of the angle between two vectors of length `width`; 0 where one of them is zero.
template <class T>
double cosine(const T* a, const T* b, std::size_t width) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < width; ++i) {
    dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return aa > 0 && bb > 0 ? dot / std::sqrt(aa * bb) : 0;
}

/// The mean cosine between the outputs of two heads at the same place; attention (N, H, d_v), H >= 2.
template <class T>
double head_similarity(View<const T> attention) {
  const std::size_t n = attention.extent(0), heads = attention.extent(1), width = attention.extent(2);
  require(heads >= 2, "head similarity: ", heads, " head: at least 2 are needed");
  double sum = 0;
  for (std::size_t t = 0; t < n; ++t)
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t g = 0; g < h; ++g) sum += cosine(&attention(t, h, 0u), &attention(t, g, 0u), width);
  return sum / static_cast<double>(n * heads * (heads - 1) / 2);
}

/// The mean cosine between the rows of two places of the same sequence; stream (B T, d), T >= 2.
template <class T>
double token_similarity(View<const T> stream, std::size_t length) {
  require(length >= 2 && stream.extent(0) % length == 0, "token similarity: ", stream.extent(0), " rows in sequences of ",
          length);
  double sum = 0;
  for (std::size_t t = 0; t < stream.extent(0); ++t)
    for (std::size_t s = t - t % length; s < t; ++s) sum += cosine(&stream(t, 0u), &stream(s, 0u), stream.extent(1));
  return sum / static_cast<double>(stream.extent(0) * (length - 1) / 2);
}

/// What `probe` finds, layer by layer.
struct Probes {
  std::vector<double> x, y;   ///< (L) `R^2` of the raw pair from all that the layer's value heads can see at y's place
  std::vector<double> label;  ///< (L + 1) `1 - R^2` of the query's label from the residual stream, before and after blocks
  std::vector<double> heads, tokens;  ///< (L) mean cosines: of two heads' outputs at one place, of two places' block outputs
};

namespace detail {

/// Which value heads of other layers layer l reads (each once), by name; ResFormer reads all of layer 0's.
inline std::vector<HeadName> foreign_values(const Routing& routing, std::size_t l) {
  std::vector<HeadName> names;
  for (std::size_t h = 0; h < routing.heads; ++h) {
    const HeadName& name = routing.value(l, h);
    if (!name.none() && name.layer != l && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  if (routing.mixes_values && l > 0)
    for (std::size_t g = 0; g < routing.owned_values[0]; ++g) names.push_back({0, g});
  return names;
}

/// A copy in host memory.
template <class T, class Space>
Tensor<T> on_host(View<T, Space> x) {
  Tensor<T> y(x.shape());
  copy(View<T>(y), ConstView<T, Space>(x));
  return y;
}

}  // namespace detail

/// Looks into a model that has just read `prompts` with `Keep::for_backward`. Heads that are means of two are not looked into.
template <class T, class Space>
Probes probe(Learner<T, Space>& learner, const Prompts<T>& prompts) {
  const StackConfig& config = learner.stack().config();
  const Routing& routing = learner.stack().routing();
  Activations<T, Space>& a = learner.activations();
  const std::size_t batch = prompts.batch(), dim = prompts.dim(), width = config.width, d_v = routing.value_width,
                    pair = prompts.pairs() / 2, query = prompts.pairs() - 1, layers = config.layers;
  require(a.keep == Keep::for_backward && a.rows == batch * prompts.length(), "probe: read the prompts first, kept for backward");
  const Tensor<double> x({batch, dim}), y(x.shape()), label(x.shape());
  for (std::size_t b = 0; b < batch; ++b) {
    for (std::size_t j = 0; j < dim; ++j) {
      x(b, j) = static_cast<double>(prompts.features(prompts.row_of_x(b, pair), j));
      y(b, j) = static_cast<double>(prompts.labels(b, pair, j));
      label(b, j) = static_cast<double>(prompts.labels(b, query, j));
    }
  }
  const auto rows_of = [&](const Tensor<T>& stream, std::size_t extra, const auto& row) {
    const Tensor<double> rows({batch, width + extra});
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t i = 0; i < width; ++i) rows(b, i) = static_cast<double>(stream(row(b), i));
    return rows;
  };
  Probes found;
  for (std::size_t l = 0; l <= layers; ++l) {
    const Tensor<T> input = detail::on_host(a.block_input(l));
    found.label.push_back(1 - read_out(rows_of(input, 0, [&](std::size_t b) { return prompts.row_of_x(b, query); }), label));
    if (l == layers) break;
    const std::vector<HeadName> names = detail::foreign_values(routing, l);
    const Tensor<double> seen = rows_of(input, names.size() * d_v, [&](std::size_t b) { return prompts.row_of_y(b, pair); });
    for (std::size_t k = 0; k < names.size(); ++k) {
      const Tensor<T> values = detail::on_host(learner.cache().values(names[k].layer));
      for (std::size_t b = 0; b < batch; ++b)
        for (std::size_t i = 0; i < d_v; ++i)
          seen(b, width + k * d_v + i) = static_cast<double>(values(b, 2 * pair + 1, names[k].head * d_v + i));
    }
    found.x.push_back(read_out(seen, x));
    found.y.push_back(read_out(seen, y));
    found.heads.push_back(head_similarity<T>(detail::on_host<T, Space>(a.layer(l).attention)));
    found.tokens.push_back(token_similarity<T>(detail::on_host(a.block_output(l + 1)), prompts.length()));
  }
  return found;
}

}  // namespace skipv1::mesa
