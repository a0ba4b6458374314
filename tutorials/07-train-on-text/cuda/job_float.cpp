#include "skipv1/training/trainer.cuh"
#include "skipv1/training/sentencepiece.hpp"
#include "tutorials/07-train-on-text/job_run.hpp"

void skipv1::run_device_float(PreparedJob job) { JobRun<float, Cuda>(std::move(job)).run(); }
