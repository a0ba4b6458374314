// Generation by one kernel says what generation on the CPU says.
#include "skipv1/model/one_kernel/generate.cuh"
#include "tests/catch.hpp"
#include "tests/cuda/small_models.hpp"

using namespace skipv1;

TEST_CASE("generation by one kernel says what generation on the CPU says, whatever a launch holds", "[cuda]") {
  const Config c = test::small_config(Architecture::llama, find_variant("skipv1"));
  Parameters<double> parameters(c);
  initialize(parameters, c, 3);
  Random random(4);
  for (std::size_t i = 0; i < parameters.flat().size(); ++i) parameters.flat().data()[i] += 0.1 * random.normal();
  Parameters<double, Device> there(c);
  test::load(there, parameters);
  const Decoder<double> cpu(c, parameters);
  const Decoder<double, Device> device(c, there);
  const std::vector<std::vector<std::int32_t>> prompts{{1, 2, 3}, {4}, {5, 6}};
  const auto want = generate(cpu, prompts, 9, {.temperature = 0}, 1);
  const Sampling greedy{.temperature = 0};
  for (const std::size_t at_once : {1u, 4u, 16u})
    CHECK(generate_by_one_kernel(device, prompts, 9, greedy, 1, {}, at_once) == want);

  std::vector<std::vector<std::int32_t>> heard(3);
  const OnToken until_three = [&](std::size_t b, std::int32_t token) {
    heard[b].push_back(token);
    return b != 1 || heard[b].size() < 3;
  };
  auto shorter = want;
  shorter[1].resize(3);
  CHECK(generate_by_one_kernel(device, prompts, 9, greedy, 1, until_three) == shorter);
  CHECK(heard == shorter);
  CHECK(generate_by_one_kernel(device, prompts, 0, greedy, 1) == std::vector<std::vector<std::int32_t>>(3));
  CHECK_THROWS_WITH(generate_by_one_kernel(device, {{1}, {}}, 2, greedy, 1), "generate: prompt 1 is empty");

  const Sampling drawn{.temperature = 0.9, .top_k = 20, .top_p = 0.9};
  CHECK(generate_by_one_kernel(device, prompts, 9, drawn, 7) == generate(cpu, prompts, 9, drawn, 7));
}
