// skipv1-eval: what a model makes of a whole file.
#include <cstdio>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/io/json_output.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/io/place.hpp"
#include "skipv1/training/evaluate.hpp"
#include "skipv1/programs/device.hpp"
#include "skipv1/programs/open_model.hpp"
#include "skipv1/programs/open_text.hpp"
#include "skipv1/programs/option_names.hpp"

using namespace skipv1;

namespace {

struct Options {
  std::string model;
  TextChoice text;
  std::string dtype = "f32", device = "cpu", json;
  std::size_t length = 0, windows = 0, batch = 8;
  int threads = 0;
};

template <class T>
void run(const Options& o) {
  require_no_input("--json", o.json, {{"--text", o.text.text}, {"--tokens", o.text.tokens}, {"--tokenizer", o.text.tokenizer}});
  JsonOutput output(o.json, {"model", "text", "loss", "predicted_tokens"});
  const Checkpoint<T> model = open_model<T>(o.model);
  const OpenText opened = open_text(o.model, model.config.vocab_size, o.text);
  const TextData& text = opened.text;
  const std::size_t length = o.length ? o.length : model.config.max_position_embeddings;
  require(length <= model.config.max_position_embeddings, "--length ", length, ": the model reads at most ",
          model.config.max_position_embeddings);
  const std::size_t all = at_place(o.text.place(), [&] { return evaluated_tokens(text, length, o.windows); });
  const double rows =
      static_cast<double>(std::min(o.batch, std::max<std::size_t>(all / length, 1))) * static_cast<double>(std::min(length, all));
  if (o.device != "cuda")
    require_memory("--batch " + std::to_string(o.batch) + ", windows of " + std::to_string(length) + " tokens: a pass",
                   pass_bytes(model.config, rows, sizeof(T), Keep::nothing, rows));
  Progress progress("evaluate", all, "tokens");
  Evaluation e;
  if constexpr (std::is_same_v<T, float>) {
    if (o.device != "cpu")
      e = with_device(o.device, [&](auto space) {
        return evaluate_on<decltype(space)>(model.config, model.parameters, o.dtype, text, length, o.windows, o.batch, &progress);
      });
  }
  if (e.tokens == 0) e = evaluate(Decoder<T>(model.config, model.parameters), text, length, o.windows, o.batch, &progress);
  require(std::isfinite(e.nats_per_token), o.model, ": its loss over ", o.text.place(), " is ", e.nats_per_token, " in ",
          o.dtype);
  std::printf("loss %.6f nats per token, perplexity %.4f", e.nats_per_token, e.perplexity());
  if (e.bytes) std::printf(", %.6f bits per byte", e.bits_per_byte());
  std::printf("\nover %zu of %zu tokens", e.tokens, text.size());
  if (e.bytes) std::printf(" (%zu bytes)", e.bytes);
  std::printf(", in windows of %zu tokens, each from an empty context; %s, %s\n", length, opened.vocabulary_name().c_str(),
              o.dtype.c_str());
  output.write({{"model", place_text(o.model)},
                {"text", place_text(o.text.place())},
                {"dtype", o.dtype},
                {"loss", e.nats_per_token},
                {"perplexity", e.perplexity()},
                {"bits_per_byte", e.bits_per_byte()},
                {"predicted_tokens", e.tokens},
                {"predicted_bytes", known_bytes(e.bytes)},
                {"tokens", text.size()},
                {"length", length}});
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Loss, perplexity and bits per byte of a model over a text: every token but the first is predicted once, from those before "
      "it in\n"
      "its window; windows lie next to each other. No start mark is put before the text. Bits per byte need a vocabulary.\n"
      "Example: skipv1-eval run --text other.txt --json loss.json"};
  Options o;
  app.add_option("model", o.model, "a checkpoint, a run, a transformers folder, or a llama2.c file")->required();
  auto* text = app.add_option("--text", o.text.text, "UTF-8 text");
  app.add_option("--tokens", o.text.tokens, "token ids instead: a .npy of integers, one axis")->excludes(text);
  app.add_option("--tokenizer", o.text.tokenizer, "vocabulary, where it is not beside the model");
  app.add_option("--length", o.length, "tokens of a window; 0: the model's context")->capture_default_str();
  app.add_option("--windows", o.windows, "how many windows, from the first; 0: the whole text")->capture_default_str();
  app.add_option("--batch", o.batch, "windows at a time")->check(at_least(1))->capture_default_str();
  app.add_option("--dtype", o.dtype, "f32 or f64; on the device f32 or bf16")->transform(lower_case())->capture_default_str();
  app.add_option("--device", o.device, device_help)->capture_default_str();
  add_threads_option(app, o.threads);
  app.add_option("--json", o.json, "write the numbers (docs/spec/formats.md) into this file too; -: to standard output");
  return run_program(app, argc, argv, [&] {
    use_threads(o.threads);
    check_device(o.device, o.dtype, Scalars::no_f64_on_device);
    o.dtype == "f64" ? run<double>(o) : run<float>(o);
  });
}
