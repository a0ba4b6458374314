// What a kernel that starts early (`Start::early`) may meet on a card: the kernel before it has written nothing until a thread
// waits for it. The emulator runs launches one after the other, where such a kernel could never read too soon; a test that lives
// with a `LateKernels` holds each kernel back until the next launch or copy, or until a thread of an early next one waits.
#pragma once

#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace skipv1::emulator {

/// The kernel that is held back, if any. Launches come from one thread; those who wait may be many.
class HeldKernel {
 public:
  static HeldKernel& only() {
    static HeldKernel held;
    return held;
  }
  bool holds() const { return holds_; }
  void set_holds(bool holds) { run(), holds_ = holds; }

  void hold(std::function<void()> kernel) {
    run();
    kernel_ = std::move(kernel);
  }
  /// Runs the kernel that is held back, if there is one, on a thread of its own: whoever calls may be in the middle of another.
  void run() {
    const std::lock_guard lock(mutex_);
    if (!kernel_) return;
    std::exception_ptr error;
    std::thread([&, kernel = std::exchange(kernel_, {})] {
      try {
        kernel();
      } catch (...) {
        error = std::current_exception();
      }
    }).join();
    if (error) std::rethrow_exception(error);
  }

 private:
  bool holds_ = false;
  std::function<void()> kernel_;
  std::mutex mutex_;
};

/// While one lives, kernels are held back. What they read and write must live until the next launch or copy. A kernel that waits
/// for the one before must start early here: held back itself, it would wait for itself.
class LateKernels {
 public:
  LateKernels() { HeldKernel::only().set_holds(true); }
  LateKernels(const LateKernels&) = delete;
  LateKernels& operator=(const LateKernels&) = delete;
  ~LateKernels() { HeldKernel::only().set_holds(false); }
};

}  // namespace skipv1::emulator
