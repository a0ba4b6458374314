#include <algorithm>
#include <cmath>
#include <regex>

#include "skipv1/core/random.hpp"
#include "skipv1/plot/later_range.hpp"
#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::plot;

namespace {
/// The boxes of a picture's texts, and whether each is within it.
struct Texts {
  std::size_t count = 0;
  std::string outside;  ///< the first that is not
};
Texts texts_of(const Drawing& picture) {
  static const std::regex text(
      "<text x=\"([^\"]*)\" y=\"([^\"]*)\" font-size=\"([^\"]*)\"( text-anchor=\"([^\"]*)\")?[^>]*?( "
      "transform=\"[^\"]*\")?>([^<]*)<");
  const std::string svg = picture.svg();
  Texts found;
  for (std::sregex_iterator i(svg.begin(), svg.end(), text), end; i != end; ++i) {
    const std::smatch& m = *i;
    const double x = std::stod(m[1]), y = std::stod(m[2]), size = std::stod(m[3]), width = text_width(m[7].str(), size);
    const double before = m[5] == "middle" ? width / 2 : m[5] == "end" ? width : 0, ascent = font_ascent * size;
    const Box box = m[6].matched ? Box{x - ascent, y - width / 2, x + size - ascent, y + width / 2}
                                 : Box{x - before, y - ascent, x - before + width, y + size - ascent};
    ++found.count;
    const Box frame = picture.frame();
    const bool inside = box.left >= 0 && box.right <= frame.right && box.top >= 0 && box.bottom <= frame.bottom;
    if (!inside && found.outside.empty()) found.outside = m[0];
  }
  return found;
}

/// A picture of `count` single points, drawn by lot, as skipv1-plot makes it of as many results.
Chart points(std::size_t count, std::size_t seed) {
  Random random(seed);
  Chart chart{random.below(2) ? std::string(random.below(60), 't') : "",
              std::string(1 + random.below(90), 'x'),
              std::string(1 + random.below(90), 'y'),
              {}};
  const double scale = std::pow(10, static_cast<double>(random.below(13)) - 6);
  for (std::size_t i = 0; i < count; ++i) {
    Series s{
        std::string(1 + random.below(random.below(4) ? 20 : 300), 'l'), {scale * random.uniform()}, {scale * random.uniform()}};
    if (i > 0 && random.below(3) == 0) s.x = chart.series[0].x;
    if (i > 0 && random.below(3) == 0) s.y = {chart.series[0].y[0] * (1 + 1e3 * random.uniform())};
    s.labels = {s.name}, s.joined = false;
    chart.series.push_back(s);
  }
  chart.log_x = random.below(3) == 0, chart.log_y = random.below(3) == 0;
  chart.legend = false;
  return chart;
}
}  // namespace

TEST_CASE("every point of a picture of points is in it, with its label and the axes' own") {
  for (std::size_t seed = 0; seed < 300; ++seed) {
    const std::size_t count = 1 + seed % 9;
    Chart chart = points(count, seed);
    CHECK(later_range(chart, 0.1).empty());
    chart.y_range = later_range(chart, 0.1, ShortFall::leave_out);
    CHECK(chart.y_range.empty());
    const Texts texts = texts_of(describe(chart));
    INFO("seed " << seed);
    CHECK(texts.outside == "");
    Chart bare = chart;
    for (Series& s : bare.series) s.labels = {};
    CHECK(texts.count == texts_of(describe(bare)).count + count);
  }
}

TEST_CASE("curves give up their beginning, and never a point beside them") {
  Series falls{"falls", {}, {}};
  for (int i = 0; i < 20; ++i) falls.x.push_back(i), falls.y.push_back(i < 2 ? 9 : 2 - 0.01 * i);
  Chart chart{"", "", "", {falls}};
  const Range alone = later_range(chart, 0.1);
  CHECK((!alone.empty() && alone.high < 3));
  Series point{"point", {1}, {4}};
  point.joined = false;
  chart.series.push_back(point);
  const Range both = later_range(chart, 0.1, ShortFall::leave_out);
  CHECK((both.high > 4 && both.high < 5));
}

TEST_CASE("a point outside the ranges asked for has no label either") {
  Chart chart{"", "", "", {Series{"in", {1, 2}, {1, 2}}}};
  chart.series[0].labels = {"inside", "outside"}, chart.series[0].joined = false;
  chart.y_range = {0.5, 1.5};
  const std::string svg = describe(chart).svg();
  CHECK(svg.find("inside") != svg.npos);
  CHECK(svg.find("outside") == svg.npos);
}
