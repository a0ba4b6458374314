// Tables of values under search: drawn, mutated and recombined at a fixed number of owned value heads. All of it is a function of
// seeds and losses, so a search that was stopped goes on as if it had not been.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "skipv1/core/random.hpp"
#include "skipv1/routing/routing.hpp"

namespace skipv1 {

/// Which values the heads of each layer read: the first ones their own, the others what `routed[l]` names, heads that earlier
/// layers own. The heads of a layer are alike before training, so these are kept in order. Keys are each layer's own.
struct ValueTable {
  std::size_t heads = 0;
  std::vector<std::vector<HeadName>> routed;  ///< (L), each at most `heads`; of layer 0 none

  std::size_t layers() const { return routed.size(); }
  std::size_t own(std::size_t l) const { return heads - routed[l].size(); }
  std::size_t owned() const {
    std::size_t sum = 0;
    for (std::size_t l = 0; l < layers(); ++l) sum += own(l);
    return sum;
  }
  friend bool operator==(const ValueTable&, const ValueTable&) = default;
};

/// The table as a configuration holds it.
inline HeadTable head_table(const ValueTable& table) {
  HeadTable all;
  for (std::size_t l = 0; l < table.layers(); ++l) {
    HeadTable::Row& row = all.values.emplace_back();
    for (std::size_t g = 0; g < table.own(l); ++g) row.push_back({l, g});
    row.insert(row.end(), table.routed[l].begin(), table.routed[l].end());
  }
  return all;
}
/// What is searched: tables of `layers` layers and `heads` heads that own `owned` value heads in all. Layer 0 owns all of its
/// heads.
struct SearchSpace {
  std::size_t layers = 8, heads = 8, owned = 36;
};

/// The table whose routed heads all read the last heads of layer 0, as many in each layer as in any other or, where that does not
/// come out even, one fewer in the first ones: SkipV1's own where it does.
inline ValueTable first_layer_table(const SearchSpace& space) {
  ValueTable t{space.heads, std::vector<std::vector<HeadName>>(space.layers)};
  const std::size_t later = space.layers - 1, routed = space.layers * space.heads - space.owned;
  for (std::size_t l = 1; l < space.layers; ++l) {
    const std::size_t count = (routed + l - 1) / later;
    for (std::size_t i = 0; i < count; ++i) t.routed[l].push_back({0, space.heads - count + i});
  }
  return t;
}

/// How a space is searched: a steady-state evolution. The first tables are drawn (or given), every later one is made of two of
/// the `population` lowest losses among all tables so far but the last `lag`, which may still be in training.
struct SearchPlan {
  SearchSpace space;
  std::vector<ValueTable> given = {};  ///< the first tables; without any they are drawn
  std::size_t drawn = 32, population = 16, lag = 8;
  std::uint64_t seed = 1;
};

/// A table and where it came from.
struct Candidate {
  ValueTable table;
  const char* made = "drawn";             ///< or "given", "mutated", "recombined"
  std::vector<std::size_t> parents = {};  ///< their numbers
};

namespace detail {

/// Changes of one table that keep `space.owned` and every other rule.
class TableEditor {
 public:
  TableEditor(const SearchSpace& space, Random& random) : space_(space), random_(random) {}

  /// Owned heads in shares drawn for each layer; each routed head reads any head, or each layer any one layer.
  ValueTable draw() {
    ValueTable t{space_.heads, std::vector<std::vector<HeadName>>(space_.layers)};
    std::vector<double> share(space_.layers);
    for (double& s : share) s = -std::log(1 - random_.uniform());
    std::vector<std::size_t> own(space_.layers, 0);
    own[0] = space_.heads, share[0] = 0;
    for (std::size_t left = space_.owned - space_.heads; left > 0; --left) {
      for (std::size_t l = 1; l < space_.layers; ++l) share[l] = own[l] < space_.heads ? share[l] : 0;
      ++own[weighted(share)];
    }
    for (std::size_t l = 1; l < space_.layers; ++l) t.routed[l].resize(space_.heads - own[l]);
    const bool whole_layers = random_.below(2) == 0;
    for (std::size_t l = 1; l < space_.layers; ++l) whole_layers ? read_one_layer(t, l) : read_any(t, l);
    return t;
  }

  /// One change: a head reads another head, a layer's routed heads read one layer, or a layer owns one head less and another one
  /// more.
  void mutate(ValueTable& t) {
    std::vector<std::size_t> routing;  // layers with routed heads
    for (std::size_t l = 1; l < space_.layers; ++l)
      if (!t.routed[l].empty()) routing.push_back(l);
    const std::size_t kind = routing.empty() ? 3 : random_.below(4);
    if (kind == 3) return move_owned(t);
    const std::size_t l = routing[random_.below(routing.size())];
    if (kind == 2) return read_one_layer(t, l);
    t.routed[l][random_.below(t.routed[l].size())] = any_head(t, l);
    std::sort(t.routed[l].begin(), t.routed[l].end());
  }

  /// Each layer from one of two tables; then as many heads are given to layers, or taken, as `space` owns.
  ValueTable recombine(const ValueTable& a, const ValueTable& b) {
    ValueTable t = a;
    for (std::size_t l = 1; l < space_.layers; ++l)
      if (random_.below(2)) t.routed[l] = b.routed[l];
    mend(t);
    while (t.owned() < space_.owned) own_more(t, layer_with(Has::routed, t));
    while (t.owned() > space_.owned) own_less(t, layer_with(Has::owned, t));
    return t;
  }

 private:
  std::size_t weighted(const std::vector<double>& weights) {
    double sum = 0;
    for (const double w : weights) sum += w;
    double left = random_.uniform() * sum;
    std::size_t last = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] <= 0) continue;
      last = i, left -= weights[i];
      if (left < 0) break;
    }
    return last;
  }
  /// An earlier layer that owns a head.
  std::size_t any_layer(const ValueTable& t, std::size_t before) {
    std::vector<std::size_t> owners;
    for (std::size_t l = 0; l < before; ++l)
      if (t.own(l)) owners.push_back(l);
    return owners[random_.below(owners.size())];
  }
  HeadName any_head(const ValueTable& t, std::size_t before) {
    const std::size_t l = any_layer(t, before);
    return {l, random_.below(t.own(l))};
  }
  void read_any(ValueTable& t, std::size_t l) {
    for (HeadName& name : t.routed[l]) name = any_head(t, l);
    std::sort(t.routed[l].begin(), t.routed[l].end());
  }
  /// The last heads of one layer, from the first again where it owns fewer.
  void read_one_layer(ValueTable& t, std::size_t l) {
    const std::size_t source = any_layer(t, l), own = t.own(source), count = t.routed[l].size();
    for (std::size_t i = 0; i < count; ++i) t.routed[l][i] = {source, count <= own ? own - count + i : i % own};
    std::sort(t.routed[l].begin(), t.routed[l].end());
  }
  enum class Has { owned, routed };
  /// A layer after the first, other than `other`, that has an owned head, or a routed one; `no_head` if there is none.
  std::size_t layer_with(Has head, const ValueTable& t, std::size_t other = no_head) {
    std::vector<std::size_t> all;
    for (std::size_t l = 1; l < space_.layers; ++l)
      if (l != other && (head == Has::owned ? t.own(l) > 0 : !t.routed[l].empty())) all.push_back(l);
    return all.empty() ? no_head : all[random_.below(all.size())];
  }
  void own_more(ValueTable& t, std::size_t l) {
    t.routed[l].erase(t.routed[l].begin() + static_cast<std::ptrdiff_t>(random_.below(t.routed[l].size())));
  }
  void own_less(ValueTable& t, std::size_t l) {
    t.routed[l].push_back(any_head(t, l));
    std::sort(t.routed[l].begin(), t.routed[l].end());
    mend(t);
  }
  void move_owned(ValueTable& t) {
    const std::size_t from = layer_with(Has::owned, t), to = layer_with(Has::routed, t, from);
    if (from == no_head || to == no_head) return;
    own_less(t, from), own_more(t, to);
  }
  /// Heads that nobody owns any more are read as others of their layer or, where it has none left, of any.
  void mend(ValueTable& t) {
    for (std::size_t l = 1; l < space_.layers; ++l) {
      for (HeadName& name : t.routed[l])
        if (name.head >= t.own(name.layer)) {
          if (t.own(name.layer))
            name.head %= t.own(name.layer);
          else
            name = any_head(t, l);
        }
      std::sort(t.routed[l].begin(), t.routed[l].end());
    }
  }

  const SearchSpace& space_;
  Random& random_;
};

inline void require_tries(std::size_t tries, std::size_t known) {
  require(tries < 10000, "search: no new table after 10000 tries, all ", known, " may be known");
}

}  // namespace detail

/// Table number `earlier.size()` of a search. `losses` are those of the first tables, known as far as table number
/// `earlier.size() - plan.lag`, or further, which makes no difference.
inline Candidate next_candidate(const SearchPlan& plan, std::span<const Candidate> earlier, std::span<const double> losses) {
  const std::size_t k = earlier.size();
  require(
      plan.space.layers >= 2 && plan.space.owned > plan.space.heads && plan.space.owned < plan.space.layers * plan.space.heads,
      "a search over tables that own ", plan.space.owned, " value heads: must be more than one layer's ", plan.space.heads,
      ", fewer than all ", plan.space.layers * plan.space.heads);
  if (k < plan.given.size()) return {plan.given[k], "given"};
  Random random = Random(plan.seed).split(k);
  detail::TableEditor edit(plan.space, random);
  const auto is_new = [&](const ValueTable& t) {
    return std::none_of(earlier.begin(), earlier.end(), [&](const Candidate& c) { return c.table == t; });
  };
  const std::size_t known = k > plan.lag ? k - plan.lag : 0;
  require(losses.size() >= known, "search: the losses of ", losses.size(), " tables for table ", k, ": must be ", known);
  if (plan.given.empty() && k < std::max<std::size_t>(plan.drawn, plan.lag + 1)) {
    Candidate c{edit.draw()};
    for (std::size_t i = 0; !is_new(c.table); ++i) detail::require_tries(i, k), c.table = edit.draw();
    return c;
  }
  std::vector<std::size_t> best(std::max<std::size_t>(known, plan.given.empty() ? 1 : std::min(k, plan.given.size())));
  for (std::size_t i = 0; i < best.size(); ++i) best[i] = i;
  if (best.size() <= known) std::stable_sort(best.begin(), best.end(), [&](auto a, auto b) { return losses[a] < losses[b]; });
  best.resize(std::min(best.size(), plan.population));
  const auto parent = [&] { return best[std::min(random.below(best.size()), random.below(best.size()))]; };  // the better of two
  const std::size_t a = parent(), b = parent();
  Candidate c{earlier[a].table, "mutated", {a}};
  if (a != b && random.below(2)) c = {edit.recombine(earlier[a].table, earlier[b].table), "recombined", {a, b}};
  const std::size_t changes = random.below(c.parents.size() == 1 ? 3 : 2) + (c.parents.size() == 1 ? 1 : 0);
  for (std::size_t i = 0; i < changes || !is_new(c.table); ++i) detail::require_tries(i, k), edit.mutate(c.table);
  return c;
}

}  // namespace skipv1
