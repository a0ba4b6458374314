// The figure of tutorial 02a: gradients gathering in layer 0.
#pragma once

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "skipv1/core/check.hpp"

/// Draws who sends gradients to layer 0's value heads: an arrow per layer and head that is read, as thick as the part's norm.
/// `norms`: of layers L - 1 … 0, then of the sum; each by head.
inline void draw_gathering(const std::filesystem::path& path, const std::vector<std::vector<double>>& norms) {
  const std::size_t layers = norms.size() - 1, heads = norms[0].size();
  constexpr int box = 64, gap = 44, left = 96, top = 40, pitch_y = 96;
  const auto x_of = [&](std::size_t h) { return left + static_cast<int>(h) * (box + gap); };
  const auto y_of = [&](std::size_t line) { return top + static_cast<int>(line) * pitch_y; };
  const auto column_of = [&](std::size_t h) {
    return x_of(heads) + 8 + 52 * (static_cast<int>(h) - static_cast<int>(heads / 2));
  };
  const int width = column_of(heads) + 130, height = y_of(layers) + 30;
  std::string svg;
  const auto add = [&](const char* format, auto... values) {
    char line[600];
    std::snprintf(line, sizeof(line), format, values...);
    svg += line;
  };
  add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"DejaVu Sans, sans-serif\" "
      "font-size=\"13\">\n",
      width, height);
  add("<title>Each layer sends a gradient to the value heads of layer 0 that it reads</title>\n"
      "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
      "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"9\" markerHeight=\"9\" "
      "markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#d55e00\"/></marker></defs>\n",
      width, height);
  for (std::size_t line = 0; line < layers; ++line) {
    const std::size_t l = layers - 1 - line;
    add("<text x=\"16\" y=\"%d\">layer %zu</text>\n", y_of(line) + 26, l);
    for (std::size_t h = 0; h < heads; ++h) {
      const bool owned = l == 0 || h < heads / 2;
      add("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"42\" rx=\"5\" fill=\"%s\" stroke=\"#0072b2\"%s/>\n", x_of(h), y_of(line),
          box, owned ? "#cfe6f5" : "#ffffff", owned ? "" : " stroke-dasharray=\"4 4\"");
      add("<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">V %zu.%zu</text>\n", x_of(h) + box / 2, y_of(line) + 26, owned ? l : 0,
          h);
      if (owned) continue;
      // Arrows of one head run side by side to the right of its boxes, those of higher layers outside.
      const int nth = static_cast<int>(layers - 2 - line), bend = x_of(h) + box + 8 + 12 * nth,
                to_y = y_of(layers - 1) + 8 + 12 * nth;
      add("<path d=\"M%d %d H%d V%d H%d\" fill=\"none\" stroke=\"#d55e00\" stroke-width=\"%.1f\" marker-end=\"url(#tip)\"/>\n",
          x_of(h) + box, y_of(line) + 21, bend, to_y, x_of(h) + box + 1, std::clamp(2 * norms[line][h], 0.8, 9.0));
    }
  }
  const auto row_at = [&](int y, const std::vector<double>& of, const std::string& words) {
    for (std::size_t h = heads / 2; h < heads; ++h)
      add("<text x=\"%d\" y=\"%d\" fill=\"#a34700\">%.2f</text>\n", column_of(h), y, of[h]);
    add("<text x=\"%d\" y=\"%d\" fill=\"#a34700\">%s</text>\n", column_of(heads), y, words.c_str());
  };
  for (std::size_t h = heads / 2; h < heads; ++h)
    add("<text x=\"%d\" y=\"%d\" fill=\"#a34700\">V 0.%zu</text>\n", column_of(h), top - 14, h);
  for (std::size_t line = 0; line < layers; ++line)
    row_at(y_of(line) + 26, norms[line], "sent by layer " + std::to_string(layers - 1 - line));
  row_at(y_of(layers) - 18, norms[layers], "norm of the sum");
  add("<text x=\"16\" y=\"%d\" fill=\"#a34700\">A line is the thicker, the larger the norm of what it sends.</text>\n",
      y_of(layers) - 18);
  svg += "</svg>\n";
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path);
  out << svg;
  out.close();
  skipv1::require(out.good(), path.string(), ": cannot be written");
}
