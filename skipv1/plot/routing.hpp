// A routing table as a picture and as text.
#pragma once

#include "skipv1/plot/matrix.hpp"
#include "skipv1/routing/routing.hpp"

namespace skipv1::plot {

/// "l.h" (layer, head), "l.h+k" for the mean of heads h and k, "-" for no head.
inline std::string to_text(const HeadName& name) {
  if (name.none()) return "-";
  std::string text = std::to_string(name.layer) + "." + std::to_string(name.head);
  return name.pooled() ? text + "+" + std::to_string(name.other) : text;
}

/// The table as text: a line a layer with the key and the value head that each query head reads, and how many the layer owns.
inline std::string to_text(const Routing& table) {
  const auto heads = [&](const char* what, const std::vector<HeadName>& names, std::size_t l) {
    std::string text = what;
    for (std::size_t h = 0; h < table.heads; ++h) {
      const std::string name = to_text(names[l * table.heads + h]);
      text += ' ' + name + std::string(name.size() < 5 ? 5 - name.size() : 0, ' ');
    }
    return text;
  };
  std::string text;
  for (std::size_t l = 0; l < table.layers; ++l)
    text += "  layer " + std::to_string(l) + "  " + heads("keys", table.keys, l) + ' ' + heads("values", table.values, l) +
            " owns " + std::to_string(table.owned_keys[l]) + ", " + std::to_string(table.owned_values[l]) + '\n';
  return text;
}

/// The table of value heads (or of key heads, with `keys`): a row a layer, a column a query head, coloured by the layer that is
/// read.
inline MatrixPicture routing_picture(const Routing& table, const std::string& title, bool keys = false) {
  MatrixPicture picture;
  picture.title = title;
  picture.row_label = "layer";
  picture.column_label = "query head";
  for (std::size_t l = 0; l < table.layers; ++l) picture.rows.push_back(std::to_string(l));
  for (std::size_t h = 0; h < table.heads; ++h) picture.columns.push_back(std::to_string(h));
  for (const HeadName& name : keys ? table.keys : table.values) {
    picture.values.push_back(name.none() ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(name.layer));
    picture.texts.push_back(to_text(name));
  }
  picture.low = 0;
  picture.high = static_cast<double>(std::max<std::size_t>(table.layers, 2) - 1);
  picture.colour_bar = false;
  return picture;
}

}  // namespace skipv1::plot
