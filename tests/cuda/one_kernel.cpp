// Decoding by one kernel against the decoder on the CPU in double, for every variant that it serves.
#include <string>

#include "tests/catch.hpp"
#include "tests/cuda/one_kernel.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

template <class T>
void check_one_kernel(const Config& c, std::size_t batch, const OneKernelShape& shape, double bound, std::size_t longest = 5) {
  INFO(to_string(c.architecture) << ' ' << c.attention.variant << ' ' << to_string(c.attention.injection) << ", " << batch
                                 << " sequences, " << shape.blocks << " blocks, " << shape.splits << " splits");
  const OneKernelErrors errors = one_kernel_errors<T>(c, batch, shape, 3, longest);
  CHECK(errors.logits <= bound);
  CHECK(errors.chosen <= 2 * bound);
}

}  // namespace

TEST_CASE("one kernel decodes as the CPU does, every variant, in double", "[cuda]") {
  for_each_routed([](const Config& c) { check_one_kernel<double>(c, 2, {3, 64, 2}, 1e-11); });
}
TEST_CASE("one kernel decodes as the CPU does, every variant, in bfloat16 on tensor cores", "[cuda]") {
  for_each_routed([](const Config& c) { check_one_kernel<bfloat16>(c, 3, {2, 64, 1}, 0.06); });
}
TEST_CASE("one kernel decodes one sequence as the CPU does, in bfloat16 on tensor cores", "[cuda]") {
  for_each_routed([](Config c) {
    c.hidden_size = 32 * c.num_attention_heads;
    check_one_kernel<bfloat16>(c, 1, {6, 64, 1}, 0.06);
  });
  Config c = small_config(Architecture::llama, find_variant("mha"));
  c.hidden_size = 192, c.num_attention_heads = c.num_key_value_heads = 2, c.intermediate_size = 424, c.num_hidden_layers = 2;
  c.max_position_embeddings = 80, c.vocab_size = 515;       // an odd number of rows
  check_one_kernel<bfloat16>(c, 1, {6, 64, 3}, 0.06, 70);   // heads of 96, tiles behind the first, three splits
  check_one_kernel<bfloat16>(c, 1, {6, 512, 0}, 0.06, 20);  // as many threads as on a card
  c.architecture = Architecture::gpt2;
  check_one_kernel<bfloat16>(c, 1, {4, 96, 2}, 0.06, 70);
  check_one_kernel<bfloat16>(c, 1, {6, 64, 13}, 0.06, 20);  // more pieces than blocks: the kernel for all
  c.hidden_size = 32, c.num_attention_heads = c.num_key_value_heads = 1, c.intermediate_size = 8;
  check_one_kernel<bfloat16>(c, 1, {6, 64, 3}, 0.06, 20);  // blocks without rows of the up projection
  c.architecture = Architecture::llama, c.hidden_size = 8, c.head_dim = 32;
  check_one_kernel<bfloat16>(c, 1, {6, 64, 3}, 0.06, 20);  // and of other products
  c.max_position_embeddings = 9;                           // the last position is the last row of RoPE's table
  check_one_kernel<bfloat16>(c, 1, {6, 64, 3}, 0.06);
  c = small_config(Architecture::llama, find_variant("skipv1"));
  c.num_hidden_layers = 2, c.head_dim = 32, c.hidden_size = 512, c.intermediate_size = 1160;
  check_one_kernel<bfloat16>(c, 1, {6, 64, 1}, 0.06);  // rows of two rounds: one is 16 numbers per thread
  c.hidden_size = 520;                                 // more than a norm in registers takes: the kernel for several
  check_one_kernel<bfloat16>(c, 1, {6, 64, 1}, 0.06);
}
TEST_CASE("one kernel reports a logit that is NaN, where a norm's squares overflow, too", "[cuda]") {
  const auto check = [](auto kind, Architecture architecture, std::size_t batch) {
    using T = decltype(kind);
    const Config c = small_config(architecture, find_variant("skipv1"));
    Parameters<double> exact(c);
    initialize(exact, c, 1);
    double* row = exact["model.embed_tokens.weight"].data() + 2 * c.hidden_size;
    for (std::size_t i = 0; i < c.hidden_size; ++i) row[i] = i % 2 == 0 ? 1e25 : -2e25;
    Parameters<T, Device> parameters(c);
    load(parameters, exact);
    const Decoder<T, Device> decoder(c, parameters);
    Cache<T, Device> cache(decoder.routing(), batch, 4);
    OneKernel<T> one(decoder, cache, {2, 128, 1});
    std::vector<std::int32_t> tokens(batch, 1);
    CHECK_NOTHROW(one(tokens, 1));
    tokens.back() = 2;
    CHECK_THROWS_WITH(one(tokens, 2), "one kernel: a logit of sequence " + std::to_string(batch - 1) + " after 2 tokens is NaN");
    CHECK(cache.lengths() == std::vector<std::size_t>(batch, 1));
  };
  for (Architecture architecture : {Architecture::gpt2, Architecture::llama})
    for (std::size_t batch : {1u, 3u, 9u}) check(bfloat16(), architecture, batch), check(float(), architecture, batch);
}
TEST_CASE("one kernel decodes several sequences as the CPU does, in bfloat16 on tensor cores", "[cuda]") {
  Config c = small_config(Architecture::llama, find_variant("mha"));
  c.hidden_size = 192, c.num_attention_heads = c.num_key_value_heads = 2, c.intermediate_size = 424, c.num_hidden_layers = 2;
  c.max_position_embeddings = 80, c.vocab_size = 515;
  check_one_kernel<bfloat16>(c, 8, {6, 64, 1}, 0.06, 40);  // 16 pieces, two at once in a block, in two rounds
  check_one_kernel<bfloat16>(c, 5, {6, 64, 3}, 0.06, 20);  // splits
  check_one_kernel<bfloat16>(c, 7, {5, 96, 1}, 0.06, 20);  // an odd number of warps
  check_one_kernel<bfloat16>(c, 8, {6, 512, 0}, 0.06, 9);  // as many threads as on a card
  c.max_position_embeddings = 9;                           // the last position is the last row of RoPE's table
  check_one_kernel<bfloat16>(c, 3, {6, 64, 1}, 0.06);
  c.architecture = Architecture::gpt2, c.max_position_embeddings = 80;
  check_one_kernel<bfloat16>(c, 8, {6, 64, 0}, 0.06, 20);
  c.hidden_size = 32, c.num_attention_heads = c.num_key_value_heads = 1, c.num_hidden_layers = 1, c.intermediate_size = 16384,
  c.vocab_size = 37;
  check_one_kernel<bfloat16>(c, 8, {2, 128, 1}, 0.06);  // rows that are not in shared memory at once
  c.intermediate_size = 8, c.num_hidden_layers = 3;
  check_one_kernel<bfloat16>(c, 3, {6, 64, 1}, 0.06);  // blocks without rows of the up projection
  c.architecture = Architecture::llama, c.hidden_size = 8, c.head_dim = 32;
  check_one_kernel<bfloat16>(c, 8, {6, 64, 2}, 0.06);  // and of other products
}
TEST_CASE("one kernel decodes as the CPU does where a layer has no values, in bfloat16 on tensor cores", "[cuda]") {
  Config c = table_config(Architecture::llama);
  c.attention.table.values[1] = {{1, 0}, {0, 1}, {0, 2}, {0, 3}};
  c.attention.table.values[2] = {{2, 0}, {2, 1}, HeadName{}, {0, 1}};
  c.attention.table.values[3] = {HeadName{}, HeadName{}, HeadName{}, HeadName{}};
  check_one_kernel<bfloat16>(c, 8, {6, 64, 1}, 0.06);   // no two query heads read the same heads
  check_one_kernel<bfloat16>(c, 3, {2, 64, 16}, 0.06);  // more splits than keys
  c.hidden_size = 128;
  check_one_kernel<bfloat16>(c, 1, {6, 64, 1}, 0.06);
}
TEST_CASE("one kernel decodes as the CPU does at odd sizes, in float", "[cuda]") {
  Config c = small_config(Architecture::gpt2, find_variant("skipv1"));
  c.hidden_size = 21, c.num_attention_heads = c.num_key_value_heads = 3, c.intermediate_size = 35, c.vocab_size = 41;
  for (const std::size_t batch : {1u, 2u, 3u}) check_one_kernel<float>(c, batch, {4, 64, 3}, 1e-4);  // heads of 7
  c.architecture = Architecture::llama;
  c.hidden_size = 60, c.num_attention_heads = 6, c.num_key_value_heads = 2, c.intermediate_size = 37,
  c.tie_word_embeddings = false;
  for (const std::size_t batch : {1u, 2u, 3u}) check_one_kernel<float>(c, batch, {5, 96, 2}, 1e-4);  // heads of 10, groups of 3
  c.head_dim = 14, c.qkv_bias = c.o_bias = c.mlp_bias = true;  // as some of llama's relatives have
  check_one_kernel<float>(c, 2, {3, 64, 2}, 1e-4);
  c.head_dim = 0, c.attention.variant = "mqa", c.num_key_value_heads = 1;
  check_one_kernel<bfloat16>(c, 2, {3, 64, 2}, 0.06);  // rows that loads of 16 bytes do not fit
  check_one_kernel<float>(c, 13, {3, 128, 1}, 1e-4, 3);
}
TEST_CASE("one kernel decodes as the CPU does with wide rows and many keys, in bfloat16 on tensor cores", "[cuda]") {
  Config c = small_config(Architecture::llama, find_variant("skipv1"));
  c.hidden_size = 320, c.num_attention_heads = 4, c.num_key_value_heads = 2, c.intermediate_size = 424, c.num_hidden_layers = 2;
  c.max_position_embeddings = 80;
  check_one_kernel<bfloat16>(c, 2, {3, 64, 2}, 0.06, 70);   // heads of 80, groups of 2
  check_one_kernel<bfloat16>(c, 11, {2, 128, 1}, 0.06, 9);  // two tiles of sequences
  c.num_attention_heads = 5, c.num_key_value_heads = 1, c.attention.variant = "mqa";
  check_one_kernel<bfloat16>(c, 1, {6, 512, 0}, 0.06, 70);  // as many threads as on a card
}
TEST_CASE("one kernel refuses what it does not serve, and leaves the cache as it was", "[cuda]") {
  Config c = small_config(Architecture::llama, find_variant("mla"));
  const Parameters<float, Device> parameters(c);
  const Decoder<float, Device> decoder(c, parameters);
  Cache<float, Device> cache(decoder.routing(), 1, 4);
  CHECK(OneKernel<float>::why_not(decoder, 1) == "one kernel: variant mla has a latent");
  CHECK_THROWS_WITH((OneKernel<float>(decoder, cache)), "one kernel: variant mla has a latent");

  c = small_config(Architecture::llama, find_variant("mha"));
  c.qk_norm = true;
  const Parameters<float, Device> normed(c);
  CHECK(OneKernel<float>::why_not(Decoder<float, Device>(c, normed), 1) == "one kernel: queries and keys have a norm");

  c.qk_norm = false;
  const Parameters<float, Device> others(c);
  const Decoder<float, Device> other(c, others);
  CHECK_FALSE(OneKernel<float>::is_faster(other, 1));
  Cache<float, Device> small(other.routing(), 2, 4);
  CHECK(OneKernel<float>::why_not(other, 17) == "one kernel: 17 sequences: 1 to 16 are served");
#if !defined(__CUDACC__)
  CHECK_THROWS_WITH((OneKernel<float>(other, small, {7, 64, 1})), "one kernel: 7 blocks: 6 are on the device at once");
#endif
  OneKernel<float> one(other, small, {2, 64, 1});
  CHECK_THROWS_WITH(one({1, 37}, 1), "token 37 at 1 is outside the vocabulary of 37");
  CHECK_THROWS_WITH(one({1, 2}, 5), "sequence 0 would be 5 tokens long: the cache holds 4");
  CHECK_THROWS_WITH(one({1}, 1), "one kernel: 1 tokens and 1 positions for 2 sequences");
  CHECK(small.lengths() == std::vector<std::size_t>{0, 0});
}
TEST_CASE("one kernel can be made for every row that it serves", "[cuda]") {
  Config c = small_config(Architecture::llama, find_variant("skipv1"));
  c.num_hidden_layers = 2;
  for (const std::size_t batch : {1u, 2u, 9u}) {
    bool refused = false;
    for (c.intermediate_size = 105024; !refused; c.intermediate_size += 64) {
      const Parameters<bfloat16, Device> parameters(c);
      const Decoder<bfloat16, Device> decoder(c, parameters);
      Cache<bfloat16, Device> cache(decoder.routing(), batch, 4);
      INFO(batch << " sequences, rows of " << c.intermediate_size);
      refused = !OneKernel<bfloat16>::why_not(decoder, batch).empty();
      if (!refused) CHECK_NOTHROW(OneKernel<bfloat16>(decoder, cache, {2, 512, 0}));
    }
    CHECK(c.intermediate_size > 105088);
  }
}
TEST_CASE("one kernel is chosen where it was measured to be faster: bfloat16 of whole loads, up to 8 sequences", "[cuda]") {
  const auto is_faster = [](const Config& c, std::size_t sequences) {
    const Parameters<bfloat16, Device> parameters(c);
    return OneKernel<bfloat16>::is_faster(Decoder<bfloat16, Device>(c, parameters), sequences);
  };
  Config c = small_config(Architecture::llama, find_variant("skipv1"));
  CHECK(is_faster(c, 1));
  CHECK(is_faster(c, 8));
  CHECK_FALSE(is_faster(c, 9));
  c.intermediate_size = 16384;
  CHECK(is_faster(c, 1));
  CHECK_FALSE(is_faster(c, 8));  // whose rows are not in shared memory at once
  CHECK_FALSE(is_faster(small_config(Architecture::llama, find_variant("mla")), 1));
  c.intermediate_size = 60;
  CHECK_FALSE(is_faster(c, 1));
  c.intermediate_size = 131072;
  const Parameters<bfloat16, Device> wide(c);
  CHECK(OneKernel<bfloat16>::why_not(Decoder<bfloat16, Device>(c, wide), 1) ==
        "one kernel: a row of 131072 numbers does not fit shared memory");
}
