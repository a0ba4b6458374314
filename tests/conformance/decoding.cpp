// Decoding steps: what is drawn, read and refused, and where what another implementation wrote first differs.
#include "skipv1/conformance/decoding.hpp"

#include <algorithm>

#include "skipv1/conformance/actual.hpp"
#include "skipv1/conformance/altered_pass.hpp"
#include "skipv1/conformance/decoding_slips.hpp"
#include "skipv1/conformance/json_file.hpp"
#include "skipv1/conformance/mistakes.hpp"
#include "skipv1/conformance/new_case.hpp"
#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/model/decoder.hpp"
#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/models.hpp"

using namespace skipv1;
using namespace skipv1::conformance;
using namespace skipv1::testing;

namespace {

/// A case of 12 positions with its decoding, and an empty folder for what is held against it.
struct DecodingSetting {
  Folder folder{"conformance-decoding"};
  std::filesystem::path actual = folder / "actual", place = folder / "case";
  Case c;

  DecodingSetting() : c(make()) { std::filesystem::create_directory(actual); }
  std::vector<Comparison> compare() const { return compare_actual(c, actual, ""); }
  void write_step(std::size_t n, View<double> logits) const {
    write_npy<double>(actual / (step_tensor(n, "logits") + ".npy"), logits);
  }
  /// The error of reading the case once `text` in its decoding.json is `other`.
  std::string error_with(const std::string& text, const std::string& other) const {
    const std::string whole = contents(place / "decoding.json");
    REQUIRE(whole.find(text) != whole.npos);
    write(place / "decoding.json", edited(whole, text, other));
    const std::string error = error_of([&] { read_case(place); });
    write(place / "decoding.json", whole);
    return error;
  }

 private:
  Case make() {
    Config config = small("skipv1", 2, true);
    config.max_position_embeddings = 12;
    write_config(folder / "config.json", config);
    NewCase options;
    options.seed = 5, options.length = 6;
    make_case(folder / "config.json", options, place);
    return read_case(place);
  }
};

}  // namespace

TEST_CASE("steps are ragged, wait, cut and continue, and fit the model") {
  Config config = small("skipv1", 2, true);
  for (const std::size_t room : {9u, 10u, 12u, 131u, 132u, 500u}) {
    config.max_position_embeddings = room;
    const std::vector<DecodingStep> steps = draw_steps(config, 3);
    REQUIRE(steps.empty() == (room < 10));
    bool ragged = false, waits = false, cut = false, chunk_behind = false;
    std::size_t longest = 0;
    std::vector<std::size_t> lengths(3, 0);
    for (const DecodingStep& step : steps) {
      CHECK(step.rows() > 0);
      for (std::size_t b = 0; b < 3; ++b) {
        REQUIRE(step.keep[b] <= lengths[b]);
        cut |= step.keep[b] < lengths[b];
        waits |= step.tokens[b].empty() && lengths[b] > 0;
        ragged |= step.tokens[b].size() != step.tokens[0].size();
        chunk_behind |= step.keep[b] > 0 && step.tokens[b].size() > 1;
        lengths[b] = step.keep[b] + step.tokens[b].size();
        longest = std::max(longest, lengths[b]);
      }
    }
    CHECK(longest <= room);
    CHECK((ragged && waits && cut && chunk_behind) == (room >= 10));
    if (room >= 132) CHECK(longest > 128);
  }
}

TEST_CASE("a case's own decoding holds, step by step and in its bytes") {
  const DecodingSetting s;
  REQUIRE(s.c.decoding.size() == 6);
  for (const char* file : {"decoding.json", "decoding.safetensors"}) std::filesystem::copy(s.place / file, s.actual / file);
  const std::vector<Comparison> all = s.compare();
  CHECK(all.size() == 6 + 3 * 6);
  CHECK(first_difference(all).empty());
  CHECK(list_compared(all) == "6 decoding steps, 18 counts");
  // Per token layer 0 keeps 2 keys and 2 values of width 6, layer 1 its keys and half the values; 7 positions after step 0.
  CHECK(cache_bytes(s.c, "bf16")[0] == 2 * 7 * (2 + 2 + 2 + 1) * 6);
}

TEST_CASE("a step that differs is named by its sequence and position, after a whole pass that holds") {
  const DecodingSetting s;
  write_npy<double>(s.actual / "logits.npy", s.c.logits);
  s.write_step(1, s.c.decoding[1].logits);
  const View<double> right = s.c.decoding[4].logits;
  Tensor<double> wrong(right.shape());
  std::copy_n(right.data(), right.size(), wrong.data());
  wrong(3, 2) += 1;  // rows: two of sequence 0, one of sequence 1, four of sequence 2, which was emptied
  s.write_step(4, wrong);
  const std::string first = first_difference(s.compare());
  CHECK_THAT(first, Catch::StartsWith("the whole pass holds; decoding first differs at step4.logits, sequence 2, position 0 (") &&
                        Catch::Contains("first at [n=3, v=2]"));
  s.write_step(4, s.c.logits);
  CHECK_THAT(first_difference(s.compare()), Catch::Contains("shape"));
}

TEST_CASE("a cache that holds V_0's half once a layer differs in its bytes, in any scalar") {
  const DecodingSetting s;
  Json bytes = Json::object();
  for (const char* dtype : {"f64", "f32", "bf16"}) {
    bytes = Json::object();
    bytes[dtype] = cache_bytes(s.c, dtype);
    write(s.actual / "decoding.json", Json({{"cache_bytes", bytes}}).dump());
    CHECK(first_difference(s.compare()).empty());
    for (Json& x : bytes[dtype]) x = x.get<std::size_t>() / 7 * 8;  // heads held: 7, with the half copied 8
    write(s.actual / "decoding.json", Json({{"cache_bytes", bytes}}).dump());
    CHECK_THAT(first_difference(s.compare()), Catch::StartsWith(std::string("step0.cache_bytes.") + dtype + ", expected"));
  }
}

TEST_CASE("an implementer's decoding files that cannot be compared are refused") {
  const DecodingSetting s;
  const auto refused = [&](const char* text) {
    write(s.actual / "decoding.json", text);
    return error_of([&] { s.compare(); });
  };
  CHECK_THAT(refused(R"({"cache_bytes": {"f32": [1, 2]}})"), Catch::Contains("a number of bytes for each of the 6 steps"));
  CHECK_THAT(refused(R"({"cache_bytes": {"f16": [1, 2, 3, 4, 5, 6]}})"), Catch::Contains("f16"));
  CHECK_THAT(refused(R"({"steps": []})"), Catch::Contains("cache_bytes"));
  CHECK_THAT(refused(R"({"cache_bytes": {}, "steps": [{"keep": [0], "tokens": [[1]]}]})"),
             Catch::Contains("are not the case's own"));
  std::filesystem::remove(s.actual / "decoding.json");
  write_npy<double>(s.actual / "step6.logits.npy", s.c.logits);
  CHECK_THAT(error_of([&] { s.compare(); }), Catch::Contains("belongs to nothing that is compared: step6.logits.npy"));
}

TEST_CASE("a manifest's bound for what the case has not is refused by its name") {
  const DecodingSetting s;
  const std::string manifest = contents(s.place / "manifest.json");
  const auto error_with = [&](const std::string& name) {
    write(s.place / "manifest.json", edited(manifest, "\"logits\":", '"' + name + "\": 1, \"logits\":"));
    return error_of([&] { read_case(s.place); });
  };
  for (const char* name : {"decoding", "layer1.values", "model.layers.1.self_attn.v_proj.weight"})
    CHECK(error_with(name).empty());
  for (const char* name : {"logit", "layer2.values", "model.layers.2.self_attn.v_proj.weight"})
    CHECK_THAT(error_with(name), Catch::Contains(std::string("manifest.json: \"bounds.")) &&
                                     Catch::EndsWith(std::string(".") + name +
                                                     "\": no tensor of this case, nor logits, loss, trace, "
                                                     "gradients or decoding"));
}

TEST_CASE("a decoding.json whose steps are impossible is refused by step and key") {
  const DecodingSetting s;
  CHECK_THAT(s.error_with("\"keep\":[0,0,0]", "\"keep\":[1,0,0]"),
             Catch::Contains("step 0") && Catch::Contains("cached positions"));
  CHECK_THAT(s.error_with("\"keep\":[0,0,0]", "\"keep\":[0,0]"), Catch::Contains("an entry for each sequence"));
  CHECK_THAT(s.error_with("[[", "[[31,"), Catch::Contains("tokens of the vocabulary"));
  CHECK_THAT(s.error_with("[[", "[[1,1,1,1,1,1,1,1,1,"), Catch::Contains("max_position_embeddings is 12"));
  CHECK_THAT(s.error_with("[[", "[[1,"), Catch::Contains("cache_bytes"));
  CHECK_THAT(s.error_with("\"what\"", "\"why\""), Catch::Contains("what"));
  std::vector<NamedTensor<double>> tensors;
  const Tensor<double> spoilt(s.c.decoding[0].logits.shape());
  std::fill_n(spoilt.data(), spoilt.size(), 1.0);
  spoilt.data()[1] = std::nan("");
  for (std::size_t n = 0; n < s.c.decoding.size(); ++n)
    tensors.push_back({step_tensor(n, "logits"), n ? View<const double>(s.c.decoding[n].logits) : View<const double>(spoilt)});
  write_safetensors<double>(s.place / "decoding.safetensors", tensors, dtype_of<double>(), Values::any);
  CHECK_THAT(error_of([&] { read_case(s.place); }),
             Catch::EndsWith("decoding.safetensors: tensor \"step0.logits\": element 1 is nan: must be finite"));
  std::filesystem::remove(s.place / "decoding.safetensors");
  CHECK_THAT(error_of([&] { read_case(s.place); }), Catch::Contains("decoding.safetensors"));
}

TEST_CASE("a sliding window is recognised with its width in steps of decoding, too") {
  const DecodingSetting s;
  const std::size_t vocab = s.c.config.vocab_size;
  Rules rules;
  rules.inner = Rules::Inner::silu, rules.mask = Rules::Mask::window;
  for (rules.window = 1; rules.window <= 11; ++rules.window) {
    std::map<std::size_t, Tensor<double>> logits;
    std::vector<std::vector<std::int32_t>> held(s.c.decoding[0].tokens.size());
    for (std::size_t n = 0; n < s.c.decoding.size(); ++n) {
      const DecodingStep& step = s.c.decoding[n];
      Tensor<double> rows(step.logits.shape());
      double* to = rows.data();
      for (std::size_t b = 0; b < held.size(); ++b) {
        std::vector<std::int32_t>& all = held[b];
        all.resize(step.keep[b]);
        all.insert(all.end(), step.tokens[b].begin(), step.tokens[b].end());
        if (step.tokens[b].empty()) continue;
        const Tensor<double> whole =
            altered_pass(s.c.config, s.c.weights, make_routing(s.c.config), {all.data(), {1, all.size()}}, rules);
        to = std::copy(whole.data() + step.keep[b] * vocab, whole.data() + whole.size(), to);
      }
      logits.emplace(n, std::move(rows));
    }
    std::size_t longest = 0;
    for (const DecodingStep& step : s.c.decoding)
      for (std::size_t b = 0; b < held.size(); ++b) longest = std::max(longest, step.keep[b] + step.tokens[b].size());
    REQUIRE(longest == 10);
    const std::vector<std::string> found = recognise_decoding(s.c, logits, 1e-10);
    if (rules.window >= longest) {
      CHECK(found.empty());
      continue;
    }
    REQUIRE(found.size() == 1);
    CHECK(found[0] == (rules.window == 1 ? "a sliding window: a query sees its own key alone"
                                         : "a sliding window: a query sees the last " + std::to_string(rules.window) +
                                               " keys alone, its own among them"));
  }
}

TEST_CASE("a table that decoding alone has wrong is recognised, in every step, behind a cache, or in steps of one token") {
  const DecodingSetting s;
  const std::size_t batch = s.c.decoding[0].tokens.size(), vocab = s.c.config.vocab_size;
  Routing routing = make_routing(s.c.config);
  for (std::size_t h = 0; h < routing.heads; ++h)
    if (HeadName& value = routing.values[routing.heads + h]; value.layer == 0) value.head = 0;
  const Decoder<double> right(s.c.config, s.c.weights), wrong(s.c.config, s.c.weights, routing);
  const std::string half = "the wrong half is reused: the source layer's first heads instead of its last, ";
  using Wrong = bool (*)(std::size_t held, std::size_t count);
  const std::pair<Wrong, const char*> scopes[] = {
      {[](std::size_t, std::size_t) { return true; }, "in every step of decoding"},
      {[](std::size_t held, std::size_t) { return held > 0; }, "behind a cache alone"},
      {[](std::size_t, std::size_t count) { return count == 1; }, "where a sequence has one new token alone"},
      {[](std::size_t, std::size_t) { return false; }, ""}};
  for (const auto& [is_wrong, where] : scopes) {
    Cache<double> cache(right.routing(), batch, s.c.config.max_position_embeddings);
    Activations<double> a;
    std::map<std::size_t, Tensor<double>> logits;
    for (std::size_t n = 0; n < s.c.decoding.size(); ++n) {
      const DecodingStep& step = s.c.decoding[n];
      Tensor<double> all(step.logits.shape());
      double* to = all.data();
      for (std::size_t b = 0; b < batch; ++b) {
        cache.truncate(b, step.keep[b]);
        Batch next;
        next.counts.assign(batch, 0), next.counts[b] = step.tokens[b].size(), next.tokens = step.tokens[b];
        if (next.tokens.empty()) continue;
        const View<double> rows = (is_wrong(step.keep[b], next.tokens.size()) ? wrong : right).forward(next, cache, a);
        to = std::copy_n(rows.data(), next.tokens.size() * vocab, to);
      }
      logits.emplace(n, std::move(all));
    }
    const std::vector<std::string> found = recognise_decoding(s.c, logits, 1e-10);
    if (*where) REQUIRE(found.size() >= 1);
    CHECK((*where ? std::find(found.begin(), found.end(), half + where) != found.end() : found.empty()));
    for (const std::string& words : found) CHECK_THAT(words, Catch::EndsWith(where));
  }
}

TEST_CASE("a rule that every step of decoding has wrong is recognised") {
  const DecodingSetting s;
  Rules rules;
  rules.inner = Rules::Inner::silu, rules.rotates_keys_twice = true;
  const SlippedSteps steps(s.c, Slip{});
  const View<const std::int32_t> tokens(steps.tokens.data(), {1, steps.tokens.size()});
  const Tensor<double> made = altered_pass(s.c.config, s.c.weights, make_routing(s.c.config), tokens, rules, &steps.rows);
  std::map<std::size_t, Tensor<double>> logits;
  const double* from = made.data();
  for (std::size_t n = 0; n < s.c.decoding.size(); ++n) {
    logits.emplace(n, Tensor<double>(s.c.decoding[n].logits.shape()));
    std::copy_n(from, logits.at(n).size(), logits.at(n).data());
    from += logits.at(n).size();
  }
  CHECK(recognise_decoding(s.c, logits, 1e-10) ==
        std::vector<std::string>{
            "keys are rotated twice, as where they are cached and again where they are read, in every step of decoding"});
}

TEST_CASE("each slip of a decoder is recognised by its words, and the right steps by none") {
  const DecodingSetting s;
  Rules rules;
  rules.inner = Rules::Inner::silu;
  std::size_t named = 0;
  for (const Slip& slip : decoding_slips(s.c.decoding[0].tokens.size(), {3})) {
    const SlippedSteps steps(s.c, slip);
    const View<const std::int32_t> tokens(steps.tokens.data(), {1, steps.tokens.size()});
    const Tensor<double> made = altered_pass(s.c.config, s.c.weights, make_routing(s.c.config), tokens, rules, &steps.rows);
    std::map<std::size_t, Tensor<double>> logits;
    const double* from = made.data();
    bool right = true;
    for (std::size_t n = 0; n < s.c.decoding.size(); ++n) {
      Tensor<double> of_step(s.c.decoding[n].logits.shape());
      std::copy_n(from, of_step.size(), of_step.data());
      from += of_step.size();
      right = right && compare("", "", of_step, s.c.decoding[n].logits, 1e-10).pass;
      logits.emplace(n, std::move(of_step));
    }
    const std::vector<std::string> found = recognise_decoding(s.c, logits, 1e-10);
    INFO(slip.words);
    CHECK((right ? found.empty() : std::find(found.begin(), found.end(), slip.words) != found.end()));
    named += !right;
  }
  CHECK(named > 60);
}
