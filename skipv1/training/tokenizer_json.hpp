// tokenizer.json, as the package tokenizers and transformers write it, where its model is byte-level BPE. What is not known here
// is refused by name, as it would give other ids.
#pragma once

#include <algorithm>
#include <memory>

#include "skipv1/io/json.hpp"
#include "skipv1/training/byte_pair.hpp"

namespace skipv1 {

namespace detail {

/// Sees the parser's events and takes pieces and merges out of them, hundreds of thousands of which would be slow in an object
/// that keeps its keys' order; the rest is held to the rules of `JsonGuard`.
class TokenizerJsonGuard {
 public:
  using Event = Json::parse_event_t;
  explicit TokenizerJsonGuard(BytePairVocabulary& to) : to_(to) {}

  bool operator()(int depth, Event event, const Json& value) {
    const bool in_vocab = path_.size() == 3 && path_[0] == "model" && path_[1] == "vocab";
    const bool in_merges = path_.size() >= 3 && path_[0] == "model" && path_[1] == "merges";
    if (path_.size() == 2 && path_[0] == "model") require_byte_pairs(event, value);
    if (in_vocab && event != Event::object_end) return piece(event, value);
    if (in_merges && (path_.size() > 3 || event != Event::array_end)) return merge(event, value);
    guard_(depth, event, value);
    if (event == Event::object_start || event == Event::array_start) path_.emplace_back();
    if (event == Event::object_end || event == Event::array_end) path_.pop_back();
    if (event == Event::key) path_.back() = value.get<std::string>();
    return true;
  }

 private:
  /// Before a vocabulary of another kind is looked at: a member of "model".
  void require_byte_pairs(Event event, const Json& value) const {
    const bool other = event == Event::value && path_[1] == "type" && value != "BPE";
    require(!other, "\"model.type\" is ", other ? brief(value) : "", ": only byte-level BPE is read");
    require(event != Event::array_start || path_[1] != "vocab",
            "\"model.vocab\" is a list, as that of Unigram: only byte-level BPE is read");
  }
  /// The piece is dropped from the object as soon as its key is read, its id with it.
  bool piece(Event event, const Json& value) {
    if (event == Event::key) {
      to_.pieces.emplace_back(value.get<std::string>(), 0);
      return false;
    }
    const bool holds = event == Event::value && value.is_number_integer() && value >= 0 && value <= 0x7fffffff;
    require(holds && !to_.pieces.empty(), "\"model.vocab\": the id of \"",
            to_.pieces.empty() ? "" : visible(to_.pieces.back().first), "\" is ",
            event == Event::value ? brief(value) : "no number", ": must be a whole number below 2147483648");
    to_.pieces.back().second = value.get<std::int32_t>();
    return true;
  }
  /// "left right" or ["left", "right"].
  bool merge(Event event, const Json& value) {
    const std::size_t number = to_.merges.size();
    if (event == Event::array_start && path_.size() == 3) {
      path_.emplace_back();
      parts_.clear();
      return true;
    }
    if (event == Event::array_end) {
      path_.pop_back();
    } else {
      require(event == Event::value && value.is_string(), "\"model.merges\": merge ", number,
              ": expected a string or two in a list");
      parts_.push_back(value.get<std::string>());
      if (path_.size() > 3) return false;
      const std::string line = parts_.back();
      const std::size_t space = line.find(' ');
      parts_ = {line.substr(0, space), space == line.npos ? "" : line.substr(space + 1)};
      require(space != line.npos && parts_[1].find(' ') == line.npos, "\"model.merges\": merge ", number, ", \"",
              visible(brief(line)), "\": expected two pieces with a space between them");
    }
    require(parts_.size() == 2, "\"model.merges\": merge ", number, " is of ", parts_.size(), " pieces: expected two");
    to_.merges.emplace_back(std::move(parts_[0]), std::move(parts_[1]));
    parts_.clear();
    return false;
  }

  BytePairVocabulary& to_;
  JsonGuard guard_;
  std::vector<std::string> path_, parts_;
};

/// Reads what is not pieces and merges, refusing what is not known.
class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const Json& root, BytePairVocabulary& to) : root_(root), to_(to) {}

  void read() {
    JsonFields fields(root_);
    std::string version = "1.0";
    fields.read("version", version, Presence::optional);
    require(version == "1.0", "\"version\" is ", version, ": 1.0 is read");
    for (const char* of_batches : {"truncation", "padding"})
      fields.find(of_batches, Presence::optional);  // as in transformers, where they have no effect unless a call asks for them
    const Json& pairs = *fields.find("model");
    fields.expect(pairs.is_object(), "model", "an object", pairs);
    model(pairs);
    normalizer(of(fields, "normalizer"));
    pre_tokenizer(of(fields, "pre_tokenizer"));
    post_processor(of(fields, "post_processor"));
    decoder(of(fields, "decoder"));
    if (const Json* added = of(fields, "added_tokens")) {
      fields.expect(added->is_array(), "added_tokens", "a list", *added);
      for (const Json& token : *added) added_token(token);
    }
    fields.finish();
    const auto among = [&](const auto& tokens, auto member) {
      return std::any_of(tokens.begin(), tokens.end(), [&](const auto& token) { return token.*member == unknown_; });
    };
    require(unknown_.empty() || among(to_.pieces, &std::pair<std::string, std::int32_t>::first) ||
                among(to_.added, &AddedToken::content),
            "\"model.unk_token\", \"", visible(brief(unknown_)), "\", is not in the vocabulary");
  }

 private:
  /// The value of a key; null if it is absent or null.
  static const Json* of(JsonFields& fields, const char* key) {
    const Json* value = fields.find(key, Presence::optional);
    return value && !value->is_null() ? value : nullptr;
  }
  static std::string type_of(const Json& object, const char* place) {
    std::string type;
    JsonFields(object, std::string(place) + ".").read("type", type);
    return type;
  }
  /// Throws unless `key` is absent, null or one of `known`.
  static void only(JsonFields& fields, const char* place, const char* key, std::initializer_list<Json> known) {
    const Json* value = of(fields, key);
    require(!value || std::find(known.begin(), known.end(), *value) != known.end(), '"', place, '.', key, "\" is ",
            value ? brief(*value) : "", ": only ", brief(*known.begin()), " is read");
  }
  [[noreturn]] static void refuse(const char* place, const std::string& type, const char* known) {
    fail('"', place, "\" is ", brief(type), ": ", known);
  }

  void model(const Json& object) {
    JsonFields fields(object, "model.");
    std::string type = "BPE";
    fields.read("type", type, Presence::optional);
    only(fields, "model", "dropout", {Json(nullptr), Json(0.0)});
    only(fields, "model", "continuing_subword_prefix", {Json("")});
    only(fields, "model", "end_of_word_suffix", {Json("")});
    only(fields, "model", "byte_fallback", {Json(false)});
    fields.read("ignore_merges", to_.whole_words, Presence::optional);
    fields.find("fuse_unk", Presence::optional);
    for (const char* key : {"vocab", "merges"}) {
      const Json& value = *fields.find(key);
      const bool vocab = key[0] == 'v';
      fields.expect(vocab ? value.is_object() : value.is_array(), key, vocab ? "an object" : "a list", value);
    }
    if (const Json* unknown = of(fields, "unk_token")) {
      fields.expect(unknown->is_string(), "unk_token", "a string", *unknown);
      unknown_ = unknown->get<std::string>();
    }
    fields.finish();
  }

  void normalizer(const Json* object) {
    if (!object) return;
    const std::string type = type_of(*object, "normalizer");
    if (type != "NFC") refuse("normalizer", type, "only NFC, or none, is read");
    to_.nfc = true;
  }

  void pre_tokenizer(const Json* object) {
    constexpr const char* place = "pre_tokenizer";
    require(object, "\"pre_tokenizer\" is null: only byte-level BPE is read");
    const std::string type = type_of(*object, place);
    if (type == "ByteLevel") return byte_level(*object, 0);
    if (type != "Sequence") refuse(place, type, "only ByteLevel, or Split and Digits before it, is read");
    JsonFields fields(*object, "pre_tokenizer.");
    fields.find("type");
    const Json& steps = *fields.find("pretokenizers");
    fields.finish();
    require(steps.is_array() && !steps.empty(), "\"pre_tokenizer.pretokenizers\": expected a list that is not empty");
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::string step = type_of(steps[i], "pre_tokenizer.pretokenizers");
      const bool last = i + 1 == steps.size();
      require((step == "ByteLevel") == last, "\"pre_tokenizer\": step ", i, " of ", steps.size(), " is ", brief(step),
              ": ByteLevel must be the last step, and only that");
      if (last) {
        byte_level(steps[i], i);
      } else if (step == "Split") {
        split(steps[i]);
      } else if (step == "Digits") {
        digits(steps[i]);
      } else {
        refuse(place, step, "only Split and Digits are read before ByteLevel");
      }
    }
  }
  /// `before`: how many steps come first.
  void byte_level(const Json& object, std::size_t before) {
    JsonFields fields(object, "pre_tokenizer.ByteLevel.");
    bool trim = true, regex = true;
    to_.prefix_space = true;
    fields.find("type");
    fields.read("add_prefix_space", to_.prefix_space, Presence::optional);
    fields.read("trim_offsets", trim, Presence::optional);
    fields.read("use_regex", regex, Presence::optional);
    fields.finish();
    require(before == 0 || !to_.prefix_space,
            "\"pre_tokenizer\": ByteLevel puts a space before each piece of the steps before it ",
            "(\"add_prefix_space\"): only without that it is read");
    if (regex) to_.cuts.push_back(gpt2_word_end);
  }
  void split(const Json& object) {
    constexpr const char* place = "pre_tokenizer.Split";
    JsonFields fields(object, "pre_tokenizer.Split.");
    fields.find("type");
    JsonFields pattern(*fields.find("pattern"), "pre_tokenizer.Split.pattern.");
    std::string regex;
    pattern.read("Regex", regex);
    pattern.finish();
    only(fields, place, "behavior", {Json("Isolated")});
    only(fields, place, "invert", {Json(false)});
    fields.finish();
    const WordEnd end = word_end_of(regex);
    require(end, "\"pre_tokenizer.Split.pattern\" is ", brief(Json(regex)),
            ": only the patterns of GPT-2, LLaMA 3 and Qwen2 are read");
    to_.cuts.push_back(end);
  }
  void digits(const Json& object) {
    JsonFields fields(object, "pre_tokenizer.Digits.");
    bool each = false;
    fields.find("type");
    fields.read("individual_digits", each, Presence::optional);
    fields.finish();
    to_.cuts.push_back(each ? each_digit_end : digits_end);
  }

  void post_processor(const Json* object) {
    if (!object) return;
    const std::string type = type_of(*object, "post_processor");
    if (type == "ByteLevel") return;  // of offsets
    if (type == "TemplateProcessing") return template_processing(*object);
    if (type != "Sequence") refuse("post_processor", type, "only ByteLevel and TemplateProcessing are read");
    JsonFields fields(*object, "post_processor.");
    for (const Json& inner : *fields.find("processors")) post_processor(&inner);
  }
  /// The mark before a text. Marks after it are not put anywhere here.
  void template_processing(const Json& object) {
    JsonFields fields(object, "post_processor.");
    const Json& single = *fields.find("single");
    const Json& marks = *fields.find("special_tokens");
    require(single.is_array(), "\"post_processor.single\": expected a list");
    for (const Json& item : single) {
      if (item.is_object() && item.contains("Sequence")) return;
      std::string name;
      JsonFields(*JsonFields(item).find("SpecialToken")).read("id", name);
      JsonFields mark(*JsonFields(marks).find(name), "post_processor.special_tokens.");
      const Json& ids = *mark.find("ids");
      require(ids.is_array() && ids.size() == 1 && ids[0].is_number_integer() && ids[0] >= 0 && ids[0] <= 0x7fffffff,
              "\"post_processor.special_tokens\": ", brief(name), " must have one id");
      require(!to_.start, "\"post_processor\" puts more than one mark before a text: one is read");
      to_.start = ids[0].get<std::int32_t>();
    }
  }

  static void decoder(const Json* object) {
    if (!object) return;
    const std::string type = type_of(*object, "decoder");
    if (type != "ByteLevel") refuse("decoder", type, "only ByteLevel is read");
  }

  void added_token(const Json& object) {
    JsonFields fields(object, "added_tokens.");
    AddedToken token;
    std::size_t id = 0;
    fields.read("id", id);
    fields.read("content", token.content);
    require(!token.content.empty() && id <= 0x7fffffff, "\"added_tokens\": token ", id, ", \"", visible(brief(token.content)),
            "\": must have a text, and an id below 2147483648");
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      bool set = false;
      fields.read(key, set);
      require(!set, "\"added_tokens\": \"", visible(brief(token.content)), "\" has \"", key,
              "\": only tokens without it are read");
    }
    fields.read("normalized", token.normalized);
    fields.read("special", token.special);
    fields.finish();
    token.id = static_cast<std::int32_t>(id);
    to_.added.push_back(std::move(token));
  }

  const Json& root_;
  BytePairVocabulary& to_;
  std::string unknown_;
};

}  // namespace detail

/// The vocabulary in a tokenizer.json's text. Throws, naming the key, where it is of another kind than byte-level BPE or says
/// what is not known here.
inline BytePairVocabulary parse_tokenizer_json(std::string_view text) {
  BytePairVocabulary vocabulary;
  const Json root = detail::parse_json_with(text, detail::TokenizerJsonGuard(vocabulary));
  detail::TokenizerJsonReader(root, vocabulary).read();
  return vocabulary;
}

/// The tokenizer in a tokenizer.json's text, for a model of `rows` rows (0: as many as there are pieces). Throws as
/// `parse_tokenizer_json` and `BytePairTokenizer`.
inline std::unique_ptr<BytePairTokenizer> read_tokenizer_json(std::string_view text, std::size_t rows = 0) {
  return std::make_unique<BytePairTokenizer>(parse_tokenizer_json(text), rows);
}

}  // namespace skipv1
