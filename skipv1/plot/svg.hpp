// SVG: the elements that charts and diagrams need, as text.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "skipv1/plot/font.hpp"
#include "skipv1/plot/geometry.hpp"

namespace skipv1::plot {

/// Writes one element per call. Coordinates have two decimals, so that roundings of the last bit do not show.
class SvgWriter {
 public:
  SvgWriter(std::size_t width, std::size_t height, const std::string& title) {
    const std::string w = std::to_string(width), h = std::to_string(height);
    text_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h + "\" viewBox=\"0 0 " + w + " " + h +
            "\" role=\"img\" font-family=\"" + font_family + "\">\n";
    if (!title.empty()) text_ += "<title>" + escaped(title) + "</title>\n";
    text_ += "<rect width=\"" + w + "\" height=\"" + h + "\" fill=\"#ffffff\"/>\n";
  }

  /// What follows is seen within `box` alone; an empty one ends that. An inner `svg` clips, and needs no name.
  void clip(Box box) {
    if (box == clip_) return;
    if (!(clip_ == Box{})) text_ += "</svg>\n";
    clip_ = box;
    if (clip_ == Box{}) return;
    const std::string place = number(box.left) + " " + number(box.top) + " " + number(box.width()) + " " + number(box.height());
    text_ += "<svg" + corner(box) + " viewBox=\"" + place + "\">\n";
  }

  void fill(Box box, Colour colour, double opacity) {
    text_ += "<rect" + corner(box) + paint("fill", colour) + share(opacity) + "/>\n";
  }
  void line(const std::vector<Point>& points, double thickness, Colour colour, const std::vector<double>& dash) {
    text_ += "<polyline points=\"" + list(points) + "\" fill=\"none\"" + paint("stroke", colour) +
             attribute("stroke-width", thickness) + " stroke-linejoin=\"round\" stroke-linecap=\"" +
             (dash.empty() ? "round" : "butt") + "\"";
    if (!dash.empty()) {
      text_ += " stroke-dasharray=\"";
      for (std::size_t i = 0; i < dash.size(); ++i) text_ += (i ? " " : "") + number(dash[i]);
      text_ += "\"";
    }
    text_ += "/>\n";
  }
  void polygon(const std::vector<Point>& corners, Colour colour, double opacity) {
    text_ += "<polygon points=\"" + list(corners) + "\"" + paint("fill", colour) + share(opacity) + "/>\n";
  }
  /// The outlines that `Canvas::marker` fills.
  void marker(Point at, Marker kind, double radius, Colour colour) {
    const double r = radius, x = at.x, y = at.y;
    if (kind == Marker::circle) {
      text_ += "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", r) + paint("fill", colour) + "/>\n";
    } else if (kind == Marker::square) {
      const double half = 0.9 * r;
      fill({x - half, y - half, x + half, y + half}, colour, 1);
    } else if (kind == Marker::diamond) {
      const double half = 0.9 * std::sqrt(2.0) * r;
      polygon({{x, y - half}, {x + half, y}, {x, y + half}, {x - half, y}}, colour, 1);
    } else {
      polygon({{x, y - 1.3 * r}, {x + 1.2125 * r, y + 0.8 * r}, {x - 1.2125 * r, y + 0.8 * r}}, colour, 1);
    }
  }
  void text(Point at, const std::string& words, double size, Colour colour, Align align) {
    write_text({at.x, at.y + font_ascent * size}, words, size, colour, align, "");
  }
  void text_upwards(Point at, const std::string& words, double size, Colour colour) {
    const Point base{at.x + font_ascent * size, at.y};
    write_text(base, words, size, colour, Align::centre,
               " transform=\"rotate(-90 " + number(base.x) + " " + number(base.y) + ")\"");
  }

  std::string finish() {
    clip({});
    return text_ + "</svg>\n";
  }

  /// `text` with what XML reserves written as entities; control characters and what is not UTF-8 become '?'.
  static std::string escaped(std::string_view text) {
    std::string safe;
    for (const int point : detail::code_points(text)) {
      if (point == '&') {
        safe += "&amp;";
      } else if (point == '<') {
        safe += "&lt;";
      } else if (point == '>') {
        safe += "&gt;";
      } else if (point == '"') {
        safe += "&quot;";
      } else {
        append_utf8(safe, point);
      }
    }
    return safe;
  }

 private:
  static void append_utf8(std::string& text, int point) {
    const auto add = [&](int byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (point == 0x7f || (point >= 0xd800 && point < 0xe000) || point == 0xfffe || point == 0xffff || point > 0x10ffff)
      point = '?';
    if (point < 0x80) return add(point);
    if (point < 0x800) {
      add(0xc0 | point >> 6);
    } else if (point < 0x10000) {
      add(0xe0 | point >> 12), add(0x80 | (point >> 6 & 0x3f));
    } else {
      add(0xf0 | point >> 18), add(0x80 | (point >> 12 & 0x3f)), add(0x80 | (point >> 6 & 0x3f));
    }
    add(0x80 | (point & 0x3f));
  }
  static std::string number(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.2f", std::abs(value) < 0.005 ? 0 : value);
    std::string short_text = text;
    while (short_text.back() == '0') short_text.pop_back();
    if (short_text.back() == '.') short_text.pop_back();
    return short_text;
  }
  static std::string attribute(const char* name, double value) { return std::string(" ") + name + "=\"" + number(value) + "\""; }
  static std::string corner(Box b) {
    return attribute("x", b.left) + attribute("y", b.top) + attribute("width", b.width()) + attribute("height", b.height());
  }
  static std::string paint(const char* what, Colour c) {
    char text[40];
    std::snprintf(text, sizeof text, " %s=\"#%02x%02x%02x\"", what, c.r, c.g, c.b);
    return text;
  }
  static std::string share(double opacity) { return opacity < 1 ? attribute("fill-opacity", opacity) : ""; }
  static std::string list(const std::vector<Point>& points) {
    std::string text;
    for (const Point& p : points) text += (text.empty() ? "" : " ") + number(p.x) + "," + number(p.y);
    return text;
  }
  void write_text(Point base, const std::string& words, double size, Colour colour, Align align, const std::string& more) {
    const char* anchor = align == Align::left ? "" : align == Align::right ? " text-anchor=\"end\"" : " text-anchor=\"middle\"";
    text_ += "<text" + attribute("x", base.x) + attribute("y", base.y) + attribute("font-size", size) + anchor +
             paint("fill", colour) + more + ">" + escaped(words) + "</text>\n";
  }

  std::string text_;
  Box clip_;
};

}  // namespace skipv1::plot
