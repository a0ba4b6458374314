// What the sources of cuda/ do on the device, on the CPU.
#include "skipv1/programs/compare.hpp"
#include "skipv1/programs/experiment_run.hpp"

namespace skipv1 {

Measured measure_on_cpu(const PlannedRun& run, const RunInput& input) {
  return measure<float, Cpu>(run, input, {"cpu, " + std::to_string(threads()) + " threads", [] { return std::size_t{0}; }});
}
Run train_and_evaluate_on_cpu(const Comparison& o, const std::string& variant, std::uint64_t seed, const Tokenizer& tokenizer,
                              const TextData& text, const TextData& held_out) {
  return train_and_evaluate<Cpu>(o, variant, seed, tokenizer, text, held_out);
}

}  // namespace skipv1
