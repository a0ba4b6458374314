#include "skipv1/conformance/compare.hpp"

#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>

namespace skipv1::conformance {

namespace {

/// Flat index `i` of a tensor of `shape`, by the field's letters: `first at [b=0, t=3, v=17]: `; nothing for a single number.
std::string place(const std::string& tensor, const Shape& shape, std::size_t i) {
  std::vector<std::string> letters = {"i", "j", "k", "l"};
  if (tensor == "logits") letters = {"b", "t", "v"};
  if (tensor.starts_with("step")) letters = {"n", "v"};
  if (tensor.starts_with("layer") || tensor == "embedding" || tensor == "final_norm")
    letters = shape.rank() == 4 ? std::vector<std::string>{"b", "t", "h", "d"} : std::vector<std::string>{"b", "t", "d"};
  if (shape.rank() == 0) return "";
  std::string text;
  for (std::size_t axis = shape.rank(); axis-- > 0; i /= shape[axis])
    text = (axis ? ", " : "[") + letters[axis] + "=" + std::to_string(i % shape[axis]) + text;
  return "first at " + text + "]: ";
}

/// Two numbers that differ, as `print` streams them at that many digits or at as many more as tell them apart.
template <class Print>
std::pair<std::string, std::string> apart(double a, double b, int digits, const Print& print) {
  for (;; ++digits) {
    const auto text = [&](double x) {
      std::ostringstream out;
      print(out, digits);
      out << x;
      return out.str();
    };
    const std::pair<std::string, std::string> texts(text(a), text(b));
    if (texts.first != texts.second || a == b || digits >= 17) return texts;
  }
}

}  // namespace

Comparison compare(const std::string& check, const std::string& tensor, View<const double> actual, View<const double> expected,
                   double bound, double least) {
  Comparison result{check, tensor, std::numeric_limits<double>::infinity(), bound};
  std::ostringstream note;
  if (!(actual.shape() == expected.shape())) {
    note << "shape " << actual.shape() << ", expected " << expected.shape();
    result.note = note.str();
    return result;
  }
  double divisor = std::max(1e-12, least), most = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) divisor = std::max(divisor, std::abs(expected.data()[i]));
  std::size_t first = expected.size(), worst = 0, not_finite = 0, first_not_finite = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(actual.data()[i] - expected.data()[i]);
    if (!std::isfinite(actual.data()[i]) && not_finite++ == 0) first_not_finite = i;
    if (!std::isfinite(difference)) most = difference;
    if (std::isfinite(most) && difference > most) most = difference, worst = i;
    if (!std::isfinite(difference) || !(difference / divisor <= bound)) first = std::min(first, i);
  }
  result.error = most / divisor;
  result.pass = first == expected.size();
  if (expected.size() == 0) return result;
  const std::size_t at = result.pass ? worst : first;
  result.expected = expected.data()[at], result.actual = actual.data()[at];
  std::size_t rest = at;
  for (std::size_t axis = expected.shape().rank(); axis-- > 0; rest /= expected.shape()[axis])
    result.index.insert(result.index.begin(), rest % expected.shape()[axis]);
  if (result.pass) return result;
  const std::size_t shown = not_finite ? first_not_finite : first;
  if (not_finite && expected.shape().rank() > 0) note << not_finite << " of " << expected.size() << " are not finite, ";
  const auto [right, wrong] = apart(expected.data()[shown], actual.data()[shown], 9,
                                    [](std::ostream& out, int digits) { out << std::setprecision(digits); });
  note << place(tensor, expected.shape(), shown) << "expected " << right << ", actual " << wrong;
  result.note = note.str();
  return result;
}

Comparison compare_counts(const std::string& check, const std::string& name, std::size_t actual, std::size_t expected) {
  const double a = static_cast<double>(actual), b = static_cast<double>(expected);
  Comparison result{check, name, std::abs(a - b) / std::max(1.0, b), 0, actual == expected};
  result.expected = b, result.actual = a;
  if (!result.pass) result.note = "expected " + std::to_string(expected) + ", actual " + std::to_string(actual);
  return result;
}

std::string first_difference(const std::vector<Comparison>& comparisons) {
  const auto first = std::find_if(comparisons.begin(), comparisons.end(), [](const Comparison& x) { return !x.pass; });
  if (first == comparisons.end()) return "";
  const std::string where = first->tensor + ", " + first->note;
  const bool decoding = first->check == "decoding";
  if (first->check != "gradients" && !decoding) return where;
  const auto forward = [&](const Comparison& x) {
    return x.check != "gradients" && x.check != "cache" && (!decoding || x.check != "decoding");
  };
  const bool compared = std::any_of(comparisons.begin(), comparisons.end(), forward);
  const std::string before = compared   ? decoding ? "the whole pass holds" : "the forward pass holds"
                             : decoding ? "nothing of the whole pass was compared"
                                        : "nothing of the forward pass was compared";
  if (!decoding && !first->mistakes.empty()) return before + "; " + first->mistakes[0];  // it is of all gradients
  return before + (decoding ? "; decoding first differs at " : "; gradients first differ at ") + where;
}

std::string list_compared(const std::vector<Comparison>& comparisons) {
  std::vector<std::pair<std::string, std::size_t>> groups;
  std::string missing;
  std::size_t absent = 0;
  for (const Comparison& x : comparisons) {
    const std::string group = x.check == "trace"       ? "trace tensors"
                              : x.check == "gradients" ? "gradients"
                              : x.check == "decoding"  ? "decoding steps"
                              : x.check == "cache"     ? "counts"
                                                       : x.tensor;
    if (groups.empty() || groups.back().first != group) groups.emplace_back(group, 0);
    ++groups.back().second;
    if (x.note != is_missing) continue;
    ++absent;
    if (missing.empty()) missing = x.tensor;
  }
  std::string text;
  for (const auto& [group, count] : groups) {
    const bool one = group == "logits" || group == "loss", some = group == "gradients" && absent > 0;
    text += text.empty() ? "" : ", ";
    if (some) text += std::to_string(count - absent) + " of ";
    text += one ? group : std::to_string(count) + ' ' + group;
    if (some) text += " (missing: " + missing + (absent > 1 ? " and " + std::to_string(absent - 1) + " more" : "") + ")";
  }
  return text;
}

void print(std::ostream& out, const std::vector<Comparison>& comparisons) {
  const auto line = [&](const Comparison& c) {
    const auto [error, bound] =
        apart(c.error, c.bound, 1, [](std::ostream& text, int digits) { text << std::scientific << std::setprecision(digits); });
    out << "  " << std::left << std::setw(11) << c.check << std::setw(52) << c.tensor << std::right << "error " << std::setw(7)
        << error << "  bound " << std::setw(7) << bound << (c.pass ? "  ok" : "  DIFFERS  " + c.note) << '\n';
  };
  for (std::size_t i = 0, end = 0; i < comparisons.size(); i = end) {
    const Comparison* worst = &comparisons[i];
    const bool many = worst->check == "gradients" || worst->check == "trace" || worst->check == "decoding";
    bool pass = true;
    for (end = i; end < comparisons.size() && (end == i || (many && comparisons[end].check == comparisons[i].check)); ++end) {
      if (comparisons[end].error > worst->error) worst = &comparisons[end];
      if (!comparisons[end].pass) line(comparisons[end]), pass = false;
    }
    if (pass) line(*worst);
  }
}

}  // namespace skipv1::conformance
