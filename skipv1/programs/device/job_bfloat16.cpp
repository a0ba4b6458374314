#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

namespace skipv1 {

template <class Space>
void run_bf16_on(PreparedJob job) {
  JobRun<bfloat16, Space>(std::move(job)).run();
}
template decltype(run_bf16_on<Device>) run_bf16_on<Device>;

}  // namespace skipv1
