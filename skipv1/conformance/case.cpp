#include "skipv1/conformance/case.hpp"

#include <set>

#include "skipv1/io/checkpoint.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/conformance/decoding.hpp"
#include "skipv1/conformance/draw.hpp"
#include "skipv1/conformance/json_file.hpp"
#include "skipv1/conformance/measure.hpp"

namespace skipv1::conformance {

namespace fs = std::filesystem;

double Bounds::find(const std::string& dtype, const std::string& kind, const std::string& tensor) const {
  const auto given = given_.find(dtype);
  for (const std::string& name : {tensor, kind}) {
    if (given == given_.end()) break;
    const auto found = given->second.find(name);
    if (found != given->second.end()) return found->second;
  }
  return dtype == "f64" ? 1e-10 : dtype == "f32" ? 2e-4 : 5e-2;
}

namespace {

void read_expected(const Json& json, Case& c) {
  JsonFields fields(json);
  fields.read("loss", c.loss);
  fields.read("kv_elements_per_token", c.elements);
  fields.read("parameters", c.parameters);
  fields.finish();
}

/// What of a manifest the checker needs.
struct Manifest {
  Bounds bounds;
  std::uint64_t seed = 0;
  std::string drawn;  ///< scalar of a model that is drawn rather than stored; else empty
};

void read_drawn(const Json& json, Manifest& result) {
  JsonFields manifest(json);
  const Json* drawn = manifest.find("drawn", Presence::optional);
  if (!drawn) return;
  manifest.read("drawn", result.drawn);
  const bool known = result.drawn == "F32" || result.drawn == "BF16";  // in F64 the last bit is the C library's
  manifest.expect(known, "drawn", "F32 or BF16", *drawn);
  manifest.read("seed", result.seed);
}

/// The bounds that a manifest gives: `"bounds": {"f32": {"logits": 1e-5, …}, …}`.
void read_bounds(const Json& json, Bounds& bounds) {
  JsonFields manifest(json);
  const Json* given = manifest.find("bounds", Presence::optional);
  if (!given) return;
  JsonFields dtypes(*given, "bounds.");
  for (const char* dtype : {"f64", "f32", "bf16"}) {
    const Json* tensors = dtypes.find(dtype, Presence::optional);
    if (!tensors) continue;
    JsonFields of_dtype(*tensors, "bounds." + std::string(dtype) + ".");
    for (const auto& item : tensors->items()) {
      double bound = 0;
      of_dtype.read(item.key().c_str(), bound);
      of_dtype.expect(bound > 0, item.key().c_str(), "a positive number", item.value());
      bounds.set(dtype, item.key(), bound);
    }
  }
  dtypes.finish();
}

/// Throws if a bound is for what the case does not have.
void check_bounds(const fs::path& path, const Case& c) {
  std::set<std::string> known = {"logits", "loss", "trace", "gradients", "decoding"};
  for (const std::string& name : trace_names(c.config)) known.insert(name);
  for (const auto& entry : c.weights.layout().entries()) known.insert(entry.name);
  for (const auto& [dtype, bounds] : c.bounds.given())
    for (const auto& [name, bound] : bounds)
      require(known.contains(name), path.string(), ": \"bounds.", dtype, ".", detail::brief(name),
              "\": no tensor of this case, nor logits, loss, trace, gradients or decoding");
}

void check_range(const fs::path& path, View<const std::int32_t> x, std::int32_t least, std::size_t vocab) {
  for (std::size_t i = 0; i < x.size(); ++i)
    require(x.data()[i] >= least && x.data()[i] < static_cast<std::int64_t>(vocab), path.string(), ": ", x.data()[i],
            " at [b=", i / x.width(), ", t=", i % x.width(), "]: must be ", least, " to ", vocab - 1);
}

void read_arrays(const fs::path& folder, Case& c) {
  const fs::path tokens = folder / "tokens.npy", targets = folder / "targets.npy", logits = folder / "logits.npy";
  c.tokens = read_npy<std::int32_t>(tokens);
  require(c.tokens.shape().rank() == 2 && c.tokens.size() > 0, tokens.string(), ": shape ", c.tokens.shape(), ": must be (B, T)");
  require(c.length() <= c.config.max_position_embeddings, tokens.string(), ": sequences of ", c.length(),
          ": max_position_embeddings is ", c.config.max_position_embeddings);
  check_range(tokens, c.tokens, 0, c.config.vocab_size);
  c.targets = read_npy<std::int32_t>(targets);
  require(c.targets.shape() == c.tokens.shape(), targets.string(), ": shape ", c.targets.shape(),
          ", expected that of tokens.npy, ", c.tokens.shape());
  check_range(targets, c.targets, ignored_target, c.config.vocab_size);
  const std::int32_t* begin = c.targets.data();
  require(std::any_of(begin, begin + c.targets.size(), [](std::int32_t x) { return x != ignored_target; }), targets.string(),
          ": all targets are ignored: the loss is undefined");
  c.logits = read_npy<double>(logits);
  const Shape expected{c.batch(), c.length(), c.config.vocab_size};
  require(c.logits.shape() == expected, logits.string(), ": shape ", c.logits.shape(), ", expected ", expected);
  for (std::size_t i = 0; i < c.logits.size(); ++i)
    require(std::isfinite(c.logits.data()[i]), logits.string(), ": element ", i, " is ", c.logits.data()[i], ": must be finite");
}

/// The model and gradients of a folder that has them.
Case read_stored(const fs::path& folder) {
  const Checkpoint<double> model = read_checkpoint<double>(folder);
  Case c(model.config);
  copy(c.weights.flat(), model.parameters.flat());
  const SafetensorsFile file(folder / "model.safetensors");
  for (const auto& item : file.entries()) c.stored += item.second.shape.size();
  read_parameters(folder / "grads.safetensors", c.gradients);
  return c;
}

/// Draws the model of a folder that has none, and computes its gradients.
void draw(Case& c, const Manifest& manifest) {
  draw_weights(c.weights, c.config, manifest.seed);
  round_to(c.weights.flat(), manifest.drawn);
  c.stored = c.weights.layout().count();
  copy(c.gradients.flat(), gradients_f64(c).flat());
}

}  // namespace

Case read_case(const fs::path& folder) {
  std::error_code error;
  const fs::file_status found = fs::status(folder, error);
  require(fs::status_known(found), folder.string(), ": cannot be read: ", error.message());
  require(fs::is_directory(found), folder.string(), ": not a folder");
  require_open_folder(folder);
  Manifest manifest;
  const fs::path path = folder / "manifest.json";
  if (fs::exists(path, error)) {
    read_json_file(path, [&](const Json& json) {
      read_bounds(json, manifest.bounds);
      read_drawn(json, manifest);
    });
  } else {  // the suite, a model, perhaps, or what skipv1-run writes without --grads
    std::size_t cases = 0;
    for (const auto& entry : fs::directory_iterator(folder))
      cases += fs::exists(entry.path() / "config.json", error) && fs::exists(entry.path() / "logits.npy", error);
    require(cases == 0 || fs::exists(folder / "config.json", error), folder.string(), ": not a case, but a folder of ", cases,
            ": name each, as ", (folder / "").string(), "* does");
    for (const char* name : {"config.json", "model.safetensors", "grads.safetensors", "logits.npy"})
      require(fs::exists(folder / name, error), folder.string(), ": not a case: it has no ", name,
              "; skipv1-run MODEL --tokens FILE --out FOLDER --grads makes one of a model");
  }
  Case c = manifest.drawn.empty() ? read_stored(folder) : Case(read_config(folder / "config.json"));
  c.name = fs::weakly_canonical(folder).filename().string();
  c.folder = folder;
  c.bounds = manifest.bounds;
  check_bounds(path, c);
  read_arrays(folder, c);
  read_json_file(folder / "expected.json", [&](const Json& json) { read_expected(json, c); });
  read_decoding(folder, c);
  if (!manifest.drawn.empty()) draw(c, manifest);
  return c;
}

}  // namespace skipv1::conformance
