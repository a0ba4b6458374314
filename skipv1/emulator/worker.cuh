// A block of an emulated launch: its threads are fibers of one host thread; a fiber that waits yields to the next. What is
// undefined on a GPU throws `Error` with the kernel, block, thread and line: barriers and shuffles that not all threads reach,
// races in shared memory, accesses out of its bounds, reads of elements that no thread has written, deadlocks.
//
// Accesses to global memory are plain memory accesses, and are not checked: races there pass silently, and so do accesses out of
// an allocation's bounds, unless the program is built with the address sanitizer. Of global memory the emulator checks only what
// it executes itself: alignment, that blocks which bulk-store to one address are ordered by semaphores (emulator/semaphores.cuh),
// and in cooperative launches the order of accesses to what blocks pass to each other (kernel/exchange.cuh).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/emulator/fiber.cuh"
#include "skipv1/emulator/asynchronous.cuh"
#include "skipv1/emulator/cluster.cuh"
#include "skipv1/emulator/lease.cuh"
#include "skipv1/emulator/semaphores.cuh"
#include "skipv1/emulator/thread.cuh"
#include "skipv1/emulator/traffic.cuh"
#include "skipv1/emulator/watch.cuh"
#include "skipv1/core/grid.cuh"

namespace skipv1 {

namespace emulator {

/// Runs blocks, one after the other, on the host thread that it belongs to.
class Worker {
 public:
  /// The worker of the calling thread. Clusters and cooperative launches start host threads: these take over the workers, with
  /// stacks and shared memory, of threads that have ended.
  static Worker& here() {
    static thread_local const Lease<Worker> worker;
    return *worker;
  }
  /// Fibers stay on the host thread that started them, which compilers and the address sanitizer rely on: they start anew.
  void change_thread() {
    for (const auto& thread : threads_) thread->fiber.abandon();
  }
  /// The worker whose kernel is running on the calling thread.
  static Worker& running() {
    if (!current()) fail("emulator: a device function was called outside of a kernel");
    return *current();
  }

  /// Runs block `index` of `kernel`, of a cluster if one is given. Throws the first fault, or what a thread threw.
  void run(const Kernel& kernel, Semaphores& semaphores, Index3 index, Cluster* cluster = nullptr) {
    semaphores_ = &semaphores;
    member_ = {cluster, index.x % kernel.launch.cluster, std::vector<ClusterMember::Thread>(kernel.launch.block.size())};
    begin(kernel, index);
    current() = this;
    resume_next(main_);
    current() = nullptr;
    finish();
  }

  const Kernel& kernel() const { return *kernel_; }
  Index3 block() const { return block_; }
  Index3 thread() const { return threads_[now_]->index; }
  std::size_t thread_number() const { return now_; }
  Thread& self() { return *threads_[now_]; }
  SharedMemory& shared() { return shared_; }
  ClusterMember& member() { return member_; }

  /// `__syncthreads()`.
  void barrier(Place place) {
    if (done_ > 0) report("waits at a barrier (", place, ") that thread ", index_of(ended_), " never reached: it has returned");
    if (arrived_++ == 0) barrier_place_ = place, first_at_barrier_ = now_;
    if (!(place == barrier_place_)) {
      report("waits at the barrier of ", place, " while thread ", index_of(first_at_barrier_), " waits at that of ",
             barrier_place_);
    }
    tell_arrival("sync_threads", arrived_ == count_, place);
    if (arrived_ < count_) return wait(State::at_barrier, place);
    arrived_ = 0;
    shared_.block_synchronised();
    for (std::size_t t = 0; t < count_; ++t)
      if (t != now_) make_ready(t);
  }

  /// An operation of a whole warp: the last lane to arrive calls `resolve(arguments of each lane, lanes)`. Throws unless all
  /// lanes are at the same operation and line.
  using Resolve = void (*)(void* const* lanes, std::size_t count);
  void collective(const char* what, void* arguments, Resolve resolve, Place place) {
    const std::size_t w = now_ / 32, first = w * 32, lanes = std::min<std::size_t>(32, count_ - first);
    Warp& warp = warps_[w];
    if (warp.ended) report("calls ", what, " (", place, ") without a lane of its warp, which has returned");
    if (warp.arrived++ == 0) warp.what = what, warp.resolve = resolve, warp.place = place, warp.first = now_;
    if (warp.what != what || warp.resolve != resolve || !(warp.place == place)) {
      report("calls ", what, " (", place, ") while thread ", index_of(warp.first), " of its warp waits at ", warp.what, " (",
             warp.place, ")");
    }
    warp.arguments[now_ - first] = arguments;
    tell_arrival(what, warp.arrived == lanes, place);
    if (warp.arrived < lanes) return wait(State::at_collective, place);
    warp.arrived = 0;
    resolve(warp.arguments, lanes);
    for (std::size_t t = first; t < first + lanes; ++t)
      if (t != now_) make_ready(t);
  }

  /// The running thread accesses global memory, if that is counted (emulator/traffic.cuh).
  void note_global(Access access, const void* p, std::size_t bytes, Place place) {
    if (counts_) traffic_.note(access, p, bytes, now_, place);
    if (watched_)
      tell({.kind = access == Access::load ? Step::Kind::load : Step::Kind::store, .place = place, .address = p, .bytes = bytes});
  }
  void note_global_bulk(Access access, std::size_t bytes) {
    if (counts_) traffic_.note_bulk(access, bytes);
  }

  /// Whether anybody looks on (emulator/watch.cuh); tells them a step of the running thread, whose block and thread are set here.
  bool watched() const { return watched_; }
  void tell(Step step) const {
    step.block = block_, step.thread = now_;
    (*watcher())(step);
  }

  /// The block's mbarriers. Threads that wait at one look again after `wake`.
  std::vector<Mbarrier>& mbarriers() { return mbarriers_; }
  void wait_at_mbarrier(Place place) { wait(State::at_mbarrier, place); }
  void wake() {
    for (std::size_t t = 0; t < count_; ++t)
      if (threads_[t]->state == State::at_mbarrier) make_ready(t);
  }

  /// A semaphore is released: other blocks rely on the bulk stores that this thread issued, and on those that any thread issued
  /// before the last barrier.
  void release(std::uint32_t* semaphore, Place place) {
    for (std::size_t t = 0; t < count_; ++t)
      for (const BulkStore& store : threads_[t]->stores)
        if (t == now_ || shared_.before_barrier(store.when))
          report("releases a semaphore (", place, ") before the bulk store of thread ", index_of(t), " (", store.place,
                 ") has completed");
    publish();
    semaphores_->release(semaphore, block_number(), seen_);
  }
  /// An access to `count` elements of `size` bytes in global memory that blocks pass to each other, checked in cooperative
  /// launches. All accesses to an element see it as one of this size.
  void note_exchange(Semaphores::Exchange access, const void* p, std::size_t count, std::size_t size, Place place) {
    if (kernel_->launch.resident != Resident::all) return;
    const Semaphores::Seen& seen = now_ == acquirer_ || shared_.before_barrier(acquired_at_) ? seen_ : seen_before_;
    const Semaphores::Elements elements{reinterpret_cast<std::uintptr_t>(p), count, size};
    const std::optional<std::size_t> other = semaphores_->note_exchange(access, elements, block_number(), seen);
    const bool reads = access == Semaphores::Exchange::read;
    if (other)
      report("race: ", reads ? "reads" : "writes", " global memory (", place, ") that block number ", *other,
             reads ? " writes" : " reads or writes", ", without acquiring a semaphore that it released after that");
    exchanges_.push_back({access, elements, now_, shared_.now()});
  }
  void note_store(const void* to, Semaphores::Stage stage, Place place) {
    const std::optional<std::size_t> other = semaphores_->note_store(to, block_number(), seen_, stage);
    if (other)
      report("race: bulk store (", place, ") to the address of one of block number ", *other,
             ", without acquiring a semaphore that it released");
  }
  Semaphores& semaphores() { return *semaphores_; }
  /// Lets other threads and blocks go on until `reached()`, which looks whether a semaphore is at `ticket`.
  template <class Reached>
  void wait_at_semaphore(const void* semaphore, std::uint32_t ticket, const Reached& reached, Place place) {
    bool waited = false;
    for (;; waited = true) {
      const std::size_t progress = semaphores_->progress();
      if (reached()) break;
      if (progress != std::exchange(looked_at_, progress)) in_vain_ = 0;
      if (++in_vain_ > ready_count_) {  // all threads that could go on wait at semaphores
        const Semaphores::Hope hope = semaphores_->look_in_vain(progress);
        if (hope == Semaphores::Hope::failed) throw Abandoned();
        if (hope == Semaphores::Hope::none)
          report("deadlock: waits at a semaphore (", place, ") that no resident block can release");
      }
      make_ready(now_, State::at_semaphore);
      resume_next(self().fiber);
    }
    self().state = State::ready;
    if (waited) semaphores_->note_progress();
    seen_before_ = seen_;
    acquirer_ = now_, acquired_at_ = shared_.now();
    semaphores_->acquire(semaphore, ticket, seen_);
  }

  /// Throws an `Error` that begins with the kernel, block and thread running.
  template <class... Parts>
  [[noreturn]] void report(const Parts&... parts) const {
    fail("kernel ", kernel_->launch.name, ", block ", block_, ", thread ", index_of(now_), ": ", parts...);
  }
  Index3 index_of(std::size_t t) const {
    const Index3 n = kernel_->launch.block;
    return {t % n.x, t / n.x % n.y, t / n.x / n.y};
  }

 private:
  struct Warp {
    std::size_t arrived = 0, first = 0;
    const char* what = nullptr;
    Resolve resolve = nullptr;
    Place place;
    bool ended = false;  ///< whether a lane has returned
    void* arguments[32];
  };

  /// What the running thread, or any thread before the last barrier, has exchanged lies before the release that follows.
  void publish() {
    const std::size_t releases = seen_[block_number()];
    const auto later = [&](const Exchange& x) {
      const bool same_warp = x.thread / 32 == now_ / 32 && shared_.before_warp_barrier(now_ / 32, x.when);
      if (x.thread != now_ && !same_warp && !shared_.before_barrier(x.when)) return true;
      semaphores_->publish(x.access, x.elements, block_number(), releases);
      return false;
    };
    exchanges_.erase(std::remove_if(exchanges_.begin(), exchanges_.end(), std::not_fn(later)), exchanges_.end());
  }
  std::size_t block_number() const {
    const Index3 n = kernel_->launch.grid;
    return block_.x + n.x * (block_.y + std::size_t{n.y} * block_.z);
  }
  static Worker*& current() {
    static constinit thread_local Worker* worker = nullptr;
    return worker;
  }

  void begin(const Kernel& kernel, Index3 index) {
    kernel_ = &kernel;
    block_ = index;
    count_ = kernel.launch.block.size();
    while (threads_.size() < count_) threads_.push_back(std::make_unique<Thread>());
    warps_.assign((count_ + 31) / 32, Warp{});
    ready_.resize(std::max(ready_.size(), count_));
    head_ = ready_count_ = arrived_ = done_ = 0;
    in_vain_ = looked_at_ = 0;
    error_ = nullptr;
    mbarriers_.clear();
    seen_.clear(), seen_before_.clear(), exchanges_.clear();
    acquirer_ = 0, acquired_at_ = 0;
    counts_ = counted_traffic() != nullptr, watched_ = watcher() != nullptr;
    if (counts_) traffic_.begin(count_);
    shared_.begin_block(kernel.launch.shared_bytes, count_);
    for (std::size_t t = 0; t < count_; ++t) {
      threads_[t]->index = index_of(t);
      threads_[t]->cp_asyncs.clear();
      threads_[t]->cp_async_groups.clear();
      threads_[t]->wgmmas.clear();
      threads_[t]->wgmma_groups.clear();
      threads_[t]->stores.clear();
      if (!threads_[t]->fiber.started()) threads_[t]->fiber.start(entry, t * 320 % 8192);
      make_ready(t);
    }
  }

  /// After the last switch back: all threads have returned, or one failed, or none can go on.
  void finish() {
    if (!error_ && done_ < count_) error_ = std::make_exception_ptr(Error(deadlock()));
    for (std::size_t t = 0; t < count_; ++t) {
      Thread& thread = *threads_[t];
      if (error_ && thread.state != State::done) thread.fiber.abandon();
      if (!error_ && thread.fiber.overflowed()) {
        thread.fiber.abandon();
        error_ = std::make_exception_ptr(
            Error(std::string("kernel ") + kernel_->launch.name + ": a thread's stack overflowed in the emulator"));
      }
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (counts_) add_traffic(traffic_.total());
  }
  std::string deadlock() const {
    std::ostringstream line;
    line << "kernel " << kernel_->launch.name << ", block " << block_ << ": ";
    const auto stuck = [&](State state) {
      std::size_t t = 0;
      while (t < count_ && threads_[t]->state != state) ++t;
      return t;
    };
    const std::size_t a = stuck(State::at_collective), b = stuck(State::at_barrier), c = stuck(State::at_mbarrier);
    if (a < count_)
      line << "thread " << index_of(a) << " waits for its warp at " << warps_[a / 32].what << " (" << threads_[a]->place << ')';
    if (b < count_)
      line << (a < count_ ? " and " : "") << "thread " << index_of(b) << " waits at the barrier of " << threads_[b]->place;
    if (c < count_)
      line << (a < count_ || b < count_ ? " and " : "") << "thread " << index_of(c) << " waits at an mbarrier ("
           << threads_[c]->place
           << ") whose phase does not end: threads have not arrived, or bytes are not expected or not issued";
    line << ": no thread can go on";
    return line.str();
  }

  static void entry() {
    Fiber::entered();
    for (;;) current()->run_thread();
  }
  void run_thread() {
    try {
      kernel_->call(kernel_->closure);
      leave();
    } catch (...) {
      error_ = std::current_exception();
    }
    Fiber& fiber = self().fiber;
    if (error_) {
      Fiber::swap(fiber, main_);
    } else {
      resume_next(fiber);
    }
  }
  void leave() {
    if (arrived_ > 0) {
      report("returns without reaching the barrier (", barrier_place_, ") at which thread ", index_of(first_at_barrier_),
             " waits");
    }
    Warp& warp = warps_[now_ / 32];
    if (warp.arrived > 0) {
      report("returns without ", warp.what, " (", warp.place, "), for which thread ", index_of(warp.first), " of its warp waits");
    }
    for (const BulkStore& store : self().stores) {
      if (store.values.empty()) report("returns before its bulk store (", store.place, ") has read shared memory");
      note_store(store.to, Semaphores::Stage::completed, store.place);
      store.write();
    }
    if (watched_) tell({.kind = Step::Kind::returns});
    warp.ended = true;
    ended_ = now_;
    self().state = State::done;
    if (++done_ < count_) return;
    for (const Mbarrier& mbarrier : mbarriers_)
      if (mbarrier.issued > 0) report("returns, the last, while a load (", mbarrier.loads[0].place, ") is pending");
  }

  void tell_arrival(const char* what, bool last, Place place) const {
    if (watched_) tell({.kind = last ? Step::Kind::arrives : Step::Kind::waits, .place = place, .what = what});
  }
  void make_ready(std::size_t t, State state = State::ready) {
    threads_[t]->state = state;
    std::size_t at = head_ + ready_count_++;
    if (at >= ready_.size()) at -= ready_.size();
    ready_[at] = static_cast<std::uint16_t>(t);
  }
  void wait(State state, Place place) {
    Thread& thread = self();
    thread.state = state;
    thread.place = place;
    resume_next(thread.fiber);
  }
  void resume_next(Fiber& from) {
    if (ready_count_ == 0) return Fiber::swap(from, main_);
    now_ = ready_[head_];
    if (++head_ == ready_.size()) head_ = 0;
    --ready_count_;
    if (threads_[now_]->state == State::ready) in_vain_ = 0;
    Fiber& next = threads_[now_]->fiber;
    if (&next != &from) Fiber::swap(from, next);
  }

  const Kernel* kernel_ = nullptr;
  Index3 block_;
  std::size_t count_ = 0, now_ = 0, done_ = 0, ended_ = 0, arrived_ = 0, first_at_barrier_ = 0;
  Place barrier_place_;
  Fiber main_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::vector<std::uint16_t> ready_;  ///< a ring buffer of threads that can go on
  std::size_t head_ = 0, ready_count_ = 0;
  std::vector<Mbarrier> mbarriers_;
  Semaphores* semaphores_ = nullptr;
  Semaphores::Seen seen_;
  Semaphores::Seen seen_before_;  ///< before the last acquire, which other threads share from the next barrier on
  std::size_t acquirer_ = 0;      ///< the thread, and when
  std::uint32_t acquired_at_ = 0;
  struct Exchange {
    Semaphores::Exchange access;
    Semaphores::Elements elements;
    std::size_t thread;
    std::uint32_t when;
  };
  std::vector<Exchange> exchanges_;          ///< behind no release yet
  std::size_t in_vain_ = 0, looked_at_ = 0;  ///< looks at semaphores since a thread went on, and the progress they saw
  SharedMemory shared_;
  ClusterMember member_;
  bool counts_ = false, watched_ = false;
  BlockTraffic traffic_;
  std::exception_ptr error_;
};

}  // namespace emulator
}  // namespace skipv1
