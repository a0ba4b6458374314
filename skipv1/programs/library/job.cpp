#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_run.hpp"

void skipv1::run_float(PreparedJob job) { JobRun<float>(std::move(job)).run(); }
void skipv1::run_double(PreparedJob job) { JobRun<double>(std::move(job)).run(); }
