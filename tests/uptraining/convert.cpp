// Conversions against formulas written out once more: whole matrices, plain loops, an eigensolver of the test's own.
#include "skipv1/uptraining/convert.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix matrix(View<double> x) {
  Matrix m(x.rows(), std::vector<double>(x.width()));
  for (std::size_t i = 0; i < x.size(); ++i) m[i / x.width()][i % x.width()] = x.data()[i];
  return m;
}
Matrix column(View<double> x) { return matrix(x.reshape({x.size(), 1})); }
Matrix transposed(const Matrix& a) {
  Matrix b(a[0].size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[0].size(); ++j) b[j][i] = a[i][j];
  return b;
}
Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix c(a.size(), std::vector<double>(b[0].size(), 0));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b[0].size(); ++j)
      for (std::size_t k = 0; k < b.size(); ++k) c[i][j] += a[i][k] * b[k][j];
  return c;
}
double distance(const Matrix& a, const Matrix& b) {
  if (a.size() != b.size() || a[0].size() != b[0].size()) return std::numeric_limits<double>::infinity();
  double most = 0, scale = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[0].size(); ++j) {
      most = std::max(most, std::abs(a[i][j] - b[i][j]));
      scale = std::max(scale, std::abs(b[i][j]));
    }
  }
  return most / scale;
}

/// Eigenvectors (columns) of a symmetric matrix by Jacobi's rotations, largest eigenvalue first.
Matrix eigenvectors(Matrix a) {
  const std::size_t n = a.size();
  Matrix v(n, std::vector<double>(n, 0));
  for (std::size_t i = 0; i < n; ++i) v[i][i] = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        const double angle = 0.5 * std::atan2(2 * a[p][q], a[q][q] - a[p][p]), c = std::cos(angle), s = std::sin(angle);
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a[k][p], y = a[k][q], z = v[k][p], w = v[k][q];
          a[k][p] = c * x - s * y, a[k][q] = s * x + c * y;
          v[k][p] = c * z - s * w, v[k][q] = s * z + c * w;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y, a[q][k] = s * x + c * y;
        }
      }
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return a[i][i] > a[j][j]; });
  Matrix sorted = v;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) sorted[i][j] = v[i][order[j]];
  return sorted;
}

struct Model {
  Config config;
  Parameters<double> parameters;
  std::string at(std::size_t l, const char* tensor) const { return "model.layers." + std::to_string(l) + ".self_attn." + tensor; }
};

constexpr std::size_t width = 12, head = 3;  // of the models without groups; with groups, twice the query heads

Model model(Architecture architecture, bool grouped, std::uint64_t seed = 7) {
  Config c;
  c.architecture = architecture;
  c.vocab_size = 11, c.intermediate_size = 5, c.num_hidden_layers = 3, c.max_position_embeddings = 6;
  c.hidden_size = architecture == Architecture::llama ? 16 : width;
  c.num_attention_heads = grouped ? (architecture == Architecture::llama ? 8 : 12) : 4, c.num_key_value_heads = 4;
  c.attention.variant = grouped ? "gqa" : "mha";
  if (architecture == Architecture::llama && grouped) c.head_dim = 6, c.qkv_bias = c.qk_norm = true;  // as Qwen's
  Model m{c, Parameters<double>(c)};
  Random random(seed);
  for (const auto& entry : m.parameters.layout().entries()) {
    const View<double> x = m.parameters[entry.name];
    for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = random.normal();
  }
  return m;
}

const Architecture architectures[] = {Architecture::gpt2, Architecture::llama};

/// Rows of value head g.
Matrix rows(const Matrix& x, std::size_t g, std::size_t count) {
  return {x.begin() + static_cast<std::ptrdiff_t>(g * count), x.begin() + static_cast<std::ptrdiff_t>((g + 1) * count)};
}
/// What W_O does with each value head: (d, groups * d_h), the columns of one group's query heads added up.
Matrix gathered(const Matrix& output, const Config& c) {
  const std::size_t w = c.head_width(), queries = c.num_attention_heads / c.num_key_value_heads;
  Matrix sum(output.size(), std::vector<double>(c.num_key_value_heads * w, 0));
  for (std::size_t i = 0; i < output.size(); ++i)
    for (std::size_t h = 0; h < c.num_attention_heads; ++h)
      for (std::size_t k = 0; k < w; ++k) sum[i][h / queries * w + k] += output[i][h * w + k];
  return sum;
}
double squares(const Matrix& x) {
  double sum = 0;
  for (const auto& row : x)
    for (const double value : row) sum += value * value;
  return sum;
}
/// The two of four blocks with the largest norms.
std::vector<std::size_t> two_largest(const std::vector<Matrix>& blocks) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < 4; ++i) {
    std::size_t larger = 0;
    for (const Matrix& other : blocks) larger += squares(other) > squares(blocks[i]) ? 1 : 0;
    if (larger < 2) chosen.push_back(i);
  }
  return chosen;
}

}  // namespace

TEST_CASE("a converted configuration is SkipV1Former's; what cannot be converted is an error") {
  Config c = model(Architecture::llama, true).config;
  const Config to = converted_config(c);
  CHECK(to.attention.variant == "skipv1");
  CHECK(to.attention.skip_ratio == 0.5);
  CHECK(to.num_key_value_heads == 4);
  CHECK(make_routing(to).owned_values == std::vector<std::size_t>{4, 2, 2});
  c.num_attention_heads = c.num_key_value_heads = 1;
  c.attention.variant = "mha";
  CHECK_THAT(message([&] { converted_config(c); }), Catch::Contains("num_key_value_heads is 1: must be even"));
  CHECK_THAT(message([&] { converted_config(to); }), Catch::Contains("variant is skipv1: must be mha or gqa"));
  for (const Strategy s : strategies) CHECK(parse_strategy(to_string(s)) == s);
  CHECK_THAT(message([] { parse_strategy("mean"); }), Catch::Contains("\"mean\" is unknown; known are mean_v, "));
}

TEST_CASE("a conversion leaves everything else as it was") {
  for (const Architecture architecture : architectures) {
    for (const bool grouped : {false, true}) {
      const Model old = model(architecture, grouped);
      for (const Strategy strategy : strategies) {
        const Parameters<double> converted = convert(old.config, old.parameters, strategy);
        const bool keeps_output = strategy == Strategy::mean_v || strategy == Strategy::top_v;
        for (const auto& entry : old.parameters.layout().entries()) {
          INFO(to_string(architecture) << ' ' << to_string(strategy) << ' ' << entry.name);
          const bool later = entry.name.find("layers.0.") == std::string::npos;
          const bool value = later && entry.name.find("v_proj") != std::string::npos;
          const bool output = later && entry.name.find("o_proj.weight") != std::string::npos;
          const View<double> was = old.parameters[entry.name], is = converted[entry.name];
          if (value) {
            CHECK(2 * is.size() == was.size());
          } else {
            CHECK(same_bits(was, is) == (!output || keeps_output));
          }
        }
      }
    }
  }
}

TEST_CASE("mean_v and mean_vo are means of neighbouring heads, groups moving as a whole") {
  for (const Architecture architecture : architectures) {
    for (const bool grouped : {false, true}) {
      const Model old = model(architecture, grouped);
      const std::size_t w = old.config.head_width(), block = old.config.num_attention_heads / 4 * w;
      for (const Strategy strategy : {Strategy::mean_v, Strategy::mean_vo}) {
        const Parameters<double> converted = convert(old.config, old.parameters, strategy);
        for (std::size_t l : {1u, 2u}) {
          for (const char* tensor : {"v_proj.weight", "v_proj.bias"}) {
            const View<double> value = old.parameters[old.at(l, tensor)];
            if (value.empty()) continue;
            const bool bias = value.shape().rank() == 1;
            const Matrix was = bias ? column(value) : matrix(value);
            Matrix mean(2 * w, std::vector<double>(was[0].size()));
            for (std::size_t i = 0; i < 2 * w; ++i)
              for (std::size_t k = 0; k < was[0].size(); ++k)
                mean[i][k] = 0.5 * was[2 * (i / w) * w + i % w][k] + 0.5 * was[(2 * (i / w) + 1) * w + i % w][k];
            const View<double> is = converted[old.at(l, tensor)];
            CHECK(distance(bias ? column(is) : matrix(is), mean) < 1e-12);
          }
          if (strategy == Strategy::mean_v) continue;
          const Matrix was = matrix(old.parameters[old.at(l, "o_proj.weight")]);
          Matrix mean(was.size(), std::vector<double>(4 * block, 0));
          for (std::size_t i = 0; i < was.size(); ++i)
            for (std::size_t k = 0; k < 2 * block; ++k)
              mean[i][k] =
                  0.5 * was[i][2 * (k / block) * block + k % block] + 0.5 * was[i][(2 * (k / block) + 1) * block + k % block];
          CHECK(distance(matrix(converted[old.at(l, "o_proj.weight")]), mean) < 1e-12);
        }
      }
    }
  }
}

TEST_CASE("top_v and top_vo keep the heads of the largest weights, in order, each side for itself") {
  std::size_t differently = 0;
  for (const Architecture architecture : architectures) {
    for (const bool grouped : {false, true}) {
      const Model old = model(architecture, grouped);
      const std::size_t w = old.config.head_width(), block = old.config.num_attention_heads / 4 * w;
      for (const Strategy strategy : {Strategy::top_v, Strategy::top_vo}) {
        const Parameters<double> converted = convert(old.config, old.parameters, strategy);
        for (std::size_t l : {1u, 2u}) {
          const Matrix value = matrix(old.parameters[old.at(l, "v_proj.weight")]);
          const Matrix output = transposed(matrix(old.parameters[old.at(l, "o_proj.weight")]));
          std::vector<Matrix> heads, blocks;
          for (std::size_t g = 0; g < 4; ++g) heads.push_back(rows(value, g, w)), blocks.push_back(rows(output, g, block));
          const std::vector<std::size_t> values = two_largest(heads), outputs = two_largest(blocks);
          differently += values != outputs ? 1 : 0;
          const Matrix is = matrix(converted[old.at(l, "v_proj.weight")]);
          for (std::size_t j : {0u, 1u}) {
            CHECK(rows(is, j, w) == heads[values[j]]);
            if (const View<double> bias = converted[old.at(l, "v_proj.bias")]; !bias.empty())
              CHECK(rows(column(bias), j, w) == rows(column(old.parameters[old.at(l, "v_proj.bias")]), values[j], w));
          }
          if (strategy == Strategy::top_v) continue;
          const Matrix new_output = transposed(matrix(converted[old.at(l, "o_proj.weight")]));
          for (std::size_t j : {0u, 1u}) {
            CHECK(rows(new_output, j, block) == blocks[outputs[j]]);
            CHECK(squares(rows(new_output, 2 + j, block)) == 0);
          }
        }
      }
    }
  }
  CHECK(differently > 0);
}

TEST_CASE("of heads of equal norm the first are kept") {
  Model old = model(Architecture::gpt2, false);
  const View<double> value = old.parameters[old.at(1, "v_proj.weight")];
  for (std::size_t i = 0; i < value.size(); ++i) value.data()[i] = 1 + static_cast<double>(i % (head * width));
  const Parameters<double> converted = convert(old.config, old.parameters, Strategy::top_v);
  const Matrix bias = column(old.parameters[old.at(1, "v_proj.bias")]), is = column(converted[old.at(1, "v_proj.bias")]);
  CHECK(is == Matrix(bias.begin(), bias.begin() + 2 * head));
}

TEST_CASE("svd is the best approximation of half the rank, the bias the closest to what W_O makes of the old one") {
  for (const Architecture architecture : architectures) {
    for (const bool grouped : {false, true}) {
      INFO(to_string(architecture) << (grouped ? " grouped" : ""));
      const Model old = model(architecture, grouped);
      const std::size_t rank = 2 * old.config.head_width(), d = old.config.hidden_size;
      const Parameters<double> converted = convert(old.config, old.parameters, Strategy::svd);
      for (std::size_t l : {1u, 2u}) {
        const Matrix outputs = gathered(matrix(old.parameters[old.at(l, "o_proj.weight")]), old.config);
        const Matrix product = outputs * matrix(old.parameters[old.at(l, "v_proj.weight")]);
        Matrix directions = eigenvectors(transposed(product) * product);  // right singular vectors
        for (auto& row : directions) row.resize(rank);
        const Matrix best = product * directions * transposed(directions);

        const Matrix right = matrix(converted[old.at(l, "v_proj.weight")]);
        Matrix left = gathered(matrix(converted[old.at(l, "o_proj.weight")]), old.config);
        for (std::size_t i = 0; i < d; ++i) {
          for (std::size_t k = rank; k < left[0].size(); ++k) CHECK(left[i][k] == 0);
          left[i].resize(rank);
        }
        CHECK(distance(left * right, best) < 1e-12);
        for (std::size_t k = 1; k < rank; ++k) CHECK(squares({right[k]}) <= squares({right[k - 1]}));

        const View<double> bias = old.parameters[old.at(l, "v_proj.bias")];
        if (bias.empty()) continue;
        // The pseudo-inverse of a matrix of full column rank solves the normal equations.
        const Matrix wanted = outputs * column(bias), made = left * column(converted[old.at(l, "v_proj.bias")]);
        CHECK(distance(transposed(left) * made, transposed(left) * wanted) < 1e-12);
      }
    }
  }
}

TEST_CASE("svd of a product of low rank has no bias where it has no direction") {
  Model old = model(Architecture::gpt2, false);
  const View<double> value = old.parameters[old.at(1, "v_proj.weight")], output = old.parameters[old.at(1, "o_proj.weight")];
  for (std::size_t i = 1; i < width; ++i)  // all rows equal: rank one
    for (std::size_t k = 0; k < width; ++k) value(i, k) = value(0u, k), output(i, k) = output(0u, k);
  const Parameters<double> converted = convert(old.config, old.parameters, Strategy::svd);
  const Matrix bias = column(converted[old.at(1, "v_proj.bias")]);
  CHECK(std::abs(bias[0][0]) > 1e-3);
  for (std::size_t i = 1; i < bias.size(); ++i) CHECK(bias[i][0] == 0);
}

TEST_CASE("in float a conversion is the double one, rounded") {
  const Model old = model(Architecture::gpt2, false);
  Parameters<float> single(old.config);
  for (std::size_t i = 0; i < single.flat().size(); ++i) single.flat()(i) = static_cast<float>(old.parameters.flat()(i));
  Parameters<double> same(old.config);
  std::copy_n(single.flat().data(), single.flat().size(), same.flat().data());
  for (const Strategy strategy : {Strategy::mean_v, Strategy::mean_vo, Strategy::top_v, Strategy::top_vo}) {
    const Parameters<double> expected = convert(old.config, same, strategy);
    CHECK(error(convert(old.config, single, strategy).flat(), expected.flat()) < 1e-7);
  }
  const Parameters<double> twice = convert(old.config, same, Strategy::svd);
  const Parameters<float> once = convert(old.config, single, Strategy::svd);
  for (std::size_t l : {1u, 2u}) {
    const Tensor<double> left = wide(once[old.at(l, "o_proj.weight")]), right = wide(once[old.at(l, "v_proj.weight")]);
    Matrix half = matrix(left), all = matrix(twice[old.at(l, "o_proj.weight")]);
    for (auto* side : {&half, &all})
      for (auto& row : *side) row.resize(right.extent(0));
    CHECK(distance(half * matrix(right), all * matrix(twice[old.at(l, "v_proj.weight")])) < 1e-6);
  }
}
