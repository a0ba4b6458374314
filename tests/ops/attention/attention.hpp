// Attention's tests: problems whose query heads read heads of two layers, and the reference in doubles.
#pragma once

#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/attention/reference.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

namespace skipv1::test {

/// Which key and value head a query head reads, each (layer, head); `none` for no value.
struct Route {
  std::size_t key_layer, key, value_layer, value;
};
inline constexpr std::size_t none = 1000;

struct AttentionSpec {
  const char* name;
  std::size_t key_width, value_width;
  std::vector<std::size_t> rows, past;  // of each sequence
  std::vector<Route> routes;            // of each query head
};

inline std::vector<AttentionSpec> attention_specs() {
  std::vector<Route> many;
  for (std::size_t h = 0; h < 33; ++h) many.push_back({h % 2, h / 3 % 4, h % 3 ? 1u : 0u, h % 5});
  return {{"one of everything", 1, 1, {1}, {0}, {{0, 0, 0, 0}}},
          {"33 heads; a sequence without new rows", 5, 5, {3, 0, 2}, {0, 4, 3}, many},
          {"keys grouped by two, values by three and skipped, one none",
           8,
           3,
           {5, 9},
           {2, 0},
           {{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 1, 1, 0}, {1, 1, 0, 4}, {1, 2, 0, 4}, {1, 2, 0, none}}},
          {"across block borders", 8, 1, {130, 64, 65, 1}, {0, 63, 1, 64}, {{0, 1, 1, 0}, {1, 1, 1, 0}}},
          {"decoding", 1, 8, {1, 1, 1, 1}, {0, 126, 63, 64}, {{0, 3, 0, 3}, {0, 3, 1, 4}, {1, 0, 0, 3}}}};
}

template <class T>
struct AttentionProblem {
  static constexpr std::size_t heads_of[2] = {5, 6};  // what each layer owns, so that their strides differ

  explicit AttentionProblem(const AttentionSpec& given) : spec(given), heads(spec.routes.size()) {
    const std::size_t batch = spec.rows.size(), H = spec.routes.size();
    for (std::size_t b = 0; b < batch; ++b) {
      row_begin.push_back(row_begin.back() + static_cast<std::int32_t>(spec.rows[b]));
      past.push_back(static_cast<std::int32_t>(spec.past[b]));
      sequences.max_rows = std::max(sequences.max_rows, spec.rows[b]);
      sequences.max_keys = std::max(sequences.max_keys, spec.past[b] + spec.rows[b]);
    }
    sequences.row_begin = {row_begin.data(), {batch + 1}};
    sequences.past = {past.data(), {batch}};
    const auto n = static_cast<std::size_t>(row_begin.back());
    q = draw<T>({n, H, spec.key_width}, 1);
    for (std::size_t l = 0; l < 2; ++l) {
      keys[l] = draw<T>({batch, capacity(), heads_of[l] * spec.key_width}, 2 + l);
      values[l] = draw<T>({batch, capacity(), heads_of[l] * spec.value_width}, 4 + l);
    }
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t t = spec.past[b] + spec.rows[b]; t < capacity(); ++t) poison(b, t);
    std::vector<HeadName> key_names, value_names;
    for (std::size_t h = 0; h < H; ++h) {
      heads[h] = {head(keys, keys_at(h)), head(values, values_at(h))};
      const Route& r = spec.routes[h];
      key_names.push_back({r.key_layer, r.key});
      value_names.push_back(r.value == none ? HeadName{} : HeadName{r.value_layer, r.value});
    }
    readers = layer_readers(key_names, value_names);
    out = poisoned<T>({n, H, spec.value_width});
    lse = poisoned<T>({n, H});
  }

  std::size_t capacity() const { return sequences.max_keys + 2; }
  /// Keys and values at position t become NaN.
  void poison(std::size_t b, std::size_t t, bool also_values = true) {
    for (const Tensor<T>& x : keys) std::fill_n(&x(b, t, 0), x.width(), std::numeric_limits<T>::quiet_NaN());
    if (!also_values) return;
    for (const Tensor<T>& x : values) std::fill_n(&x(b, t, 0), x.width(), std::numeric_limits<T>::quiet_NaN());
  }

  /// Where a query head's key and value head lie: layer, first column; no layer for none.
  struct Place {
    std::size_t layer, column;
  };
  Place keys_at(std::size_t h) const { return {spec.routes[h].key_layer, spec.routes[h].key * spec.key_width}; }
  Place values_at(std::size_t h) const {
    const Route& r = spec.routes[h];
    return r.value == none ? Place{none, 0} : Place{r.value_layer, r.value * spec.value_width};
  }
  static Head<T> head(const Tensor<T> (&memory)[2], Place at) {
    if (at.layer == none) return {};
    const Tensor<T>& x = memory[at.layer];
    return {x.data() + at.column, x.extent(1) * x.extent(2), x.extent(2)};
  }

  RoutedHeads<T> table() const {
    return {View<const HeadPair<const T>>(heads.data(), {heads.size()}), {readers.data(), {readers.size()}}};
  }
  void forward() { attention_forward(out, lse, q, table(), sequences, scale); }

  /// The reference's output and log-sum-exp, in doubles of the same numbers.
  static std::pair<Tensor<double>, Tensor<double>> reference(const AttentionSpec& spec) {
    AttentionProblem<double> exact(spec);
    reference::attention_forward<double>(exact.out, exact.lse, exact.q, exact.table(), exact.sequences, exact.scale);
    return {exact.out, exact.lse};
  }

  AttentionSpec spec;
  std::vector<std::int32_t> row_begin{0}, past;
  Sequences<> sequences;
  Tensor<T> q, keys[2], values[2], out, lse;
  std::vector<HeadPair<const T>> heads;
  std::vector<HeadReader> readers;
  double scale = 0.7;
};

}  // namespace skipv1::test
