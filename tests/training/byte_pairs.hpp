// A small tokenizer.json for tests to read and to spoil.
#pragma once

#include "skipv1/training/tokenizer_json.hpp"

namespace skipv1::test {

/// The letters of byte-level vocabularies, byte by byte.
inline std::vector<std::string> byte_letters() {
  std::vector<std::string> letters(256);
  const ByteAlphabet alphabet;
  for (std::uint32_t code = 0x21; code < 0x144; ++code) {
    const std::string letter = code < 0x80
                                   ? std::string(1, static_cast<char>(code))
                                   : std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    if (const int byte = alphabet.byte(letter); byte >= 0) letters[static_cast<std::size_t>(byte)] = letter;
  }
  return letters;
}

/// GPT-2's kind: 256 bytes by their values, "th" 256, "the" 257, " the" 258, "he" 259, "<|end|>" 260, a mark.
inline Json small_tokenizer_json() {
  Json vocab = Json::object();
  const std::vector<std::string> letters = byte_letters();
  for (std::size_t byte = 0; byte < 256; ++byte) vocab[letters[byte]] = byte;
  const std::string space = letters[' '];
  std::size_t id = 256;
  for (const std::string& piece : {std::string("th"), std::string("the"), space + "the", std::string("he")}) vocab[piece] = id++;
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json mark = {{"id", id},        {"content", "<|end|>"}, {"single_word", false}, {"lstrip", false},
                     {"rstrip", false}, {"normalized", false},  {"special", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", Json::array({mark})},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", {"t h", "th e", space + " the", "h e"}}}}};
}

}  // namespace skipv1::test
