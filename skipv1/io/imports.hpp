// One function for every checkpoint that can be read: ours, Hugging Face's, llama2.c's.
#pragma once

#include "skipv1/io/hugging_face.hpp"
#include "skipv1/io/llama2c.hpp"

namespace skipv1 {

/// Reads the checkpoint at `path`: a llama2.c file, or a folder whose config.json is ours or, with a "model_type", transformers'.
template <class T>
Checkpoint<T> import_checkpoint(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return import_llama2c<T>(path);
  const Json object = read_config_as(path / "config.json", parse_json);
  return object.is_object() && object.contains("model_type") ? import_hugging_face<T>(path) : read_checkpoint<T>(path);
}

}  // namespace skipv1
