// Rotary frequencies of each kind, held to numbers computed by hand from the published formulas.
#include "skipv1/model/rope_scaling.hpp"

#include "skipv1/model/config.hpp"
#include "skipv1/ops/rope.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

RopeScaling scaling_of(RopeKind kind, double factor, std::size_t original) {
  RopeScaling s;
  s.kind = kind, s.factor = factor, s.original_max_position_embeddings = original;
  return s;
}

void check_frequencies(const RopeScaling& s, double theta, const std::vector<std::pair<std::size_t, double>>& expected) {
  const std::vector<double> found = rope_frequencies(s, theta, 128);
  REQUIRE(found.size() == 64);
  for (const auto& [i, f] : expected) {
    INFO("pair " << i);
    CHECK(found[i] == Approx(f).epsilon(1e-12));
  }
}

}  // namespace

TEST_CASE("linear frequencies are the plain ones divided by the factor") {
  check_frequencies({}, 1e4, {{0, 1}, {16, 0.1}, {32, 0.01}, {48, 0.001}});
  check_frequencies(scaling_of(RopeKind::linear, 8, 0), 1e4, {{0, 0.125}, {16, 0.0125}, {32, 0.00125}});
}

TEST_CASE("llama3 keeps fast pairs, divides slow ones and goes smoothly from one to the other") {
  // Llama 3.1: theta 500000, wavelengths of 8192 / 4 = 2048 to 8192 / 1 positions between.
  check_frequencies(scaling_of(RopeKind::llama3, 8, 8192), 5e5,
                    {{0, 1},
                     {28, 0.003211445994752591},   // wavelength 1956
                     {29, 0.002166570763503359},   // 2402
                     {32, 0.0005248461609929547},  // 4443
                     {34, 0.0001785078127679964},  // 6695
                     {35, 9.556212353964683e-05},  // 8219
                     {63, 3.068925988914511e-07}});
}

TEST_CASE("yarn keeps fast pairs, divides slow ones, and ramps by the pair's number between") {
  // Qwen 2.5: theta 1e6, 32 turns of 32768 positions at pair 23.6, one turn at pair 39.7.
  const auto plain = [](double i) { return std::pow(1e6, -2 * i / 128); };
  RopeScaling s = scaling_of(RopeKind::yarn, 4, 32768);
  s.attention_factor = yarn_attention_factor(4);
  CHECK(s.attention_factor == Approx(1.1386294361119891).epsilon(1e-15));
  CHECK(yarn_attention_factor(1) == 1);
  const auto ramped = [&](double i, double low, double high) {
    const double ramp = (i - low) / (high - low);
    return plain(i) * (ramp / 4 + 1 - ramp);
  };
  check_frequencies(
      s, 1e6,
      {{0, 1}, {23, plain(23)}, {24, ramped(24, 23, 40)}, {39, ramped(39, 23, 40)}, {40, plain(40) / 4}, {63, plain(63) / 4}});
  s.truncate = false;
  check_frequencies(s, 1e6, {{23, plain(23)}, {24, ramped(24, 23.5959476083381, 39.6508807104171)}, {40, plain(40) / 4}});
  s.beta_fast = 1;  // both ends at pair 39.7
  check_frequencies(s, 1e6, {{0, 1}, {39, plain(39)}, {40, plain(40) / 4}});
  s.truncate = true, s.original_max_position_embeddings = 3;  // no pair turns once: nothing is divided
  check_frequencies(s, 1e6, {{0, 1}, {63, plain(63)}});
}

TEST_CASE("cosines and sines have yarn's magnitude") {
  const Tensor<double> table = rope_table<double>(3, {1, 0.25}, 1.5);
  CHECK(table(2, 1, 0u) == Approx(1.5 * std::cos(0.5)));
  CHECK(table(2, 0, 1u) == Approx(1.5 * std::sin(2.0)));
}

TEST_CASE("what a kind of rotary frequencies needs is checked, by name") {
  const auto refusal = [](RopeScaling s, double theta = 100) { return message([&] { validate(s, theta); }); };
  RopeScaling s = scaling_of(RopeKind::yarn, 2, 64);
  CHECK(refusal(s) == "");
  CHECK(refusal(s, 1) == "rope_theta is 1: kind yarn needs one above 1");
  CHECK(refusal(scaling_of(RopeKind::linear, 0, 0)) == "rope_frequencies.factor is 0: must be positive");
  CHECK(refusal(scaling_of(RopeKind::llama3, 2, 0)).find("rope_frequencies.original_max_position_embeddings is 0") == 0);
  s.beta_fast = 0.5;
  CHECK(refusal(s) == "rope_frequencies.beta_fast is 0.5: must be beta_slow, 1, or more");
  s.attention_factor = -1, s.beta_fast = 32;
  CHECK(refusal(s) == "rope_frequencies.attention_factor is -1: must be positive");
  s = scaling_of(RopeKind::llama3, 2, 64);
  s.low_freq_factor = 4;
  CHECK(refusal(s) == "rope_frequencies.high_freq_factor is 4: must be above low_freq_factor, 4");
  CHECK(refusal(scaling_of(RopeKind::plain, -1, 0)) == "");  // uses none
  CHECK(message([] { parse_rope_kind("longrope"); }).find("rope kind \"longrope\" is unknown") == 0);
}
