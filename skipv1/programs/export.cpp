// skipv1-export: a model as a folder that transformers loads (docs/conformance.md, "In transformers").
#include <iostream>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/hugging_face_export.hpp"
#include "skipv1/io/imports.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/training/run_folder.hpp"

using namespace skipv1;

namespace {

/// docs/pytorch/modeling_skipv1.py, line by line.
constexpr const char* model_file[] = {
#include "modeling_skipv1.inc"
};

struct Options {
  std::string model, out, dtype = "f32";
};

void write(const Options& o, const std::filesystem::path& folder) {
  const Checkpoint<double> model = read_model(o.model, import_checkpoint<double>);
  std::string dtype = o.dtype;
  for (char& letter : dtype) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  export_hugging_face(folder, model.config, model.parameters, *find_dtype(dtype));
  const TransformersModel kind = transformers_model(model.config);
  if (kind == TransformersModel::skipv1)
    write_whole(folder / "modeling_skipv1.py", [&](std::ostream& out) {
      for (const char* line : model_file) out << line;
    });
  std::cout << o.out << ": " << class_of(kind)
            << (kind == TransformersModel::skipv1 ? ", with its modeling_skipv1.py: trust_remote_code=True" : "") << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Writes a model as a folder for Hugging Face's transformers: a plain LLaMA, Qwen2, Qwen3 or GPT-2 where the variant is "
      "mha, gqa\n"
      "or mqa, else with modeling_skipv1.py beside it.\n\n"
      "Example: skipv1-export my_run --out exported\n"
      "  AutoModelForCausalLM.from_pretrained(\"exported\", trust_remote_code=True)"};
  Options o;
  app.add_option("MODEL", o.model, "a checkpoint, a run, a transformers folder, or a llama2.c file")->required();
  app.add_option("--out", o.out, "the folder to be made")->required();
  app.add_option("--dtype", o.dtype, "scalar of the weights")
      ->transform(lower_case())
      ->check(one_of({"f64", "f32", "bf16"}))
      ->capture_default_str();
  return run_program(app, argc, argv, [&] {
    NewFolder folder(o.out);
    write(o, folder.path());
    folder.commit();
  });
}
