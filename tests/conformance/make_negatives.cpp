// skipv1-make-negatives: what an implementer's typical mistake makes of a case, from the naive reference; the checker must reject
// it.
#include <map>

#include "skipv1/io/cli.hpp"
#include "skipv1/conformance/case.hpp"
#include "skipv1/conformance/new_case.hpp"
#include "tests/model/reference.hpp"

using namespace skipv1;
using namespace skipv1::conformance;
using reference::Mistake;

namespace {

struct Description {
  Mistake mistake;
  const char* words;
};

const std::map<std::string, Description>& descriptions() {
  static const std::map<std::string, Description> all = {
      {"wrong_half", {Mistake::wrong_half, "skipped slots read the source layer's first heads instead of its last"}},
      {"wrong_source", {Mistake::wrong_source, "shared heads are read one layer too early"}},
      {"counted_from_one", {Mistake::counted_from_one, "the injection counts layers from 1 instead of 0"}},
      {"interleaved_groups", {Mistake::interleaved_groups, "query head h reads group h mod H_kv instead of floor(h H_kv / H)"}},
      {"interleaved_reuse", {Mistake::interleaved_reuse, "skipped heads are repeated in turn instead of group by group"}},
      {"rotated_twice", {Mistake::rotated_twice, "a reading layer rotates shared keys again"}},
      {"wrong_scale",
       {Mistake::wrong_scale, "scores are scaled by the wrong width: d instead of d_h, or for MLA d_h instead of d_h + d_r"}},
      {"unaligned_mask", {Mistake::unaligned_mask, "prefill in two chunks, the second one's causal mask aligned top-left"}},
      {"bias_left_out", {Mistake::bias_left_out, "layer 0's values are handed on before their bias is added"}},
      {"mix_swapped", {Mistake::mix_swapped, "lambda and 1 - lambda are swapped"}},
      {"averaged_averages",
       {Mistake::averaged_averages, "the average over depth runs over averages instead of raw block outputs"}}};
  return all;
}

/// The tensor in which a mistake shows first, and where: from the definitions, not from running anything.
struct First {
  std::string tensor;
  std::size_t t, h;
};
First first_difference(Mistake mistake, const Config& c, std::size_t length) {
  const std::size_t heads = c.num_attention_heads, groups = c.num_key_value_heads, half = c.num_hidden_layers / 2;
  const RoutingShape shape{c.num_hidden_layers, heads, groups, c.attention.skip_ratio, 0, Injection::second_half};
  const bool skips = c.variant().fields.skip_ratio;
  std::size_t reader = c.variant().even_layers && !skips ? half : c.attention.source_layer + 1, h = 0;
  while (skips && h < heads && shape.group(h) < shape.own()) ++h;  // the first head that is skipped
  const std::string layer = "layer" + std::to_string(reader) + ".";
  switch (mistake) {
    case Mistake::wrong_half:
    case Mistake::counted_from_one:
    case Mistake::bias_left_out:
      return {layer + "values", 0, h};
    case Mistake::mix_swapped:
      return {layer + "values", 0, 0};
    case Mistake::wrong_source:
      return {layer + (skips ? "values" : "keys"), 0, h};
    case Mistake::interleaved_groups:
      return {"layer0.keys", 0, 1};
    case Mistake::interleaved_reuse:
      while (shape.own() + h % (groups - shape.own()) == shape.group(h)) ++h;
      return {layer + "values", 0, h};
    case Mistake::rotated_twice:
      return {layer + "keys", 1, h};  // position 0 is not turned
    case Mistake::wrong_scale:
      return {"layer0.attention", 1, 0};  // position 0 sees one key
    case Mistake::unaligned_mask:
      return {"layer0.attention", length / 2, 0};
    case Mistake::averaged_averages:
      return {"layer2.keys", 0, 0};
    case Mistake::none:
      break;
  }
  fail("no mistake");
}

/// The reference's results over a case's batch, under the names of their files.
std::map<std::string, Tensor<float>> run_reference(const Case& c, Mistake mistake) {
  std::map<std::string, std::vector<float>> rows;
  const auto add = [&](const std::string& name, const reference::Row& row) {
    rows[name].insert(rows[name].end(), row.begin(), row.end());
  };
  for (std::size_t b = 0; b < c.batch(); ++b) {
    const std::int32_t* begin = c.tokens.data() + b * c.length();
    std::vector<reference::Layer> layers;
    for (const auto& row : reference::Model(c.config, c.weights, mistake).forward({begin, begin + c.length()}, layers))
      add("logits", row);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const std::string layer = "layer" + std::to_string(l) + ".";
      for (std::size_t t = 0; t < c.length(); ++t) {
        for (std::size_t h = 0; h < c.config.num_attention_heads; ++h) {
          add(layer + "keys", layers[l].keys[h][t]);
          add(layer + "values", layers[l].values[h][t]);
          add(layer + "attention", layers[l].attention[h][t]);
        }
        add(layer + "output", layers[l].output[t]);
      }
    }
  }
  std::map<std::string, Tensor<float>> tensors;
  for (const auto& [name, values] : rows) {
    const std::size_t positions = c.batch() * c.length(), heads = c.config.num_attention_heads, width = values.size() / positions;
    const bool whole = name == "logits" || name.ends_with("output");
    Tensor<float> x(whole ? Shape{c.batch(), c.length(), width} : Shape{c.batch(), c.length(), heads, width / heads});
    std::copy(values.begin(), values.end(), x.data());
    tensors.emplace(name, std::move(x));
  }
  return tensors;
}

void make_negative(const std::filesystem::path& folder, const std::string& name) {
  const Case c = read_case(folder);
  const Description& described = descriptions().at(name);
  const First first = first_difference(described.mistake, c.config, c.length());
  const std::string place = "[b=0, t=" + std::to_string(first.t) + ", h=" + std::to_string(first.h) + ", d=0]";
  write_negative(folder / "negative" / name, run_reference(c, described.mistake), described.words, first.tensor, place);
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Writes to CASE/negative/MISTAKE what an implementation with that mistake computes for a case (float32), and in "
      "manifest.json the "
      "tensor and place where it must be seen first.\nExample: skipv1-make-negatives data/conformance/llama_skipv1 wrong_half "
      "wrong_scale"};
  std::string folder;
  std::vector<std::string> mistakes, known;
  for (const auto& item : descriptions()) known.push_back(item.first);
  app.add_option("CASE", folder, "a case")->required();
  app.add_option("MISTAKE", mistakes, "mistakes to make")->required()->check(one_of(known));
  return run_program(app, argc, argv, [&] {
    for (const std::string& mistake : mistakes) {
      const std::filesystem::path out = std::filesystem::path(folder) / "negative" / mistake;
      require(!std::filesystem::exists(out), out.string(), ": exists already");
    }
    for (const std::string& mistake : mistakes) make_negative(folder, mistake);
  });
}
