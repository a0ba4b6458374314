// Objects that are dear to make, of which each host thread has one for as long as it lives.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace skipv1::emulator {

/// A host thread's `T`. When the thread ends, another one takes it over, after `T::change_thread()`.
template <class T>
class Lease {
 public:
  Lease() {
    const std::lock_guard lock(idle().mutex);
    if (idle().all.empty()) {
      leased_ = std::make_unique<T>();
    } else {
      leased_ = std::move(idle().all.back());
      idle().all.pop_back();
      leased_->change_thread();
    }
  }
  ~Lease() {
    const std::lock_guard lock(idle().mutex);
    idle().all.push_back(std::move(leased_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  T& operator*() const { return *leased_; }

 private:
  struct Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<T>> all;
  };
  static Idle& idle() {
    static Idle& one = *new Idle;  // never destroyed: threads may end after main has
    return one;
  }

  std::unique_ptr<T> leased_;
};

}  // namespace skipv1::emulator
