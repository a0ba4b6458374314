// Byte-level byte-pair encoding: the vocabularies of GPT-2, LLaMA 3, SmolLM and Qwen2. training/tokenizer_json.hpp reads them.
#pragma once

#include <array>
#include <deque>
#include <unordered_map>

#include "skipv1/training/pair_merge.hpp"
#include "skipv1/training/tokenizer.hpp"
#include "skipv1/training/words.hpp"

namespace skipv1 {

/// The letters that stand for bytes in such a vocabulary: printable bytes for themselves, U+0100 ... for the others in turn.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    bytes_.fill(-1);
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      bytes_[printable ? byte : next++] = static_cast<int>(byte);
    }
  }
  /// The bytes that a piece's letters stand for; none where it has other letters.
  std::optional<std::string> bytes(const std::string& piece) const {
    std::string text;
    for (std::size_t at = 0; at < piece.size();) {
      const unicode::Character c = unicode::character_at(piece, at);
      if (c.code >= bytes_.size() || bytes_[c.code] < 0) return {};
      text += static_cast<char>(bytes_[c.code]);
      at = c.end;
    }
    return text;
  }
  /// The byte that a piece of one letter stands for, -1 if it is none.
  int byte(const std::string& piece) const {
    if (piece.empty()) return -1;
    const unicode::Character c = unicode::character_at(piece, 0);
    return c.end == piece.size() && c.code < bytes_.size() ? bytes_[c.code] : -1;
  }

 private:
  std::array<int, 0x144> bytes_;  // by code point
};

/// A token that stands in texts as it is written, before anything is cut or merged.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool normalized = false;  ///< looked for after the normal form, so after those that are not
  bool special = false;     ///< a mark: its text is not shown
};

/// What a tokenizer.json says.
struct BytePairVocabulary {
  std::vector<std::pair<std::string, std::int32_t>> pieces;  ///< in the letters of `ByteAlphabet`
  std::vector<std::pair<std::string, std::string>> merges;   ///< the first goes first
  std::vector<AddedToken> added;
  std::vector<WordEnd> cuts;                                    ///< what each cuts, the next cuts further
  bool prefix_space = false, nfc = false, whole_words = false;  ///< whole_words: a word that is a piece needs no merges
  std::optional<std::int32_t> start;
};

/// Byte-level byte-pair encoding as the package tokenizers does it.
class BytePairTokenizer : public Tokenizer {
 public:
  /// Throws if ids clash or lie far apart, or if a merge is of pieces that are not there. `rows`: as many as the model has, if
  /// more; what is beyond the vocabulary stands for nothing.
  explicit BytePairTokenizer(BytePairVocabulary vocabulary, std::size_t rows = 0) : v_(std::move(vocabulary)) {
    add_pieces();
    add_merges();
    add_tokens();
    known_ = pieces_.size();
    require(rows == 0 || known_ <= rows, known_, " pieces, the model has ", rows);
    pieces_.resize(std::max(rows, known_));
    v_.pieces.clear(), v_.merges.clear();
  }

  std::string name() const override { return "byte-level BPE"; }
  std::size_t vocab_size() const override { return pieces_.size(); }
  std::size_t pieces() const override { return known_; }
  bool adds_space() const override { return v_.prefix_space; }
  std::optional<std::int32_t> start() const override { return v_.start; }
  bool puts_start() const override { return v_.start.has_value(); }
  std::string piece(std::int32_t id) const override {
    const Piece& p = pieces_[checked(id)];
    return p.special ? std::string() : p.text;
  }
  std::size_t text_bytes(std::int32_t id) const override { return pieces_[checked(id)].text.size(); }

  void require_text(std::string_view text) const override { require_utf8(text, "tokenizer " + name()); }
  /// Added tokens are their ids, the text between them is cut into words, whose bytes merge. Throws where the text is not UTF-8,
  /// has a byte that is no piece, or would be changed by the vocabulary's normal form.
  std::vector<std::int32_t> encode(std::string_view text) const override {
    require_text(text);
    Encoding e{text, {}, {}, {}};
    split_added(
        text, plain_,
        [&](std::string_view raw) {
          if (v_.nfc) require_nfc(raw, e);
          split_added(
              raw, normalized_, [&](std::string_view part) { encode_part(part, e); }, e);
        },
        e);
    return std::move(e.ids);
  }

 private:
  struct Piece {
    std::string text;
    bool special = false;
  };
  using Merge = PairMerge<std::size_t>;
  /// A text on its way. Words are encoded once: `known` says where in `ids` a word's ids are.
  struct Encoding {
    std::string_view text;
    std::vector<std::int32_t> ids;
    std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> known;
    std::deque<std::string> prefixed;  // texts with a space put before them
    std::size_t place(std::string_view part) const {
      const bool inside = part.data() >= text.data() && part.data() <= text.data() + text.size();
      return inside ? static_cast<std::size_t>(part.data() - text.data()) : 0;
    }
  };
  /// Added tokens by their first byte, the longest first.
  using Added = std::array<std::vector<AddedToken>, 256>;

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  void put(std::int64_t id, std::string text, std::size_t count, bool special = false) {
    require(id >= 0 && static_cast<std::size_t>(id) < count + 65536, "piece \"", shown(text), "\" has the id ", id,
            " in a vocabulary of ", count, " pieces");
    const auto at = static_cast<std::size_t>(id);
    if (at >= pieces_.size()) pieces_.resize(at + 1);
    pieces_[at] = {std::move(text), special};
  }
  static std::string shown(const std::string& text) { return visible(text.size() > 80 ? text.substr(0, 80) : text); }

  void add_pieces() {
    const std::size_t count = v_.pieces.size() + v_.added.size();
    require(!v_.pieces.empty(), "the vocabulary has no pieces");
    std::unordered_map<std::int32_t, const std::string*> by_id;
    bytes_.fill(-1);
    for (const auto& [piece, id] : v_.pieces) {
      require(ids_.try_emplace(piece, id).second, "piece \"", shown(piece), "\" is there twice");
      const auto [other, fresh] = by_id.try_emplace(id, &piece);
      require(fresh, "pieces \"", shown(*other->second), "\" and \"", shown(piece), "\" have the same id ", id);
      const std::optional<std::string> bytes = alphabet_.bytes(piece);
      put(id, bytes.value_or(piece), count);  // as tokenizers shows it
      if (const int byte = alphabet_.byte(piece); byte >= 0) bytes_[static_cast<std::size_t>(byte)] = id;
      if (v_.whole_words && bytes) words_.try_emplace(*bytes, id);
    }
  }
  void add_merges() {
    const auto id = [&](const std::string& piece, std::size_t merge, const char* what) {
      const auto found = ids_.find(piece);
      require(found != ids_.end(), "merge ", merge, ": ", what, " \"", shown(piece), "\" is not a piece of the vocabulary");
      return found->second;
    };
    for (std::size_t i = 0; i < v_.merges.size(); ++i) {
      const auto& [left, right] = v_.merges[i];
      const std::uint64_t key = pair_key(id(left, i, "its first part"), id(right, i, "its second part"));
      require(merges_.try_emplace(key, Merge{i, id(left + right, i, "its result")}).second, "merge ", i, ": \"", shown(left), ' ',
              shown(right), "\" is there twice");
    }
  }
  /// tokenizers numbers added tokens that are no pieces itself: one after the other, behind the vocabulary.
  void add_tokens() {
    std::optional<std::int32_t> last;
    const std::size_t base = v_.pieces.size();
    for (const AddedToken& token : v_.added) {
      const auto found = ids_.find(token.content);
      const std::int64_t expected = found != ids_.end()                               ? found->second
                                    : last && static_cast<std::size_t>(*last) >= base ? std::int64_t{*last} + 1
                                                                                      : static_cast<std::int64_t>(base);
      require(token.id == expected, "added token \"", shown(token.content), "\" has the id ", token.id,
              ", but transformers gives it ", expected);
      last = std::max(last.value_or(token.id), token.id);
      put(token.id, token.content, base + v_.added.size(), token.special);
      auto& same_start = (token.normalized ? normalized_ : plain_)[static_cast<unsigned char>(token.content[0])];
      for (const AddedToken& other : same_start)
        require(other.content != token.content, "added token \"", shown(token.content), "\" is there twice");
      same_start.push_back(token);
    }
    for (Added* all : {&plain_, &normalized_})
      for (auto& tokens : *all)
        std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.content.size() > b.content.size(); });
  }

  /// Calls `rest(part)` for what lies between the added tokens of `text`: the leftmost, of those the longest.
  template <class Rest>
  static void split_added(std::string_view text, const Added& added, const Rest& rest, Encoding& e) {
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
      const AddedToken* found = nullptr;
      for (const AddedToken& token : added[static_cast<unsigned char>(text[at])])
        if (!found && text.substr(at).starts_with(token.content)) found = &token;
      if (!found) {
        ++at;
        continue;
      }
      if (at > begin) rest(text.substr(begin, at - begin));
      e.ids.push_back(found->id);
      begin = at += found->content.size();
    }
    if (begin < text.size()) rest(text.substr(begin));
  }

  static void require_nfc(std::string_view part, const Encoding& e) {
    for (std::size_t at = 0; at < part.size();) {
      const unicode::Character c = unicode::character_at(part, at);
      if (unicode::may_change_in_nfc(c.code))
        fail("the text has the character ", visible(part.substr(at, c.end - at)), " at byte ", e.place(part) + at,
             ": this vocabulary's normal form NFC may change it, which is not done here");
      at = c.end;
    }
  }

  void encode_part(std::string_view part, Encoding& e) const {
    if (v_.prefix_space && part[0] != ' ') part = e.prefixed.emplace_back(" " + std::string(part));
    cut(part, 0, e);
  }
  void cut(std::string_view part, std::size_t step, Encoding& e) const {
    if (step == v_.cuts.size()) return encode_word(part, e);
    for (std::size_t at = 0; at < part.size();) {
      const std::size_t end = v_.cuts[step](part, at);
      cut(part.substr(at, end - at), step + 1, e);
      at = end;
    }
  }
  void encode_word(std::string_view word, Encoding& e) const {
    constexpr std::size_t longest_kept = 32;
    const std::size_t begin = e.ids.size();
    if (word.size() <= longest_kept) {
      const auto [kept, fresh] = e.known.try_emplace(word, begin, 0);
      if (!fresh) {
        for (std::size_t i = 0; i < kept->second.second; ++i) e.ids.push_back(e.ids[kept->second.first + i]);
        return;
      }
      merge(word, e);
      kept->second.second = e.ids.size() - begin;
    } else {
      merge(word, e);
    }
  }
  void merge(std::string_view word, Encoding& e) const {
    if (v_.whole_words) {
      if (const auto found = words_.find(std::string(word)); found != words_.end()) return e.ids.push_back(found->second);
    }
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const auto byte = static_cast<unsigned char>(word[i]);
      ids.push_back(bytes_[byte]);
      require(ids.back() >= 0, "the text has the byte ", static_cast<unsigned>(byte), " at byte ", e.place(word) + i,
              ": no piece of tokenizer ", name(), " stands for it");
    }
    const auto find = [&](std::int32_t left, std::int32_t right) -> std::optional<Merge> {
      const auto found = merges_.find(pair_key(left, right));
      return found == merges_.end() ? std::optional<Merge>{} : found->second;
    };
    for (const std::int32_t id : merge_pairs<std::size_t>(std::move(ids), find)) e.ids.push_back(id);
  }

  ByteAlphabet alphabet_;
  BytePairVocabulary v_;
  std::vector<Piece> pieces_;  // by id
  std::size_t known_ = 0;
  std::array<std::int32_t, 256> bytes_{};
  std::unordered_map<std::string, std::int32_t> ids_, words_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  Added plain_, normalized_;
};

}  // namespace skipv1
