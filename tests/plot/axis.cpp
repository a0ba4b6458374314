#include "skipv1/plot/axis.hpp"

#include <cmath>
#include <set>

#include "skipv1/core/random.hpp"
#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::plot;

TEST_CASE("an axis maps its ends to its pixels, and back") {
  for (const bool log : {false, true}) {
    const Axis axis{0.5, 200, log ? Scale::logarithmic : Scale::linear, 40, 940};
    CHECK(axis.pixel(0.5) == Approx(40));
    CHECK(axis.pixel(200) == Approx(940));
    for (const double value : {0.5, 1.0, 10.0, 77.0, 200.0}) CHECK(axis.value(axis.pixel(value)) == Approx(value));
  }
  CHECK(Axis{1, 100, Scale::logarithmic, 0, 10}.pixel(10) == Approx(5));  // the middle of two decades
  CHECK(Axis{0, 10, Scale::linear, 100, 0}.pixel(2.5) == Approx(75));     // upwards
  CHECK_FALSE(Axis{1, 10, Scale::logarithmic}.shows(0));
  CHECK_FALSE(Axis{}.shows(NAN));
}

TEST_CASE("linear ticks are few, inside, and at multiples of 1, 2 or 5 times a power of ten") {
  Random random(3);
  for (int trial = 0; trial < 1000; ++trial) {
    const double length = std::pow(10, 12 * random.uniform() - 6), low = 10 * length * random.normal();
    const std::size_t most = 2 + random.below(10);
    const std::vector<double> ticks = linear_ticks({low, low + length}, most);
    REQUIRE(!ticks.empty());
    CHECK(ticks.size() <= most);
    if (most >= 4) CHECK(ticks.size() >= 2);
    CHECK(ticks.front() >= low - 1e-6 * length);
    CHECK(ticks.back() <= low + length * (1 + 1e-6));
    if (ticks.size() < 2) continue;
    const double step = ticks[1] - ticks[0], digit = step / std::pow(10, std::floor(std::log10(step) + 1e-6));
    CHECK((std::abs(digit - 1) < 1e-6 || std::abs(digit - 2) < 1e-6 || std::abs(digit - 5) < 1e-6));
    CHECK(std::abs(ticks[0] / step - std::round(ticks[0] / step)) < 1e-4);
    const std::vector<std::string> labels = tick_labels(ticks);
    CHECK(std::set<std::string>(labels.begin(), labels.end()).size() == ticks.size());
  }
}

TEST_CASE("log ticks are powers of ten, thinned out over many decades, with 2 and 5 over few") {
  CHECK(log_ticks({1, 1000}, 5) == std::vector<double>{1, 10, 100, 1000});
  CHECK(log_ticks({0.9, 60}, 8) == std::vector<double>{1, 2, 5, 10, 20, 50});
  CHECK(log_ticks({1e-9, 1e9}, 4).size() <= 4);
  CHECK(log_ticks({1e-9, 1e9}, 4).size() >= 2);
  CHECK(log_ticks({0.01, 0.1}, 5).front() == 0.01);
  CHECK(log_ticks({310, 330}, 6).size() >= 3);  // no 1, 2, 5 in between: linear
}

TEST_CASE("tick labels") {
  using Labels = std::vector<std::string>;
  CHECK(tick_labels({0, 0.5, 1}) == Labels{"0", "0.5", "1.0"});
  CHECK(tick_labels({-20, 0, 20}) == Labels{"-20", "0", "20"});
  CHECK(tick_labels({0, 500000, 1000000, 1500000}) == Labels{"0", "0.5M", "1.0M", "1.5M"});
  CHECK(tick_labels({2000, 4000}) == Labels{"2000", "4000"});
  CHECK(tick_labels({2.35, 2.4}) == Labels{"2.35", "2.40"});
  CHECK(tick_labels({0.0001, 0.01, 1, 100, 10000, 1e6}, Scale::logarithmic) == Labels{"0.0001", "0.01", "1", "100", "10k", "1M"});
  CHECK(tick_labels({0.0002, 0.0004}) == Labels{"0.0002", "0.0004"});
}

TEST_CASE("a range gets a margin, a single value gets room") {
  const Range wide = widen({0, 10}, 0.1);
  CHECK(wide.low == Approx(-1));
  CHECK(wide.high == Approx(11));
  for (const bool log : {false, true}) {
    const Range one = widen({3, 3}, 0.1, log ? Scale::logarithmic : Scale::linear);
    CHECK(one.low < 3);
    CHECK(one.high > 3);
    CHECK((!log || one.low > 0));
  }
  CHECK(widen({0, 0}, 0.1).high > 0);
}

TEST_CASE("a single tick has all its digits") {
  using Labels = std::vector<std::string>;
  CHECK(tick_labels({2.35}) == Labels{"2.35"});
  CHECK(tick_labels({0.000123}) == Labels{"0.000123"});
  CHECK(tick_labels({23500}) == Labels{"23.5k"});
  CHECK(tick_labels({0}) == Labels{"0"});
}

TEST_CASE("numbers beyond T have an exponent") {
  using Labels = std::vector<std::string>;
  CHECK(tick_labels({1e14, 2e14}) == Labels{"100T", "200T"});
  CHECK(tick_labels({1e22, 2e22}) == Labels{"1e22", "2e22"});
  CHECK(tick_labels({1e-12, 1e-8, 1e-4}, Scale::logarithmic) == Labels{"1e-12", "1e-8", "0.0001"});
  CHECK(tick_labels({1e14, 1e18, 1e22}, Scale::logarithmic) == Labels{"100T", "1e18", "1e22"});
}

TEST_CASE("values some roundings apart get the room of one value, on both scales") {
  for (const double value : {2.5, -2.5, 1e-200, 1e300, 5e-324}) {
    for (const bool log : {false, true}) {
      if (log && value < 1e-300) continue;
      const double next = std::nextafter(value, 1e308);
      const Range range = widen({value, next}, 0.05, log ? Scale::logarithmic : Scale::linear);
      INFO(value << (log ? " log" : ""));
      CHECK(range.low < value);
      CHECK(range.high > next);
      const std::vector<double> ticks = log ? log_ticks(range, 10) : linear_ticks(range, 10);
      CHECK((!ticks.empty() && ticks.size() <= 10));
    }
  }
}

TEST_CASE("the narrowest ranges that have ticks have different labels") {
  for (const double low : {1.0, 2.5, 777.0, 1e-9, 1e-200, 3e12, 1e20, 1e300}) {
    for (const double share : {1.1e-12, 1e-9, 1e-3}) {
      for (const bool log : {false, true}) {
        const Range range{low, low * (1 + share)};
        const std::vector<double> ticks = log ? log_ticks(range, 8) : linear_ticks(range, 8);
        const std::vector<std::string> labels = tick_labels(ticks, log ? Scale::logarithmic : Scale::linear);
        INFO(low << " " << share << (log ? " log" : "") << ": " << labels.front() << " " << labels.back());
        CHECK(ticks.size() <= 8);
        CHECK(ticks.size() >= 2);
        CHECK(std::set<std::string>(labels.begin(), labels.end()).size() == ticks.size());
      }
    }
  }
}

TEST_CASE("a log axis spans all doubles") {
  const Range range = widen({1e-307, 1e307}, 0.06, Scale::logarithmic);
  CHECK(range.low > 0);
  CHECK(std::isfinite(range.high));
  CHECK(log_ticks(range, 10).size() >= 2);
  CHECK(log_ticks(widen({1e-200, 1e200}, 0.06, Scale::logarithmic), 10).size() >= 2);
}

TEST_CASE("an axis without length has no ticks") {
  CHECK_THROWS_AS(linear_ticks({2, 2}, 5), Error);
  CHECK_THROWS_AS(linear_ticks({2.5, 2.5000000000000004}, 5), Error);
  CHECK_THROWS_AS(linear_ticks({0, 5e-324}, 5), Error);
  CHECK_THROWS_AS(linear_ticks({-1e308, 1e308}, 5), Error);
  CHECK_THROWS_AS(log_ticks({2.5, 2.5000000000000004}, 5), Error);
  CHECK_THROWS_AS(log_ticks({0, 1}, 5), Error);
}

TEST_CASE("ticks of whole numbers are whole") {
  CHECK(linear_ticks({0, 2}, 12, Ticks::whole) == std::vector<double>{0, 1, 2});
  CHECK(linear_ticks({-0.06, 1.06}, 10, Ticks::whole) == std::vector<double>{0, 1});
  CHECK(linear_ticks({0, 100}, 6, Ticks::whole).size() <= 6);
}

TEST_CASE("labels of the data's own values are as short as tells them apart") {
  using Labels = std::vector<std::string>;
  CHECK(value_labels({4915200, 9830400, 39321600, 78643200}) == Labels{"4.9M", "9.8M", "39M", "79M"});
  CHECK(value_labels({256, 2048, 16384}) == Labels{"256", "2048", "16,384"});
  CHECK(value_labels({2048, 69632, 137216}) == Labels{"2048", "70k", "140k"});
  CHECK(have_exact_labels({256, 2048, 16384}));
  CHECK(have_exact_labels({0, 200000, 1500000}));
  CHECK_FALSE(have_exact_labels({2048, 69632, 137216}));
  CHECK(value_labels({39321600, 39400000}) == Labels{"39.3M", "39.4M"});
  CHECK(value_labels({999999}) == Labels{"1.0M"});
  CHECK(value_labels({0.001, 0.0014, 0.002}) == Labels{"0.001", "0.0014", "0.002"});
  CHECK(value_labels({0, -3}) == Labels{"0", "-3"});
}

TEST_CASE("where the unit has a prefix the ticks have none") {
  using Labels = std::vector<std::string>;
  CHECK(has_prefixed_unit("KiB per sequence"));
  CHECK_FALSE(has_prefixed_unit("bytes per token"));
  CHECK(plain_tick_labels({-0.0, 10000, 30000, 0.5}) == Labels{"0", "10,000", "30,000", "0.5"});
}
