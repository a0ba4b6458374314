#include "skipv1/conformance/actual.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <optional>
#include <sstream>

#include "skipv1/conformance/actual_files.hpp"
#include "skipv1/conformance/gradients.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/conformance/mistakes.hpp"

namespace skipv1::conformance {

namespace {

/// Compares the files of one folder with one case.
class Actual {
 public:
  Actual(const Case& c, ActualFiles files, const std::string& dtype) : case_(c), files_(std::move(files)), dtype_(dtype) {}

  std::vector<Comparison> compare_all() {
    compare_trace();
    compare_tensor("logits", "logits", case_.logits);
    compare_loss();
    compare_decoding();
    compare_gradients();
    if (files_.elements) all_.push_back(compare_counts("cache", "kv_elements_per_token", *files_.elements, case_.elements));
    if (files_.parameters) all_.push_back(compare_counts("cache", "parameters", *files_.parameters, case_.parameters));
    for (const auto& [dtype, bytes] : files_.cache_bytes) {
      const std::vector<std::size_t> expected = cache_bytes(case_, dtype);
      for (std::size_t n = 0; n < bytes.size(); ++n)
        all_.push_back(compare_counts("cache", step_tensor(n, "cache_bytes." + dtype), bytes[n], expected[n]));
    }
    return std::move(all_);
  }

 private:
  /// The scalar whose bounds hold for a tensor; the loss, a number of no type, has those of the coarsest so far.
  std::string dtype_of(const StoredTensor& x) {
    if (coarsest_ != "bf16" && x.dtype != "f64") coarsest_ = x.dtype;
    return dtype_.empty() ? x.dtype : dtype_;
  }

  void compare_tensor(const std::string& kind, const std::string& name, View<const double> expected) {
    const auto found = files_.tensors.find(name);
    if (found == files_.tensors.end()) return;
    const double bound = case_.bounds.find(dtype_of(found->second), kind, name);
    all_.push_back(compare(kind, name, found->second.read(), expected, bound));
  }

  void compare_trace() {
    std::size_t wanted = files_.tensors.size() - files_.tensors.count("logits") - files_.tensors.count("loss");
    for (const auto& item : files_.tensors) wanted -= item.first.starts_with("step");
    if (wanted == 0) return;  // the pass is run only where there is something to compare
    for (const auto& [name, tensor] : trace(case_)) compare_tensor("trace", name, tensor);
  }

  void compare_decoding() {
    for (std::size_t n = 0; n < case_.decoding.size(); ++n) {
      const auto found = files_.tensors.find(step_tensor(n, "logits"));
      if (found == files_.tensors.end()) continue;
      all_.push_back(compare_step(case_, n, found->second.read(), dtype_of(found->second)));
    }
  }

  void compare_loss() {
    const auto found = files_.tensors.find("loss");
    if (found != files_.tensors.end()) {
      const std::string dtype = dtype_of(found->second);
      const Tensor<double> x = found->second.read();
      require(x.size() == 1, found->second.file, ": shape ", x.shape(), ": the loss is one number");
      require(!files_.loss, found->second.file, ": the loss is there twice: in expected.json, too");
      return add_loss(x.data()[0], dtype);
    }
    if (files_.loss) add_loss(*files_.loss, dtype_.empty() ? coarsest_ : dtype_);
  }
  void add_loss(double loss, const std::string& dtype) {
    all_.push_back(compare("loss", "loss", {&loss, {}}, {&case_.loss, {}}, case_.bounds.find(dtype, "loss", "loss")));
  }

  /// All gradients, once any is there.
  void compare_gradients() {
    if (files_.gradients.empty()) return;
    const double least = least_gradient_divisor(case_);
    const auto fail = [&](const std::string& name, double bound, const char* why) {
      Comparison x{"gradients", name, INFINITY, bound};
      x.note = why;
      all_.push_back(x);
    };
    for (const std::string& name : backward_order(case_.gradients.layout())) {
      const auto found = files_.gradients.find(name);
      if (found == files_.gradients.end()) {
        fail(name, case_.bounds.find(dtype_.empty() ? coarsest_ : dtype_, "gradients", name), is_missing);
        continue;
      }
      const double bound = case_.bounds.find(dtype_of(found->second), "gradients", name);
      all_.push_back(compare("gradients", name, found->second.read(), case_.gradients[name], bound, least));
    }
    for (const auto& item : files_.gradients)
      if (!case_.gradients.layout().find(item.first)) fail(item.first, 0, "is no tensor of this configuration");
  }

  const Case& case_;
  ActualFiles files_;
  std::string dtype_, coarsest_ = "f64";
  std::vector<Comparison> all_;
};

}  // namespace

std::vector<Comparison> compare_actual(const Case& c, const std::filesystem::path& folder, const std::string& dtype) {
  std::vector<Comparison> all = Actual(c, list_actual(c, folder), dtype).compare_all();
  require(!all.empty(), folder.string(),
          ": nothing to compare: expected any of logits.npy, grads.safetensors, expected.json, layer0.values.npy (a trace), or "
          "actual.safetensors with any of their tensors");
  return all;
}

std::string dtype_of_logits(const Case& c, const std::filesystem::path& folder, const std::string& dtype) {
  const ActualFiles files = list_actual(c, folder);
  const auto found = files.tensors.find("logits");
  if (found == files.tensors.end()) return "";
  return dtype.empty() ? found->second.dtype : dtype;
}

namespace {
/// The logits of the decoding's steps that the files have, by the steps' numbers.
std::map<std::size_t, Tensor<double>> decoding_of(const Case& c, const std::filesystem::path& folder) {
  std::map<std::size_t, Tensor<double>> logits;
  const ActualFiles files = list_actual(c, folder);
  for (std::size_t n = 0; n < c.decoding.size(); ++n)
    if (const auto found = files.tensors.find(step_tensor(n, "logits")); found != files.tensors.end())
      logits.emplace(n, found->second.read());
  return logits;
}

/// By what all gradients are multiplied, each within its bound; none where they are not, or by so little that it may be rounding.
std::optional<double> factor_of_gradients(const Case& c, const ActualFiles& files, const std::vector<Comparison>& comparisons) {
  double product = 0, square = 0;
  std::map<std::string, Tensor<double>> gradients;
  for (const Comparison& x : comparisons) {
    if (x.check != "gradients") continue;
    const auto found = files.gradients.find(x.tensor);
    if (found == files.gradients.end() || !std::isfinite(x.error)) return {};
    const Tensor<double>& given = gradients.emplace(x.tensor, found->second.read()).first->second;
    const View<const double> right = c.gradients[x.tensor];
    for (std::size_t i = 0; i < right.size(); ++i)
      product += given.data()[i] * right.data()[i], square += right.data()[i] * right.data()[i];
  }
  const double factor = product / square, least = least_gradient_divisor(c);
  if (!std::isfinite(factor) || !std::isfinite(1 / factor) || std::abs(factor - 1) < 1e-3) return {};
  for (const Comparison& x : comparisons) {
    if (x.check != "gradients") continue;
    const Tensor<double>& given = gradients.at(x.tensor);
    for (std::size_t i = 0; i < given.size(); ++i) given.data()[i] /= factor;
    if (!compare("gradients", x.tensor, given, c.gradients[x.tensor], x.bound, least).pass) return {};
  }
  return factor;
}

std::string words_of_factor(double factor) {
  std::ostringstream out;
  out << "all gradients are " << std::setprecision(4) << factor
      << " times the expected ones: " << (factor < 0 ? "of minus the loss?" : "clipped? divided by another number of targets?");
  return out.str();
}
}  // namespace

void recognise_actual(const Case& c, const std::filesystem::path& folder, std::vector<Comparison>& comparisons) {
  bool logits_hold = true, decoding_named = false, bytes_named = false;
  const auto gradient =
      std::find_if(comparisons.begin(), comparisons.end(), [](const Comparison& x) { return x.check == "gradients" && !x.pass; });
  if (gradient != comparisons.end())
    if (const auto factor = factor_of_gradients(c, list_actual(c, folder), comparisons))
      gradient->mistakes = {words_of_factor(*factor)};
  for (Comparison& x : comparisons) {
    if (x.pass) continue;
    if (x.check == "logits") logits_hold = false;
    if (!std::isfinite(x.error)) continue;  // no mistake that is known gives such numbers, or such a shape
    if (x.check == "logits") {
      x.mistakes = recognise_mistakes(c, list_actual(c, folder).tensors.at("logits").read(), x.bound);
    }
    if (x.check == "loss" && logits_hold) x.mistakes = recognise_loss(c, x.actual, x.bound);
    if (x.check == "decoding" && logits_hold && !decoding_named) {  // named once, where it first shows
      decoding_named = true;
      x.mistakes = recognise_decoding(c, decoding_of(c, folder), x.bound);
    }
    const bool bytes = x.tensor.find(".cache_bytes.") != x.tensor.npos;  // it follows from the elements per token
    if (x.check != "cache" || (bytes_named && bytes)) continue;
    bytes_named = bytes_named || bytes;
    const double count = bytes && x.expected > 0 ? x.actual * static_cast<double>(c.elements) / x.expected : x.actual;
    x.mistakes = recognise_count(c, bytes ? "kv_elements_per_token" : x.tensor, static_cast<std::size_t>(std::lround(count)));
  }
}

}  // namespace skipv1::conformance
