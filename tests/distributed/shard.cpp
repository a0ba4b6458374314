#include "skipv1/distributed/communicator.hpp"

#include "skipv1/distributed/world.hpp"
#include "skipv1/training/data_parallel.hpp"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

TEST_CASE("processes' parts cover all elements once, each begins at a multiple of 64") {
  for (const std::size_t count : {0u, 1u, 63u, 64u, 65u, 127u, 1000u, 4096u})
    for (const std::size_t size : {1u, 2u, 3u, 7u, 64u}) {
      std::size_t end = 0;
      for (std::size_t rank = 0; rank < size; ++rank) {
        const Elements own = shard(count, size, rank);
        CHECK(own.begin == end);
        CHECK((own.begin % 64 == 0 || own.begin == count));
        end = own.end;
      }
      CHECK(end == count);
    }
  CHECK(shard(1000, 2, 0) == Elements{0, 512});
  CHECK(shard(1000, 2, 1) == Elements{512, 1000});
  CHECK(shard(10, 3, 2).size() == 0);
}

TEST_CASE("a range is cut where its owner changes") {
  std::vector<std::pair<Elements, std::size_t>> parts;
  each_owner({500, 700}, 1000, 2, [&](const Elements& part, std::size_t owner) { parts.emplace_back(part, owner); });
  REQUIRE(parts.size() == 2);
  CHECK(parts[0] == std::pair(Elements{500, 512}, std::size_t{0}));
  CHECK(parts[1] == std::pair(Elements{512, 700}, std::size_t{1}));
}

namespace {
/// Counts how often each element is summed, and to whom; the sums are those of one process.
class CountingCommunicator final : public Communicator {
 public:
  CountingCommunicator(std::size_t size, const Tensor<float>& x)
      : size_(size), begin_(x.data()), counts(x.size()), roots(x.size()) {}
  std::size_t rank() const override { return 0; }
  std::size_t size() const override { return size_; }
  void begin_reduce(void* data, std::size_t count, Element, std::size_t root) override {
    const auto first = static_cast<std::size_t>(static_cast<float*>(data) - begin_);
    for (std::size_t i = first; i < first + count; ++i) ++counts[i], roots[i] = root;
  }
  void begin_all_reduce(void*, std::size_t, Element) override {}
  void begin_broadcast(void*, std::size_t, std::size_t) override {}
  void wait() override {}
  void broadcast(void*, std::size_t, std::size_t) override {}
  void all_reduce(double*, std::size_t) override {}

 private:
  std::size_t size_;
  float* begin_;

 public:
  std::vector<int> counts;
  std::vector<std::size_t> roots;
};
}  // namespace

TEST_CASE("every gradient of every architecture is summed once, on the process that updates it") {
  for (const char* architecture : {"llama", "gpt2"})
    for (const bool tied : {true, false}) {
      Config c;
      c.architecture = std::string(architecture) == "gpt2" ? Architecture::gpt2 : Architecture::llama;
      if (c.architecture == Architecture::gpt2 && !tied) continue;  // (its output head is always tied)
      c.vocab_size = 13, c.hidden_size = 8, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
      c.num_attention_heads = c.num_key_value_heads = 2;
      c.tie_word_embeddings = tied;
      const ParameterLayout layout(c);
      const Tensor<float> gradients = zeros<float>({layout.size()});
      CountingCommunicator world(3, gradients);
      DataParallel<float> parallel(layout, world);
      parallel.begin_sum(gradients, 2);
      const int before = world.counts[layout.find("model.layers.1.mlp.up_proj.weight")->offset];
      parallel.begin_sum(gradients, 1);
      CHECK((before == 0 && world.counts[layout.find("model.layers.1.mlp.up_proj.weight")->offset] == 1));
      CHECK(world.counts[layout.find("model.layers.0.mlp.up_proj.weight")->offset] == 0);
      parallel.begin_sum(gradients, 0);
      parallel.finish_sum(gradients);
      for (std::size_t i = 0; i < layout.size(); ++i) {
        INFO(architecture << ", element " << i);
        REQUIRE(world.counts[i] == 1);
        const Elements own = shard(layout.size(), 3, world.roots[i]);
        REQUIRE((own.begin <= i && i < own.end));
      }
    }
}

TEST_CASE("one process: nothing is exchanged") {
  OneProcess alone;
  std::string text = "the same";
  double number = 3;
  alone.broadcast(text);
  alone.all_reduce(&number, 1);
  alone.barrier();
  CHECK((text == "the same" && number == 3 && alone.first() && alone.size() == 1));
}
