// The tutorials' exercises, each with a check that says what is wrong. Compiled twice: with what a reader finds
// (skipv1-exercises), and with SKIPV1_SOLUTIONS defined with the solutions (skipv1-solutions).
#include <cstdio>
#include <string>

#include "skipv1/io/cli.hpp"
#include "tutorials/01-attention-and-its-cache/check.hpp"
#include "tutorials/02-head-routing/check.hpp"
#include "tutorials/02a-backward-pass/check.hpp"
#include "tutorials/03-validate-your-implementation/check.hpp"
#include "tutorials/03a-one-gradient-step/check.hpp"
#include "tutorials/04-mesa-theorem/check.hpp"
#include "tutorials/05-mesa-learned/check.hpp"
#include "tutorials/06-a-pair-of-functions/check.hpp"
#include "tutorials/07-train-on-text/check.hpp"
#include "tutorials/08-uptraining/check.hpp"
#include "tutorials/09-grouped-latent-and-shared/check.hpp"
#include "tutorials/10-decoding-at-bandwidth/check.hpp"
#include "tutorials/11-attention-step-by-step/check.hpp"

namespace {

struct Exercise {
  const char *name, *title;
  void (*check)();
};
using namespace exercise;
constexpr Exercise exercises[] = {
    {"01-1", "attention of one query", check_01_1},
    {"01-2", "count a cache", check_01_2},
    {"02-1", "fill SkipV1's routing table", check_02_1},
    {"02-2", "count SkipV1's cache", check_02_2},
    {"02-3", "who reads a head of layer 0", check_02_3},
    {"02-4", "a variant of your own", check_02_4},
    {"02a-1", "the softmax backwards", check_02a_1},
    {"02a-2", "a head that several layers read", check_02a_2},
    {"03-1", "the first wrong tensor of a trace", check_03_1},
    {"03-2", "the mistake in a trace: values", check_03_2},
    {"03-3", "the mistake in a trace: attention", check_03_3},
    {"03-4", "an error that NaN passes", check_03_4},
    {"03a-1", "one gradient step", check_03a_1},
    {"03a-2", "its prediction is linear attention", check_03a_2},
    {"03a-3", "two gradient steps", check_03a_3},
    {"04-1", "the second moment of C", check_04_1},
    {"04-2", "a bound on MHA's loss", check_04_2},
    {"05-1", "a standard deviation of seeds", check_05_1},
    {"05-2", "differences seed by seed", check_05_2},
    {"06-1", "a coalesced kernel", check_06_1},
    {"06-2", "a missing barrier", check_06_2},
    {"06-3", "a grid larger than its data", check_06_3},
    {"06-4", "transpose through shared memory", check_06_4},
    {"07-1", "a learning rate's schedule", check_07_1},
    {"07-2", "bits per byte", check_07_2},
    {"08-1", "convert value heads by means", check_08_1},
    {"08-2", "what the conversion saves", check_08_2},
    {"09-1", "count a latent's cache", check_09_1},
    {"09-2", "which group a query head reads", check_09_2},
    {"10-1", "merge two parts of a row", check_10_1},
    {"10-2", "even shares", check_10_2},
    {"10-3", "what a concatenation moves", check_10_3},
    {"11-1", "the online softmax", check_11_1},
    {"11-2", "when arithmetic is the bound", check_11_2},
    {"11-3", "a copy that nobody waited for", check_11_3},
    {"11-4", "count sectors", check_11_4},
};

/// Whether the exercise is solved. Prints one line.
bool run(const Exercise& exercise) {
  try {
    exercise.check();
    std::printf("%-5s right: %s\n", exercise.name, exercise.title);
    return true;
  } catch (const std::exception& wrong) {
    std::printf("%-5s not yet: %s\n", exercise.name, wrong.what());
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CommandLine app{
      "Checks an exercise of the tutorials: exit status 0 if it is solved, 1 if not, with a line that says what is wrong.\n"
      "Example: skipv1-exercises 02-1"};
  std::string name;
  app.add_option("name", name, "which one, such as 02-1; all if none is given")->option_text("NAME");
  bool solved = true;
  const int status = skipv1::run_program(app, argc, argv, [&] {
    bool known = name.empty();
    for (const Exercise& exercise : exercises) {
      if (!name.empty() && name != exercise.name) continue;
      known = true;
      solved = run(exercise) && solved;
    }
    skipv1::require(known, "exercise \"", name, "\": there is none of that name; without a name all are checked");
  });
  return status == 0 && !solved ? 1 : status;
}
