// The text of a program that reads one for a model: UTF-8, or token ids. Compiled once for all programs: library/open_text.cpp.
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
std::optional<Vocabulary> vocabulary_of_tokens(const std::filesystem::path& path, std::size_t size,
                                               const std::filesystem::path& file);

/// `vocabulary_of` and `find_vocabulary`, compiled once.
Vocabulary open_vocabulary(const std::filesystem::path& path, std::size_t size, const std::filesystem::path& file);
FoundVocabulary vocabulary_beside(const std::filesystem::path& path, std::size_t size);

/// Throws unless one of --text and --tokens is given.
void require_one_text(const std::string& text, const std::string& tokens);

/// Opens a text for the model at `path`, whose vocabulary has `size` ids.
OpenText open_text(const std::filesystem::path& path, std::size_t size, const TextChoice& choice);

/// `bytes` for JSON: null where it is 0, which stands for what is not known.
inline Json known_bytes(std::size_t bytes) { return bytes ? Json(bytes) : Json(nullptr); }

}  // namespace skipv1
