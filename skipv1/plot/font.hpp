// Text: its width, and as coverage masks. The font is the system's, found at run time (DejaVu Sans, or the like); where there is
// none, stb_easy_font.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/plot/easy_font.hpp"

#if __has_include(<stb/stb_truetype.h>)
#include <stb/stb_truetype.h>
#else
#include <stb_truetype.h>
#endif

namespace skipv1::plot {

/// Of text of size 1 (an em): from its top to the baseline, to the lowest descender, and to half of the height of capitals.
inline constexpr double font_ascent = 0.76, font_height = 1, font_middle = 0.395;
/// The sizes in use, in pixels.
inline constexpr double text_size = 17, small_size = 14, title_size = 20, text_height = font_height * text_size;
/// What an SVG names: fonts as wide as DejaVu Sans, or narrower.
inline constexpr const char* font_family = "DejaVu Sans, Verdana, sans-serif";

namespace detail {

/// The code points of UTF-8 text; what is not UTF-8 becomes '?'.
inline std::vector<int> code_points(std::string_view text) {
  std::vector<int> points;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = byte < 0x80 ? 1 : byte < 0xc0 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 0;
    int point = length == 1 ? byte : byte & (0x7f >> length);
    bool whole = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; whole && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      whole = (next & 0xc0) == 0x80;
      point = point << 6 | (next & 0x3f);
    }
    points.push_back(!whole || point < 32 ? '?' : point);
    i += whole ? length : 1;
  }
  return points;
}

/// A TrueType font in memory.
class Font {
 public:
  /// The file that `SKIPV1_FONT` in the environment names; where it names none, the first of the usual places that holds one.
  /// Throws if that file is no font.
  static const Font& system() {
    static const Font font = [] {
      Font found;
      if (const char* named = std::getenv("SKIPV1_FONT"); named && *named) {
        require(found.load(named), "SKIPV1_FONT: ", named, ": must be a TrueType font that can be read");
        return found;
      }
      std::vector<std::string> files;
      for (const char* file :
           {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
            "/usr/share/fonts/TTF/DejaVuSans.ttf", "/usr/share/fonts/dejavu/DejaVuSans.ttf", "/Library/Fonts/DejaVuSans.ttf",
            "/System/Library/Fonts/Supplemental/Verdana.ttf", "C:/Windows/Fonts/verdana.ttf",
            "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"})
        files.push_back(file);
      for (const std::string& file : files)
        if (found.load(file)) break;
      return found;
    }();
    return font;
  }

  bool loaded() const { return !bytes_.empty(); }
  /// The file's name without folders; empty if there is none.
  const std::string& name() const { return name_; }

  double width(std::string_view text, double size) const {
    double units = 0;
    each_glyph(text, [&](int, double, double end) { units = end; });
    return units * stbtt_ScaleForMappingEmToPixels(&info_, static_cast<float>(size));
  }

  Mask mask(std::string_view text, double size) const {
    const float scale = stbtt_ScaleForMappingEmToPixels(&info_, static_cast<float>(size));
    Mask mask;
    mask.width = static_cast<std::size_t>(std::ceil(width(text, size))) + 2;
    mask.height = static_cast<std::size_t>(std::ceil(1.1 * size)) + 1;
    mask.coverage.resize(mask.width * mask.height);
    const auto baseline = static_cast<int>(std::lround(font_ascent * size));
    each_glyph(text, [&](int glyph, double begin, double) {
      const double x = begin * scale, whole = std::floor(x);
      int left = 0, top = 0, width = 0, height = 0;
      unsigned char* bitmap = stbtt_GetGlyphBitmapSubpixel(&info_, scale, scale, static_cast<float>(x - whole), 0, glyph, &width,
                                                           &height, &left, &top);
      for (int j = 0; j < height; ++j)
        for (int i = 0; i < width; ++i) {
          const int column = static_cast<int>(whole) + left + i, row = baseline + top + j;
          if (column < 0 || row < 0) continue;
          const auto to = static_cast<std::size_t>(column), at = static_cast<std::size_t>(row);
          if (to >= mask.width || at >= mask.height) continue;
          double& covered = mask.coverage[at * mask.width + to];
          covered = std::min(1.0, covered + bitmap[j * width + i] / 255.0);
        }
      stbtt_FreeBitmap(bitmap, nullptr);
    });
    return mask;
  }

 private:
  bool load(const std::string& file) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) return false;
    std::ifstream in(file, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    const int at = bytes_.size() > 1000 ? stbtt_GetFontOffsetForIndex(bytes_.data(), 0) : -1;
    if (at < 0 || stbtt_InitFont(&info_, bytes_.data(), at) == 0) bytes_.clear();
    name_ = bytes_.empty() ? "" : file.substr(file.find_last_of("/\\") + 1);
    return loaded();
  }
  /// Calls `task` with each glyph, where it begins and where it ends, in the font's units.
  template <class Task>
  void each_glyph(std::string_view text, const Task& task) const {
    double at = 0;
    int last = 0;
    for (const int point : code_points(text)) {
      const int glyph = stbtt_FindGlyphIndex(&info_, point);
      int advance = 0, bearing = 0;
      stbtt_GetGlyphHMetrics(&info_, glyph, &advance, &bearing);
      if (last != 0) at += stbtt_GetGlyphKernAdvance(&info_, last, glyph);
      task(glyph, at, at + advance);
      at += advance;
      last = glyph;
    }
  }

  std::vector<unsigned char> bytes_;  // `info_` points into it
  stbtt_fontinfo info_ = {};
  std::string name_;
};

}  // namespace detail

/// The width in pixels of one line of `text` of the given size.
inline double text_width(std::string_view text, double size) {
  const detail::Font& font = detail::Font::system();
  return font.loaded() ? font.width(text, size) : easy::text_width(text, size);
}
/// `text`, cut after 60 bytes at most, at a character's end.
inline std::string shortened(const std::string& text) {
  std::size_t end = std::min<std::size_t>(text.size(), 60);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return end < text.size() ? text.substr(0, end) + "..." : text;
}
/// `size`, or as much less as it takes for `text` to be at most `room` pixels wide.
inline double fitting_size(std::string_view text, double size, double room) {
  return std::min(size, size * room / std::max(1.0, text_width(text, size)));
}
/// `text`, of that size at most `room` pixels wide: cut at a character's end, and "..." behind it, where it is longer.
inline std::string cut(const std::string& text, double size, double room) {
  if (text_width(text, size) <= room) return text;
  std::size_t fits = 0, least = text.size();  // bytes that fit, and that do not
  const auto end_of = [&](std::size_t at) {
    while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
    return at;
  };
  while (fits + 1 < least) {
    const std::size_t middle = (fits + least) / 2;
    (text_width(text.substr(0, end_of(middle)) + "...", size) <= room ? fits : least) = middle;
  }
  return text.substr(0, end_of(fits)) + "...";
}
/// A line of text that fits its place.
struct Fitted {
  std::string text;
  double size;
};
/// `text` of `size`; where it is wider than `room`, smaller, but to be read, and cut if that is not enough.
inline Fitted fitted(const std::string& text, double size, double room) {
  constexpr double least = 10;  // pixels
  const double smaller = fitting_size(text, size, room);
  return smaller >= least ? Fitted{text, smaller} : Fitted{cut(text, least, room), least};
}
/// One line of `text`, anti-aliased; the top of the mask is the top of the line.
inline Mask text_mask(std::string_view text, double size) {
  const detail::Font& font = detail::Font::system();
  return font.loaded() ? font.mask(text, size) : easy::text_mask(text, size);
}

/// `text` in lines of at most `room` pixels, broken at spaces; a longer word has a line of its own, and is cut.
inline std::vector<std::string> wrap(const std::string& text, double size, double room) {
  std::vector<std::string> lines;
  std::string line;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = cut(text.substr(begin, end - begin), size, room);
    std::string longer = line;
    longer += line.empty() ? "" : " ";
    longer += word;
    const bool fits = line.empty() || text_width(longer, size) <= room;
    if (!fits) lines.push_back(line);
    line = fits ? longer : word;
    begin = end + 1;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

}  // namespace skipv1::plot
