// A picture as a list of what is drawn: once described, it becomes pixels (PNG) or an SVG.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "skipv1/plot/canvas.hpp"
#include "skipv1/plot/font.hpp"
#include "skipv1/plot/svg.hpp"

namespace skipv1::plot {

/// Has a `Canvas`' words and keeps what they say.
class Drawing {
 public:
  /// `width` x `height` pixels, white; `title` is an SVG's title, which screen readers read.
  Drawing(std::size_t width, std::size_t height, std::string title = "")
      : width_(width), height_(height), title_(std::move(title)), clip_(frame()) {
    require(width >= 1 && height >= 1 && width <= 20000 && height <= 20000, "a picture of ", width, " x ", height,
            " pixels: both must be 1 to 20000");
  }

  std::size_t width() const { return width_; }
  std::size_t height() const { return height_; }
  Box frame() const { return {0, 0, static_cast<double>(width_), static_cast<double>(height_)}; }
  /// From now on only what lies in `box` is seen.
  void clip(Box box) { clip_ = box; }

  void fill(Box box, Colour colour, double opacity = 1) { add(Fill{box, colour, opacity}); }
  /// A polyline with round joints; `dash` holds lengths in pixels, drawn and left out in turn (empty: solid).
  void line(std::vector<Point> points, double thickness, Colour colour, std::vector<double> dash = {}) {
    add(Line{std::move(points), thickness, colour, std::move(dash)});
  }
  void line(Point from, Point to, double thickness, Colour colour) { line(std::vector<Point>{from, to}, thickness, colour); }
  void outline(Box b, double thickness, Colour colour, std::vector<double> dash = {}) {
    line({{b.left, b.top}, {b.right, b.top}, {b.right, b.bottom}, {b.left, b.bottom}, {b.left, b.top}}, thickness, colour,
         std::move(dash));
  }
  void polygon(std::vector<Point> corners, Colour colour, double opacity = 1) {
    add(Polygon{std::move(corners), colour, opacity});
  }
  /// The band between two polylines over the same, ascending x.
  void band(std::vector<Point> upper, const std::vector<Point>& lower, Colour colour, double opacity) {
    if (upper.size() < 2) return;
    upper.insert(upper.end(), lower.rbegin(), lower.rend());
    polygon(std::move(upper), colour, opacity);
  }
  void marker(Point at, Marker kind, double radius, Colour colour) { add(Mark{at, kind, radius, colour}); }
  /// One line of text whose top is at `at`; `align` says which end or the middle lies there.
  void text(Point at, std::string_view text, double size, Colour colour, Align align = Align::left) {
    if (!text.empty()) add(Text{at, std::string(text), size, colour, align, false});
  }
  /// Text whose capitals' middle is at `at`.
  void text_around(Point at, std::string_view words, double size, Colour colour, Align align = Align::centre) {
    text({at.x, at.y - font_middle * size}, words, size, colour, align);
  }
  /// Text that reads upwards; its left side (the top of the letters) is at `at.x`, its middle at `at.y`.
  void text_upwards(Point at, std::string_view text, double size, Colour colour) {
    if (!text.empty()) add(Text{at, std::string(text), size, colour, Align::centre, true});
  }
  /// Everything of `other`, its top left corner at `at`.
  void paste(const Drawing& other, Point at) {
    for (Element e : other.elements_) {
      e.clip = moved(e.clip, at);
      std::visit([&](auto& shape) { move(shape, at); }, e.shape);
      elements_.push_back(std::move(e));
    }
  }

  /// In pixels, `scale` of them for each of the description's.
  Canvas pixels(double scale = 1) const {
    Canvas canvas(size_of(width_, scale), size_of(height_, scale));
    for (const Element& e : elements_) {
      canvas.clip({scale * e.clip.left, scale * e.clip.top, scale * e.clip.right, scale * e.clip.bottom});
      std::visit([&](const auto& shape) { paint(canvas, shape, scale); }, e.shape);
    }
    return canvas;
  }
  std::string png() const { return pixels().png(); }

  /// As SVG, a text with an element per line; the same description gives the same text.
  std::string svg() const {
    SvgWriter out(width_, height_, title_);
    for (const Element& e : elements_) {
      out.clip(e.clip == frame() ? Box{} : e.clip);
      std::visit([&](const auto& shape) { write(out, shape); }, e.shape);
    }
    return out.finish();
  }

 private:
  struct Fill {
    Box box;
    Colour colour;
    double opacity;
  };
  struct Line {
    std::vector<Point> points;
    double thickness;
    Colour colour;
    std::vector<double> dash;
  };
  struct Polygon {
    std::vector<Point> corners;
    Colour colour;
    double opacity;
  };
  struct Mark {
    Point at;
    Marker kind;
    double radius;
    Colour colour;
  };
  struct Text {
    Point at;
    std::string text;
    double size;
    Colour colour;
    Align align;
    bool upwards;
  };
  using Shape = std::variant<Fill, Line, Polygon, Mark, Text>;
  struct Element {
    Box clip;
    Shape shape;
  };

  void add(Shape shape) { elements_.push_back({clip_, std::move(shape)}); }
  static std::size_t size_of(std::size_t pixels, double scale) {
    return static_cast<std::size_t>(std::lround(scale * static_cast<double>(pixels)));
  }

  static Point moved(Point p, Point by) { return {p.x + by.x, p.y + by.y}; }
  static Box moved(Box b, Point by) { return {b.left + by.x, b.top + by.y, b.right + by.x, b.bottom + by.y}; }
  static void move(Fill& s, Point by) { s.box = moved(s.box, by); }
  static void move(Line& s, Point by) {
    for (Point& p : s.points) p = moved(p, by);
  }
  static void move(Polygon& s, Point by) {
    for (Point& p : s.corners) p = moved(p, by);
  }
  static void move(Mark& s, Point by) { s.at = moved(s.at, by); }
  static void move(Text& s, Point by) { s.at = moved(s.at, by); }

  static std::vector<Point> scaled(std::vector<Point> points, double scale) {
    for (Point& p : points) p = {scale * p.x, scale * p.y};
    return points;
  }
  static void paint(Canvas& c, const Fill& s, double k) {
    c.fill({k * s.box.left, k * s.box.top, k * s.box.right, k * s.box.bottom}, s.colour, s.opacity);
  }
  static void paint(Canvas& c, const Line& s, double k) {
    std::vector<double> dash = s.dash;
    for (double& length : dash) length *= k;
    c.line(scaled(s.points, k), k * s.thickness, s.colour, dash);
  }
  static void paint(Canvas& c, const Polygon& s, double k) { c.polygon(scaled(s.corners, k), s.colour, s.opacity); }
  static void paint(Canvas& c, const Mark& s, double k) { c.marker({k * s.at.x, k * s.at.y}, s.kind, k * s.radius, s.colour); }
  static void paint(Canvas& c, const Text& s, double k) {
    const Point at{k * s.at.x, k * s.at.y};
    s.upwards ? c.text_upwards(at, s.text, k * s.size, s.colour) : c.text(at, s.text, k * s.size, s.colour, s.align);
  }

  static void write(SvgWriter& out, const Fill& s) { out.fill(s.box, s.colour, s.opacity); }
  static void write(SvgWriter& out, const Line& s) { out.line(s.points, s.thickness, s.colour, s.dash); }
  static void write(SvgWriter& out, const Polygon& s) { out.polygon(s.corners, s.colour, s.opacity); }
  static void write(SvgWriter& out, const Mark& s) { out.marker(s.at, s.kind, s.radius, s.colour); }
  static void write(SvgWriter& out, const Text& s) {
    s.upwards ? out.text_upwards(s.at, s.text, s.size, s.colour) : out.text(s.at, s.text, s.size, s.colour, s.align);
  }

  std::size_t width_, height_;
  std::string title_;
  Box clip_;
  std::vector<Element> elements_;
};

/// Pictures next to each other, from left to right, tops aligned, under one title.
inline Drawing side_by_side(const std::vector<Drawing>& pictures, const std::string& title = "") {
  require(!pictures.empty(), "side_by_side: no pictures");
  std::size_t width = 0, height = 0;
  for (const Drawing& picture : pictures) {
    width += picture.width();
    height = std::max(height, picture.height());
  }
  const double head = title.empty() ? 0 : title_size + 20;
  Drawing all(width, height + static_cast<std::size_t>(head), title);
  const Fitted line = fitted(title, title_size, all.frame().right - 48);
  all.text({all.frame().right / 2, 14}, line.text, line.size, black, Align::centre);
  double left = 0;
  for (const Drawing& picture : pictures) {
    all.paste(picture, {left, head});
    left += picture.frame().right;
  }
  return all;
}

inline void save_png(const std::filesystem::path& path, const Drawing& picture) { save_png(path, picture.pixels()); }
/// Writes `picture` as SVG, whole or not at all; throws if it cannot.
inline void save_svg(const std::filesystem::path& path, const Drawing& picture) {
  const std::string text = picture.svg();
  write_whole(path, [&](std::ostream& out) { out << text; });
}
/// Throws unless a figure's file has a name that says which of the two it is, and its text a font, where one is named.
inline void require_figure_name(const std::filesystem::path& path) {
  require(path.extension() == ".png" || path.extension() == ".svg", path.string(),
          ": a figure's name must end in .png (an SVG is written beside it) or .svg");
  detail::Font::system();
}
/// What `save_figure` writes there: "loss.png, loss.svg (960 x 600)", with the pixels of the SVG's frame.
inline std::string figure_text(std::filesystem::path path, const Drawing& picture) {
  std::string text = path.string();
  if (path.extension() != ".svg") text += ", " + path.replace_extension(".svg").string();
  return text + " (" + std::to_string(picture.width()) + " x " + std::to_string(picture.height()) + ")";
}
/// Writes `picture` twice: as PNG under the name given, and as SVG beside it. A name that ends in .svg gives the SVG alone.
inline void save_figure(std::filesystem::path path, const Drawing& picture) {
  require_figure_name(path);
  if (path.extension() == ".svg") return save_svg(path, picture);
  save_png(path, picture);
  save_svg(path.replace_extension(".svg"), picture);
}

}  // namespace skipv1::plot
