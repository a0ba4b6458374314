// What lies beside a tokenizer.json and changes the ids that transformers makes: tokenizer_config.json and
// special_tokens_map.json. Where they add to it or contradict it, they are refused by name.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>

#include "skipv1/io/config.hpp"
#include "skipv1/training/byte_pair.hpp"

namespace skipv1 {

namespace detail {

/// Holds one of the files to a tokenizer.json's vocabulary.
class BesideTokenizerJson {
 public:
  explicit BesideTokenizerJson(const BytePairVocabulary& vocabulary) : v_(vocabulary) {}

  /// Throws if `object` names a token, an option or a class that gives other ids than the vocabulary by itself.
  void check(const Json& object) const {
    require(object.is_object(), "expected an object, found ", object.is_object() ? "" : brief(object));
    for (const auto& item : object.items()) {
      const std::string& key = item.key();
      const bool many =
          key == "extra_special_tokens" || key == "additional_special_tokens" || key == "model_specific_special_tokens";
      if (key == "added_tokens_decoder") {
        for (const auto& token : item.value().items()) added(token.key(), token.value());
      } else if (many && item.value().is_structured()) {
        for (const auto& token : item.value().items()) named(key, token.value());
      } else if (key.ends_with("_token")) {
        named(key, item.value());
      }
    }
    for (const char* key : {"split_special_tokens", "auto_map"}) {
      const Json value = object.value(key, Json());
      require(value.is_null() || value == false, '"', key, "\" is ", brief(value), ": only tokenizers without it are read");
    }
    const Json space = object.value("add_prefix_space", Json());
    require(space.is_null() || space == v_.prefix_space, "\"add_prefix_space\" is ", brief(space), ", in tokenizer.json it is ",
            v_.prefix_space ? "true" : "false");
    check_class(object.value("tokenizer_class", Json()));
  }

 private:
  const AddedToken* find(const std::string& content) const {
    const auto found = std::find_if(v_.added.begin(), v_.added.end(), [&](const AddedToken& t) { return t.content == content; });
    return found == v_.added.end() ? nullptr : &*found;
  }
  /// A token by its text, or an object with it; flags and nulls are no tokens.
  void named(const std::string& key, const Json& value) const {
    const Json content = value.is_object() ? value.value("content", Json()) : value;
    if (!content.is_string()) return;
    require(find(content.get<std::string>()), '"', key, "\", ", brief(content),
            ", is none of tokenizer.json's added tokens: transformers adds it to them");
  }
  /// An entry of "added_tokens_decoder".
  void added(const std::string& id, const Json& value) const {
    const std::string place = "\"added_tokens_decoder." + brief(id) + "\"";
    const Json content = value.is_object() ? value.value("content", Json()) : Json();
    require(content.is_string(), place, ": expected an object with a \"content\", found ", brief(value));
    const AddedToken* token = find(content.get<std::string>());
    require(token && id == std::to_string(token->id), place, ", ", brief(content), ", is ",
            token ? "token " + std::to_string(token->id) + " in tokenizer.json"
                  : std::string("none of tokenizer.json's added tokens: transformers adds it to them"));
    for (const auto& [key, same] : {std::pair("lstrip", false), std::pair("rstrip", false), std::pair("single_word", false),
                                    std::pair("normalized", token->normalized), std::pair("special", token->special)})
      require(value.value(key, Json(same)) == same, place, ", ", brief(content), ": its \"", key,
              "\" differs from tokenizer.json's");
  }
  /// Of some classes transformers takes the pieces and the merges, and cuts words in the class's way.
  void check_class(const Json& value) const {
    if (value.is_null()) return;
    std::string name = value.is_string() ? value.get<std::string>() : "";
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    for (const char* plain : {"PreTrainedTokenizer", "TokenizersBackend", "LlamaTokenizer"})
      if (name == plain) return;
    const auto cuts = [&](std::initializer_list<WordEnd> known) {
      return !v_.cuts.empty() && std::all_of(v_.cuts.begin(), v_.cuts.end(), [&](WordEnd cut) {
        return std::find(known.begin(), known.end(), cut) != known.end();
      });
    };
    // Merges that were trained on digits cut apart are of none, so that it does not matter whether a class cuts them, too.
    const bool gpt2_words = cuts({gpt2_word_end, digits_end, each_digit_end}) && v_.cuts.back() == gpt2_word_end;
    const bool same = name == "GPT2Tokenizer" || name == "CodeGenTokenizer" ? gpt2_words && !v_.nfc
                      : name == "GPTNeoXTokenizer"                          ? gpt2_words && v_.nfc
                                                   : name == "Qwen2Tokenizer" && v_.nfc && cuts({llama3_word_end<1>});
    require(same, "\"tokenizer_class\" is ", brief(value),
            ": transformers makes a tokenizer of its own kind of it, which differs from tokenizer.json or is not known here");
  }

  const BytePairVocabulary& v_;
};

}  // namespace detail

/// Throws, naming file and key, if what lies in a tokenizer.json's folder gives transformers other ids than `vocabulary`.
inline void check_beside_tokenizer_json(const std::filesystem::path& folder, const BytePairVocabulary& vocabulary) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path)) continue;
    try {
      read_config_as(path, [&](std::string_view text) { detail::BesideTokenizerJson(vocabulary).check(parse_json(text)); });
    } catch (const Error& error) {
      fail(error.what(), "; AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in Python writes both files alike");
    }
  }
}

}  // namespace skipv1
