#include "skipv1/plot/canvas.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::plot;

namespace {
/// How many pixels are not white.
std::size_t painted(const Canvas& canvas) {
  std::size_t count = 0;
  for (std::size_t y = 0; y < canvas.height(); ++y)
    for (std::size_t x = 0; x < canvas.width(); ++x) count += canvas.pixel(x, y) != white;
  return count;
}
}  // namespace

TEST_CASE("a line one pixel thick through the middles of pixels paints exactly those") {
  Canvas canvas(20, 10);
  canvas.line({3.5, 4.5}, {12.5, 4.5}, 1, black);
  for (std::size_t x = 3; x <= 12; ++x) CHECK(canvas.pixel(x, 4) == black);
  CHECK(painted(canvas) == 10);
}

TEST_CASE("a line between two rows of pixels covers half of each") {
  Canvas canvas(20, 10);
  canvas.line({3.5, 5}, {12.5, 5}, 1, black);
  CHECK(canvas.pixel(8, 4) == Colour{128, 128, 128});
  CHECK(canvas.pixel(8, 5) == Colour{128, 128, 128});
  CHECK(canvas.pixel(8, 3) == white);
  CHECK(canvas.pixel(8, 6) == white);
}

TEST_CASE("a diagonal line goes through its pixels, and joints are not painted twice") {
  Canvas straight(16, 16), jointed(16, 16);
  straight.line({1.5, 1.5}, {14.5, 14.5}, 1, black);
  jointed.line({{1.5, 1.5}, {4, 4}, {7.25, 7.25}, {14.5, 14.5}}, 1, black);
  for (std::size_t i = 1; i <= 14; ++i) CHECK(straight.pixel(i, i) == black);
  CHECK(straight.png() == jointed.png());
}

TEST_CASE("small shapes are the same in a large picture as in a small one, and in one that cuts them") {
  const auto drawn = [](Canvas canvas, double x, double y, bool dashed) {
    canvas.line({{x + 4.25, y + 5}, {x + 21, y + 9.5}, {x + 15, y + 22}}, 2.5, black);
    canvas.polygon({{x + 8, y + 14.75}, {x + 24.5, y + 17}, {x + 12, y + 25}}, {200, 40, 0}, 0.5);
    if (dashed) canvas.line({{x + 3, y + 20}, {x + 26, y + 6}}, 1, black, {3, 2});
    return canvas;
  };
  const auto equal = [](const Canvas& part, const Canvas& whole, std::size_t x0, std::size_t y0) {
    for (std::size_t y = 0; y < part.height(); ++y)
      for (std::size_t x = 0; x < part.width(); ++x)
        if (part.pixel(x, y) != whole.pixel(x0 + x, y0 + y)) return false;
    return true;
  };
  const Canvas small = drawn(Canvas(30, 30), 0, 0, true), large = drawn(Canvas(700, 500), 400, 300, true);
  CHECK(painted(small) > 100);
  CHECK(equal(small, large, 400, 300));
  CHECK(painted(large) == painted(small));
  CHECK(equal(drawn(Canvas(8, 7), -10, -12, false), drawn(Canvas(30, 30), 0, 0, false), 10, 12));
}

TEST_CASE("dashes go on over joints") {
  Canvas canvas(20, 3);
  canvas.line({{0, 1.5}, {3, 1.5}, {20, 1.5}}, 1, black, {6, 6});
  CHECK(canvas.pixel(1, 1) == black);
  CHECK(canvas.pixel(4, 1) == black);
  CHECK(canvas.pixel(9, 1) == white);
  CHECK(canvas.pixel(14, 1) == black);
  CHECK(canvas.pixel(19, 1) == white);
}

TEST_CASE("rectangles cover pixels in proportion, and opacity mixes") {
  Canvas canvas(8, 8);
  canvas.fill({1, 1, 3.5, 3}, black);
  CHECK(canvas.pixel(1, 1) == black);
  CHECK(canvas.pixel(2, 2) == black);
  CHECK(canvas.pixel(3, 1) == Colour{128, 128, 128});
  CHECK(canvas.pixel(4, 1) == white);
  canvas.fill({5, 5, 6, 6}, black, 0.2);
  CHECK(canvas.pixel(5, 5) == Colour{204, 204, 204});
}

TEST_CASE("a polygon fills what lies between its edges, and half of what it half covers") {
  Canvas canvas(10, 10);
  canvas.polygon({{1, 2}, {9, 2}, {9, 6}, {1, 6}}, black);
  CHECK(painted(canvas) == 8 * 4);
  CHECK(canvas.pixel(1, 2) == black);
  CHECK(canvas.pixel(8, 5) == black);
  Canvas half(4, 4);
  half.polygon({{0.5, 0}, {2, 0}, {2, 2}, {0.5, 2}}, black);
  CHECK(half.pixel(0, 1) == Colour{128, 128, 128});
  CHECK(half.pixel(1, 1) == black);
}

TEST_CASE("nothing is painted outside the clip, and nothing outside the picture") {
  Canvas canvas(10, 10);
  canvas.clip({2, 2, 5, 5});
  canvas.fill({-50, -50, 50, 50}, black);
  CHECK(painted(canvas) == 9);
  canvas.clip(canvas.frame());
  canvas.line({-100, 5}, {100, 5}, 3, black);
  canvas.text({-20, -5}, "outside", 2, black);
  canvas.marker({10, 10}, Marker::triangle, 4, black);
  CHECK(canvas.pixel(0, 5) == black);
}

TEST_CASE("every marker is centred on its point") {
  for (const Marker marker : {Marker::circle, Marker::square, Marker::diamond, Marker::triangle}) {
    Canvas canvas(21, 21);
    canvas.marker({10.5, 10.5}, marker, 6, black);
    CHECK(canvas.pixel(10, 10) == black);
    CHECK(canvas.pixel(0, 10) == white);
    for (std::size_t y = 0; y < 21; ++y)
      for (std::size_t x = 0; x < 10; ++x) CHECK(canvas.pixel(x, y) == canvas.pixel(20 - x, y));
  }
}

TEST_CASE("text has the width that was announced, turned text is the same turned") {
  Canvas flat(200, 200), turned(200, 200);
  const double width = text_width("loss", 20);
  flat.text({10, 20}, "loss", 20, black);
  turned.text_upwards({20, 10 + width / 2}, "loss", 20, black);
  const std::size_t last = text_mask("loss", 20).width - 1;
  CHECK(painted(flat) > 50);
  for (std::size_t x = 0; x <= last; ++x)
    for (std::size_t y = 0; y < 24; ++y) CHECK(flat.pixel(10 + x, 20 + y) == turned.pixel(20 + y, 10 + last - x));
  for (std::size_t y = 0; y < 200; ++y)
    for (std::size_t x = 0; x < 200; ++x)
      if (flat.pixel(x, y) != white) CHECK((x >= 10 && static_cast<double>(x) <= 11 + width));
  CHECK(text_width("wide", 40) == Approx(2 * text_width("wide", 20)));
}

TEST_CASE("letters that stb_easy_font made alike differ in the system's font") {
  if (!plot::detail::Font::system().loaded()) return;  // nothing to see on a machine without a font
  for (const auto& [a, b] : {std::pair{"V", "Y"}, {"a", "o"}, {"0", "8"}, {"1", "l"}}) {
    INFO(a << " and " << b);
    const Mask one = text_mask(a, 17), other = text_mask(b, 17);
    double difference = 0;
    for (std::size_t y = 0; y < one.height; ++y)
      for (std::size_t x = 0; x < std::min(one.width, other.width); ++x) difference += std::abs(one(x, y) - other(x, y));
    CHECK(difference > 8);
  }
  CHECK(text_width("−", 17) > 5);  // U+2212, which is not ASCII
}

TEST_CASE("the font for machines without one draws ASCII, and one '?' for each other character") {
  CHECK(easy::text_width("a\xce\xbb"
                         "b",
                         17) == easy::text_width("a?b", 17));
  const Mask mask = easy::text_mask("loss", 17);
  double ink_used = 0;
  for (const double covered : mask.coverage) ink_used += covered;
  CHECK(ink_used > 30);
}

TEST_CASE("text that is not UTF-8 has a '?' for each byte that fits nowhere") {
  CHECK(plot::detail::code_points("a\xc3\xa9\xff\xc3") == std::vector<int>{'a', 0xe9, '?', '?'});
}

TEST_CASE("lines are broken at spaces where they are too long") {
  const double room = text_width("one two", 17) + 1;
  CHECK(wrap("one two three", 17, room) == std::vector<std::string>{"one two", "three"});
  const double brief = text_width("unbr...", 17);
  CHECK(wrap("unbreakably long", 17, brief) == std::vector<std::string>{"unbr...", "long"});
  CHECK(wrap("", 17, 5).empty());
}

TEST_CASE("text that is too long for its place is smaller, then cut at a character's end, and never a hairline") {
  const std::string word(1000, 'w'), umlauts = "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc";
  CHECK(fitted("short", 17, 300).text == "short");
  CHECK(fitted("short", 17, 300).size == 17);
  const std::string longer(40, 'w');
  const Fitted smaller = fitted(longer, 17, 0.8 * text_width(longer, 17));
  CHECK(smaller.text == longer);
  CHECK(smaller.size == Approx(0.8 * 17));
  const Fitted least = fitted(word, 17, 300);
  CHECK(least.size == 10);
  CHECK(least.text.ends_with("w..."));
  CHECK(text_width(least.text, 10) <= 300);
  CHECK(text_width(least.text + "w", 10) > 300);
  for (double room = 0; room < text_width(umlauts, 17); ++room) {
    const std::string part = cut(umlauts, 17, room);
    CHECK(part.size() % 2 == 1);  // whole characters and "..."
    CHECK((part == "..." || text_width(part, 17) <= room));
  }
}

TEST_CASE("a PNG file is written whole, or not at all") {
  const auto folder = std::filesystem::temp_directory_path() / "skipv1-test-canvas";
  std::filesystem::create_directories(folder);
  save_png(folder / "a.png", Canvas(7, 300));
  std::ifstream file(folder / "a.png", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  CHECK(bytes.substr(0, 8) == "\x89PNG\r\n\x1a\n");
  CHECK(bytes.substr(16, 8) == std::string("\0\0\0\7\0\0\1\x2c", 8));  // width and height
  CHECK_THROWS_AS(save_png(folder / "none" / "a.png", Canvas(2, 2)), Error);
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a picture without pixels is an error") {
  CHECK_THROWS_AS(Canvas(0, 5), Error);
  CHECK_THROWS_AS(Canvas(5, 20001), Error);
}
