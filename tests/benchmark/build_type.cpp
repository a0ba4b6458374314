// Some training steps, for compile.py to compile with a build type and without one.
#include <skipv1/skipv1.hpp>

int main() {
  skipv1::Config config;
  config.vocab_size = 256, config.hidden_size = 64, config.intermediate_size = 172, config.max_position_embeddings = 64;
  config.attention.variant = "skipv1";
  skipv1::TrainingOptions options;
  options.batch = 4, options.length = 64, options.schedule.steps = 10;
  skipv1::Trainer<float> trainer(config, options, 1);
  std::vector<std::int32_t> tokens(options.batch * options.length), targets(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(i * 7 % config.vocab_size);
    targets[i] = static_cast<std::int32_t>((i + 1) * 7 % config.vocab_size);
  }
  double loss = 0;
  for (std::size_t i = 0; i < options.schedule.steps; ++i) loss = trainer.step(tokens, targets).loss;
  return loss > 0 ? 0 : 1;
}
