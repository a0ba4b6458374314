// What device/ does on a device, on the CPU.
#include "skipv1/programs/compare.hpp"
#include "skipv1/programs/experiment_run.hpp"

namespace skipv1 {

Measured measure_on_cpu(const PlannedRun& run, const RunInput& input) {
  return measure<float, Cpu>(run, input, {"cpu, " + std::to_string(threads()) + (threads() == 1 ? " thread" : " threads"), [] {
                                            return std::size_t{0};
                                          }});
}
template Run train_and_evaluate<Cpu>(const Comparison&, const std::string&, std::uint64_t, const Tokenizer&, const TextData&,
                                     const TextData&);

}  // namespace skipv1
