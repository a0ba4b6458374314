// What people get wrong in the loss.
#include <algorithm>
#include <cmath>

#include "skipv1/conformance/compare.hpp"
#include "skipv1/conformance/mistakes.hpp"
#include "skipv1/ops/cross_entropy.hpp"

namespace skipv1::conformance {

namespace {

struct Mean {
  double sum = 0, count = 0;
  double value() const { return count > 0 ? sum / count : 0; }
};

/// Losses of a case's logits (B, T, V).
class Losses {
 public:
  explicit Losses(const Case& c) : c_(c), log_sums_(c.batch() * c.length()) {
    for (std::size_t i = 0; i < log_sums_.size(); ++i) {
      const double *row = row_of(i), most = *std::max_element(row, row + vocab());
      double sum = 0;
      for (std::size_t v = 0; v < vocab(); ++v) sum += std::exp(row[v] - most);
      log_sums_[i] = std::log(sum) + most;
    }
  }

  /// Over the first T - `shift` positions of sequences `begin … end`, against `targets` that stand `shift` later. Ignored ones
  /// count as class `ignored`, if it is one; `smoothing`: the share that all classes have alike.
  Mean mean(View<const std::int32_t> targets, std::size_t shift, std::size_t begin, std::size_t end,
            std::int32_t ignored = ignored_target, double smoothing = 0) const {
    Mean mean;
    for (std::size_t b = begin; b < end; ++b)
      for (std::size_t t = 0; t + shift < c_.length(); ++t) {
        std::int32_t target = targets(b, t + shift);
        if (target == ignored_target) target = ignored;
        if (target == ignored_target) continue;
        const std::size_t i = b * c_.length() + t;
        mean.sum += log_sums_[i] - (1 - smoothing) * row_of(i)[target] - smoothing * mean_logit(i), mean.count += 1;
      }
    return mean;
  }
  Mean mean(View<const std::int32_t> targets, std::size_t shift = 0) const { return mean(targets, shift, 0, c_.batch()); }

 private:
  std::size_t vocab() const { return c_.config.vocab_size; }
  const double* row_of(std::size_t i) const { return c_.logits.data() + i * vocab(); }
  double mean_logit(std::size_t i) const {
    double sum = 0;
    for (std::size_t v = 0; v < vocab(); ++v) sum += row_of(i)[v];
    return sum / static_cast<double>(vocab());
  }

  const Case& c_;
  std::vector<double> log_sums_;  // (B T): the logarithm of each row's sum of exponentials
};

}  // namespace

std::vector<std::string> recognise_loss(const Case& c, double loss, double bound) {
  const Losses losses(c);
  const Mean right = losses.mean(c.targets);
  double sequences = 0;
  for (std::size_t b = 0; b < c.batch(); ++b)
    sequences += losses.mean(c.targets, 0, b, b + 1).value() / static_cast<double>(c.batch());
  const auto last = static_cast<std::int32_t>(c.config.vocab_size - 1);
  std::vector<std::pair<const char*, double>> known = {
      {"targets are shifted once more: they are next tokens already", losses.mean(c.targets, 1).value()},
      {"the tokens themselves are the targets: not shifted, and targets.npy is not read", losses.mean(c.tokens).value()},
      {"the next tokens are the targets: targets.npy is not read", losses.mean(c.tokens, 1).value()},
      {"the loss is divided by all targets, ignored ones included", right.sum / static_cast<double>(c.targets.size())},
      {"target -1 is taken as class 0 instead of being ignored", losses.mean(c.targets, 0, 0, c.batch(), 0).value()},
      {"target -1 is taken as the last class instead of being ignored", losses.mean(c.targets, 0, 0, c.batch(), last).value()},
      {"the loss is the sum over targets instead of the mean", right.sum},
      {"the loss is the mean of the sequences' means instead of the mean over all targets", sequences},
      {"the loss is in bits instead of nats", right.value() / std::log(2.0)}};
  for (const auto& [words, share] : {std::pair("the loss has a label smoothing of 0.1", 0.1),
                                     {"the loss has a label smoothing of 0.05", 0.05},
                                     {"the loss has a label smoothing of 0.2", 0.2}})
    known.emplace_back(words, losses.mean(c.targets, 0, 0, c.batch(), ignored_target, share).value());
  std::vector<std::string> found;
  for (const auto& [words, value] : known)
    if (compare("loss", "loss", {&loss, {}}, {&value, {}}, bound).pass && std::abs(value - c.loss) > bound * c.loss)
      found.push_back(words);
  return found;
}

}  // namespace skipv1::conformance
