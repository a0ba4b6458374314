// skipv1-train: any variant learns any text; interrupted, it goes on where it was.
#include <functional>

#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/programs/job_options.hpp"

using namespace skipv1;

int main(int argc, char** argv) {
  const World world(argc, argv);
  CommandLine app{
      "Trains a model on a text, with checkpoints, logs and a held-out part. Several processes train one model together:\n"
      "mpirun -n 2 skipv1-train … divides the windows of each step between two, on the CPU, or on as many GPUs with --device "
      "cuda.\n"
      "Example: skipv1-train --text book.txt --vocab 2048 --variant skipv1 --out run --resume"};
  Job job;
  add_job_options(app, job, ModelFrom::options);
  return run_program(
      app, argc, argv, [&] { run_job(job, app, world); }, std::bind_front(&World::fail, &world));
}
