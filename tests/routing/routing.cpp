#include "skipv1/routing/routing.hpp"

#include <cmath>

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

HeadName own(std::size_t l, std::size_t g) { return {l, g}; }

/// Two layers of two heads, all their own.
Routing two_by_two() { return fill_routing({2, 2, 2}, own, own); }

std::string count_message(Routing table) {
  return message([&] { count_owned(table); });
}

}  // namespace

TEST_CASE("a head's name says whether it is none, or the mean of two") {
  CHECK(HeadName{}.none());
  CHECK_FALSE(HeadName{1, 0}.none());
  CHECK(HeadName{0, 1, 2}.pooled());
  CHECK_FALSE(HeadName{0, 1}.pooled());
  CHECK(HeadName{0, 1} == HeadName{0, 1});
  CHECK_FALSE(HeadName{0, 1} == HeadName{0, 1, 2});
}

TEST_CASE("query heads are grouped in order") {
  const RoutingShape shape{1, 6, 3};
  for (std::size_t h = 0; h < 6; ++h) CHECK(shape.group(h) == h / 2);
  CHECK(RoutingShape{1, 5, 1}.group(4) == 0);
  CHECK(RoutingShape{1, 5, 5}.group(4) == 4);
}

TEST_CASE("a layer keeps H_kv - ceil(r H_kv - 1/2) heads") {
  const auto kept = [](double ratio, std::size_t heads) { return RoutingShape{1, heads, heads, ratio}.own(); };
  CHECK(kept(0.5, 5) == 3);  // docs/spec/models.md, eq. (8): 3 own, 2 skipped
  CHECK(kept(0.5, 1) == 1);
  CHECK(kept(0.25, 2) == 2);
  CHECK(kept(0.75, 2) == 1);
  CHECK(kept(0.25, 4) == 3);
  CHECK(kept(0.3, 5) == 4);
  CHECK(kept(0.51, 5) == 2);
  CHECK(kept(0.49, 5) == 3);
  CHECK(kept(0.07, 50) == 47);  // 0.07 * 50 is an exact half, though not in binary
  CHECK(kept(0.35, 10) == 7);
  CHECK(kept(0.7, 45) == 14);  // 31.5
  for (std::size_t heads = 1; heads < 70; ++heads) {
    CHECK(kept(0, heads) == heads);
    CHECK(kept(1, heads) == 0);
    CHECK(kept(0.5, heads) == (heads + 1) / 2);
  }
  std::size_t wrong = 0;  // every ratio of two decimals, in integers: the least skip >= (p H - 50) / 100
  for (std::size_t percent = 0; percent <= 100; ++percent) {
    for (std::size_t heads = 1; heads <= 128; ++heads) {
      const std::size_t skip = percent * heads <= 50 ? 0 : (percent * heads - 50 + 99) / 100;
      wrong += kept(static_cast<double>(percent) / 100, heads) != heads - skip;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("fill_routing asks for every layer and group and counts what is owned") {
  const Routing table = fill_routing({3, 4, 2}, own, [](std::size_t l, std::size_t g) {
    return g == 0 ? HeadName{l, 0} : HeadName{0, 1};
  });
  CHECK(table.layers == 3);
  CHECK(table.heads == 4);
  CHECK(table.key(2, 3) == HeadName{2, 1});
  CHECK(table.value(2, 3) == HeadName{0, 1});
  CHECK(table.value(2, 1) == HeadName{2, 0});
  CHECK(table.owned_keys == std::vector<std::size_t>{2, 2, 2});
  CHECK(table.owned_values == std::vector<std::size_t>{2, 1, 1});
}

TEST_CASE("count_owned refuses what cannot be read, and says where") {
  Routing table = two_by_two();
  table.values[1] = {1, 0};
  CHECK(count_message(table) == "routing: layer 0 head 1 reads a value of layer 1: only this and earlier layers can be read");
  table = two_by_two();
  table.keys[3] = {1, 2};
  CHECK(count_message(table) == "routing: layer 1 head 1 reads key head 2 of 2");
  table = two_by_two();
  table.values[2] = {0, 0};
  CHECK(count_message(table) == "routing: layer 1 would compute value head 0, which nobody reads");
  for (HeadName key : {HeadName{}, HeadName{0, 0, 1}}) {
    table = two_by_two();
    table.keys[2] = key;
    CHECK(count_message(table) == "routing: every query head reads exactly one key head");
  }
  table = two_by_two();
  table.values[2] = {0, 0, 5};
  CHECK(count_message(table) == "routing: layer 1 head 0 reads value head 5 of 2");
  table = two_by_two();
  table.values[2] = {0, no_head, 1};
  CHECK(count_message(table) == "routing: layer 1 head 0 reads the mean of a value head and none");
  table = two_by_two();
  table.values.pop_back();
  CHECK(count_message(table) == "routing: a table of 2 layers and 2 heads has 4 keys and 3 values: must be 4 each");
}

TEST_CASE("count_owned allows layers without values, and means") {
  Routing table = two_by_two();
  table.values = {{0, 0}, {0, 1}, {0, 0, 1}, {}};
  count_owned(table);
  CHECK(table.owned_values == std::vector<std::size_t>{2, 0});
  CHECK(table.means == std::vector<HeadName>{{0, 0, 1}});
}

TEST_CASE("cache elements are owned heads times their width") {
  Routing table;
  table.layers = 2;
  table.owned_keys = {3, 0}, table.owned_values = {2, 1};
  table.key_width = 5, table.value_width = 7;
  CHECK(cache_elements_per_token(table) == 3 * 5 + 3 * 7);
}
