// skipv1-generate: a model continues a text, from its cache.
#include <chrono>
#include <cstdio>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/open_text.hpp"
#include "skipv1/programs/option_names.hpp"

using namespace skipv1;

namespace {

struct Options {
  std::string model, prompt, tokens, tokenizer, start_mark = "auto", dtype = "f32", device = "cpu", one_kernel = "auto", json;
  Sampling sampling{0.8, 0, 0.95};
  bool prompt_given = false;
  std::size_t count = 0;
  std::uint64_t seed = 1;
  int threads = 0;
};

/// The prompt's tokens, after the mark that begins a text where one is wanted: `auto`, where the vocabulary's own rules put one.
std::vector<std::int32_t> encoded_prompt(const Options& o, const Tokenizer& tokenizer) {
  const std::size_t end = utf8_end(o.prompt);  // --json could not say what other bytes were
  require(end == o.prompt.size(), "--prompt: is no text: not UTF-8 at byte ", end, "; --tokens takes any tokens");
  std::vector<std::int32_t> tokens = at_place("--prompt", [&] { return tokenizer.encode(o.prompt); });
  if (o.start_mark == "yes" || (o.start_mark == "auto" && tokenizer.puts_start())) {
    require(tokenizer.start().has_value(), "--start-mark ", o.start_mark, ": tokenizer ", tokenizer.name(), " has no such mark");
    tokens.insert(tokens.begin(), *tokenizer.start());
  }
  require(!tokens.empty(),
          o.prompt_given ? "--prompt is empty: without a start mark before it"
                         : "--prompt or --tokens is required: without them, and no start mark,",
          " there is nothing to continue");
  return tokens;
}

/// What is to be continued. Token ids are taken as they are, with a vocabulary or without.
struct Prompt {
  std::vector<std::int32_t> tokens;
  std::optional<Vocabulary> vocabulary;
};
Prompt read_prompt(const Options& o, std::size_t vocab_size) {
  return read_model(o.model, [&](const std::filesystem::path& path) {
    if (!o.tokens.empty()) return Prompt{load_tokens(o.tokens, vocab_size), vocabulary_of_tokens(path, vocab_size, o.tokenizer)};
    Vocabulary vocabulary = open_vocabulary(path, vocab_size, o.tokenizer);
    std::vector<std::int32_t> tokens = encoded_prompt(o, *vocabulary.tokenizer);
    return Prompt{std::move(tokens), std::move(vocabulary)};
  });
}

/// Shows tokens as they come: as text, or, without a vocabulary, as ids.
class Shown {
 public:
  explicit Shown(const std::optional<Vocabulary>& vocabulary) {
    if (vocabulary) text_.emplace(*vocabulary->tokenizer);
  }
  void add(std::int32_t id) {
    put(text_ ? text_->add(id) : std::to_string(id) + ' ');
    std::fflush(stdout);
  }
  void end() {
    if (text_) put(text_->rest());
    put("\n");
    std::fflush(stdout);  // before what goes to standard error
  }
  Json text() const { return text_ ? Json(text_->text()) : Json(nullptr); }

 private:
  static void put(const std::string& part) { std::fwrite(part.data(), 1, part.size(), stdout); }
  std::optional<TextOfTokens> text_;
};

/// How many tokens may come after a prompt of `prompt`, where the model reads at most `most`.
std::size_t tokens_to_add(const Options& o, std::size_t prompt, std::size_t most) {
  require(prompt <= most && o.count <= most - prompt, "--count ", o.count, " after a prompt of ", prompt,
          prompt == 1 ? " token" : " tokens", ": the model reads at most ", most);
  require(prompt < most, "a prompt of ", prompt, " tokens fills the model's context: nothing can be added to it");
  return o.count ? o.count : most - prompt;
}

void run(const Options& o) {
  require_no_input("--json", o.json, {{"--tokens", o.tokens}, {"--tokenizer", o.tokenizer}});
  JsonOutput output(o.json, {"text", "tokens", "prompt_tokens", "prefill_seconds"});
  const Checkpoint<float> model = open_model<float>(o.model);
  const Prompt read = read_prompt(o, model.config.vocab_size);
  const std::vector<std::int32_t>& prompt = read.tokens;
  const std::optional<Vocabulary>& vocabulary = read.vocabulary;
  const std::size_t count = tokens_to_add(o, prompt.size(), model.config.max_position_embeddings);
  if (o.device != "cuda")
    require_memory(
        "--count " + std::to_string(count) + " after a prompt of " + std::to_string(prompt.size()) + " tokens: the cache",
        static_cast<double>(cache_elements_per_token(make_routing(model.config))) * static_cast<double>(prompt.size() + count) *
            sizeof(float));
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Clock::time_point first = start, last = start;
  std::vector<std::int32_t> said = prompt;
  Shown shown(vocabulary);
  for (const std::int32_t id : prompt) shown.add(id);
  const auto seconds = [](Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double>(b - a).count(); };
  const auto on_token = [&](std::size_t, std::int32_t token) {
    last = Clock::now();
    if (said.size() == prompt.size()) first = last;
    if (vocabulary && vocabulary->tokenizer->piece(token).empty()) return false;  // a mark: the text ends
    said.push_back(token);
    shown.add(token);
    return true;
  };
  if (o.device == "cpu")
    generate(Decoder<float>(model.config, model.parameters), {prompt}, count, o.sampling, o.seed, on_token);
  else
    with_device(o.device, [&](auto space) {
      generate_on<decltype(space)>(model.config, model.parameters, o.dtype, prompt, count, o.sampling, o.seed,
                                   o.one_kernel == "on"     ? OneKernelUse::on
                                   : o.one_kernel == "auto" ? OneKernelUse::automatic
                                                            : OneKernelUse::off,
                                   on_token);
    });
  shown.end();

  const std::size_t bytes = cache_elements_per_token(make_routing(model.config)) * (o.dtype == "bf16" ? 2 : 4),
                    tokens = said.size() - prompt.size();
  const double rate = last > first && tokens > 1 ? static_cast<double>(tokens - 1) / seconds(first, last) : 0;
  std::fprintf(stderr,
               "%zu token%s after %zu of prompt (%.3f s), %.0f tokens/s; cache: %zu bytes per token, %zu in all; seed %llu\n",
               tokens, tokens == 1 ? "" : "s", prompt.size(), seconds(start, first), rate, bytes, bytes * said.size(),
               static_cast<unsigned long long>(o.seed));
  output.write({{"prompt", o.tokens.empty() ? Json(o.prompt) : Json(nullptr)},
                {"text", shown.text()},
                {"tokens", said},
                {"prompt_tokens", prompt.size()},
                {"seed", o.seed},
                {"prefill_seconds", seconds(start, first)},
                {"tokens_per_second", rate},
                {"cache_bytes_per_token", bytes}});
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Continues a prompt: one pass over the prompt, then token by token from the cache.\n"
      "Example: skipv1-generate run --prompt \"Once upon a time\" --temperature 0 --count 100"};
  Options o;
  app.add_option("model", o.model, "a checkpoint, a run, a transformers folder, or a llama2.c file")->required();
  auto* prompt = app.add_option("--prompt", o.prompt, "text to continue")->may_be_empty();
  app.add_option("--tokens", o.tokens, "token ids to continue instead, as they are: a .npy of integers, one axis")
      ->excludes(prompt);
  app.add_option("--count", o.count, "most tokens to add; 0: up to the model's context")->capture_default_str();
  app.add_option("--temperature", o.sampling.temperature, "divides the logits; 0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k", o.sampling.top_k, "draw from this many of the likeliest tokens; 0: all")->capture_default_str();
  app.add_option("--top-p", o.sampling.top_p, "draw from the likeliest tokens, up to this total probability")
      ->capture_default_str();
  app.add_option("--seed", o.seed, "seed of the draws")->capture_default_str();
  app.add_option("--start-mark", o.start_mark,
                 "a begin mark before the prompt: yes, no, or auto, as the vocabulary's own rules say")
      ->check(one_of({"auto", "yes", "no"}))
      ->capture_default_str();
  app.add_option("--tokenizer", o.tokenizer, "vocabulary, where it is not beside the model");
  app.add_option("--dtype", o.dtype, "f32; on the device bf16 too")->transform(lower_case())->capture_default_str();
  app.add_option("--device", o.device, device_help)->capture_default_str();
  app.add_option("--one-kernel", o.one_kernel, "decoding on a device by one kernel per token; auto: where it is faster")
      ->check(one_of({"auto", "on", "off"}))
      ->capture_default_str();
  add_threads_option(app, o.threads);
  app.add_option("--json", o.json, "write text, tokens and rates into this file too; -: to standard output");
  return run_program(app, argc, argv, [&] {
    in_option_names({"temperature", "top_p"}, [&] { validate(o.sampling); });
    o.prompt_given = prompt->count() > 0;
    require(o.tokens.empty() || o.start_mark != "yes", "--start-mark yes: none is put before --tokens");
    check_device(o.device, o.dtype, Scalars::no_f64);
    require(o.one_kernel != "on" || o.device != "cpu", "--one-kernel on: with --device cuda or emulated alone");
    use_threads(o.threads);
    run(o);
  });
}
