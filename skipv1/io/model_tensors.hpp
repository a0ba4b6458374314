// A model's tensors as people store them: in one file or several, under a wrapper's prefix, with copies and buffers beside them.
#pragma once

#include <map>

#include "skipv1/io/json.hpp"
#include "skipv1/io/safetensors.hpp"
#include "skipv1/model/parameters.hpp"

namespace skipv1 {

namespace detail {

/// `name` without what PyTorch's wrappers put before it: "module." (DataParallel), "_orig_mod." (torch.compile).
inline std::string without_wrappers(std::string name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string wrapper : {"module.", "_orig_mod."}) {
      if (!name.starts_with(wrapper)) continue;
      name.erase(0, wrapper.size());
      found = true;
    }
  }
  return name;
}

/// Throws, naming the way out, if `folder` has weights in a form that is not read and none that is.
inline void refuse_pickled_weights(const std::filesystem::path& folder) {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "pytorch_model.pt", "model.pth"})
    require(!std::filesystem::exists(folder / name), (folder / name).string(),
            ": weights in PyTorch's pickle format are not read: load the model in Python and store it by "
            "save_pretrained(FOLDER), which writes model.safetensors, or by safetensors.torch.save_model");
}
}  // namespace detail

/// The tensors of a folder: model.safetensors or, where there is none, the files that model.safetensors.index.json lists
/// (transformers' order of precedence). Names are without the prefixes `module.` and `_orig_mod.`.
class ModelTensors {
 public:
  explicit ModelTensors(const std::filesystem::path& folder) {
    const auto whole = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
    if (std::filesystem::exists(whole) || !std::filesystem::exists(index)) {
      if (!std::filesystem::exists(whole)) detail::refuse_pickled_weights(folder);
      files_.emplace_back(whole);
    } else {
      Source source(index);
      at_place(source.name(), [&] {
        for (const std::string& name : listed(parse_json(source.text(0, source.size())))) files_.emplace_back(folder / name);
      });
    }
    for (std::size_t i = 0; i < files_.size(); ++i)
      for (const auto& [key, entry] : files_[i].entries())
        require(places_.emplace(detail::without_wrappers(key), Place{i, key}).second, files_[i].name(), ": tensor \"",
                detail::brief(key), "\": its name is there twice, but for a prefix module. or _orig_mod. or in another file");
  }

  std::size_t elements() const {
    std::size_t n = 0;
    for (const SafetensorsFile& file : files_) n += file.elements();
    return n;
  }
  const std::string& name() const { return files_.front().name(); }
  bool has(const std::string& key) const { return places_.count(key) != 0; }
  /// Reads tensor `key` into `to`, of the same shape. Throws if there is none, or it is of another shape or not finite.
  template <class T>
  void read(const std::string& key, View<T> to) {
    const auto found = places_.find(key);
    require(found != places_.end(), name(), ": tensor \"", key, "\" is missing");
    files_[found->second.file].read(found->second.key, to);
    used_.insert(key);
  }
  /// Throws if there are tensors that nobody read, but for those `ignored(name)`, of a model of `layers` layers.
  template <class Ignored>
  void finish(std::size_t layers, const Ignored& ignored) const {
    for (const auto& [key, place] : places_) {
      if (used_.count(key) != 0 || ignored(key)) continue;
      const std::string line = files_[place.file].name() + ": tensor \"" + detail::brief(place.key);
      require(detail::layer_of(key).value_or(0) < layers, line, "\": the configuration has ", layers, " layers");
      fail(line, "\" is not one of this architecture");
    }
  }

 private:
  struct Place {
    std::size_t file;
    std::string key;  ///< as the file has it
  };

  /// The files of an index.
  static std::set<std::string> listed(const Json& index) {
    JsonFields root(index);
    const Json& map = *root.find("weight_map");
    root.expect(map.is_object(), "weight_map", "an object", map);
    JsonFields fields(map, "weight_map.");
    std::set<std::string> names;
    for (const auto& item : map.items()) {
      std::string name;
      fields.read(item.key(), name);
      require(std::filesystem::path(name).filename() == name && name.ends_with(".safetensors"), "\"", detail::brief(name),
              "\" must be a .safetensors file of this folder");
      names.insert(name);
    }
    require(!names.empty(), "\"weight_map\" names no file");
    return names;
  }

  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place> places_;
  std::set<std::string> used_;
};

/// A tied model may hold its head a second time: throws unless that equals `embedding`, which the file calls `called`.
template <class T>
void require_tied_head(ModelTensors& tensors, const std::string& called, View<T> embedding) {
  const std::string head = "lm_head.weight";
  if (!tensors.has(head)) return;
  Tensor<T> x(embedding.shape());
  tensors.read<T>(head, x);
  const bool equal = std::equal(x.data(), x.data() + x.size(), embedding.data());
  require(equal, tensors.name(), ": tensor \"", head, "\" differs from \"", called,
          "\", but \"tie_word_embeddings\" is true: one of the two is wrong; if the head is meant, set it to false");
}

/// Reads tensors that have our names into `to`. An equal copy of a tied head and the buffers of rotary positions, which say
/// nothing new, may be there too.
template <class T>
void read_model_tensors(ModelTensors& tensors, const Config& c, const Parameters<T>& to) {
  for (const ParameterLayout::Entry& entry : to.layout().entries()) tensors.read(entry.name, to[entry.name]);
  if (c.tie_word_embeddings) require_tied_head(tensors, "model.embed_tokens.weight", to["model.embed_tokens.weight"]);
  tensors.finish(c.num_hidden_layers, [](const std::string& key) { return key.ends_with("rotary_emb.inv_freq"); });
}

}  // namespace skipv1
