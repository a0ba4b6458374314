// The search over tables: every table keeps the rules, and a search depends on its seed and losses alone.
#include "skipv1/programs/table_search.hpp"

#include <numeric>

#include "skipv1/model/config.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

/// A search with `loss` of each table.
template <class Loss>
std::vector<Candidate> search_with(const SearchPlan& plan, std::size_t tables, const Loss& loss, std::vector<double>& losses) {
  std::vector<Candidate> all;
  losses.clear();
  while (all.size() < tables) {
    all.push_back(next_candidate(plan, all, losses));
    losses.push_back(loss(all.back().table, all.size()));
  }
  return all;
}
double any_loss(const ValueTable&, std::size_t k) { return Random(k).uniform(); }
/// The share of routed heads that do not read layer 0.
double loss_by_source(const ValueTable& table, std::size_t) {
  double routed = 0, other = 0;
  for (const auto& row : table.routed)
    for (const HeadName& name : row) ++routed, other += name.layer != 0;
  return other / routed;
}

/// What a table breaks; empty if nothing.
std::string broken_rule(const ValueTable& t, const SearchSpace& space) {
  if (t.heads != space.heads || t.layers() != space.layers) return "another shape";
  if (!t.routed[0].empty()) return "layer 0 reads others";
  if (t.owned() != space.owned) return "owns " + std::to_string(t.owned());
  for (std::size_t l = 0; l < t.layers(); ++l) {
    if (t.routed[l].size() > t.heads) return "too many routed heads";
    if (!std::is_sorted(t.routed[l].begin(), t.routed[l].end())) return "not in order";
    for (const HeadName& name : t.routed[l])
      if (name.pooled() || name.layer >= l || name.head >= t.own(name.layer)) return "reads what no earlier layer owns";
  }
  Config c;
  c.num_hidden_layers = space.layers, c.num_attention_heads = c.num_key_value_heads = space.heads,
  c.hidden_size = 4 * space.heads;
  c.attention.variant = "table", c.attention.table = head_table(t);
  return message([&] {
    validate(c);
    const Routing routing = make_routing(c);
    for (std::size_t l = 0; l < space.layers; ++l)
      require(routing.owned_values[l] == t.own(l) && routing.owned_keys[l] == space.heads, "layer ", l, " owns other heads");
  });
}

}  // namespace

TEST_CASE("tables drawn, mutated and recombined keep the number of owned heads and read what earlier layers own") {
  for (const SearchSpace space : {SearchSpace{8, 8, 36}, SearchSpace{8, 8, 32}, SearchSpace{4, 4, 10}, SearchSpace{6, 3, 7},
                                  SearchSpace{3, 5, 12}, SearchSpace{12, 2, 23}}) {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
      SearchPlan plan{space};
      plan.seed = seed, plan.drawn = 10, plan.population = 6, plan.lag = 3;
      if (seed % 4 == 0) plan.given = {first_layer_table(space)};
      std::vector<double> losses;
      std::size_t mutated = 0, recombined = 0;
      const std::vector<Candidate> all = search_with(plan, 24, any_loss, losses);
      for (std::size_t k = 0; k < all.size(); ++k) {
        CAPTURE(space.layers, space.heads, space.owned, seed, k, all[k].made);
        REQUIRE(broken_rule(all[k].table, space) == "");
        for (std::size_t j = 0; j < k; ++j) REQUIRE_FALSE(all[j].table == all[k].table);
        for (const std::size_t parent : all[k].parents) REQUIRE(parent + plan.lag < k + (plan.given.empty() ? 0 : plan.lag));
        mutated += all[k].made == std::string("mutated"), recombined += all[k].made == std::string("recombined");
      }
      CHECK(mutated + recombined == 24 - (plan.given.empty() ? 10 : 1));
    }
  }
}

TEST_CASE("a search is a function of its seed and of the losses that are older than its lag") {
  SearchPlan plan;
  plan.drawn = 12, plan.lag = 4;
  std::vector<double> losses;
  const std::vector<Candidate> all = search_with(plan, 40, any_loss, losses);
  for (std::size_t k = 0; k < all.size(); ++k) {
    const std::size_t known = k > plan.lag ? k - plan.lag : 0;
    const std::span<const Candidate> earlier(all.data(), k);
    CHECK(next_candidate(plan, earlier, {losses.data(), known}).table == all[k].table);  // as one that waits for no more
    std::vector<double> later = losses;
    for (std::size_t i = known; i < later.size(); ++i) later[i] = -1;
    CHECK(next_candidate(plan, earlier, later).table == all[k].table);
  }
  plan.seed = 2;
  CHECK_FALSE(next_candidate(plan, {}, {}).table == all[0].table);
  CHECK(message([&] {
          next_candidate(plan, {all.data(), 20}, {losses.data(), 15});
        }) == "search: the losses of 15 tables for table 20: must be 16");
}

TEST_CASE("a search finds what lowers the loss: almost the least there is, and its last tables are better than the drawn ones") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SearchPlan plan;
    plan.seed = seed;
    std::vector<double> losses;
    search_with(plan, 160, loss_by_source, losses);
    const auto drawn = losses.begin() + static_cast<std::ptrdiff_t>(plan.drawn);
    CAPTURE(seed);
    CHECK(*std::min_element(losses.begin(), losses.end()) < 0.05);
    CHECK(std::accumulate(losses.end() - static_cast<std::ptrdiff_t>(plan.drawn), losses.end(), 0.0) <
          std::accumulate(losses.begin(), drawn, 0.0) / 2);
  }
}

TEST_CASE("a search's first tables are those given; a space without choice is refused") {
  SearchPlan plan;
  plan.given = {first_layer_table(plan.space)};
  CHECK(next_candidate(plan, {}, {}).made == std::string("given"));
  const Routing skipv1 = find_variant("skipv1").route({.layers = 8, .heads = 8, .kv_heads = 8});
  const HeadTable table = head_table(plan.given[0]);
  for (std::size_t l = 0; l < 8; ++l)
    for (std::size_t h = 0; h < 8; ++h) CHECK(table.values[l][h] == skipv1.value(l, h));
  CHECK(first_layer_table({.owned = 32}).owned() == 32);
  for (const std::size_t owned : {8u, 64u})
    CHECK(message([&] { next_candidate({.space = {.owned = owned}}, {}, {}); }).starts_with("a search over tables that own "));
  // Two tables own 3 of 2 x 2 heads: a third one cannot be made.
  SearchPlan tiny{{2, 2, 3}};
  tiny.drawn = 3, tiny.lag = 0;
  std::vector<double> losses;
  CHECK(message([&] { search_with(tiny, 3, any_loss, losses); }) == "search: no new table after 10000 tries, all 2 may be known");
}
