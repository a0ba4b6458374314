// SentencePiece vocabularies: read LLaMA's `tokenizer.model`, or train one of your own. Empty where SentencePiece is not
// installed, or with SKIPV1_NO_SENTENCEPIECE; programs that use it link sentencepiece and, for training, sentencepiece_train.
#pragma once

#if !defined(SKIPV1_NO_SENTENCEPIECE) && __has_include(<sentencepiece_processor.h>) && __has_include(<sentencepiece_trainer.h>)
#define SKIPV1_SENTENCEPIECE

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skipv1/core/parallel.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/training/tokenizer.hpp"

namespace skipv1 {

/// A trained SentencePiece model. Texts come back byte by byte, unless they hold U+2581, which stands for a space in there,
/// or the model changes characters (none that `train` makes, and not LLaMA's).
class SentencePieceTokenizer : public Tokenizer {
 public:
  /// Reads a model file. Throws if it is none.
  static SentencePieceTokenizer load(const std::filesystem::path& path) {
    Source file(path);
    const std::string model = file.text(0, file.size());
    try {
      return SentencePieceTokenizer(model);
    } catch (const Error& error) {
      fail("vocabulary ", path.string(), ": ", error.what());
    }
  }

  /// Trains `vocab_size` byte-pair pieces (3 marks and 256 bytes among them) on the lines of `text`; of long texts on lines
  /// spread evenly over `most_bytes`, words of more than 8 KiB cut. Everything outside the vocabulary falls back to bytes; spaces
  /// are kept as they are. The same text gives the same vocabulary. Throws if the text is not UTF-8 or too short for so many
  /// pieces.
  static SentencePieceTokenizer train(std::string_view text, std::size_t vocab_size, std::size_t most_bytes = 8'000'000) {
    require_trainable(text, vocab_size);
    require(vocab_size >= 260, "a vocabulary of ", vocab_size,
            " pieces: must be 256 (bytes), or at least 260 (3 marks, 256 bytes, the space)");
    // Each piece is a mark, a byte, a character of the text or the merge of two tokens of it. The trainer itself allocates first.
    require(vocab_size <= 260 + 2 * text.size(), "a vocabulary of ", vocab_size, " pieces cannot be trained on ", text.size(),
            " bytes: so many give at most ", 260 + 2 * text.size());
    const std::size_t step = std::max<std::size_t>(1, (text.size() + most_bytes - 1) / std::max<std::size_t>(1, most_bytes));
    const std::unordered_map<std::string, std::string> options = {
        {"model_type", "bpe"},         {"vocab_size", std::to_string(vocab_size)}, {"byte_fallback", "true"},
        {"character_coverage", "1.0"}, {"normalization_rule_name", "identity"},    {"remove_extra_whitespaces", "false"},
        {"add_dummy_prefix", "false"}, {"max_sentence_length", "1000000000"},      {"num_threads", "1"},
        {"minloglevel", "3"},
    };
    // Without a piece for the space a text's spaces would come back as the bytes of U+2581.
    bool spaces = false;
    for (Lines l(text, step); !l.done() && !spaces; l.Next()) spaces = l.value().find(' ') != std::string::npos;
    Lines lines(text, step, spaces ? "" : " ");
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
    if (!status.ok()) fail("a vocabulary of ", vocab_size, " pieces", refused(status.message(), text.size()));
    return SentencePieceTokenizer(model);
  }

  /// The content of the model file.
  std::string content() const { return processor_->serialized_model_proto(); }
  /// Writes the model file, whole or not at all.
  void save(const std::filesystem::path& path) const {
    const std::string model = content();
    write_whole(path, [&](std::ostream& out) { out << model; });
  }

  std::string name() const override { return "sentencepiece"; }
  std::size_t vocab_size() const override { return static_cast<std::size_t>(processor_->GetPieceSize()); }
  bool adds_space() const override { return adds_space_; }
  std::optional<std::int32_t> start() const override {
    return processor_->bos_id() < 0 ? std::optional<std::int32_t>{} : processor_->bos_id();
  }
  std::string piece(std::int32_t id) const override {
    checked(id);
    if (processor_->IsControl(id) || processor_->IsUnused(id)) return {};
    const std::string& piece = processor_->IdToPiece(id);
    if (processor_->IsByte(id)) return std::string(1, byte_of_piece(piece).value());
    std::string text;
    for (std::size_t at = 0; at < piece.size(); ++at) {
      const bool space = std::string_view(piece).substr(at).starts_with(space_mark);
      text += space ? ' ' : piece[at];
      if (space) at += space_mark.size() - 1;
    }
    return text;
  }

  void require_text(std::string_view text) const override { require_utf8(text, "tokenizer sentencepiece"); }
  /// Line by line on all cores where lines are independent: no space is added, and no piece reaches over a line's end.
  std::vector<std::int32_t> encode(std::string_view text) const override {
    require_text(text);
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = by_line_ ? text.find('\n', std::min(begin + part_bytes, text.size())) : text.npos;
      parts.push_back(text.substr(begin, end == text.npos ? end : end + 1 - begin));
      begin += parts.back().size();
    }
    std::vector<std::vector<int>> encoded(parts.size());
    parallel_for(parts.size(), [&](std::size_t i) { encoded[i] = processor_->EncodeAsIds(parts[i]); });
    std::vector<std::int32_t> ids;
    for (const std::vector<int>& part : encoded) ids.insert(ids.end(), part.begin(), part.end());
    return ids;
  }

 private:
  static constexpr std::string_view space_mark = "\xe2\x96\x81";  // U+2581
  static constexpr std::size_t part_bytes = 512;

  /// Every `step`-th line of a text, then `last` unless it is empty. A line also ends where a word would be longer than
  /// `most_word` bytes: SentencePiece's trainer ends the program at words of 65,536 characters, some of half that length crash
  /// it.
  class Lines : public sentencepiece::SentenceIterator {
   public:
    Lines(std::string_view text, std::size_t step, std::string last = "") : rest_(text), step_(step), last_(std::move(last)) {
      Next();
    }
    bool done() const override { return done_; }
    void Next() override {
      if (rest_.empty()) {
        done_ = last_.empty();
        line_ = std::exchange(last_, "");
        return;
      }
      line_ = take();
      for (std::size_t i = 1; i < step_ && !rest_.empty(); ++i) take();
    }
    const std::string& value() const override { return line_; }
    sentencepiece::util::Status status() const override { return {}; }

   private:
    static constexpr std::size_t most_word = 8192;
    std::string take() {
      std::size_t end = 0;
      for (std::size_t word = 0; end < rest_.size() && rest_[end] != '\n'; ++end) {
        word = rest_[end] == ' ' ? 0 : word + 1;
        const bool begins_character = (static_cast<unsigned char>(rest_[end]) & 0xc0) != 0x80;
        if (word > most_word && begins_character) break;
      }
      std::string line(rest_.substr(0, end));
      rest_.remove_prefix(end + (rest_.substr(end).starts_with('\n') ? 1 : 0));
      return line;
    }
    std::string_view rest_;
    std::size_t step_;
    std::string last_, line_;
    bool done_ = false;
  };

  /// Why the trainer refused a size, which it says in the words of its own options: "Vocabulary size is smaller than
  /// required_chars. 260 vs 286. …", "Vocabulary size too high (9999). Please set it to a value <= 600."
  static std::string refused(const std::string& message, std::size_t bytes) {
    constexpr std::size_t others = 259;  // 3 marks, 256 bytes
    const auto number_behind = [&](std::string_view words) -> std::size_t {
      const std::size_t at = message.find(words);
      return at == message.npos ? 0 : std::strtoull(message.c_str() + at + words.size(), nullptr, 10);
    };
    const std::size_t least = message.find("required_chars") == message.npos ? 0 : number_behind(" vs ");
    if (least > others)
      return ": the text has " + std::to_string(least - others) +
             " different characters, the space among them: must be at least " + std::to_string(least) +
             ", of which 256 are bytes and 3 are marks";
    const std::string begin = " cannot be trained on " + std::to_string(bytes) + " bytes: ";
    if (const std::size_t most = number_behind("<= "); most > 0) return begin + "they give at most " + std::to_string(most);
    return begin + plain(message);
  }
  /// SentencePiece's message without the place in its sources: "./src/x.cc(660) [a == b] Vocabulary size too high …".
  static std::string plain(const std::string& message) {
    const std::size_t end = message.find(".cc(") == message.npos ? message.npos : message.find("] ");
    return end != message.npos ? message.substr(end + 2) : message.find(".cc(") == message.npos ? message : std::string();
  }

  explicit SentencePieceTokenizer(const std::string& model)
      : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
    const auto status = processor_->LoadFromSerializedProto(model);
    require(status.ok(), "not a SentencePiece model", plain(status.message()).empty() ? "" : ": ", plain(status.message()));
    const std::vector<int> ids = processor_->EncodeAsIds("a");
    std::string text;
    for (const int id : ids) text += piece(id);
    adds_space_ = text.starts_with(' ');
    by_line_ = !adds_space_;
    for (int id = 0; id < processor_->GetPieceSize() && by_line_; ++id)
      by_line_ = processor_->IsByte(id) || processor_->IdToPiece(id).find('\n') == std::string::npos;
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  bool adds_space_ = false, by_line_ = true;
};

}  // namespace skipv1

#endif
