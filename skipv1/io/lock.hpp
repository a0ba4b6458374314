// A lock between processes: whoever writes a run or a file of results has it alone.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/io/file.hpp"

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/stat.h>
#elif __has_include(<sys/file.h>) && __has_include(<unistd.h>)
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace skipv1 {

/// What to do while another process has the lock.
enum class Busy { refuse, wait };

/// The lock on a file of its own, which goes when the lock does. The system releases it when a process ends, in whatever way:
/// a file that a killed process has left locks nobody out. On a file system without locks nobody is locked out either.
class Lock {
 public:
  /// Takes the lock `file`, making its folder if there is none; errors call what is locked `name`. Throws if another process has
  /// the lock, unless it is to be waited for, or if the file cannot be made, or (where there is flock) is there and no lock: a
  /// link, or with anything but a process's number in it.
  Lock(std::filesystem::path file, const std::string& name, Busy busy = Busy::refuse) : file_(std::move(file)) {
    try {
      for (bool said = false; !take_and_say(name);) {
        require(busy == Busy::wait, name, ": in use by another process", holder(), " (lock ", file_.string(), ")");
        if (!said) std::fprintf(stderr, "%s: waiting for another process%s\n", name.c_str(), holder().c_str());
        said = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    } catch (...) {
      made_.remove();
      throw;
    }
  }
  Lock(Lock&& other) noexcept
      : file_(std::move(other.file_)),
        made_(std::move(other.made_)),
        own_(other.own_),
        descriptor_(std::exchange(other.descriptor_, -1)),
        unfinished_(std::move(other.unfinished_)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (descriptor_ == -1) return;
#ifdef _WIN32
    _close(descriptor_);  // and with it the file goes
#elif defined(LOCK_EX)
    remove_own(file_, own_);  // before others can have it
    close(descriptor_);
#endif
    made_.remove();
  }

 private:
  bool take_and_say(const std::string& name) {
    const auto held = Unfinished::hold();
    if (!take(name)) return false;
    if (descriptor_ == -1) return true;  // no locks here
    own_ = file_id(file_);
    unfinished_ = std::make_unique<Unfinished>(file_);
    unfinished_->begun(made_, own_);
    return true;
  }
  /// Tries to take the lock; whether it did.
  bool take(const std::string& name) {
    for (int tries = 0; tries < 100; ++tries) {  // a lock that is just given up may take its file, or the folder, along
      make_folder(name);
#ifdef _WIN32
      _wsopen_s(&descriptor_, file_.c_str(), _O_CREAT | _O_RDWR | _O_TEMPORARY | _O_NOINHERIT, _SH_DENYRW, _S_IREAD | _S_IWRITE);
      if (descriptor_ != -1) return true;
      if (errno == EACCES) return false;
#elif defined(LOCK_EX)
      require_no_link();
      descriptor_ = open(file_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0666);
      if (descriptor_ != -1 && held()) return true;
      if (descriptor_ != -1) {
        close(std::exchange(descriptor_, -1));
        if (busy_) return false;
        continue;
      }
#else
      return true;
#endif
      require(errno == ENOENT, errno == EISDIR ? file_.string() : name,
              ": cannot be written: ", std::generic_category().message(errno));
    }
    fail(name, ": cannot be written: its folder comes and goes");
  }
#if !defined(_WIN32) && defined(LOCK_EX)
  /// Locks the descriptor; false if another has it (`busy_`), or if the file is no longer the one of that name.
  bool held() {
    busy_ = false;
    if (flock(descriptor_, LOCK_EX | LOCK_NB) == -1) {
      busy_ = errno == EWOULDBLOCK || errno == EINTR;
      return !busy_;
    }
    struct stat mine {
    }, named{};
    if (fstat(descriptor_, &mine) == -1 || stat(file_.c_str(), &named) == -1) return false;
    if (mine.st_ino != named.st_ino || mine.st_dev != named.st_dev) return false;
    char found[24];
    const ssize_t count = pread(descriptor_, found, sizeof found, 0);
    const bool lock =
        count < static_cast<ssize_t>(sizeof found) &&
        std::all_of(found, found + std::max<ssize_t>(count, 0), [](char c) { return c == '\n' || (c >= '0' && c <= '9'); });
    if (!lock) close(std::exchange(descriptor_, -1));
    require(lock, file_.string(), not_a_lock);
    const std::string process = std::to_string(process_id()) + "\n";
    if (ftruncate(descriptor_, 0) == 0 && write(descriptor_, process.data(), process.size()) == -1) errno = 0;
    return true;
  }
  void require_no_link() const {
    std::error_code error;
    require(!std::filesystem::is_symlink(std::filesystem::symlink_status(file_, error)), file_.string(), not_a_lock);
  }
  static constexpr const char* not_a_lock = ": is there, and no lock of a program: move it away";
  bool busy_ = false;
#endif
  void make_folder(const std::string& name) {
    const std::filesystem::path folder = file_.parent_path();
    const std::string nowhere = leads_nowhere(folder);
    require(nowhere.empty(), name, ": cannot be written: ", nowhere);
    const std::error_code error = made_.make(folder);
    require(!error, name, ": cannot be written: ", error.message());
  }
  /// " 1234": the process that has the lock, where that can be read.
  std::string holder() const {
    std::ifstream file(file_);
    long process = 0;
    return file >> process ? " " + std::to_string(process) : "";
  }

  std::filesystem::path file_;
  OwnFolders made_;  ///< for the lock
  std::optional<FileId> own_;
  int descriptor_ = -1;
  std::unique_ptr<Unfinished> unfinished_;
};

}  // namespace skipv1
