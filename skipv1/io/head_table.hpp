// A routing table in JSON (docs/spec/formats.md, "Routing table"): a string for each layer, "1.0 1.1 0.2 0.3", says which layer's
// which head its heads read.
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "skipv1/io/file.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/routing/head_table.hpp"

namespace skipv1 {

/// A layer's row as text: "1.0", "0.2+3" for the mean of two heads, "-" for none, with spaces between.
inline std::string row_text(const HeadTable::Row& row) {
  std::string text;
  for (const HeadName& name : row) {
    if (!text.empty()) text += ' ';
    text += name.none() ? "-" : std::to_string(name.layer) + "." + std::to_string(name.head);
    if (name.pooled()) text.append(1, '+').append(std::to_string(name.other));
  }
  return text;
}

namespace detail {

inline HeadName parse_head(std::string_view word) {
  HeadName name;
  if (word == "-") return name;
  const char *at = word.data(), *const end = at + word.size();
  const auto number = [&](std::size_t& to) {
    const char* const begin = at;
    const auto [next, error] = std::from_chars(at, end, to);
    at = next;
    return error == std::errc() && to < 4096 && (*begin != '0' || next == begin + 1);
  };
  const auto is = [&](char c) { return at != end && *at == c && ++at; };
  bool good = number(name.layer) && is('.') && number(name.head);
  if (good && is('+')) good = number(name.other);
  require(good && at == end, '"', brief(std::string(word)),
          "\": expected LAYER.HEAD, LAYER.HEAD+HEAD or -, each number below 4096, without leading zeros");
  return name;
}

}  // namespace detail

/// The row that `text` writes down. Throws if a word of it is no head.
inline HeadTable::Row parse_row(std::string_view text) {
  HeadTable::Row row;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end) row.push_back(detail::parse_head(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return row;
}

/// The table that `object` writes down; `prefix` stands before its keys in errors. Whether it fits a model `check_table` says.
inline HeadTable parse_table(const Json& object, const std::string& prefix = "") {
  JsonFields fields(object, prefix);
  HeadTable table;
  const auto read = [&](const char* key, Presence presence = Presence::required) {
    std::vector<HeadTable::Row> rows;
    const Json* list = fields.find(key, presence);
    if (!list) return rows;
    fields.expect(list->is_array() && !list->empty() && list->size() <= 4096, key, "a list of strings, one for each layer",
                  *list);
    for (std::size_t l = 0; l < list->size(); ++l) {
      const Json& row = (*list)[l];
      fields.expect(row.is_string(), key, "a string for each layer", row);
      at_place('"' + prefix + key + "\", layer " + std::to_string(l),
               [&] { rows.push_back(parse_row(row.get_ref<const std::string&>())); });
    }
    return rows;
  };
  table.values = read("values"), table.keys = read("keys", Presence::optional);
  fields.finish();
  return table;
}

/// What `parse_table` makes the same table of.
inline Json table_json(const HeadTable& table) {
  Json object = {{"values", Json::array()}};
  for (const HeadTable::Row& row : table.values) object["values"].push_back(row_text(row));
  for (const HeadTable::Row& row : table.keys) object["keys"].push_back(row_text(row));
  return object;
}

}  // namespace skipv1
