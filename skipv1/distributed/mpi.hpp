// MPI over host memory. A build with MPI defines SKIPV1_WITH_MPI and links it; without it this header is empty.
#pragma once

#ifdef SKIPV1_WITH_MPI

#define OMPI_SKIP_MPICXX  // only the C interface
#include <mpi.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "skipv1/distributed/communicator.hpp"

namespace skipv1 {

namespace detail {

/// The sum of bfloat16, for which MPI has no type.
inline void sum_bfloat16(void* in, void* into, int* count, MPI_Datatype*) {
  const auto* a = static_cast<const bfloat16*>(in);
  auto* b = static_cast<bfloat16*>(into);
  for (int i = 0; i < *count; ++i) b[i] = static_cast<bfloat16>(static_cast<float>(a[i]) + static_cast<float>(b[i]));
}

/// Waits without keeping a core: the others may need it, and compute most of the time.
inline void wait_for(MPI_Request& request) {
  auto nap = std::chrono::microseconds(5);
  for (int tries = 0, done = 0;; ++tries) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) return;
    if (tries < 50) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(nap);
      nap = std::min(nap * 2, std::chrono::microseconds(200));
    }
  }
}

/// MPI's counts are `int`: calls `part(first, count)` for pieces of fewer than 2^30.
template <class Part>
void in_parts(std::size_t count, const Part& part) {
  constexpr std::size_t most = std::size_t{1} << 30;
  for (std::size_t first = 0; first < count; first += most) part(first, static_cast<int>(std::min(most, count - first)));
}

}  // namespace detail

/// The processes of MPI_COMM_WORLD. MPI is initialised, with MPI_THREAD_SERIALIZED at least, before and finalised after. All
/// calls of MPI are made by one thread, which goes through them in order while the others compute.
class MpiCommunicator final : public Communicator {
 public:
  using Communicator::begin_all_reduce;
  using Communicator::begin_broadcast;
  using Communicator::begin_reduce;
  using Communicator::broadcast;

  MpiCommunicator() {
    int rank = 0, size = 0;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    MPI_Comm_rank(comm_, &rank);
    MPI_Comm_size(comm_, &size);
    MPI_Op_create(detail::sum_bfloat16, 1, &sum_bfloat16_);
    rank_ = static_cast<std::size_t>(rank), size_ = static_cast<std::size_t>(size);
    worker_ = std::thread([this] { work(); });
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  ~MpiCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    worker_.join();
    MPI_Op_free(&sum_bfloat16_);
    MPI_Comm_free(&comm_);
  }

  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }

  void begin_reduce(void* data, std::size_t count, Element element, std::size_t root) override {
    begin([=, this] {
      detail::in_parts(count, [&](std::size_t first, int n) {
        void* part = static_cast<std::byte*>(data) + first * bytes_of(element);
        MPI_Request request;
        MPI_Ireduce(rank_ == root ? MPI_IN_PLACE : part, rank_ == root ? part : nullptr, n, type_of(element), sum_of(element),
                    static_cast<int>(root), comm_, &request);
        detail::wait_for(request);
      });
    });
  }
  void begin_all_reduce(void* data, std::size_t count, Element element) override {
    begin([=, this] {
      detail::in_parts(count, [&](std::size_t first, int n) {
        MPI_Request request;
        MPI_Iallreduce(MPI_IN_PLACE, static_cast<std::byte*>(data) + first * bytes_of(element), n, type_of(element),
                       sum_of(element), comm_, &request);
        detail::wait_for(request);
      });
    });
  }
  void begin_broadcast(void* data, std::size_t bytes, std::size_t root) override {
    begin([=, this] {
      detail::in_parts(bytes, [&](std::size_t first, int n) {
        MPI_Request request;
        MPI_Ibcast(static_cast<std::byte*>(data) + first, n, MPI_BYTE, static_cast<int>(root), comm_, &request);
        detail::wait_for(request);
      });
    });
  }
  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return left_.empty() && !busy_; });
  }
  void broadcast(void* data, std::size_t bytes, std::size_t root) override {
    begin_broadcast(data, bytes, root);
    wait();
  }
  void all_reduce(double* data, std::size_t count) override {
    begin_all_reduce(data, count, Element::f64);
    wait();
  }

 private:
  static MPI_Datatype type_of(Element element) {
    return element == Element::f64 ? MPI_DOUBLE : element == Element::f32 ? MPI_FLOAT : MPI_UINT16_T;
  }
  MPI_Op sum_of(Element element) const { return element == Element::bf16 ? sum_bfloat16_ : MPI_SUM; }

  void begin(std::function<void()> call) {
    {
      const std::lock_guard lock(mutex_);
      left_.push_back(std::move(call));
    }
    changed_.notify_all();
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ends_ || !left_.empty(); });
      if (left_.empty()) return;
      const std::function<void()> call = std::move(left_.front());
      left_.pop_front();
      busy_ = true;
      lock.unlock();
      call();
      lock.lock();
      busy_ = false;
      if (left_.empty()) changed_.notify_all();
    }
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  MPI_Op sum_bfloat16_ = MPI_OP_NULL;
  std::size_t rank_ = 0, size_ = 1;
  std::mutex mutex_;  ///< of all below
  std::condition_variable changed_;
  std::deque<std::function<void()>> left_;
  bool busy_ = false, ends_ = false;
  std::thread worker_;
};

}  // namespace skipv1

#endif
