#include "skipv1/conformance/decoding.hpp"

#include "skipv1/conformance/draw.hpp"
#include "skipv1/conformance/json_file.hpp"
#include "skipv1/io/safetensors.hpp"

namespace skipv1::conformance {

namespace fs = std::filesystem;

std::size_t element_width(const std::string& dtype) { return dtype == "f64" ? 8 : dtype == "f32" ? 4 : 2; }

std::vector<std::size_t> cache_bytes(const Case& c, const std::string& dtype) {
  std::vector<std::size_t> bytes;
  for (const DecodingStep& step : c.decoding) {
    std::size_t positions = 0;
    for (std::size_t b = 0; b < step.tokens.size(); ++b) positions += step.keep[b] + step.tokens[b].size();
    bytes.push_back(positions * c.elements * element_width(dtype));
  }
  return bytes;
}

CacheBytes read_cache_bytes(const Json& json, std::size_t steps) {
  CacheBytes bytes;
  JsonFields fields(json, "cache_bytes.");
  for (const char* dtype : {"f64", "f32", "bf16"}) {
    const Json* list = fields.find(dtype, Presence::optional);
    if (!list) continue;
    bool fits = list->is_array() && list->size() == steps;
    for (std::size_t i = 0; fits && i < steps; ++i) fits = (*list)[i].is_number_unsigned();
    fields.expect(fits, dtype, ("a number of bytes for each of the " + std::to_string(steps) + " steps").c_str(), *list);
    bytes[dtype] = list->get<std::vector<std::size_t>>();
  }
  fields.finish();
  return bytes;
}

std::vector<DecodingStep> draw_steps(const Config& config, std::uint64_t seed) {
  if (config.max_position_embeddings < 10) return {};
  const bool wide = config.max_position_embeddings >= 132;
  const std::size_t u = wide ? 64 : 4, k = wide ? 13 : 3, p = wide ? 17 : 4;
  struct Plan {
    const char* what;
    std::vector<std::size_t> counts, keep;  // keep: empty where all is kept
  };
  const Plan plans[] = {
      {"the first chunk of two prompts; sequence 2 is not there yet", {u, wide ? 1 : u - 1, 0}, {}},
      {"their second chunks; sequence 2 enters with a short prompt", {wide ? u : u - 1, wide ? u - 1 : 1, wide ? 3u : 5u}, {}},
      {"one token each, at positions of their own", {1, 1, 1}, {}},
      {"several tokens behind the cache; sequence 1 waits", {2, 0, k}, {}},
      {"sequence 0 is cut and goes on with other tokens; sequence 2 is emptied and is a new one",
       {2, 1, p},
       {wide ? u : 6, no_head, 0}},
      {"one token each behind caches that were cut", {1, 1, 1}, {}}};
  Random random = stream(seed, "decoding");
  std::vector<std::size_t> lengths(3, 0);
  std::vector<DecodingStep> steps;
  for (const Plan& plan : plans) {
    DecodingStep step;
    step.what = plan.what;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      step.keep.push_back(plan.keep.empty() ? lengths[b] : std::min(lengths[b], plan.keep[b]));
      std::vector<std::int32_t> tokens(plan.counts[b]);
      for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random.below(config.vocab_size));
      step.tokens.push_back(tokens);
      lengths[b] = step.keep[b] + tokens.size();
    }
    steps.push_back(step);
  }
  return steps;
}

namespace {

/// One list for each sequence.
const Json& lists(JsonFields& fields, const char* key, std::size_t batch) {
  const Json* list = fields.find(key);
  fields.expect(list->is_array() && !list->empty() && (batch == 0 || list->size() == batch), key,
                "an entry for each sequence, as many as in the step before", *list);
  return *list;
}

DecodingStep read_step(const Json& json, const Config& config, const std::vector<std::size_t>& lengths) {
  JsonFields fields(json);
  DecodingStep step;
  fields.read("what", step.what);
  const Json& tokens = lists(fields, "tokens", lengths.size());
  const Json& keep = lists(fields, "keep", tokens.size());
  fields.finish();
  std::size_t rows = 0;
  for (std::size_t b = 0; b < tokens.size(); ++b) {
    const std::size_t held = lengths.empty() ? 0 : lengths[b];
    fields.expect(keep[b].is_number_unsigned() && keep[b].get<std::size_t>() <= held, "keep",
                  "of each sequence how many of its cached positions stay", keep);
    step.keep.push_back(keep[b].get<std::size_t>());
    step.tokens.emplace_back();
    fields.expect(tokens[b].is_array(), "tokens", "a list for each sequence", tokens);
    for (const Json& token : tokens[b]) {
      fields.expect(token.is_number_unsigned() && token.get<std::uint64_t>() < config.vocab_size, "tokens",
                    "tokens of the vocabulary", token);
      step.tokens[b].push_back(token.get<std::int32_t>());
    }
    const std::size_t length = step.keep[b] + step.tokens[b].size();
    require(length <= config.max_position_embeddings, "sequence ", b, " has ", length, " positions: max_position_embeddings is ",
            config.max_position_embeddings);
    rows += step.tokens[b].size();
  }
  require(rows > 0, "a step without tokens");
  return step;
}

void read_steps(const Json& json, Case& c) {
  JsonFields fields(json);
  const Json* steps = fields.find("steps");
  fields.expect(steps->is_array() && !steps->empty(), "steps", "a list of steps", *steps);
  std::vector<std::size_t> lengths;
  for (const Json& item : *steps) {
    at_place("step " + std::to_string(c.decoding.size()), [&] { c.decoding.push_back(read_step(item, c.config, lengths)); });
    lengths.clear();
    const DecodingStep& step = c.decoding.back();
    for (std::size_t b = 0; b < step.tokens.size(); ++b) lengths.push_back(step.keep[b] + step.tokens[b].size());
  }
  const CacheBytes bytes = read_cache_bytes(*fields.find("cache_bytes"), steps->size());
  for (const auto& [dtype, list] : bytes)
    require(list == cache_bytes(c, dtype), "cache_bytes.", dtype,
            ": are not kv_elements_per_token of expected.json times the positions");
  fields.finish();
}

}  // namespace

void read_decoding(const fs::path& folder, Case& c) {
  std::error_code error;
  if (!fs::exists(folder / "decoding.json", error) && !fs::exists(folder / "decoding.safetensors", error)) return;
  read_json_file(folder / "decoding.json", [&](const Json& json) { read_steps(json, c); });
  SafetensorsFile file(folder / "decoding.safetensors");
  for (std::size_t n = 0; n < c.decoding.size(); ++n) {
    DecodingStep& step = c.decoding[n];
    step.logits = Tensor<double>({step.rows(), c.config.vocab_size});
    file.read<double>(step_tensor(n, "logits"), step.logits);
  }
  require(file.entries().size() == c.decoding.size(), file.name(), ": ", file.entries().size(), " tensors for ",
          c.decoding.size(), " steps");
}

void write_decoding(const fs::path& folder, const Case& c) {
  Json steps = Json::array(), bytes = Json::object();
  std::vector<NamedTensor<double>> tensors;
  for (const DecodingStep& step : c.decoding) {
    tensors.push_back({step_tensor(steps.size(), "logits"), step.logits});
    steps.push_back({{"what", step.what}, {"keep", step.keep}, {"tokens", step.tokens}});
  }
  for (const char* dtype : {"f64", "f32", "bf16"}) bytes[dtype] = cache_bytes(c, dtype);
  std::string text = "{\"steps\": [";
  for (const Json& step : steps) text += (text.back() == '[' ? "\n  " : ",\n  ") + json_text(step);
  text += "\n],\n\"cache_bytes\": " + json_text(bytes) + "}\n";
  write_whole(folder / "decoding.json", [&](std::ostream& out) { out << text; });
  write_safetensors<double>(folder / "decoding.safetensors", tensors);
}

Comparison compare_step(const Case& c, std::size_t n, View<const double> logits, const std::string& dtype) {
  const DecodingStep& step = c.decoding[n];
  const std::string name = step_tensor(n, "logits");
  Comparison x = compare("decoding", name, logits, step.logits, c.bounds.find(dtype, "logits", "decoding"));
  if (x.pass || x.index.empty()) return x;
  std::size_t b = 0, i = x.index[0];
  while (i >= step.tokens[b].size()) i -= step.tokens[b++].size();
  x.note = "sequence " + std::to_string(b) + ", position " + std::to_string(step.keep[b] + i) + " (" + step.what + "), " + x.note;
  return x;
}

}  // namespace skipv1::conformance
