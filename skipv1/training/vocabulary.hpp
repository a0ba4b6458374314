// The vocabulary of a model, and its file beside the model's.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "skipv1/io/file.hpp"
#include "skipv1/training/sentencepiece.hpp"
#include "skipv1/training/tokenizer.hpp"
#include "skipv1/training/tokenizer_config.hpp"
#include "skipv1/training/tokenizer_json.hpp"

namespace skipv1 {

namespace detail {
/// For vocabularies that only SentencePiece has.
[[noreturn]] inline void fail_without_sentencepiece(const std::string& what) {
  fail(what, " needs SentencePiece, without which this program was built");
}
}  // namespace detail

/// A tokenizer with its file, which goes wherever the model goes. Bytes have no file.
struct Vocabulary {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string file_name, content;

  /// Writes the file into a model's folder, whole or not at all.
  void save(const std::filesystem::path& folder) const {
    if (!file_name.empty()) write_whole(folder / file_name, [&](std::ostream& out) { out << content; });
  }
};

/// The bytes as a vocabulary.
inline Vocabulary byte_vocabulary() { return {std::make_unique<ByteTokenizer>(), "", ""}; }

/// Reads a vocabulary: llama2.c's if the file's name ends with .bin, transformers' if it ends with .json, a SentencePiece model
/// otherwise. `rows`: of the model it is for, which with transformers' may have more than there are pieces (0: no more). Throws
/// if it is none of them.
inline Vocabulary open_vocabulary(const std::filesystem::path& path, std::size_t rows = 0) {
  Source file(path);
  Vocabulary v;
  v.content = file.text(0, file.size());
  if (path.extension() == ".bin") {
    v.file_name = "tokenizer.bin";
    v.tokenizer = std::make_unique<Llama2cTokenizer>(Llama2cTokenizer::load(path));
  } else if (path.extension() == ".json") {
    v.file_name = "tokenizer.json";
    BytePairVocabulary vocabulary = at_place("vocabulary " + path.string(), [&] { return parse_tokenizer_json(v.content); });
    if (path.filename() == "tokenizer.json") check_beside_tokenizer_json(path.parent_path(), vocabulary);
    v.tokenizer =
        at_place("vocabulary " + path.string(), [&] { return std::make_unique<BytePairTokenizer>(std::move(vocabulary), rows); });
  } else {
    v.file_name = "tokenizer.model";
#ifdef SKIPV1_SENTENCEPIECE
    v.tokenizer = std::make_unique<SentencePieceTokenizer>(SentencePieceTokenizer::load(path));
#else
    detail::fail_without_sentencepiece("vocabulary " + path.string());
#endif
  }
  return v;
}

/// Throws if `text` has too few bytes for `tokens` tokens in any vocabulary, so that this is said before one is trained: a token
/// is a byte at least, but for the space before a text.
inline void require_tokens_in(std::string_view text, std::size_t tokens, const std::string& place) {
  require(text.size() + 1 >= tokens, place, ": a text of ", text.size(), text.size() == 1 ? " byte" : " bytes",
          " is too short for ", tokens, " tokens, in any vocabulary");
}

/// Trains a vocabulary of `size` pieces on a text; 256: bytes. Throws as `SentencePieceTokenizer::train`.
inline Vocabulary train_vocabulary(std::string_view text, std::size_t size) {
  if (size == 256) return byte_vocabulary();
#ifdef SKIPV1_SENTENCEPIECE
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(SentencePieceTokenizer::train(text, size));
  std::string content = tokenizer->content();
  return {std::move(tokenizer), "tokenizer.model", std::move(content)};
#else
  detail::fail_without_sentencepiece("a vocabulary of " + std::to_string(size) + " pieces for " + std::to_string(text.size()) +
                                     " bytes of text");
#endif
}

/// What lies beside a model: the vocabulary that fits it, if there is one, and why each other file was passed over.
struct FoundVocabulary {
  std::optional<Vocabulary> vocabulary;
  std::string passed_over;  ///< "tokenizer.model: 32000 pieces; …"; empty if all fit, or there are none
};

/// The first of tokenizer.json, tokenizer.model, tokenizer.bin and tok{size}.bin in the folder of the model at `path` (if it is a
/// file, beside it, where no tokenizer.json is looked for) that can be read and has `size` pieces. A folder may hold the
/// vocabularies of several models. A tokenizer.json of fewer pieces is taken where nothing else fits: models may have more rows.
inline FoundVocabulary find_vocabulary(const std::filesystem::path& path, std::size_t size) {
  const bool in_folder = std::filesystem::is_directory(path);
  const std::filesystem::path folder = in_folder ? path : path.parent_path();
  FoundVocabulary found;
  std::optional<Vocabulary> smaller;
  const auto pass = [&](const std::string& why) { found.passed_over += (found.passed_over.empty() ? "" : "; ") + why; };
  for (const std::string& name : {std::string("tokenizer.json"), std::string("tokenizer.model"), std::string("tokenizer.bin"),
                                  "tok" + std::to_string(size) + ".bin"}) {
    const bool json = name.ends_with(".json");
    if (!is_there(folder / name) || (json && !in_folder)) continue;
    try {
      Vocabulary v = open_vocabulary(folder / name, json ? size : 0);
      const std::size_t pieces = v.tokenizer->pieces();
      if (pieces == size) {
        found.vocabulary = std::move(v);
        return found;
      }
      if (json) {
        smaller = std::move(v);
      } else {
        pass(name + ": " + std::to_string(pieces) + " pieces");
      }
    } catch (const Error& error) {
      pass(error.what());
    }
  }
  found.vocabulary = std::move(smaller);
  return found;
}

/// Whether a file's name is one that vocabularies, or what belongs to them, have.
inline bool names_vocabulary(const std::filesystem::path& file) {
  const std::string name = file.filename().string(), extension = file.extension().string();
  for (const char* begin : {"tokenizer", "vocab", "merges", "encoder.json", "tekken", "added_tokens", "special_tokens"})
    if (name.starts_with(begin)) return true;
  for (const char* end : {".model", ".tiktoken", ".bpe", ".spm"})
    if (extension == end) return true;
  return name.starts_with("tok") && extension == ".bin";
}

/// The file in a model's folder with a vocabulary that was not taken, tokenizer.json before others; empty if there is none.
/// (Beside a model that is a single file lies whatever else there is.)
inline std::string unread_vocabulary(const std::filesystem::path& folder) {
  std::string first;
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) return first;
  for (std::filesystem::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    const std::string name = i->path().filename().string();
    if (names_vocabulary(name) && first != "tokenizer.json" && (first.empty() || name == "tokenizer.json" || name < first))
      first = name;
  }
  return first;
}

/// The vocabulary of `size` pieces of the model at `path`: `file` if given, else what `find_vocabulary` finds, else, if `size` is
/// 256, bytes. Throws if there is none, if it is of another size, or if bytes are in doubt: a vocabulary that is not read lies
/// there.
inline Vocabulary vocabulary_of(const std::filesystem::path& path, std::size_t size, const std::filesystem::path& file = {}) {
  if (!file.empty()) {
    Vocabulary v = open_vocabulary(file, size);
    require(v.tokenizer->vocab_size() == size, file.string(), ": ", v.tokenizer->vocab_size(), " pieces, the model has ", size);
    return v;
  }
  FoundVocabulary found = find_vocabulary(path, size);
  if (found.vocabulary) return std::move(*found.vocabulary);
  const std::string unread = unread_vocabulary(path);
  const bool json = unread == "tokenizer.json";
  require(json || found.passed_over.empty() || size != 256 || unread.empty(), (path / unread).string(),
          ": the model's 256 ids are bytes only where no vocabulary lies in its folder (", found.passed_over, ")");
  require(unread.empty() || json || !found.passed_over.empty(), (path / unread).string(),
          ": vocabularies of this kind are not read; transformers writes a tokenizer.json by "
          "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
  require(!json, found.passed_over, "; the text's token ids can be given by --tokens FILE.npy instead");
  if (size == 256) return byte_vocabulary();
  fail(path.string(), ": a vocabulary of ", size, " pieces, but beside it ",
       found.passed_over.empty() ? "no tokenizer.json, no tokenizer.model and no tokenizer.bin"
                                 : found.passed_over + (found.passed_over.find(" pieces") == std::string::npos
                                                            ? ""
                                                            : " (if the model's rows are padded, transformers cuts them off: "
                                                              "model.resize_token_embeddings(PIECES))"));
}

}  // namespace skipv1
