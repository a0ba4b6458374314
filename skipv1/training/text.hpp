// Text as training data: token ids with the bytes they stand for, and windows of them.
//
// A corpus of 4 MB without a download: Debian's package bible-kjv prints one verse a line by
//   bible -f gen1:1-rev22:21 < /dev/null | sed 's/^[^ ]* //' > kjv.txt
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/core/random.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/io/file.hpp"
#include "skipv1/training/tokenizer.hpp"

namespace skipv1 {

/// The bytes of a file. Throws if it cannot be read or is empty.
inline std::string load_bytes(const std::filesystem::path& path) {
  Source file(path);
  require(file.size() > 0, path.string(), ": is empty");
  return file.text(0, file.size());
}

/// Throws unless `bytes` are a text: UTF-8 without NUL bytes. Models learn other bytes without a word, and nothing of use.
inline void require_plain_text(std::string_view bytes) {
  static constexpr std::pair<std::string_view, const char*> packed[] = {{"\x1f\x8b", "gzip"},
                                                                        {"\xfd\x37\x7a\x58\x5a", "xz"},
                                                                        {"\x28\xb5\x2f\xfd", "zstd"},
                                                                        {"BZh91AY&SY", "bzip2"},
                                                                        {"PK\x03\x04", "zip"}};
  for (const auto& [begin, name] : packed)
    require(!bytes.starts_with(begin), "is compressed (", name, "): must be text, in UTF-8");
  const std::size_t end = utf8_end(bytes), nul = bytes.substr(0, end).find('\0');
  require(nul == bytes.npos, "is no text: byte ", nul, " is NUL");
  require(end == bytes.size(), "is no text: not UTF-8 at byte ", end);
}

/// A text file. Throws if it cannot be read, is empty or no text.
inline std::string load_text(const std::filesystem::path& path) {
  std::string text = load_bytes(path);
  at_place(path.string(), [&] { require_plain_text(text); });
  return text;
}

/// How many of `count` things come before the last `share` of them (0 < share < 1). Throws if either part would be empty.
inline std::size_t split_count(std::size_t count, double share) {
  require(share > 0 && share < 1, "a share of ", share, " for validation: must be above 0, below 1");
  const auto cut = static_cast<std::size_t>(std::llround(static_cast<double>(count) * (1 - share)));
  require(cut > 0 && cut < count, count, " tokens cannot be split with a share of ", share, " for validation");
  return cut;
}

/// Says on standard error that a held-out text is learned, too, if it is: the same as, or a part of, the text to learn. Short
/// ones occur in others by themselves.
inline void warn_of_learned(const std::string& place, std::string_view text, const std::string& held_out_place,
                            std::string_view held_out) {
  constexpr std::size_t chance = 256;  // bytes
  const bool same = held_out == text;
  if (!same && (held_out.size() < chance || text.find(held_out) == text.npos)) return;
  std::fprintf(stderr, "%s: held out is %s that is learned, %s: its loss says nothing of other texts\n", held_out_place.c_str(),
               same ? "the text" : "a part of the text", place.c_str());
}

/// `text` cut in two, the second part about `share` of its bytes (0 < share < 1): the first part ends with a line if there
/// are lines in the second half of it, else with a character. Throws if a part would be empty.
inline std::pair<std::string_view, std::string_view> split_text(std::string_view text, double share) {
  require(share > 0 && share < 1, "a share of ", share, " for validation: must be above 0, below 1");
  auto cut = static_cast<std::size_t>(std::llround(static_cast<double>(text.size()) * (1 - share)));
  const std::size_t line = text.substr(0, cut).rfind('\n');
  if (line != text.npos && line >= cut / 2) {
    cut = line + 1;
  } else {
    while (cut > 0 && cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  }
  require(cut > 0 && cut < text.size(), "a text of ", text.size(), " bytes cannot be split with a share of ", share,
          " for validation");
  return {text.substr(0, cut), text.substr(cut)};
}

/// A permutation of `0 … n - 1` that needs no memory: four rounds of a Feistel network on the fewest even number of bits that
/// hold `n - 1`, repeated while the result is `n` or more (Black and Rogaway 2002, cycle walking).
class Permutation {
 public:
  Permutation(std::size_t n, const Random& key) : n_(n), key_(key) {
    require(n >= 1, "a permutation of nothing");
    while (half_ < 31 && (std::size_t{1} << (2 * half_)) < n) ++half_;
  }
  std::size_t operator()(std::size_t i) const {
    require(i < n_, "element ", i, " of a permutation of ", n_);
    do i = rounds(i);
    while (i >= n_);
    return i;
  }

 private:
  std::size_t rounds(std::size_t i) const {
    const std::size_t mask = (std::size_t{1} << half_) - 1;
    std::size_t left = i >> half_, right = i & mask;
    for (std::uint64_t round = 0; round < 4; ++round)
      left ^= key_.split(round << 32 | right).bits() & mask, std::swap(left, right);
    return left << half_ | right;
  }

  std::size_t n_;
  Random key_;
  unsigned half_ = 1;
};

/// Windows of a text, row by row: `targets[i]` is the token that follows `tokens[i]`.
struct Windows {
  std::vector<std::int32_t> tokens, targets;  ///< (B T)
};

/// The tokens of a text.
class TextData {
 public:
  /// Encodes `text`. Throws if it is empty, not what the tokenizer takes, or if the tokens stand for other bytes in all.
  TextData(std::string_view text, const Tokenizer& tokenizer)
      : tokens_(tokenizer.encode(text)), piece_bytes_(tokenizer.vocab_size()) {
    require(!text.empty(), "the text is empty");
    read_pieces(tokenizer);
    const std::size_t all = bytes(0, size());
    added_ = tokenizer.adds_space() && !(all == text.size() && text.starts_with(' ')) ? 1 : 0;
    require(all - added_ == text.size(), "tokenizer ", tokenizer.name(), " makes tokens of ", all - added_, " bytes from ",
            text.size(), " bytes: it does not keep the text");
  }
  /// From tokens; how many bytes they stand for `tokenizer` knows, or, where it is null, nobody.
  explicit TextData(std::vector<std::int32_t> tokens, const Tokenizer* tokenizer = nullptr) : tokens_(std::move(tokens)) {
    if (!tokenizer) return;
    piece_bytes_.resize(tokenizer->vocab_size());
    read_pieces(*tokenizer);
  }

  std::size_t size() const { return tokens_.size(); }  ///< tokens
  const std::vector<std::int32_t>& tokens() const { return tokens_; }

  /// How many bytes of the text the tokens `begin … end - 1` stand for; 0 if that is not known.
  std::size_t bytes(std::size_t begin, std::size_t end) const {
    require(begin <= end && end <= size(), "tokens ", begin, " to ", end, " of ", size());
    if (piece_bytes_.empty()) return 0;
    std::size_t sum = 0;
    for (std::size_t i = begin; i < end; ++i) sum += piece_bytes_[static_cast<std::size_t>(tokens_[i])];
    return begin == 0 && end > 0 ? sum - added_ : sum;  // the space that is not in the text belongs to the first token
  }

  /// `batch` windows of `length` tokens at places that depend on (seed, step) only, so that a run goes on where it stopped.
  /// Throws if the text is shorter than one window and the token after it.
  Windows random(std::size_t batch, std::size_t length, std::uint64_t seed, std::uint64_t step) const {
    count(length);
    Random places = Random(seed).split(step);
    Windows windows;
    windows.tokens.reserve(batch * length), windows.targets.reserve(batch * length);
    for (std::size_t b = 0; b < batch; ++b) append(windows, places.below(size() - length), length);
    return windows;
  }

  /// How many windows `epochs` reads in one epoch over the first `tokens` tokens (0: the whole text). Throws if there is none.
  std::size_t windows_of_epoch(std::size_t length, std::size_t tokens = 0) const {
    require(tokens <= size(), "epochs over ", tokens, " tokens of a text of ", size());
    const std::size_t used = tokens ? tokens : size();
    require(length >= 1 && used >= 2 * length, "epochs over ", used, " tokens: must be at least two windows of ", length);
    return (used - length) / length;
  }

  /// `batch` windows of `length` tokens without replacement. An epoch reads the adjacent windows of the first `tokens` tokens (0:
  /// the whole text), each once; their order, and where below `length` the first begins, depend on (seed, epoch). The result
  /// depends on (seed, step) only, so that a run can be resumed. Throws as `windows_of_epoch`.
  Windows epochs(std::size_t batch, std::size_t length, std::uint64_t seed, std::uint64_t step, std::size_t tokens = 0) const {
    const std::size_t count = windows_of_epoch(length, tokens);
    Windows windows;
    windows.tokens.reserve(batch * length), windows.targets.reserve(batch * length);
    for (std::uint64_t n = step * batch; n < (step + 1) * batch; ++n) {
      const Random key = Random(seed).split(n / count);
      const std::size_t first = Random(key).below(length);
      append(windows, first + Permutation(count, key)(n % count) * length, length);
    }
    return windows;
  }

  /// How many windows of `length` tokens lie next to each other in the text, each with the token after it: every token of
  /// theirs but the text's first is predicted once. Throws if there is none.
  std::size_t count(std::size_t length) const {
    require(length >= 1 && size() > length, "a text of ", size(), " tokens is too short for a window of ", length,
            " tokens and the one that follows it");
    return (size() - 1) / length;
  }

  /// The windows `first … first + batch - 1` of `count(length)`; they predict the tokens from `first * length + 1` on.
  Windows sequential(std::size_t first, std::size_t batch, std::size_t length) const {
    require(first + batch <= count(length), "windows ", first, " to ", first + batch, " of ", count(length));
    Windows windows;
    for (std::size_t b = 0; b < batch; ++b) append(windows, (first + b) * length, length);
    return windows;
  }

 private:
  void read_pieces(const Tokenizer& tokenizer) {
    for (std::size_t id = 0; id < piece_bytes_.size(); ++id)
      piece_bytes_[id] = static_cast<std::uint32_t>(tokenizer.text_bytes(static_cast<std::int32_t>(id)));
  }
  void append(Windows& windows, std::size_t begin, std::size_t length) const {
    const auto from = tokens_.begin() + static_cast<std::ptrdiff_t>(begin), to = from + static_cast<std::ptrdiff_t>(length);
    windows.tokens.insert(windows.tokens.end(), from, to);
    windows.targets.insert(windows.targets.end(), from + 1, to + 1);
  }

  std::vector<std::int32_t> tokens_;
  std::vector<std::uint32_t> piece_bytes_;  // by id
  std::size_t added_ = 0;
};

/// Bits per byte of `tokens` tokens that stand for `bytes` bytes, at a mean loss of `nats` a token: comparable between
/// tokenizers. NaN where `bytes` is 0: how many they are is not known.
inline double bits_per_byte(double nats, std::size_t tokens, std::size_t bytes) {
  if (bytes == 0) return std::numeric_limits<double>::quiet_NaN();
  return nats / std::numbers::ln2 * static_cast<double>(tokens) / static_cast<double>(bytes);
}

}  // namespace skipv1
