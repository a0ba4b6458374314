// The roofline chart of tutorial 11: rates over operations per byte moved, predicted and measured, on logarithmic axes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"

/// A kernel: operations per byte that it requests, and TFLOP/s.
struct RooflinePoint {
  std::string name;
  double intensity, predicted, measured;
};
struct Panel {
  std::string title;
  std::vector<RooflinePoint> points;
};

/// An SVG file that is made line by line.
class Svg {
 public:
  Svg(int width, int height, const std::string& title) {
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"DejaVu Sans, sans-serif\" "
        "font-size=\"12\">\n"
        "<title>%s</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
        width, height, title.c_str(), width, height);
  }
  template <class... Values>
  void add(const char* format, Values... values) {
    char line[800];
    std::snprintf(line, sizeof(line), format, values...);
    text_ += line;
  }
  void line(double x0, double y0, double x1, double y1, const char* style) {
    add("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x0, y0, x1, y1, style);
  }
  void text(double x, double y, const std::string& what, const char* style = "") {
    add("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, style, what.c_str());
  }
  /// Throws if it cannot be written.
  void write(const std::filesystem::path& path) const {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream out(path);
    out << text_ << "</svg>\n";
    out.close();
    skipv1::require(out.good(), path.string(), ": cannot be written");
  }

 private:
  std::string text_;
};

/// The powers of ten that the axes show: those around all points, and the roof's ridge at `ridge` operations per byte and `limit`
/// TFLOP/s.
struct RooflineAxes {
  int x_low, x_high, y_low, y_high;

  RooflineAxes(const std::vector<Panel>& panels, double ridge, double limit) {
    double left = ridge, right = ridge, low = limit, high = limit;
    for (const Panel& panel : panels)
      for (const RooflinePoint& p : panel.points) {
        left = std::min(left, p.intensity), right = std::max(right, p.intensity);
        low = std::min({low, p.predicted, p.measured}), high = std::max({high, p.predicted, p.measured});
      }
    x_low = static_cast<int>(std::floor(std::log10(left))), x_high = static_cast<int>(std::ceil(std::log10(right)));
    y_low = static_cast<int>(std::floor(std::log10(low))), y_high = static_cast<int>(std::ceil(std::log10(high)));
  }
};

/// One panel's frame. A power of ten is as long along both axes, so that roofs rise by 45 degrees.
struct RooflineFrame {
  double left, top;
  RooflineAxes axes;
  double width = 400, height = width * (axes.y_high - axes.y_low) / (axes.x_high - axes.x_low);

  double x(double intensity) const { return left + width * (std::log10(intensity) - axes.x_low) / (axes.x_high - axes.x_low); }
  double y(double tflops) const { return top + height * (axes.y_high - std::log10(tflops)) / (axes.y_high - axes.y_low); }
};

inline void draw_axes(Svg& svg, const RooflineFrame& f, const std::string& title) {
  const auto power = [](int n) {
    char text[32];
    std::snprintf(text, sizeof(text), "%g", std::pow(10.0, n));
    return std::string(text);
  };
  svg.text(f.left + f.width / 2, f.top - 26, title, "text-anchor=\"middle\" font-weight=\"bold\"");
  for (int n = f.axes.x_low; n <= f.axes.x_high; ++n) {
    const double x = f.x(std::pow(10.0, n));
    svg.line(x, f.top, x, f.top + f.height, "stroke=\"#e4e4e4\"");
    svg.text(x, f.top + f.height + 16, power(n), "text-anchor=\"middle\"");
  }
  for (int n = f.axes.y_low; n <= f.axes.y_high; ++n) {
    const double y = f.y(std::pow(10.0, n));
    svg.line(f.left, y, f.left + f.width, y, "stroke=\"#e4e4e4\"");
    svg.text(f.left - 6, y + 4, power(n), "text-anchor=\"end\"");
  }
  svg.text(f.left + f.width / 2, f.top + f.height + 36, "operations per byte requested", "text-anchor=\"middle\"");
}

/// A roof: `bytes` per second up to `limit` TFLOP/s, from there on flat.
inline void draw_roof(Svg& svg, const RooflineFrame& f, double bytes, double limit, const char* style, const std::string& slope,
                      double at, const std::string& flat) {
  const double ridge = limit * 1e12 / bytes;
  const double start = std::max(std::pow(10.0, f.axes.x_low), std::pow(10.0, f.axes.y_low) * 1e12 / bytes);
  svg.line(f.x(start), f.y(start * bytes * 1e-12), f.x(ridge), f.y(limit), style);
  svg.line(f.x(ridge), f.y(limit), f.left + f.width, f.y(limit), style);
  if (!flat.empty()) svg.text(f.left + f.width - 4, f.y(limit) - 9, flat, "text-anchor=\"end\" fill=\"#444444\"");
  const double x = f.x(at), y = f.y(at * bytes * 1e-12);
  svg.add("<text x=\"%.1f\" y=\"%.1f\" fill=\"#444444\" transform=\"rotate(-45 %.1f %.1f)\">%s</text>\n", x - 6, y - 6, x, y,
          slope.c_str());
}

/// Where the number of each point stands: beside it, and as far from circles and other numbers as the first place that is free.
class LabelPlaces {
 public:
  LabelPlaces(const RooflineFrame& f, const std::vector<RooflinePoint>& points) {
    for (const RooflinePoint& p : points)
      for (const double rate : {p.predicted, p.measured}) taken_.push_back({f.x(p.intensity), f.y(rate), 4.5, 4.5});
  }
  /// The left end of the number's base line.
  std::pair<double, double> beside(double x, double y) {
    constexpr std::pair<double, double> places[] = {{13, 0},    {-13, 0}, {0, 17},   {0, -17},  {13, 11},   {13, -11}, {-13, 11},
                                                    {-13, -11}, {13, 22}, {13, -22}, {-13, 22}, {-13, -22}, {24, 0},   {-24, 0}};
    for (const auto& [right, down] : places) {
      const Box label{x + right, y + down, 4.5, 5};
      if (std::any_of(taken_.begin(), taken_.end(), [&](const Box& other) { return meet(label, other); })) continue;
      taken_.push_back(label);
      return {label.x - 4, label.y + 4};
    }
    return {x + 9, y + 4};
  }

 private:
  struct Box {
    double x, y, half_width, half_height;  ///< of its middle
  };
  static bool meet(const Box& a, const Box& b) {
    return std::abs(a.x - b.x) < a.half_width + b.half_width && std::abs(a.y - b.y) < a.half_height + b.half_height;
  }
  std::vector<Box> taken_;
};

inline void draw_points(Svg& svg, const RooflineFrame& f, const std::vector<RooflinePoint>& points) {
  for (const RooflinePoint& p : points) {
    const double x = f.x(p.intensity);
    svg.line(x, f.y(p.predicted), x, f.y(p.measured), "stroke=\"#d55e00\"");
    svg.add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"#ffffff\" stroke=\"#d55e00\" stroke-width=\"1.5\"/>\n", x,
            f.y(p.predicted));
    svg.add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"#0072b2\" stroke=\"#ffffff\"/>\n", x, f.y(p.measured));
  }
  LabelPlaces places(f, points);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto [x, y] = places.beside(f.x(points[i].intensity), f.y(points[i].measured));
    svg.text(x, y, std::to_string(i + 1),
             "font-weight=\"bold\" fill=\"#0072b2\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"");
  }
}

/// Draws all panels. Roofs: the card's memory as its copy was measured, and L1; a large product of matrices (818 TFLOP/s,
/// docs/performance/mma-h200.txt), and float arithmetic, both at 132 multiprocessors and 1.75 GHz.
inline void draw_roofline(const std::filesystem::path& path, const std::string& device, double copied,
                          const std::vector<Panel>& panels) {
  constexpr double clock = 1.75e9 * 132, l1 = 128 * clock, tensor = 818, scalar = 256 * clock * 1e-12;
  const int width = 80 + static_cast<int>(panels.size()) * 480 + 170;
  const RooflineAxes axes(panels, tensor * 1e12 / copied, tensor);
  const int height = 106 + static_cast<int>(RooflineFrame{0, 0, axes}.height);
  Svg svg(width, std::max(height, 380), "Attention step by step on an " + device);
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const RooflineFrame f{70 + 480.0 * static_cast<double>(i), 50, axes};
    draw_axes(svg, f, panels[i].title);
    char memory[64];
    std::snprintf(memory, sizeof(memory), "memory, %.1f TB/s", copied * 1e-12);
    draw_roof(svg, f, l1, tensor, "stroke=\"#999999\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"", "L1, 29.6 TB/s", 0.35, "");
    draw_roof(svg, f, copied, tensor, "stroke=\"#000000\" stroke-width=\"1.5\"", memory, 2.5, "tensor cores, 818");
    svg.line(f.x(scalar * 1e12 / l1), f.y(scalar), f.left + f.width, f.y(scalar), "stroke=\"#999999\" stroke-dasharray=\"6 4\"");
    svg.text(f.left + f.width - 4, f.y(scalar) - 5, "float, 59", "text-anchor=\"end\" fill=\"#444444\"");
    draw_points(svg, f, panels[i].points);
  }
  svg.text(12, 40, "TFLOP/s");
  const double x = width - 168;
  svg.text(x, 44, device, "font-weight=\"bold\"");
  for (std::size_t i = 0; i < panels[0].points.size(); ++i)
    svg.text(x, 74 + 20.0 * static_cast<double>(i), std::to_string(i + 1) + "  " + panels[0].points[i].name);
  svg.add("<circle cx=\"%.1f\" cy=\"256\" r=\"4.5\" fill=\"#0072b2\"/>\n", x + 5);
  svg.text(x + 16, 260, "measured");
  svg.add("<circle cx=\"%.1f\" cy=\"276\" r=\"4.5\" fill=\"#ffffff\" stroke=\"#d55e00\" stroke-width=\"1.5\"/>\n", x + 5);
  svg.text(x + 16, 280, "predicted before");
  const char* const note[] = {"Requested: of L1, or of", "L2 past it. What caches", "serve may lie above the", "line of memory."};
  for (std::size_t i = 0; i < std::size(note); ++i) svg.text(x, 312 + 16.0 * static_cast<double>(i), note[i], "fill=\"#444444\"");
  svg.write(path);
}
