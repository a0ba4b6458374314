// How much memory is left. Work that takes more is refused before it begins; else the system would kill the program in the middle
// of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string>

#include "skipv1/core/check.hpp"

namespace skipv1 {

/// Bytes that this machine can still give, swap included, but at most the limits of the root control group; none where the system
/// does not say (on all but Linux).
inline std::optional<double> available_memory() {
  std::ifstream file("/proc/meminfo");  // "MemAvailable:   12345 kB"
  double available = -1, swap = 0, kilobytes = 0;
  for (std::string key, unit; file >> key >> kilobytes && std::getline(file, unit);) {
    if (key == "MemAvailable:") available = kilobytes * 1024;
    if (key == "SwapFree:") swap = kilobytes * 1024;
  }
  if (available < 0) return {};
  double limit = 0, swap_limit = 0;
  std::ifstream group("/sys/fs/cgroup/memory.max"), swap_of_group("/sys/fs/cgroup/memory.swap.max");  // a number, or "max"
  if (swap_of_group >> swap_limit) swap = std::min(swap, swap_limit);
  return group >> limit ? std::min(available, limit) + swap : available + swap;
}

/// Throws if fewer than `bytes` are left, which is the least that `what` ("--batch 9: a step") takes.
inline void require_memory(const std::string& what, double bytes) {
  const std::optional<double> left = available_memory();
  if (!left || bytes <= *left) return;
  std::ostringstream line;
  line << std::fixed << std::setprecision(1) << what << " takes at least " << bytes / 1e9 << " GB of memory, " << *left / 1e9
       << " GB are left";
  fail(line.str());
}

}  // namespace skipv1
