// Associative recall of several pairs (Arora et al. 2023, "Zoology", MQAR): a task with exact answers, for trained models.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "skipv1/model/decoder.hpp"
#include "skipv1/training/text.hpp"

namespace skipv1 {

/// A sequence has `pairs` keys, each followed by its value, then the same keys in another order, each followed by its value
/// again. The values of the second half are what counts: they follow from the first half alone. Of the vocabulary's ids the first
/// half are keys, distinct within a sequence, the others values, drawn independently: a guess is right with probability 2 /
/// vocab.
struct RecallTask {
  std::size_t pairs = 8, vocab = 512;

  std::size_t length() const { return 4 * pairs; }  ///< tokens of a sequence

  /// Sequences `first … first + batch - 1` of those that `seed` names; targets that do not count are `ignored_target`. Throws if
  /// there are fewer keys than pairs.
  Windows sequences(std::uint64_t first, std::size_t batch, std::uint64_t seed) const {
    const std::size_t keys = vocab / 2;
    require(pairs >= 1 && pairs <= keys && vocab % 2 == 0, "recall of ", pairs, " pairs with ", vocab,
            " ids: must be 1 to as many as there are keys, half of an even number of ids");
    Windows w;
    w.tokens.resize(batch * length()), w.targets.assign(batch * length(), ignored_target);
    for (std::size_t b = 0; b < batch; ++b) {
      Random random = Random(seed).split(first + b);
      const Permutation key(keys, random.split(0)), order(pairs, random.split(1));
      std::int32_t *tokens = w.tokens.data() + b * length(), *targets = w.targets.data() + b * length();
      for (std::size_t i = 0; i < pairs; ++i) {
        tokens[2 * i] = static_cast<std::int32_t>(key(i));
        tokens[2 * i + 1] = static_cast<std::int32_t>(keys + random.below(keys));
      }
      for (std::size_t i = 0; i < pairs; ++i) {
        const std::size_t at = 2 * (pairs + i);
        tokens[at] = tokens[2 * order(i)];
        targets[at] = tokens[at + 1] = tokens[2 * order(i) + 1];
      }
    }
    return w;
  }
};

/// Of the answers asked for.
struct RecallScore {
  double nats_per_answer = 0;
  double accuracy = 0;  ///< share whose right id has the largest logit, the first of equal ones
  std::size_t answers = 0;
};

/// Scores `sequences` sequences of the task, `batch` at a time, that no training with another `seed` sees.
template <class T, class Space>
RecallScore evaluate_recall(const Decoder<T, Space>& decoder, const RecallTask& task, std::size_t sequences, std::size_t batch,
                            std::uint64_t seed = std::numeric_limits<std::uint64_t>::max()) {
  require(sequences >= 1 && batch >= 1, "recall is scored over ", sequences, " sequences, ", batch,
          " at a time: must be at least 1");
  RecallScore score;
  std::size_t right = 0;
  std::optional<Cache<T, Space>> cache;
  Activations<T, Space> activations;
  for (std::size_t i = 0; i * batch < sequences; ++i) {
    const std::size_t rows = std::min(batch, sequences - i * batch), answers = rows * task.pairs;
    const Windows w = task.sequences(i * batch, rows, seed);
    if (!cache || cache->batch() != rows) cache.emplace(decoder.routing(), rows, task.length());
    cache->reset();
    const View<T, Space> logits = decoder.forward({w.tokens, std::vector<std::size_t>(rows, task.length())}, *cache, activations);
    const Tensor<T> here(logits.shape());
    copy(View<T>(here), ConstView<T, Space>(logits));
    score.nats_per_answer += decoder.loss(w.targets, activations) * static_cast<double>(answers), score.answers += answers;
    for (std::size_t n = 0; n < w.targets.size(); ++n) {
      if (w.targets[n] == ignored_target) continue;
      std::size_t most = 0;
      for (std::size_t v = 1; v < task.vocab; ++v)
        if (static_cast<float>(here(n, v)) > static_cast<float>(here(n, most))) most = v;
      right += most == static_cast<std::size_t>(w.targets[n]);
    }
  }
  score.nats_per_answer /= static_cast<double>(score.answers);
  score.accuracy = static_cast<double>(right) / static_cast<double>(score.answers);
  return score;
}

}  // namespace skipv1
