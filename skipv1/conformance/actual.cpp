#include "skipv1/conformance/actual.hpp"

#include <cmath>

#include "skipv1/io/npy.hpp"
#include "skipv1/io/safetensors.hpp"
#include "skipv1/conformance/json_file.hpp"
#include "skipv1/conformance/measure.hpp"

namespace skipv1::conformance {

namespace fs = std::filesystem;

double least_gradient_divisor(const Case& c) {
  const View<double> g = c.gradients.flat();
  double largest = 0;
  for (std::size_t i = 0; i < g.size(); ++i) largest = std::max(largest, std::abs(g.data()[i]));
  return 0.01 * largest;
}

namespace {

/// Compares the files of one folder with one case.
class Actual {
 public:
  Actual(const Case& c, const fs::path& folder, const std::string& dtype) : case_(c), folder_(folder), dtype_(dtype) {}

  std::vector<Comparison> compare_all() {
    std::optional<double> loss;
    std::optional<std::size_t> elements, parameters;
    if (has("expected.json"))
      read_json_file(folder_ / "expected.json", [&](const Json& json) {
        JsonFields fields(json);
        read(fields, "loss", loss), read(fields, "kv_elements_per_token", elements), read(fields, "parameters", parameters);
      });
    compare_trace();
    if (has("logits.npy")) compare_array("logits", "logits", case_.logits);
    if (loss)
      all_.push_back(
          compare("loss", "loss", {&*loss, {}}, {&case_.loss, {}}, case_.bounds.find(dtype_of_file(floats_), "loss", "loss")));
    if (has("grads.safetensors")) compare_gradients();
    if (elements) all_.push_back(compare_counts("cache", "kv_elements_per_token", *elements, case_.elements));
    if (parameters) all_.push_back(compare_counts("cache", "parameters", *parameters, case_.parameters));
    require(!all_.empty(), folder_.string(),
            ": nothing to compare: expected any of logits.npy, grads.safetensors, expected.json, layer0.values.npy (a trace)");
    return std::move(all_);
  }

 private:
  bool has(const std::string& file) const { return fs::exists(folder_ / file); }
  template <class T>
  static void read(JsonFields& fields, const char* key, std::optional<T>& value) {
    T found{};
    if (!fields.find(key, false)) return;
    fields.read(key, found);
    value = found;
  }
  /// The scalar whose bounds hold for a file of `floats` or of doubles.
  std::string dtype_of_file(bool floats) {
    floats_ = floats_ || floats;
    return !dtype_.empty() ? dtype_ : floats ? "f32" : "f64";
  }

  void compare_trace() {
    const char* const parts[] = {"keys", "values", "attention", "output"};
    bool any = false;
    for (std::size_t l = 0; l < case_.config.num_hidden_layers; ++l)
      for (const char* part : parts) any = any || has("layer" + std::to_string(l) + "." + part + ".npy");
    if (!any) return;
    for (const auto& [name, tensor] : trace(case_))
      if (has(name + ".npy")) compare_array("trace", name, tensor);
  }

  void compare_array(const std::string& kind, const std::string& name, View<const double> expected) {
    Source source(folder_ / (name + ".npy"));
    const std::string dtype = dtype_of_file(read_npy_header(source).descr == "<f4");
    all_.push_back(compare(kind, name, read_npy<double>(source), expected, case_.bounds.find(dtype, kind, name)));
  }

  void compare_gradients() {
    SafetensorsFile file(folder_ / "grads.safetensors");
    const double least = least_gradient_divisor(case_);
    for (const ParameterLayout::Entry& entry : case_.gradients.layout().entries()) {
      const SafetensorsFile::Entry* found = file.find(entry.name);
      const std::string dtype = dtype_of_file(found && !(found->dtype == dtype_of<double>()));
      const double bound = case_.bounds.find(dtype, "gradients", entry.name);
      if (!found)
        all_.push_back({"gradients", entry.name, INFINITY, bound, false, "is missing"});
      else
        all_.push_back(compare("gradients", entry.name, file.read<double>(entry.name, Values::any), case_.gradients[entry.name],
                               bound, least));
    }
    for (const auto& item : file.entries())
      if (!case_.gradients.layout().find(item.first))
        all_.push_back({"gradients", item.first, INFINITY, 0, false, "is no tensor of this configuration"});
  }

  const Case& case_;
  fs::path folder_;
  std::string dtype_;
  bool floats_ = false;  // whether any file so far holds float32
  std::vector<Comparison> all_;
};

}  // namespace

std::vector<Comparison> compare_actual(const Case& c, const fs::path& folder, const std::string& dtype) {
  return Actual(c, folder, dtype).compare_all();
}

}  // namespace skipv1::conformance
