#include "skipv1/training/run.hpp"

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/training/folder.hpp"

using namespace skipv1;
using namespace skipv1::test;

namespace {

Config run_config() {
  Config c;
  c.vocab_size = 256, c.hidden_size = 8, c.intermediate_size = 12, c.num_hidden_layers = 2, c.max_position_embeddings = 8;
  c.num_attention_heads = c.num_key_value_heads = 2;
  c.attention.variant = "skipv1";
  return c;
}
RunOptions options() {
  RunOptions o;
  o.training.schedule = {12, 1e-2, 0.2, 0.1};
  o.training.batch = 2, o.training.length = 6;
  o.evaluate_every = 5, o.evaluate_windows = 2, o.checkpoint_every = 4;
  return o;
}
const TextData& text() {
  static const TextData data("The quick brown fox jumps over the lazy dog, and the dog lets the fox jump.", ByteTokenizer());
  return data;
}
const TextData& held_out() {
  static const TextData data("A lazy fox, a quick dog.", ByteTokenizer());
  return data;
}
using Run = TrainingRun<float>;
Run run_in(const std::filesystem::path& folder, Run::Beside beside = {}, const RunOptions& o = options()) {
  return Run(
      run_config(), o, text(), held_out(), RunFolder(folder), [] { return initial_parameters<float>(run_config(), 3); }, beside);
}

/// A log without its last column, the seconds.
std::string without_seconds(const std::filesystem::path& folder) {
  std::string kept;
  std::istringstream lines(file_content(folder / "log.csv"));
  for (std::string line; std::getline(lines, line);) kept += line.substr(0, line.rfind(',')) + '\n';
  return kept;
}
const char* const files[] = {"config.json", "model.safetensors", "first_moment.safetensors", "second_moment.safetensors", "mark"};

/// What the folder of the checkpoint of `step` is called while it is made.
std::filesystem::path part_name(const std::string& step) { return part_of("step-" + step); }

/// Fails when the checkpoint of `step` is written; before that, writes a file of its own.
Run::Beside stops_at(std::size_t step) {
  return [step](const std::filesystem::path& folder) {
    require(folder.filename().string().find(std::to_string(step) + ".skipv1-part") == std::string::npos, "the disk is full");
    write_file(folder / "mark", "beside");
  };
}
constexpr std::size_t never = 99;

}  // namespace

TEST_CASE("a run interrupted and resumed ends with the same bits as one that was not") {
  const Folder folder("run");
  const RunResult whole = run_in(folder / "whole", stops_at(never)).run();
  CHECK(whole.steps == 12);
  CHECK(whole.tokens == 12 * 12);
  CHECK(whole.valid.tokens == 23);
  CHECK(whole.parameters == ParameterLayout(run_config()).count());
  CHECK(whole.cache_bytes_per_token == (2 * 8 + 8 + 4) * sizeof(float));
  CHECK(RunFolder(folder / "whole").last() == 12u);

  for (const std::size_t step : {0u, 4u, 8u, 12u}) {
    const std::filesystem::path part = folder / ("part" + std::to_string(step));
    CHECK(message([&] { run_in(part, stops_at(step)).run(); }) == "the disk is full");
    CHECK(RunFolder(part).last() == (step ? std::optional(step - 4) : std::nullopt));
    const RunResult resumed = run_in(part, stops_at(never)).run();
    CHECK(resumed.valid.nats_per_token == whole.valid.nats_per_token);
    CHECK(without_seconds(part) == without_seconds(folder / "whole"));
    for (const char* file : files)
      CHECK(file_content(part / "step-00000012" / file) == file_content(folder / "whole" / "step-00000012" / file));
  }
}

TEST_CASE("the log has a row per step, evaluations where they are due and after the last, all of the same windows") {
  const Folder folder("run");
  Run run = run_in(folder.path());
  const RunResult result = run.run();
  const LogColumns log = read_log(folder.path());
  REQUIRE(log.at("step").size() == 13);
  for (std::size_t i = 0; i <= 12; ++i) {
    CHECK(log.at("step")[i] == static_cast<double>(i));
    CHECK(std::isnan(log.at("valid_nats_per_token")[i]) == (i % 5 != 0 && i != 12));
    CHECK(std::isnan(log.at("loss")[i]) == (i == 0));
  }
  // In batches of 2, as the run evaluates: equal bits need equal shapes.
  CHECK(log.at("valid_nats_per_token")[12] == evaluate(run.trainer().decoder(), held_out(), 6, 2, 2).nats_per_token);
  CHECK(result.valid.nats_per_token == evaluate(run.trainer().decoder(), held_out(), 6, 0, 2).nats_per_token);
  CHECK(result.valid.nats_per_token == Approx(evaluate(run.trainer().decoder(), held_out(), 6).nats_per_token).epsilon(1e-6));
  CHECK(log.at("valid_nats_per_token")[12] < log.at("valid_nats_per_token")[0]);
}

TEST_CASE("the rows of weights that do not change have one held-out loss, and the result that of the whole text") {
  const Folder folder("run");
  RunOptions o = options();
  o.training.schedule = {2, 1e-12, 0.2, 0.1};
  o.evaluate_every = 1;
  Run run = run_in(folder.path(), {}, o);
  const RunResult result = run.run();
  const std::vector<double> rows = read_log(folder.path()).at("valid_nats_per_token");
  REQUIRE(rows.size() == 3);
  CHECK(rows[1] == rows[0]);
  CHECK(rows[2] == rows[0]);
  CHECK(result.valid.nats_per_token != rows[0]);
  CHECK(result.valid.tokens == 23);
}

TEST_CASE("a run that is done evaluates, and changes nothing") {
  const Folder folder("run");
  const RunResult first = run_in(folder.path()).run();
  const std::string log = file_content(folder / "log.csv");
  const RunResult again = run_in(folder.path()).run();
  CHECK(again.valid.nats_per_token == first.valid.nats_per_token);
  CHECK(again.tokens_per_second == 0);
  CHECK(file_content(folder / "log.csv") == log);
}

TEST_CASE("a run says what it cannot do before it writes anything") {
  const Folder folder("run");
  RunOptions o = options();
  o.training.length = 9;
  CHECK_THAT(message([&] { run_in(folder / "a", {}, o); }), Catch::Contains("length 9"));
  const TextData brief("abc", ByteTokenizer());
  const auto initial = [] { return Parameters<float>(run_config()); };
  CHECK_THAT(message([&] { Run(run_config(), options(), brief, held_out(), RunFolder(folder / "a"), initial); }),
             Catch::Contains("too short for a window"));
  CHECK(!std::filesystem::exists(folder / "a"));

  run_in(folder / "b").run();
  Config other = run_config();
  other.attention.variant = "mha";
  CHECK_THAT(message([&] { Run(other, options(), text(), held_out(), RunFolder(folder / "b"), initial); }),
             Catch::Contains("another model"));
  o = options();
  o.training.schedule.steps = 11;
  CHECK_THAT(message([&] { run_in(folder / "b", {}, o); }), Catch::Contains("step 12 of a run of 11"));
}

TEST_CASE("a run that ends before its first step leaves nothing, and what is another's as it was") {
  const Folder folder("run-begun");
  std::filesystem::create_directories(folder / "log.jsonl" / "kept");
  CHECK_THAT(message([&] { run_in(folder.path()).run(); }), Catch::Contains("log.jsonl: cannot be written"));
  CHECK(RunFolder(folder.path()).last() == std::nullopt);
  CHECK(std::filesystem::exists(folder / "log.jsonl" / "kept"));

  std::filesystem::remove_all(folder / "log.jsonl");
  RunOptions o = options();
  o.checkpoint_every = 1;
  CHECK_THROWS_AS(run_in(
                      folder.path(),
                      [](const std::filesystem::path& written) {
                        if (written.filename() == part_name("00000001")) throw std::bad_alloc();
                      },
                      o)
                      .run(),
                  std::bad_alloc);
  CHECK(RunFolder(folder.path()).last() == 0u);  // something was learned: it goes on from here
}

TEST_CASE("what has the name of a checkpoint and is none stays, and is said before the first step if it is in the way") {
  const Folder folder("run-foreign");
  for (const char* step : {"step-00000000", "step-00000008", "step-00000012"}) {
    std::filesystem::remove_all(folder / "a");
    write_file(folder / "a" / step / "precious", "mine");
    CHECK(message([&] { run_in(folder / "a"); }).starts_with((folder / "a" / step).string() + ": is there, and not this run's"));
    CHECK(std::distance(std::filesystem::recursive_directory_iterator(folder / "a"), {}) == 2);
  }
  std::filesystem::remove_all(folder / "a");
  for (const char* step : {"step-00000002", "step-00000900", "step-7"}) write_file(folder / "a" / step / "precious", "mine");
  run_in(folder / "a").run();
  for (const char* step : {"step-00000002", "step-00000900", "step-7"})
    CHECK(file_content(folder / "a" / step / "precious") == "mine");
  CHECK(RunFolder(folder / "a").last() == 12u);
  CHECK(run_in(folder / "a").run().steps == 12);  // goes on from there
  // A checkpoint of another run that comes while this one learns is not its last one.
  const auto copied = [&](const std::filesystem::path& part) {
    if (part.filename() == part_name("00000008"))
      std::filesystem::copy(folder / "a/step-00000012", folder / "b/step-00000099", std::filesystem::copy_options::recursive);
  };
  run_in(folder / "b", copied).run();
  CHECK(std::filesystem::exists(folder / "b/step-00000012/model.safetensors"));
  CHECK(std::filesystem::exists(folder / "b/step-00000099/model.safetensors"));
}

TEST_CASE("a run that ends before its first checkpoint leaves what has that one's name") {
  const Folder folder("run-first");
  Run run = run_in(folder / "a");
  write_file(folder / "a/step-00000000/state.json", "mine");
  CHECK_THAT(message([&] { run.run(); }), Catch::Contains("step-00000000: is there, and not this run's"));
  CHECK(file_content(folder / "a/step-00000000/state.json") == "mine");
}

TEST_CASE("a run whose loss is no longer finite stops and keeps its checkpoint") {
  const Folder folder("run");
  RunOptions o = options();
  o.training.schedule.peak = 1e30;
  o.training.schedule.warm_up = 0;
  CHECK_THAT(message([&] { run_in(folder.path(), {}, o).run(); }),
             Catch::Contains("the run has diverged; the last checkpoint is of step 0"));
  CHECK(RunFolder(folder.path()).last() == 0u);
}

TEST_CASE("a run whose log is gone, or whose folder another has taken, ends with a line and touches nothing of the other's") {
  for (const bool at_end : {false, true}) {
    const Folder folder("run-log");
    const auto loses = [&](const char* file, bool replaced) {
      return [&folder, file, replaced, at_end](const std::filesystem::path& part) {
        if (part.filename() != part_name(at_end ? "00000012" : "00000008")) return;
        std::filesystem::rename(folder / file, folder / "away");
        if (replaced) write_file(folder / file, "precious");
      };
    };
    for (const char* file : {"a/log.csv", "a/log.jsonl"})
      for (const bool replaced : {false, true}) {
        std::filesystem::remove_all(folder / "a"), std::filesystem::remove_all(folder / "away");
        const std::string line = message([&] { run_in(folder / "a", loses(file, replaced)).run(); });
        CHECK(line == (folder / file).string() + (replaced ? ": another file has taken its place" : ": is gone") +
                          " while this program writes to it");
        if (replaced) CHECK(file_content(folder / file) == "precious");
      }
  }
  for (const char* kind : {"nowhere", "away", "folder"}) {
    const Folder folder("run-log");
    const std::filesystem::path log = folder / "a/log.csv";
    const auto replaces = [&](const std::filesystem::path& part) {
      if (part.filename() != part_name("00000008")) return;
      std::filesystem::rename(log, folder / "a/kept");
      write_file(folder / "a/away", "precious");
      kind == std::string("folder") ? std::filesystem::create_directory(log), void() : std::filesystem::create_symlink(kind, log);
    };
    CHECK(message([&] { run_in(folder / "a", replaces).run(); }) ==
          log.string() +
              (kind == std::string("folder") ? ": a folder has taken its place"
               : kind == std::string("away") ? ": a link to away, another file, stands in its place"
                                             : ": a link to nowhere, where nothing is, stands in its place") +
              " while this program writes to it");
  }
  const Folder folder("run-moved");
  const auto moved = [&](const std::filesystem::path& part) {
    if (part.filename() != part_name("00000008")) return;
    std::filesystem::rename(folder / "a", folder / "away");
    for (const char* file : {"model", "state.json"}) write_file(folder / "a/step-00000006" / file, "another run's");
    write_file(folder / "a" / part_name("00000006") / "model", "another run's");
  };
  CHECK_THROWS_AS(run_in(folder / "a", moved).run(), Error);
  CHECK(file_content(folder / "a/step-00000006/model") == "another run's");
  CHECK(std::filesystem::exists(folder / "a" / part_name("00000006") / "model"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "a"), {}) == 2);
}

TEST_CASE("a run that goes on leaves the log of another that has taken its folder meanwhile") {
  const Folder folder("run-taken");
  CHECK(message([&] { run_in(folder / "a", stops_at(8)).run(); }) == "the disk is full");
  RunFolder held(folder / "a");
  held.hold();
  Run run(run_config(), options(), text(), held_out(), held, [] { return initial_parameters<float>(run_config(), 3); });
  std::filesystem::rename(folder / "a", folder / "away");
  std::filesystem::create_directory(folder / "a");
  for (const char* file : {"log.csv", "log.jsonl"}) std::filesystem::copy(folder / "away" / file, folder / "a" / file);
  CHECK_THAT(message([&] { run.run(); }), Catch::Contains("something else has taken the place of this run's folder"));
  for (const char* file : {"log.csv", "log.jsonl"})
    CHECK(file_content(folder / "a" / file) == file_content(folder / "away" / file));
}
