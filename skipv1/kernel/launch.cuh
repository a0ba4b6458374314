// Kernel launches: on the GPU, or in the emulator.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/kernel/kernel.cuh"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// The kernels of an operation: `first` mirrors the CPU reference, `fast` is the default, `portable` is for GPUs without sm_90a
/// where that differs.
enum class Version { first, portable, fast };

#if defined(__CUDACC__)
/// Throws `Error` with `parts` and CUDA's reason unless `status` is success. The error is cleared, so the process can go on.
template <class... Parts>
void check_cuda(cudaError_t status, const Parts&... parts) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(parts..., ": ", cudaGetErrorString(status));
}

/// The stream of this thread's launches, copies and `zero`: the default stream, unless a `UseStream` lives.
inline cudaStream_t& current_stream() {
  static thread_local cudaStream_t stream = nullptr;
  return stream;
}
/// Lets `kernel` have `bytes` of dynamic shared memory. The limit is the function's, not a thread's, so it only rises.
inline void allow_shared_memory(const void* kernel, std::size_t bytes, const char* name) {
  if (bytes <= std::size_t{48} << 10) return;  // more needs the attribute
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, std::size_t> limits;  // of a kernel on a device
  int device = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  const std::lock_guard lock(mutex);
  std::size_t& limit = limits[{kernel, device}];
  if (bytes <= limit) return;
  check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), "kernel ", name,
             ": ", bytes, " bytes of shared memory");
  limit = bytes;
}
/// A launch as `cudaLaunchKernelExC` takes it.
struct LaunchConfiguration {
  cudaLaunchConfig_t config{};
  cudaLaunchAttribute attributes[2] = {};

  explicit LaunchConfiguration(const Launch& where) {
    config.gridDim = {where.grid.x, where.grid.y, where.grid.z};
    config.blockDim = {where.block.x, where.block.y, where.block.z};
    config.dynamicSmemBytes = where.shared_bytes;
    config.stream = current_stream();
    config.attrs = attributes;
    if (where.cluster > 1) {
      cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
      cluster.id = cudaLaunchAttributeClusterDimension;
      cluster.val.clusterDim.x = where.cluster, cluster.val.clusterDim.y = 1, cluster.val.clusterDim.z = 1;
    }
    if (where.start == Start::early) {
      cudaLaunchAttribute& early = attributes[config.numAttrs++];
      early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
      early.val.programmaticStreamSerializationAllowed = 1;
    }
  }
  LaunchConfiguration(const LaunchConfiguration&) = delete;
  LaunchConfiguration& operator=(const LaunchConfiguration&) = delete;
};
/// Waits for the current stream; throws if any of its work failed.
inline void synchronize() { check_cuda(cudaStreamSynchronize(current_stream()), "waiting for the device"); }
#else

}  // namespace skipv1

namespace skipv1::emulator {
/// The graph being recorded (device/graph.cuh), to which work is appended instead of run. Null: none.
inline std::vector<std::function<void()>>*& recording() {
  static thread_local std::vector<std::function<void()>>* graph = nullptr;
  return graph;
}
template <class Work>
void do_or_record(const Work& work) {
  if (recording()) return recording()->push_back(work);
  HeldKernel::only().run();
  work();
}
/// The same of a kernel, which is held back while there is a `LateKernels`. One that starts early runs before the one that is
/// held back, until it waits for it.
template <class Kernel>
void launch_or_record(const Kernel& kernel, Start start) {
  HeldKernel& held = HeldKernel::only();
  if (recording() || !held.holds()) return do_or_record(kernel);
  if (start == Start::after) return held.hold(kernel);
  kernel();
  held.run();
}
}  // namespace skipv1::emulator

namespace skipv1::inline SKIPV1_FLAVOUR {

inline void synchronize() {
  require(!emulator::recording(), "waiting for the device: not while a graph is recorded");
  emulator::HeldKernel::only().run();
}
#endif

/// Launches `kernel(arguments…)`. A grid without blocks does nothing. Throws, naming the kernel, if the launch is not possible.
/// On the GPU it is asynchronous (see `synchronize`); the emulator runs it at once and throws the faults of its threads.
template <class... Parameters, class... Arguments>
void launch(const Launch& where, void (*kernel)(Parameters...), Arguments... arguments) {
  if (where.grid.size() == 0) return;
#if defined(__CUDACC__)
  allow_shared_memory(reinterpret_cast<const void*>(kernel), where.shared_bytes, where.name);
  const dim3 grid(where.grid.x, where.grid.y, where.grid.z), block(where.block.x, where.block.y, where.block.z);
  cudaError_t status;
  if (where.resident == Resident::all || where.cluster > 1 || where.start == Start::early) {
    const std::tuple<Parameters...> given(static_cast<Parameters>(arguments)...);
    const auto pointers = [](const auto&... x) {
      return std::array<void*, sizeof...(x)>{const_cast<void*>(static_cast<const void*>(&x))...};
    };
    auto all = std::apply(pointers, given);
    const auto* function = reinterpret_cast<const void*>(kernel);
    if (where.resident == Resident::all) {
      status = cudaLaunchCooperativeKernel(function, grid, block, all.data(), where.shared_bytes, current_stream());
    } else {
      const LaunchConfiguration with_attributes(where);
      status = cudaLaunchKernelExC(&with_attributes.config, function, all.data());
    }
  } else {
    kernel<<<grid, block, where.shared_bytes, current_stream()>>>(static_cast<Parameters>(arguments)...);
    status = cudaGetLastError();
  }
  check_cuda(status, "kernel ", where.name, ": launch of ", where.grid, " blocks of ", where.block, " threads");
#else
  require(where.block.size() >= 1 && where.block.size() <= 1024 && where.block.z <= 64, "kernel ", where.name, ": blocks of ",
          where.block, " threads: 1 to 1024 are allowed");
  require(where.grid.x < 1u << 31 && where.grid.y < 1u << 16 && where.grid.z < 1u << 16, "kernel ", where.name, ": a grid of ",
          where.grid, " blocks: at most (2^31 - 1, 65535, 65535) are allowed");
  require(where.shared_bytes <= emulator::SharedMemory::capacity, "kernel ", where.name, ": ", where.shared_bytes,
          " bytes of shared memory: at most ", emulator::SharedMemory::capacity, " are allowed");
  require(where.cluster >= 1 && where.cluster <= 8 && where.grid.x % where.cluster == 0, "kernel ", where.name, ": clusters of ",
          where.cluster, " blocks in a grid of ", where.grid, ": 1 to 8 are allowed, which the grid's x is a multiple of");
  const auto call = [=] { kernel(static_cast<Parameters>(arguments)...); };
  using Call = decltype(call);
  const auto grid = [=] { emulator::run_grid({where, [](const void* closure) { (*static_cast<Call*>(closure))(); }, &call}); };
  emulator::launch_or_record(grid, where.start);
#endif
}

/// Elements per load, as a type, for kernels that are templates over it.
template <class T>
inline constexpr std::integral_constant<std::size_t, per_16_bytes<T>> numbers_a_load = {};
inline constexpr std::integral_constant<std::size_t, 1> one_a_load = {};

/// Whether rows of `width` elements at these addresses can be read by loads of 16 bytes.
template <class T, class... Pointers>
bool reads_16_bytes(std::size_t width, const T* first, const Pointers*... rest) {
  const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
  return width % per_16_bytes<T> == 0 && aligned(first) && (aligned(rest) && ...);
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR
