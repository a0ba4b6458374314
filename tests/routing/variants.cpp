// Every variant's table held to docs/spec/models.md, "Head routing", written out here once more.
#include "skipv1/routing/variants.hpp"

#include <functional>
#include <sstream>

#include "skipv1/model/config.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

using Names = std::vector<HeadName>;
using Counts = std::vector<std::size_t>;

/// A layer's heads `heads`, one a group of `each` query heads.
Names row(std::size_t layer, std::initializer_list<std::size_t> heads, std::size_t each = 1) {
  Names names;
  for (std::size_t head : heads) names.insert(names.end(), each, HeadName{layer, head});
  return names;
}
Names join(std::initializer_list<Names> rows) {
  Names all;
  for (const Names& names : rows) all.insert(all.end(), names.begin(), names.end());
  return all;
}

Routing route(const char* variant, RoutingShape shape) { return find_variant(variant).route(shape); }

void check(const Routing& table, const Names& keys, const Names& values, const Counts& owned_keys, const Counts& owned_values) {
  CHECK(table.keys == keys);
  CHECK(table.values == values);
  CHECK(table.owned_keys == owned_keys);
  CHECK(table.owned_values == owned_values);
}

const Names own_4x4 = join({row(0, {0, 1, 2, 3}), row(1, {0, 1, 2, 3}), row(2, {0, 1, 2, 3}), row(3, {0, 1, 2, 3})});

/// The values of layers 1, 2, 3 of a `skipv1` with four heads and this injection.
Names injected(Injection injection, double ratio = 0.5) {
  RoutingShape shape{4, 4, 4, ratio};
  shape.injection = injection;
  const Routing table = route("skipv1", shape);
  CHECK(table.keys == own_4x4);
  CHECK(Names(table.values.begin(), table.values.begin() + 4) == row(0, {0, 1, 2, 3}));
  return Names(table.values.begin() + 4, table.values.end());
}

Routing variant_routing(const char* variant, std::size_t layers, std::size_t hidden, std::size_t heads, std::size_t kv_heads) {
  Config c;
  c.attention.variant = variant;
  c.num_hidden_layers = layers, c.hidden_size = hidden, c.num_attention_heads = heads, c.num_key_value_heads = kv_heads;
  c.attention.kv_latent_size = 256, c.attention.rotary_size = 32;
  validate(c);
  return make_routing(c);
}

}  // namespace

TEST_CASE("tables of mha, gqa, mqa, resformer and denseformer: every layer its own") {
  for (const char* name : {"mha", "resformer", "denseformer"})
    check(route(name, {4, 4, 4}), own_4x4, own_4x4, {4, 4, 4, 4}, {4, 4, 4, 4});
  const Names grouped = join({row(0, {0, 1}, 2), row(1, {0, 1}, 2)}), one = join({row(0, {0}, 3), row(1, {0}, 3)});
  check(route("gqa", {2, 4, 2}), grouped, grouped, {2, 2}, {2, 2});
  check(route("mqa", {2, 3, 1}), one, one, {1, 1}, {1, 1});
}

TEST_CASE("table of skipv1: the second half of the values is the source layer's") {
  const Names later = join({row(1, {0, 1}), row(0, {2, 3})});
  check(route("skipv1", {2, 4, 4}), join({row(0, {0, 1, 2, 3}), row(1, {0, 1, 2, 3})}), join({row(0, {0, 1, 2, 3}), later}),
        {4, 4}, {4, 2});
  // Groups: whole value heads are replaced before grouping.
  check(route("skipv1", {2, 4, 2}), join({row(0, {0, 1}, 2), row(1, {0, 1}, 2)}),
        join({row(0, {0, 1}, 2), row(1, {0}, 2), row(0, {1}, 2)}), {2, 2}, {2, 1});
  // Five heads: an exact half is kept.
  check(route("skipv1", {2, 5, 5}), join({row(0, {0, 1, 2, 3, 4}), row(1, {0, 1, 2, 3, 4})}),
        join({row(0, {0, 1, 2, 3, 4}), row(1, {0, 1, 2}), row(0, {3, 4})}), {5, 5}, {5, 3});
  // Source layer 1: layers 0 and 1 keep all.
  check(route("skipv1", {4, 2, 2, 0.5, 1}), join({row(0, {0, 1}), row(1, {0, 1}), row(2, {0, 1}), row(3, {0, 1})}),
        join({row(0, {0, 1}), row(1, {0, 1}), row(2, {0}), row(1, {1}), row(3, {0}), row(1, {1})}), {2, 2, 2, 2}, {2, 2, 1, 1});
}

TEST_CASE("skipv1 that skips nothing is mha, that skips all is svformer") {
  CHECK(route("skipv1", {4, 4, 4, 0}).values == own_4x4);
  CHECK(route("skipv1", {4, 4, 4, 1}).values == route("svformer", {4, 4, 4}).values);
}

TEST_CASE("tables of skipv1's injections") {
  CHECK(injected(Injection::second_half) ==
        join({row(1, {0, 1}), row(0, {2, 3}), row(2, {0, 1}), row(0, {2, 3}), row(3, {0, 1}), row(0, {2, 3})}));
  CHECK(injected(Injection::resformer) == injected(Injection::second_half));
  const Names means{{0, 0, 2}, {0, 1, 3}};
  CHECK(injected(Injection::pooling) == join({row(1, {0, 1}), means, row(2, {0, 1}), means, row(3, {0, 1}), means}));
  CHECK(injected(Injection::dynamic) ==
        join({row(1, {0, 1}), row(0, {1, 2}), row(2, {0, 1}), row(0, {2, 3}), row(3, {0, 1}), row(0, {3, 0})}));
  CHECK(injected(Injection::odd_even) ==
        join({row(1, {0, 1}), row(0, {2, 3}), row(2, {0, 1}), row(0, {0, 1}), row(3, {0, 1}), row(0, {2, 3})}));
  CHECK(injected(Injection::dynamic, 0.25) ==
        join({row(1, {0, 1, 2}), row(0, {1}), row(2, {0, 1, 2}), row(0, {2}), row(3, {0, 1, 2}), row(0, {3})}));
}

TEST_CASE("table of skipv0: what skipv1 would route in is no head") {
  const Names keys = join({row(0, {0, 1, 2}), row(1, {0, 1, 2}), row(2, {0, 1, 2})});
  check(route("skipv0", {3, 3, 3}), keys, join({row(0, {0, 1, 2}), row(1, {0, 1}), Names(1), row(2, {0, 1}), Names(1)}),
        {3, 3, 3}, {3, 2, 2});
}

TEST_CASE("table of svformer: all values are layer 0's") {
  check(route("svformer", {3, 4, 2}), join({row(0, {0, 1}, 2), row(1, {0, 1}, 2), row(2, {0, 1}, 2)}),
        join({row(0, {0, 1}, 2), row(0, {0, 1}, 2), row(0, {0, 1}, 2)}), {2, 2, 2}, {2, 0, 0});
}

TEST_CASE("tables of yoco: the second half reads the last layer of the first") {
  const Names own = join({row(0, {0, 1}), row(1, {0, 1}), row(2, {0, 1}), row(3, {0, 1})});
  const Names shared = join({row(0, {0, 1}), row(1, {0, 1}), row(1, {0, 1}), row(1, {0, 1})});
  check(route("yoco_v", {4, 2, 2}), own, shared, {2, 2, 2, 2}, {2, 2, 0, 0});
  check(route("yoco", {4, 2, 2}), shared, shared, {2, 2, 0, 0}, {2, 2, 0, 0});
  check(route("skipv1_yoco", {4, 2, 2}), shared,
        join({row(0, {0, 1}), row(1, {0}), row(0, {1}), row(2, {0}), row(0, {1}), row(3, {0}), row(0, {1})}), {2, 2, 0, 0},
        {2, 1, 1, 1});
}

TEST_CASE("tables of cla: a layer of odd number reads the one before") {
  const Names own = join({row(0, {0, 1}), row(1, {0, 1}), row(2, {0, 1})});
  const Names shared = join({row(0, {0, 1}), row(0, {0, 1}), row(2, {0, 1})});
  check(route("cla_v", {3, 2, 2}), own, shared, {2, 2, 2}, {2, 0, 2});
  check(route("cla", {3, 2, 2}), shared, shared, {2, 0, 2}, {2, 0, 2});
}

TEST_CASE("table of skipkv1: keys as values") {
  const Names both = join({row(0, {0, 1, 2, 3}), row(1, {0, 1, 2}), row(0, {3}), row(2, {0, 1, 2}), row(0, {3})});
  check(route("skipkv1", {3, 4, 4, 0.25}), both, both, {4, 3, 3}, {4, 3, 3});
}

TEST_CASE("mla routes parts of the latent by a table of their own; its heads are made of the whole latent in their own layer") {
  const Routing mla = variant_routing("mla", 3, 64, 4, 4), skip = variant_routing("skipv1_mla", 3, 64, 4, 4);
  CHECK(mla.latent.reads == std::vector<PartName>{{0, 0}, {1, 0}, {2, 0}});
  CHECK(skip.latent.reads == std::vector<PartName>{{0, 0}, {0, 1}, {1, 0}, {0, 1}, {2, 0}, {0, 1}});
  CHECK(mla.latent.owned == Counts{1, 1, 1});
  CHECK(skip.latent.owned == Counts{2, 1, 1});
  CHECK(mla.latent.part_width == 256);
  CHECK(skip.latent.part_width == 128);
  for (const Routing& table : {mla, skip}) {
    CHECK(table.keys == table.values);
    CHECK(table.values == join({row(0, {0, 1, 2, 3}), row(1, {0, 1, 2, 3}), row(2, {0, 1, 2, 3})}));
    CHECK((table.key_width == 16 + 32 && table.value_width == 16));
    for (std::size_t l = 0; l < 3; ++l) CHECK(table.key_columns(l) == 32);
  }
  CHECK((skip.value_columns(0) == 256 && skip.value_columns(2) == 128));
  CHECK((skip.last_value_reader(0) == 2 && skip.last_value_reader(1) == 1 && mla.last_value_reader(0) == 0));
}

TEST_CASE("every query head of every variant reads what is owned, at many shapes") {
  for (const Variant& variant : variants()) {
    for (std::size_t layers : {2u, 4u, 6u}) {
      for (std::size_t kv_heads : {1u, 2u, 5u}) {
        for (double ratio : {0.0, 0.3, 0.5, 1.0}) {
          CAPTURE(variant.name, layers, kv_heads, ratio);
          RoutingShape shape{layers, 2 * kv_heads, kv_heads, ratio};
          const Routing table = variant.route(shape);
          std::size_t wrong = 0;
          for (std::size_t l = 0; l < layers; ++l) {
            for (std::size_t h = 0; h < shape.heads; ++h) {
              const HeadName &key = table.key(l, h), &value = table.value(l, h);
              wrong += key.layer > l || key.head >= table.owned_keys[key.layer];
              wrong += !value.none() && (value.layer > l || value.head >= table.owned_values[value.layer]);
            }
          }
          CHECK(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("the paper's cache sizes") {
  const auto elements = [](auto... arguments) { return cache_elements_per_token(variant_routing(arguments...)); };
  for (std::size_t layers : {24u, 32u}) {
    const auto mha = static_cast<double>(elements("mha", layers, 1024u, 16u, 16u)),
               skip = static_cast<double>(elements("skipv1", layers, 1024u, 16u, 16u));
    CHECK(1 - skip / mha == Approx(0.25 * static_cast<double>(layers - 1) / static_cast<double>(layers)).epsilon(1e-12));
    CHECK(100 * (1 - skip / mha) == Approx(layers == 24 ? 23.96 : 24.22).margin(0.005));
  }
  CHECK(4 * elements("gqa", 24u, 1024u, 16u, 8u) == 98304);
  CHECK(4 * elements("skipv1", 24u, 1024u, 16u, 8u) == 74752);
  CHECK(2 * elements("mla", 24u, 1024u, 16u, 16u) == 13824);
  CHECK(2 * elements("skipv1_mla", 24u, 1024u, 16u, 16u) == 7936);  // the paper prints 7680, without layer 0's second half
  CHECK(7936 - 7680 == 2 * 256 / 2);
}

TEST_CASE("an unknown variant is named beside the known ones") {
  const std::string line = message([] { find_variant("skipv9"); });
  CHECK(line.find("attention variant \"skipv9\" is unknown; known are mha, gqa, mqa, skipv1, ") == 0);
  for (const Variant& variant : variants()) CHECK(line.find(variant.name) != std::string::npos);
}

TEST_CASE("variants have names of their own and a summary") {
  for (const Variant& variant : variants()) {
    CHECK(&find_variant(variant.name) == &variant);
    CHECK_FALSE(variant.summary.empty());
  }
  CHECK(message([] { register_variant({.name = "skipv1", .route = routing::own_layer}); }) ==
        "variant \"skipv1\" exists already");
  CHECK(message([] { register_variant({.name = "mine"}); }) == "variant \"mine\": must have a name and a route");
  CHECK(message([] { register_variant({.name = "mine", .route = routing::own_layer, .latent = {.count = 2}}); }) ==
        "variant \"mine\": a latent has one part or more and a table that routes them");
}
