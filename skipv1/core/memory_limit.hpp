// How much memory is left. Work that takes more is refused before it begins; else the system would kill the program in the middle
// of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"

namespace skipv1 {

namespace detail {

/// The number that a file of the system holds; `otherwise` if there is no such file or it holds a word ("max").
inline double number_in(const std::string& file, double otherwise) {
  std::ifstream in(file);
  double number = 0;
  return in >> number ? number : otherwise;
}

/// The sum of the numbers behind those of `keys` that a file of lines "key number" has.
inline double sum_in(const std::string& file, const std::vector<std::string>& keys) {
  std::ifstream in(file);
  double sum = 0, number = 0;
  for (std::string key; in >> key >> number;)
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) sum += number;
  return sum;
}

/// Where a kind of control group is found, and how it calls what it counts.
struct ControlGroups {
  std::string line;  ///< how its line of /proc/self/cgroup begins, up to the group's path
  std::string mount, limit, usage, swap_limit, swap_usage;
  bool swap_alone;                  ///< the limit of swap is one of swap alone; else of memory and swap together
  std::vector<std::string> cached;  ///< keys of memory.stat: what the system takes back when memory is short
};

/// Memory that can still be taken, and that memory with swap.
struct MemoryLeft {
  double memory, with_swap;
};

/// `left`, or less if this process's group or one around it has a limit.
inline MemoryLeft within_groups(MemoryLeft left, const std::string& root, const ControlGroups& kind) {
  constexpr double none = std::numeric_limits<double>::infinity();
  std::string path;  // in a container it may be the host's: folders that are not there limit nothing
  std::ifstream groups(root + "/proc/self/cgroup");  // "0::/user.slice/job", "4:memory:/job"
  for (std::string line; std::getline(groups, line);)
    if (const std::size_t at = line.find(kind.line); at != line.npos && at == line.find(':'))
      path = line.substr(at + kind.line.size());
  while (path.ends_with('/')) path.pop_back();
  double swap = left.with_swap - left.memory;
  while (true) {
    const std::string folder = (root + kind.mount).append(path).append("/");
    const double cached = sum_in(folder + "memory.stat", kind.cached);
    const auto limit = [&](double& bytes, const std::string& limit_file, const std::string& usage_file, double taken_back) {
      const double used = std::max(0., number_in(folder + usage_file, 0) - taken_back);
      bytes = std::min(bytes, std::max(0., number_in(folder + limit_file, none) - used));
    };
    limit(left.memory, kind.limit, kind.usage, cached);
    if (kind.swap_alone)
      limit(swap, kind.swap_limit, kind.swap_usage, 0);
    else
      limit(left.with_swap, kind.swap_limit, kind.swap_usage, cached);
    if (path.empty()) break;
    path.erase(path.rfind('/'));
  }
  left.with_swap = std::min(left.with_swap, left.memory + swap);
  return left;
}

/// Bytes of a line "key 1234 kB", or "key 1234 ... bytes"; `otherwise` if the file has no such line or it says "unlimited".
inline double bytes_in(const std::string& file, const std::string& key, double unit, double otherwise) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream words(line.substr(key.size()));
    double number = 0;
    return words >> number ? number * unit : otherwise;
  }
  return otherwise;
}

/// `left`, or less if this process has a limit of its own: of its address space (`ulimit -v`) or its data (`ulimit -d`).
inline double within_own_limits(double left, const std::string& root) {
  constexpr double none = std::numeric_limits<double>::infinity();
  for (const auto& [limit, used] : {std::pair{"Max address space", "VmSize:"}, {"Max data size", "VmData:"}}) {
    const double most = bytes_in(root + "/proc/self/limits", limit, 1, none);
    left = std::min(left, std::max(0., most - bytes_in(root + "/proc/self/status", used, 1024, 0)));
  }
  return left;
}

}  // namespace detail

/// Bytes that this process can still get, swap included: of the machine's, of each control group's (Linux's versions 1 and 2)
/// that it is in, and of its own limits (`ulimit`). None where the system does not say (on all but Linux). `root`: where /proc
/// and /sys lie, for tests.
inline std::optional<double> available_memory(const std::string& root = {}) {
  std::ifstream file(root + "/proc/meminfo");  // "MemAvailable:   12345 kB"
  double available = -1, swap = 0, kilobytes = 0;
  for (std::string key, unit; file >> key >> kilobytes && std::getline(file, unit);) {
    if (key == "MemAvailable:") available = kilobytes * 1024;
    if (key == "SwapFree:") swap = kilobytes * 1024;
  }
  if (available < 0) return {};
  detail::MemoryLeft left{available, available + swap};
  for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
    left = detail::within_groups(left, root,
                                 {"::",
                                  mount,
                                  "memory.max",
                                  "memory.current",
                                  "memory.swap.max",
                                  "memory.swap.current",
                                  true,
                                  {"inactive_file", "active_file", "slab_reclaimable"}});
  left = detail::within_groups(left, root,
                               {":memory:",
                                "/sys/fs/cgroup/memory",
                                "memory.limit_in_bytes",
                                "memory.usage_in_bytes",
                                "memory.memsw.limit_in_bytes",
                                "memory.memsw.usage_in_bytes",
                                false,
                                {"total_inactive_file", "total_active_file"}});
  return detail::within_own_limits(left.with_swap, root);
}

/// Throws if fewer than `bytes` are left, which is the least that `what` ("--batch 9: a step") takes.
inline void require_memory(const std::string& what, double bytes, const std::string& root = {}) {
  const std::optional<double> left = available_memory(root);
  if (!left || bytes <= *left) return;
  const auto gb = [](double of, int digits) {
    std::ostringstream number;
    number << std::fixed << std::setprecision(digits) << of / 1e9;
    return number.str();
  };
  int digits = 1;
  while (digits < 9 && gb(bytes, digits) == gb(*left, digits)) ++digits;
  fail(what, " takes at least ", gb(bytes, digits), " GB of memory, ", gb(*left, digits), " GB are left");
}

}  // namespace skipv1
