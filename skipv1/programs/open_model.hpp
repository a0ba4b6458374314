// Opening a model of any kind, compiled once for all programs: library/open_model.cpp.
#pragma once

#include "skipv1/io/checkpoint.hpp"

namespace skipv1 {

/// The model at `path`: a checkpoint, a run (its last checkpoint), a transformers folder, a llama2.c file. With a strategy,
/// converted to SkipV1Former. `T` is float or double. Throws as `import_checkpoint` and `convert`.
template <class T>
Checkpoint<T> open_model(const std::filesystem::path& path, const std::string& strategy = {});
/// `model`, which was opened at `path`, converted to SkipV1Former. Throws as `convert`, with `path` in front.
template <class T>
Checkpoint<T> converted_model(const Checkpoint<T>& model, const std::filesystem::path& path, const std::string& strategy);

}  // namespace skipv1
