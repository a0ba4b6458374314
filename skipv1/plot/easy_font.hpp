// The font for machines without one: stb_easy_font, ASCII, drawn from rectangles and smoothed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "skipv1/plot/mask.hpp"

#if __has_include(<stb/stb_easy_font.h>)
#include <stb/stb_easy_font.h>
#else
#include <stb_easy_font.h>
#endif

namespace skipv1::plot::easy {

/// Pixels of its unit in text of the given size: capitals, 7 units high, are as high as DejaVu's.
inline double unit(double size) { return size * 0.729 / 7; }

/// One byte per character, printable ASCII: what the font lacks becomes '?', once for each UTF-8 character.
inline std::string printable(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && byte < 0xc0) continue;  // the rest of a multi-byte character
    line += byte >= 32 && byte < 127 ? c : '?';
  }
  return line;
}

/// Twice as large, with staircases of diagonal strokes filled in (EPX: a corner takes the colour that its two
/// outer neighbours share).
inline std::vector<bool> enlarge(const std::vector<bool>& pixels, std::size_t width, std::size_t height) {
  std::vector<bool> large(4 * width * height);
  const auto at = [&](std::size_t x, std::size_t y) { return x < width && y < height && pixels[y * width + x]; };
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const bool centre = at(x, y), up = at(x, y - 1), down = at(x, y + 1), left = at(x - 1, y), right = at(x + 1, y);
      const bool bends = up != down && left != right;
      const auto corner = [&](bool a, bool b) { return bends && a == b ? a : centre; };
      const std::size_t to = 4 * y * width + 2 * x;
      large[to] = corner(up, left);
      large[to + 1] = corner(up, right);
      large[to + 2 * width] = corner(down, left);
      large[to + 2 * width + 1] = corner(down, right);
    }
  }
  return large;
}

inline double text_width(std::string_view text, double size) {
  std::string line = printable(text);
  return unit(size) * stb_easy_font_width(line.data());
}

/// One line of `text`, anti-aliased.
inline Mask text_mask(std::string_view text, double size) {
  std::string line = printable(text);
  const double scale = unit(size);
  struct Corner {
    float x, y, z;
    unsigned char colour[4];
  };
  std::vector<Corner> corners(line.size() * 4 * 32);
  const int quads =
      stb_easy_font_print(0, 0, line.data(), nullptr, corners.data(), static_cast<int>(corners.size() * sizeof(Corner)));
  const auto width = static_cast<std::size_t>(stb_easy_font_width(line.data()));
  constexpr std::size_t height = 12;
  std::vector<bool> bits(width * height);
  for (std::size_t q = 0; q < static_cast<std::size_t>(quads); ++q) {
    const Corner &from = corners[4 * q], &to = corners[4 * q + 2];
    for (auto y = static_cast<std::size_t>(from.y); y < std::min(height, static_cast<std::size_t>(to.y)); ++y)
      for (auto x = static_cast<std::size_t>(from.x); x < std::min(width, static_cast<std::size_t>(to.x)); ++x)
        bits[y * width + x] = true;
  }
  constexpr std::size_t zoom = 4, samples = 4;
  bits = enlarge(enlarge(bits, width, height), 2 * width, 2 * height);

  Mask mask;
  mask.width = static_cast<std::size_t>(std::ceil(scale * static_cast<double>(width)));
  mask.height = static_cast<std::size_t>(std::ceil(scale * static_cast<double>(height)));
  mask.coverage.resize(mask.width * mask.height);
  const auto source = [&](std::size_t sample, std::size_t extent) {
    const double at = (static_cast<double>(sample) + 0.5) / samples / scale * zoom;
    return std::min(static_cast<std::size_t>(at), extent * zoom - 1);
  };
  for (std::size_t y = 0; y < mask.height * samples; ++y)
    for (std::size_t x = 0; x < mask.width * samples; ++x)
      if (bits[source(y, height) * width * zoom + source(x, width)])
        mask.coverage[y / samples * mask.width + x / samples] += 1.0 / (samples * samples);
  return mask;
}

}  // namespace skipv1::plot::easy
