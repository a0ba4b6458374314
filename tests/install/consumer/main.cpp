// Uses the library as a stranger would: a header or all of them included, a matrix product asked of it, a variant of one's own.
#include <iostream>
#ifdef WHOLE
// What windows.h defines, among much else.
#define far
#define near
#define small char
#define hyper long
#define interface struct
#define CONST const
#define VOID void
#define IN
#define OUT
#define OPTIONAL
#define TRUE 1
#define FALSE 0
#define ERROR 0
#define DELETE 1
#define STRICT 1
#define ABSOLUTE 1
#define RELATIVE 2
#define OPAQUE 2
#define IGNORE 0
#define INFINITE 0xffffffff
#define DrawText DrawTextA
#include <skipv1/all.hpp>
#else
#include <skipv1/ops/linear.hpp>
#ifdef HAVE_CBLAS
#error "a macro without our prefix"
#endif
#endif

#ifdef WHOLE
/// A variant of one's own, with a source layer and an injection rule: behind the source layer, each head beyond the own ones
/// reads the source layer's heads from the last one down.
skipv1::Routing route_reversed(const skipv1::RoutingShape& shape) {
  return skipv1::routing::own_keys(shape, [&](std::size_t layer, std::size_t g) {
    const std::size_t own = shape.own(), source = shape.source_layer;
    if (layer <= source || g < own) return skipv1::HeadName{layer, g};
    return skipv1::HeadName{source, shape.kv_heads - 1 - (g - own)};
  });
}

/// Whether decoding token by token gives what one pass does, the cache is as small as the table says, and a step trains.
bool own_variant_works() {
  skipv1::register_variant({.name = "reversed",
                            .summary = "upper heads are the source layer's, last first",
                            .route = route_reversed,
                            .fields = {.skip_ratio = true, .source_layer = true}});
  skipv1::Config config;
  config.vocab_size = 7, config.hidden_size = 16, config.intermediate_size = 24, config.max_position_embeddings = 8;
  config.attention.variant = "reversed", config.attention.source_layer = 1;
  if (skipv1::parse_config(skipv1::config_text(config)) != config) return false;
  const skipv1::Parameters<double> parameters = skipv1::initial_parameters<double>(config, 1);
  const skipv1::Decoder<double> decoder(config, parameters);
  skipv1::Cache<double> whole(decoder.routing(), 1, 4), stepwise(decoder.routing(), 1, 4);
  skipv1::Activations<double> a, b;
  const std::vector<std::int32_t> tokens{3, 1, 4, 1};
  const skipv1::View<double> logits = decoder.forward({tokens, {4}}, whole, a);
  double worst = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    const skipv1::View<double> row = decoder.forward({{tokens[t]}, {1}}, stepwise, b);
    for (std::size_t v = 0; v < 7; ++v) worst = std::max(worst, std::abs(row(0u, v) - logits(t, v)));
  }
  skipv1::TrainingOptions options;
  options.batch = 1, options.length = 4, options.schedule.steps = 20, options.schedule.peak = 0.05;
  skipv1::Trainer<float> trainer(config, options, 1);
  const double first = trainer.step(tokens, {1, 4, 1, 5}).loss;
  double last = first;
  for (int i = 1; i < 20; ++i) last = trainer.step(tokens, {1, 4, 1, 5}).loss;
  // Heads are 4 wide: each layer owns 4 keys, layers 0 and 1 own 4 values, layers 2 and 3 two.
  return worst < 1e-12 && decoder.routing().value(3, 2) == skipv1::HeadName{1, 3} &&
         whole.elements_per_token() == 4 * (4 + 4 + 4 + 4 + 4 + 4 + 2 + 2) && last < 0.7 * first;
}
#endif

#ifdef PACKAGE_VERSION
#include <string_view>

#include <skipv1/core/version.hpp>
static_assert(std::string_view(PACKAGE_VERSION) == SKIPV1_VERSION);
#endif

#if defined(WHOLE) && defined(SKIPV1_CHECK_INDICES)
/// Whether an index too few, and one beyond, throw.
bool indices_are_checked() {
  const skipv1::Tensor<float> x = skipv1::zeros<float>({2, 3});
  int refused = 0;
  for (int i = 0; i < 2; ++i) {
    try {
      i == 0 ? x(1) : x(1, 3);
    } catch (const skipv1::Error&) {
      ++refused;
    }
  }
  return refused == 2 && x(1, 2) == 0;
}
#endif

int main() {
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, expected[] = {19, 22, 43, 50};
  float c[4];
  skipv1::gemm<float>(skipv1::Transpose::no, skipv1::Transpose::no, 2, 2, 2, 1, a, 2, b, 2, 0, c, 2);
  for (std::size_t i = 0; i < 4; ++i) {
    if (c[i] != expected[i]) {
      std::cerr << "element " << i << " of the product is " << c[i] << ", not " << expected[i] << '\n';
      return 1;
    }
  }
#ifdef WHOLE
  if (!own_variant_works()) {
    std::cerr << "a variant of one's own does not do what its table says\n";
    return 1;
  }
#endif
#if defined(WHOLE) && defined(SKIPV1_CHECK_INDICES)
  if (!indices_are_checked()) {
    std::cerr << "an index beyond a tensor's extent does not throw\n";
    return 1;
  }
#endif
}
