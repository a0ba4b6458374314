#include "skipv1/conformance/actual_files.hpp"

#include <limits>
#include <map>
#include <memory>

#include "skipv1/conformance/json_file.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/io/model_tensors.hpp"
#include "skipv1/io/npy.hpp"

namespace skipv1::conformance {

namespace fs = std::filesystem;

namespace {

/// `text` with NaN, Infinity and -Infinity, which Python's json writes and JSON has not, as strings.
std::string quote_not_finite(const std::string& text) {
  std::string quoted;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') in_string = !in_string;
    const std::string_view rest = std::string_view(text).substr(i);
    std::string_view word;
    for (const std::string_view known : {"NaN", "Infinity", "-Infinity"})
      if (!in_string && rest.starts_with(known)) word = known;
    if (word.empty()) {
      quoted += text[i];
      if (in_string && text[i] == '\\' && i + 1 < text.size()) quoted += text[++i];
    } else {
      quoted += '"' + std::string(word) + '"';
      i += word.size() - 1;
    }
  }
  return quoted;
}

class Lister {
 public:
  Lister(const Case& c, const fs::path& folder) : case_(c), folder_(folder) {
    for (const std::string& name : trace_names(c.config)) known_.insert(name);
    known_.insert("logits");
    for (std::size_t n = 0; n < c.decoding.size(); ++n) known_.insert(step_tensor(n, "logits"));
  }

  ActualFiles list() {
    require(!same(folder_, case_.folder), folder_.string(),
            ": is the case itself, which would be held against itself: must be a folder of what another implementation computed");
    std::set<fs::path> entries;  // in one order everywhere
    for (const auto& entry : fs::directory_iterator(folder_)) entries.insert(entry.path());
    std::string unknown;
    for (const fs::path& path : entries)
      if (!take(path))
        unknown += (unknown.empty() ? "" : ", ") + path.filename().string() + (fs::is_directory(path) ? " (a folder)" : "");
    require(unknown.empty(), folder_.string(), ": belongs to nothing that is compared: ", unknown,
            "; expected logits.npy, grads.safetensors, expected.json, decoding.json, step0.logits.npy, actual.safetensors or "
            "trace files such as ",
            known_layer_name(), ".npy");
    return std::move(found_);
  }

 private:
  static const char* known_layer_name() { return "layer0.values"; }

  /// Takes one entry of the folder; false if it belongs to nothing.
  bool take(const fs::path& path) {
    const std::string name = path.filename().string();
    if (name.starts_with('.') || name == "negative" || name == "manifest.json" || name == "config.json" ||
        name == "model.safetensors")
      return true;
    if (fs::is_directory(path)) return false;
    if (name == "tokens.npy") return require_equal(path, case_.tokens, "--tokens"), true;
    if (name == "targets.npy") return require_equal(path, case_.targets, "--targets"), true;
    require_not_own(path);
    if (name == "expected.json") return take_expected(path), true;
    if (name == "decoding.json" && !case_.decoding.empty()) return take_decoding(path), true;
    if (path.extension() == ".safetensors") return take_safetensors(path), true;
    require(path.extension() != ".npz", path.string(),
            ": archives are not read: np.save each array to a file of its name, or write one actual.safetensors");
    if (path.extension() != ".npy" || known_.count(path.stem().string()) == 0) return false;
    add(found_.tensors, path.stem().string(), {path.string(), dtype_of_npy(path), [path] { return read_npy<double>(path); }});
    return true;
  }

  static bool same(const fs::path& a, const fs::path& b) {
    std::error_code error;
    return fs::equivalent(a, b, error) && !error;
  }
  /// Equal bits are what an exact implementation gives; the same file, by a link, says nothing of any.
  void require_not_own(const fs::path& path) const {
    std::error_code error;
    for (fs::directory_iterator own(case_.folder, error), end; !error && own != end; own.increment(error))
      require(!same(path, own->path()), path.string(), ": is the case's own ", own->path().filename().string(),
              ", which would be held against itself: must be what another implementation computed");
  }

  void require_equal(const fs::path& path, View<const std::int32_t> expected, const char* option) const {
    const Tensor<std::int32_t> x = read_npy<std::int32_t>(path);
    require(x.shape() == expected.shape() && std::equal(x.data(), x.data() + x.size(), expected.data()), path.string(),
            ": is not the case's own: the results beside it are of something else (skipv1-run: ", option, ' ',
            (case_.folder / path.filename()).string(), ")");
  }

  static std::string dtype_of_npy(const fs::path& path) {
    Source source(path);
    const char width = read_npy_header(source, "expected '<f2', '<f4' or '<f8'").descr[2];
    return width == '8' ? "f64" : width == '4' ? "f32" : "bf16";
  }

  void take_safetensors(const fs::path& path) {
    const auto file = std::make_shared<SafetensorsFile>(path);
    for (const auto& [key, entry] : file->entries()) {
      const std::string name = skipv1::detail::without_wrappers(key), place = path.string() + ": tensor \"" + key + '"';
      const bool tensor = known_.count(name) != 0 || name == "loss";
      const bool gradient = name.starts_with("model.") || name.starts_with("lm_head.");
      require(tensor || gradient, place,
              " belongs to nothing that is compared: expected logits, loss, a name of the trace such as ", known_layer_name(),
              ", or a parameter's name for its gradient");
      const std::string dtype = entry.dtype.width == 8 ? "f64" : entry.dtype.width == 4 ? "f32" : "bf16";
      add(tensor ? found_.tensors : found_.gradients, name,
          {place, dtype, [file, key = key] { return file->read<double>(key, Values::any); }});
    }
  }

  static void add(std::map<std::string, StoredTensor>& to, const std::string& name, const StoredTensor& x) {
    const auto [place, added] = to.emplace(name, x);
    require(added, x.file, ": ", name, " is there twice: in ", place->second.file, ", too");
  }

  void take_expected(const fs::path& path) {
    Source file(path);
    const std::string text = quote_not_finite(file.text(0, file.size()));
    at_place(file.name(), [&] {
      const Json json = parse_json(text);
      JsonFields fields(json);
      if (const Json* loss = fields.find("loss", Presence::optional)) {
        const bool word = *loss == "NaN" || *loss == "Infinity" || *loss == "-Infinity";
        fields.expect(word || loss->is_number(), "loss", "a number", *loss);
        using Limits = std::numeric_limits<double>;
        found_.loss = !word            ? loss->get<double>()
                      : *loss == "NaN" ? Limits::quiet_NaN()
                                       : (*loss == "Infinity" ? 1 : -1) * Limits::infinity();
      }
      read_count(fields, "kv_elements_per_token", found_.elements);
      read_count(fields, "parameters", found_.parameters);
      fields.finish();
    });
  }

  /// The bytes; steps, where they are there, must be the case's.
  void take_decoding(const fs::path& path) {
    read_json_file(path, [&](const Json& json) {
      JsonFields fields(json);
      found_.cache_bytes = read_cache_bytes(*fields.find("cache_bytes"), case_.decoding.size());
      const Json* steps = fields.find("steps", Presence::optional);
      fields.finish();
      for (std::size_t n = 0; steps && n < std::max(steps->size(), case_.decoding.size()); ++n) {
        require(steps->is_array() && steps->size() == case_.decoding.size() && (*steps)[n].is_object() &&
                    (*steps)[n].value("tokens", Json()) == Json(case_.decoding[n].tokens) &&
                    (*steps)[n].value("keep", Json()) == Json(case_.decoding[n].keep),
                "\"steps\": are not the case's own: the results beside them are of something else");
      }
    });
  }

  static void read_count(JsonFields& fields, const char* key, std::optional<std::size_t>& value) {
    std::size_t count = 0;
    if (!fields.find(key, Presence::optional)) return;
    fields.read(key, count, Presence::required, "an integer, not negative");
    value = count;
  }

  const Case& case_;
  fs::path folder_;
  std::set<std::string> known_;
  ActualFiles found_;
};

}  // namespace

ActualFiles list_actual(const Case& c, const fs::path& folder) { return Lister(c, folder).list(); }

}  // namespace skipv1::conformance
