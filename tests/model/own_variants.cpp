// Variants of one's own: registered, and as a table in place of the configuration's.
#include "tests/catch.hpp"
#include "tests/model/small_decoder.hpp"

using namespace skipv1;
using namespace skipv1::test;
using namespace skipv1::test::small;

namespace {

/// Variants of one's own, known as long as this lives.
struct OwnVariants {
  OwnVariants() {
    register_variant({.name = "decoder_test_pairs", .summary = "cla_v once more", .route = [](const RoutingShape& s) {
                        return routing::own_keys(s, [](std::size_t l, std::size_t g) { return HeadName{l - l % 2, g}; });
                      }});
    register_variant(
        {.name = "decoder_test_means", .summary = "layer 3 reads means of layer 1's values", .route = [](const RoutingShape& s) {
           return routing::own_keys(s, [](std::size_t l, std::size_t g) {
             return l == 3 ? HeadName{1, g, (g + 1) % 4} : HeadName{l, g};
           });
         }});
    register_variant(
        {.name = "decoder_test_late", .summary = "layer 0 owns fewer values than later ones", .route = [](const RoutingShape& s) {
           return routing::own_keys(s, [](std::size_t l, std::size_t g) { return HeadName{l, l == 0 ? 0 : g}; });
         }});
  }
  ~OwnVariants() { variants().resize(variants().size() - 3); }
  OwnVariants(const OwnVariants&) = delete;
  OwnVariants& operator=(const OwnVariants&) = delete;
};

}  // namespace

TEST_CASE("a registered variant runs: one function that fills a table") {
  const OwnVariants registered;
  Config known = base("cla_v"), own = base("decoder_test_pairs");
  const Model a(known), b(own);
  CHECK(same_bits<double>(both_ways(a.decoder).first, both_ways(b.decoder).first));
  for (const char* variant : {"decoder_test_pairs", "decoder_test_means", "decoder_test_late"}) {
    for (Architecture architecture : {Architecture::gpt2, Architecture::llama}) {
      CAPTURE(variant);
      const Model model(base(variant, architecture));
      const auto [whole, steps] = both_ways(model.decoder);
      CHECK(error<double>(steps, whole) < 1e-12);
      const std::string name = variant == std::string("decoder_test_pairs") ? "model.layers.2.self_attn.v_proj.weight"
                                                                            : "model.layers.1.self_attn.v_proj.weight";
      const View<double> weight = model.parameters[name];
      const Tensor<double> all = training_step(model);
      const std::size_t offset = model.parameters.layout().find(name)->offset;
      const View<double> gradient(all.data() + offset, weight.shape());
      const auto loss = [&] {
        Cache<double> cache(model.decoder.routing(), 2, 66);
        Activations<double> memory;
        const std::vector<std::int32_t> tokens = draw_tokens(2 * 66 + 1);
        model.decoder.forward({{tokens.begin(), tokens.end() - 1}, {66, 66}}, cache, memory);
        return model.decoder.loss(targets_of(tokens), memory);
      };
      const View<double> first(weight.data(), {2, 2});
      const Tensor<double> expected({2, 2});
      std::copy_n(gradient.data(), 4, expected.data());
      CHECK(gradient_error(first, expected, loss) < 1e-8);
    }
  }
}

TEST_CASE("a table in place of the configuration's own: its reads count, its ownership must be the same") {
  const Config config = base("skipv1");
  const Model model(config);
  const auto logits = [&](const Routing& table) { return both_ways(Decoder<double>(config, model.parameters, table)).first; };
  const Routing table = make_routing(config);
  Routing wrong_half = table;
  for (std::size_t l = 1; l < 4; ++l)
    for (std::size_t h = 2; h < 4; ++h) wrong_half.values[l * 4 + h] = {0, h - 2};
  const Tensor<double> right = both_ways(model.decoder).first;
  CHECK(same_bits<double>(logits(table), right));
  CHECK(error<double>(logits(wrong_half), right) > 1e-3);

  const auto refusal = [&](Routing changed) { return message([&] { Decoder<double>(config, model.parameters, changed); }); };
  CHECK(refusal(make_routing(base("mha"))) == "the routing table given does not own the heads of variant skipv1");
  Routing unsized = table;
  unsized.value_width = 0;
  CHECK(refusal(unsized) == "the routing table given does not own the heads of variant skipv1");
  const std::string line = "the routing table given: layer 2 head 1 reads what neither it nor an earlier layer owns";
  for (HeadName value : {HeadName{1, 2}, HeadName{3, 0}, HeadName{0, 1, 4}, HeadName{0, no_head, 1}}) {
    Routing changed = table;
    changed.values[2 * 4 + 1] = value;
    CHECK(refusal(changed) == line);
  }
  Routing keyless = table;
  keyless.keys[2 * 4 + 1] = {};
  CHECK(refusal(keyless) == line);
}

TEST_CASE("a table as data runs as the variant that fills the same: forward, backward and the cache, to the bit") {
  for (const char* variant : {"skipv1", "yoco_v"}) {
    const Config named = base(variant);
    Config given = named;
    const Routing routing = make_routing(named);
    given.attention = {};
    given.attention.variant = "table";
    for (std::size_t l = 0; l < routing.layers; ++l)
      given.attention.table.values.emplace_back(routing.values.begin() + static_cast<std::ptrdiff_t>(l * routing.heads),
                                                routing.values.begin() + static_cast<std::ptrdiff_t>((l + 1) * routing.heads));
    const Model a(named), b(given);
    CAPTURE(variant);
    CHECK(same_bits<double>(both_ways(a.decoder).first, both_ways(b.decoder).first));
    CHECK(same_bits<double>(training_step(a), training_step(b)));
    CHECK(cache_elements_per_token(a.decoder.routing()) == cache_elements_per_token(b.decoder.routing()));
  }
}
