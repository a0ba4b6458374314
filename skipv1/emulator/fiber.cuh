// Fibers: functions with a stack each, between which a host thread switches. The threads of an emulated block are fibers.
// A switch by the instructions below costs 16 ns per thread and barrier; by ucontext, which makes a system call for the signal
// mask, 240 ns. WebAssembly has no stack to switch: there a fiber is Emscripten's, and the program is linked with -sASYNCIFY.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "skipv1/core/check.hpp"
#include "skipv1/core/uninitialized.hpp"

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif defined(__EMSCRIPTEN__)
#include <emscripten/fiber.h>
#elif !defined(__x86_64__) || defined(SKIPV1_UCONTEXT)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SKIPV1_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SKIPV1_ASAN 1
#endif
#endif
#ifdef SKIPV1_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace skipv1::emulator {

#if defined(__x86_64__) && !defined(_WIN32) && !defined(SKIPV1_UCONTEXT)
#define SKIPV1_OWN_SWITCH 1
/// Saves the callee-saved registers and the stack pointer at `*from`, and restores those saved at `to`.
[[gnu::naked, gnu::noinline]] inline void switch_stack([[maybe_unused]] void** from, [[maybe_unused]] void* to) {
  asm("pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n\t"
      "movq %rsp, (%rdi); movq %rsi, %rsp\n\t"
      "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp; ret");
}
#endif

/// A stack, and where its function stopped. A fiber without `start` is the host thread itself.
class Fiber {
 public:
#ifdef SKIPV1_ASAN
  static constexpr std::size_t stack_size = 256 << 10;
#else
  static constexpr std::size_t stack_size = 64 << 10;
#endif

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next switch to this fiber calls `entry`, which must not return; an earlier function is abandoned. `gap` bytes of the
  /// stack, a multiple of 64 that differs between fibers, stay unused: else all stacks would map to the same cache lines.
  void start(void (*entry)(), [[maybe_unused]] std::size_t gap) {
#if defined(_WIN32)
    if (handle_) DeleteFiber(handle_);
    handle_ = CreateFiber(
        stack_size, [](void* function) { reinterpret_cast<void (*)()>(function)(); }, reinterpret_cast<void*>(entry));
    require(handle_ != nullptr, "emulator: no memory for a thread's stack");
#else
    if (!stack_) stack_ = uninitialized<std::byte>(stack_size);
    bottom_ = stack_.get();
    size_ = stack_size;
#ifdef SKIPV1_ASAN
    fake_stack_ = nullptr;
    ASAN_UNPOISON_MEMORY_REGION(bottom_, size_);
#endif
    *canary() = canary_value;
#ifdef SKIPV1_OWN_SWITCH
    auto** top = reinterpret_cast<void**>((reinterpret_cast<std::uintptr_t>(bottom_) + size_ - gap) & ~std::uintptr_t(63));
    *--top = nullptr;  // the return address of `entry`: where a debugger's backtrace ends
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    at_ = top;
#elif defined(__EMSCRIPTEN__)
    if (!frames_) frames_ = uninitialized<std::byte>(frames_size);
    const auto bottom = reinterpret_cast<std::uintptr_t>(stack_.get() + 16) & ~std::uintptr_t(15);  // (above the canary)
    emscripten_fiber_init(
        &context_, [](void* function) { reinterpret_cast<void (*)()>(function)(); }, reinterpret_cast<void*>(entry),
        reinterpret_cast<void*>(bottom), (stack_size - 32) & ~std::size_t(15), frames_.get(), frames_size);
#else
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = size_ - gap;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#endif
#endif
    started_ = true;
  }
  bool started() const { return started_; }
  void abandon() { started_ = false; }
  /// Whether the function overflowed the stack; known only afterwards.
  bool overflowed() const { return stack_ && *canary() != canary_value; }

  /// Switches from `from`, which is running, to `to`.
  static void swap(Fiber& from, Fiber& to) {
#ifdef SKIPV1_ASAN
    arrived_from() = &from;
    __sanitizer_start_switch_fiber(&from.fake_stack_, to.bottom_, to.size_);
#endif
#if defined(_WIN32)
    if (!from.handle_) from.handle_ = IsThreadAFiber() ? GetCurrentFiber() : ConvertThreadToFiber(nullptr);
    SwitchToFiber(to.handle_);
#elif defined(SKIPV1_OWN_SWITCH)
    switch_stack(&from.at_, to.at_);
#elif defined(__EMSCRIPTEN__)
    if (!from.frames_) {  // the host thread itself
      from.frames_ = uninitialized<std::byte>(frames_size);
      emscripten_fiber_init_from_current_context(&from.context_, from.frames_.get(), frames_size);
    }
    emscripten_fiber_swap(&from.context_, &to.context_);
#else
    swapcontext(&from.context_, &to.context_);
#endif
#ifdef SKIPV1_ASAN
    __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
  }
  /// The first call in `entry`: tells the address sanitizer that the stack has changed.
  static void entered() {
#ifdef SKIPV1_ASAN
    Fiber& previous = *arrived_from();
    __sanitizer_finish_switch_fiber(nullptr, &previous.bottom_, &previous.size_);
#endif
  }

 private:
  static constexpr std::uint64_t canary_value = 0x5afe57acc0ffee11ULL;
  std::uint64_t* canary() const { return reinterpret_cast<std::uint64_t*>(stack_.get()); }

  std::unique_ptr<std::byte[]> stack_;
#if !defined(_WIN32) || defined(SKIPV1_ASAN)
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
#endif
  bool started_ = false;
#ifdef SKIPV1_ASAN
  static Fiber*& arrived_from() {
    static thread_local Fiber* fiber = nullptr;
    return fiber;
  }
  void* fake_stack_ = nullptr;
#endif
#if defined(_WIN32)
  void* handle_ = nullptr;
#elif defined(SKIPV1_OWN_SWITCH)
  void* at_ = nullptr;
#elif defined(__EMSCRIPTEN__)
  static constexpr std::size_t frames_size = 16 << 10;  ///< room for the functions' frames while another fiber runs
  std::unique_ptr<std::byte[]> frames_;
  emscripten_fiber_t context_{};
#else
  ucontext_t context_{};
#endif
};

}  // namespace skipv1::emulator
