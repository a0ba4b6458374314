// Streams, and graphs: launches recorded once and replayed without their cost on the host.
#pragma once

#include <functional>
#include <optional>

#include "skipv1/device/memory.cuh"
#include "skipv1/core/repeat.hpp"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// A stream of its own; while the object lives, this thread's launches, copies and `zero` go to it. In the emulator everything is
/// done at once, in order.
class UseStream {
 public:
#if defined(__CUDACC__)
  UseStream() : before_(current_stream()) {
    synchronize();  // what was asked before comes first
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    current_stream() = stream_;
  }
  ~UseStream() {
    cudaStreamSynchronize(stream_);
    current_stream() = before_;
    cudaStreamDestroy(stream_);
  }
#else
  UseStream() = default;
  ~UseStream() {}
#endif
  UseStream(const UseStream&) = delete;
  UseStream& operator=(const UseStream&) = delete;

#if defined(__CUDACC__)
 private:
  cudaStream_t stream_ = nullptr, before_;
#endif
};

/// What `work` asks of the device, to be done again by each `replay`. `work` has run once before, so that it allocates nothing;
/// it copies nothing from or to the host. What it reads is read again at each replay, its kernels' arguments are those of the
/// recording.
class Graph {
 public:
  explicit Graph(const std::function<void()>& work) : moves_(detail::scratch_moves()) {
#if defined(__CUDACC__)
    const UseStream own;  // the default stream cannot be recorded
    cudaGraph_t graph = nullptr;
    check_cuda(cudaStreamBeginCapture(current_stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      work();
    } catch (...) {
      cudaStreamEndCapture(current_stream(), &graph);
      cudaGetLastError();
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
    check_cuda(cudaStreamEndCapture(current_stream(), &graph), "cudaStreamEndCapture");
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(status, "cudaGraphInstantiate");
#else
    require(!emulator::recording(), "a graph inside of a graph");
    struct Recording {
      explicit Recording(std::vector<std::function<void()> >& asked) { emulator::recording() = &asked; }
      ~Recording() { emulator::recording() = nullptr; }
    } recording(asked_);
    work();
#endif
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
#if defined(__CUDACC__)
    cudaGraphExecDestroy(executable_);
#endif
  }
  /// Whether scratch memory that the recording may use has moved since.
  bool stale() const { return moves_ != detail::scratch_moves(); }
  void replay() const {
    require(!stale(), "graph: scratch memory has moved since it was recorded");
#if defined(__CUDACC__)
    check_cuda(cudaGraphLaunch(executable_, current_stream()), "cudaGraphLaunch");
#else
    for (const std::function<void()>& asked : asked_) asked();
#endif
  }

 private:
  std::size_t moves_;
#if defined(__CUDACC__)
  cudaGraphExec_t executable_ = nullptr;
#else
  std::vector<std::function<void()> > asked_;
#endif
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1 {

/// On the device: the first call runs the work, which may allocate; the second records it; that and all later ones replay. So the
/// work must be the same each time; `forget` before it changes.
template <>
class Repeat<Device> {
 public:
  void operator()(const std::function<void()>& work) {
    if (!warm_) {
      work();
      warm_ = true;
      return;
    }
    if (!graph_ || graph_->stale()) graph_.emplace(work);
    graph_->replay();
  }
  void forget() {
    graph_.reset();
    warm_ = false;
  }

 private:
  bool warm_ = false;
  std::optional<Graph> graph_;
};

}  // namespace skipv1
