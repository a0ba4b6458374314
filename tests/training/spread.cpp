#include "skipv1/programs/spread.hpp"

#include "skipv1/programs/experiment_tables.hpp"
#include "tests/catch.hpp"

using namespace skipv1;

TEST_CASE("intervals of 95 % are Student's: of one number infinite, of many about 1.96 standard errors") {
  CHECK(std::isinf(half_interval({1.0})));
  CHECK(half_interval({1, 3}) == Approx(12.706));                           // deviation sqrt(2), over sqrt(2)
  CHECK(half_interval({1, 2, 3, 4, 5}) == Approx(2.776 * std::sqrt(0.5)));  // deviation sqrt(5/2), over sqrt(5)
  CHECK(half_interval({2, 2, 2}) == 0);
  std::vector<double> many;
  for (int i = 0; i < 200; ++i) many.push_back(i % 2);
  CHECK(half_interval(many) == Approx(1.972 * deviation(many) / std::sqrt(200)).epsilon(1e-3));
}

TEST_CASE("tables give an interval from three seeds on, and of two seeds both, in the order of the seeds") {
  CHECK(report::interval_text({}).empty());
  CHECK(report::interval_text({-0.117}) == "-0.1170, n = 1");
  CHECK(report::interval_text({-0.0854, -0.0722}) == "-0.0854, -0.0722, n = 2");
  CHECK(report::interval_text({1, 2, 3}) == "+2.0000 [-0.4843, +4.4843], n = 3");  // 4.303 / sqrt(3)
  CHECK(report::interval_text({1, 2, 3}, 1) == "+2.0 [-0.5, +4.5], n = 3");
}

TEST_CASE("tables name every device that their runs were made on, once") {
  const auto run = [](const char* label, int seed, const char* device) {
    return Json{{"label", label}, {"seed", seed}, {"device", device}};
  };
  const auto devices = [](const std::vector<Json>& runs) {
    Json results;
    results["runs"] = runs;
    return report::devices_text(report::by_label(results));
  };
  CHECK(devices({run("mha", 1, "NVIDIA H200")}) == "NVIDIA H200");
  CHECK(devices({run("mha", 1, "NVIDIA H200"), run("mha", 2, "cpu"), run("skipv1", 1, "NVIDIA H200"),
                 run("skipv1", 2, "NVIDIA B200")}) == "NVIDIA H200, cpu, NVIDIA B200");
}

TEST_CASE("figures draw an interval from three seeds on, and of two seeds the range") {
  plot::Series series{"", {}, {}};
  report::add_interval(series, 1, {3, 1}), report::add_interval(series, 2, {1, 2, 3}), report::add_interval(series, 3, {5});
  CHECK(series.low == std::vector<double>{1, series.low[1], 5});
  CHECK(series.high == std::vector<double>{3, series.high[1], 5});
  CHECK(series.low[1] == Approx(2 - 4.303 / std::sqrt(3)));
  CHECK(series.high[1] == Approx(2 + 4.303 / std::sqrt(3)));
}

TEST_CASE(
    "the probability of a mean under random signs: few of few differences, small where all agree, uniform where there is "
    "nothing") {
  CHECK(sign_flip_probability({1, 1, 1}) == Approx(0.25).margin(0.01));  // 2 of 8 choices are as far
  CHECK(sign_flip_probability({1, -1}) == 1);
  CHECK(sign_flip_probability(std::vector<double>(30, 0.1)) < 1e-4);
  std::size_t below = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random(seed);
    std::vector<double> x(12);
    for (double& value : x) value = random.normal();
    below += sign_flip_probability(x, 1000) < 0.1;
  }
  CHECK(below > 20);  // 40 of 400, with a standard deviation of 6
  CHECK(below < 60);
}

TEST_CASE("Holm's correction: the least is multiplied by all, none falls below one before it, none passes 1") {
  const std::vector<double> corrected = holm({0.01, 0.04, 0.03, 0.005}), expected = {0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < 4; ++i) CHECK(corrected[i] == Approx(expected[i]));
  CHECK(holm({0.4, 0.9}) == std::vector<double>{0.8, 0.9});
  CHECK(holm({0.7, 0.6}) == std::vector<double>{1, 1});
  CHECK(holm({}).empty());
}
