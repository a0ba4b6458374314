// Streams, and graphs: launches recorded once and replayed without their cost on the host.
#pragma once

#include <functional>

#include "skipv1/core/cuda.cuh"

namespace skipv1 {

/// A stream of its own; while the object lives, this thread's launches, copies and `zero` go to it. In the emulator everything is
/// done at once, in order.
class UseStream {
 public:
#if defined(__CUDACC__)
  UseStream() : before_(current_stream()) {
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
/// it copies nothing from or to the host; a stream of `UseStream` is current. What it reads is read anew at each replay, its
/// kernels' arguments are those of the recording. In the emulator a replay runs `work` again.
class Graph {
 public:
  explicit Graph(std::function<void()> work) : work_(std::move(work)) {
#if defined(__CUDACC__)
    cudaGraph_t graph = nullptr;
    require(current_stream() != nullptr, "graph: the default stream cannot be recorded; see UseStream");
    check_cuda(cudaStreamBeginCapture(current_stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      work_();
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
#endif
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
#if defined(__CUDACC__)
    cudaGraphExecDestroy(executable_);
#endif
  }
  void replay() const {
#if defined(__CUDACC__)
    check_cuda(cudaGraphLaunch(executable_, current_stream()), "cudaGraphLaunch");
#else
    work_();
#endif
  }

 private:
  std::function<void()> work_;
#if defined(__CUDACC__)
  cudaGraphExec_t executable_ = nullptr;
#endif
};

}  // namespace skipv1
