#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

namespace skipv1 {

template <class Space>
void run_f64_on(PreparedJob job) {
  JobRun<double, Space>(std::move(job)).run();
}
template decltype(run_f64_on<Device>) run_f64_on<Device>;

}  // namespace skipv1
