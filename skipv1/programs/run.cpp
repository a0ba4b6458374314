// skipv1-run: what a model computes for given tokens, stage by stage, in float64 (docs/conformance.md, "Your own model").
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "skipv1/core/memory_limit.hpp"
#include "skipv1/core/thread_limit.hpp"
#include "skipv1/io/cli.hpp"
#include "skipv1/conformance/measure.hpp"
#include "skipv1/io/imports.hpp"
#include "skipv1/io/new_folder.hpp"
#include "skipv1/io/npy.hpp"
#include "skipv1/model/memory_need.hpp"
#include "skipv1/ops/cross_entropy.hpp"
#include "skipv1/training/run_folder.hpp"

using namespace skipv1;
using namespace skipv1::conformance;

namespace {

struct Options {
  std::string model, tokens, targets, out;
  bool grads = false;
  int threads = 0;
};

/// Tokens (B, T) of a file; (T) is one sequence. Throws unless all are `least` to the vocabulary's last.
Tensor<std::int32_t> read_tokens(const std::string& path, std::int32_t least, std::size_t vocab) {
  const Tensor<std::int32_t> x = read_npy<std::int32_t>(path, {least, static_cast<std::int64_t>(vocab) - 1});
  const std::size_t rank = x.shape().rank();
  require(rank == 1 || rank == 2, path, ": shape ", x.shape(), ": must be (B, T) or (T)");
  require(x.size() > 0, path, ": shape ", x.shape(), ": holds no token");
  Tensor<std::int32_t> rows({rank == 1 ? 1 : x.extent(0), x.width()});
  std::copy_n(x.data(), x.size(), rows.data());
  return rows;
}

/// The next token at each position; the last has none.
Tensor<std::int32_t> next_tokens(View<const std::int32_t> tokens) {
  Tensor<std::int32_t> targets(tokens.shape());
  for (std::size_t b = 0; b < tokens.extent(0); ++b)
    for (std::size_t t = 0; t < tokens.extent(1); ++t)
      targets(b, t) = t + 1 < tokens.extent(1) ? tokens(b, t + 1) : ignored_target;
  return targets;
}

/// Model and tokens as a case whose results are still to be computed.
Case read(const Options& o) {
  const Checkpoint<double> model = read_model(o.model, import_checkpoint<double>);
  Case c(model.config);
  copy(c.weights.flat(), model.parameters.flat());
  c.tokens = read_tokens(o.tokens, 0, c.config.vocab_size);
  require(c.length() <= c.config.max_position_embeddings, o.tokens, ": sequences of ", c.length(), ": the model reads at most ",
          c.config.max_position_embeddings);
  const double rows = static_cast<double>(c.tokens.size());
  std::ostringstream what;
  what << o.tokens << ": a pass over " << c.batch() << " sequences of " << c.length() << " tokens";
  require_memory(what.str(), pass_bytes(c.config, rows, sizeof(double), Keep::for_backward, 2 * rows));  // logits are copied
  c.targets = o.targets.empty() ? next_tokens(c.tokens) : read_tokens(o.targets, ignored_target, c.config.vocab_size);
  require(c.targets.shape() == c.tokens.shape(), o.targets, ": shape ", c.targets.shape(), ", expected that of the tokens, ",
          c.tokens.shape());
  const std::int32_t* begin = c.targets.data();
  const bool has_loss = std::any_of(begin, begin + c.targets.size(), [](std::int32_t x) { return x != ignored_target; });
  require(has_loss || o.targets.empty(), o.targets, ": every target is ", ignored_target, ", ignored: there is no loss");
  require(has_loss || !o.grads, o.tokens, ": --grads are the loss's, and no token has a next one: name --targets");
  return c;
}

/// The scalar that stores the weights unchanged: F32 where every one is a float.
Dtype stored_dtype(View<const double> weights) {
  const double* begin = weights.data();
  const bool floats =
      std::all_of(begin, begin + weights.size(), [](double x) { return static_cast<double>(static_cast<float>(x)) == x; });
  return floats ? dtype_of<float>() : dtype_of<double>();
}

/// Writes everything; returns the line that says so.
std::string write(const Case& c, const Options& o, const std::filesystem::path& folder) {
  const Measured m = o.grads ? forward_backward_f64(c) : forward_f64(c);
  require(std::isfinite(m.loss.value_or(0)), o.model, ": the loss over ", o.tokens, " is ", *m.loss);
  write_npy<std::int32_t>(folder / "tokens.npy", c.tokens);
  write_npy<std::int32_t>(folder / "targets.npy", c.targets);
  write_trace(c, folder);
  write_npy<double>(folder / "logits.npy", m.logits.front().second);
  Json expected = Json::object();
  if (m.loss) expected["loss"] = *m.loss;
  expected["kv_elements_per_token"] = m.elements, expected["parameters"] = c.weights.layout().count();
  write_whole(folder / "expected.json", [&](std::ostream& file) { file << json_text(expected) << '\n'; });
  if (o.grads) {
    write_checkpoint(folder, c.config, c.weights, stored_dtype(c.weights.flat()));
    write_parameters(folder / "grads.safetensors", *m.gradients);
  }
  std::ostringstream line;
  if (m.loss)
    line << "loss " << std::setprecision(10) << *m.loss;
  else
    line << "no loss, since no token has a next one";
  line << ", " << m.elements << " cache elements per token, " << trace_names(c.config).size() << " trace tensors, in " << o.out
       << '\n';
  return line.str();
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Runs a model on tokens, on the CPU in float64, and writes its trace (embedding, layer0.input, …, final_norm), its logits "
      "and its loss\nto a new folder. With --grads that folder is a conformance case: hold your implementation against it with "
      "skipv1-check.\n\nExample: skipv1-run my_checkpoint --tokens tokens.npy --out reference --grads"};
  Options o;
  app.add_option("MODEL", o.model, "a checkpoint, a run, a transformers folder, or a llama2.c file")->required();
  app.add_option("--tokens", o.tokens, ".npy of integers, (B, T) or (T)")->required();
  app.add_option("--targets", o.targets, "as --tokens, -1: ignored; default the next tokens");
  app.add_option("--out", o.out, "the folder to be made")->required();
  app.add_flag("--grads", o.grads, "write the loss's gradients, the configuration and the model, too: all of a case");
  add_threads_option(app, o.threads);
  return run_program(app, argc, argv, [&] {
    use_threads(o.threads);
    NewFolder folder(o.out);  // where nothing can be written, that is said before the work
    const std::string line = write(read(o), o, folder.path());
    folder.commit();
    std::cout << line;
  });
}
