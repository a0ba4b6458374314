// What a program takes away when it is interrupted: files and folders in the making, locks.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "skipv1/core/own_files.hpp"

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#endif

namespace skipv1 {

/// Says, while it lives, that `path` is unfinished: an interrupted program removes it (`remove_unfinished`), and then those
/// folders made for it that are empty; nothing in a folder that has taken the place of the one where `path` was begun.
class Unfinished {
 public:
  explicit Unfinished(std::filesystem::path path) : path_(std::move(path)), folder_(folder_id(path_)) {
    const std::lock_guard lock(all().mutex);
    all().list.push_back(this);
  }
  /// As long as what it returns lives, an interrupted program waits with removing: between making something and saying so.
  static std::unique_lock<std::recursive_mutex> hold() { return std::unique_lock(all().mutex); }
  /// The folders made for `path` are there now; and `path` itself, if it is to go only as long as it is `own`.
  void begun(const OwnFolders& made, const std::optional<FileId>& own = {}) {
    const std::lock_guard lock(all().mutex);
    folder_ = folder_id(path_), made_ = made, own_ = own;
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    const std::lock_guard lock(all().mutex);
    std::erase(all().list, this);
  }

 private:
  friend void remove_unfinished();
  struct All {
    std::recursive_mutex mutex;
    std::vector<const Unfinished*> list;
  };
  static All& all() {
    static All* const kept = new All;  // never destroyed: threads may still ask at the program's end
    return *kept;
  }
  bool is_own() const { return folder_ && folder_id(path_) == folder_ && (!own_ || file_id(path_) == own_); }

  std::filesystem::path path_;
  std::optional<FileId> folder_, own_;
  OwnFolders made_;
};

/// Removes what is unfinished, the latest first. For a program that ends now: whoever begins or finishes anything waits for ever.
inline void remove_unfinished() {
  Unfinished::All& all = Unfinished::all();
  all.mutex.lock();
  std::error_code ignored;
  for (int pass = 0; pass < 2; ++pass) {  // twice: another thread may be about to make what it has just begun
    if (pass) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (auto i = all.list.rbegin(); i != all.list.rend(); ++i) {
      if ((*i)->is_own()) std::filesystem::remove_all((*i)->path_, ignored);
      (*i)->made_.remove();
    }
  }
}

#if defined(SIGHUP) && __has_include(<unistd.h>)
namespace detail {
inline int interrupted_pipe[2];
/// What a signal's handler may do: it tells the thread that removes.
inline void tell_interrupted(int number) {
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = write(interrupted_pipe[1], &byte, 1);
}
}  // namespace detail
#endif

/// From now on Ctrl-C and `kill` remove what is unfinished, and then end the program as they would have; the second time at once.
/// To be called once; whether it is so. A signal that the caller ignores (`nohup`), or has a handler for, stays with that.
inline bool remove_unfinished_when_interrupted() {
#if defined(SIGHUP) && __has_include(<unistd.h>)
  if (pipe(detail::interrupted_pipe) != 0) return false;
  for (const int end : detail::interrupted_pipe) fcntl(end, F_SETFD, FD_CLOEXEC);
  try {
    std::thread([] {
      unsigned char number = 0;
      if (read(detail::interrupted_pipe[0], &number, 1) != 1) return;
      remove_unfinished();
      std::signal(number, SIG_DFL);
      kill(getpid(), number);
    }).detach();
  } catch (const std::system_error&) {  // no thread is to be had: as without
    for (const int end : detail::interrupted_pipe) close(end);
    return false;
  }
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction handler = {}, now = {};
    handler.sa_handler = detail::tell_interrupted;
    handler.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
    sigemptyset(&handler.sa_mask);
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(number, &handler, nullptr);
  }
  return true;
#else
  return false;
#endif
}

}  // namespace skipv1
