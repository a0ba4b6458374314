// A routing table as data: what a configuration holds whose variant is "table" (docs/spec/formats.md, "Routing table").
#pragma once

#include <string>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/routing/readers.hpp"

namespace skipv1 {

/// What each of the `H_kv` heads of each layer reads, row-major by layer. Without keys every layer reads its own.
struct HeadTable {
  using Row = std::vector<HeadName>;
  std::vector<Row> values, keys = {};

  bool empty() const { return values.empty() && keys.empty(); }
  friend bool operator==(const HeadTable&, const HeadTable&) = default;
};

namespace detail {
SKIPV1_COLD inline void check_table_row(const HeadTable::Row& row, std::size_t l, std::size_t kv_heads, const std::string& what) {
  require(row.size() == kv_heads, "table: layer ", l, " has ", row.size(), " ", what, " heads: must be num_key_value_heads, ",
          kv_heads);
  for (std::size_t g = 0; g < row.size(); ++g) {
    const HeadName& name = row[g];
    const auto rule = [&](bool holds, const auto&... broken) {
      require(holds, "table: layer ", l, " ", what, " head ", g, broken...);
    };
    rule(what == "value" || (!name.none() && !name.pooled()), " is none, or a mean: only a value can be");
    if (name.none()) continue;
    rule(name.layer <= l, " reads layer ", name.layer, ": only this and earlier layers can be read");
    for (const std::size_t head : {name.head, name.pooled() ? name.other : name.head})
      rule(head < kv_heads, " reads head ", head, " of layer ", name.layer, ": there are ", kv_heads);
  }
}
}  // namespace detail

/// Throws unless `table` is one of `layers` layers of `kv_heads` heads, each of which reads this or an earlier layer.
SKIPV1_COLD inline void check_table(const HeadTable& table, std::size_t layers, std::size_t kv_heads) {
  require(!table.values.empty(), "variant table: no values are given: name the file of a table, which ends in .json");
  const auto check = [&](const std::vector<HeadTable::Row>& rows, const char* what) {
    require(rows.size() == layers, "table: ", what, "s of ", rows.size(), " layers: must be num_hidden_layers, ", layers);
    for (std::size_t l = 0; l < layers; ++l) detail::check_table_row(rows[l], l, kv_heads, what);
  };
  check(table.values, "value");
  if (!table.keys.empty()) check(table.keys, "key");
}

}  // namespace skipv1
