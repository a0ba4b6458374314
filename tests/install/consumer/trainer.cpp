// A training of ten lines, whose decoder was compiled when the library was built.
#include <skipv1/skipv1.hpp>

int main(int argc, char** argv) {
  skipv1::wait_briefly(argc, argv);
  skipv1::Config config;
  config.vocab_size = 7, config.hidden_size = 16, config.intermediate_size = 24, config.max_position_embeddings = 8;
  config.attention.variant = "skipv1";
  skipv1::TrainingOptions options;
  options.batch = 1, options.length = 4, options.schedule.steps = 20, options.schedule.peak = 0.05;
  skipv1::Trainer<float> trainer(config, options, 1);
  double first = 0, last = 0;
  for (int i = 0; i < 20; ++i) {
    last = trainer.step({3, 1, 4, 1}, {1, 4, 1, 5}).loss;
    if (i == 0) first = last;
  }
  return last < 0.7 * first ? 0 : 1;
}
