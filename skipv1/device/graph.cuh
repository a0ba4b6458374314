// Streams, and graphs: launches recorded once and replayed without their cost on the host.
#pragma once

#include <functional>
#include <optional>

#include "skipv1/device/memory.cuh"
#include "skipv1/core/repeat.hpp"

namespace skipv1::inline SKIPV1_FLAVOUR {

/// A stream of its own for this thread's launches, copies and `zero`, while the object lives. The emulator runs everything at
/// once, in order.
class UseStream {
 public:
#if defined(__CUDACC__)
  UseStream() : before_(current_stream()) {
    synchronize();  // earlier work comes first
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

/// A CUDA graph of the launches, copies and `zero` of `work`, which `replay` repeats. `work` has run once before, so that it
/// allocates nothing, and copies nothing from or to the host. A replay reads memory again; kernel arguments are those recorded.
class Graph {
 public:
  explicit Graph(const std::function<void()>& work) : moves_(detail::scratch_moves()) {
#if defined(__CUDACC__)
    const UseStream own;  // the default stream cannot be captured
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
      explicit Recording(std::vector<std::function<void()> >& to) { emulator::recording() = &to; }
      ~Recording() { emulator::recording() = nullptr; }
    } recording(launches_);
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
  /// Whether scratch memory that the graph may use has moved since.
  bool stale() const { return moves_ != detail::scratch_moves(); }
  void replay() const {
    require(!stale(), "graph: scratch memory has moved since it was recorded");
#if defined(__CUDACC__)
    check_cuda(cudaGraphLaunch(executable_, current_stream()), "cudaGraphLaunch");
#else
    for (const std::function<void()>& launch : launches_) launch();
#endif
  }

 private:
  std::size_t moves_;
#if defined(__CUDACC__)
  cudaGraphExec_t executable_ = nullptr;
#else
  std::vector<std::function<void()> > launches_;
#endif
};

}  // namespace skipv1::inline SKIPV1_FLAVOUR

namespace skipv1 {

/// On a device the first call runs the work, which may allocate; the second records it as a graph; that and later calls replay
/// it. The work is the same each time: call `forget` before it changes.
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
  static void also(const std::function<void()>& call) {
#if defined(__CUDACC__)
    call();  // what it gives to the stream, the graph has
#else
    emulator::do_or_record(call);
#endif
  }

 private:
  bool warm_ = false;
  std::optional<Graph> graph_;
};

}  // namespace skipv1
