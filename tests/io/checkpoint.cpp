#include "skipv1/io/checkpoint.hpp"

#include <limits>

#include "tests/catch.hpp"
#include "tests/io/files.hpp"

using namespace skipv1;
using namespace skipv1::testing;

namespace {

Config small_skipv1() {
  Config c;
  c.vocab_size = 11, c.hidden_size = 16, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
  c.attention.variant = "skipv1";
  return c;
}

template <class T>
Parameters<T> drawn(const Config& c) {
  Parameters<T> parameters(c);
  initialize(parameters, c, 5);
  return parameters;
}

template <class T>
bool same_bits(const Parameters<T>& a, const Parameters<T>& b) {
  return a.flat().size() == b.flat().size() && testing::same_bits(a.flat().data(), b.flat().data(), a.flat().size());
}

std::string checkpoint_error(const std::filesystem::path& folder) {
  return error_of([&] { read_checkpoint<float>(folder); });
}

const std::string norm_name = "model.layers.1.input_layernorm.weight";

}  // namespace

TEMPLATE_TEST_CASE("a checkpoint comes back to the bit", "", double, float) {
  const Folder folder("checkpoint");
  for (const char* variant : {"skipv1", "resformer", "denseformer", "skipv1_mla"}) {
    Config c = small_skipv1();
    c.attention.variant = variant;
    c.attention.learn_value_mix = c.variant().fields.learn_value_mix;
    if (c.latent()) c.attention.kv_latent_size = 8, c.attention.rotary_size = 4;
    c.tie_word_embeddings = c.latent();
    const Parameters<TestType> parameters = drawn<TestType>(c);
    write_checkpoint(folder / variant, c, parameters);
    const Checkpoint<TestType> read = read_checkpoint<TestType>(folder / variant);
    CHECK(read.config == c);
    CHECK(same_bits(read.parameters, parameters));
    const std::string first = contents(folder / variant / "model.safetensors");
    write_checkpoint(folder / variant, c, read.parameters);
    CHECK(contents(folder / variant / "model.safetensors") == first);
    CHECK(std::distance(std::filesystem::directory_iterator(folder / variant), {}) == 2);
  }
}

TEST_CASE("a checkpoint is written in a smaller dtype and read in a wider scalar") {
  const Folder folder("checkpoint-dtype");
  const Parameters<float> parameters = drawn<float>(small_skipv1());
  write_checkpoint(folder.path(), small_skipv1(), parameters, *find_dtype("BF16"));
  const Checkpoint<double> read = read_checkpoint<double>(folder.path());
  double largest = 0;
  for (std::size_t i = 0; i < parameters.flat().size(); ++i) {
    const auto x = static_cast<double>(parameters.flat()(i));
    largest = std::max(largest, std::abs(read.parameters.flat()(i) - x) / std::max(1e-30, std::abs(x)));
  }
  CHECK(largest > 0);
  CHECK(largest <= 0x1p-8);  // half a unit in the last of 8 bits
}

TEST_CASE("parameters of any kind go to a file and back") {
  const Folder folder("parameters");
  const Parameters<double> gradients = drawn<double>(small_skipv1());
  write_parameters(folder / "grads.safetensors", gradients);
  const Parameters<double> read(small_skipv1());
  read_parameters(folder / "grads.safetensors", read);
  CHECK(same_bits(read, gradients));
}

TEST_CASE("weights that do not fit the configuration are refused by name") {
  const Folder folder("checkpoint-fit");
  const auto file = folder / "model.safetensors";
  const Config c = small_skipv1();
  const Parameters<float> parameters = drawn<float>(c);
  write_checkpoint(folder.path(), c, parameters);
  REQUIRE(checkpoint_error(folder.path()).empty());
  const std::vector<NamedTensor<float>> all = named_tensors(parameters);

  std::vector<NamedTensor<float>> fewer = all;
  std::erase_if(fewer, [](const NamedTensor<float>& x) { return x.name == norm_name; });
  write_safetensors(file, fewer);
  CHECK(checkpoint_error(folder.path()) == file.string() + ": tensor \"" + norm_name + "\" is missing");

  std::vector<NamedTensor<float>> more = all;
  more.push_back({"model.layers.2.input_layernorm.weight", parameters[norm_name]});
  write_safetensors(file, more);
  CHECK(checkpoint_error(folder.path()) ==
        file.string() + ": tensor \"model.layers.2.input_layernorm.weight\": the configuration has 2 layers");
  more.back().name = "model.layers.1.input_layernorm.gain";
  write_safetensors(file, more);
  CHECK(checkpoint_error(folder.path()) ==
        file.string() + ": tensor \"model.layers.1.input_layernorm.gain\": the configuration has none of that name");

  std::vector<NamedTensor<float>> reshaped = all;
  for (NamedTensor<float>& x : reshaped)
    if (x.name == norm_name) x.tensor = x.tensor.reshape({4, 4});
  write_safetensors(file, reshaped);
  CHECK(checkpoint_error(folder.path()) ==
        file.string() + ": tensor \"" + norm_name + "\": shape (4, 4), the configuration asks for (16)");

  write_safetensors(file, all);
  Config mha = c;
  mha.attention = AttentionConfig{};
  write_config(folder / "config.json", mha);
  CHECK(checkpoint_error(folder.path()) ==
        file.string() +
            ": tensor \"model.layers.1.self_attn.v_proj.weight\": shape (8, 16), the configuration asks for (16, 16)");

  parameters[norm_name](3) = std::numeric_limits<float>::infinity();
  const std::string line = "tensor \"" + norm_name + "\": element 3 is inf: must be finite";
  write_config(folder / "config.json", c);
  write_safetensors(file, named_tensors(parameters), dtype_of<float>(), Values::any);
  CHECK(checkpoint_error(folder.path()) == file.string() + ": " + line);
  const std::string before = contents(file);
  CHECK(error_of([&] { write_checkpoint(folder.path(), c, parameters); }) == line);
  CHECK(contents(file) == before);
}

TEST_CASE("a configuration far larger than the weights asks for no memory") {
  const Folder folder("checkpoint-huge");
  write_checkpoint(folder.path(), small_skipv1(), drawn<float>(small_skipv1()));
  Config c = small_skipv1();
  c.vocab_size = c.hidden_size = c.intermediate_size = 2147483640;
  c.num_hidden_layers = 4096;
  c.num_attention_heads = c.num_key_value_heads = 1020;
  c.hidden_size = 1020 * 2105376;
  write_config(folder / "config.json", c);
  CHECK(checkpoint_error(folder.path()).find("elements, the configuration asks for 7.55625e+22 and more") != std::string::npos);
  std::filesystem::remove(folder / "config.json");
  CHECK(checkpoint_error(folder.path()) == (folder / "config.json").string() + ": cannot be read: No such file or directory");
}

TEST_CASE("a checkpoint that cannot be written leaves what was there") {
  const Folder folder("checkpoint-whole");
  const Parameters<float> parameters = drawn<float>(small_skipv1());
  write_checkpoint(folder / "a", small_skipv1(), parameters);
  const Parameters<float> zeros(small_skipv1());
  CHECK_THROWS_AS(write_checkpoint(folder / "a", small_skipv1(), zeros, *find_dtype("F16")), Error);
  CHECK(same_bits(read_checkpoint<float>(folder / "a").parameters, parameters));
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "a"), {}) == 2);
  CHECK_THROWS_AS(write_checkpoint(folder / "b", small_skipv1(), zeros, *find_dtype("F16")), Error);
  CHECK(folder.count() == 1);
  write(folder / "file", "");
  const std::string line = error_of([&] { write_checkpoint(folder / "file", small_skipv1(), zeros); });
  CHECK(line.starts_with((folder / "file").string() + ": cannot be made"));
}
