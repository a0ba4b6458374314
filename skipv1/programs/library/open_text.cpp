#include "skipv1/programs/open_text.hpp"

namespace skipv1 {

std::optional<Vocabulary> vocabulary_of_tokens(const std::filesystem::path& path, std::size_t size,
                                               const std::filesystem::path& file) {
  if (!file.empty()) return vocabulary_of(path, size, file);
  return find_vocabulary(path, size).vocabulary;
}

Vocabulary open_vocabulary(const std::filesystem::path& path, std::size_t size, const std::filesystem::path& file) {
  return vocabulary_of(path, size, file);
}
FoundVocabulary vocabulary_beside(const std::filesystem::path& path, std::size_t size) { return find_vocabulary(path, size); }

void require_one_text(const std::string& text, const std::string& tokens) {
  require(!text.empty() || !tokens.empty(), "--text or --tokens is required");
  require(text.empty() || tokens.empty(), "--text and --tokens: only one of them");
}

OpenText open_text(const std::filesystem::path& path, std::size_t size, const TextChoice& choice) {
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

}  // namespace skipv1
