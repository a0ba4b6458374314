#include "skipv1/plot/chart.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "skipv1/plot/matrix.hpp"
#include "skipv1/plot/rows.hpp"
#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::plot;

namespace {
/// The box around all pixels of exactly this colour; left > right if there are none.
Box around(const Canvas& canvas, Colour colour) {
  Box box{1e9, 1e9, -1, -1};
  for (std::size_t y = 0; y < canvas.height(); ++y)
    for (std::size_t x = 0; x < canvas.width(); ++x) {
      if (canvas.pixel(x, y) != colour) continue;
      const auto i = static_cast<double>(x), j = static_cast<double>(y);
      box = {std::min(box.left, i), std::min(box.top, j), std::max(box.right, i), std::max(box.bottom, j)};
    }
  return box;
}

Series unnamed(std::vector<double> x, std::vector<double> y) {
  Series s{"", std::move(x), std::move(y)};
  s.points = Series::Points::hidden;
  return s;
}
}  // namespace

TEST_CASE("a chart's line spans the plot from corner to corner") {
  Chart chart{"", "", "", {unnamed({0, 1}, {0, 1})}};
  chart.x_range = chart.y_range = Range{0, 1};
  const Box line = around(draw(chart), line_colour(0));
  const Box axes = around(draw(chart), ink);
  CHECK(std::abs(line.right - 931) <= 2);  // 28 pixels are kept free on the right
  CHECK(std::abs(line.top - 20) <= 2);
  CHECK(line.bottom < axes.bottom);
  CHECK(line.left > axes.left);
}

TEST_CASE("a flat line lies at its value's height") {
  Chart chart{"", "", "", {unnamed({0, 1}, {5, 5}), unnamed({0, 1}, {2.5, 2.5})}};
  chart.y_range = {0, 10};
  const Canvas canvas = draw(chart);
  const Box half = around(canvas, line_colour(0)), quarter = around(canvas, line_colour(1));
  const double bottom = half.top + 2 * (quarter.top - half.top), top = half.top - (bottom - half.top);
  CHECK(std::abs(top - 20) <= 2);  // where the plot begins
}

TEST_CASE("points that are not finite, or not positive on a log axis, are left out") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  Chart with{"t", "x", "y", {unnamed({1, 2, 3, 4, nan, 5}, {1, 2, inf, nan, 3, -1})}},
      without{"t", "x", "y", {unnamed({1, 2}, {1, 2})}};
  with.log_y = without.log_y = true;
  CHECK(describe(with).svg() == describe(without).svg());
}

TEST_CASE("a value that is left out interrupts the line") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Chart chart{"", "", "", {unnamed({0, 1, 2, 3, 4}, {1, 1, nan, 1, 1})}};
  chart.x_range = {0, 4};
  const Canvas canvas = draw(chart);
  const Box line = around(canvas, line_colour(0));
  const auto row = static_cast<std::size_t>(line.top);
  CHECK(canvas.pixel(static_cast<std::size_t>((line.left + line.right) / 2) + 3, row) == pale);  // the grid alone
  CHECK(canvas.pixel(static_cast<std::size_t>(line.left) + 20, row) == line_colour(0));
  CHECK(canvas.pixel(static_cast<std::size_t>(line.right) - 20, row) == line_colour(0));
}

TEST_CASE("values far outside a given range leave the picture and take no time") {
  Chart chart{"", "", "", {unnamed({0, 1, 2}, {0, 1e300, 0}), unnamed({0, 1, 2}, {0, 1e300, 0})}};
  chart.y_range = {0, 1};
  chart.x_range = {0, 2};
  const Canvas canvas = draw(chart);
  CHECK(around(canvas, line_colour(1)).top > 15);  // the plot begins 20 pixels from the top
  CHECK(around(canvas, line_colour(1)).bottom > 500);
}

TEST_CASE("200,000 values far outside a given range take no memory, solid or dashed") {
  Chart chart{"", "", "", {unnamed({}, {}), unnamed({}, {})}};
  for (std::size_t i = 0; i < 200'000; ++i)
    for (Series& s : chart.series) s.x.push_back(static_cast<double>(i)), s.y.push_back(i % 2 ? 1e300 : -1e300);
  chart.y_range = {0, 1};
  CHECK(around(draw(chart), line_colour(1)).top <= 21);
}

TEST_CASE("of many points the extremes of each column of pixels are kept, in order") {
  std::vector<Point> points;
  for (int i = 0; i < 100'000; ++i) points.push_back({i / 1000.0, i % 1000 == 500 ? 7.0 : i % 1000 == 700 ? -3.0 : 0.0});
  const std::vector<Point> kept = thin(points);
  REQUIRE(kept.size() == 400);
  CHECK(kept[1].y == 7);
  CHECK(kept[2].y == -3);
  CHECK(kept[399].x == points.back().x);
  CHECK(std::is_sorted(kept.begin(), kept.end(), [](Point a, Point b) { return a.x < b.x; }));
  points.resize(10'000);
  CHECK(thin(points).size() == points.size());
}

TEST_CASE("the part of a segment within a box") {
  const Box box{0, 0, 10, 10};
  const auto within = [&](Point a, Point b) {
    const Shares s = shares_within(a, b, box);
    return std::vector<double>{s.from, s.to};
  };
  CHECK(within({0, 0}, {10, 10}) == std::vector<double>{0, 1});
  CHECK(within({-10, 5}, {10, 5}) == std::vector<double>{0.5, 1});
  CHECK(within({5, 20}, {5, -20}) == std::vector<double>{0.25, 0.5});
  CHECK(within({3, 3}, {3, 3}) == std::vector<double>{0, 1});
  for (const auto& [a, b] : {std::pair<Point, Point>{{-5, 5}, {-1, 5}}, {{11, 3}, {11, 3}}, {{-5, 8}, {5, 20}}}) {
    const Shares s = shares_within(a, b, box);
    CHECK(s.from > s.to);
  }
}

TEST_CASE("the legend takes a free corner, or the right margin") {
  const auto right_end = [](const Chart& chart) { return around(draw(chart), ink).right; };
  Chart falling{"", "", "", {Series{"falling", {0, 1, 2}, {2, 0.1, 0}}}}, full{"", "", "", {Series{"all over", {}, {}}}};
  for (int i = 0; i < 200; ++i) {
    full.series[0].x.push_back(i);
    full.series[0].y.push_back(i % 2);
  }
  CHECK(right_end(falling) > 900);
  const Canvas canvas = draw(full);
  const Box line = around(canvas, line_colour(0));
  std::size_t rows = 0;  // in which there is something in the middle of the legend's sample, the rightmost thing of this colour
  for (std::size_t y = 0; y < 600; ++y) rows += canvas.pixel(static_cast<std::size_t>(line.right) - 38, y) == line_colour(0);
  CHECK(rows > 0);
  CHECK(rows < 10);
}

TEST_CASE("a legend of any length is shown whole, in columns where one is too long") {
  for (const std::size_t count : {3u, 20u, 21u, 40u, 100u}) {
    Chart chart{"title", "x", "y", std::vector<Series>(count, Series{"all over this picture", {}, {}})};
    for (int i = 0; i < 200; ++i) chart.series[0].x.push_back(i), chart.series[0].y.push_back(i % 2);
    for (Series& s : chart.series) s.style = 0;
    chart.series.back().style = 1;  // its line is in the legend alone
    const Canvas canvas = draw(chart);
    const Box sample = around(canvas, line_colour(1));
    INFO(count << " series, " << canvas.width() << " pixels wide");
    CHECK(sample.right - sample.left >= 30);
    CHECK(sample.bottom < static_cast<double>(canvas.height()) - 10);
    CHECK(canvas.width() < 5000);
    CHECK((count > 20 || canvas.width() == 960));
  }
}

TEST_CASE("36 lines of a chart differ in colour, 72 in colour or dash") {
  for (std::size_t a = 0; a < 72; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      if (a < 36) CHECK(line_colour(a) != line_colour(b));
      CHECK((line_colour(a) != line_colour(b) || line_dash(a) != line_dash(b)));
    }
}

TEST_CASE("of points at one place each has a marker that is seen, whatever its outline") {
  const auto is_near = [](Colour a, Colour b) { return std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b) < 60; };
  const std::size_t count = GENERATE(3u, 5u, 8u);
  for (std::size_t first = 0; first < 8; ++first) {
    Chart chart{"", "x", "y", {}};
    for (std::size_t k = 0; k < count; ++k) {
      Series s{"", {1}, {2}};
      s.style = (first + k) % 8, s.joined = false;
      chart.series.push_back(s);
    }
    const Canvas canvas = draw(chart);
    std::vector<std::size_t> seen(count);
    for (std::size_t y = 0; y < canvas.height(); ++y)
      for (std::size_t x = 0; x < canvas.width(); ++x)
        for (std::size_t k = 0; k < count; ++k) seen[k] += is_near(canvas.pixel(x, y), line_colour((first + k) % 8));
    CHECK(*std::min_element(seen.begin(), seen.end()) >= 4);
  }
}

TEST_CASE("eight lines and their markers differ without colours") {
  for (std::size_t a = 0; a < 8; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      CHECK(line_dash(a) != line_dash(b));
      if (a % 4 == b % 4) CHECK(has_open_marker(a) != has_open_marker(b));
    }
}

TEST_CASE("values that differ in the last bit are drawn, and refused as an axis' ends") {
  for (const bool log : {false, true}) {
    Chart chart{"last bit", "", "", {unnamed({1, 2}, {2.5, 2.5000000000000004})}};
    chart.log_x = chart.log_y = log;
    CHECK_NOTHROW(draw(chart));
    chart.series[0].y = {1, 2};
    chart.x_range = {2.5, 2.5000000000000004};
    CHECK_THROWS_WITH(draw(chart),
                      "chart \"last bit\": its x axis from 2.5 to 2.5000000000000004 is shorter than 1e-12 of its ends");
  }
}

TEST_CASE("bands, bars, references and log axes draw") {
  Series s{"a", {1, 10, 100}, {1, 2, 3}, {0.5, 1, 2}, {2, 3, 4}};
  Chart chart{"title", "x", "y", {s, s}, {{3.5, "bound"}}};
  chart.series[1].spread = Series::Spread::bars;
  chart.log_x = true;
  const Canvas canvas = draw(chart);
  CHECK(around(canvas, grey).right > 0);
  CHECK(around(canvas, line_colour(1)).right > 0);
  const Box band = around(canvas, line_colour(0));
  CHECK(band.right > band.left);
}

TEST_CASE("a name that no picture has room for is said, at its beginning") {
  const Series s{std::string(3000, 'W'), {1, 2}, {1, 2}};
  CHECK_THROWS_WITH(draw(Chart{"long", "", "", {s}}),
                    "chart \"long\": no room in 20000 pixels for the name \"" + std::string(60, 'W') + "...\" in its legend");
}

TEST_CASE("a chart refuses what it cannot draw") {
  CHECK_THROWS_AS(draw(Chart{"empty", "", "", {}}), Error);
  CHECK_THROWS_AS(draw(Chart{"nan", "", "", {unnamed({1}, {NAN})}}), Error);
  CHECK_THROWS_WITH(draw(Chart{"sizes", "", "", {Series{"s", {1, 2}, {1}}}}), "chart \"sizes\": series \"s\" has 2 x and 1 y");
  CHECK_THROWS_AS(draw(Chart{"spread", "", "", {Series{"s", {1, 2}, {1, 2}, {0}, {3}}}}), Error);
  Chart chart{"range", "", "", {unnamed({1, 2}, {1, 2})}};
  chart.x_range = {2, 2};
  CHECK_THROWS_AS(draw(chart), Error);
  chart.x_range = {-1, 2};
  chart.log_x = true;
  CHECK_THROWS_AS(draw(chart), Error);
  chart.x_range = {};
  chart.height = 70;
  CHECK_THROWS_AS(draw(chart), Error);
}

TEST_CASE("series that share an x stand beside each other there; all other points lie at their x") {
  const auto centres = [](const std::vector<double>& xs, double dodge) {
    Chart chart{"", "", "", {}};
    for (const double x : xs) chart.series.push_back(Series{"", {x}, {x}});
    chart.dodge = dodge;
    const Canvas canvas = draw(chart);
    std::vector<double> all;
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const Box box = around(canvas, line_colour(i));
      all.push_back((box.left + box.right) / 2);
    }
    return all;
  };
  const std::vector<double> apart = centres({0, 5, 10, 10}, 20);
  CHECK(std::abs(apart[3] - apart[2] - 20) <= 1);
  CHECK(std::abs(apart[1] - (apart[0] + (apart[2] + apart[3]) / 2) / 2) <= 1);
  const std::vector<double> close = centres({0, 10, 10, 10, 10.5, 10.5}, 60);  // their order is that of x
  for (std::size_t i = 1; i < close.size(); ++i) CHECK(close[i - 1] < close[i]);
}

TEST_CASE("matrix cells have their values' colours, and rows go down") {
  MatrixPicture m{"", "", "", {"a", "b"}, {"c", "d"}, {0, 1, 2, std::numeric_limits<double>::quiet_NaN()}};
  const Canvas canvas = draw(m);
  m.colour_bar = false;
  const Box first = around(draw(m), shade(0)), second = around(draw(m), shade(0.5)), third = around(draw(m), shade(1));
  CHECK(first.right < second.left);
  CHECK(first.top == second.top);
  CHECK(first.bottom < third.top);
  CHECK(first.left == third.left);
  CHECK(around(canvas, shade(0.5)).right > 0);
}

TEST_CASE("a matrix of values that differ in the last bit has one colour") {
  const MatrixPicture m{"", "", "", {"a"}, {"c", "d"}, {2.5, 2.5000000000000004}};
  CHECK(around(draw(m), shade(0.5)).right > 0);
}

TEST_CASE("a matrix picture refuses sizes that disagree, and too few pixels") {
  CHECK_THROWS_AS(draw(MatrixPicture{"m", "", "", {}, {}, {}}), Error);
  CHECK_THROWS_WITH(draw(MatrixPicture{"m", "", "", {"a"}, {"b", "c"}, {1}}),
                    "matrix \"m\": 1 rows x 2 columns, but 1 values and 0 texts");
  MatrixPicture m{"m", "", "", std::vector<std::string>(500, ""), {"a"}, std::vector<double>(500, 1)};
  m.height = 300;
  CHECK_THROWS_AS(draw(m), Error);
  m.height = 700;
  CHECK_NOTHROW(draw(m));
}

TEST_CASE("shades grow darker all the way") {
  const auto light = [](Colour c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; };
  for (int i = 0; i < 100; ++i) CHECK(light(shade(i / 100.0)) > light(shade((i + 1) / 100.0)));
}
