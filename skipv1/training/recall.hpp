// Associative recall of several pairs (Arora et al. 2023, "Zoology", MQAR): a task with exact answers, for trained models.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "skipv1/model/decoder.hpp"
#include "skipv1/training/text.hpp"

namespace skipv1 {

/// A sequence has `pairs` keys, each followed by its value, then keys of those again, each followed by its value. The values of
/// the second part are the answers, which follow from the first part alone. Of the vocabulary's ids the first half are keys,
/// distinct in the first part, the others values, drawn independently: a guess is right with probability 2 / vocab.
struct RecallTask {
  std::size_t pairs = 8, vocab = 512;

  std::size_t length() const { return 4 * pairs; }  ///< tokens of a sequence

  /// Sequences `first … first + batch - 1` of those that `seed` names, which ask for each key once, in another order; targets
  /// that are no answers are `ignored_target`. Throws if there are fewer keys than pairs.
  Windows sequences(std::uint64_t first, std::size_t batch, std::uint64_t seed) const {
    Windows w;
    for (std::size_t b = 0; b < batch; ++b) {
      Random random = Random(seed).split(first + b);
      const Permutation order(std::max<std::size_t>(pairs, 1), random.split(1));
      add(w, pairs, pairs, random, [&](std::size_t i) { return order(i); });
    }
    return w;
  }
  /// The same with as many pairs as `counts` says, in turns, at most `pairs`: keys are asked for at random until a sequence is as
  /// long as the others. Easy ones among hard ones.
  Windows lessons(const std::vector<std::size_t>& counts, std::uint64_t first, std::size_t batch, std::uint64_t seed) const {
    Windows w;
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t count = counts.at((first + b) % counts.size());
      require(count >= 1 && count <= pairs, "a lesson of ", count, " pairs: must be 1 to ", pairs);
      Random random = Random(seed).split(first + b);
      add(w, count, length() / 2 - count, random, [&](std::size_t) { return random.below(count); });
    }
    return w;
  }

 private:
  /// Adds a sequence: `count` pairs, then `questions` times the pair that `asked(i)` names.
  template <class Asked>
  void add(Windows& w, std::size_t count, std::size_t questions, Random& random, const Asked& asked) const {
    const std::size_t keys = vocab / 2, begin = w.tokens.size();
    require(count >= 1 && count <= keys && vocab % 2 == 0, "recall of ", count, " pairs with ", vocab,
            " ids: must be 1 to as many as there are keys, half of an even number of ids");
    const Permutation key(keys, random.split(0));
    const auto push = [&](std::size_t token, std::int32_t target) {
      w.tokens.push_back(static_cast<std::int32_t>(token)), w.targets.push_back(target);
    };
    for (std::size_t i = 0; i < count; ++i) push(key(i), ignored_target), push(keys + random.below(keys), ignored_target);
    for (std::size_t i = 0; i < questions; ++i) {
      const std::size_t at = asked(i);
      const std::int32_t answer = w.tokens[begin + 2 * at + 1];
      push(key(at), answer), push(static_cast<std::size_t>(answer), ignored_target);
    }
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
