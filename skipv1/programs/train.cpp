// skipv1-train: any variant learns any text; interrupted, it goes on where it was.
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_options.hpp"

using namespace skipv1;

int main(int argc, char** argv) {
  CLI::App app{
      "Trains a model on a text, with checkpoints, logs and a held-out part.\n"
      "Example: skipv1-train --text book.txt --vocab 2048 --variant skipv1 --out run --resume"};
  Job job;
  add_job_options(app, job, true);
  return run_program(app, argc, argv, [&] { run_job(job, app); });
}
