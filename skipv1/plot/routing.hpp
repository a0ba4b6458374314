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

inline std::string to_text(const PartName& name) { return std::to_string(name.layer) + "." + std::to_string(name.part); }

/// The table as text: a line per layer with the key and the value head that each query head reads, and how many the layer owns;
/// for MLA with the parts of its latent.
inline std::string to_text(const Routing& table) {
  const auto row = [&](const char* what, const auto& names, std::size_t l, std::size_t columns) {
    std::string text = what;
    for (std::size_t h = 0; h < columns; ++h) {
      const std::string name = to_text(names[l * columns + h]);
      text += ' ' + name + std::string(name.size() < 5 ? 5 - name.size() : 0, ' ');
    }
    return text;
  };
  std::string text;
  for (std::size_t l = 0; l < table.layers; ++l) {
    text += "  layer " + std::to_string(l) + "  ";
    if (table.has_latent())
      text += row("latent", table.latent.reads, l, table.latent.parts) + " owns " + std::to_string(table.latent.owned[l]) +
              ", and a rotary key\n";
    else
      text += row("keys", table.keys, l, table.heads) + ' ' + row("values", table.values, l, table.heads) + " owns " +
              std::to_string(table.owned_keys[l]) + ", " + std::to_string(table.owned_values[l]) + '\n';
  }
  return text;
}

/// The table of value heads (or of key heads, with `keys`): a row per layer, a column per query head, coloured by the layer that
/// is read; for MLA a column per part of the latent.
inline MatrixPicture routing_picture(const Routing& table, const std::string& title, bool keys = false) {
  MatrixPicture picture;
  picture.title = title;
  picture.row_label = "layer";
  picture.column_label = table.has_latent() ? "part of the latent" : "query head";
  for (std::size_t l = 0; l < table.layers; ++l) picture.rows.push_back(std::to_string(l));
  const std::size_t columns = table.has_latent() ? table.latent.parts : table.heads;
  for (std::size_t h = 0; h < columns; ++h) picture.columns.push_back(std::to_string(h));
  const auto add = [&](const auto& name, bool none) {
    picture.values.push_back(none ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(name.layer));
    picture.texts.push_back(to_text(name));
  };
  if (table.has_latent())
    for (const PartName& name : table.latent.reads) add(name, false);
  else
    for (const HeadName& name : keys ? table.keys : table.values) add(name, name.none());
  picture.low = 0;
  picture.high = static_cast<double>(std::max<std::size_t>(table.layers, 2) - 1);
  picture.colour_bar = false;
  return picture;
}

}  // namespace skipv1::plot
