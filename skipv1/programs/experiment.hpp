// The experiments of docs/results: lists of runs, what a run gives, and what is said of the results. Compiled once, in library/
// and, for the device, cuda/.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skipv1/io/json.hpp"
#include "skipv1/programs/curve.hpp"

namespace skipv1 {

/// A run: a model's training, on a text or, where there are `pairs`, on a recall task; or, where there are `contexts`, the memory
/// that it takes to generate.
struct PlannedRun {
  std::string
      label;  ///< "group/model@peak", without group or peak where there is one; a group's mha is what others are compared with
  Config config;
  TrainingOptions training;
  std::size_t seeds = 1;                   ///< done with seeds 1 … `seeds`, unless others are asked for
  std::string start = {};                  ///< the run whose model it goes on with; or `imported`
  std::string strategy = {};               ///< by which that model is converted first, if it is
  std::vector<std::size_t> contexts = {};  ///< tokens of a sequence
  Reading reading = {};
  std::optional<CurveOptions> curve = {};  ///< instead of the experiment's
  Json beside = {};                        ///< what else its result says
  std::vector<std::size_t> places = {};    ///< where parts of the window begin whose held-out loss is measured apart
  std::size_t pairs = 0;                   ///< of a recall task, which is learned instead of a text
  std::vector<std::size_t> lessons = {};   ///< numbers of pairs to learn it from, in turns; else `pairs` always

  bool reads_text() const { return contexts.empty() && pairs == 0; }
};
inline constexpr const char* imported = "(imported)";

struct Experiment {
  std::vector<PlannedRun> runs;
  CurveOptions curve;
};

/// The experiments' names, each with a line about it.
const std::vector<std::pair<std::string, std::string>>& experiments();
/// Throws if there is no experiment called `name`; the line names those that there are.
void require_experiment(const std::string& name);
/// The runs of the experiment called `name`; `small`: the same with models and steps that take a CPU moments. `trained` is the
/// configuration of the model that uptraining starts from instead of one of its own. Throws if there is no such experiment, or if
/// it has no use for a trained model.
Experiment plan_experiment(const std::string& name, bool small, const std::optional<Config>& trained);
/// Whether results are of the experiment's --short form: smaller batches than its own or, of memory, other contexts.
bool is_short(const Json& results);

/// The part of a label before its slash, empty if there is none; and the part after it.
inline std::string group_of(const std::string& label) {
  const std::size_t slash = label.find('/');
  return slash == label.npos ? std::string() : label.substr(0, slash);
}
inline std::string model_of(const std::string& label) { return label.substr(label.find('/') + 1); }
/// A label without its peak rate: the runs of one family differ in that alone.
inline std::string family_of(const std::string& label) { return label.substr(0, label.find('@')); }

/// What a run works on besides its plan.
struct RunInput {
  std::uint64_t seed = 1;  ///< of the initial weights and of the windows
  const TextData *text = nullptr, *held_out = nullptr;
  CurveOptions curve;
  const Parameters<float>* initial = nullptr;  ///< null: `initialize`
  bool keep = false;                           ///< the trained model is wanted
};

/// Tokens that generating reads into a cache at a time.
inline constexpr std::size_t generated_chunk = 1024;

/// What generating in a context of `context` tokens takes, `sequences` at a time.
struct MemoryPoint {
  std::size_t context = 0, cache_bytes = 0;
  std::size_t peak_bytes = 0;  ///< with the parameters, of the device; 0: not known
};

struct Measured {
  std::string device;
  std::size_t parameters = 0, cache_bytes = 0;  ///< of the cache, a token, as the cache counts its own memory
  Curve curve;
  double initial_seconds = 0;    ///< of drawing the initial weights, unless they are given, and of making the trainer
  PlaceLosses places;            ///< the last losses, apart; empty unless the run asks for them
  std::vector<double> accuracy;  ///< of recall: at each point of the curve, then over all sequences of the last evaluation
  std::vector<MemoryPoint> memory;
  std::optional<Parameters<float>> model;
};

/// Does a run: on the CPU in float; in `Space`, a device, in float or, where `dtype` is "bf16", in bfloat16.
Measured measure_on_cpu(const PlannedRun& run, const RunInput& input);
template <class Space>
Measured measure_on(const PlannedRun& run, const RunInput& input, const std::string& dtype);

/// Whether the results are of trainings that read their text in epochs; then `print_results` and `draw_results` are the two
/// below.
bool read_in_epochs(const Json& results);
/// Prints training and held-out loss, epochs, and the differences from mha at the same peak rate and at each one's best, with
/// intervals of 95 %.
void print_epochs(const Json& results, const std::string& against = "mha");
/// Draws loss over peak rate, a file for each group; of the frontier loss over cache, of the repetition loss over epochs. Throws
/// if there is nothing to draw.
void draw_epochs(const Json& results, const std::filesystem::path& file);
/// Of the experiments "contexts", "recall" and "vocabulary": tables of their own, after the one of `print_epochs` where they
/// read a text, and figures: the gain over the place in the context, the accuracy over pairs, the gain in bits per byte over the
/// vocabulary. The figures throw if there is nothing to draw.
void print_contexts(const Json& results, const std::string& against);
void draw_contexts(const Json& results, const std::filesystem::path& file);
void print_recall(const Json& results, const std::string& against);
void draw_recall(const Json& results, const std::filesystem::path& file);
void print_vocabulary(const Json& results, const std::string& against);
void draw_vocabulary(const Json& results, const std::filesystem::path& file);
/// Reads the file of results of the experiment called `name`. Throws if it cannot be read, or if it is anything else; the line
/// names the run and the number.
Json read_results(const std::filesystem::path& file, const std::string& name);
/// Prints the results as a table in Markdown, with each seed's difference from the group's `against`.
void print_results(const Json& results, const std::string& against = "mha");
/// Draws them: validation loss over tokens; for uptraining over the share of the first training; memory over the context; for the
/// map three files, the gain over vocabulary, depth and tokens, whose names end so. Throws if there is nothing to draw.
void draw_results(const Json& results, const std::filesystem::path& file);

}  // namespace skipv1
