#include "skipv1/model/cache.hpp"

#include "skipv1/model/config.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

using Lengths = std::vector<std::size_t>;

Routing routing_of(const std::string& variant) {
  Config c;
  c.attention.variant = variant;
  if (variant == "mqa") c.num_key_value_heads = 1;
  if (c.latent()) c.attention.kv_latent_size = 20, c.attention.rotary_size = 6;
  return make_routing(c);
}

}  // namespace

TEST_CASE("a cache holds what its layers own and nothing else, as much as the formula says") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    const Routing routing = routing_of(variant.name);
    const Cache<float> cache(routing, 3, 5);
    const Cache<double> wider(routing, 1, 9);
    std::size_t elements = 0;
    for (std::size_t l = 0; l < routing.layers; ++l) {
      CHECK(cache.keys(l).shape() == Shape{3, 5, routing.key_columns(l)});
      CHECK(cache.values(l).shape() == Shape{3, 5, routing.value_columns(l)});
      elements += cache.keys(l).size() + cache.values(l).size();
    }
    CHECK(cache.elements_per_token() * 15 == elements);
    CHECK(cache.elements_per_token() == cache_elements_per_token(routing));
    CHECK(cache.bytes_per_token() == 4 * cache.elements_per_token());
    CHECK(wider.elements_per_token() == cache.elements_per_token());
    CHECK(wider.bytes_per_token() == 2 * cache.bytes_per_token());
  }
}

TEST_CASE("layers whose heads no other reads share one layer's memory for gradients, but for layer 0") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    const Routing routing = routing_of(variant.name);
    const Cache<float> cache(routing, 2, 5, Holds::gradients);
    for (std::size_t l = 0; l < routing.layers; ++l) {
      CHECK(cache.keys(l).shape() == Shape{2, 5, routing.key_columns(l)});
      CHECK(cache.values(l).shape() == Shape{2, 5, routing.value_columns(l)});
    }
    const auto alone = [&](const auto& reads, std::size_t m) {  // nobody behind m reads what it caches
      for (std::size_t i = (m + 1) * (reads.size() / routing.layers); i < reads.size(); ++i)
        if (reads[i].layer == m && !(reads[i] == std::decay_t<decltype(reads[i])>{})) return false;
      return m > 0;
    };
    const auto values_alone = [&](std::size_t m) {
      return routing.has_latent() ? alone(routing.latent.reads, m) : alone(routing.values, m);
    };
    for (std::size_t l = 0; l < routing.layers; ++l) {
      for (std::size_t m = 0; m < l; ++m) {
        if (!cache.keys(l).empty() && !cache.keys(m).empty())
          CHECK((cache.keys(l).data() == cache.keys(m).data()) == (alone(routing.keys, l) && alone(routing.keys, m)));
        if (!cache.values(l).empty() && !cache.values(m).empty())
          CHECK((cache.values(l).data() == cache.values(m).data()) == (values_alone(l) && values_alone(m)));
      }
    }
  }
  CHECK(Cache<float>(routing_of("mha"), 2, 5, Holds::gradients).elements_per_token() == 2 * 2 * 64);
  CHECK(Cache<float>(routing_of("skipv1"), 2, 5, Holds::gradients).elements_per_token() == (2 + 1) * 64 + 32);
}

TEST_CASE("a cache starts empty and zero; lengths grow, are cut and are reset") {
  Cache<float> cache(routing_of("skipv1"), 2, 5);
  CHECK(cache.batch() == 2);
  CHECK(cache.capacity() == 5);
  CHECK(cache.lengths() == Lengths{0, 0});
  CHECK(largest(cache.keys(0)) == 0);
  cache.grow({3, 0});
  cache.grow({2, 1});
  CHECK(cache.lengths() == Lengths{5, 1});
  cache.truncate(0, 4);
  cache.truncate(1, 3);  // never longer
  CHECK(cache.lengths() == Lengths{4, 1});
  cache.reset();
  CHECK(cache.lengths() == Lengths{0, 0});
}

TEST_CASE("a cache refuses what it has no room for, and stays as it was") {
  Cache<float> cache(routing_of("mha"), 2, 5);
  cache.grow({4, 2});
  CHECK(message([&] { cache.grow({1, 4}); }) == "cache: 4 positions behind 2 of sequence 1, room for 5");
  CHECK(message([&] { cache.grow({1}); }) == "cache of 2 sequences: 1 to grow");
  CHECK(message([&] { cache.truncate(2, 0); }) == "cache of 2 sequences has no sequence 2");
  CHECK(cache.lengths() == Lengths{4, 2});
}

TEST_CASE("a head of a cache lies where its owner's memory has it") {
  const Routing routing = routing_of("skipv1");  // four layers of four heads, 16 wide; layers 1 … own two values
  const Cache<float> cache(routing, 2, 5);
  CHECK(cache.key({1, 3}).at(1, 4) == &cache.keys(1)(1, 4, 3 * 16));
  CHECK(cache.value({1, 1}).at(1, 4) == &cache.values(1)(1, 4, 16));
  CHECK(cache.value(routing.value(3, 2)).at(1, 2) == &cache.values(0)(1, 2, 2 * 16));
  CHECK(cache.value({1, 0}).row_stride == 32);
  CHECK(cache.value({0, 0}).row_stride == 64);
}

TEST_CASE("a copied cache has memory of its own, layers that own nothing included") {
  Cache<float> cache(routing_of("svformer"), 1, 3);
  cache.values(0)(0, 0, 0) = 1;
  cache.grow({2});
  const Cache<float> copied = cache;
  copied.values(0)(0, 0, 0) = 2;
  CHECK(cache.values(0)(0, 0, 0) == 1);
  CHECK(copied.lengths() == Lengths{2});
  CHECK(copied.values(1).shape() == Shape{1, 3, 0});
  CHECK(copied.elements_per_token() == cache.elements_per_token());
}
