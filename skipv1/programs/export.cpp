// skipv1-export: a model as a folder that transformers loads (docs/conformance.md, "In transformers").
#include <iostream>
#include <string>
#include <vector>

#include "skipv1/io/cli.hpp"
#include "skipv1/io/hugging_face_export.hpp"
#include "skipv1/io/imports.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/training/run_folder.hpp"
#include "skipv1/training/vocabulary.hpp"

using namespace skipv1;

namespace {

/// docs/pytorch/modeling_skipv1.py, line by line.
constexpr const char* model_file[] = {
#include "modeling_skipv1.inc"
};

struct Options {
  std::string model, out, dtype = "f32";
};

/// Copies what is beside the model at `from` about its tokens, unread and unchanged: the vocabulary, in whichever format, its
/// marks and its template, and where a text ends. Returns the files' names.
std::vector<std::string> copy_vocabulary(const std::filesystem::path& from, std::size_t size,
                                         const std::filesystem::path& folder) {
  std::vector<std::string> names;
  if (!std::filesystem::is_directory(from)) {  // beside a file may lie what belongs to other models
    const FoundVocabulary found = find_vocabulary(from, size);
    if (!found.vocabulary || found.vocabulary->file_name.empty()) return names;
    found.vocabulary->save(folder);
    return {found.vocabulary->file_name};
  }
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json"}) {
    if (!std::filesystem::exists(from / name)) continue;
    Source file(from / name);
    const std::string content = file.text(0, file.size());
    write_whole(folder / name, [&](std::ostream& out) { out << content; });
    names.push_back(name);
  }
  return names;
}

/// Writes everything; returns the line that says so.
std::string write(const Options& o, const std::filesystem::path& folder) {
  std::vector<std::string> copied;
  const Checkpoint<double> model = read_model(o.model, [&](const std::filesystem::path& from) {
    Checkpoint<double> read = import_checkpoint<double>(from);
    copied = copy_vocabulary(from, read.config.vocab_size, folder);
    return read;
  });
  std::string dtype = o.dtype;
  for (char& letter : dtype) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  export_hugging_face(folder, model.config, model.parameters, *find_dtype(dtype));
  const TransformersModel kind = transformers_model(model.config);
  if (kind == TransformersModel::skipv1)
    write_whole(folder / "modeling_skipv1.py", [&](std::ostream& out) {
      for (const char* line : model_file) out << line;
    });
  std::string line = o.out + ": " + class_of(kind);
  if (kind == TransformersModel::skipv1) line += ", with its modeling_skipv1.py: trust_remote_code=True";
  for (const std::string& name : copied) line += (&name == copied.data() ? "; beside it " : ", ") + name;
  return line + '\n';
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
    const std::string line = write(o, folder.path());
    folder.commit();
    std::cout << line;
  });
}
