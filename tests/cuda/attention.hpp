// Routed attention on the device: heads of two layers' memory read where they lie, shared, missing, of different width, with and
// without earlier keys.
#pragma once

#include <cstring>
#include <algorithm>

#include "skipv1/ops/attention/attention.cuh"
#include "skipv1/ops/attention/attention.hpp"
#include "skipv1/ops/attention/reference.hpp"
#include "tests/cuda/pair.hpp"

namespace skipv1::test {

struct Sizes {
  std::size_t heads, key, value;
  std::vector<std::size_t> rows, past;  ///< of each sequence
  std::size_t group = 1;                ///< query heads that read one pair of heads
};

/// A problem: queries, two layers' caches, and a table in which heads share keys, read values of the other layer, and one has
/// none.
template <class T>
struct Problem {
  Sizes size;
  Both<T> q, dout, keys[2], values[2], dkeys[2], dvalues[2];
  Tensor<std::int32_t> begin, past;
  Tensor<std::int32_t, Device> begin_on, past_on;
  std::size_t n = 0, capacity = 0, max_rows = 0;

  Problem(const Sizes& s, Random& random) : size(s), begin({s.rows.size() + 1}), past({s.rows.size()}) {
    begin(0) = 0;
    for (std::size_t b = 0; b < s.rows.size(); ++b) {
      n += s.rows[b];
      begin(b + 1) = static_cast<std::int32_t>(n);
      past(b) = static_cast<std::int32_t>(s.past[b]);
      capacity = std::max(capacity, s.rows[b] + s.past[b]);
      max_rows = std::max(max_rows, s.rows[b]);
    }
    begin_on = to_device<std::int32_t>(begin);
    past_on = to_device<std::int32_t>(past);
    q = normal<T>({n, s.heads, s.key}, random);
    dout = normal<T>({n, s.heads, s.value}, random);
    const std::size_t owned = s.heads, room = capacity + 2;
    for (std::size_t layer : {0u, 1u}) {
      keys[layer] = normal<T>({s.rows.size(), room, owned * s.key}, random);
      values[layer] = normal<T>({s.rows.size(), room, owned * s.value}, random);
      dkeys[layer] = normal<T>({s.rows.size(), room, owned * s.key}, random);
      dvalues[layer] = normal<T>({s.rows.size(), room, owned * s.value}, random);
    }
  }
  template <class Space, class U>
  Head<U, Space> head(View<U, Space> owned, std::size_t i, std::size_t width) const {
    return {owned.data() + i * width, owned.extent(1) * owned.width(), owned.width()};
  }
  /// Head h reads key h (of the pair with h's lower bit cleared, for odd h) of layer 1, and value h of layer 0 or 1; head 3 none.
  /// Where heads are grouped, those h of one `h / group` read one pair, but for the last, which reads a value of its own.
  template <class Space, class U, class Of>
  std::vector<HeadPair<U, Space>> table(const Of& of) const {  // `readers` has the same names
    std::vector<HeadPair<U, Space>> heads;
    for (std::size_t h = 0; size.group > 1 && h < size.heads; ++h) {
      const std::size_t g = h / size.group, own = h + 1 < size.heads ? g : h;
      heads.push_back({head<Space, U>(of(true, 1), g, size.key), head<Space, U>(of(false, g % 2), own, size.value)});
    }
    for (std::size_t h = 0; size.group == 1 && h < size.heads; ++h) {
      const Head<U, Space> none;
      heads.push_back({head<Space, U>(of(true, 1), h & ~std::size_t{1}, size.key),
                       h == 3 ? none : head<Space, U>(of(false, h % 3 == 0 ? 0 : 1), h == 4 ? 2 : h, size.value)});
    }
    return heads;
  }
  /// Who reads them, in the order of the table.
  std::vector<HeadReader> readers(WriteMode write) const {
    std::vector<HeadName> key_names, value_names;
    for (std::size_t h = 0; h < size.heads; ++h) {
      const std::size_t g = h / size.group;
      if (size.group > 1) {
        key_names.push_back({1, g}), value_names.push_back({g % 2, h + 1 < size.heads ? g : h});
      } else {
        key_names.push_back({1, h & ~std::size_t{1}});
        value_names.push_back(h == 3 ? HeadName{} : HeadName{h % 3 == 0 ? 0u : 1u, h == 4 ? 2 : h});
      }
    }
    std::vector<HeadReader> all = layer_readers(key_names, value_names);
    for (HeadReader& reader : all) reader.key = reader.value = write;
    return all;
  }
  Sequences<Cpu> sequences() const { return {begin, past, max_rows, capacity}; }
  Sequences<Device> on_device() const {
    return {View<std::int32_t, Device>(begin_on), View<std::int32_t, Device>(past_on), max_rows, capacity};
  }
};

template <class X>
Tensor<X, Device> upload(const std::vector<X>& list) {
  Tensor<X, Device> on({list.size()});
  copy(on, View<const X>(list.data(), {list.size()}));
  return on;
}

/// The tables of a problem on both sides: what is read, and where gradients are added.
template <class T>
struct Tables {
  std::vector<HeadPair<const double>> host;
  std::vector<HeadPair<double>> dhost;
  Tensor<HeadPair<const T, Device>, Device> device;
  Tensor<HeadPair<T, Device>, Device> ddevice;
  std::vector<HeadReader> readers;
  Tensor<HeadReader, Device> readers_on;

  explicit Tables(const Problem<T>& p)
      : host(p.template table<Cpu, const double>(
            [&](bool key, std::size_t layer) -> View<const double> { return key ? p.keys[layer].host : p.values[layer].host; })),
        dhost(p.template table<Cpu, double>(
            [&](bool key, std::size_t layer) -> View<double> { return key ? p.dkeys[layer].host : p.dvalues[layer].host; })),
        device(upload(p.template table<Device, const T>([&](bool key, std::size_t layer) -> View<const T, Device> {
          return View<T, Device>(key ? p.keys[layer].device : p.values[layer].device);
        }))),
        ddevice(upload(p.template table<Device, T>([&](bool key, std::size_t layer) -> View<T, Device> {
          return key ? p.dkeys[layer].device : p.dvalues[layer].device;
        }))) {
    write(p, WriteMode::accumulate);
  }
  /// How gradients are written from now on.
  void write(const Problem<T>& p, WriteMode how) {
    readers = p.readers(how);
    readers_on = upload(readers);
  }
  RoutedHeads<double> read() const {
    return {View<const HeadPair<const double>>(host.data(), {host.size()}), {readers.data(), {readers.size()}}};
  }
  View<const HeadPair<double>> add() const { return {dhost.data(), {dhost.size()}}; }
  RoutedHeads<T, Device> read_on() const {
    return {View<HeadPair<const T, Device>, Device>(device), View<HeadReader, Device>(readers_on), count_readers(readers)};
  }
  View<const HeadPair<T, Device>, Device> add_on() const { return View<HeadPair<T, Device>, Device>(ddevice); }
};

template <class T>
void check_head_gradients(const std::string& function, const Problem<T>& p) {
  for (std::size_t layer : {0u, 1u}) {
    check_close((function + " dkeys").c_str(), p.dkeys[layer], 2 * bound<T>);
    check_close((function + " dvalues").c_str(), p.dvalues[layer], 2 * bound<T>);
  }
}

enum class Passes { both, forward };

/// Forward and, where `passes` says so, backward.
template <class T>
void check_attention(const Sizes& size, Version version, Random& random, double scale = 0.3, Passes passes = Passes::both) {
  INFO("scale " << scale << ", heads " << size.heads << ", widths " << size.key << " and " << size.value << ", first sequence "
                << size.rows[0] << " rows after " << size.past[0]);
  const Problem<T> p(size, random);
  Tables<T> table(p);
  auto out = unwritten<T>({p.n, size.heads, size.value});
  auto lse = unwritten<Sum<T>>({p.n, size.heads});
  attention_forward<T>(out, lse, p.q, table.read_on(), p.on_device(), scale, version);
  reference::attention_forward<double>(out.host, lse.host, p.q.host, table.read(), p.sequences(), scale);
  check_close("attention_forward out", out, 2 * bound<T>);
  check_close("lse", lse, 2 * (std::is_same_v<T, bfloat16> ? 1e-5 : bound<Sum<T>>));
  if (passes == Passes::forward) return;

  out = both<T>(out.host);
  lse = both<Sum<T>>(lse.host);
  auto dq = unwritten<T>({p.n, size.heads, size.key});
  attention_backward<T>(dq, table.add_on(), p.dout, out, lse, p.q, table.read_on(), p.on_device(), scale, version);
  reference::attention_backward<double>(dq.host, table.add(), p.dout.host, out.host, lse.host, p.q.host, table.read(),
                                        p.sequences(), scale);
  check_close("attention_backward dq", dq, 4 * bound<T>, 1);
  check_head_gradients("attention_backward", p);

  table.write(p, WriteMode::overwrite);  // once more: overwritten, not accumulated, and dq in rows of a wider matrix
  const std::size_t columns = size.heads * size.key, row = columns + 8;
  const auto wider = unwritten<T>({p.n, row});
  attention_backward_rows<T>(View<T, Device>(wider.device.data(), {p.n, size.heads, size.key}), row, table.add_on(), p.dout, out,
                             lse, p.q, table.read_on(), p.on_device(), scale, version);
  const Tensor<T> rows = to_host<T>(wider.device), before = to_host<T>(dq.device);
  std::size_t different = 0, written = 0;
  for (std::size_t n = 0; n < p.n; ++n) {
    different += std::memcmp(rows.data() + n * row, before.data() + n * columns, columns * sizeof(T)) != 0;
    for (std::size_t i = columns; i < row; ++i) written += !std::isnan(static_cast<double>(rows.data()[n * row + i]));
  }
  CHECK(different == 0);
  CHECK(written == 0);
  attention_backward<double>(dq.host, table.add(), p.dout.host, out.host, lse.host, p.q.host, table.read(), p.sequences(), scale);
  check_head_gradients("attention_backward that overwrites", p);
}

/// Versions behind the first whose kernels differ at these widths: only bfloat16 has any for tensor cores, and those of compute
/// capability 9.0 take widths of multiples of 8, at most 128.
template <class T>
std::vector<Version> tiled_versions(const Sizes& size) {
  const bool differ =
      std::is_same_v<T, bfloat16> && size.key % 8 == 0 && size.value % 8 == 0 && std::max(size.key, size.value) <= 128;
  return differ ? std::vector<Version>{Version::portable, Version::fast} : std::vector<Version>{Version::fast};
}

/// Everything for one type.
template <class T>
void check_all_attention() {
  Random random(61);
  const auto check_tiled = [&](const Sizes& size, double scale = 0.3) {
    for (Version version : tiled_versions<T>(size)) check_attention<T>(size, version, random, scale);
  };
  const Sizes small[] = {{4, 8, 8, {33, 1, 7}, {0, 0, 0}},
                         {5, 16, 24, {3, 31, 5}, {5, 0, 64}},
                         {2, 7, 3, {65}, {0}},
                         {1, 1, 1, {31, 0, 3}, {1, 2, 30}}};
  for (const Sizes& size : small) check_attention<T>(size, Version::first, random);
  for (const Sizes& size : small) check_tiled(size);
  check_tiled({1, 64, 64, {63}, {2}});
  check_tiled({1, 72, 40, {9}, {31}});
  check_tiled({1, 136, 256, {5}, {0}});
  check_tiled({1, 16, 128, {201}, {0}});
  check_tiled({5, 64, 48, {70, 17}, {0, 131}});
  check_tiled({4, 32, 64, {66}, {1}, 2});
  check_tiled({1, 64, 64, {70}, {0}}, -0.3);
  check_tiled({2, 96, 128, {140, 2}, {3, 0}}, -0.3);
  check_tiled({1, 64, 64, {70}, {0}}, 0.0);  // all keys alike
  check_tiled({2, 64, 64, {1, 2}, {70, 3}}, 0.0);
  check_tiled({2, 64, 64, {1, 2}, {70, 3}}, -0.3);
  if constexpr (std::is_same_v<T, bfloat16>)  // several blocks of keys accumulate to several tiles of rows
    check_attention<T>({3, 16, 64, {201, 90}, {0, 131}}, Version::fast, random);
  for (std::size_t length : awkward) check_attention<T>({2, 16, 16, {length}, {0}}, Version::fast, random);
  // Decoding: one new row of each sequence, or a few.
  check_attention<T>({5, 64, 64, {1, 1, 1}, {0, 3, 129}}, Version::fast, random);
  check_attention<T>({4, 7, 9, {1, 1}, {31, 65}}, Version::fast, random);
  check_attention<T>({1, 128, 96, {4}, {300}}, Version::fast, random);
  check_attention<T>({1, 256, 256, {2}, {127}}, Version::fast, random);
  check_attention<T>({33, 16, 8, {1, 0, 1, 1, 1}, {0, 7, 15, 16, 200}, 4}, Version::fast, random, 0.3, Passes::forward);
  check_attention<T>({33, 16, 8, {1, 0, 1}, {15, 7, 200}, 4}, Version::fast, random);  // gradients: two words of readers
  if constexpr (std::is_same_v<T, bfloat16>) {
    // Eight readers of a key head: earlier keys first, as from four on. Narrow heads have tiles of 128 rows, and width 80 has a
    // kernel of its own. Three tiles of rows and three of keys are the fewest behind which stages and tickets begin again.
    check_attention<T>({10, 80, 96, {66, 1, 130}, {70, 70, 130}, 8}, Version::fast, random);
    check_attention<T>({9, 80, 72, {130, 1}, {14, 131}, 8}, Version::fast, random);
    check_attention<T>({9, 64, 48, {140}, {14}, 8}, Version::fast, random);
    // Fewer: later keys first.
    check_attention<T>({3, 80, 72, {150, 3}, {0, 131}}, Version::fast, random);
    check_attention<T>({2, 64, 64, {300, 5}, {0, 200}}, Version::fast, random);
    // Clusters of 4 and of 8 blocks for a pair of heads.
    check_attention<T>({1, 64, 64, {1}, {700}}, Version::fast, random, 0.3, Passes::forward);
    check_attention<T>({1, 64, 64, {1}, {1130}}, Version::fast, random, 0.3, Passes::forward);
    check_attention<T>({1, 128, 96, {4}, {900}}, Version::fast, random, -0.3, Passes::forward);
  }
  // One block or two for each pair of heads, where these are few: heads without a value, groups, several rows.
  check_attention<T>({4, 64, 48, {1}, {300}}, Version::fast, random);
  check_attention<T>({6, 16, 64, {3}, {70}, 4}, Version::fast, random, -0.3);
  check_attention<T>({3, 128, 128, {2, 0}, {129, 5}, 3}, Version::fast, random);
  // The plan of many sequences and heads; their gradients would take half of the test's time.
  const std::vector<std::size_t> ones(31, 1), seventies(31, 70);
  check_attention<T>({17, 16, 16, ones, seventies}, Version::fast, random, 0.3, Passes::forward);
  check_attention<T>({9, 80, 96, {3, 1, 2}, {14, 70, 30}, 8}, Version::fast, random);
  check_attention<T>({2, 64, 128, {16, 9}, {17, 0}, 2}, Version::fast, random);
}

}  // namespace skipv1::test
