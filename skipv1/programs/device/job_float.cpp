#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

namespace skipv1 {

template <class Space>
void run_f32_on(PreparedJob job) {
  JobRun<float, Space>(std::move(job)).run();
}
template decltype(run_f32_on<Device>) run_f32_on<Device>;

}  // namespace skipv1
