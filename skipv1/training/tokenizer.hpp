// From text to token ids and back: bytes, and llama2.c's pieces. SentencePiece has a header of its own.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/training/pair_merge.hpp"

namespace skipv1 {

/// Ids are `0 … vocab_size() - 1`. Each stands for some bytes; a text is its tokens' bytes one after the other.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual std::string name() const = 0;
  virtual std::size_t vocab_size() const = 0;
  /// How many of the ids the vocabulary itself has; beyond them are the rows of a model that has more.
  virtual std::size_t pieces() const { return vocab_size(); }
  /// Throws if the tokenizer needs UTF-8 and `text` is not, as `encode` does: of a text in parts the byte is counted from its
  /// beginning, and known before any part is encoded.
  virtual void require_text(std::string_view text) const { static_cast<void>(text); }
  /// The ids of `text`, without start and end marks. Throws if the tokenizer needs UTF-8 and `text` is not.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  /// The bytes that `id` stands for inside a text; none for marks. Throws if there is no such id.
  virtual std::string piece(std::int32_t id) const = 0;
  /// Whether encoding puts a space before the text, which decoding takes away again.
  virtual bool adds_space() const { return false; }
  /// The mark that begins a text, if models of this vocabulary expect one.
  virtual std::optional<std::int32_t> start() const { return {}; }
  /// Whether a text to be continued gets that mark unless something else is asked for.
  virtual bool puts_start() const { return adds_space(); }
  /// How many bytes of a text `id` stands for: those of its piece and, where a mark can be written in a text, those of the mark.
  virtual std::size_t text_bytes(std::int32_t id) const { return piece(id).size(); }

  /// The text of `ids`, without marks: `decode(encode(text)) == text` for texts in which none is written.
  std::string decode(std::span<const std::int32_t> ids) const {
    std::string text;
    for (const std::int32_t id : ids) text += piece(id);
    if (adds_space() && text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

 protected:
  Tokenizer() = default;
  Tokenizer(const Tokenizer&) = default;
  Tokenizer& operator=(const Tokenizer&) = default;

  /// `id` as an index; throws if there is no such id.
  std::size_t checked(std::int32_t id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= vocab_size())  // `name` makes a string, which costs more than the comparisons
      fail("token ", id, ": tokenizer ", name(), " has ids 0 to ", vocab_size() - 1);
    return static_cast<std::size_t>(id);
  }
};

/// Every byte is a token: any bytes can be encoded, and 256 ids are enough.
class ByteTokenizer : public Tokenizer {
 public:
  std::string name() const override { return "bytes"; }
  std::size_t vocab_size() const override { return 256; }
  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids(text.size());
    std::transform(text.begin(), text.end(), ids.begin(), [](char c) { return static_cast<unsigned char>(c); });
    return ids;
  }
  std::string piece(std::int32_t id) const override { return std::string(1, static_cast<char>(checked(id))); }
};

/// The text of tokens that come one by one, whole characters at a time: what a token leaves unfinished waits for the next.
class TextOfTokens {
 public:
  explicit TextOfTokens(const Tokenizer& tokenizer) : tokenizer_(tokenizer), first_(tokenizer.adds_space()) {}

  /// What can be shown after one more token. Bytes that can be no character any more are shown as they are.
  std::string add(std::int32_t id) {
    std::string piece = tokenizer_.piece(id);
    if (piece.empty()) return {};
    if (std::exchange(first_, false) && piece[0] == ' ') piece.erase(0, 1);
    text_ += piece, waiting_ += piece;
    const std::string shown = waiting_.substr(0, waiting_.size() - unfinished(waiting_));
    waiting_.erase(0, shown.size());
    return shown;
  }
  /// What is still waiting once no token comes any more.
  std::string rest() { return std::exchange(waiting_, {}); }
  const std::string& text() const { return text_; }  ///< of all tokens

 private:
  /// How many bytes at the end of `text` begin a character whose other bytes are still to come.
  static std::size_t unfinished(std::string_view text) {
    for (std::size_t count = 1; count <= 3 && count <= text.size(); ++count) {
      std::string end(text.substr(text.size() - count));
      const auto lead = static_cast<unsigned char>(end[0]);
      if (lead < 0x80) return 0;
      if (lead < 0xc0) continue;  // it continues a character
      const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
      if (length <= count) return 0;
      for (const char next : {'\x80', '\x90', '\xa0'}) {  // the second byte of some characters has a smaller range
        std::string whole = end;
        while (whole.size() < length) whole += whole.size() == 1 ? next : '\x80';
        if (utf8_length(whole, 0) == length) return count;
      }
      return 0;
    }
    return 0;
  }

  const Tokenizer& tokenizer_;
  std::string text_, waiting_;
  bool first_;
};

/// Throws unless `text` is UTF-8; `needs` names who needs that, `instead` what does not.
inline void require_utf8(std::string_view text, std::string_view needs, std::string_view instead = "") {
  const std::size_t end = utf8_end(text);
  require(end == text.size(), "the text is not UTF-8 at byte ", end, ": ", needs, " needs UTF-8", instead);
}

/// Throws unless `text` can be learned, or held out, in a vocabulary of `size` pieces that is yet to be trained: it must be UTF-8
/// unless the pieces are the 256 bytes.
inline void require_trainable(std::string_view text, std::size_t size) {
  if (size != 256) require_utf8(text, "training a vocabulary", "; a vocabulary of 256 pieces, the bytes, takes any text");
}

/// The byte that a piece like <0x0A> stands for, if it is one.
inline std::optional<char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return {};
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'A' || c > 'F')) return {};
    value = 16 * value + (digit ? c - '0' : c - 'A' + 10);
  }
  return static_cast<char>(value);
}

/// llama2.c's vocabularies: `tokenizer.bin`, `tok512.bin`. Id 0 is unknown, 1 and 2 are the marks of start and end, 3 … 258
/// the bytes, then pieces with scores.
class Llama2cTokenizer : public Tokenizer {
 public:
  /// Reads int32 longest piece, then for each piece float32 score, int32 length and that many bytes, all little-endian.
  /// Throws if there is no such file or if it is anything else.
  static Llama2cTokenizer load(const std::filesystem::path& path) {
    Source file(path);
    const std::string bytes = file.text(0, file.size());
    std::size_t at = 4;
    std::vector<std::pair<std::string, float>> pieces;
    while (at < bytes.size()) {
      const std::size_t begin = at + 8;
      const std::size_t length = begin <= bytes.size() ? little_endian(bytes, at + 4) : bytes.size();
      require(length <= bytes.size() - std::min(begin, bytes.size()), "vocabulary ", path.string(), " ends within piece ",
              pieces.size());
      pieces.emplace_back(bytes.substr(begin, length), std::bit_cast<float>(little_endian(bytes, at)));
      at = begin + length;
    }
    try {
      return Llama2cTokenizer(std::move(pieces));
    } catch (const Error& error) {
      fail("vocabulary ", path.string(), ": ", error.what());
    }
  }

  /// From all pieces and their scores, in the order of their ids. Throws if ids 3 … 258 are not the 256 bytes.
  explicit Llama2cTokenizer(std::vector<std::pair<std::string, float>> pieces) : pieces_(std::move(pieces)) {
    require(pieces_.size() >= first_byte + 256, pieces_.size(), " pieces: there must be at least ", first_byte + 256,
            " (unknown, start, end and 256 bytes)");
    for (std::size_t id = 0; id < pieces_.size(); ++id) {
      const auto& [piece, score] = pieces_[id];
      require(std::isfinite(score), "piece ", id, " has the score ", score);
      if (id >= first_byte && id < first_byte + 256)
        require(byte_of_piece(piece) == static_cast<char>(id - first_byte), "piece ", id, " must be that of byte ",
                id - first_byte);
      if (id >= first_byte) ids_.try_emplace(piece, static_cast<std::int32_t>(id));
    }
  }

  std::string name() const override { return "llama2.c"; }
  std::size_t vocab_size() const override { return pieces_.size(); }
  bool adds_space() const override { return true; }
  std::optional<std::int32_t> start() const override { return 1; }
  std::string piece(std::int32_t id) const override {
    const std::string& piece = pieces_[checked(id)].first;
    if (id == 1 || id == 2) return {};
    const auto byte = byte_of_piece(piece);
    return byte ? std::string(1, *byte) : piece;
  }

  void require_text(std::string_view text) const override { require_utf8(text, "tokenizer llama2.c"); }
  /// A space and the text as characters (bytes where a character is no piece); then, as long as two neighbours together
  /// are a piece, the two of the best score become one, of equal scores the first.
  std::vector<std::int32_t> encode(std::string_view text) const override {
    require_text(text);
    if (text.empty()) return {};
    return merge(characters(" " + std::string(text)));
  }

 private:
  static constexpr std::size_t first_byte = 3;

  static std::uint32_t little_endian(const std::string& bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  }

  std::vector<std::int32_t> characters(std::string_view text) const {
    std::vector<std::int32_t> ids;
    for (std::size_t at = 0, length = 0; at < text.size(); at += length) {
      length = utf8_length(text, at);
      const auto found = ids_.find(std::string(text.substr(at, length)));
      if (found != ids_.end()) {
        ids.push_back(found->second);
      } else {
        for (const char c : text.substr(at, length))
          ids.push_back(static_cast<std::int32_t>(first_byte + static_cast<unsigned char>(c)));
      }
    }
    return ids;
  }

  std::vector<std::int32_t> merge(std::vector<std::int32_t> ids) const {
    const auto find = [&](std::int32_t left, std::int32_t right) -> std::optional<PairMerge<float>> {
      const auto found =
          ids_.find(pieces_[static_cast<std::size_t>(left)].first + pieces_[static_cast<std::size_t>(right)].first);
      if (found == ids_.end()) return {};
      return PairMerge<float>{-pieces_[static_cast<std::size_t>(found->second)].second, found->second};
    };
    return merge_pairs<float>(std::move(ids), find);
  }

  std::vector<std::pair<std::string, float>> pieces_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace skipv1
