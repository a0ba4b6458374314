// The one kernel's timeline, drawn from a saved run of skipv1-benchmark-gpu-one-kernel.
#pragma once

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/plot/diagram.hpp"

namespace skipv1::one_kernel_timeline {

/// A phase between two barriers, in cycles: the median and the slowest block's work, and the slowest block's wait at the barrier
/// behind it.
struct Segment {
  double work = 0, slowest = 0, wait = 0;
};
/// A layer's five phases, and the end of a token.
struct Timeline {
  std::array<Segment, 6> segments;
  double microseconds_per_token = 0, limit = 0;
};

/// LLaMA 1.3B, MHA, one sequence of 2,048 positions: the first such row of the run. Its clocks are those of the last 12 barriers
/// of four tokens, of 5 barriers a layer and one more each, in a ring.
inline Timeline read_timeline(const std::string& path) {
  constexpr std::size_t layers = 24, ring = 12, per_token = 5 * layers + 1, all = 4 * per_token;
  std::ifstream file(path);
  require(file.good(), path, ": cannot be read");
  std::string line;
  while (std::getline(file, line) && line.rfind("mha       1 x  2048: graph", 0) != 0) {
  }
  Timeline t;
  const std::size_t at = line.find("one kernel"), limit = line.find("limit");
  require(file.good() && at != std::string::npos && limit != std::string::npos, path, ": no row of mha, 1 x 2048");
  const auto number_at = [&](std::size_t place) {
    double number = 0;
    require(static_cast<bool>(std::istringstream(line.substr(place)) >> number), path, ": \"", line, "\" has no time");
    return number;
  };
  t.microseconds_per_token = number_at(at + 10), t.limit = number_at(limit + 5);
  std::vector<std::pair<std::size_t, Segment>> read;  // barriers before the last, and what they end
  std::getline(file, line);                           // what the columns are
  while (std::getline(file, line) && line.rfind("  ", 0) == 0) {
    std::istringstream words(line);
    std::size_t number = 0;
    char colon = 0, comma = 0;
    Segment s;
    words >> number >> colon >> s.work >> s.slowest >> comma >> s.wait;
    require(!words.fail() && number < ring, path, ": \"", line, "\" is no line of a timeline");
    read.emplace_back((all - 1 - number) % ring, s);
  }
  require(!read.empty(), path, ": no timeline behind mha, 1 x 2048");
  std::sort(read.begin(), read.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [before, s] : read) {  // of the two layers in the ring the first, which is whole
    const std::size_t barrier = (all - 1 - before) % per_token;
    t.segments[barrier == per_token - 1 ? 5 : barrier % 5] = s;
  }
  return t;
}

constexpr double cycles_per_microsecond = 1760, bytes_per_cycle = 4070e9 / 1.76e9;
/// What the phases read, in bytes: LLaMA 1.3B, one sequence of 2,048.
constexpr std::array<double, 6> bytes_of{2048 * 6144 * 2.,  2048 * 4096 * 2., 2048 * 2048 * 2.,
                                         2048 * 10928 * 2., 2048 * 5464 * 2., 2048 * 32000 * 2.};
constexpr std::array<const char*, 6> names{"1 q, k, v", "2 attention", "3 output", "4 up, gate", "5 down", "end: logits"};

/// One layer and a token's end: what each phase takes, and what its bytes take at the copy's rate.
inline plot::Drawing draw_timeline(const Timeline& t) {
  using namespace plot;
  double total = 0;
  for (const Segment& s : t.segments) total += s.work + s.wait;
  constexpr double left = 120, right = 940;
  const double scale = (right - left) / total;
  Diagram d(960, 344, "One layer and a token's end in the kernel with five barriers a layer: LLaMA 1.3B, 1 x 2,048");
  d.label({60, 90}, "measured");
  d.label({60, 160}, "bytes");
  double x = left;
  for (std::size_t i = 0; i < t.segments.size(); ++i) {
    const Segment& s = t.segments[i];
    const Colour paper = i == 1 ? value_colour : key_colour;
    const double worked = x + scale * s.work, waited = worked + scale * s.wait;
    d.drawing().fill({x, 70, worked, 110}, paper);
    d.drawing().fill({worked, 70, waited, 110}, black);
    d.drawing().fill({x, 140, x + scale * bytes_of[i] / bytes_per_cycle, 180}, grey);
    d.label({(x + waited) / 2, 56}, names[i], Align::centre, ink, 11);
    d.label({(x + worked) / 2, 124}, fixed(s.work / cycles_per_microsecond, 1) + " us", Align::centre, ink, 11);
    x = waited;
  }
  d.drawing().line({left, 196}, {right, 196}, 1.2, ink);
  for (double time = 0; time * cycles_per_microsecond <= total; time += 10) {
    const double at = left + scale * time * cycles_per_microsecond;
    d.drawing().line({at, 196}, {at, 202}, 1.2, ink);
    d.label({at, 212}, fixed(time, 0), Align::centre, ink, 11);
  }
  d.label({left - 14, 196}, "us", Align::right);
  const auto key = [&](double at, Colour colour, const char* text) {
    d.drawing().fill({at, 234, at + 16, 250}, colour);
    d.label({at + 24, 242}, text, Align::left);
  };
  key(120, key_colour, "product");
  key(240, value_colour, "attention");
  key(370, black, "barrier: the slowest block's wait");
  key(650, grey, "its bytes at the copy's rate");
  const auto microseconds = [&](double Segment::*work, std::size_t from, std::size_t to) {
    double cycles = 0;
    for (std::size_t i = from; i < to; ++i) cycles += t.segments[i].*work + t.segments[i].wait;
    return cycles / cycles_per_microsecond;
  };
  const auto token = [&](double Segment::*work) { return 24 * microseconds(work, 0, 5) + microseconds(work, 5, 6); };
  d.lines({120, 278},
          {"Numbers under the bar: the median block's work, without barriers. With them, 24 layers of " +
               fixed(microseconds(&Segment::work, 0, 5), 1) + " us",
           "and the end of " + fixed(microseconds(&Segment::work, 5, 6), 1) + " us are " + fixed(token(&Segment::work), 0) +
               " us; with the slowest block's work of each phase " + fixed(token(&Segment::slowest), 0) + " us.",
           "Measured: " + fixed(t.microseconds_per_token, 0) +
               " us per token; all bytes at the copy's rate: " + fixed(t.limit, 0) + " us."});
  return std::move(d.drawing());
}

}  // namespace skipv1::one_kernel_timeline
