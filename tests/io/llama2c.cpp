#include "skipv1/io/imports.hpp"

#include <limits>

#include "tests/catch.hpp"
#include "tests/io/files.hpp"
#include "tests/io/models.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

std::string llama2c_error(const std::filesystem::path& path) {
  return error_of([&] { import_llama2c<float>(path); });
}

/// A llama2.c file of the same model: row `2i + k` of a rotary head is our row `i + k width / 2`.
std::string llama2c(const Config& c, const Parameters<float>& parameters) {
  std::string file;
  const auto integer = [&](std::size_t n, int sign = 1) { file += raw(sign * static_cast<std::int32_t>(n)); };
  integer(c.hidden_size), integer(c.intermediate_size), integer(c.num_hidden_layers), integer(c.num_attention_heads);
  integer(c.num_key_value_heads), integer(c.vocab_size, c.tie_word_embeddings ? 1 : -1), integer(c.max_position_embeddings);
  const auto add = [&](const std::string& name) {
    const View<float> x = parameters[name];
    const bool rotary = name.find("q_proj") != name.npos || name.find("k_proj") != name.npos;
    const std::size_t width = c.head_width();
    for (std::size_t row = 0; row < x.rows(); ++row) {
      const std::size_t i = row % width / 2, ours = row - row % width + i + row % 2 * width / 2;
      for (std::size_t j = 0; j < x.width(); ++j) file += raw(x.data()[(rotary ? ours : row) * x.width() + j]);
    }
  };
  add("model.embed_tokens.weight");
  for (const char* name : {"input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                           "post_attention_layernorm", "mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"})
    for (std::size_t l = 0; l < c.num_hidden_layers; ++l) add("model.layers." + std::to_string(l) + "." + name + ".weight");
  add("model.norm.weight");
  for (std::size_t i = 0; i < c.max_position_embeddings * c.head_width(); ++i) file += raw(-7.0f);
  if (!c.tie_word_embeddings) add("lm_head.weight");
  return file;
}

}  // namespace

TEST_CASE("llama2.c checkpoints are imported, tied or not, grouped or not") {
  const Folder folder("llama2c");
  for (const Config& c : {small("mha", 4, true), small("gqa", 2, false), small("mqa", 1, true)}) {
    const Parameters<float> parameters = numbered(c);
    write(folder / "x.bin", llama2c(c, parameters));
    const Checkpoint<float> read = import_llama2c<float>(folder / "x.bin");
    CHECK(read.config == c);
    CHECK(same(read.parameters, parameters));
  }
}

TEST_CASE("permuted queries and keys have the products that llama2.c's rotation gives them") {
  constexpr std::size_t width = 6;
  Tensor<double> x({2 * width, 1});
  for (std::size_t i = 0; i < x.size(); ++i) x(i, 0) = std::sin(static_cast<double>(i * i + 1));
  Tensor<double> split = x;
  detail::split_pairs<double>(split, width);
  const auto rotated_product = [&](const Tensor<double>& y, std::size_t step, std::size_t apart) {  // query at 5, key at 2
    double sum = 0;
    for (std::size_t i = 0; i < width / 2; ++i) {
      const double angle = std::pow(10000.0, -2.0 * static_cast<double>(i) / width);
      const auto turned = [&](std::size_t head, double position, bool second) {
        const double a = y(head * width + i * step, 0), b = y(head * width + i * step + apart, 0);
        return second ? b * std::cos(position * angle) + a * std::sin(position * angle)
                      : a * std::cos(position * angle) - b * std::sin(position * angle);
      };
      sum += turned(0, 5, false) * turned(1, 2, false) + turned(0, 5, true) * turned(1, 2, true);
    }
    return sum;
  };
  CHECK(rotated_product(split, 1, width / 2) == Approx(rotated_product(x, 2, 1)).epsilon(1e-14));
}

TEST_CASE("files that are no llama2.c checkpoint are refused") {
  const Folder folder("llama2c-error");
  const Config c = small("mha", 4, true);
  const std::string good = llama2c(c, numbered(c));
  const auto says = [&](const std::string& file, const std::string& part) {
    write(folder / "x.bin", file);
    const std::string line = llama2c_error(folder / "x.bin");
    UNSCOPED_INFO(line);
    return line.starts_with((folder / "x.bin").string() + ": ") && line.find(part) != line.npos;
  };
  const auto integer = [&](std::size_t i, std::int32_t value) { return std::string(good).replace(4 * i, 4, raw(value)); };
  CHECK(says("", "not a llama2.c checkpoint: 0 bytes, its header has 28"));
  CHECK(says(good + "x", std::to_string(good.size() + 1) + " bytes, its header asks for " + std::to_string(good.size())));
  CHECK(says(good.substr(0, good.size() - 4), "bytes, its header asks for"));
  CHECK(says(integer(0, 0), "dim is 0"));
  CHECK(says(integer(0, 0x616b3432), "version 1"));
  CHECK(says(integer(0, 25), "not a multiple"));
  CHECK(says(integer(1, std::numeric_limits<std::int32_t>::max()), "its header asks for"));
  CHECK(says(integer(2, -1), "n_layers is -1"));
  CHECK(says(integer(5, std::numeric_limits<std::int32_t>::min()), "vocab_size is"));
  CHECK(says(integer(5, -11), "its header asks for"));  // a head that is not there
  CHECK(says(std::string(good).replace(28 + 4 * 3, 4, raw(std::nanf(""))),
             "tensor \"model.embed_tokens.weight\": element 3 is nan"));
  CHECK(llama2c_error(folder / "y.bin").find("cannot be read") != std::string::npos);
}

TEST_CASE("a file of another format is called by its name") {
  const Folder folder("foreign");
  const std::string rule = "a model is a folder with config.json and model.safetensors, or a file of llama2.c's";
  for (const auto& [begin, what] : {std::pair<std::string, std::string>{raw(std::uint64_t{2}) + "{}", "a safetensors file"},
                                    {"{\"model_type\": 1}", "a JSON file"},
                                    {"PK\3\4 and more", "a PyTorch file"},
                                    {"GGUF and more", "a GGUF file"}}) {
    write(folder / "model", begin);
    CHECK(error_of([&] { import_checkpoint<float>(folder / "model"); }) ==
          (folder / "model").string() + ": " + what + ": " + rule);
  }
  write(folder / "model", "It was a dark and stormy night, and");
  CHECK(error_of([&] { import_checkpoint<float>(folder / "model"); }).find(": not a llama2.c checkpoint: ") != std::string::npos);
}
