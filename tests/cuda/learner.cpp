// The learner on the device against the CPU's in double, in every configuration that theory asks for.
#include "skipv1/mesa/learner.cuh"

#include <tuple>

#include "skipv1/mesa/probes.hpp"
#include "tests/catch.hpp"

using namespace skipv1;
using namespace skipv1::mesa;

namespace {

#ifdef SKIPV1_FEWER_SCALARS
using LearnerScalars = std::tuple<float>;
#else
using LearnerScalars = std::tuple<float, double>;
#endif

const Task task{2, 3, 0.1};

struct Case {
  const char* name;
  StackConfig config;
};

/// Softmax first and linear attention behind it, wide heads, neither norms nor feed-forward blocks, but for what is named.
std::vector<Case> cases() {
  const auto config = [](const char* variant) {
    StackConfig c{.width = 4, .head_size = 6, .positions = 2 * task.context + 1, .softmax_layers = 1, .rotary_layers = 1};
    c.norms = false, c.rope_theta = 10;
    c.attention.variant = variant;
    return c;
  };
  std::vector<Case> all{{"MHA", config("mha")}, {"SkipV1", config("skipv1")}, {"ResFormer", config("resformer")}};
  const auto add = [&](const char* name, const auto& change) {
    all.push_back({name, config("skipv1")});
    change(all.back().config);
  };
  add("SkipV1, linear everywhere", [](StackConfig& c) { c.softmax_layers = 0; });
  add("SkipV1, softmax everywhere", [](StackConfig& c) { c.softmax_layers = every_layer; });
  add("SkipV1, norms", [](StackConfig& c) { c.norms = true; });
  add("SkipV1, feed-forward", [](StackConfig& c) { c.feed_forward = 8; });
  return all;
}

template <class T>
double difference(const Tensor<T>& a, const Tensor<double>& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - b.data()[i]);
    worst = d <= worst ? worst : d;  // a NaN stays
  }
  return worst;
}
void check_close(const std::vector<double>& a, const std::vector<double>& b, double bound) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < b.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(bound));
}

}  // namespace

// Errors grow with the steps: where a gradient is near zero, AdamW divides its rounding by its size.
TEMPLATE_LIST_TEST_CASE("a learner on the device learns what the CPU's does, and holds the same", "[cuda]", LearnerScalars) {
  using T = TestType;
  const double bound = std::is_same_v<T, double> ? 1e-11 : 2e-4;
  Recipe recipe;
  recipe.steps = 5, recipe.batch = 2, recipe.weight_decay = 0.1, recipe.gain = 1;
  for (const Case& c : cases()) {
    INFO(c.name);
    Learner<double> host(c.config, task.dim, recipe, 1);
    Learner<T, Device> device(c.config, task.dim, recipe, 1);
    for (std::size_t i = 0; i < recipe.steps; ++i) {
      const std::size_t batch = i < 3 ? recipe.batch : recipe.batch + 1;  // another graph
      const double want = host.step(draw_prompts<double>(task, Labels::context, batch, Random(2).split(i)));
      CHECK(device.step(draw_prompts<T>(task, Labels::context, batch, Random(2).split(i))) == Approx(want).epsilon(bound));
    }
    const Prompts<double> test = draw_prompts<double>(task, Labels::context, 36, Random(3));
    const Prompts<T> rounded = draw_prompts<T>(task, Labels::context, 36, Random(3));
    const Tensor<double> want = host.predict(test, Keep::for_backward);
    CHECK(difference(device.predict(rounded, Keep::for_backward), want) <= bound);
    const Probes on_host = probe(host, test), on_device = probe(device, rounded);
    check_close(on_device.x, on_host.x, bound), check_close(on_device.y, on_host.y, bound);
    check_close(on_device.label, on_host.label, bound);
    check_close(on_device.heads, on_host.heads, bound), check_close(on_device.tokens, on_host.tokens, bound);
  }
}

TEST_CASE("a learner's step on the device allocates nothing from the second on", "[cuda]") {
  Recipe recipe;
  recipe.batch = 3;
  Learner<float, Device> learner(cases()[1].config, task.dim, recipe, 1);
  const Prompts<float> p = draw_prompts<float>(task, Labels::context, 3, Random(1));
  double loss = learner.step(p);
  const std::size_t allocations = skipv1::detail::device_allocations();
  for (int i = 0; i < 4; ++i) {
    const double next = learner.step(p);
    CHECK(next < loss);  // the same prompts again
    loss = next;
  }
  CHECK(skipv1::detail::device_allocations() == allocations);
}
