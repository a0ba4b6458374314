// The texts of an experiment in each of its vocabularies, encoded once in a process and, with a folder to keep them, once at all.
#pragma once

#include <map>

#include "skipv1/io/npy.hpp"
#include "skipv1/training/text.hpp"
#include "skipv1/training/evaluate.hpp"
#include "skipv1/training/token_file.hpp"
#include "skipv1/training/vocabulary.hpp"
#include "skipv1/programs/experiment.hpp"
#include "skipv1/programs/job.hpp"

namespace skipv1 {

/// A tokenizer whose encodings of whole texts lie in a folder: an array for each text, named by the vocabulary and the text.
class KeptEncodings : public Tokenizer {
 public:
  /// `known`: the fingerprints of the texts to be encoded, by where they begin.
  KeptEncodings(const Vocabulary& vocabulary, std::filesystem::path folder, std::map<const char*, std::string> known)
      : of_(*vocabulary.tokenizer),
        folder_(std::move(folder)),
        vocabulary_(fingerprint(vocabulary.content)),
        known_(std::move(known)) {}

  std::string name() const override { return of_.name(); }
  std::size_t vocab_size() const override { return of_.vocab_size(); }
  std::string piece(std::int32_t id) const override { return of_.piece(id); }
  bool adds_space() const override { return of_.adds_space(); }
  void require_text(std::string_view text) const override { of_.require_text(text); }
  std::vector<std::int32_t> encode(std::string_view text) const override {
    const std::filesystem::path file = folder_ / ("tokens-" + vocabulary_ + "-" + known_.at(text.data()) + ".npy");
    if (std::filesystem::exists(file)) return load_tokens(file, vocab_size());
    const std::vector<std::int32_t> ids = of_.encode(text);
    write_npy(file, View<const std::int32_t>(ids.data(), {ids.size()}));
    return ids;
  }

 private:
  const Tokenizer& of_;
  std::filesystem::path folder_;
  std::string vocabulary_;
  std::map<const char*, std::string> known_;
};

/// The texts as tokens.
struct EncodedTexts {
  TextData text, held_out;
  std::string vocabulary;  ///< what tells it from others; "bytes"
};

class Corpus {
 public:
  /// Reads the texts; without `valid` the last tenth of `text` is held out. Vocabularies trained are kept in `folder`, with the
  /// tokens, unless it is empty. Throws if a text cannot be read.
  Corpus(const std::string& text, const std::string& valid, std::filesystem::path folder)
      : place_(text),
        valid_place_(valid.empty() ? text : valid),
        text_(load_text(text)),
        valid_(valid.empty() ? std::string() : load_text(valid)),
        folder_(std::move(folder)) {
    if (!valid.empty()) warn_of_learned(text, text_, valid, valid_);
    std::tie(first_, rest_) = valid.empty() ? at_place(place_, [&] { return split_text(text_, 0.1); })
                                            : std::pair<std::string_view, std::string_view>(text_, valid_);
    first_fingerprint_ = fingerprint(first_), rest_fingerprint_ = fingerprint(rest_);
    if (!valid.empty()) return;
    const std::string end = place_ + " (its last " + std::to_string(rest_.size()) + " bytes";
    first_place_ = end + " are held out)", rest_place_ = end + ", held out)";
  }
  Corpus(const Corpus&) = delete;  // views into itself
  Corpus& operator=(const Corpus&) = delete;

  /// What tells these texts from others.
  Json identity() const {
    return {{"bytes", first_.size()},
            {"fingerprint", first_fingerprint_},
            {"valid_bytes", rest_.size()},
            {"valid_fingerprint", rest_fingerprint_}};
  }

  /// Throws if a text has too few bytes for what `run` reads, in any vocabulary.
  void require_bytes(const PlannedRun& run, const CurveOptions& curve) const {
    const std::size_t length = run.training.length;
    const bool epochs = run.reading.order == Reading::Order::epochs;
    require_tokens_in(first_, epochs ? std::max(run.reading.tokens, 2 * length) : length + 1, first_place_ + ": " + run.label);
    require_tokens_in(rest_, curve.windows || curve.last_windows ? length + 1 : 2, rest_place_ + ": " + run.label);
  }
  /// Throws unless `texts` have the windows that `run` learns and, by `curve`, those that it is evaluated on.
  void require_windows(const EncodedTexts& texts, const PlannedRun& run, const CurveOptions& curve) const {
    const std::size_t length = run.training.length;
    at_place(first_place_ + ": " + run.label, [&] {
      const bool epochs = run.reading.order == Reading::Order::epochs;
      return epochs ? texts.text.windows_of_epoch(length, run.reading.tokens) : texts.text.count(length);
    });
    at_place(rest_place_ + ": " + run.label, [&] {
      for (const std::size_t windows : {curve.windows, curve.last_windows}) evaluated_tokens(texts.held_out, length, windows);
    });
  }
  /// The texts in `size` pieces: those of `model`'s vocabulary where there is a model, else of one trained on the first text; 256
  /// without a model: bytes.
  const EncodedTexts& in_pieces(std::size_t size, const std::filesystem::path& model) {
    auto& encoded = by_size_[size];
    if (!encoded) {
      if (!folder_.empty()) std::filesystem::create_directories(folder_);
      std::optional<Lock> lock;  // what one process makes, others wait for and find
      if (!folder_.empty()) lock.emplace(folder_ / "lock", folder_.string(), Busy::wait);
      const Vocabulary vocabulary = model.empty() ? trained(size) : vocabulary_of(model, size);
      std::fprintf(stderr, "%zu + %zu bytes in a vocabulary of %zu\n", first_.size(), rest_.size(), size);
      const std::string name = vocabulary.content.empty() ? "bytes" : fingerprint(vocabulary.content);
      if (folder_.empty() || size == 256) {
        encoded.emplace(encoded_texts(*vocabulary.tokenizer, name));
      } else {
        const KeptEncodings kept(vocabulary, folder_, {{first_.data(), first_fingerprint_}, {rest_.data(), rest_fingerprint_}});
        encoded.emplace(encoded_texts(kept, name));
      }
    }
    return *encoded;
  }

 private:
  EncodedTexts encoded_texts(const Tokenizer& tokenizer, const std::string& name) const {
    const auto encoded = [&](const std::string& place, std::string_view text) {
      return at_place(place, [&] { return TextData(text, tokenizer); });
    };
    return {encoded(first_place_, first_), encoded(rest_place_, rest_), name};
  }
  Vocabulary trained(std::size_t size) const {
    // By its text, too: another text's vocabulary of this size would be taken without a word.
    const std::filesystem::path file = folder_ / (std::to_string(size) + "-" + first_fingerprint_ + ".model");
    if (size != 256 && !folder_.empty() && std::filesystem::exists(file)) {
      Vocabulary kept = open_vocabulary(file);
      require(kept.tokenizer->vocab_size() == size, file.string(), ": ", kept.tokenizer->vocab_size(), " pieces, expected ",
              size);
      return kept;
    }
    if (size != 256) std::fprintf(stderr, "training a vocabulary of %zu pieces\n", size);
    Vocabulary vocabulary = at_place(first_place_, [&] {
      try {
        return train_vocabulary(first_, size);
      } catch (const Error& error) {
        fail(error.what(), "; the size is this experiment's: another text is needed");
      }
    });
    if (size != 256 && !folder_.empty()) write_whole(file, [&](std::ostream& out) { out << vocabulary.content; });
    return vocabulary;
  }

  std::string place_, valid_place_, text_, valid_;
  std::string first_place_ = place_, rest_place_ = valid_place_;  ///< of the parts
  std::filesystem::path folder_;
  std::string_view first_, rest_;
  std::string first_fingerprint_, rest_fingerprint_;
  std::map<std::size_t, std::optional<EncodedTexts>> by_size_;
};

}  // namespace skipv1
