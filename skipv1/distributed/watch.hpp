// Who looks after the other processes of a job: one that has died ends all, with one line that names it.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "skipv1/core/unfinished.hpp"
#endif

namespace skipv1 {

/// A process of this job on this machine.
struct Peer {
  std::size_t rank = 0;
  long process = 0;
};

/// Looks five times a second whether the `peers` live; once one does not, says so and ends this process with status 2. The
/// launcher does the same across machines, and ends what is left by SIGTERM. However this process ends, it first removes what is
/// unfinished. Outside of Linux only the launcher does.
class Watch {
 public:
#if defined(__linux__)
  static long this_process() { return getpid(); }

  Watch(std::string program, std::size_t size, std::vector<Peer> peers)
      : program_(std::move(program)), size_(size), peers_(std::move(peers)) {
    handle(told(), [](int) { told_to_end() = 1; });
    handle(SIGTERM, [](int) { asked_to_end() = 1; });  // by which launchers end processes: first it is looked for a reason
    thread_ = std::thread([this] { watch(); });
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    ends_ = true;
    thread_.join();
    signal(SIGTERM, SIG_DFL);
    handle(told(), [](int) { _exit(2); });
  }

  /// This process has said why it ends: the others on this machine end without a word.
  void tell_peers() const {
    said_ = true;
    for (const Peer& peer : peers_)
      if (peer.process != getpid()) kill(static_cast<pid_t>(peer.process), told());
  }

 private:
  /// What `tell_peers` sends.
  static int told() { return SIGRTMIN + 5; }
  static volatile sig_atomic_t& asked_to_end() {
    static volatile sig_atomic_t asked = 0;
    return asked;
  }
  /// By another process, which has said why.
  static volatile sig_atomic_t& told_to_end() {
    static volatile sig_atomic_t told = 0;
    return told;
  }
  [[noreturn]] static void end() {
    remove_unfinished();
    _exit(2);
  }
  static void handle(int number, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, nullptr);
  }
  static void nap(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

  /// A process that nobody has waited for yet still has its number, but is dead.
  static bool lives(long process) {
    if (kill(static_cast<pid_t>(process), 0) == -1 && errno == ESRCH) return false;
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    if (!std::getline(file, line)) return kill(static_cast<pid_t>(process), 0) == 0 || errno != ESRCH;
    const std::size_t name = line.rfind(") ");
    return name == line.npos || name + 2 >= line.size() || (line[name + 2] != 'Z' && line[name + 2] != 'X');
  }
  /// Ends this process if another has said why all end, or is dead. The first of those that live says so.
  void look() const {
    if (told_to_end()) end();
    const Peer *dead = nullptr, *first = nullptr;
    for (const Peer& peer : peers_) {
      const Peer*& found = lives(peer.process) ? first : dead;
      if (!found) found = &peer;
    }
    if (!dead || said_) return;
    nap(50);  // it may have said why it ends
    if (told_to_end()) end();
    if (first && first->process == getpid()) {
      const std::string line = program_ + ": rank " + std::to_string(dead->rank) + " of " + std::to_string(size_) + " (process " +
                               std::to_string(dead->process) + ") has died: all end; --resume goes on from the last checkpoint\n";
      if (write(STDERR_FILENO, line.data(), line.size()) == -1) errno = 0;
      tell_peers();
      nap(200);  // for the launcher to pass the line on
    } else {
      for (int i = 0; i < 20 && !told_to_end(); ++i) nap(50);
    }
    end();
  }
  void watch() const {
    while (!ends_) {
      for (int i = 0; i < 10 && !ends_ && !asked_to_end() && !told_to_end(); ++i) nap(20);
      look();
      if (!asked_to_end()) continue;
      for (int i = 0; i < 10; ++i) nap(50), look();  // a launcher that has seen a death ends the others at once
      remove_unfinished();
      signal(SIGTERM, SIG_DFL);
      raise(SIGTERM);
    }
  }

  std::string program_;
  std::size_t size_;
  std::vector<Peer> peers_;
  std::atomic<bool> ends_ = false;
  mutable std::atomic<bool> said_ = false;  ///< by this process, why all end
  std::thread thread_;
#else
  static long this_process() { return 0; }
  Watch(std::string, std::size_t, std::vector<Peer>) {}
  void tell_peers() const {}
#endif
};

}  // namespace skipv1
