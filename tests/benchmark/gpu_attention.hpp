// Attention alone on a card: inputs of the benchmark's shapes, and the check of its outputs on the CPU. For nvcc alone.
#pragma once

#include <memory>
#include <vector>

#include "skipv1/ops/attention/attention.cuh"
#include "skipv1/ops/attention/attention.hpp"
#include "tests/benchmark/gpu_common.hpp"

namespace skipv1::benchmark {

inline Tensor<bfloat16, Device> drawn(Shape shape) {
  Tensor<bfloat16, Device> x(shape);
  draw(x);
  return x;
}

/// B sequences of `rows` new rows after `past` keys; H query heads of width D, `group` of which read a key head and a value head;
/// `routed`: the upper half of the value heads are another layer's.
struct Shapes {
  std::size_t B, H, group, rows, past, D;
  bool routed = false, mixed = false;  ///< mixed: lengths from a quarter of `past` on
  Version version = Version::fast;

  std::size_t owned() const { return H / group; }
  std::size_t keys() const { return past + rows; }
};

/// Queries and caches of one call.
class Problem {
 public:
  explicit Problem(const Shapes& s, bool gradients)
      : shapes(s), begin_({s.B + 1}), past_({s.B}), n(s.B * s.rows), q(drawn({n, s.H, s.D})), out({n, s.H, s.D}), lse({n, s.H}) {
    for (std::size_t b = 0; b <= s.B; ++b) begin_(b) = static_cast<std::int32_t>(b * s.rows);
    for (std::size_t b = 0; b < s.B; ++b) {
      past_(b) = static_cast<std::int32_t>(s.mixed ? s.past / 4 + (s.past - s.past / 4) * (b * 7 % s.B) / s.B : s.past);
    }
    begin_on_ = to_device<std::int32_t>(begin_);
    past_on_ = to_device<std::int32_t>(past_);
    for (auto* x : {&keys, &values, &first_values}) *x = drawn({s.B, s.keys(), s.owned() * s.D});
    if (gradients) {
      dout = drawn({n, s.H, s.D});
      dq = Tensor<bfloat16, Device>({n, s.H, s.D});
      for (auto* x : {&dkeys, &dvalues, &dfirst_values}) *x = zeros<bfloat16, Device>({s.B, s.keys(), s.owned() * s.D});
      dtable_ = table<bfloat16>(dkeys, dvalues, dfirst_values);
    }
    table_ = table<const bfloat16>(keys, values, first_values);
    std::vector<HeadName> key_names, value_names;
    const std::size_t own_layer = 1, first_layer = 0;
    for (std::size_t h = 0; h < s.H; ++h) {
      const std::size_t g = h / s.group;
      key_names.push_back({1, g}), value_names.push_back({pick(s, g, own_layer, first_layer), g});
    }
    const std::vector<HeadReader> readers = layer_readers(key_names, value_names);
    readers_ = Tensor<HeadReader, Device>({s.H});
    copy(readers_, View<const HeadReader>(readers.data(), {s.H}));
    counts_ = count_readers(readers);
  }
  void forward() const {
    attention_forward<bfloat16>(View<bfloat16, Device>(out), View<float, Device>(lse), View<bfloat16, Device>(q), heads(),
                                on_device(), scale(), shapes.version);
  }
  void backward() const {
    attention_backward<bfloat16>(View<bfloat16, Device>(dq), View<HeadPair<bfloat16, Device>, Device>(dtable_),
                                 View<bfloat16, Device>(dout), View<bfloat16, Device>(out), View<float, Device>(lse),
                                 View<bfloat16, Device>(q), heads(), on_device(), scale(), shapes.version);
  }
  RoutedHeads<bfloat16, Device> heads() const {
    return {View<HeadPair<const bfloat16, Device>, Device>(table_), View<HeadReader, Device>(readers_), counts_};
  }
  double scale() const { return 1 / std::sqrt(static_cast<double>(shapes.D)); }
  std::size_t past(std::size_t b) const { return static_cast<std::size_t>(past_(b)); }
  /// The value cache that heads of owned head g are read from.
  template <class X>
  static X& pick(const Shapes& s, std::size_t g, X& own, X& other) {
    return s.routed && g >= s.owned() / 2 ? other : own;
  }

  Shapes shapes;

 private:
  Tensor<std::int32_t> begin_, past_;
  Tensor<std::int32_t, Device> begin_on_, past_on_;

 public:
  std::size_t n;
  Tensor<bfloat16, Device> q, out, keys, values, first_values, dout, dq, dkeys, dvalues, dfirst_values;
  Tensor<float, Device> lse;

 private:
  template <class U>
  Tensor<HeadPair<U, Device>, Device> table(const Tensor<bfloat16, Device>& k, const Tensor<bfloat16, Device>& v,
                                            const Tensor<bfloat16, Device>& first) const {
    const Shapes& s = shapes;
    std::vector<HeadPair<U, Device>> heads;
    for (std::size_t h = 0; h < s.H; ++h) {
      const std::size_t g = h / s.group;
      const auto head = [&](const Tensor<bfloat16, Device>& x) {
        return Head<U, Device>{x.data() + g * s.D, s.keys() * s.owned() * s.D, s.owned() * s.D};
      };
      heads.push_back({head(k), head(pick(s, g, v, first))});
    }
    Tensor<HeadPair<U, Device>, Device> on({s.H});
    copy(on, View<const HeadPair<U, Device>>(heads.data(), {s.H}));
    return on;
  }
  Sequences<Device> on_device() const {
    return {View<std::int32_t, Device>(begin_on_), View<std::int32_t, Device>(past_on_), shapes.rows, shapes.keys()};
  }
  Tensor<HeadPair<const bfloat16, Device>, Device> table_;
  Tensor<HeadReader, Device> readers_;
  ReaderCounts counts_;
  Tensor<HeadPair<bfloat16, Device>, Device> dtable_;
};

/// Head h, of `count`, of sequence b of rows `first … first + rows - 1` (of a (…, count, D) tensor), in double on the host.
inline Tensor<double> head_of(const Tensor<bfloat16, Device>& x, std::size_t first, std::size_t rows, std::size_t h,
                              std::size_t count, std::size_t D) {
  const View<bfloat16, Device> all(x.data() + first * count * D, {rows, count * D});
  const Tensor<bfloat16> host = to_host<bfloat16>(all);
  Tensor<double> head({rows, D});
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < D; ++i) head(r, i) = static_cast<double>(host(r, h * D + i));
  return head;
}
/// The error of docs/spec/formats.md, eq. (1): the largest difference over the largest entry.
inline double error_of(const Tensor<double>& got, const Tensor<double>& want) {
  double worst = 0, most = 1e-12;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double d = std::abs(got.data()[i] - want.data()[i]);
    worst = d <= worst ? worst : d;  // a NaN stays
    most = std::max(most, std::abs(want.data()[i]));
  }
  return worst / most;
}

/// The largest error of the first, a middle and the last head's rows, of one sequence each.
inline double check(const Problem& p, bool gradients) {
  const Shapes& s = p.shapes;
  double worst = 0;
  const auto note = [&](double error) { worst = error <= worst ? worst : error; };
  for (std::size_t which = 0; which < 3; ++which) {
    const std::size_t b = which * (s.B - 1) / 2, h = which * (s.H - 1) / 2, g = h / s.group, keys = p.past(b) + s.rows;
    const auto q = head_of(p.q, b * s.rows, s.rows, h, s.H, s.D);
    const auto key = head_of(p.keys, b * s.keys(), keys, g, s.owned(), s.D);
    const auto value = head_of(Problem::pick(s, g, p.values, p.first_values), b * s.keys(), keys, g, s.owned(), s.D);
    const HeadPair<const double> pair{{key.data(), 0, s.D}, {value.data(), 0, s.D}};
    Tensor<std::int32_t> begin({2}), past({1});
    begin(0) = 0, begin(1) = static_cast<std::int32_t>(s.rows), past(0) = static_cast<std::int32_t>(p.past(b));
    const Sequences<Cpu> sequence{begin, past, s.rows, keys};
    const HeadName name{0, 0};
    const std::vector<HeadReader> readers = layer_readers({&name, 1}, {&name, 1});
    const RoutedHeads<double> table{View<const HeadPair<const double>>(&pair, {1}), View<const HeadReader>(readers.data(), {1})};
    const auto view = [&](const Tensor<double>& x) { return View<double>(x.data(), {s.rows, 1, s.D}); };
    const Tensor<double> out({s.rows, s.D}), lse({s.rows, 1});
    attention_forward<double>(view(out), View<double>(lse), view(q), table, sequence, p.scale());
    note(error_of(head_of(p.out, b * s.rows, s.rows, h, s.H, s.D), out));
    if (!gradients || s.group > 1) continue;
    const auto dout = head_of(p.dout, b * s.rows, s.rows, h, s.H, s.D);
    const Tensor<double> dq({s.rows, s.D}), dkey = zeros<double>({keys, s.D}), dvalue = zeros<double>({keys, s.D});
    const HeadPair<double> dpair{{dkey.data(), 0, s.D}, {dvalue.data(), 0, s.D}};
    attention_backward<double>(view(dq), View<const HeadPair<double>>(&dpair, {1}), view(dout), view(out), View<double>(lse),
                               view(q), table, sequence, p.scale());
    note(error_of(head_of(p.dq, b * s.rows, s.rows, h, s.H, s.D), dq));
    note(error_of(head_of(p.dkeys, b * s.keys(), keys, g, s.owned(), s.D), dkey));
    note(error_of(head_of(Problem::pick(s, g, p.dvalues, p.dfirst_values), b * s.keys(), keys, g, s.owned(), s.D), dvalue));
  }
  return worst;
}

}  // namespace skipv1::benchmark
