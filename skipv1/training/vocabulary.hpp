// The vocabulary of a model, and its file beside the model's.
#pragma once

#include "skipv1/training/sentencepiece.hpp"

namespace skipv1 {

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

/// Reads a vocabulary: llama2.c's if the file's name ends with .bin, a SentencePiece model otherwise. Throws if it is neither.
inline Vocabulary open_vocabulary(const std::filesystem::path& path) {
  Source file(path);
  Vocabulary v;
  v.content = file.text(0, file.size());
  if (path.extension() == ".bin") {
    v.file_name = "tokenizer.bin";
    v.tokenizer = std::make_unique<Llama2cTokenizer>(Llama2cTokenizer::load(path));
  } else {
    v.file_name = "tokenizer.model";
    v.tokenizer = std::make_unique<SentencePieceTokenizer>(SentencePieceTokenizer::load(path));
  }
  return v;
}

/// Trains a vocabulary of `size` pieces on a text; 256: bytes. Throws as `SentencePieceTokenizer::train`.
inline Vocabulary train_vocabulary(std::string_view text, std::size_t size) {
  if (size == 256) return byte_vocabulary();
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(SentencePieceTokenizer::train(text, size));
  std::string content = tokenizer->content();
  return {std::move(tokenizer), "tokenizer.model", std::move(content)};
}

/// The vocabulary file of the model at `path`: tokenizer.model, tokenizer.bin or tok{size}.bin in its folder (if it is a file,
/// beside it); empty if there is none.
inline std::filesystem::path vocabulary_file(const std::filesystem::path& path, std::size_t size) {
  const std::filesystem::path folder = std::filesystem::is_directory(path) ? path : path.parent_path();
  for (const std::string& name :
       {std::string("tokenizer.model"), std::string("tokenizer.bin"), "tok" + std::to_string(size) + ".bin"})
    if (std::filesystem::exists(folder / name)) return folder / name;
  return {};
}

/// The vocabulary of `size` pieces of the model at `path`: `file` if given, else its `vocabulary_file`, else, if `size` is 256,
/// bytes. Throws if there is none or if it is of another size.
inline Vocabulary vocabulary_of(const std::filesystem::path& path, std::size_t size, std::filesystem::path file = {}) {
  if (file.empty()) file = vocabulary_file(path, size);
  require(!file.empty() || size == 256, path.string(), ": a vocabulary of ", size,
          " pieces, but no tokenizer.model and no tokenizer.bin beside it");
  if (file.empty()) return byte_vocabulary();
  Vocabulary v = open_vocabulary(file);
  require(v.tokenizer->vocab_size() == size, file.string(), ": ", v.tokenizer->vocab_size(), " pieces, the model has ", size);
  return v;
}

}  // namespace skipv1
