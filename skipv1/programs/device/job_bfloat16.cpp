#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

void skipv1::run_device_bfloat16(PreparedJob job) { JobRun<bfloat16, Device>(std::move(job)).run(); }
