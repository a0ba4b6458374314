// Files: bytes read from a file or from memory, and files that are written whole or not at all.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "skipv1/core/unfinished.hpp"
#include "skipv1/core/view.hpp"

#ifdef _WIN32
#include <process.h>
#elif __has_include(<unistd.h>)
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#endif

namespace skipv1 {

/// The number of this process; 0 where it cannot be known.
inline long process_id() {
#ifdef _WIN32
  return _getpid();
#elif __has_include(<unistd.h>)
  return getpid();
#else
  return 0;
#endif
}
namespace detail {
inline constexpr const char* part_mark = ".skipv1-part-";  ///< a name that nobody else gives: who has it may be removed
}
/// The temporary name of a file or folder in the making, a different one in each process: "x.skipv1-part-1234".
inline std::filesystem::path part_of(std::filesystem::path path) {
  return path += detail::part_mark + std::to_string(process_id());
}
/// Whether a file's name is such a temporary one.
inline bool is_part(const std::filesystem::path& path) {
  const std::string end = path.extension().string(), begin = detail::part_mark;
  return end.starts_with(begin) && end.find_first_not_of("0123456789", begin.size()) == std::string::npos;
}
/// Whether this machine has a process of that number, as far as can be known.
inline bool process_lives([[maybe_unused]] int process) {
#if !defined(_WIN32) && __has_include(<unistd.h>)
  return kill(process, 0) == 0 || errno != ESRCH;
#else
  return true;
#endif
}
/// Whether the process that makes the file or folder of this temporary name may still be at it.
inline bool part_lives(const std::filesystem::path& part) {
  const std::string end = part.extension().string();
  int process = 0;  // where there is no such number, too
  std::from_chars(end.data() + std::string_view(detail::part_mark).size(), end.data() + end.size(), process);
  return process <= 0 || process_lives(process);
}
/// Removes what killed processes left of `path` in the making: temporary files or folders whose process is no more.
inline void remove_left_over(const std::filesystem::path& path) {
  const std::string begin = path.filename().string() + detail::part_mark;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::vector<std::filesystem::path> left;
  std::error_code ignored;
  for (std::filesystem::directory_iterator i(folder, ignored), end; !ignored && i != end; i.increment(ignored)) {
    const bool of_path = i->path().filename().string().starts_with(begin);
    if (of_path && is_part(i->path()) && !part_lives(i->path())) left.push_back(i->path());
  }
  for (const std::filesystem::path& entry : left) std::filesystem::remove_all(entry, ignored);
}

static_assert(std::endian::native == std::endian::little,
              "the formats in io/ are little-endian, read and written as they lie in memory");

/// Calls `work()`; an `Error` thrown there gets `place: ` in front.
template <class Work>
auto at_place(const std::string& place, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    fail(place, ": ", error.what());
  }
}

/// Where the links at `path` lead in the end, whether or not anything is there; without a link `path` itself. Stops at a link in
/// /proc, which stands for an open file ("/dev/stdout"). Throws where they lead in a circle.
inline std::filesystem::path end_of_links(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path end = path;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(end, error)); ++links) {
    if (std::filesystem::canonical(end.parent_path() / "", error).string().starts_with("/proc/")) break;
    require(links < 40, path.string(),
            ": cannot be written: ", std::make_error_code(std::errc::too_many_symbolic_link_levels).message());
    end = end.parent_path() / std::filesystem::read_symlink(end, error);
  }
  return end;
}
/// Says so if `path`, or a folder on the way to it, is a link that leads nowhere; empty if none is.
inline std::string leads_nowhere(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path part = path;
  for (; part.has_relative_path(); part = part.parent_path()) {
    if (!std::filesystem::is_symlink(std::filesystem::symlink_status(part, error))) continue;
    if (std::filesystem::status(part, error).type() == std::filesystem::file_type::not_found) break;
  }
  if (!part.has_relative_path()) return "";
  return (part == path ? "it" : part.string()) + " is a link that leads nowhere, to " +
         std::filesystem::read_symlink(part, error).string();
}

/// Throws if the system does not let us see what is in the folder `path`, where all would be called missing.
inline void require_open_folder(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::directory_iterator listed(path, error);
  if (!error) static_cast<void>(std::filesystem::status(path / ".", error));
  require(!error, path.string(), ": cannot be read: ", error.message());
}

/// Whether `path` is a pipe with a name (`mkfifo`). Who opens one waits for a program at its other end, perhaps for ever;
/// "/dev/stdin" and "/dev/fd/3" are open already.
inline bool is_named_pipe(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_fifo(path, error)) return false;
  const std::filesystem::path end = end_of_links(path);  // in /proc if it is open, or on other systems in /dev
  return !std::filesystem::is_symlink(std::filesystem::symlink_status(end, error)) && !end.string().starts_with("/dev/");
}

/// What a reader reads: a file, or bytes in memory, which must outlive it.
class Source {
 public:
  /// Opens a file; an open pipe ("/dev/stdin") is read to its end, and kept. Throws if it cannot be read, or is a folder, a
  /// device or a named pipe.
  explicit Source(const std::filesystem::path& path) : name_(path.string()) {
    require(!path.empty(), "a file to read has an empty name");
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) {
      const std::string nowhere = leads_nowhere(path);
      fail(name_, ": cannot be read: ", !nowhere.empty() ? nowhere : error ? error.message() : "no such file");
    }
    require(!std::filesystem::is_directory(status), name_, ": cannot be read: it is a folder, not a file");
    const bool pipe = std::filesystem::is_fifo(status) || std::filesystem::is_socket(status);
    require(pipe || std::filesystem::is_regular_file(status), name_, ": cannot be read: it is neither a file nor a pipe");
    require(!is_named_pipe(path), name_,
            ": cannot be read: it is a named pipe: must be a file, or an open pipe such as /dev/stdin");
    errno = 0;
    if (pipe) {
      keep_all(path);
      refuse_pointer();
      return;
    }
    file_.open(path, std::ios::binary);
    require(file_.is_open(), name_, ": cannot be read", errno ? ": " : "", errno ? std::generic_category().message(errno) : "");
    size_ = std::filesystem::file_size(path, error);
    require(!error, name_, ": cannot be read: ", error.message());
    refuse_pointer();
  }
  /// Reads `bytes`; errors call them `name`.
  Source(std::span<const std::byte> bytes, std::string name) : name_(std::move(name)), bytes_(bytes), size_(bytes.size()) {}

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }  ///< bytes
  /// Copies `count` bytes from byte `offset` on. Throws if there are not so many.
  void read(std::uint64_t offset, void* to, std::size_t count) {
    expect(offset, count);
    if (count == 0) return;
    if (!file_.is_open()) {
      const void* from = kept_.empty() ? static_cast<const void*>(bytes_.data()) : kept_.data();
      std::memcpy(to, static_cast<const char*>(from) + offset, count);
      return;
    }
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(static_cast<char*>(to), static_cast<std::streamsize>(count));
    require(file_.good(), name_, ": reading ", count, " bytes at byte ", offset, " failed");
  }
  /// `count` bytes from byte `offset` on. Throws if there are not so many, before it allocates.
  std::string text(std::uint64_t offset, std::uint64_t count) {
    expect(offset, count);
    std::string text(static_cast<std::size_t>(count), '\0');
    read(offset, text.data(), text.size());
    return text;
  }

 private:
  /// Throws if this is what Git LFS leaves in the place of a file that it has not fetched.
  void refuse_pointer() {
    const std::string_view start = "version https://git-lfs.github.com/spec/";
    require(size_ >= 1024 || size_ < start.size() || text(0, start.size()) != start, name_,
            ": a Git LFS pointer, not the file that it stands for: \"git lfs pull\" fetches that");
  }
  void expect(std::uint64_t offset, std::uint64_t count) const {
    require(offset <= size_ && count <= size_ - offset, name_, ": ends at byte ", size_, ", too short: expected ", count,
            " bytes from byte ", offset, " on");
  }
  void keep_all([[maybe_unused]] const std::filesystem::path& path) {
#ifdef O_NONBLOCK
    // Opened without waiting: standard input may be a named pipe whose writer is gone.
    const int pipe = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t count = pipe < 0 ? -1 : fcntl(pipe, F_SETFL, 0);
    std::array<char, 1 << 16> part;
    while (count >= 0 && (count = ::read(pipe, part.data(), part.size())) > 0)
      kept_.append(part.data(), static_cast<std::size_t>(count));
    const int error = errno;
    if (pipe >= 0) ::close(pipe);
    require(count == 0, name_, ": cannot be read: ", std::generic_category().message(error));
#endif
    size_ = kept_.size();
  }
  std::string name_, kept_;
  std::span<const std::byte> bytes_;
  std::uint64_t size_ = 0;
  std::ifstream file_;
};

/// A file in the making. It has a temporary name, its process's own, until `commit`; without that, whatever `path` was stays as
/// it is. What a killed process left there under such a name goes. A link stays one: the file is written where it leads.
class NewFile {
 public:
  /// Throws if no file can be made there. A device, a pipe or an open file ("/dev/stdout") at `path` is written to directly.
  explicit NewFile(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code error;
    require(!std::filesystem::is_directory(path_, error), path_.string(),
            ": cannot be written: ", std::make_error_code(std::errc::is_a_directory).message());
    target_ = end_of_links(path_);
    direct_ =
        std::filesystem::is_other(path_, error) || std::filesystem::is_symlink(std::filesystem::symlink_status(target_, error));
    part_ = direct_ ? path_ : part_of(target_);
    if (!direct_) remove_left_over(target_), unfinished_.emplace(part_);
    open_part();
    check();
    own_ = file_id(part_);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (direct_ || committed_) return;
    file_.close();
    remove_own(part_, own_);
  }

  std::ostream& out() { return file_; }
  /// Ends writing. Throws if anything was lost (a full disk).
  void close() {
    file_.close();
    check();
  }
  /// Gives the closed file its name, in place of what had it.
  void commit() {
    std::error_code error;
    if (!direct_) std::filesystem::rename(part_, target_, error);
    require(!error, path_.string(), ": cannot be written: ", error.message());
    committed_ = true;
    unfinished_.reset();
  }

 private:
  /// A named pipe is open once somebody reads it, as is usual; who waits for that is told.
  void open_part() {
#ifdef O_NONBLOCK
    const int tried = is_named_pipe(path_) ? open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -2;
    if (tried == -1 && errno == ENXIO)
      std::fprintf(stderr, "%s: waiting for a program that reads this pipe\n", path_.string().c_str());
#endif
    errno = 0;
    file_.open(part_, std::ios::binary | (direct_ ? std::ios::app : std::ios::trunc));
#ifdef O_NONBLOCK
    if (tried >= 0) ::close(tried);  // now, so that the reader never sees an end
#endif
  }
  void check() const {
    require(file_.good(), path_.string(),
            ": cannot be written: ", target_ == path_ ? "" : "it is a link to " + target_.string() + ": ",
            errno ? std::generic_category().message(errno) : "unknown reason");
  }
  std::filesystem::path path_, target_, part_;
  std::optional<Unfinished> unfinished_;
  std::optional<FileId> own_;  ///< what has the temporary name
  std::ofstream file_;
  bool direct_ = false, committed_ = false;
};

/// Throws if no file can be made at `path`, so that this is said before long work; nothing stays there. A pipe is left alone.
inline void require_writable(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_other(path, error)) const NewFile tried(path);
}

/// Whether there is anything called `path`: a link that leads nowhere is.
inline bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

/// Which file `path` is, or leads to.
inline std::optional<FileId> target_id(const std::filesystem::path& path) { return file_id(end_of_links(path)); }
/// Throws unless the file at `path`, which this program writes again and again, is still `own`; a device or a pipe is.
inline void require_own_file(const std::filesystem::path& path, const std::optional<FileId>& own) {
  if (!own || own->type != std::filesystem::file_type::regular) return;
  const std::optional<FileId> now = target_id(path);
  if (now == own) return;
  const std::optional<FileId> named = file_id(path);
  const auto what = [&]() -> std::string {
    if (!named) return ": is gone";
    if (named->type == std::filesystem::file_type::directory) return ": a folder has taken its place";
    if (named->type != std::filesystem::file_type::symlink) return ": another file has taken its place";
    std::error_code ignored;
    return ": a link to " + std::filesystem::read_symlink(path, ignored).string() +
           (now ? ", another file," : ", where nothing is,") + " stands in its place";
  };
  fail(path.string(), what(), " while this program writes to it");
}

/// Throws if no file can be made in the folder `path`, which need not exist; nothing stays, and no folder that was not there.
inline void require_writable_folder(const std::filesystem::path& path) {
  std::error_code error;
  OwnFolders made;
  std::string why = leads_nowhere(path);
  const auto held = Unfinished::hold();
  // Another process that tries the same may have made the folder, and take it away.
  for (int tries = 0; why.empty() && tries < 100; ++tries) {
    error = made.make(path);
    why = !error ? "" : is_there(path) && !std::filesystem::is_directory(path) ? "it is no folder" : error.message();
    if (!why.empty()) break;
    try {
      const NewFile tried(path / ".skipv1-tried");
      break;
    } catch (const Error& failed) {
      why = std::string(failed.what()).substr(std::string(failed.what()).rfind(": ") + 2);
    }
    if (std::filesystem::exists(path, error)) break;
  }
  made.remove();
  require(why.empty(), path.string(), ": nothing can be written into this folder: ", why);
}

/// Writes a file whole or not at all: `writer(std::ostream&)` writes it. Throws, and keeps the previous file, if that fails.
template <class Writer>
void write_whole(const std::filesystem::path& path, const Writer& writer) {
  NewFile file(path);
  writer(file.out());
  file.close();
  file.commit();
}

/// The bytes of a tensor of `width`-byte elements; none if they, or its strides, exceed 62 bits.
inline std::optional<std::uint64_t> byte_count(const Shape& shape, std::size_t width) {
  std::uint64_t bytes = width;
  bool none = false;
  for (const std::size_t extent : shape) {
    none = none || extent == 0;
    if (bytes > (std::uint64_t{1} << 62) / std::max<std::size_t>(extent, 1)) return {};
    bytes *= std::max<std::size_t>(extent, 1);
  }
  return none ? 0 : bytes;
}

/// Reads `to.size()` numbers of type `Stored` from byte `offset` of `from`; each becomes `convert(number, index)`.
template <class Stored, class T, class Convert>
void read_numbers(Source& from, std::uint64_t offset, View<T> to, const Convert& convert) {
  std::array<Stored, 8192> part;
  for (std::size_t begin = 0; begin < to.size(); begin += part.size()) {
    const std::size_t count = std::min(part.size(), to.size() - begin);
    from.read(offset + begin * sizeof(Stored), part.data(), count * sizeof(Stored));
    for (std::size_t i = 0; i < count; ++i) to.data()[begin + i] = convert(part[i], begin + i);
  }
}

/// Writes the elements of `x`, each as a `Stored`, which `check(stored, index)` sees before.
template <class Stored, class T, class Check>
void write_numbers(std::ostream& out, View<T> x, const Check& check) {
  std::array<Stored, 8192> part;
  for (std::size_t begin = 0; begin < x.size(); begin += part.size()) {
    const std::size_t count = std::min(part.size(), x.size() - begin);
    for (std::size_t i = 0; i < count; ++i) check(part[i] = static_cast<Stored>(x.data()[begin + i]), begin + i);
    out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(count * sizeof(Stored)));
  }
}

}  // namespace skipv1
