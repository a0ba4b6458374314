// skipv1-uptrain: a trained model with full or grouped heads becomes a SkipV1Former, and goes on learning.
#include <cstdio>
#include <functional>

#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/programs/job_options.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/open_text.hpp"

using namespace skipv1;

namespace {

/// In which type a model's weights are stored, as far as we can write it.
Dtype stored_dtype(const std::filesystem::path& model) {
  if (!std::filesystem::exists(model / "model.safetensors")) return dtype_of<float>();
  const SafetensorsFile file(model / "model.safetensors");
  const Dtype dtype = file.entries().empty() ? dtype_of<float>() : file.entries().begin()->second.dtype;
  return dtype == dtype_of<double>() || dtype == dtype_of<bfloat16>() ? dtype : dtype_of<float>();
}

void convert_model(const std::string& from, const std::string& strategy, const std::string& out, const std::string& dtype) {
  NewFolder folder(out);
  const auto [as, trained, found] = read_model(from, [&](const std::filesystem::path& path) {
    const Dtype stored = dtype.empty() ? stored_dtype(path) : *find_dtype(dtype);
    Checkpoint<double> read = open_model<double>(path);
    FoundVocabulary vocabulary = vocabulary_beside(path, read.config.vocab_size);
    return std::tuple(stored, std::move(read), std::move(vocabulary));
  });
  const Checkpoint<double> model = converted_model(trained, from, strategy);
  write_checkpoint<double>(folder.path(), model.config, model.parameters, as);
  if (found.vocabulary) found.vocabulary->save(folder.path());
  folder.commit();
  if (!found.vocabulary && !found.passed_over.empty())
    std::fprintf(stderr, "skipv1-uptrain: no vocabulary goes with the model of %zu pieces: beside it %s\n",
                 model.config.vocab_size, found.passed_over.c_str());

  const Config& before = trained.config;
  std::printf("by %s: skipv1 of %zu parameters (before: %zu), %zu cache elements per token (before: %zu); %s, in %s\n",
              strategy.c_str(), ParameterLayout(model.config).count(), ParameterLayout(before).count(),
              cache_elements_per_token(make_routing(model.config)), cache_elements_per_token(make_routing(before)), as.name,
              out.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const World world(argc, argv);
  CommandLine app{
      "Makes a SkipV1Former of a trained model: layers after the first keep half of their value heads and read the others from "
      "the first layer. No other ratio, no table of heads: skipv1-train trains those from the start.\n"
      "Several processes train it further together: mpirun -n 2 skipv1-uptrain run …\n"
      "Example: skipv1-uptrain run trained --strategy mean_v --text book.txt --steps 200 --out uptrained"};
  app.require_subcommand(1);
  Job job;
  job.strategy = "mean_v";
  std::string dtype;
  CommandLine* conversion = app.add_subcommand("convert", "convert and write a checkpoint");
  CommandLine* run = app.add_subcommand("run", "convert and go on training");
  for (CommandLine* sub : {conversion, run}) {
    sub->add_option("model", job.from, "a checkpoint, a run, a transformers folder, or a llama2.c file");
    sub->add_option("--strategy", job.strategy, "mean_v, mean_vo, top_v, top_vo or svd")->capture_default_str();
  }
  conversion->add_option("--out", job.out, "folder of the checkpoint")->required();
  conversion->add_option("--dtype", dtype, "F64, F32 or BF16 instead of the model's own")
      ->transform(upper_case())
      ->check(one_of({"F64", "F32", "BF16"}));
  add_threads_option(*conversion, job.threads);
  add_job_options(*run, job, ModelFrom::elsewhere);
  return run_program(
      app, argc, argv,
      [&] {
        world.check();
        require(!*conversion || world.size() == 1, "convert: one process does it, not ", world.size());
        require(!job.from.empty() || job.resume, "a model is required");
        if (!*conversion) return run_job(job, *run, world);
        use_threads(job.threads);
        convert_model(job.from, job.strategy, job.out, dtype);
      },
      std::bind_front(&World::fail, &world));
}
