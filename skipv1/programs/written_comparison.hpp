// Whether numbers are those that tutorial 07 writes by `--json`.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "skipv1/io/json_value.hpp"

namespace skipv1 {

namespace detail {

/// One model's run. Throws unless its curve is as long as its tokens, which grow.
inline void check_comparison_run(const JsonValue& run) {
  constexpr double most_loss = 1e100, most_tokens = 1e18;
  run.at("variant").text();
  run.at("seed").count(0);
  run.at("parameters").count(1), run.at("cache_bytes_per_token").count(1, std::uint64_t{1} << 40);
  double before = 0;
  const std::vector<JsonValue> tokens = run.at("tokens").items(1);
  for (const JsonValue& token : tokens) {
    token.expect(token.number(1, most_tokens) > before, "more tokens than at the point before");
    before = token.number(1, most_tokens);
  }
  run.at("valid_nats_per_token").numbers(tokens.size(), 0, most_loss);
  for (const char* key : {"final_nats_per_token", "bits_per_byte"}) run.at(key).number(0, most_loss);
  run.at("tokens_per_second").number(0, 1e15);
}

}  // namespace detail

/// Throws, naming the key and the rule, unless `all` are the numbers of a comparison: each variant with the same seeds, each
/// once, at the same numbers of tokens.
inline void check_comparison(const Json& all) {
  const JsonValue numbers(all);
  numbers.at("text").text();
  for (const char* key : {"vocab", "width", "length", "batch", "steps"}) numbers.at(key).count(1, std::uint64_t{1} << 40);
  for (const char* key : {"layers", "heads"}) numbers.at(key).count(1, 4096);
  numbers.at("peak").number(0, 1e300);
  const std::vector<JsonValue> runs = numbers.at("runs").items(1);
  std::map<std::string, std::vector<std::uint64_t>> seeds;
  std::map<std::string, JsonValue> first;
  for (const JsonValue& run : runs) {
    detail::check_comparison_run(run);
    const std::string variant = run.at("variant").text();
    std::vector<std::uint64_t>& own = seeds[variant];
    const std::uint64_t seed = run.at("seed").count(0);
    run.at("seed").expect(std::find(own.begin(), own.end(), seed) == own.end(), "each seed of " + variant + " once");
    own.push_back(seed);
    const JsonValue& like = first.emplace(variant, run).first->second;
    run.at("tokens").expect(run.at("tokens").json() == runs[0].at("tokens").json(), "those of \"runs[0].tokens\"");
    for (const char* key : {"parameters", "cache_bytes_per_token"})
      run.at(key).expect(run.at(key).json() == like.at(key).json(), "as many as in the first run of " + variant);
  }
  const std::string base = runs[0].at("variant").text();
  for (const auto& [variant, own] : seeds)
    require(own == seeds[base], "\"runs\": expected the same seeds of ", base, " and ", variant);
}

}  // namespace skipv1
