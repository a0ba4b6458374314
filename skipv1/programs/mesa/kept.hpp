// Finished trainings of tutorial 05, kept in a file: a call that ends early loses none of them.
#pragma once

#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "skipv1/core/own_files.hpp"
#include "skipv1/io/json.hpp"
#include "skipv1/programs/mesa/trained.hpp"

namespace skipv1::mesa {

/// A model in results: what tells it from the others that a call trains.
Json model_json(const ToyModel& m);

/// A file of trainings, one JSON object per line: everything that decides a training's numbers, and its outcome. For one process
/// at a time; `find` and `add` may be called from several threads.
class KeptOutcomes {
 public:
  /// Reads the file at `path`, or begins it. A last line of `add`'s that was cut is removed. Throws, naming file and line, where
  /// a line is none of `add`'s, or nothing can be written there.
  KeptOutcomes(std::string path, std::string device);

  std::size_t size() const { return outcomes_.size(); }
  /// Throws if the training has diverged and may not.
  std::optional<Outcome> find(const ToyModel& m, const Setting& s, std::uint64_t seed);
  /// Throws if it cannot be written (a full disk), or if another file has taken its place.
  void add(const ToyModel& m, const Setting& s, std::uint64_t seed, const Outcome& outcome);

 private:
  void read();

  std::string path_, device_;
  std::map<std::string, Outcome> outcomes_;
  std::ofstream out_;
  std::optional<FileId> own_;
  std::mutex mutex_;
};

}  // namespace skipv1::mesa
