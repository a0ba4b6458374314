// Which process gets the sum of which gradients, and in how many calls.
#include "skipv1/training/data_parallel.hpp"

#include <algorithm>

#include "tests/catch.hpp"

using namespace skipv1;

namespace {

/// One of several processes, which writes down what it is asked for.
class WritingWorld final : public Communicator {
 public:
  using Communicator::begin_all_reduce;
  using Communicator::begin_broadcast;
  using Communicator::begin_reduce;
  using Communicator::broadcast;

  struct Part {
    const float* begin;
    std::size_t count, root;
  };

  WritingWorld(std::size_t rank, std::size_t size, bool one_machine) : rank_(rank), size_(size), one_machine_(one_machine) {}
  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }
  bool on_one_machine() const override { return one_machine_; }
  void begin_reduce(void* data, std::size_t count, Element, std::size_t root) override {
    sums.push_back({static_cast<const float*>(data), count, root});
  }
  void begin_all_reduce(void*, std::size_t, Element) override {}
  void begin_broadcast(void* data, std::size_t bytes, std::size_t root) override {
    shared.push_back({static_cast<const float*>(data), bytes / sizeof(float), root});
  }
  void wait() override {}
  void end_group() override { ++groups; }
  void broadcast(void*, std::size_t, std::size_t) override {}
  void all_reduce(double*, std::size_t) override {}

  std::vector<Part> sums, shared;
  std::size_t groups = 0;

 private:
  std::size_t rank_, size_;
  bool one_machine_;
};

/// Whether the parts are all `count` elements from `begin`, each once, at the process that owns them.
bool is_all_at_owners(std::vector<WritingWorld::Part> parts, const float* begin, std::size_t count, std::size_t size) {
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::size_t next = 0;
  for (const WritingWorld::Part& p : parts) {
    if (p.begin != begin + next) return false;
    const Elements own = shard(count, size, p.root);
    if (next < own.begin || next + p.count > own.end) return false;
    next += p.count;
  }
  return next == count;
}

}  // namespace

TEST_CASE("data parallelism: all gradients are summed once, layer by layer or, on one machine, at the end") {
  Config c;
  c.vocab_size = 61, c.hidden_size = 16, c.intermediate_size = 24, c.num_hidden_layers = 5, c.max_position_embeddings = 8;
  c.num_attention_heads = c.num_key_value_heads = 2;
  for (const bool tied : {false, true})
    for (const bool one_machine : {false, true})
      for (const std::size_t size : {2u, 3u, 40u}) {
        c.tie_word_embeddings = tied;
        const Parameters<float> gradients(c);
        const std::size_t count = gradients.layout().size();
        WritingWorld world(1, size, one_machine);
        DataParallel<float> parallel(gradients.layout(), world);
        for (int step = 0; step < 2; ++step) {
          world.sums.clear(), world.shared.clear(), world.groups = 0;
          for (std::size_t l = c.num_hidden_layers + (tied ? 0 : 1); l-- > 0;) parallel.begin_sum(gradients.flat(), l);
          const std::size_t before = world.sums.size();
          CHECK((before == 0) == one_machine);
          parallel.finish_sum(gradients.flat());
          CHECK(world.groups == (one_machine ? 1 : c.num_hidden_layers + (tied ? 1 : 2)));
          CHECK(is_all_at_owners(world.sums, gradients.flat().data(), count, size));
          parallel.share(gradients.flat());
          CHECK(is_all_at_owners(world.shared, gradients.flat().data(), count, size));
        }
      }
}
