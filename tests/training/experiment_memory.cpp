// What a run of an experiment takes at least, and that it is refused where less is left.
#include "skipv1/programs/experiment_memory.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"

using namespace skipv1;
using test::message;

namespace {

PlannedRun planned_run() {
  PlannedRun run;
  run.label = "10M/mha";
  run.config.vocab_size = 50, run.config.hidden_size = 32, run.config.num_hidden_layers = 2;
  run.config.num_attention_heads = run.config.num_key_value_heads = 4;
  run.config.intermediate_size = 64, run.config.max_position_embeddings = 4096;
  run.config.attention.variant = "mha";
  run.training.batch = 3, run.training.length = 16;
  return run;
}

}  // namespace

TEST_CASE("a training takes its model with moments, and a step; in bfloat16 less, in larger batches more") {
  PlannedRun run = planned_run();
  const double step = step_bytes<float>(run.config, 3, 16), all = least_bytes<float>(run);
  CHECK(all == trainer_bytes<float>(run.config) + step);
  CHECK(least_bytes<bfloat16>(run) < all);
  run.training.batch = 6;
  CHECK(least_bytes<float>(run) == all + step);
}

TEST_CASE("generating takes the model, the cache of the longest context, and a chunk") {
  PlannedRun run = planned_run();
  run.contexts = {2048, 512};
  const double shorter = least_bytes<float>(run);
  const double kept = 3 * 4. * static_cast<double>(cache_elements_per_token(make_routing(run.config)));
  CHECK(shorter > parameter_bytes(run.config, 1, 4) + 2048 * kept);
  run.contexts = {512, 4096};
  CHECK(least_bytes<float>(run) == shorter + 2048 * kept);
  run.contexts = {512};
  CHECK(least_bytes<float>(run) < shorter);
}

TEST_CASE("a run for which no machine has the memory is refused by its label and its sizes") {
  PlannedRun run = planned_run();
  CHECK(message([&] { require_memory_for(run, "f32"); }).empty());
  if (!available_memory()) return;  // the system does not say
  run.training.batch = 1'000'000'000'000;
  CHECK_THAT(message([&] { require_memory_for(run, "bf16"); }),
             Catch::StartsWith("10M/mha, ") &&
                 Catch::Contains(" parameters, 1000000000000 windows of 16 tokens per step: the run takes at least "));
  run.contexts = {512};
  CHECK_THAT(message([&] { require_memory_for(run, "f32"); }), Catch::Contains(", 1000000000000 sequences: the run takes"));
}
