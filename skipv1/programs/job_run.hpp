// A job under way: texts, vocabulary, model, and the run.
#pragma once

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/programs/job.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/open_text.hpp"
#include "skipv1/programs/option_names.hpp"

namespace skipv1 {

/// Runs a job in scalars `T`, its model and training in `Space`.
template <class T, class Space = Cpu>
class JobRun {
 public:
  explicit JobRun(PreparedJob prepared) : p_(std::move(prepared)), output_(p_.job.json, result_keys()) {}

  void run() {
    open_texts();
    choose_model();
    require_room();
    const auto [text, held_out] = p_.job.tokens.empty() ? encoded_texts() : token_texts();
    at_place(learned_part(held_out.size(), "tokens"), [&, &learned = text] { learned.count(p_.job.run.training.length); });
    require(held_out.size() >= 2, held_out_place(), ": held out are ", held_out.size(), " tokens: at least 2 are needed");
    auto run = in_option_names(training_fields, [&, &learned = text, &held = held_out] {
      return TrainingRun<T, Space>(
          config_, p_.job.run, learned, held, p_.folder, [&] { return initial(); },
          [&](const std::filesystem::path& folder) { save_beside(folder); }, p_.world);
    });
    if (first() && !p_.last && !held_out_.empty()) warn_of_learned(text_place(), whole_, held_out_place(), held_out_);
    print_start(text, held_out);
    end(run.run());
  }

 private:
  bool first() const { return p_.world.first(); }
  /// The files of what is learned and of what is held out, which may be one.
  const std::string& text_place() const { return p_.job.tokens.empty() ? p_.job.text : p_.job.tokens; }
  const std::string& held_out_place() const {
    const std::string& own = p_.job.tokens.empty() ? p_.job.valid : p_.job.valid_tokens;
    return own.empty() ? text_place() : own;
  }
  /// `text_place`, and how much of it is held out, if that is a part of it.
  std::string learned_part(std::size_t held_out, const char* units) const {
    if (!p_.job.valid.empty() || !p_.job.valid_tokens.empty()) return text_place();
    return text_place() + " (its last " + std::to_string(held_out) + ' ' + units + " are held out)";
  }
  void open_texts() {
    const std::string &first = text_place(), &rest = p_.job.tokens.empty() ? p_.job.valid : p_.job.valid_tokens;
    whole_ = load_bytes(first);
    if (!rest.empty()) held_out_ = load_bytes(rest);
    const std::string text = fingerprint(whole_), valid = fingerprint(held_out_);
    require(!p_.last || text == p_.text_fingerprint, first, ": not the text that the run to be resumed has learned from");
    require(!p_.last || valid == p_.valid_fingerprint, rest, ": not the held-out text of the run to be resumed");
    p_.text_fingerprint = text, p_.valid_fingerprint = valid;
    if (!p_.job.tokens.empty()) return;
    at_place(first, [&] { require_plain_text(whole_); });
    at_place(rest, [&] { require_plain_text(held_out_); });
  }
  std::pair<std::string_view, std::string_view> parts() const {
    if (!p_.job.valid.empty()) return std::pair<std::string_view, std::string_view>(whole_, held_out_);
    return at_place(text_place(), [&] { return split_text(whole_, p_.job.valid_share); });
  }

  std::pair<TextData, TextData> encoded_texts() const {
    const auto [first, rest] = parts();
    const auto encoded = [&](const std::string& place, std::string_view text) {
      return at_place(place, [&] { return TextData(text, *vocabulary_->tokenizer); });
    };
    return {encoded(text_place(), first), encoded(held_out_place(), rest)};
  }
  /// Token ids, cut in two where none are given to hold out.
  std::pair<TextData, TextData> token_texts() const {
    const Tokenizer* tokenizer = vocabulary_ ? vocabulary_->tokenizer.get() : nullptr;
    std::vector<std::int32_t> first = load_tokens(p_.job.tokens, config_.vocab_size), rest;
    if (!p_.job.valid_tokens.empty()) {
      rest = load_tokens(p_.job.valid_tokens, config_.vocab_size);
    } else {
      const std::size_t cut = at_place(text_place(), [&] { return split_count(first.size(), p_.job.valid_share); });
      rest.assign(first.begin() + static_cast<std::ptrdiff_t>(cut), first.end());
      first.resize(cut);
    }
    return {TextData(std::move(first), tokenizer), TextData(std::move(rest), tokenizer)};
  }

  /// Throws if the model cannot be trained so, or it, or a step of it, takes more memory than there is. A device's own says so
  /// itself.
  void require_room() const {
    const bool by_options = !p_.last && p_.job.from.empty() && p_.job.config.empty();
    in_option_names(training_fields, [&] {
      try {
        validate(p_.job.run.training, config_);
      } catch (const Error& error) {
        fail(by_options ? in_options(error.what(), p_.job) : error.what());
      }
    });
    if (p_.job.device == "cuda") return;
    const Job& j = p_.job;
    const TrainingOptions& t = j.run.training;
    const std::string model = p_.last           ? j.out
                              : !j.from.empty() ? j.from
                              : !j.config.empty()
                                  ? j.config
                                  : "--width " + std::to_string(j.width) + ", --layers " + std::to_string(j.layers) + ", --ffn " +
                                        std::to_string(config_.intermediate_size) + ", vocabulary " +
                                        std::to_string(config_.vocab_size);
    const double trainer = trainer_bytes<T>(config_, p_.world.size());
    require_memory(model + ": a training of " + std::to_string(ParameterLayout(config_).count()) + " parameters", trainer);
    require_memory("--batch " + std::to_string(t.batch) + ", --length " + std::to_string(t.length) + ": a step",
                   trainer + step_bytes<T>(config_, t.batch / p_.world.size(), t.length));
  }

  Vocabulary trained_vocabulary(std::size_t size) const {
    const auto named = [&](const auto& work) { return p_.job.config.empty() ? in_vocab_option(size, work) : work(); };
    const auto [first, rest] = parts();
    if (size != 256) require_tokens_in(first, p_.job.run.training.length + 1, learned_part(rest.size(), "bytes"));
    return at_place(learned_part(rest.size(), "bytes"),
                    [&, &learned = first] { return named([&] { return train_vocabulary(learned, size); }); });
  }
  void set_config(const Config& config) {
    config_ = config;
    std::size_t& length = p_.job.run.training.length;
    if (!p_.length_given) length = std::min(length, config.max_position_embeddings);
  }
  void choose_model() {
    if (p_.last) {
      const std::filesystem::path checkpoint = p_.folder.checkpoint(*p_.last);
      config_ = read_config(checkpoint / "config.json");
      vocabulary_ = vocabulary_beside(checkpoint, {});
      if (p_.from_given && !p_.from_fingerprint.empty())
        require(weights_fingerprint(skipv1::open_model<Sum<T>>(p_.job.from, p_.job.strategy).parameters) == p_.from_fingerprint,
                p_.job.from, ": not the model that the run to be resumed started from");
    } else if (!p_.job.from.empty()) {
      open_trained();
    } else if (!p_.job.config.empty()) {
      set_config(read_config(p_.job.config));
      if (!p_.job.tokenizer.empty())
        vocabulary_ = vocabulary_of(p_.job.config, config_.vocab_size, p_.job.tokenizer);
      else if (p_.job.tokens.empty())
        vocabulary_ = trained_vocabulary(config_.vocab_size);
    } else {
      if (p_.job.tokenizer.empty())
        set_config(config_of(p_.job, p_.job.vocab)), require_room();  // what is wrong is said before the work
      if (!p_.job.tokenizer.empty())
        vocabulary_ = open_vocabulary(p_.job.tokenizer);
      else if (p_.job.tokens.empty())
        vocabulary_ = trained_vocabulary(p_.job.vocab);
      if (vocabulary_) set_config(config_of(p_.job, vocabulary_->tokenizer->vocab_size()));
    }
  }
  /// The vocabulary of a model that is there; of token ids without one, none.
  std::optional<Vocabulary> vocabulary_beside(const std::filesystem::path& model, const std::string& file) const {
    if (p_.job.tokens.empty()) return vocabulary_of(model, config_.vocab_size, file);
    return vocabulary_of_tokens(model, config_.vocab_size, file);
  }
  void open_trained() {
    Checkpoint<Sum<T>> model = skipv1::open_model<Sum<T>>(p_.job.from, p_.job.strategy);
    set_config(model.config);
    vocabulary_ =
        read_model(p_.job.from, [&](const std::filesystem::path& path) { return vocabulary_beside(path, p_.job.tokenizer); });
    p_.from_fingerprint = weights_fingerprint(model.parameters);
    initial_ = std::move(model.parameters);
  }
  Parameters<Sum<T>> initial() {
    if (!initial_) return initial_parameters<Sum<T>>(config_, p_.job.run.seed);
    Parameters<Sum<T>> parameters = std::move(*initial_);
    initial_.reset();
    return parameters;
  }

  void save_beside(const std::filesystem::path& folder) const {
    if (vocabulary_) vocabulary_->save(folder);
    Json json = {{"settings", settings_of(p_.job)},
                 {"text_fingerprint", p_.text_fingerprint},
                 {"valid_fingerprint", p_.valid_fingerprint},
                 {"config", parse_json(config_text(config_))}};
    if (!p_.from_fingerprint.empty()) json["from_fingerprint"] = p_.from_fingerprint;
    write_whole(folder / "run.json", [&](std::ostream& out) { out << json_text(json, 2) << '\n'; });
  }

  void print_start(const TextData& text, const TextData& held_out) const {
    const Config& c = config_;
    std::printf("%s %s, %zu layers, width %zu, %zu heads (%zu key/value), vocabulary %zu (%s)\n", to_string(c.architecture),
                c.attention.variant.c_str(), c.num_hidden_layers, c.hidden_size, c.num_attention_heads, c.num_key_value_heads,
                c.vocab_size, vocabulary_ ? vocabulary_->tokenizer->name().c_str() : "token ids");
    std::printf("%zu parameters; %zu cache bytes per token (%s)\n", ParameterLayout(c).count(),
                cache_elements_per_token(make_routing(c)) * sizeof(T), p_.job.dtype.c_str());
    std::printf("learns from %zu tokens, %zu held out; %zu steps of %zu x %zu tokens, seed %zu, %s, %d thread%s\n", text.size(),
                held_out.size(), p_.job.run.training.schedule.steps, p_.job.run.training.batch, p_.job.run.training.length,
                p_.job.run.seed, p_.job.dtype.c_str(), threads(), threads() == 1 ? "" : "s");
    if (p_.world.size() > 1)
      std::printf("%zu processes, %zu windows of each step each\n", p_.world.size(), p_.job.run.training.batch / p_.world.size());
    if (p_.last) std::printf("goes on after step %zu\n", *p_.last);
    std::fflush(stdout);
  }
  /// The tokens per second of `r`; where nothing was left to do, those that the run's result.json has already, if that is there.
  Json rate_of(const RunResult& r) const {
    if (r.tokens_per_second > 0) return r.tokens_per_second;
    const std::filesystem::path path = p_.folder.path() / "result.json";
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return {};
    Source file(path);
    const Json before = file.size() == 0 ? Json::object() : parse_json(file.text(0, file.size()));
    const Json rate = before.value("tokens_per_second", Json());
    return rate.is_number() && rate != 0 && before.value("seconds", Json()) == r.seconds ? rate : Json();
  }
  /// Writes the results, then says so.
  void end(const RunResult& r) {
    Json json = {{"variant", config_.attention.variant},
                 {"seed", p_.job.run.seed},
                 {"steps", r.steps},
                 {"tokens", r.tokens},
                 {"parameters", r.parameters},
                 {"cache_bytes_per_token", r.cache_bytes_per_token},
                 {"final_nats_per_token", r.valid.nats_per_token},
                 {"final_perplexity", r.valid.perplexity()},
                 {"final_bits_per_byte", r.valid.bits_per_byte()},
                 {"final_tokens", r.valid.tokens},
                 {"final_bytes", known_bytes(r.valid.bytes)},
                 {"seconds", r.seconds},
                 {"tokens_per_second", rate_of(r)},
                 {"attention", parse_json(config_text(config_)).at("attention")}};
    if (json.at("tokens_per_second").is_null()) json.erase("tokens_per_second");
    if (first()) p_.folder.require_held();
    if (first()) write_whole(p_.folder.path() / "result.json", [&](std::ostream& out) { out << json_text(json, 2) << '\n'; });
    if (first()) output_.write(json);
    std::printf("held out: %.4f nats per token over all %zu tokens", r.valid.nats_per_token, r.valid.tokens);
    if (r.valid.bytes) std::printf(" (%zu bytes)", r.valid.bytes);
    std::printf(", perplexity %.3f", r.valid.perplexity());
    if (r.valid.bytes) std::printf(", %.4f bits per byte", r.valid.bits_per_byte());
    std::printf("\n");
    std::printf("%zu step%s, %.0f s of training", r.steps, r.steps == 1 ? "" : "s", r.seconds);
    if (r.tokens_per_second > 0) std::printf(", %.0f tokens/s", r.tokens_per_second);
    std::printf("; model in %s\n", p_.folder.checkpoint(r.steps).string().c_str());
  }

  PreparedJob p_;
  JsonOutput output_;
  std::string whole_, held_out_;
  std::optional<Vocabulary> vocabulary_;
  Config config_;
  std::optional<Parameters<Sum<T>>> initial_;
};

}  // namespace skipv1
