// A routing table as a picture and as text.
#pragma once

#include "skipv1/plot/matrix.hpp"
#include "skipv1/routing/variants.hpp"

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

/// The colour of what belongs to a layer: light for the first, darker with depth.
inline Colour layer_colour(std::size_t layer, std::size_t layers) {
  return shade(0.1 + 0.75 * static_cast<double>(layer) / static_cast<double>(std::max<std::size_t>(layers, 2) - 1));
}

namespace detail {

/// The grids of a routing picture, side by side.
class RoutingPainter {
 public:
  RoutingPainter(const Routing& table, const std::string& title, Mixing mixing)
      : t_(table),
        mixing_(mixing),
        grids_(table.has_latent() ? 1
               : mixing.depth     ? 3
                                  : 2),
        columns_(columns_of(table)),
        d_(size(76 + grids_ * (cell_ * columns_ + 34)), size(110 + cell_ * static_cast<double>(table.layers)), title) {
    for (std::size_t i = 0; i < 2 && i < wrap(title, text_size, d_.frame().right - 24).size(); ++i)
      d_.text({d_.frame().right / 2, 10 + 20 * static_cast<double>(i)}, wrap(title, text_size, d_.frame().right - 24)[i],
              text_size, black, Align::centre);
    d_.text_upwards({10, top_ + cell_ * static_cast<double>(table.layers) / 2}, "layer", small_size, ink);
    for (std::size_t l = 0; l < table.layers; ++l)
      d_.text_around({left(0) - 10, box(0, l, 0).centre().y}, std::to_string(l), small_size, ink, Align::right);
  }

  Drawing paint() {
    if (t_.has_latent()) {
      head(0, "the cached latent c, by parts", "part", t_.latent.parts);
      for (std::size_t l = 0; l < t_.layers; ++l)
        for (std::size_t p = 0; p < t_.latent.parts; ++p) {
          const PartName& name = t_.latent.reads[l * t_.latent.parts + p];
          cell(box(0, l, p), l, name.layer, to_text(name));
        }
      for (std::size_t l = 0; l < t_.layers; ++l) {
        const Box b = box(0, l, t_.latent.parts);
        cell({b.left + 10, b.top, b.right + cell_, b.bottom}, l, l, "rotary key");
      }
      return std::move(d_);
    }
    head(0, "keys read", "query head", t_.heads);
    head(1, mixing_.values ? "values, mixed" : "values read", "query head", t_.heads);
    for (std::size_t l = 0; l < t_.layers; ++l)
      for (std::size_t h = 0; h < t_.heads; ++h) {
        head_cell(box(0, l, h), l, t_.keys[l * t_.heads + h]);
        const HeadName& value = t_.values[l * t_.heads + h];
        mixing_.values&& l > 0 ? mixed_cell(box(1, l, h), value) : head_cell(box(1, l, h), l, value);
      }
    if (mixing_.depth) paint_depth();
    return std::move(d_);
  }

 private:
  static std::size_t size(double pixels) { return static_cast<std::size_t>(pixels); }
  static double columns_of(const Routing& t) { return static_cast<double>(t.has_latent() ? t.latent.parts + 2 : t.heads); }
  double left(double grid) const { return 54 + grid * (cell_ * columns_ + 34); }
  Box box(double grid, std::size_t l, std::size_t column) const {
    const double x = left(grid) + cell_ * static_cast<double>(column), y = top_ + cell_ * static_cast<double>(l);
    return {x, y, x + cell_, y + cell_};
  }
  void head(double grid, const std::string& name, const std::string& what, std::size_t columns) {
    const double middle = left(grid) + cell_ * static_cast<double>(columns) / 2, bottom = box(grid, t_.layers, 0).top;
    d_.text({t_.has_latent() ? left(grid) + cell_ * columns_ / 2 : middle, top_ - 22}, name, small_size, ink, Align::centre);
    for (std::size_t c = 0; c < columns; ++c)
      d_.text({box(grid, 0, c).centre().x, bottom + 4}, std::to_string(c), small_size, ink, Align::centre);
    d_.text({middle, bottom + 20}, what, small_size, ink, Align::centre);
  }
  /// A cell of the reading layer `l`: what another layer owns has a frame.
  void cell(Box b, std::size_t l, std::size_t owner, const std::string& text) {
    const Colour paper = layer_colour(owner, t_.layers);
    const Box inner{b.left + 1, b.top + 1, b.right - 1, b.bottom - 1};
    d_.fill(inner, paper);
    if (owner != l) d_.outline({inner.left + 1.5, inner.top + 1.5, inner.right - 1.5, inner.bottom - 1.5}, 3, foreign);
    d_.text_around(b.centre(), text, fitting_size(text, small_size, b.width() - 12), readable_on(paper));
  }
  void head_cell(Box b, std::size_t l, const HeadName& name) {
    if (!name.none()) return cell(b, l, name.layer, to_text(name));
    d_.outline({b.left + 1.5, b.top + 1.5, b.right - 1.5, b.bottom - 1.5}, 1, grey, {3, 3});
    d_.text_around(b.centre(), "none", small_size, grey);
  }
  /// A value that is a mixture of its own and of the first layer's head: both colours.
  void mixed_cell(Box b, const HeadName& own) {
    const Box inner{b.left + 1, b.top + 1, b.right - 1, b.bottom - 1};
    d_.fill(inner, layer_colour(own.layer, t_.layers));
    d_.polygon({{inner.right, inner.top}, {inner.right, inner.bottom}, {inner.left, inner.bottom}}, layer_colour(0, t_.layers));
    const double size = 12;
    d_.text({b.left + 4, b.top + 5}, to_text(own), size, readable_on(layer_colour(own.layer, t_.layers)));
    d_.text({b.right - 4, b.bottom - 17}, "0." + std::to_string(own.head), size, black, Align::right);
  }
  /// Which outputs a block's input is a weighted sum of.
  void paint_depth() {
    d_.text({left(2) + cell_ * columns_ / 2, top_ - 22}, "a block's input", small_size, ink, Align::centre);
    d_.text({left(2) + cell_ * columns_ / 2, box(2, t_.layers, 0).top + 12}, "learned weighted sum", small_size, ink,
            Align::centre);
    for (std::size_t l = 0; l < t_.layers; ++l)
      for (std::size_t from = 0; from <= l && from < t_.heads; ++from) {
        const Box b = box(2, l, from);
        d_.fill({b.left + 1, b.top + 1, b.right - 1, b.bottom - 1}, mix(white, foreign, 0.35));
        d_.text_around(b.centre(), from == 0 ? "emb" : "b" + std::to_string(from - 1), small_size, black);
      }
  }

  static constexpr double cell_ = 46, top_ = 76;
  static constexpr Colour foreign{213, 94, 0};
  const Routing& t_;
  Mixing mixing_;
  double grids_, columns_;
  Drawing d_;
};

}  // namespace detail

/// The table as a picture: a grid of the keys and one of the values that each query head reads, a row per layer, coloured by the
/// layer that owns the head; a frame marks what another layer owns. For MLA the parts of the latent; what mixes shows the
/// mixture.
inline Drawing routing_picture(const Routing& table, const std::string& title, Mixing mixing = {}) {
  return detail::RoutingPainter(table, title, mixing).paint();
}

}  // namespace skipv1::plot
