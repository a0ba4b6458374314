// The inverse of a table against a search through the table, for every variant and awkward shapes.
#include <algorithm>

#include "skipv1/model/config.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

bool reads(const HeadName& name, std::size_t layer, std::size_t head) {
  return !name.none() && name.layer == layer && (name.head == head || (name.pooled() && name.other == head));
}

/// The readers of head (layer, head), found by looking at every row.
HeadReaders search(const Routing& table, const std::vector<HeadName>& names, std::size_t layer, std::size_t head) {
  HeadReaders found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!reads(names[i], layer, head)) continue;
    const QueryHead reader{i / table.heads, i % table.heads};
    found.all.push_back(reader);
    if (!names[i].pooled() && !table.values[i].none()) found.attending.push_back(reader);
  }
  return found;
}

/// Whether row i of the table is the last but for its own layer that attends to `name`, so that its layer overwrites.
bool overwrites(const Routing& table, const std::vector<HeadName>& names, std::size_t i) {
  if (names[i].pooled() || table.values[i].none()) return false;
  for (std::size_t later = (i / table.heads + 1) * table.heads; later < names.size(); ++later)
    if (names[later] == names[i] && !table.values[later].none()) return false;
  return true;
}

/// The place of query head h of layer l, found by comparing it with every other one.
HeadReader search(const Routing& table, std::size_t l, std::size_t h) {
  HeadReader found;
  const HeadName &key = table.key(l, h), &value = table.value(l, h);
  for (std::size_t other = 0; other < table.heads; ++other) {
    const auto number = static_cast<std::uint16_t>(other);
    const bool same_key = table.key(l, other) == key, same_value = table.value(l, other) == value;
    const bool attends = !value.none() && !table.value(l, other).none();
    if (attends && same_key && found.key_first == HeadReader::none) found.key_first = number;
    if (attends && same_value && found.value_first == HeadReader::none) found.value_first = number;
    if (!same_key || !same_value) continue;
    found.pair_rank = static_cast<std::uint16_t>(found.pair_rank + (other < h));
    if (other > h && found.pair_next == HeadReader::none) found.pair_next = number;
  }
  const std::size_t i = l * table.heads + h;
  if (overwrites(table, table.keys, i)) found.key = WriteMode::overwrite;
  if (overwrites(table, table.values, i) && !(table.mixes_values && value.layer == 0)) found.value = WriteMode::overwrite;
  return found;
}

void check_inverse(const Routing& table) {
  std::size_t wrong = 0;
  for (std::size_t l = 0; l < table.layers; ++l) {
    const auto check_heads = [&](const std::vector<HeadReaders>& readers, const std::vector<HeadName>& names, std::size_t last) {
      for (std::size_t head = 0; head < readers.size(); ++head) {
        const HeadReaders found = search(table, names, l, head);
        wrong += readers[head].all != found.all || readers[head].attending != found.attending;
        for (const QueryHead& reader : found.all) wrong += reader.layer > last;
      }
    };
    REQUIRE(table.key_readers[l].size() == table.owned_keys[l]);
    REQUIRE(table.value_readers[l].size() == table.owned_values[l]);
    check_heads(table.key_readers[l], table.keys, table.has_latent() ? l : table.last_key_reader(l));
    check_heads(table.value_readers[l], table.values, table.has_latent() ? l : table.last_value_reader(l));
    for (std::size_t h = 0; h < table.heads; ++h) {
      const std::size_t i = l * table.heads + h, mean = table.mean_of[i];
      wrong += !(table.readers[i] == search(table, l, h));
      wrong += (mean == no_head) == table.value(l, h).pooled() || (mean != no_head && !(table.means[mean] == table.value(l, h)));
    }
  }
  CHECK(wrong == 0);
}

Config config_of(const Variant& variant, std::size_t layers, std::size_t heads, std::size_t kv_heads) {
  Config c;
  c.attention.variant = variant.name;
  c.num_hidden_layers = layers, c.num_attention_heads = heads, c.num_key_value_heads = kv_heads, c.hidden_size = 2 * heads;
  c.attention.kv_latent_size = 8, c.attention.rotary_size = 2;
  return c;
}

}  // namespace

TEST_CASE("the inverse of every variant's table is what a search through the table finds") {
  std::size_t checked = 0;
  for (const Variant& variant : variants()) {
    for (std::size_t layers : {1u, 2u, 3u, 4u, 7u}) {
      for (auto [heads, kv_heads] :
           {std::pair{1u, 1u}, {2u, 2u}, {3u, 3u}, {3u, 1u}, {6u, 2u}, {7u, 7u}, {63u, 21u}, {65u, 65u}}) {
        for (double ratio : {0.0, 0.25, 0.5, 1.0}) {
          if (heads > 60 && ratio != 0.5) continue;  // the search takes long there
          CAPTURE(variant.name, layers, heads, kv_heads, ratio);
          Config c = config_of(variant, layers, heads, kv_heads);
          c.attention.skip_ratio = ratio;
          c.attention.source_layer = variant.fields.source_layer ? layers / 3 : 0;
          if (!message([&] { validate(c); }).empty()) continue;
          check_inverse(make_routing(c));
          ++checked;
        }
      }
    }
  }
  CHECK(checked > 1000);
}

TEST_CASE("the inverse knows means and mixed values") {
  for (std::size_t heads : {1u, 2u, 3u, 5u, 64u}) {
    for (Injection injection : {Injection::pooling, Injection::dynamic, Injection::odd_even, Injection::resformer}) {
      CAPTURE(heads, to_string(injection));
      Config c = config_of(find_variant("skipv1"), 4, heads, heads);
      c.attention.injection = injection;
      const Routing table = make_routing(c);
      check_inverse(table);
      CHECK(table.means.size() == (injection == Injection::pooling ? heads / 2 : 0));
      CHECK(table.mixes_values == (injection == Injection::resformer));
      if (injection == Injection::resformer) CHECK((table.last_value_reader(0) == 3 && !table.overwrites_values(0)));
    }
  }
}

TEST_CASE("readers that attend to nothing, and heads that are read in means alone") {
  Routing table;
  table.layers = 3, table.heads = 2;
  table.keys = {{0, 0}, {0, 1}, {0, 1}, {1, 0}, {1, 0}, {2, 0}};
  table.values = {{0, 0}, {0, 0}, {0, 0, 1}, {0, 0}, {}, {0, 1, 0}};
  count_owned(table);
  check_inverse(table);
  const auto last = [&](const std::vector<std::vector<HeadReaders>>& readers) {
    std::vector<std::vector<std::size_t>> layers;
    for (const auto& heads : readers) {
      layers.emplace_back();
      for (const HeadReaders& head : heads) layers.back().push_back(head.last_attending_layer());
    }
    return layers;
  };
  CHECK(last(table.key_readers) == std::vector<std::vector<std::size_t>>{{0, 1}, {1}, {2}});
  CHECK(last(table.value_readers) == std::vector<std::vector<std::size_t>>{{1, no_head}, {}, {}});
  CHECK(table.means == std::vector<HeadName>{{0, 0, 1}, {0, 1, 0}});
  CHECK_FALSE(table.overwrites_values(0));
  CHECK(table.overwrites_keys(0));
  CHECK(table.last_value_reader(0) == 2);
}

TEST_CASE("readers of lists of different length are refused") {
  const std::vector<HeadName> one(1), two(2);
  CHECK(message([&] { layer_readers(one, two); }) == "readers of 1 keys and 2 values: must be equally many, below 65535");
}

TEST_CASE("readers are counted: pairs, first readers, and the most of each") {
  // Query heads 0, 1, 3 read pair (a, x); 2 reads (a, y); 4 reads (b, y); 5 has no value.
  const HeadName a{0, 0}, b{0, 1}, x{0, 2}, y{0, 3};
  const std::vector<HeadName> keys{a, a, a, a, b, b}, values{x, x, y, x, y, {}};
  const ReaderCounts counts = count_readers(layer_readers(keys, values));
  CHECK(counts.pairs == 4);    // with head 5's
  CHECK(counts.of_pair == 3);  // of (a, x)
  CHECK(counts.firsts == 3);   // 0 of a and x, 2 of y, 4 of b
  CHECK(counts.most == 4);     // of a, by head 0
  CHECK(count_readers({}).pairs == 0);
}
