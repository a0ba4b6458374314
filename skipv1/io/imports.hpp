// One function for every checkpoint that can be read: ours, Hugging Face's, llama2.c's.
#pragma once

#include "skipv1/io/hugging_face.hpp"
#include "skipv1/io/llama2c.hpp"

namespace skipv1 {

namespace detail {
/// What another format's file is called, by its first bytes; null if it may be llama2.c's.
inline const char* foreign_format(Source& file) {
  const std::string begin = file.text(0, std::min<std::uint64_t>(file.size(), 9));
  if (begin.size() == 9 && begin[8] == '{') return "a safetensors file";
  if (begin.starts_with('{')) return "a JSON file";
  if (begin.starts_with("PK\3\4")) return "a PyTorch file";
  return begin.starts_with("GGUF") ? "a GGUF file" : nullptr;
}
}  // namespace detail

namespace detail {
/// A configuration of ours among the keys that transformers adds to that of a `model_type` "skipv1": those are passed over.
inline Config parse_skipv1_config(std::string_view text) {
  Json object = parse_json(text);
  for (const char* key : {"head_dim", "rope_frequencies"})  // null, as transformers writes what is not set: absent
    if (object.is_object() && object.contains(key) && object[key].is_null()) object.erase(key);
  return config_of(object, UnknownKeys::passed_over);
}
}  // namespace detail

/// Imports a folder with a configuration of ours, which `parse` reads, whose tensors may have been stored by PyTorch: prefixes,
/// buffers and an equal copy of a tied head are tolerated. Throws as `import_hugging_face`.
template <class T>
Checkpoint<T> import_own(const std::filesystem::path& folder, Config (*parse)(std::string_view)) {
  const Config c = read_config_as(folder / "config.json", parse);
  ModelTensors tensors(folder);
  require_plausible(c, tensors.elements(), tensors.name());
  Checkpoint<T> checkpoint{c, Parameters<T>(c)};
  read_model_tensors(tensors, c, checkpoint.parameters);
  return checkpoint;
}

/// The configuration in a config.json, ours or, with a "model_type", transformers'.
inline Config read_model_config(const std::filesystem::path& file) {
  const Json object = read_config_as(file, parse_json);
  if (!object.is_object() || !object.contains("model_type")) return read_config(file);
  return read_config_as(file, object["model_type"] == "skipv1" ? detail::parse_skipv1_config : parse_hugging_face_config);
}

/// Reads the checkpoint at `path`: a llama2.c file, or a folder whose config.json is ours or, with a "model_type", transformers';
/// of type "skipv1" it is both (`export_hugging_face`).
template <class T>
Checkpoint<T> import_checkpoint(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    Source file(path);
    const char* foreign = detail::foreign_format(file);
    require(!foreign, file.name(), ": ", foreign ? foreign : "",
            ": a model is a folder with config.json and model.safetensors, or a file of llama2.c's");
    return import_llama2c<T>(file);
  }
  const Json object = read_config_as(path / "config.json", parse_json);
  require(
      !object.is_object() || object.contains("model_type") || object.contains("architecture"), (path / "config.json").string(),
      ": neither \"model_type\", which transformers' configurations have, nor \"architecture\", which this library's have: one ",
      "of them says what model it is");
  if (!object.is_object() || !object.contains("model_type")) return import_own<T>(path, parse_config);
  if (object["model_type"] == "skipv1") return import_own<T>(path, detail::parse_skipv1_config);
  return import_hugging_face<T>(path);
}

}  // namespace skipv1
