// Kernels on the CPU: the threads of a block are fibers of one thread, which take turns wherever they wait for each other. What a
// card would leave undefined (divergent barriers and shuffles, races on shared memory, accesses past its arrays) throws `Error`
// instead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "skipv1/core/check.hpp"
#include "skipv1/emulator/fiber.cuh"
#include "skipv1/emulator/shared_memory.cuh"
#include "skipv1/emulator/semaphores.cuh"
#include "skipv1/core/grid.cuh"
#include "skipv1/core/parallel.hpp"

namespace skipv1 {

namespace emulator {

/// A launch, and how to call its kernel for one thread.
struct Kernel {
  Launch launch;
  void (*call)(const void* closure);
  const void* closure;
};

/// What a thread waits for, or that it has ended.
enum class State { ready, at_barrier, at_collective, at_arrival, at_turn, done };

struct CopyAhead {  ///< one `copy_async` not yet waited for
  SharedArray array;
  std::size_t begin, count;
  const std::byte* from;  ///< null: zeros
  Place place;
};

struct BulkCopy {  ///< one of the copy engine's not yet there (kernel/tma.cuh)
  SharedArray array;
  std::size_t begin, count;
  const std::byte* from;
  std::size_t rows, columns, stride;  ///< of a panel: what of it there is, and numbers between rows; else bytes follow each other
  bool panel;
  std::size_t thread;  ///< that asked for it
  Place place;
};
struct Arrival {  ///< a counter: what of phase `ended` has arrived, is expected and asked for
  const std::byte* at = nullptr;
  std::size_t needed = 1, ended = 0, expected = 0, asked = 0;
  std::uint32_t when = 0;  ///< the last phase ended
  std::vector<BulkCopy> copies;
  struct By {
    std::size_t thread;
    std::uint32_t when;
  };
  std::vector<By> arrived, arrived_before;  ///< in this phase, and the last

  bool complete() const { return arrived.size() == needed && asked == expected; }
  void end(std::uint32_t now) {
    when = now;
    ++ended;
    expected = asked = 0;
    copies.clear();
    arrived_before = std::move(arrived);
    arrived.clear();
  }
};
struct Send {  ///< one that is not yet there
  SharedArray array;
  std::size_t begin, count;
  float* to;
  bool add;
  std::uint32_t when;  ///< asked for
  Place place;
  std::vector<float> numbers;  ///< once they are read

  void write() const {
    for (std::size_t i = 0; i < numbers.size(); ++i) to[i] = add ? to[i] + numbers[i] : numbers[i];
  }
};

struct SharedPart {  ///< part of a tile in panels (kernel/tile.cuh): its first element, and how far apart panels lie
  SharedArray array;
  std::size_t begin = 0, panel = 0;
};
struct WarpgroupProduct {  ///< one product of a warpgroup not yet waited for (kernel/wgmma.cuh)
  float* d;
  std::size_t columns;
  bool add, fresh;  ///< whether it adds to d, and is the first that waits for d
  bool rows;        ///< whether B's rows, not its columns, are the product's columns
  bool outer;       ///< whether A's columns, not its rows, are the product's rows
  Place place;
  SharedPart b;
  std::optional<SharedPart> a;  ///< else fragments
  std::uint32_t fragments[4];
  float before[64];  ///< d's numbers
};

struct Thread {
  Fiber fiber;
  Index3 index;
  State state = State::ready;
  Place place;  ///< where it waits
  std::vector<CopyAhead> copies;
  std::vector<std::size_t> copy_groups;  ///< ends, in `copies`, of the groups committed
  std::vector<WarpgroupProduct> products;
  std::vector<std::size_t> product_groups;  ///< ends, in `products`
  std::vector<Send> sends;
};

/// Runs blocks, one after the other, on the thread it belongs to.
class Worker {
 public:
  /// The worker of the calling thread.
  static Worker& here() {
    static thread_local Worker worker;
    return worker;
  }
  /// The worker whose kernel is running on the calling thread.
  static Worker& running() {
    if (!current()) fail("emulator: a device function was called outside of a kernel");
    return *current();
  }

  /// Runs block `index` of `kernel`; throws what a thread of it threw, or the fault found.
  void run(const Kernel& kernel, Turns& turns, Index3 index) {
    turns_ = &turns;
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

  /// `__syncthreads()`.
  void barrier(Place place) {
    if (done_ > 0) report("waits at a barrier (", place, ") that thread ", index_of(ended_), " never reached: it has returned");
    if (arrived_++ == 0) barrier_place_ = place, first_at_barrier_ = now_;
    if (!(place == barrier_place_)) {
      report("waits at the barrier of ", place, " while thread ", index_of(first_at_barrier_), " waits at that of ",
             barrier_place_);
    }
    if (arrived_ < count_) return wait(State::at_barrier, place);
    arrived_ = 0;
    shared_.block_synchronised();
    for (std::size_t t = 0; t < count_; ++t)
      if (t != now_) make_ready(t);
  }

  /// What all lanes of a warp do together: the last to arrive calls `resolve(arguments of each lane, lanes)`. Throws if the lanes
  /// are not all at the same operation at the same place.
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
    if (warp.arrived < lanes) return wait(State::at_collective, place);
    warp.arrived = 0;
    resolve(warp.arguments, lanes);
    for (std::size_t t = first; t < first + lanes; ++t)
      if (t != now_) make_ready(t);
  }

  /// The block's counters of bytes; those waiting for one look again after `wake`.
  std::vector<Arrival>& arrivals() { return arrivals_; }
  void wait_for_arrival(Place place) { wait(State::at_arrival, place); }
  void wake() {
    for (std::size_t t = 0; t < count_; ++t)
      if (threads_[t]->state == State::at_arrival) make_ready(t);
  }

  /// Something is counted for other blocks: they rely on what was sent before the last barrier, or by the same thread.
  void pass_turn(const void* turn, Place place) {
    for (std::size_t t = 0; t < count_; ++t)
      for (const Send& send : threads_[t]->sends)
        if (t == now_ || shared_.before_barrier(send.when))
          report("passes a turn (", place, ") while what thread ", index_of(t), " sends (", send.place, ") is not there");
    turns_->pass(turn, block_number(), seen_);
  }
  void note_send(const void* to, bool there, Place place) {
    const std::optional<std::size_t> other = turns_->send(to, block_number(), seen_, there);
    if (other) report("race: sends numbers (", place, ") where block number ", *other, " sends some without a turn between");
  }
  Turns& turns() { return *turns_; }
  /// Lets others, of this block and of others, go on until `come()`, which looks at a turn.
  template <class Come>
  void wait_for_turn(const void* turn, const Come& come, Place place) {
    bool waited = false;
    for (;; waited = true) {
      const std::size_t moves = turns_->moves();
      if (come()) break;
      if (moves != std::exchange(looked_at_, moves)) in_vain_ = 0;
      if (++in_vain_ > ready_count_) {  // all that could go on here have looked
        const Turns::Hope hope = turns_->look_in_vain(moves, in_vain_ == ready_count_ + 1);
        if (hope == Turns::Hope::failed) throw GivenUp();
        if (hope == Turns::Hope::none)
          report("waits for a turn (", place, ") that never comes: no block that has begun can go on");
        std::this_thread::yield();
      }
      make_ready(now_, State::at_turn);
      resume_next(self().fiber);
    }
    self().state = State::ready;
    if (waited) turns_->move();
    turns_->look(turn, seen_);
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
    arrivals_.clear();
    seen_.clear();
    shared_.begin_block(kernel.launch.shared_bytes, count_);
    for (std::size_t t = 0; t < count_; ++t) {
      threads_[t]->index = index_of(t);
      threads_[t]->copies.clear();
      threads_[t]->copy_groups.clear();
      threads_[t]->products.clear();
      threads_[t]->product_groups.clear();
      threads_[t]->sends.clear();
      if (!threads_[t]->fiber.started()) threads_[t]->fiber.start(entry, t * 320 % 8192);
      make_ready(t);
    }
  }

  /// After the last switch back: everything is done, or a thread failed, or nobody can go on.
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
  }
  std::string deadlock() const {
    std::ostringstream line;
    line << "kernel " << kernel_->launch.name << ", block " << block_ << ": ";
    const auto stuck = [&](State state) {
      std::size_t t = 0;
      while (t < count_ && threads_[t]->state != state) ++t;
      return t;
    };
    const std::size_t a = stuck(State::at_collective), b = stuck(State::at_barrier), c = stuck(State::at_arrival);
    if (a < count_)
      line << "thread " << index_of(a) << " waits for its warp at " << warps_[a / 32].what << " (" << threads_[a]->place << ')';
    if (b < count_)
      line << (a < count_ ? " and " : "") << "thread " << index_of(b) << " waits at the barrier of " << threads_[b]->place;
    if (c < count_)
      line << (a < count_ || b < count_ ? " and " : "") << "thread " << index_of(c) << " waits for what does not arrive ("
           << threads_[c]->place << "): threads, or bytes not expected or not all asked for";
    line << ": nobody can go on";
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
    for (const Send& send : self().sends) {
      if (send.numbers.empty()) report("returns without waiting until what it sends (", send.place, ") has been read");
      note_send(send.to, true, send.place);
      send.write();
    }
    warp.ended = true;
    ended_ = now_;
    self().state = State::done;
    if (++done_ < count_) return;
    for (const Arrival& arrival : arrivals_)
      if (arrival.asked > 0) report("returns, the last, while bytes asked for (", arrival.copies[0].place, ") are on their way");
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
  std::vector<std::uint16_t> ready_;  ///< a ring of threads that can go on
  std::size_t head_ = 0, ready_count_ = 0;
  std::vector<Arrival> arrivals_;
  Turns* turns_ = nullptr;
  Turns::Seen seen_;
  std::size_t in_vain_ = 0, looked_at_ = 0;  ///< how often threads looked for turns since one went on, and at which of the moves
  SharedMemory shared_;
  std::exception_ptr error_;
};

/// Runs all blocks of a launch, on all cores if that is worth their start, and throws the first block's fault, if any.
inline void run_grid(const Kernel& kernel) {
  const Index3 grid = kernel.launch.grid;
  const std::size_t blocks = grid.size();
  std::mutex mutex;
  std::size_t failed = blocks;  // the lowest block that failed so far
  std::exception_ptr error;
  Turns turns;
  const auto run = [&](std::size_t b) {
    {
      const std::lock_guard lock(mutex);
      if (failed < b) return;
    }
    bool fault = false;
    turns.begin_block();
    try {
      Worker::here().run(kernel, turns, {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y});
    } catch (const GivenUp&) {
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (b < failed) failed = b, error = std::current_exception();
      fault = true;
    }
    turns.end_block(fault);
  };
  if (blocks * kernel.launch.block.size() < 2048) {
    for (std::size_t b = 0; b < blocks && !error; ++b) run(b);
  } else {
    parallel_for(blocks, run);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace emulator
}  // namespace skipv1
