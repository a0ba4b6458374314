// NCCL over device memory. A build with NCCL defines SKIPV1_WITH_NCCL and links it; elsewhere this header is empty.
#pragma once

#if defined(SKIPV1_WITH_NCCL) && defined(__CUDACC__)

#include <nccl.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "skipv1/device/memory.cuh"
#include "skipv1/distributed/world.hpp"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// Throws `Error` with `what` and NCCL's reason unless `status` is success.
inline void check_nccl(ncclResult_t status, const char* what) {
  require(status == ncclSuccess || status == ncclInProgress, what, ": ", ncclGetErrorString(status));
}

/// One process per GPU. The work goes to a stream of its own, in order: after what the current stream has been given, and before
/// what that stream is given after `wait`. A graph that is being recorded captures it. NCCL sums in an order that depends on the
/// number of processes alone. For a process alone NCCL leaves the memory as it is and launches nothing: the work stays on the
/// current stream, since a fork and a join would keep a recorded step from being one chain of kernels.
class NcclCommunicator final : public Communicator {
 public:
  using Communicator::begin_all_reduce;
  using Communicator::begin_broadcast;
  using Communicator::begin_reduce;
  using Communicator::broadcast;

  /// Takes the GPU of the process's number on its machine. `host`, which outlives it, carries NCCL's id and what lies in host
  /// memory; without it the id follows from MASTER_ADDR and MASTER_PORT, and NCCL carries all. Throws, before anything is
  /// begun, if two processes would share a GPU.
  NcclCommunicator(const Launched& launch, Communicator* host)
      : rank_(launch.rank), size_(launch.size), one_machine_(launch.local_size == launch.size), host_(host) {
    take_gpu(launch);
    if (host_) require_own_gpus();
    ncclUniqueId id{};
    if (!host_ && size_ > 1) set_address();
    if (rank_ == 0 || !host_) check_nccl(ncclGetUniqueId(&id), "NCCL's id");
    if (host_) host_->broadcast(&id, sizeof id, 0);
    check_nccl(ncclCommInitRank(&comm_, static_cast<int>(size_), id, static_cast<int>(rank_)),
               "NCCL's processes find each other");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;
  ~NcclCommunicator() override {
    cudaStreamSynchronize(stream_);
    ncclCommDestroy(comm_);
    cudaEventDestroy(event_);
    cudaStreamDestroy(stream_);
  }

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }
  bool on_one_machine() const override { return one_machine_; }
  /// Where the work goes.
  cudaStream_t stream() const { return size_ == 1 ? current_stream() : stream_; }

  void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) override {
    after_current();
    check_nccl(ncclReduce(data, data, count, type_of(element), ncclSum, static_cast<int>(root), comm_, stream()), "ncclReduce");
  }
  void begin_all_reduce(void* data, std::size_t count, Element element) override {
    after_current();
    check_nccl(ncclAllReduce(data, data, count, type_of(element), ncclSum, comm_, stream()), "ncclAllReduce");
  }
  void begin_broadcast(void* data, std::size_t bytes, std::size_t root) override {
    after_current();
    check_nccl(ncclBroadcast(data, data, bytes, ncclUint8, static_cast<int>(root), comm_, stream()), "ncclBroadcast");
  }
  void begin_group() override { check_nccl(ncclGroupStart(), "ncclGroupStart"); }
  void end_group() override { check_nccl(ncclGroupEnd(), "ncclGroupEnd"); }
  void wait() override { order(stream(), current_stream()); }

  void broadcast(void* data, std::size_t bytes, std::size_t root) override {
    if (host_) return host_->broadcast(data, bytes, root);
    through_device(data, bytes, [&](void* there) { begin_broadcast(there, bytes, root); });
  }
  void all_reduce(double* data, std::size_t count) override {
    if (host_) return host_->all_reduce(data, count);
    through_device(data, count * sizeof(double), [&](void* there) { begin_all_reduce(there, count, Element::f64); });
  }

 private:
  static ncclDataType_t type_of(Element element) {
    return element == Element::f64 ? ncclFloat64 : element == Element::f32 ? ncclFloat32 : ncclBfloat16;
  }
  static void take_gpu(const Launched& launch) {
    int count = 0;
    check_cuda(cudaGetDeviceCount(&count), "asking for the GPUs");
    const auto gpus = static_cast<std::size_t>(count);
    require(launch.by == Launched::By::mpi || launch.local_rank < gpus, "process ", launch.local_rank,
            " (from 0) of a machine of ", gpus, gpus == 1 ? " GPU" : " GPUs", ": NCCL takes one process per GPU");
    check_cuda(cudaSetDevice(static_cast<int>(launch.local_rank % gpus)), "cudaSetDevice");  // each may see one GPU, all another
  }
  /// A GPU's own number, the same whatever a process calls it.
  static std::string gpu() {
    int device = 0;
    cudaDeviceProp properties{};
    check_cuda(cudaGetDevice(&device), "asking for the device");
    check_cuda(cudaGetDeviceProperties(&properties, device), "asking for the device's number");
    std::string text = properties.name;
    text += ", ";
    char digits[4];
    for (const char byte : properties.uuid.bytes)
      text.append(digits,
                  static_cast<std::size_t>(std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte))));
    return text;
  }
  void require_own_gpus() const {
    std::vector<std::string> all(size_);
    for (std::size_t r = 0; r < size_; ++r) {
      if (r == rank_) all[r] = gpu();
      host_->broadcast(all[r], r);
      for (std::size_t other = 0; other < r; ++other)
        require(all[other] != all[r], "ranks ", other, " and ", r, " share one GPU (", all[r],
                "): NCCL takes one process per GPU");
    }
  }
  /// NCCL's own way for processes without another connection: the first listens where all look.
  static void set_address() {
#ifndef _WIN32
    const char* address = std::getenv("MASTER_ADDR");
    const std::optional<std::size_t> port = detail::environment_number({"MASTER_PORT"});
    require(address && port, "MASTER_ADDR and MASTER_PORT: must say where the first process is");
    const std::size_t own = *port + 1;  // at the port itself torchrun listens
    setenv("NCCL_COMM_ID", (std::string(address) + ":" + std::to_string(own)).c_str(), 0);
#endif
  }

  void order(cudaStream_t before, cudaStream_t after) const {
    if (before == after) return;
    check_cuda(cudaEventRecord(event_, before), "cudaEventRecord");
    check_cuda(cudaStreamWaitEvent(after, event_, 0), "cudaStreamWaitEvent");
  }
  void after_current() const { order(current_stream(), stream()); }
  template <class Work>
  void through_device(void* data, std::size_t bytes, const Work& work) {
    if (bytes == 0) return;
    const auto memory = detail::allocate_device(bytes);
    detail::copy_bytes(memory.get(), data, bytes, detail::Direction::to_device);
    work(memory.get());
    wait();
    detail::copy_bytes(data, memory.get(), bytes, detail::Direction::to_host);
  }

  std::size_t rank_, size_;
  bool one_machine_;
  Communicator* host_;
  ncclComm_t comm_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR

#endif
