// A checkpoint is a folder: config.json and model.safetensors (docs/spec/formats.md, "Checkpoint").
#pragma once

#include "skipv1/io/config.hpp"
#include "skipv1/io/safetensors.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

/// A model as it is stored.
template <class T>
struct Checkpoint {
  Config config;
  Parameters<T> parameters;
};

/// Throws unless `file` holds exactly the tensors of `layout`; the line names the tensor that is missing, too many or of another
/// shape.
inline void require_tensors(const SafetensorsFile& file, const ParameterLayout& layout) {
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    const Shape& shape = file.at(entry.name).shape;
    require(shape == entry.shape, file.name(), ": tensor \"", entry.name, "\": shape ", shape, ", the configuration asks for ",
            entry.shape);
  }
  std::size_t layers = 0;
  for (const ParameterLayout::Entry& entry : layout.entries())
    if (const auto layer = detail::layer_of(entry.name)) layers = std::max(layers, *layer + 1);
  for (const auto& [name, entry] : file.entries()) {
    if (layout.find(name)) continue;
    const std::string line = file.name() + ": tensor \"" + detail::brief(name) + "\": the configuration has ";
    require(detail::layer_of(name).value_or(0) < layers, line, layers, " layers");
    fail(line, "none of that name");
  }
}

/// Throws, before anything of that size is made, if `config` asks for far more than the `held` elements of the file called
/// `name`: its embedding, query, output and feed-forward matrices are more than four times as many.
inline void require_plausible(const Config& config, std::size_t held, const std::string& name) {
  const auto real = [](std::size_t n) { return static_cast<double>(n); };
  const double d = real(config.hidden_size), heads = real(config.num_attention_heads * config.head_width()),
               layer = 2 * heads + 2 * real(config.intermediate_size);
  const double elements = d * (real(config.vocab_size) + real(config.num_hidden_layers) * layer);
  require(elements <= 4 * real(held) + 1e6, name, ": has ", held, " elements, the configuration asks for ", elements,
          " and more");
}

/// Reads every tensor of `file` into `parameters` (gradients, moments), of the same names and shapes. Throws as
/// `require_tensors`, and if an element is not finite.
template <class T>
void read_parameters(SafetensorsFile& file, const Parameters<T>& parameters) {
  require_tensors(file, parameters.layout());
  for (const ParameterLayout::Entry& entry : parameters.layout().entries()) file.read(entry.name, parameters[entry.name]);
}
template <class T>
void read_parameters(const std::filesystem::path& path, const Parameters<T>& parameters) {
  SafetensorsFile file(path);
  read_parameters(file, parameters);
}

/// All tensors of `parameters` by name.
template <class T>
std::vector<NamedTensor<T>> named_tensors(const Parameters<T>& parameters) {
  std::vector<NamedTensor<T>> tensors;
  for (const ParameterLayout::Entry& entry : parameters.layout().entries())
    tensors.push_back({entry.name, parameters[entry.name]});
  return tensors;
}
/// Writes them to a safetensors file, whole or not at all.
template <class T>
void write_parameters(const std::filesystem::path& path, const Parameters<T>& parameters, const Dtype& dtype = dtype_of<T>()) {
  write_safetensors(path, named_tensors(parameters), dtype);
}

/// Reads a checkpoint. Throws if a file is missing or breaks a rule, or if the two do not fit together.
template <class T>
Checkpoint<T> read_checkpoint(const std::filesystem::path& folder) {
  const Config config = read_config(folder / "config.json");
  SafetensorsFile file(folder / "model.safetensors");
  require_plausible(config, file.elements(), file.name());
  require_tensors(file, ParameterLayout(config));
  Checkpoint<T> checkpoint{config, Parameters<T>(config)};
  read_parameters(file, checkpoint.parameters);
  return checkpoint;
}

/// Writes a checkpoint, its weights as `dtype`, making the folder if there is none. Throws, and leaves what was there as it was,
/// if that fails. Both files are complete before either gets its name; an older configuration goes before the weights change, so
/// that no moment leaves weights beside another model's configuration. Throws on parameters of another configuration.
template <class T>
void write_checkpoint(const std::filesystem::path& folder, const Config& config, const Parameters<T>& parameters,
                      const Dtype& dtype = dtype_of<T>()) {
  require_layout("checkpoint", parameters.layout(), ParameterLayout(config));
  std::error_code error;
  const std::string nowhere = leads_nowhere(folder);
  require(nowhere.empty(), folder.string(), ": cannot be made: ", nowhere);
  OwnFolders made;
  error = made.make(folder);
  require(!error, folder.string(), ": cannot be made: ", error.message());
  try {
    NewFile weights(folder / "model.safetensors"), text(folder / "config.json");
    write_safetensors(weights.out(), named_tensors(parameters), dtype);
    text.out() << config_text(config);
    weights.close();
    text.close();
    std::filesystem::remove(end_of_links(folder / "config.json"), error);
    weights.commit();
    text.commit();
  } catch (...) {
    made.remove();
    throw;
  }
}

}  // namespace skipv1
