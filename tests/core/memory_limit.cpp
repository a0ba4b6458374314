// What memory is left: by the machine, by control groups of both versions, a process's own and those around it, and by `ulimit`.
#include "skipv1/core/memory_limit.hpp"

#include <filesystem>
#include <fstream>

#include "tests/catch.hpp"
#include "tests/check.hpp"
#include "tests/folder.hpp"

using namespace skipv1;

namespace {

/// A machine with 1000 kB, and 100 kB of swap, whose /proc and /sys lie in a folder.
struct SmallMachine {
  skipv1::testing::Folder root{"memory-limit"};
  explicit SmallMachine(const std::string& groups) {
    write("proc/meminfo", "MemTotal: 2000 kB\nMemAvailable: 1000 kB\nSwapFree: 100 kB\n");
    write("proc/self/cgroup", groups);
  }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  double kilobytes() const { return available_memory(root.path().string()).value() / 1024; }
};

}  // namespace

TEST_CASE("without control groups the machine's memory and swap are left; without /proc nothing is known") {
  CHECK(SmallMachine("").kilobytes() == 1100);
  CHECK(SmallMachine("0::/user.slice/job\n4:memory:/job\n").kilobytes() == 1100);  // groups that are not mounted here
  CHECK_FALSE(available_memory("/nowhere").has_value());
}

TEST_CASE("a control group of version 2 limits the processes in it and below it, less what they use") {
  const std::string group = GENERATE(as<std::string>(), "sys/fs/cgroup/", "sys/fs/cgroup/slice/", "sys/fs/cgroup/slice/job/",
                                     "sys/fs/cgroup/unified/slice/");
  CAPTURE(group);
  const SmallMachine machine("1:name=systemd:/other\n0::/slice/job\n");
  machine.write(group + "memory.max", "max\n");
  CHECK(machine.kilobytes() == 1100);
  machine.write(group + "memory.max", std::to_string(500 * 1024));
  CHECK(machine.kilobytes() == 600);  // with swap
  machine.write(group + "memory.current", std::to_string(450 * 1024));
  CHECK(machine.kilobytes() == 150);
  machine.write(group + "memory.stat", "anon 100\ninactive_file 102400\nactive_file 51200\nslab_reclaimable 1024\n");
  CHECK(machine.kilobytes() == 301);  // what is cached of files is given back
  machine.write(group + "memory.swap.max", std::to_string(50 * 1024));
  CHECK(machine.kilobytes() == 251);
  machine.write(group + "memory.swap.current", std::to_string(60 * 1024));
  CHECK(machine.kilobytes() == 201);
  machine.write("sys/fs/cgroup/other/memory.max", "1");  // not this process's
  CHECK(machine.kilobytes() == 201);
}

TEST_CASE("a control group of version 1 limits memory, and memory and swap together") {
  const std::string group = GENERATE(as<std::string>(), "sys/fs/cgroup/memory/", "sys/fs/cgroup/memory/job/");
  const SmallMachine machine("5:cpu:/else\n4:memory:/job\n0::/\n");
  machine.write(group + "memory.limit_in_bytes", "9223372036854771712\n");  // its word for none
  CHECK(machine.kilobytes() == 1100);
  machine.write(group + "memory.limit_in_bytes", std::to_string(500 * 1024));
  machine.write(group + "memory.usage_in_bytes", std::to_string(300 * 1024));
  machine.write(group + "memory.stat", "inactive_file 1\ntotal_inactive_file 51200\ntotal_active_file 51200\n");
  CHECK(machine.kilobytes() == 400);
  machine.write(group + "memory.memsw.limit_in_bytes", std::to_string(520 * 1024));
  machine.write(group + "memory.memsw.usage_in_bytes", std::to_string(300 * 1024));
  CHECK(machine.kilobytes() == 320);
}

TEST_CASE("what is asked for and what is left have as many digits as tell them apart") {
  const SmallMachine machine("");  // 1,126,400 bytes
  const auto line = [&](double bytes) {
    return test::message([&] { require_memory("a step", bytes, machine.root.path().string()); });
  };
  CHECK(line(2e9) == "a step takes at least 2.0 GB of memory, 0.0 GB are left");
  CHECK(line(1.2e6) == "a step takes at least 0.0012 GB of memory, 0.0011 GB are left");
  CHECK(line(1126401) == "a step takes at least 0.001126401 GB of memory, 0.001126400 GB are left");
}

TEST_CASE("limits of the process itself, of its address space and its data, count less what it has of them") {
  const SmallMachine machine("");
  machine.write("proc/self/status", "Name:\tprogram\nVmPeak:\t 999 kB\nVmSize:\t 300 kB\nVmData:\t 100 kB\n");
  const std::string head = "Limit                     Soft Limit           Hard Limit           Units\n";
  const auto limits = [&](const std::string& address_space, const std::string& data) {
    machine.write("proc/self/limits", head + "Max data size             " + data +
                                          " unlimited bytes\nMax address space         " + address_space + " unlimited bytes\n");
    return machine.kilobytes();
  };
  CHECK(limits("unlimited", "unlimited") == 1100);
  CHECK(limits(std::to_string(800 * 1024), "unlimited") == 500);
  CHECK(limits(std::to_string(800 * 1024), std::to_string(400 * 1024)) == 300);
  CHECK(limits("1024", "unlimited") == 0);
}
