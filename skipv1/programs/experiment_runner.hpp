// An experiment as it was asked for, carried out run by run. Compiled once, in library/experiment_runner.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipv1/io/json.hpp"

namespace skipv1 {

/// One of several parts of a list of runs.
struct Shard {
  std::size_t index = 0, count = 1;
};

/// What is asked of skipv1-experiment.
struct ExperimentJob {
  std::string name, text, valid, out, from, tokenizer_folder, figure, against = "mha", device = "cpu", dtype = "f32";
  std::vector<std::string> only;
  std::vector<std::uint64_t> seed_list;
  std::vector<double> peaks;
  std::vector<std::string> keep;
  std::size_t seeds = 0, best = 0, at_once = 1;
  std::string retrain, save_tables;               ///< search: the size at which tables are trained again; a folder
  std::size_t tables = 0, found = 5, random = 2;  ///< search: of each search; of those trained again
  double budget = 0;
  Shard shard;  ///< its results go to a file of its own (`shard_file`)
  bool small = false, prepare = false, table = false;
};

/// Does what is not in the file `out` yet, as far as the budget reaches, writing the file after each run; with `prepare` only
/// trains the vocabularies and encodes the texts for it. Returns all results. Throws, with the file as it was, if it holds
/// results of another experiment, or of other texts, settings or devices.
Json run_experiment(const ExperimentJob& job);

}  // namespace skipv1
