// skipv1-make-case: a new conformance case from the library itself (docs/conformance.md).
#include <algorithm>
#include <iostream>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/config.hpp"
#include "skipv1/conformance/new_case.hpp"

using namespace skipv1;
using namespace skipv1::conformance;

int main(int argc, char** argv) {
  CommandLine app{
      "Writes a conformance case for a configuration: weights, tokens and targets drawn from the seed, results computed by the "
      "library in "
      "float64.\nExample: skipv1-make-case config.json --seed 7 --batch 2 --length 11 --out my_case"};
  std::string config, out;
  NewCase options;
  int threads = 0;
  app.add_option("CONFIG", config, "a config.json")->required();
  app.add_option("--seed", options.seed, "seed of everything that is drawn")->required();
  app.add_option("--batch", options.batch, "sequences")->capture_default_str();
  Option* length = app.add_option("--length", options.length, "tokens of each; if not given at most the model's context")
                       ->capture_default_str();
  app.add_option("--dtype", options.dtype, "scalar of model.safetensors")
      ->transform(upper_case())
      ->check(one_of({"F64", "F32", "BF16"}))
      ->capture_default_str();
  app.add_flag("--drawn", options.drawn,
               "leave model.safetensors and grads.safetensors out: they are drawn and computed from the seed wherever the case "
               "is read");
  app.add_flag("--as-given", options.as_given,
               "write CONFIG's keys alone, so that the defaults of what it leaves out show; without it every key is spelled out");
  app.add_option("--out", out, "the case's folder, which must not exist")->required();
  add_threads_option(app, threads);
  return run_program(app, argc, argv, [&] {
    use_threads(threads);
    if (!length->count()) options.length = std::min(options.length, read_config(config).max_position_embeddings);
    make_case(config, options, out);
    std::cout << "a case of " << options.batch << " x " << options.length << " tokens, "
              << (options.drawn ? "its model drawn from seed " : "seed ") << options.seed << ", in " << out << '\n';
  });
}
