// Worlds that tell what a step's sums and broadcasts cost: one that leaves some of them out, one that times them. For nvcc alone.
#pragma once

#include <utility>
#include <vector>

#include "skipv1/distributed/nccl.cuh"

#if defined(SKIPV1_WITH_NCCL)
namespace skipv1::benchmark {

/// Passes everything on. What is host memory's is never left out.
class PassingWorld : public Communicator {
 public:
  using Communicator::begin_all_reduce;
  using Communicator::begin_broadcast;
  using Communicator::begin_reduce;
  using Communicator::broadcast;

  explicit PassingWorld(NcclCommunicator& world) : world_(world) {}

  std::size_t rank() const override { return world_.rank(); }
  std::size_t size() const override { return world_.size(); }
  bool on_one_machine() const override { return world_.on_one_machine(); }
  void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) override {
    world_.begin_reduce(data, count, element, root);
  }
  void begin_all_reduce(void* data, std::size_t count, Element element) override {
    world_.begin_all_reduce(data, count, element);
  }
  void begin_broadcast(void* data, std::size_t bytes, std::size_t root) override { world_.begin_broadcast(data, bytes, root); }
  void begin_group() override { world_.begin_group(); }
  void end_group() override { world_.end_group(); }
  void wait() override { world_.wait(); }
  void broadcast(void* data, std::size_t bytes, std::size_t root) override { world_.broadcast(data, bytes, root); }
  void all_reduce(double* data, std::size_t count) override { world_.all_reduce(data, count); }

 protected:
  NcclCommunicator& world_;
};

/// Of a step's work it does a part: nothing, or the sums without the new parameters. Each process then trains a model of its own,
/// which costs what it costs together but for what is left out.
class PartialWorld final : public PassingWorld {
 public:
  enum class Does { nothing, sums };
  PartialWorld(NcclCommunicator& world, Does does) : PassingWorld(world), sums_(does == Does::sums) {}

  void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) override {
    if (sums_) PassingWorld::begin_reduce(data, count, element, root);
  }
  void begin_all_reduce(void* data, std::size_t count, Element element) override {
    if (sums_) PassingWorld::begin_all_reduce(data, count, element);
  }
  void begin_broadcast(void*, std::size_t, std::size_t) override {}
  void begin_group() override {
    if (sums_) PassingWorld::begin_group();
  }
  void end_group() override {
    if (sums_) PassingWorld::end_group();
  }
  void wait() override {
    if (sums_) PassingWorld::wait();
  }

 private:
  bool sums_;
};

/// Holds a multiprocessor with each block, for `cycles`: blocks that need much shared memory find no room beside it.
__global__ void hold_kernel(long long cycles) {
  const long long begin = clock64();
  while (clock64() - begin < cycles) {
  }
}

/// Exchanges nothing; where a layer's sum would be, some blocks hold a multiprocessor each for so many cycles.
class HoldingWorld final : public PassingWorld {
 public:
  HoldingWorld(NcclCommunicator& world, unsigned blocks, long long cycles)
      : PassingWorld(world), blocks_(blocks), cycles_(cycles) {
    check_cuda(cudaFuncSetAttribute(hold_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared), "cudaFuncSetAttribute");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreate");
  }
  HoldingWorld(const HoldingWorld&) = delete;
  HoldingWorld& operator=(const HoldingWorld&) = delete;
  ~HoldingWorld() override { cudaEventDestroy(event_), cudaStreamDestroy(stream_); }

  bool on_one_machine() const override { return false; }
  void begin_reduce(void*, std::size_t, Element, std::size_t) override { sums_ = true; }
  void begin_all_reduce(void*, std::size_t, Element) override {}
  void begin_broadcast(void*, std::size_t, std::size_t) override {}
  void begin_group() override {}
  void end_group() override {
    if (!std::exchange(sums_, false)) return;
    order(current_stream(), stream_);
    hold_kernel<<<blocks_, 256, shared, stream_>>>(cycles_);
    check_cuda(cudaGetLastError(), "hold_kernel");
    held_ = true;
  }
  void wait() override {
    if (std::exchange(held_, false)) order(stream_, current_stream());
  }

 private:
  static constexpr int shared = 100 << 10;
  void order(cudaStream_t before, cudaStream_t after) const {
    check_cuda(cudaEventRecord(event_, before), "cudaEventRecord");
    check_cuda(cudaStreamWaitEvent(after, event_, 0), "cudaStreamWaitEvent");
  }
  unsigned blocks_;
  long long cycles_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t event_ = nullptr;
  bool sums_ = false, held_ = false;
};

/// The sums layer by layer, as between machines.
class FarWorld final : public PassingWorld {
 public:
  using PassingWorld::PassingWorld;

  bool on_one_machine() const override { return false; }
};

/// Times each piece of a recorded step's work on NCCL's stream, from when it could begin, its data being there, to its end: it
/// may wait for other processes meanwhile, and share multiprocessors and memory with the backward pass.
class TimedWorld final : public PassingWorld {
 public:
  struct Seconds {
    double sums = 0, norm = 0, parameters = 0;
  };
  using Kind = double Seconds::*;

  explicit TimedWorld(NcclCommunicator& world) : PassingWorld(world) {
    check_cuda(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming), "cudaEventCreate");
    pieces_.resize(256);  // none can be made while a graph is recorded
    for (Piece& piece : pieces_)
      for (cudaEvent_t* event : {&piece.begin, &piece.end}) check_cuda(cudaEventCreate(event), "cudaEventCreate");
  }
  TimedWorld(const TimedWorld&) = delete;
  TimedWorld& operator=(const TimedWorld&) = delete;
  ~TimedWorld() override {
    cudaEventDestroy(ready_);
    for (const Piece& piece : pieces_) cudaEventDestroy(piece.begin), cudaEventDestroy(piece.end);
  }

  void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) override {
    piece(&Seconds::sums, [&] { PassingWorld::begin_reduce(data, count, element, root); });
  }
  void begin_all_reduce(void* data, std::size_t count, Element element) override {
    piece(&Seconds::norm, [&] { PassingWorld::begin_all_reduce(data, count, element); });
  }
  void begin_broadcast(void* data, std::size_t bytes, std::size_t root) override {
    piece(&Seconds::parameters, [&] { PassingWorld::begin_broadcast(data, bytes, root); });
  }
  void begin_group() override {
    record(true);
    grouped_ = true;
    PassingWorld::begin_group();
  }
  void end_group() override {
    PassingWorld::end_group();
    grouped_ = false;
    record(false);
  }

  /// Of the last replay, which is over.
  Seconds last() const {
    Seconds all;
    for (std::size_t i = 0; i < used_; ++i) {
      float ms = 0;
      check_cuda(cudaEventElapsedTime(&ms, pieces_[i].begin, pieces_[i].end), "cudaEventElapsedTime");
      all.*pieces_[i].kind += 1e-3 * static_cast<double>(ms);
    }
    return all;
  }

 private:
  struct Piece {
    cudaEvent_t begin = nullptr, end = nullptr;
    Kind kind = &Seconds::sums;
  };

  template <class Work>
  void piece(Kind kind, const Work& work) {
    if (!grouped_) record(true);
    pieces_[used_].kind = kind;
    work();
    if (!grouped_) record(false);
  }
  /// Only a graph that is being recorded keeps the events.
  void record(bool begin) {
    cudaStreamCaptureStatus status{};
    check_cuda(cudaStreamIsCapturing(current_stream(), &status), "cudaStreamIsCapturing");
    if (status != cudaStreamCaptureStatusActive) return;
    require(used_ + 1 < pieces_.size(), "too many pieces to be timed");
    if (begin && world_.stream() != current_stream()) {
      check_cuda(cudaEventRecord(ready_, current_stream()), "cudaEventRecord");
      check_cuda(cudaStreamWaitEvent(world_.stream(), ready_, 0), "cudaStreamWaitEvent");
    }
    check_cuda(
        cudaEventRecordWithFlags(begin ? pieces_[used_].begin : pieces_[used_].end, world_.stream(), cudaEventRecordExternal),
        "cudaEventRecordWithFlags");
    if (!begin) ++used_;
  }

  cudaEvent_t ready_ = nullptr;
  std::vector<Piece> pieces_;
  std::size_t used_ = 0;
  bool grouped_ = false;
};

}  // namespace skipv1::benchmark
#endif
