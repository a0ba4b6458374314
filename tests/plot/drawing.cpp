// One description, two forms: what an SVG says, and that it says the same as the pixels.
#include "skipv1/plot/drawing.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "skipv1/plot/chart.hpp"
#include "skipv1/plot/routing.hpp"
#include "skipv1/plot/rows.hpp"
#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::plot;

namespace {

/// Whether `text` is one XML element: tags are closed in their order, attributes are quoted, no `<` or bare `&` stands in text.
bool is_well_formed(const std::string& text) {
  std::vector<std::string> open;
  std::size_t roots = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '&') {
      const std::size_t end = text.find(';', i);
      const std::string entity = end == text.npos ? "" : text.substr(i + 1, end - i - 1);
      if (entity != "amp" && entity != "lt" && entity != "gt" && entity != "quot") return false;
      i = end + 1;
      continue;
    }
    if (text[i] != '<') {
      if (text[i] == '>' || (open.empty() && text[i] != '\n')) return false;
      ++i;
      continue;
    }
    const std::size_t end = text.find('>', i);
    if (end == text.npos) return false;
    const std::string tag = text.substr(i + 1, end - i - 1), name = tag.substr(0, tag.find_first_of(" /", 1));
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0 || tag.find('<') != tag.npos) return false;
    if (tag[0] == '/') {
      if (open.empty() || tag.substr(1) != open.back()) return false;
      open.pop_back();
    } else {
      roots += open.empty();
      if (tag.back() != '/') open.push_back(name);
    }
    i = end + 1;
  }
  return open.empty() && roots == 1;
}

std::size_t times(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++count;
  return count;
}

Chart small_chart() {
  Chart chart{"a < b & \"c\"", "layer", "R²", {{"one", {0, 1, 2}, {1, 2, 3}}, {"two", {0, 1, 2}, {1, 2, 3}}}};
  chart.dodge = 10;
  return chart;
}

}  // namespace

TEST_CASE("the XML check of these tests tells right from wrong") {
  CHECK(is_well_formed("<a><b c=\"d\"/>x &lt;</a>"));
  for (const char* wrong : {"<a>", "<a></b>", "<a>&</a>", "<a b=\"c/>", "<a/><b/>", "<a><b></a></b>", "x", "<a>b > c</a>"})
    CHECK_FALSE(is_well_formed(wrong));
}

TEST_CASE("every kind of picture is well-formed as SVG") {
  Chart logarithmic = small_chart();
  logarithmic.series[0].x = {1, 10, 100}, logarithmic.series[0].low = {1, 1, 1}, logarithmic.series[0].high = {2, 3, 4};
  logarithmic.log_x = true, logarithmic.references = {{1.5, "a & b"}};
  const RowChart rows{"rows", "GiB", {"a", "b <"}, {{"", {1, 2}}}};
  const Routing table = find_variant("skipv1").route(RoutingShape{2, 4, 4, 0.5, 0, Injection::second_half});
  for (const std::string& svg :
       {describe(small_chart()).svg(), describe(logarithmic).svg(), describe(rows).svg(), routing_picture(table, "t").svg(),
        describe(MatrixPicture{"m", "r", "c", {"a"}, {"b"}, {1}}).svg(),
        side_by_side({describe(small_chart()), describe(rows)}, "two & two").svg()})
    CHECK(is_well_formed(svg));
  CHECK(times(describe(small_chart()).svg(), "a &lt; b &amp; &quot;c&quot;") == 2);  // as its title, and drawn
}

TEST_CASE("text that XML has no place for becomes '?'") {
  CHECK(SvgWriter::escaped("a\x01"
                           "b\xff\xef\xbf\xbf") == "a?b??");
  CHECK(SvgWriter::escaped("\xc2\xb2\xf0\x9f\x98\x80") == "\xc2\xb2\xf0\x9f\x98\x80");
}

TEST_CASE("an integer axis is ticked at its integers, and at nothing between") {
  const std::string svg = describe(small_chart()).svg();
  for (const char* label : {">0<", ">1<", ">2<"}) CHECK(times(svg, label) >= 1);
  for (const char* label : {">0.5<", ">1.5<", ">0.2<"}) CHECK(times(svg, label) == 0);
}

TEST_CASE("series that coincide are drawn beside each other") {
  Chart chart = small_chart();
  const std::string beside = describe(chart).svg();
  chart.dodge = 0;
  const std::string over = describe(chart).svg();
  const auto first_x = [](const std::string& svg, const char* start) {
    const std::size_t at = svg.find(start);
    REQUIRE(at != svg.npos);
    return std::stod(svg.substr(at + std::string(start).size()));
  };
  CHECK(first_x(beside, "<circle cx=\"") < first_x(over, "<circle cx=\"") + 10);
  CHECK(beside != over);
}

TEST_CASE("ticks stand at the data where these are few") {
  Chart chart{"", "tokens", "", {{"a", {4915200, 9830400, 39321600}, {1, 2, 3}}}};
  chart.log_x = true;
  const std::string svg = describe(chart).svg();
  for (const char* label : {">4.9M<", ">9.8M<", ">39M<"}) CHECK(times(svg, label) == 1);
  CHECK(times(svg, "39321600") == 0);
}

TEST_CASE("a linear axis has round ticks where the data's labels would be rounded") {
  Chart chart{"", "tokens", "", {{"a", {2048, 68267, 136534, 409600}, {4, 3, 2, 1}}}};
  const std::string svg = describe(chart).svg();
  for (const char* label : {">100k<", ">400k<"}) CHECK(times(svg, label) == 1);
  for (const char* label : {">68k<", ">70k<", ">410k<"}) CHECK(times(svg, label) == 0);
  chart.series[0].x = {2048, 4096, 16384, 20480};
  CHECK(times(describe(chart).svg(), ">16,384<") == 1);
}

TEST_CASE("a long title takes two lines and keeps off the edges") {
  Chart chart = small_chart();
  chart.title = "a title that is much too long for one line of nine hundred and sixty pixels at twenty pixels a letter, or so";
  const std::string svg = describe(chart).svg();
  CHECK(times(svg, "font-size=\"20\"") == 2);
}

TEST_CASE("points are labelled where they are asked to be") {
  Chart chart = small_chart();
  chart.series[0].labels = {"first", "", "third"};
  const std::string svg = describe(chart).svg();
  CHECK(times(svg, ">first<") == 1);
  CHECK(times(svg, ">third<") == 1);
  chart.series[0].labels = {"one"};
  CHECK_THROWS_WITH(describe(chart), Catch::Contains("1 labels: must be none or as many"));
}

TEST_CASE("the texts of dots stand beside the plot, where no line and no dot is") {
  RowChart chart{"t", "gain", {"a", "b"}, {{"", {-1, 1}}}};
  chart.kind = RowChart::Kind::dots, chart.references = {0};
  chart.values[0].texts = {"first", "second"};
  const std::string svg = describe(chart).svg();
  const auto x_before = [&](const std::string& text) {
    const std::size_t at = svg.rfind("<text x=\"", svg.find(">" + text + "<"));
    REQUIRE(at != svg.npos);
    return std::stod(svg.substr(at + 9));
  };
  CHECK(x_before("first") == x_before("second"));
  for (std::size_t at = svg.find("<circle cx=\""); at != svg.npos; at = svg.find("<circle cx=\"", at + 1))
    CHECK(std::stod(svg.substr(at + 12)) + 6 < x_before("first"));
}

TEST_CASE("a line's label keeps clear of markers beside it") {
  Chart chart{"", "x", "y", {{"a", {0, 1, 2, 3}, {1.2, 1.2, 1.05, 1.05}}, {"b", {0, 1, 2, 3}, {1.5, 0.5, 0.5, 0.5}}}};
  chart.references = {{1, "reference"}};
  const std::string svg = describe(chart).svg();
  const std::size_t at = svg.rfind("<text x=\"", svg.find(">reference<"));
  REQUIRE(at != svg.npos);
  double x = 0, y = 0;
  REQUIRE(std::sscanf(svg.c_str() + at, "<text x=\"%lf\" y=\"%lf\"", &x, &y) == 2);
  double nearest = 1e9;  // of the markers right of the label's beginning, by height
  for (std::size_t circle = svg.find("<circle cx=\""); circle != svg.npos; circle = svg.find("<circle cx=\"", circle + 1)) {
    double cx = 0, cy = 0;
    REQUIRE(std::sscanf(svg.c_str() + circle, "<circle cx=\"%lf\" cy=\"%lf\"", &cx, &cy) == 2);
    if (cx > x - 6 && cx < x + 90) nearest = std::min(nearest, std::abs(cy - (y - 6)));
  }
  CHECK(nearest > 12);
}

TEST_CASE("rows have their names, values and intervals") {
  RowChart chart{"t", "GiB", {"MHA", "SkipV1"}, {{"", {24, 18.25}}}};
  chart.values[0].texts = {"24.00", "18.25"};
  const std::string svg = describe(chart).svg();
  for (const char* text : {">MHA<", ">SkipV1<", ">24.00<", ">18.25<", ">GiB<"}) CHECK(times(svg, text) == 1);
  CHECK(times(svg, ">-0<") == 0);
  chart.values[0].values = {1};
  CHECK_THROWS_AS(describe(chart), Error);
}

TEST_CASE("rows have as many ticks as their labels leave room for") {
  RowChart chart{"t", "gain", {"a name that takes a third of the picture", "b"}, {{"", {-0.12, 0.24}}}};
  chart.kind = RowChart::Kind::dots, chart.width = 700;
  const std::string svg = describe(chart).svg();
  for (const char* tick : {">-0.1<", ">0<", ">0.1<", ">0.2<"}) CHECK(times(svg, tick) == 1);
}

TEST_CASE("a figure is saved as PNG and SVG, or by its name as SVG alone") {
  const auto folder = std::filesystem::temp_directory_path() / "skipv1-test-drawing";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  save_figure(folder / "a.png", small_chart());
  CHECK(std::filesystem::exists(folder / "a.png"));
  CHECK(std::filesystem::exists(folder / "a.svg"));
  save_figure(folder / "b.svg", small_chart());
  CHECK_FALSE(std::filesystem::exists(folder / "b.png"));
  CHECK(std::filesystem::exists(folder / "b.svg"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("pasted pictures keep their shapes and their clipping") {
  Drawing inner(10, 10), outer(30, 10);
  inner.clip({0, 0, 5, 10});
  inner.fill({0, 0, 10, 10}, black);
  outer.paste(inner, {20, 0});
  const Canvas canvas = outer.pixels();
  CHECK(canvas.pixel(22, 5) == black);
  CHECK(canvas.pixel(26, 5) == white);
  CHECK(canvas.pixel(5, 5) == white);
}
