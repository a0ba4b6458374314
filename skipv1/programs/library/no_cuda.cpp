// A build without CUDA: what stands for the sources of cuda/.
#include "skipv1/programs/compare.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/job.hpp"

namespace skipv1 {

std::string missing_device() { return "this build has no CUDA (-DSKIPV1_CUDA=ON makes one that has)"; }

// Never reached: `check_device` throws first.
Evaluation evaluate_on_device(const Config&, const Parameters<float>&, const std::string&, const TextData&, std::size_t,
                              std::size_t, std::size_t, Progress*) {
  fail(missing_device());
}
void generate_on_device(const Config&, const Parameters<float>&, const std::string&, const std::vector<std::int32_t>&,
                        std::size_t, const Sampling&, std::uint64_t, const OnToken&) {
  fail(missing_device());
}
Run train_and_evaluate_on_device(const Comparison&, const std::string&, std::uint64_t, const Tokenizer&, const TextData&,
                                 const TextData&) {
  fail(missing_device());
}
Measured measure_on_device(const PlannedRun&, const RunInput&, const std::string&) { fail(missing_device()); }
void run_device_float(PreparedJob) { fail(missing_device()); }
void run_device_double(PreparedJob) { fail(missing_device()); }
void run_device_bfloat16(PreparedJob) { fail(missing_device()); }

}  // namespace skipv1
