#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

void skipv1::run_device_double(PreparedJob job) { JobRun<double, Device>(std::move(job)).run(); }
