#include "tutorials/07-train-on-text/experiment_run.hpp"

skipv1::Measured skipv1::measure_on_cpu(const PlannedRun& run, const RunInput& input) {
  return measure<float, Cpu>(run, input, {"cpu, " + std::to_string(threads()) + " threads", [] { return std::size_t{0}; }});
}
