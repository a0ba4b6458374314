// The processes that one command has started: mpirun, srun or torchrun say so by environment variables.
#pragma once

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "skipv1/core/check.hpp"
#include "skipv1/core/utf8.hpp"
#include "skipv1/core/wait_policy.hpp"
#include "skipv1/distributed/communicator.hpp"
#include "skipv1/distributed/mpi.hpp"
#include "skipv1/distributed/watch.hpp"

namespace skipv1 {

/// How this process was started.
struct Launched {
  enum class By { nobody, mpi, torchrun } by = By::nobody;
  std::size_t rank = 0, size = 1;
  std::size_t local_rank = 0, local_size = 1;  ///< among the processes of this machine
};

namespace detail {
/// The number that the first of these environment variables that is set has.
inline std::optional<std::size_t> environment_number(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* text = std::getenv(name);
    std::size_t value = 0;
    if (!text || !*text) continue;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
    require(error == std::errc() && *end == '\0', name, " is \"", text, "\": must be a whole number");
    return value;
  }
  return {};
}
}  // namespace detail

/// What the environment says: OpenMPI's, MPICH's and Slurm's variables for MPI, else those that torchrun sets.
inline Launched find_launch() {
  using detail::environment_number;
  Launched l;
  const auto size = environment_number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  const bool pmix = std::getenv("PMIX_RANK") != nullptr;
  if (size || pmix) {
    l.by = Launched::By::mpi;
    l.rank = environment_number({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}).value_or(0);
    l.size = size ? *size : environment_number({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}).value_or(1);
    l.local_rank = environment_number({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(l.rank);
    l.local_size = environment_number({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}).value_or(l.size);
  } else if (std::getenv("MASTER_ADDR") && std::getenv("RANK") && std::getenv("WORLD_SIZE")) {
    l.by = Launched::By::torchrun;
    l.rank = *environment_number({"RANK"}), l.size = *environment_number({"WORLD_SIZE"});
    l.local_rank = environment_number({"LOCAL_RANK"}).value_or(l.rank);
    l.local_size = environment_number({"LOCAL_WORLD_SIZE"}).value_or(l.size);
    require(l.rank < l.size, "RANK is ", l.rank, " of WORLD_SIZE ", l.size, ": must be smaller");
  }
  return l;
}

/// The job that this process belongs to. Made first in `main`, before any thread; one per program. Only the first process prints
/// to standard output.
class World {
 public:
  /// The program's arguments.
  World(int argc, char** argv) : program_(argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "skipv1") {
    wait_briefly(argc, argv);  // which begins the program again, so before MPI does
    try {
      launched_ = find_launch();
      if (launched_.by == Launched::By::mpi) start_mpi();
    } catch (const Error& error) {
      why_not_ = error.what();
    }
    if (rank() > 0 && !std::freopen(null_device, "w", stdout)) why_not_ = "standard output cannot be turned off";
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
#ifdef SKIPV1_WITH_MPI
    if (!mpi_) return;
    mpi_->barrier();  // until all are here, one that is missing has died
    watch_.reset();
    mpi_.reset();
    MPI_Finalize();
#endif
  }

  std::size_t rank() const { return launched_.rank; }
  std::size_t size() const { return launched_.size; }
  const Launched& launched() const { return launched_; }
  /// The communicator over host memory; null where only NCCL connects the processes, or where there is one process.
  Communicator* host() const { return mpi_.get(); }

  /// Throws unless the processes can work together.
  void check() const {
    require(why_not_.empty(), why_not_);
#ifndef SKIPV1_WITH_MPI
    require(launched_.by != Launched::By::mpi || size() == 1, "one of ", size(),
            " processes that MPI has started: this build has no MPI ", "(-DSKIPV1_MPI=ON makes one that has)");
#endif
  }

  /// How many threads each process of a machine has, unless somebody says so: its share of the cores. `bound` are those that the
  /// launcher lets it use.
  int share_of_threads(int bound) const {
    const auto cores = static_cast<int>(std::thread::hardware_concurrency() / launched_.local_size);
    return std::max(1, std::min(bound, cores));
  }

  /// Prints the line of an error, ends the other processes, and returns this one's exit status. What all processes find wrong,
  /// the first one says alone: the others give it the time.
  int fail(const std::string& message) const {
    const std::string who = size() > 1 ? "rank " + std::to_string(rank()) + " of " + std::to_string(size()) + ": " : "";
    if (rank() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(500 + 100 * std::min<std::size_t>(rank(), 20)));
    std::fprintf(stderr, "%s\n", visible(program_ + ": " + who + message).c_str());
    std::fflush(stderr);
    if (watch_) watch_->tell_peers();
#ifdef SKIPV1_WITH_MPI
    if (mpi_ && size() > 1) MPI_Abort(MPI_COMM_WORLD, 2);
#endif
    if (size() > 1) std::_Exit(2);
    return 2;
  }

 private:
#ifdef _WIN32
  static constexpr const char* null_device = "NUL";
#else
  static constexpr const char* null_device = "/dev/null";
#endif

#ifdef SKIPV1_WITH_MPI
  void start_mpi() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
    require(provided >= MPI_THREAD_SERIALIZED, "MPI allows calls from one thread only: MPI_THREAD_SERIALIZED is needed");
    find_peers();
    auto mpi = std::make_unique<MpiCommunicator>();
    launched_.rank = mpi->rank(), launched_.size = mpi->size();
    mpi_ = std::move(mpi);
  }
  void find_peers() {
    MPI_Comm machine;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    int rank = 0, size = 1, local = 0, all = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &all);
    MPI_Comm_rank(machine, &local);
    MPI_Comm_size(machine, &size);
    launched_.local_rank = static_cast<std::size_t>(local), launched_.local_size = static_cast<std::size_t>(size);
    const long own[2] = {rank, Watch::this_process()};
    std::vector<long> of_all(2 * static_cast<std::size_t>(size));
    MPI_Allgather(own, 2, MPI_LONG, of_all.data(), 2, MPI_LONG, machine);
    MPI_Comm_free(&machine);
    std::vector<Peer> peers;
    for (std::size_t i = 0; i < of_all.size(); i += 2) peers.push_back({static_cast<std::size_t>(of_all[i]), of_all[i + 1]});
    if (all > 1) watch_.emplace(program_, static_cast<std::size_t>(all), std::move(peers));
  }
#else
  void start_mpi() {}
#endif

  std::string program_, why_not_;
  Launched launched_;
  std::optional<Watch> watch_;
  std::unique_ptr<Communicator> mpi_;
};

}  // namespace skipv1
