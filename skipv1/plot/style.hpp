// Which colour and dash a line has, by its number.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "skipv1/plot/geometry.hpp"

namespace skipv1::plot {

/// Okabe and Ito's colours, which colour-blind readers can tell apart, without the yellow that white paper swallows; five more
/// between them; from the 12th on the same, darker, and from the 24th on lighter: 36 in all.
inline Colour line_colour(std::size_t style) {
  constexpr std::array<Colour, 12> colours{{{0, 114, 178},
                                            {213, 94, 0},
                                            {0, 158, 115},
                                            {204, 121, 167},
                                            {86, 180, 233},
                                            {230, 159, 0},
                                            {0, 0, 0},
                                            {136, 34, 85},
                                            {120, 120, 30},
                                            {90, 60, 200},
                                            {130, 130, 130},
                                            {120, 70, 30}}};
  const Colour colour = colours[style % colours.size()];
  const std::size_t round = style / colours.size() % 3;
  if (round == 0) return colour;
  return mix(colour, round == 1 ? Colour{60, 60, 60} : Colour{235, 235, 235}, 0.45);
}
/// Lengths in pixels, drawn and left out in turn; empty: solid. Eight kinds, so that with 36 colours 72 lines differ.
inline std::vector<double> line_dash(std::size_t style) {
  static const std::vector<double> dashes[] = {{},      {11, 6}, {3, 5},  {12, 5, 3, 5},
                                               {20, 3}, {6, 12}, {2, 10}, {12, 4, 3, 4, 3, 4}};
  return dashes[style % 8];
}
/// Markers have four outlines; those of every other four lines are open, so that eight are told apart without colours.
inline bool has_open_marker(std::size_t style) { return style / 4 % 2 == 1; }

}  // namespace skipv1::plot
