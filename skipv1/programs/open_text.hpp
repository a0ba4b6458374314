// The text of a program that reads one for a model: UTF-8, or token ids.
#pragma once

#include "skipv1/training/run_folder.hpp"
#include "skipv1/training/text.hpp"
#include "skipv1/training/token_file.hpp"
#include "skipv1/training/vocabulary.hpp"

namespace skipv1 {

/// Which text, as asked for: one of the first two.
struct TextChoice {
  std::string text, tokens, tokenizer;
  const std::string& place() const { return text.empty() ? tokens : text; }
};

/// A text, and the vocabulary it is in. Of token ids without one nobody knows the bytes.
struct OpenText {
  TextData text;
  std::optional<Vocabulary> vocabulary;
  std::string vocabulary_name() const { return vocabulary ? "tokenizer " + vocabulary->tokenizer->name() : "token ids"; }
};

/// The vocabulary for token ids of the model at `path`: `file` if given, else what lies beside the model, if anything fits.
inline std::optional<Vocabulary> vocabulary_of_tokens(const std::filesystem::path& path, std::size_t size,
                                                      const std::filesystem::path& file) {
  if (!file.empty()) return vocabulary_of(path, size, file);
  return find_vocabulary(path, size).vocabulary;
}

/// Throws unless one of --text and --tokens is given.
inline void require_one_text(const std::string& text, const std::string& tokens) {
  require(!text.empty() || !tokens.empty(), "--text or --tokens is required");
  require(text.empty() || tokens.empty(), "--text and --tokens: only one of them");
}

/// Opens a text for the model at `path`, whose vocabulary has `size` ids.
inline OpenText open_text(const std::filesystem::path& path, std::size_t size, const TextChoice& choice) {
  require_one_text(choice.text, choice.tokens);
  return read_model(path, [&](const std::filesystem::path& model) {
    if (!choice.text.empty()) {
      Vocabulary vocabulary = vocabulary_of(model, size, choice.tokenizer);
      const std::string bytes = load_text(choice.text);
      TextData text = at_place(choice.text, [&] { return TextData(bytes, *vocabulary.tokenizer); });
      return OpenText{std::move(text), std::move(vocabulary)};
    }
    std::vector<std::int32_t> ids = load_tokens(choice.tokens, size);
    std::optional<Vocabulary> vocabulary = vocabulary_of_tokens(model, size, choice.tokenizer);
    return OpenText{TextData(std::move(ids), vocabulary ? vocabulary->tokenizer.get() : nullptr), std::move(vocabulary)};
  });
}

/// `bytes` for JSON: null where it is 0, which stands for what is not known.
inline Json known_bytes(std::size_t bytes) { return bytes ? Json(bytes) : Json(nullptr); }

}  // namespace skipv1
