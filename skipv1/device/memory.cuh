// Tensors in device memory: the GPU's, or heap memory for the emulator's kernels. The emulator fills new memory with NaN, where a
// GPU's holds old data.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "skipv1/kernel/launch.cuh"
#include "skipv1/core/tensor.hpp"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Why this machine has no usable device, in one line; empty if it has one.
inline std::string why_no_device() {
#if defined(__CUDACC__)
  int count = 0, device = 0, major = 0, minor = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess || count == 0)
    return std::string("no CUDA device: ") + cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status);
  check_cuda(cudaGetDevice(&device), "asking for the device");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for the compute capability");
  check_cuda(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking for the compute capability");
  if (major < 8)
    return "the CUDA device has compute capability " + std::to_string(major) + '.' + std::to_string(minor) + ": 8.0 is needed";
#endif
  return {};
}
inline bool device_available() { return why_no_device().empty(); }

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {

struct FreeDevice {
  void operator()(void* p) const {
#if defined(__CUDACC__)
    cudaFree(p);
#else
    ::operator delete(p, std::align_val_t(256));
#endif
  }
};
using DeviceMemory = std::unique_ptr<void, FreeDevice>;

/// Allocations of device memory by this thread.
inline std::size_t& device_allocations() {
  static thread_local std::size_t count = 0;
  return count;
}
#if !defined(__CUDACC__)
/// The largest allocation that the emulated device grants; for tests.
inline std::size_t& emulated_memory() {
  static std::size_t bytes = std::size_t{1} << 40;
  return bytes;
}
#endif

/// Allocates `bytes` of device memory, aligned to 256. Throws if they do not fit; the process can go on.
inline DeviceMemory allocate_device(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  ++device_allocations();
#if defined(__CUDACC__)
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    fail("device memory: ", bytes, " bytes do not fit, ", free, " of ", total, " are free");
  }
  check_cuda(status, "cudaMalloc of ", bytes, " bytes");
  return DeviceMemory(p);
#else
  void* p = bytes <= emulated_memory() ? ::operator new(bytes, std::align_val_t(256), std::nothrow) : nullptr;
  require(p != nullptr, "device memory (emulated): ", bytes, " bytes do not fit");
  std::memset(p, 0xff, bytes);
  return DeviceMemory(p);
#endif
}

enum class Direction { to_device, to_host, on_device };
/// Copies bytes in the order of the current stream. A copy to the host waits for its end.
inline void copy_bytes(void* to, const void* from, std::size_t bytes, Direction direction) {
  if (bytes == 0) return;
#if defined(__CUDACC__)
  const cudaMemcpyKind kind = direction == Direction::to_device ? cudaMemcpyHostToDevice
                              : direction == Direction::to_host ? cudaMemcpyDeviceToHost
                                                                : cudaMemcpyDeviceToDevice;
  check_cuda(cudaMemcpyAsync(to, from, bytes, kind, current_stream()), "cudaMemcpyAsync of ", bytes, " bytes");
  if (direction == Direction::to_host) synchronize();
#else
  require(!emulator::recording() || direction == Direction::on_device,
          "a copy from or to the host: not while a graph is recorded");
  emulator::do_or_record([=] { std::memmove(to, from, bytes); });
#endif
}

inline void require_same_shape(const Shape& to, const Shape& from) {
  require(to == from, "copy: ", from, " into ", to, ": shapes must be equal");
}

}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Copies `from` to `to`, of the same shape, between host and device or on the device. A copy to the host waits for the stream.
template <class T>
void copy(View<T, Device> to, ConstView<T, Cpu> from) {
  detail::require_same_shape(to.shape(), from.shape());
  detail::copy_bytes(to.data(), from.data(), from.size() * sizeof(T), detail::Direction::to_device);
}
template <class T>
void copy(View<T, Cpu> to, ConstView<T, Device> from) {
  detail::require_same_shape(to.shape(), from.shape());
  detail::copy_bytes(to.data(), from.data(), from.size() * sizeof(T), detail::Direction::to_host);
}
template <class T>
void copy(View<T, Device> to, ConstView<T, Device> from) {
  detail::require_same_shape(to.shape(), from.shape());
  detail::copy_bytes(to.data(), from.data(), from.size() * sizeof(T), detail::Direction::on_device);
}

/// Sets all bytes of `x` to zero.
template <class T>
void zero(View<T, Device> x) {
  if (x.empty()) return;
#if defined(__CUDACC__)
  check_cuda(cudaMemsetAsync(x.data(), 0, x.size() * sizeof(T), current_stream()), "cudaMemsetAsync of ", x.size() * sizeof(T),
             " bytes");
#else
  emulator::do_or_record([=] { std::memset(static_cast<void*>(x.data()), 0, x.size() * sizeof(T)); });
#endif
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1 {

/// Owns device memory. Throws if it does not fit.
template <class T>
class Tensor<T, Device> : public View<T, Device> {
 public:
  Tensor() = default;
  explicit Tensor(Shape shape)
      : memory_((require_possible(shape, sizeof(T)), detail::allocate_device(shape.size() * sizeof(T)))) {
    this->data_ = static_cast<T*>(memory_.get());
    this->shape_ = shape;
  }
  Tensor(const Tensor& other) : View<T, Device>() {
    if (!other.data_) return;
    *this = Tensor(other.shape_);
    copy<T>(View<T, Device>(*this), View<T, Device>(other));
  }
  Tensor(Tensor&& other) noexcept : View<T, Device>() { swap(other); }
  Tensor& operator=(Tensor other) noexcept {
    swap(other);
    return *this;
  }
  ~Tensor() = default;

 private:
  void swap(Tensor& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(this->data_, other.data_);
    std::swap(this->shape_, other.shape_);
  }
  detail::DeviceMemory memory_;
};

}  // namespace skipv1

namespace skipv1::inline SKIPV1_FLAVOUR {

/// A copy of `x` in device memory, and in host memory.
template <class T>
Tensor<T, Device> to_device(View<T, Cpu> x) {
  Tensor<std::remove_const_t<T>, Device> y(x.shape());
  copy<std::remove_const_t<T>>(View<std::remove_const_t<T>, Device>(y), x);
  return y;
}
template <class T>
Tensor<T, Device> to_device(const Tensor<T, Cpu>& x) {
  return to_device(View<T, Cpu>(x));
}
template <class T>
Tensor<std::remove_const_t<T>, Cpu> to_host(View<T, Device> x) {
  Tensor<std::remove_const_t<T>, Cpu> y(x.shape());
  copy<std::remove_const_t<T>>(View<std::remove_const_t<T>, Cpu>(y), x);
  return y;
}

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1::detail::inline SKIPV1_FLAVOUR {
/// Moves of this thread's scratch memory: a graph recorded before the last one must not run.
inline std::size_t& scratch_moves() {
  static thread_local std::size_t count = 0;
  return count;
}
/// Device memory for partial results between consecutive launches. It grows and never shrinks, except by `release`. For one
/// stream at a time.
template <class T>
class Scratch {
 public:
  /// This thread's.
  static Scratch& here() {
    static thread_local Scratch scratch;
    return scratch;
  }
  T* of(std::size_t count) {
    if (count > size_) {
      release();
      memory_ = allocate_device(count * sizeof(T));
      size_ = count;
    }
    return static_cast<T*>(memory_.get());
  }
  void release() {
    ++scratch_moves();
    memory_ = nullptr;
    size_ = 0;
  }

 private:
  DeviceMemory memory_;
  std::size_t size_ = 0;
};
template <class T>
T* scratch(std::size_t count) {
  return Scratch<T>::here().of(count);
}
}  // namespace skipv1::detail::inline SKIPV1_FLAVOUR
