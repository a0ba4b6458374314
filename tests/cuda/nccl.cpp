// A world of one over NCCL: every call there is, within a recorded step, and no bit of a training changes.
#if defined(__CUDACC__) && defined(SKIPV1_WITH_NCCL)

#include "skipv1/distributed/nccl.cuh"

#include <cstdlib>

#include "skipv1/training/trainer.cuh"
#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

NcclCommunicator& nccl_world() {
  static NcclCommunicator world(
      [] {
        setenv("MASTER_ADDR", "127.0.0.1", 0);
        setenv("MASTER_PORT", "29543", 0);
        Launched one;
        one.by = Launched::By::torchrun;
        return one;
      }(),
      nullptr);
  return world;
}
Config nccl_config() {
  Config c;
  c.vocab_size = 61, c.hidden_size = 64, c.intermediate_size = 96, c.num_hidden_layers = 4, c.max_position_embeddings = 32;
  c.num_attention_heads = c.num_key_value_heads = 4;
  c.attention.variant = "skipv1";
  return c;
}
template <class T>
void check_same_training() {
  TrainingOptions o;
  o.schedule = {20, 1e-2, 0.2, 0.1};
  o.batch = 2, o.length = 32;
  const Config c = nccl_config();
  const Parameters<Sum<T>> initial = initial_parameters<Sum<T>>(c, 3);
  Trainer<T, Device> alone(c, o, initial), together(c, o, initial, nccl_world());
  for (std::size_t step = 0; step < 6; ++step) {  // the second is recorded, the others replay it
    std::vector<std::int32_t> tokens, targets;
    for (std::size_t i = 0; i < 64; ++i) {
      tokens.push_back(static_cast<std::int32_t>((i * 7 + step) % 61));
      targets.push_back(static_cast<std::int32_t>((i * 7 + 7 + step) % 61));
    }
    const StepReport one = alone.step(tokens, targets), all = together.step(tokens, targets);
    CHECK(one.loss == all.loss);
    CHECK(one.gradient_norm == all.gradient_norm);
  }
  CHECK(same_bits(alone.master()->flat(), together.master()->flat()));
  CHECK(same_bits(alone.second_moment()->flat(), together.second_moment()->flat()));
}

}  // namespace

TEST_CASE("NCCL, a world of one: sums and broadcasts leave what is there", "[cuda]") {
  NcclCommunicator& world = nccl_world();
  CHECK((world.rank() == 0 && world.size() == 1));
  const Tensor<float> x = draw<float>({1000}, 5);
  const Tensor<float, Device> there = to_device<float>(x);
  world.begin_all_reduce(View<float, Device>(there));
  world.begin_reduce(View<float, Device>(there), 0);
  world.begin_broadcast(View<float, Device>(there), 0);
  world.wait();
  CHECK(same_bits(View<const float>(to_host<float>(there)), View<const float>(x)));
  double number = 3;
  std::string text = "from the host";
  world.all_reduce(&number, 1);
  world.broadcast(text);
  world.barrier();
  CHECK((number == 3 && text == "from the host"));
}

TEST_CASE("NCCL, a world of one: a training has the bits of one without a world", "[cuda]") {
  check_same_training<float>();
  check_same_training<double>();
  check_same_training<bfloat16>();
}

TEST_CASE("NCCL takes one process per GPU", "[cuda]") {
  int count = 0;
  REQUIRE(cudaGetDeviceCount(&count) == cudaSuccess);
  Launched launched;
  launched.by = Launched::By::torchrun;
  launched.local_rank = launched.rank = static_cast<std::size_t>(count), launched.size = launched.rank + 1;
  CHECK_THAT(message([&] { NcclCommunicator(launched, nullptr); }), Catch::Contains("NCCL takes one process per GPU"));
}

#endif
